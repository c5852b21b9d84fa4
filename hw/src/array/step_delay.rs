//! Carries what belongs to a step beside the data: to the array's token port, and through the array to the accumulators.
//!
//! Three taps, in cycles after the input (the streamer's issue registers):
//!
//! | tap | at | for |
//! |---|---|---|
//! | `swap` | `token` | the array: first step of a pass |
//! | `read_*` | `sum - READ_AHEAD_CYCLES` | accumulator read |
//! | `write_*`, `shift`, `first` | `sum` | accumulation |
//! | `group_filled` | `sum + FILLED_CYCLES` | the drain: the bank can be read |
//!
//! A reset empties the line. One step a cycle, no stall.
//!
//! ```text
//! issue --> [0] --> ... --> [token - 1] --> ... --> [sum - 3] --> [sum - 2] --> [sum - 1] --> ...
//!                            swap                    read                        write        group_filled
//! ```

use crate::prelude::*;
use crate::primitives::ram;
use std::collections::VecDeque;

/// Cycles by which the accumulator is read before the sum arrives.
pub const READ_AHEAD_CYCLES: usize = ram::LATENCY_CYCLES;
/// Cycles after which a sum at the accumulator can be read: result register and memory write.
pub const FILLED_CYCLES: usize = 2;

/// The line; see the module.
#[derive(LogicBlock, Default)]
pub struct StepDelay {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub swap_in: Signal<In, Bit>,
    pub valid: Signal<In, Bit>,
    pub pair: Signal<In, Bits<10>>,
    pub bank: Signal<In, Bit>,
    pub first_in: Signal<In, Bit>,
    pub shift_in: Signal<In, Bits<2>>,
    pub last: Signal<In, Bit>,
    pub swap: Signal<Out, Bit>,
    pub read_valid: Signal<Out, Bit>,
    pub read_pair: Signal<Out, Bits<10>>,
    pub read_bank: Signal<Out, Bit>,
    pub write_valid: Signal<Out, Bit>,
    pub write_pair: Signal<Out, Bits<10>>,
    pub write_bank: Signal<Out, Bit>,
    pub first: Signal<Out, Bit>,
    pub shift: Signal<Out, Bits<2>>,
    pub group_filled: Signal<Out, Bit>,
    _token: usize,
    _sum: usize,
    /// Newest step first.
    _steps: VecDeque<Step>,
}

/// A step in the line.
#[derive(Clone, Copy, Default)]
struct Step {
    swap: bool,
    valid: bool,
    last: bool,
    pair: Bits<10>,
    bank: bool,
    first: bool,
    shift: Bits<2>,
}

impl StepDelay {
    /// Taps at the array's token port and at the columns' sums, in cycles.
    pub fn new(token: usize, sum: usize) -> Self {
        assert!(
            0 < token && token + READ_AHEAD_CYCLES < sum,
            "taps at {token} and {sum} are out of order"
        );
        Self {
            _token: token,
            _sum: sum,
            _steps: vec![Step::default(); sum + FILLED_CYCLES].into(),
            ..Self::default()
        }
    }

    fn shift_in_step(&mut self) {
        let live = !self.reset.val();
        if !live {
            for step in &mut self._steps {
                (step.swap, step.valid, step.last) = (false, false, false);
            }
        }
        self._steps.pop_back();
        self._steps.push_front(Step {
            swap: live & self.swap_in.val(),
            valid: live & self.valid.val(),
            last: live & self.last.val(),
            pair: self.pair.val(),
            bank: self.bank.val(),
            first: self.first_in.val(),
            shift: self.shift_in.val(),
        });
    }
}

