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
use crate::config::AccelConfig;
use crate::prelude::*;
use crate::primitives::ram;

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
            sum_0: many(columns),
            sum_1: many(columns),
            drain_0: many(columns),
            drain_1: many(columns),
            bank_delay: many(DRAIN_CYCLES),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::accumulator_column::PLANE_SHIFTS;
    use crate::array::bench::{tick, Random};
    use crate::array::step_delay::READ_AHEAD_CYCLES;
    use crate::array::{from_bits, to_bits};
    use std::collections::VecDeque;

    /// A step at the accumulators: pair, bank, whether it starts the sum, shift code.
    type Step = Option<(usize, bool, bool, usize)>;

    /// Passes of eight steps over random pairs in one bank, while the other bank is read.
    fn run(config: &AccelConfig, passes: usize, seed: u64) -> usize {
        let (pairs, columns) = (config.accumulator_pairs, config.columns);
        let mut random = Random::new(seed);
        let mut accumulator = Accumulator::new(config);
        let mut model = vec![vec![vec![[0i32; 2]; columns]; pairs]; 2];
        let mut ahead: VecDeque<Step> = vec![None; READ_AHEAD_CYCLES].into();
        let mut asked: VecDeque<Option<Vec<[i32; 2]>>> = vec![None; DRAIN_CYCLES - 1].into();
        let mut compared = 0;
        for pass in 0..passes {
            let bank = pass / 4 % 2 == 1;
            let first_pair = random.below(pairs - 7);
            let base = if pass % 4 == 0 { first_pair } else { 0 };
            for step in 0..12 {
                // Four idle cycles let a group's last write settle before its bank is read.
                let next = (step < 8 && random.chance(80)).then(|| {
                    (
                        (base + step) % pairs,
                        bank,
                        pass % 4 == 0,
                        random.below(PLANE_SHIFTS.len()),
                    )
                });
                accumulator.read_valid.next = next.is_some();
                accumulator.read_bank.next = bank;
                accumulator.read_pair.next = (next.map_or(0, |s| s.0) as u64).into();
                ahead.push_back(next);
                let now = ahead.pop_front().unwrap();
                accumulator.write_valid.next = now.is_some();
                let (pair, write_bank, first, shift) = now.unwrap_or_default();
                accumulator.write_pair.next = (pair as u64).into();
                accumulator.write_bank.next = write_bank;
                accumulator.first.next = first;
                accumulator.shift.next = (shift as u64).into();
                for c in 0..columns {
                    let sums = [random.signed(SUM_BITS as u32), random.signed(SUM_BITS as u32)];
                    accumulator.sum_0[c].next = to_bits(sums[0]);
                    accumulator.sum_1[c].next = to_bits(sums[1]);
                    if now.is_some() {
                        let entry = &mut model[usize::from(write_bank)][pair][c];
                        let old = if first { [0; 2] } else { *entry };
                        *entry = std::array::from_fn(|t| {
                            old[t].wrapping_add((sums[t] << PLANE_SHIFTS[shift]) as i32)
                        });
                    }
                }
                let drained = random.below(pairs);
                let drain = pass % 4 > 0;
                accumulator.drain_pair.next = (drained as u64).into();
                accumulator.drain_bank.next = !bank;
                asked.push_back(drain.then(|| model[usize::from(!bank)][drained].clone()));
                tick!(accumulator);
                if let Some(want) = asked.pop_front().unwrap() {
                    for (c, want) in want.iter().enumerate() {
                        let got = [
                            from_bits(accumulator.drain_0[c].val()),
                            from_bits(accumulator.drain_1[c].val()),
                        ];
                        assert_eq!(got.map(|x| x as i32), *want, "pass {pass}, column {c}");
                        compared += 2;
                    }
                }
            }
        }
        compared
    }

    #[test]
    fn one_bank_accumulates_while_the_other_drains() {
        let nano = AccelConfig::named("nano").unwrap();
        assert!(run(&nano, 400, 1) >= 50_000);
        // Not a power of two of pairs.
        let odd = AccelConfig {
            accumulator_pairs: 40,
            ..nano
        };
        assert!(run(&odd, 400, 2) >= 50_000);
    }
}
