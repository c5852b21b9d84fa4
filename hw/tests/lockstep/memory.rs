//! The blocks of this folder in Rust beside their exported Verilog; `row_buffer` and `write_stream` have their runs in their files.

use crate::{lock_step, lock_step_with, nano};
use moevit_hw::config::AccelConfig;
use moevit_hw::cosim::{Lockstep, Rng, Rule};
use moevit_hw::memory::activation::ActivationMemory;
use moevit_hw::memory::lanes::Lanes;
use moevit_hw::memory::queue::Queue;
use moevit_hw::memory::residual::ResidualMemory;
use moevit_hw::memory::weight_buffer::WeightBuffer;

/// Few addresses, so that reads meet what was written; the last ones are beyond the memories below.
const ADDRESS: fn(&mut Rng) -> u64 = |rng| rng.below(28);
const WORDS: usize = 24;

#[test]
fn queue() {
    for (lanes, gather, spread, depth) in [(3, 1, 1, 5), (2, 2, 1, 4), (4, 1, 2, 2), (2, 3, 2, 3)] {
        let build = || Queue::<8>::resizing(lanes, gather, spread, depth);
        lock_step("TestQueue", build, &[], &[]);
    }
}

#[test]
fn lanes() {
    lock_step("Split", || Lanes::<32, 8>::new(3), &[], &[]);
    lock_step("Join", || Lanes::<16, 32>::new(6), &[], &[]);
}

#[test]
fn weight_buffer() {
    let config = AccelConfig {
        weight_words: WORDS,
        ..nano()
    };
    let mut credits = 0;
    lock_step_with(
        Lockstep::of("WeightBuffer", || WeightBuffer::new(&config)),
        &[],
        &[],
        |u, _, _| {
            credits += usize::from(u.consumed.val());
            if u.reset.next {
                credits = WORDS;
            }
            u.write_valid.next &= credits > 0 && !u.reset.next;
            credits -= usize::from(u.write_valid.next);
        },
    );
}

#[test]
fn residual_memory() {
    let config = AccelConfig {
        residual_words: WORDS,
        ..nano()
    };
    let rules: [Rule; 5] = [
        ("drain_read_address", ADDRESS),
        ("norm_address", ADDRESS),
        ("write_back_address", ADDRESS),
        ("drain_address", ADDRESS),
        ("copy_address", ADDRESS),
    ];
    lock_step("ResidualMemory", || ResidualMemory::new(&config), &rules, &[]);
}

#[test]
fn activation_memory() {
    let config = AccelConfig {
        activation_words: WORDS,
        ..nano()
    };
    let rules: [Rule; 6] = [
        ("drain_address", ADDRESS),
        ("softmax_address", ADDRESS),
        ("norm_address", ADDRESS),
        ("copy_address", ADDRESS),
        ("read_address_0", ADDRESS),
        ("read_address_1", ADDRESS),
    ];
    lock_step("ActivationMemory", || ActivationMemory::new(&config), &rules, &[]);
}