impl Logic for StepDelay {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        self.shift_in_step();
        let (read, write) = (
            self._steps[self._sum - READ_AHEAD_CYCLES - 1],
            self._steps[self._sum - 1],
        );
        self.swap.next = self._steps[self._token - 1].swap;
        self.read_valid.next = read.valid;
        self.read_pair.next = read.pair;
        self.read_bank.next = read.bank;
        self.write_valid.next = write.valid;
        self.write_pair.next = write.pair;
        self.write_bank.next = write.bank;
        self.first.next = write.first;
        self.shift.next = write.shift;
        self.group_filled.next = self._steps[self._sum + FILLED_CYCLES - 1].last;
    }

    fn connect(&mut self) {
        self.swap.connect();
        self.read_valid.connect();
        self.read_pair.connect();
        self.read_bank.connect();
        self.write_valid.connect();
        self.write_pair.connect();
        self.write_bank.connect();
        self.first.connect();
        self.shift.connect();
        self.group_filled.connect();
    }

    fn hdl(&self) -> Verilog {
        let (token, sum, filled) = (self._token, self._sum, self._sum + FILLED_CYCLES);
        let read = sum - READ_AHEAD_CYCLES;
        // A step's information: {pair, bank, first, shift}.
        let bits = 14;
        let info = |stage: usize, high: usize, low: usize| {
            let base = bits * (stage - 1);
            format!("info[{}:{}]", base + high, base + low)
        };
        let line = |name: &str, input: &str, length: usize| {
            format!(
                "reg [{top}:0] {name};\ninitial {name} = {length}'d0;\nalways @(posedge clock) {name} <= reset ? {length}'d0 : {{{name}[{next}:0], {input}}};\n",
                top = length - 1,
                next = length - 2,
            )
        };
        Verilog::Custom(format!(
            "// module: StepDelay_t{token}_s{sum}\n{swaps}{valids}{lasts}\
             reg [{top}:0] info;\ninitial info = {width}'d0;\n\
             always @(posedge clock) info <= {{info[{next}:0], pair, bank, first_in, shift_in}};\n\
             assign swap = swaps[{swap}];\nassign read_valid = valids[{read_stage}];\nassign write_valid = valids[{write_stage}];\n\
             assign {{read_pair, read_bank}} = {read_info};\n\
             assign {{write_pair, write_bank, first, shift}} = {write_info};\n\
             assign group_filled = lasts[{last}];\n",
            swaps = line("swaps", "swap_in", token),
            valids = line("valids", "valid", sum),
            lasts = line("lasts", "last", filled),
            width = bits * sum,
            top = bits * sum - 1,
            next = bits * (sum - 1) - 1,
            swap = token - 1,
            read_stage = read - 1,
            write_stage = sum - 1,
            read_info = info(read, 13, 3),
            write_info = info(sum, 13, 0),
            last = filled - 1,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::bench::{tick, Random};

    #[test]
    fn every_tap_has_its_delay_and_a_reset_empties_the_line() {
        let (token, sum) = (6, 20);
        let mut line = StepDelay::new(token, sum);
        let mut random = Random::new(11);
        let mut sent: Vec<(bool, bool, bool, u64)> = vec![];
        let mut compared = 0;
        for cycle in 0..600usize {
            let step = (
                random.chance(30),
                random.chance(70),
                random.chance(20),
                random.next() & 0x3ff,
            );
            let reset = cycle == 300;
            line.reset.next = reset;
            line.swap_in.next = step.0;
            line.valid.next = step.1;
            line.last.next = step.2;
            line.pair.next = step.3.into();
            tick!(line);
            sent.push(step);
            if reset {
                sent.iter_mut()
                    .for_each(|s| (s.0, s.1, s.2) = (false, false, false));
            }
            let at = |n: usize| {
                if cycle + 1 >= n {
                    sent[cycle + 1 - n]
                } else {
                    Default::default()
                }
            };
            assert_eq!(line.swap.val(), at(token).0);
            assert_eq!(line.read_valid.val(), at(sum - READ_AHEAD_CYCLES).1);
            assert_eq!(line.write_valid.val(), at(sum).1);
            assert_eq!(line.group_filled.val(), at(sum + FILLED_CYCLES).2);
            assert_eq!(line.read_pair.val(), at(sum - READ_AHEAD_CYCLES).3);
            assert_eq!(line.write_pair.val(), at(sum).3);
            compared += 6;
        }
        assert_eq!(compared, 3_600);
    }
}
