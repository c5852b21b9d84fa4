//! The norm blocks in Rust beside their exported Verilog.

use super::element_lanes::ElementLanes;
use super::layer_norm::NormUnit;
use super::row_scale::{self, RowScale};
use super::row_statistics::RowStatistics;
use crate::config::AccelConfig;
use crate::control::command::{Command, Norm, Operation, Wait, ALL_TASKS};
use crate::cosim::{Lockstep, Rng};

const CYCLES: u64 = 50_000;

#[test]
fn row_statistics() {
    let mut left = 0;
    let report = Lockstep::new(
        "RowStatistics",
        || RowStatistics::new(8),
        |u, level| u.clock.next = level.into(),
    )
    .run(0..2, CYCLES, |u, rng, _| {
        u.reset.next = rng.chance(1);
        u.valid.next = rng.chance(80);
        u.first.next = left == 0 || u.reset.next;
        if u.first.next {
            left = 1 + rng.below(9);
        }
        u.last.next = left == 1;
        left -= u64::from(u.valid.next);
        for lane in u.lanes.iter_mut() {
            lane.next = rng.corner_bits(16).into();
        }
    })
    .unwrap();
    assert!(report.cycles == 2 * CYCLES);
}

#[test]
fn row_scale() {
    let report = Lockstep::new("RowScale", RowScale::default, |u, level| {
        u.clock.next = level.into()
    })
    .run(0..2, CYCLES, |u, rng, cycle| {
        // The settings change only when no row is inside.
        let phase = cycle as usize % (4 * row_scale::LATENCY_CYCLES);
        u.reset.next = rng.chance(1);
        u.valid.next = phase < 3 * row_scale::LATENCY_CYCLES && rng.chance(70);
        u.sum.next = rng.corner_bits(30).into();
        u.squares_low.next = rng.corner_bits(32).into();
        let bits = 1 + rng.below(12) as usize;
        u.squares_high.next = rng.corner_bits(bits).into();
        if phase == 0 {
            u.width.next = rng.corner_bits(12).into();
            u.inverse_width.next = rng.corner_bits(32).into();
            u.epsilon.next = rng.corner_bits(32).into();
            u.mantissa.next = rng.corner_bits(16).into();
            u.norm_shift.next = rng.corner_bits(6).into();
        }
    })
    .unwrap();
    assert!(report.cycles == 2 * CYCLES);
}

#[test]
fn element_lanes() {
    let report = Lockstep::new(
        "ElementLanes",
        || ElementLanes::new(8),
        |u, level| u.clock.next = level.into(),
    )
    .run(0..2, CYCLES, |u, rng, _| {
        u.reset.next = rng.chance(1);
        u.valid.next = rng.chance(80);
        u.mean.next = rng.corner_bits(27).into();
        u.factor.next = rng.corner_bits(17).into();
        u.shift.next = rng.corner_bits(6).into();
        u.wide.next = rng.chance(50);
        u.low.next = rng.chance(50);
        for lane in u.lanes.iter_mut() {
            lane.next = rng.corner_bits(16).into();
        }
    })
    .unwrap();
    assert!(report.cycles == 2 * CYCLES);
}

fn command(rng: &mut Rng) -> [u32; 8] {
    let row_words = rng.below(12) as u32;
    let norm = Norm {
        src_base: rng.below(500) as u32,
        dst_base: rng.bits(16) as u32,
        tokens: rng.below(12) as u32,
        row_words,
        wide: rng.bits(1) as u32,
        dst_stride: rng.bits(8) as u32,
        width: 8 * row_words,
        shift: 14 + rng.below(16) as u32,
        inverse_width: ((1u64 << 32) / u64::from(8 * row_words.max(1))) as u32,
        epsilon: rng.corner_bits(32) as u32,
        mantissa: 32_768 + rng.bits(15) as u32,
    };
    let command = Command {
        tasks: ALL_TASKS,
        wait: Wait::NONE,
        operation: Operation::Norm(norm),
    };
    command.encode().unwrap()
}

#[test]
fn norm_unit() {
    let config = AccelConfig::named("nano").unwrap();
    let mut commands = 0;
    let mut writes = 0;
    let report = Lockstep::new(
        "NormUnit",
        || NormUnit::new(&config),
        |u, level| u.clock.next = level.into(),
    )
    .run(0..2, CYCLES, |u, rng, cycle| {
        let stall = [0, 10, 40, 90][cycle as usize / 1_000 % 4];
        u.reset.next = cycle < 2 || rng.below(5_000) == 0;
        u.command_valid.next = rng.chance(50);
        for (port, word) in u.command.iter_mut().zip(command(rng)) {
            port.next = u64::from(word).into();
        }
        commands += u64::from(u.command_valid.next && u.command_ready.val());
        u.read_ready.next = !rng.chance(stall);
        u.write_ready.next = !rng.chance(stall);
        writes += u64::from(u.write_ready.next && u.write_valid.iter().any(|v| v.val()));
        let bits = 3 + cycle as usize / 500 % 14;
        for lane in u.read_data.iter_mut() {
            lane.next = rng.corner_bits(bits).into();
        }
    })
    .unwrap();
    assert!(
        report.cycles == 2 * CYCLES && commands > 300 && writes > 20_000,
        "{commands} {writes}"
    );
}
