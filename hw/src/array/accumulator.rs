//! The accumulators of all columns: two banks, one being filled by the array while the other is drained.
//!
//! * Filling: [`StepDelay`](super::step_delay::StepDelay) gives the pair to read ahead and the pair to write; it has priority on its bank.
//! * Draining: `drain_pair`, `drain_bank` to `drain_*`: [`DRAIN_CYCLES`], one pair a cycle. The streamer's group credits keep the two
//!   off each other's bank.
//!
//! ```text
//! read_*  --+--> bank 0 address --> columns 0..C --> drain_0[c], drain_1[c]
//! drain_* --+--> bank 1 address -->     ^
//! sums, write_* ------------------------+
//! ```

use super::accumulator_column::AccumulatorColumn;
use super::column_sum::SUM_BITS;
use super::{lanes, registers};
use crate::config::AccelConfig;
use crate::primitives::ram;
use rust_hdl::prelude::*;

/// Cycles from `drain_pair` to the sums.
pub const DRAIN_CYCLES: usize = ram::LATENCY_CYCLES;

/// The accumulators; see the module.
#[derive(LogicBlock, Default)]
pub struct Accumulator {
    pub clock: Signal<In, Clock>,
    pub read_valid: Signal<In, Bit>,
    pub read_pair: Signal<In, Bits<10>>,
    pub read_bank: Signal<In, Bit>,
    pub write_valid: Signal<In, Bit>,
    pub write_pair: Signal<In, Bits<10>>,
    pub write_bank: Signal<In, Bit>,
    pub first: Signal<In, Bit>,
    pub shift: Signal<In, Bits<2>>,
    pub sum_0: Vec<Signal<In, Bits<SUM_BITS>>>,
    pub sum_1: Vec<Signal<In, Bits<SUM_BITS>>>,
    pub drain_pair: Signal<In, Bits<10>>,
    pub drain_bank: Signal<In, Bit>,
    pub drain_0: Vec<Signal<Out, Bits<32>>>,
    pub drain_1: Vec<Signal<Out, Bits<32>>>,
    pair_0: Signal<Local, Bits<10>>,
    pair_1: Signal<Local, Bits<10>>,
    bank_delay: Vec<DFF<Bit>>,
    columns: Vec<AccumulatorColumn>,
    _columns: usize,
}

impl Accumulator {
    pub fn new(config: &AccelConfig) -> Self {
        let columns = config.columns;
        Self {
            sum_0: lanes(columns),
            sum_1: lanes(columns),
            drain_0: lanes(columns),
            drain_1: lanes(columns),
            bank_delay: registers(DRAIN_CYCLES),
            columns: (0..columns)
                .map(|_| AccumulatorColumn::new(config.accumulator_pairs))
                .collect(),
            _columns: columns,
            ..Self::default()
        }
    }
}

impl Logic for Accumulator {
    #[hdl_gen]
    fn update(&mut self) {
        self.pair_0.next = self.drain_pair.val();
        self.pair_1.next = self.drain_pair.val();
        if self.read_valid.val() & !self.read_bank.val() {
            self.pair_0.next = self.read_pair.val();
        }
        if self.read_valid.val() & self.read_bank.val() {
            self.pair_1.next = self.read_pair.val();
        }
        self.bank_delay[0].clock.next = self.clock.val();
        self.bank_delay[1].clock.next = self.clock.val();
        self.bank_delay[0].d.next = self.drain_bank.val();
        self.bank_delay[1].d.next = self.bank_delay[0].q.val();
        for c in 0..self._columns {
            self.columns[c].clock.next = self.clock.val();
            self.columns[c].read_pair_0.next = self.pair_0.val();
            self.columns[c].read_pair_1.next = self.pair_1.val();
            self.columns[c].write.next = self.write_valid.val();
            self.columns[c].write_pair.next = self.write_pair.val();
            self.columns[c].write_bank.next = self.write_bank.val();
            self.columns[c].first.next = self.first.val();
            self.columns[c].shift.next = self.shift.val();
            self.columns[c].sum_0.next = self.sum_0[c].val();
            self.columns[c].sum_1.next = self.sum_1[c].val();
            self.columns[c].drain_bank.next = self.bank_delay[1].q.val();
            self.drain_0[c].next = self.columns[c].drain_0.val();
            self.drain_1[c].next = self.columns[c].drain_1.val();
        }
    }
}
