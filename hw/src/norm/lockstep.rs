//! The norm blocks in Rust beside their exported Verilog.

use super::element_lanes::ElementLanes;
use super::layer_norm::NormUnit;
use super::row_scale::{self, RowScale};
use super::row_statistics::RowStatistics;
use crate::config::AccelConfig;
use crate::control::command::{Command, Norm, Operation, Wait, ALL_TASKS};
use crate::cosim::{Lockstep, Rng};
use crate::primitives::leaf::RowStimulus;

const CYCLES: u64 = 50_000;

#[test]
fn row_statistics() {
    for columns in [4, 32] {
        let mut rows = RowStimulus::default();
        let report = Lockstep::new(
            "RowStatistics",
            || RowStatistics::new(columns),
            |u, level| u.clock.next = level.into(),
        )
        .run(0..1, CYCLES, |u, rng, _| {
            (u.reset.next, u.valid.next, u.first.next, u.last.next) = rows.flags(rng);
            for lane in u.lanes.iter_mut() {
                lane.next = rng.corner_bits(16).into();
            }
        })
        .unwrap();
        assert_eq!(report.cycles, CYCLES);
    }
}

#[test]
fn row_scale() {
    let report = Lockstep::new("RowScale", RowScale::new, |u, level| u.clock.next = level.into())
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

fn command(rng: &mut Rng, columns: u32) -> [u32; 8] {
    let row_words = rng.below(12) as u32;
    let norm = Norm {
        src_base: rng.below(500) as u32,
        dst_base: rng.bits(16) as u32,
        tokens: rng.below(12) as u32,
        row_words,
        wide: rng.bits(1) as u32,
        dst_stride: rng.bits(8) as u32,
        width: columns * row_words,
        shift: 14 + rng.below(16) as u32,
        inverse_width: ((1u64 << 32) / u64::from(columns * row_words.max(1))) as u32,
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

/// Inputs of a cycle; counts accepted commands and taken writes.
fn drive(u: &mut NormUnit, rng: &mut Rng, cycle: u64, counts: &mut (u64, u64)) {
    let stall = [0, 10, 40, 90][cycle as usize / 1_000 % 4];
    u.reset.next = cycle < 2 || rng.below(5_000) == 0;
    u.command_valid.next = rng.chance(50);
    let words = command(rng, u.read_data.len() as u32);
    for (port, word) in u.command.iter_mut().zip(words) {
        port.next = u64::from(word).into();
    }
    counts.0 += u64::from(u.command_valid.next && u.command_ready.val());
    u.read_ready.next = !rng.chance(stall);
    u.write_ready.next = !rng.chance(stall);
    counts.1 += u64::from(u.write_ready.next && u.write_valid.iter().any(|v| v.val()));
    let bits = 3 + cycle as usize / 500 % 14;
    for lane in u.read_data.iter_mut() {
        lane.next = rng.corner_bits(bits).into();
    }
}

#[test]
fn norm_unit() {
    for (name, seeds) in [("nano", 2), ("zcu104", 1)] {
        let config = AccelConfig::named(name).unwrap();
        let mut counts = (0, 0);
        let report = Lockstep::new(
            "NormUnit",
            || NormUnit::new(&config),
            |u, level| u.clock.next = level.into(),
        )
        .run(0..seeds, CYCLES, |u, rng, cycle| {
            drive(u, rng, cycle, &mut counts)
        })
        .unwrap();
        assert_eq!(report.cycles, seeds * CYCLES);
        assert!(
            counts.0 > 150 * seeds && counts.1 > 10_000 * seeds,
            "{name}: {counts:?}"
        );
    }
}
