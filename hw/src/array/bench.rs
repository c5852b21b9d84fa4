//! What the tests of this folder share: a clock and reproducible random numbers.

use rust_hdl::prelude::*;

/// Lets every signal settle.
pub(crate) fn settle<B: Block>(block: &mut B) {
    let mut passes = 0;
    while {
        block.update_all();
        block.has_changed()
    } {
        passes += 1;
        assert!(passes < 1_000, "the circuit oscillates");
    }
}

/// One clock cycle: inputs settle while the clock is low, then the rising edge.
macro_rules! tick {
    ($block:expr) => {
        for level in [false, true] {
            $block.clock.next = level.into();
            $crate::array::bench::settle(&mut $block);
        }
    };
}
pub(crate) use tick;

/// xorshift64*, so that a failing test fails again.
pub(crate) struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// A two's complement number of `bits` bits.
    pub fn signed(&mut self, bits: u32) -> i64 {
        (self.next() << (64 - bits)) as i64 >> (64 - bits)
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}
