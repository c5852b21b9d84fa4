//! What the blocks' tests share: a clock cycle and a small random generator.

use rust_hdl::prelude::*;

/// One clock cycle: settles the inputs, raises the clock, lowers it.
pub fn cycle<B: Block>(block: &mut B, clock: fn(&mut B) -> &mut Signal<In, Clock>) {
    settle(block);
    clock(block).next = true.into();
    settle(block);
    clock(block).next = false.into();
    settle(block);
}

/// Lets every signal reach its value.
pub fn settle<B: Block>(block: &mut B) {
    crate::cosim::settle(block).unwrap();
}

/// SplitMix64: small, seeded, good enough for stimulus.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
