//! Clocks a circuit in process: no threads, one delta loop for each clock level.

use rust_hdl::prelude::*;

/// Delta passes after which a circuit counts as a combinational loop.
const PASS_LIMIT: usize = 1_000;

/// Updates a circuit until nothing changes.
pub fn settle<B: Block>(circuit: &mut B) {
    for _ in 0..PASS_LIMIT {
        circuit.update_all();
        if !circuit.has_changed() {
            return;
        }
    }
    panic!("the circuit does not settle within {PASS_LIMIT} passes");
}

/// One clock cycle: inputs set before are taken, outputs show the state after the edge.
pub fn tick<B: Block>(circuit: &mut B, clock: impl Fn(&mut B) -> &mut Signal<In, Clock>) {
    for level in [true, false] {
        clock(circuit).next = level.into();
        settle(circuit);
    }
}

/// A small deterministic random source for tests.
pub struct Random(pub u64);

impl Random {
    /// The next 32 bits.
    pub fn word(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// A number in `0..limit`.
    pub fn below(&mut self, limit: u32) -> u32 {
        (u64::from(self.word()) * u64::from(limit) >> 32) as u32
    }

    /// True with a chance in percent.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }
}
