//! Residual memory: words of C 16-bit values, one read and one write a cycle.
//!
//! The read port serves drain first (it never waits), then norm, then write-back; `ready` says whose address is taken. Data
//! comes [`READ_CYCLES`] cycles after a taken address, to all readers at once. The write port serves drain before copy.
//!
//! ```text
//! drain --+                       copy --+
//! norm ---+--> [address] --> RAM <-------+-- drain
//! write --+                   |
//!                             +--> read_data (all readers)
//! ```

use super::lanes::Lanes;
use crate::config::AccelConfig;
use crate::prelude::*;
use crate::primitives::ram::{self, Ram, RamStyle};

/// Cycles from a taken read address to its data.
pub const READ_CYCLES: usize = ram::LATENCY_CYCLES;

/// The memory; see the module.
#[derive(LogicBlock, Default)]
pub struct ResidualMemory {
    pub clock: Signal<In, Clock>,
    pub drain_read: Signal<In, Bit>,
    pub drain_read_address: Signal<In, Bits<16>>,
    pub norm_read: Signal<In, Bit>,
    pub norm_ready: Signal<Out, Bit>,
    pub norm_address: Signal<In, Bits<16>>,
    pub write_back_read: Signal<In, Bit>,
    pub write_back_ready: Signal<Out, Bit>,
    pub write_back_address: Signal<In, Bits<16>>,
    pub read_data: Vec<Signal<Out, Bits<16>>>,
    pub drain_write: Signal<In, Bit>,
    pub drain_address: Signal<In, Bits<16>>,
    pub drain_data: Vec<Signal<In, Bits<16>>>,
    pub copy_write: Signal<In, Bit>,
    pub copy_ready: Signal<Out, Bit>,
    pub copy_address: Signal<In, Bits<16>>,
    /// Bytes as they come from the weight stream, value `c` in bytes `2c` (low) and `2c + 1`.
    pub copy_data: Vec<Signal<In, Bits<8>>>,
    words: Ram<16>,
    pairs: Lanes<8, 16>,
    _columns: usize,
    _bytes: usize,
}

impl ResidualMemory {
    /// The memory of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let c = config.columns;
        Self {
            read_data: many(c),
            drain_data: many(c),
            copy_data: many(2 * c),
            words: Ram::new(
                c,
                1,
                config.residual_words,
                RamStyle::of_depth(config.residual_words),
            ),
            pairs: Lanes::new(2 * c),
            _columns: c,
            _bytes: 2 * c,
            ..Self::default()
        }
    }
}

impl Logic for ResidualMemory {
    #[hdl_gen]
    fn update(&mut self) {
        self.words.clock.next = self.clock.val();
        self.norm_ready.next = !self.drain_read.val();
        self.write_back_ready.next = !self.drain_read.val() & !self.norm_read.val();
        self.words.read_address.next = self.write_back_address.val();
        if self.drain_read.val() {
            self.words.read_address.next = self.drain_read_address.val();
        } else if self.norm_read.val() {
            self.words.read_address.next = self.norm_address.val();
        }
        self.copy_ready.next = !self.drain_write.val();
        self.words.write_enable[0].next = self.drain_write.val() | self.copy_write.val();
        self.words.write_address.next = self.copy_address.val();
        if self.drain_write.val() {
            self.words.write_address.next = self.drain_address.val();
        }
        for b in 0..self._bytes {
            self.pairs.from[b].next = self.copy_data[b].val();
        }
        for c in 0..self._columns {
            self.words.write_data[c].next = self.pairs.to[c].val();
            if self.drain_write.val() {
                self.words.write_data[c].next = self.drain_data[c].val();
            }
            self.read_data[c].next = self.words.read_data[c].val();
        }
    }
}
