//! The attention blocks in Rust beside their exported Verilog.

use super::exp_lanes::ExpLanes;
use super::reciprocal::Reciprocal;
use super::row_maximum::RowMaximum;
use super::row_sum::RowSum;
use super::softmax::SoftmaxUnit;
use super::stationary_memory::StationaryMemory;
use crate::config::AccelConfig;
use crate::control::command::{Command, Operation, Softmax, Wait, ALL_TASKS};
use crate::cosim::{Lockstep, Rng};
use crate::primitives::leaf::RowStimulus;

const CYCLES: u64 = 50_000;

#[test]
fn row_maximum() {
    for columns in [4, 32] {
        let mut rows = RowStimulus::default();
        let report = Lockstep::new(
            "RowMaximum",
            || RowMaximum::new(columns),
            |u, level| u.clock.next = level.into(),
        )
        .run(0..1, CYCLES, |u, rng, _| {
            (u.reset.next, u.valid.next, u.first.next, u.last.next) = rows.flags(rng);
            u.last_lanes.next = (1 + rng.below(columns as u64)).into();
            for lane in u.lanes.iter_mut() {
                lane.next = rng.corner_bits(16).into();
            }
        })
        .unwrap();
        assert_eq!(report.cycles, CYCLES);
    }
}

#[test]
fn row_sum() {
    for columns in [4, 32] {
        let mut rows = RowStimulus::default();
        let report = Lockstep::new(
            "RowSum",
            || RowSum::new(columns),
            |u, level| u.clock.next = level.into(),
        )
        .run(0..1, CYCLES, |u, rng, _| {
            (u.reset.next, u.valid.next, u.first.next, u.last.next) = rows.flags(rng);
            for lane in u.lanes.iter_mut() {
                lane.next = rng.corner_bits(8).into();
            }
        })
        .unwrap();
        assert_eq!(report.cycles, CYCLES);
    }
}

#[test]
fn exp_lanes() {
    let report = Lockstep::new(
        "ExpLanes",
        || ExpLanes::new(8),
        |u, level| u.clock.next = level.into(),
    )
    .run(0..2, CYCLES, |u, rng, _| {
        u.reset.next = rng.chance(1);
        u.valid.next = rng.chance(80);
        let maximum = rng.corner_bits(16);
        u.maximum.next = maximum.into();
        u.lane_count.next = rng.below(9).into();
        for lane in u.lanes.iter_mut() {
            let distance = rng.corner_bits(12);
            lane.next = (maximum.wrapping_sub(distance) & 0xffff).into();
        }
    })
    .unwrap();
    assert!(report.cycles == 2 * CYCLES);
}

#[test]
fn reciprocal() {
    let report = Lockstep::new("Reciprocal", Reciprocal::new, |u, level| {
        u.clock.next = level.into()
    })
    .run(0..2, CYCLES, |u, rng, _| {
        u.reset.next = rng.chance(1);
        u.valid.next = rng.chance(80);
        let bits = 1 + rng.below(24) as usize;
        u.x.next = rng.corner_bits(bits).into();
    })
    .unwrap();
    assert!(report.cycles == 2 * CYCLES);
}

#[test]
fn stationary_memory() {
    let mut config = AccelConfig::named("nano").unwrap();
    config.stationary_words = 300;
    let report = Lockstep::new(
        "StationaryMemory",
        || StationaryMemory::new(&config),
        |u, level| u.clock.next = level.into(),
    )
    .run(0..2, CYCLES, |u, rng, _| {
        // Few addresses, so that reads meet what was written.
        u.write_enable.next = rng.chance(60);
        u.write_address.next = (280 + rng.below(24)).into();
        u.write_rotate.next = rng.bits(6).into();
        u.read_base.next = (if rng.chance(90) {
            230 + rng.below(72)
        } else {
            rng.bits(16)
        })
        .into();
        u.read_stride.next = (if rng.chance(90) {
            rng.below(12)
        } else {
            rng.bits(8)
        })
        .into();
        u.read_rotate.next = rng.bits(6).into();
        u.read_by_keys.next = rng.chance(50);
        for lane in u.write_data.iter_mut() {
            lane.next = rng.bits(8).into();
        }
    })
    .unwrap();
    assert!(report.cycles == 2 * CYCLES);
}

fn command(rng: &mut Rng) -> [u32; 8] {
    let softmax = Softmax {
        src_base: rng.below(500) as u32,
        dst_base: rng.bits(16) as u32,
        queries: rng.below(12) as u32,
        keys: rng.below(100) as u32,
        src_stride: rng.bits(10) as u32,
        dst_stride: rng.bits(8) as u32,
        sum_bank: rng.bits(1) as u32,
    };
    let command = Command {
        tasks: ALL_TASKS,
        wait: Wait::NONE,
        operation: Operation::Softmax(softmax),
    };
    command.encode().unwrap()
}

/// Inputs of a cycle; counts accepted commands and taken writes.
fn drive(u: &mut SoftmaxUnit, rng: &mut Rng, cycle: u64, counts: &mut (u64, u64)) {
    let stall = [0, 10, 40, 90][cycle as usize / 1_000 % 4];
    u.reset.next = cycle < 2 || rng.below(5_000) == 0;
    u.command_valid.next = rng.chance(50);
    for (port, word) in u.command.iter_mut().zip(command(rng)) {
        port.next = u64::from(word).into();
    }
    counts.0 += u64::from(u.command_valid.next && u.command_ready.val());
    u.write_ready.next = !rng.chance(stall);
    counts.1 += u64::from(u.write_ready.next && u.write_valid.iter().any(|v| v.val()));
    u.factor_bank.next = rng.chance(50);
    u.factor_row.next = rng.below(14).into();
    let bits = 3 + cycle as usize / 500 % 14;
    for lane in u.read_data.iter_mut() {
        lane.next = rng.corner_bits(bits).into();
    }
}

#[test]
fn softmax_unit() {
    for (name, seeds) in [("nano", 2), ("zcu104", 1)] {
        let config = AccelConfig::named(name).unwrap();
        let mut counts = (0, 0);
        let report = Lockstep::new(
            "SoftmaxUnit",
            || SoftmaxUnit::new(&config),
            |u, level| u.clock.next = level.into(),
        )
        .run(0..seeds, CYCLES, |u, rng, cycle| {
            drive(u, rng, cycle, &mut counts)
        })
        .unwrap();
        assert_eq!(report.cycles, seeds * CYCLES);
        assert!(
            counts.0 > 150 * seeds && counts.1 > 6_000 * seeds,
            "{name}: {counts:?}"
        );
    }
}
