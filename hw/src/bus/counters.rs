//! Performance counters: each counts the cycles in which its event is high while a frame runs.
//!
//! Cleared by `clear`; 32 bits, wrapping. An event of a cycle is in the value of the next.
//!
//! ```text
//! event[i] & enable --> +1 --> [value[i]]
//! ```

use crate::prelude::*;

/// The counters; see the module.
#[derive(LogicBlock, Default)]
pub struct Counters {
    pub clock: Signal<In, Clock>,
    pub clear: Signal<In, Bit>,
    pub enable: Signal<In, Bit>,
    pub event: Vec<Signal<In, Bit>>,
    pub value: Vec<Signal<Out, Bits<32>>>,
    counts: Vec<DFF<Bits<32>>>,
    _count: usize,
}

impl Counters {
    /// `count` counters.
    pub fn new(count: usize) -> Self {
        Self {
            event: many(count),
            value: many(count),
            counts: many(count),
            _count: count,
            ..Self::default()
        }
    }
}

impl Logic for Counters {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..self._count {
            self.counts[i].clock.next = self.clock.val();
            self.counts[i].d.next = self.counts[i].q.val();
            if self.clear.val() {
                self.counts[i].d.next = 0.into();
            } else if self.enable.val() & self.event[i].val() {
                self.counts[i].d.next = self.counts[i].q.val() + 1;
            }
            self.value[i].next = self.counts[i].q.val();
        }
    }
}
