//! The drain unit against its integer model.

mod bench;
mod model;

use super::drain::{DrainUnit, DRAINED_CYCLES, SLOT_CYCLES};
use crate::config::AccelConfig;
use crate::control::command::MatMul;
use crate::cosim::{Lockstep, Rng};
use crate::testbench::cycle;
use bench::{Bench, Eagerness};
use model::{Limits, Program, Stage, DESTINATIONS};
use rust_hdl::prelude::*;

fn config(name: &str) -> AccelConfig {
    AccelConfig::named(name).unwrap()
}

/// Runs a program to its end; the bench compares every write.
fn run(config: &AccelConfig, program: Program, eagerness: Eagerness, seed: u64) -> Bench {
    let mut unit = DrainUnit::new(config);
    unit.connect_all();
    finish(
        &mut unit,
        Bench::new(config, program, eagerness),
        &mut Rng::new(seed),
    )
}

fn finish(unit: &mut DrainUnit, mut bench: Bench, rng: &mut Rng) -> Bench {
    let mut idle = 0;
    while !bench.done() {
        let before = bench.write_cycles.len() + bench.drained;
        bench.step(unit, rng);
        cycle(unit, |u| &mut u.clock);
        idle = if bench.write_cycles.len() + bench.drained == before {
            idle + 1
        } else {
            0
        };
        assert!(idle < 5_000, "the unit hangs");
    }
    bench
}

fn random_program(config: &AccelConfig, limits: Limits, eagerness: Eagerness, seed: u64) -> Bench {
    let mut rng = Rng::new(seed);
    let program = Program::random(config, limits, &mut rng);
    run(config, program, eagerness, seed)
}

#[test]
fn random_commands_write_what_the_model_says() {
    let eager = [
        Eagerness::FULL,
        Eagerness {
            commands: 100,
            parameters: 30,
            groups: 100,
        },
        Eagerness {
            commands: 5,
            parameters: 100,
            groups: 100,
        },
        Eagerness {
            commands: 60,
            parameters: 60,
            groups: 8,
        },
    ];
    let (mut compared, mut varied) = ([0; DESTINATIONS], 0);
    for (seed, eagerness) in eager.into_iter().enumerate() {
        let limits = Limits {
            commands: 150,
            most_tokens: if seed == 0 { 8 } else { 64 },
            most_tiles: 6,
        };
        let bench = random_program(&config("nano"), limits, eagerness, seed as u64);
        assert_eq!(bench.drained, 150);
        compared
            .iter_mut()
            .zip(bench.compared)
            .for_each(|(all, n)| *all += n);
        varied += bench.varied;
    }
    let all: usize = compared.iter().sum();
    assert!(2 * varied > all, "{varied} of {all} writes are not degenerate");
    assert!(
        compared.iter().all(|&tokens| tokens > 1_250),
        "results / C: {compared:?}"
    );
}

#[test]
fn the_large_configuration_writes_what_the_model_says() {
    let limits = Limits {
        commands: 40,
        most_tokens: 130,
        most_tiles: 20,
    };
    let bench = random_program(&config("zcu104"), limits, Eagerness::FULL, 9);
    assert!(bench.compared.iter().sum::<usize>() > 10_000);
}

/// `n_tiles` times 16 rows to every destination in turn, all of it ready early.
fn steady_program(config: &AccelConfig, rng: &mut Rng) -> Program {
    let mut program = Program::surroundings(config, rng);
    for dst in [0, 1, 3, 4, 0] {
        let m = MatMul {
            n_tiles: 4,
            tokens: 16,
            dst,
            dst_stride: 16,
            shift: 16,
            ..Default::default()
        };
        program.matmul(m, Stage::default(), 12, rng);
    }
    program
}

#[test]
fn groups_and_commands_follow_each_other_without_a_gap() {
    let nano = config("nano");
    let program = steady_program(&nano, &mut Rng::new(1));
    let bench = run(&nano, program, Eagerness::FULL, 1);
    let first = bench.write_cycles[0];
    let steady: Vec<usize> = (first..first + 5 * 4 * 16).collect();
    assert_eq!(bench.write_cycles, steady);
}

