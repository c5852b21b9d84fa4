//! The cells of this folder in Rust beside their exported Verilog.

use crate::lock_step;
use moevit_hw::cosim::Rule;
use moevit_hw::primitives::delay::Delay;
use moevit_hw::primitives::ram::{Ram, RamStyle};

#[test]
fn ram() {
    // Few addresses, some of them beyond the depth.
    let rules: [Rule; 2] = [
        ("write_address", |rng| rng.below(28)),
        ("read_address", |rng| rng.below(28)),
    ];
    for (style, groups) in [(RamStyle::Block, 1), (RamStyle::Ultra, 2)] {
        lock_step("TestRam", || Ram::<8>::new(4, groups, 24, style), &rules, &[]);
    }
}

#[test]
fn delay() {
    for cycles in [1, 4] {
        lock_step("Delay", || Delay::<5>::new(cycles), &[], &[]);
    }
}
