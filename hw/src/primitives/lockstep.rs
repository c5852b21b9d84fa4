//! The cells of this folder in Rust beside their exported Verilog.

use crate::cosim::Rule;
use crate::primitives::delay::Delay;
use crate::primitives::ram::{Ram, RamStyle};
use crate::testbench::lock_step;

#[test]
fn ram() {
    // Few addresses, some of them beyond the depth.
    let rules: [Rule; 2] = [
        ("write_address", |rng| rng.below(28)),
        ("read_address", |rng| rng.below(28)),
    ];
    for (style, groups) in [(RamStyle::Block, 1), (RamStyle::Ultra, 2)] {
        lock_step(
            "TestRam",
            || Ram::<8>::new("TestRam", 4, groups, 24, style),
            &rules,
            &[],
        );
    }
}

#[test]
fn delay() {
    for cycles in [1, 4] {
        lock_step("Delay", || Delay::<5>::new(cycles), &[], &[]);
    }
}
