//! Every block in Rust beside its own exported Verilog, with random inputs: each output, twice a cycle, and how often it changed.
//!
//! Some blocks have their run beside their other tests in `hw/src`; `coverage` fails when a block has none anywhere.

mod array;
mod bus;
mod control;
mod coverage;
mod memory;
mod moe;
mod primitives;
// The runs here use a part of it; the bus has more tests in `hw/src`.
#[allow(dead_code)]
#[path = "../../src/bus/test_slave.rs"]
mod test_slave;

use moevit_hw::circuit::Inputs;
use moevit_hw::config::AccelConfig;
use moevit_hw::cosim::{Lockstep, Rng, Rule};
use rust_hdl::prelude::Block;

/// Cycles of a run, in two seeds together.
const CYCLES: u64 = 100_000;
/// An output that changes less often has not been compared.
const LEAST_CHANGES: u64 = 40;

fn nano() -> AccelConfig {
    AccelConfig::named("nano").unwrap()
}

/// Runs a circuit with random inputs beside its exported Verilog; `constant` names exactly the outputs that hardly change.
fn lock_step<U: Block + Inputs>(name: &str, build: impl Fn() -> U, rules: &[Rule], constant: &[&str]) {
    lock_step_with(Lockstep::of(name, build), rules, constant, |_, _, _| ());
}

/// As [`lock_step`]; `then` may set inputs anew in each cycle.
fn lock_step_with<U: Block + Inputs, B: Fn() -> U>(
    lockstep: Lockstep<U, B, fn(&mut U, bool)>,
    rules: &[Rule],
    constant: &[&str],
    then: impl FnMut(&mut U, &mut Rng, u64),
) {
    let started = std::time::Instant::now();
    let report = lockstep
        .run_random(0..2, CYCLES / 2, rules, then)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.cycles, CYCLES);
    assert_eq!(report.idle(LEAST_CHANGES), constant, "{:?}", report.changes);
    println!(
        "{} cycles, {} outputs compared, {:.1?}",
        report.cycles,
        report.comparisons,
        started.elapsed()
    );
}