#[test]
fn a_command_is_drained_a_fixed_time_after_its_last_slot() {
    let nano = config("nano");
    let program = steady_program(&nano, &mut Rng::new(2));
    let bench = run(&nano, program, Eagerness::FULL, 2);
    let last_writes = bench
        .write_cycles
        .chunks(4 * 16)
        .map(|command| command[4 * 16 - 1]);
    let want: Vec<usize> = last_writes
        .map(|cycle| cycle - SLOT_CYCLES + DRAINED_CYCLES)
        .collect();
    assert_eq!(bench.drained_cycles, want);
}

#[test]
fn reset_forgets_a_half_drained_command() {
    let nano = config("nano");
    let mut rng = Rng::new(3);
    let mut unit = DrainUnit::new(&nano);
    unit.connect_all();
    let program = steady_program(&nano, &mut rng);
    let mut bench = Bench::new(&nano, program, Eagerness::FULL);
    for _ in 0..150 {
        bench.step(&mut unit, &mut rng);
        cycle(&mut unit, |u| &mut u.clock);
    }
    assert!(bench.write_cycles.len() > 64);
    unit.reset.next = true;
    unit.command_valid.next = false;
    unit.parameter_valid.next = false;
    unit.group_filled.next = false;
    cycle(&mut unit, |u| &mut u.clock);
    unit.reset.next = false;
    let second = Program::random(
        &nano,
        Limits {
            commands: 30,
            most_tokens: 20,
            most_tiles: 3,
        },
        &mut rng,
    );
    assert!(finish(&mut unit, Bench::new(&nano, second, Eagerness::FULL), &mut rng).drained == 30);
}

/// Prints simulation speed; run with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a check"]
fn speed() {
    for name in AccelConfig::names() {
        let mut unit = DrainUnit::new(&config(name));
        unit.connect_all();
        let start = std::time::Instant::now();
        let cycles = 20_000;
        for i in 0..cycles {
            unit.sum_0[0].next = u64::from(i as u32).into();
            cycle(&mut unit, |u| &mut u.clock);
        }
        println!(
            "{name} idle: {:.0} cycles/s",
            f64::from(cycles) / start.elapsed().as_secs_f64()
        );
        let config = config(name);
        let limits = Limits {
            commands: 40,
            most_tokens: 64,
            most_tiles: 6,
        };
        let mut rng = Rng::new(1);
        let program = Program::random(&config, limits, &mut rng);
        let start = std::time::Instant::now();
        let bench = run(&config, program, Eagerness::FULL, 1);
        let cycles = bench.cycle();
        println!(
            "{name} busy: {:.0} cycles/s of {cycles}, {} results",
            cycles as f64 / start.elapsed().as_secs_f64(),
            bench.write_cycles.len()
        );
    }
}

#[test]
fn verilog_agrees() {
    let nano = config("nano");
    let limits = Limits {
        commands: 220,
        most_tokens: 64,
        most_tiles: 6,
    };
    let eager = [90, 100, 20, 60];
    let mut bench = None;
    let report = Lockstep::new(
        "DrainUnit",
        || DrainUnit::new(&nano),
        |u, level| u.clock.next = level.into(),
    )
    .run(0..4, 25_000, |unit, rng, cycle| {
        if cycle == 0 {
            let percent = eager[rng.below(4) as usize];
            let eagerness = Eagerness {
                commands: percent,
                parameters: percent,
                groups: percent,
            };
            bench = Some(Bench::new(&nano, Program::random(&nano, limits, rng), eagerness));
        }
        let bench = bench.as_mut().expect("made in cycle 0");
        bench.step(unit, rng);
        assert!(cycle < 24_999 || bench.write_cycles.len() > 10_000);
    })
    .unwrap();
    assert!(report.cycles >= 100_000 && report.comparisons >= 10_000_000);
}
