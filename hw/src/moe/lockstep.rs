//! The router's blocks in Rust beside their exported Verilog.

use super::gate_weight::GateWeight;
use super::logit_store::LogitStore;
use super::queues::ExpertQueues;
use super::router::RouterUnit;
use super::score::GateScore;
use super::top_k::TopK;
use crate::config::AccelConfig;
use crate::control::command::{Command, Operation, Route, Wait, ALL_TASKS};
use crate::cosim::{Lockstep, Rng};

const CYCLES: u64 = 50_000;

fn config(columns: usize, experts: usize, tokens: usize) -> AccelConfig {
    let mut config = AccelConfig::named("nano").unwrap();
    (config.columns, config.max_experts, config.max_tokens) = (columns, experts, tokens);
    config
}

#[test]
fn top_k() {
    let report = Lockstep::new("TopK", TopK::new, |u, level| u.clock.next = level.into())
        .run(0..2, CYCLES, |u, rng, cycle| {
            u.reset.next = rng.chance(1);
            u.valid.next = rng.chance(80);
            u.first.next = rng.chance(20);
            u.last.next = rng.chance(20);
            u.second.next = rng.chance(80);
            u.pair.next = rng.bits(4).into();
            // Few different values make ties.
            let bits = if cycle / 100 % 2 == 0 { 24 } else { 2 };
            for logit in u.logits.iter_mut() {
                logit.next = rng.corner_bits(bits).into();
            }
        })
        .unwrap();
    assert!(report.cycles == 2 * CYCLES);
}

#[test]
fn gate_weight() {
    let report = Lockstep::new("GateWeight", GateWeight::new, |u, level| {
        u.clock.next = level.into()
    })
    .run(0..2, CYCLES, |u, rng, _| {
        u.reset.next = rng.chance(1);
        u.valid.next = rng.chance(80);
        let (maximum, bits) = (rng.corner_bits(24), 1 + rng.below(24) as usize);
        u.maximum.next = maximum.into();
        u.logit.next = (maximum.wrapping_sub(rng.corner_bits(bits)) & 0xff_ffff).into();
    })
    .unwrap();
    assert!(report.cycles == 2 * CYCLES);
}

#[test]
fn gate_score() {
    let report = Lockstep::new("GateScore", GateScore::new, |u, level| {
        u.clock.next = level.into()
    })
    .run(0..2, CYCLES, |u, rng, _| {
        u.reset.next = rng.chance(1);
        u.valid.next = rng.chance(80);
        u.weight.next = rng.corner_bits(16).into();
        u.mantissa.next = rng.corner_bits(16).into();
        u.exponent.next = rng.corner_bits(5).into();
    })
    .unwrap();
    assert!(report.cycles == 2 * CYCLES);
}

#[test]
fn logit_store() {
    for (columns, experts, tokens) in [(8, 16, 20), (16, 3, 13), (8, 1, 20)] {
        let config = config(columns, experts, tokens);
        let report = Lockstep::new(
            "LogitStore",
            || LogitStore::new(&config),
            |u, level| u.clock.next = level.into(),
        )
        .run(0..1, CYCLES, |u, rng, _| {
            u.write_enable.next = rng.chance(50);
            u.write_token.next = rng.below(24).into();
            u.write_tile.next = rng.below(3).into();
            u.read_token.next = rng.below(24).into();
            u.read_pair.next = rng.bits(4).into();
            for lane in u.write_data.iter_mut() {
                lane.next = rng.corner_bits(24).into();
            }
        })
        .unwrap();
        assert!(report.cycles == CYCLES);
    }
}

#[test]
fn expert_queues() {
    for (experts, tokens) in [(16, 64), (5, 24)] {
        let config = config(8, experts, tokens);
        let report = Lockstep::new(
            "ExpertQueues",
            || ExpertQueues::new(&config),
            |u, level| u.clock.next = level.into(),
        )
        .run(0..1, CYCLES, |u, rng, _| {
            u.clear.next = rng.below(300) == 0;
            u.append.next = rng.chance(60);
            u.append_expert.next = rng.bits(5).into();
            u.append_token.next = rng.bits(11).into();
            u.append_score.next = rng.corner_bits(16).into();
            u.pair_expert.next = rng.bits(5).into();
            u.pair.next = rng.below(6).into();
            u.entry_expert.next = rng.bits(5).into();
            u.entry_position.next = rng.below(12).into();
            u.count_expert.next = rng.bits(5).into();
        })
        .unwrap();
        assert!(report.cycles == CYCLES);
    }
}

fn command(rng: &mut Rng) -> [u32; 8] {
    let tokens = rng.below(20);
    let route = Route {
        tokens: tokens as u32,
        experts: rng.bits(6) as u32 >> rng.below(6),
        top_k: rng.bits(3) as u32,
        renormalise: rng.bits(1) as u32,
        more: rng.bits(1) as u32,
        first: rng.below(tokens.max(1)) as u32 & !1,
    };
    let command = Command {
        tasks: ALL_TASKS,
        wait: Wait::NONE,
        operation: Operation::Route(route),
    };
    command.encode().unwrap()
}

/// Inputs of a cycle; returns whether a command was accepted.
fn drive(u: &mut RouterUnit, rng: &mut Rng, cycle: u64) -> bool {
    u.reset.next = cycle < 2 || rng.below(5_000) == 0;
    u.command_valid.next = rng.chance(20);
    for (port, word) in u.command.iter_mut().zip(command(rng)) {
        port.next = u64::from(word).into();
    }
    u.logit_write.next = rng.chance(30);
    u.logit_token.next = rng.below(22).into();
    u.logit_tile.next = rng.below(3).into();
    let bits = [3, 10, 17, 20, 24][cycle as usize / 1_000 % 5];
    for lane in u.logit_data.iter_mut() {
        lane.next = rng.corner_bits(bits).into();
    }
    u.feed_lookup_expert.next = rng.bits(5).into();
    u.feed_lookup_pair.next = rng.below(8).into();
    u.drain_lookup_expert.next = rng.bits(5).into();
    u.drain_lookup_position.next = rng.below(16).into();
    u.count_expert.next = rng.bits(5).into();
    u.command_valid.next && u.command_ready.val()
}

#[test]
fn router_unit() {
    for (name, seeds) in [("nano", 2), ("zcu104", 1)] {
        let config = AccelConfig::named(name).unwrap();
        let mut commands = 0;
        let report = Lockstep::new(
            "RouterUnit",
            || RouterUnit::new(&config),
            |u, level| u.clock.next = level.into(),
        )
        .run(0..seeds, CYCLES, |u, rng, cycle| {
            commands += u64::from(drive(u, rng, cycle))
        })
        .unwrap();
        assert_eq!(report.cycles, seeds * CYCLES);
        assert!(commands > 100 * seeds, "{name}: {commands}");
    }
}
