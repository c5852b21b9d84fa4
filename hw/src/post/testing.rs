//! What the tests of this folder share.

use rust_hdl::prelude::*;

/// Lets a circuit come to rest after a change of its inputs.
pub fn settle(circuit: &mut impl Block) {
    for _ in 0..100 {
        circuit.update_all();
        if !circuit.has_changed() {
            return;
        }
    }
    panic!("the circuit does not come to rest");
}

/// A small reproducible random source (xorshift*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn word(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (u64::from(self.word()) * limit as u64 >> 32) as usize
    }

    pub fn flip(&mut self) -> bool {
        self.word() >> 31 == 1
    }
}
