//! The router's parts; its other blocks have their runs beside them.

use crate::{lock_step_with, nano};
use moevit_hw::config::AccelConfig;
use moevit_hw::cosim::{Lockstep, Rule};
use moevit_hw::moe::choose::Choose;
use moevit_hw::moe::rate::Rate;
use moevit_hw::moe::weigh::Weigh;

/// Settings that stay for a while, as a Route command's do.
fn route(cycle: u64) -> (u64, u64) {
    let phase = cycle / 1_500;
    (3 + phase % 14, 1 + phase % 4)
}

#[test]
fn choose() {
    let config = AccelConfig {
        columns: 8,
        max_experts: 16,
        max_tokens: 20,
        ..nano()
    };
    let rules: [Rule; 4] = [
        ("start", |rng| u64::from(rng.chance(1))),
        ("tokens", |_| 5),
        ("logit_token", |rng| rng.below(8)),
        ("logit_tile", |rng| rng.below(2)),
    ];
    lock_step_with(
        Lockstep::of("Choose", || Choose::new(&config)),
        &rules,
        &[],
        |u, _, cycle| {
            let (experts, _) = route(cycle);
            u.pairs.next = experts.div_ceil(2).into();
            u.full_pairs.next = (experts / 2).into();
            u.slot_last.next = experts.max(7).into();
        },
    );
}

#[test]
fn weigh() {
    let rules: [Rule; 3] = [
        ("start", |rng| u64::from(rng.below(200) == 0)),
        ("ranked", |rng| u64::from(rng.chance(5))),
        ("chosen", |rng| rng.below(16)),
    ];
    lock_step_with(Lockstep::of("Weigh", Weigh::new), &rules, &[], |u, _, cycle| {
        let (experts, ranks) = route(cycle);
        u.pairs.next = experts.div_ceil(2).into();
        u.full_pairs.next = (experts / 2).into();
        u.ranks.next = ranks.into();
    });
}

#[test]
fn rate() {
    let rules: [Rule; 3] = [
        ("start", |rng| u64::from(rng.below(200) == 0)),
        ("tokens", |_| 5),
        ("summed", |rng| u64::from(rng.chance(7))),
    ];
    lock_step_with(Lockstep::of("Rate", Rate::new), &rules, &[], |u, _, cycle| {
        u.ranks.next = route(cycle).1.into()
    });
}
