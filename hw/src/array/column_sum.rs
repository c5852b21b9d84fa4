//! Adds the cascades of a column: splits each packed sum into the two tokens' and adds them in a pipelined tree.
//!
//! ```text
//! low  = sext(P[17:0])
//! high = P[35:18] + P[17]           (the borrow of a negative low field is given back)
//! sum_t = sum over the cascades
//! ```
//!
//! Exact for every cascade of 8 cells and up to 8 cascades (21 bits). Latency 1 + log2(cascades) cycles, one pair a cycle.
//!
//! ```text
//! P of each cascade --> [split] --> (+) --> [level] --> ... --> sum_0, sum_1
//! ```

use super::mac_pair::{CASCADE_WORD_BITS, PACKING_BITS};
use super::{from_bits, to_bits};
use crate::prelude::*;
use crate::primitives::leaf::tree_text;

/// Bits of a column's sum: 64 * 128 * 127 < 2^20.
pub const SUM_BITS: usize = 21;

/// Cycles from the cascades' sums to the column's.
pub fn latency_cycles(cascades: usize) -> usize {
    1 + cascades.ilog2() as usize
}

/// The adder; see the module.
#[derive(LogicBlock, Default)]
pub struct ColumnSum {
    pub clock: Signal<In, Clock>,
    pub low: Vec<Signal<In, Bits<24>>>,
    pub high: Vec<Signal<In, Bits<24>>>,
    pub sum_0: Signal<Out, Bits<SUM_BITS>>,
    pub sum_1: Signal<Out, Bits<SUM_BITS>>,
    /// Registers of each level: level 0 has one for each cascade, the last level one.
    _levels: Vec<Vec<[i64; 2]>>,
}

impl ColumnSum {
    /// For a power of two of cascades.
    pub fn new(cascades: usize) -> Self {
        assert!(
            cascades.is_power_of_two(),
            "{cascades} cascades are no power of two"
        );
        let levels = (0..latency_cycles(cascades)).map(|level| vec![[0; 2]; cascades >> level]);
        Self {
            low: many(cascades),
            high: many(cascades),
            _levels: levels.collect(),
            ..Self::default()
        }
    }

    fn split(&self, cascade: usize) -> [i64; 2] {
        let low: u64 = self.low[cascade].val().into();
        let p = from_bits(self.high[cascade].val()) << CASCADE_WORD_BITS | low as i64;
        let low = from_bits(to_bits::<PACKING_BITS>(p));
        [low, (p - low) >> PACKING_BITS]
    }
}

impl Logic for ColumnSum {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        for level in (1..self._levels.len()).rev() {
            for i in 0..self._levels[level].len() {
                let (a, b) = (self._levels[level - 1][2 * i], self._levels[level - 1][2 * i + 1]);
                self._levels[level][i] = [a[0] + b[0], a[1] + b[1]];
            }
        }
        for cascade in 0..self.low.len() {
            self._levels[0][cascade] = self.split(cascade);
        }
        let [sum_0, sum_1] = self._levels[self._levels.len() - 1][0];
        self.sum_0.next = to_bits(sum_0);
        self.sum_1.next = to_bits(sum_1);
    }

    fn connect(&mut self) {
        self.sum_0.connect();
        self.sum_1.connect();
    }

    fn hdl(&self) -> Verilog {
        let cascades = self.low.len();
        let tree = tree_text(cascades, LEAF_TEXT, |_, below| NODE_TEXT.replace("BELOW", below));
        Verilog::Custom(format!(
            "// module: ColumnSum_n{cascades}\ngenvar i;\n{}assign sum_0 = level_{level}[0].a;\nassign sum_1 = level_{level}[0].b;\n",
            tree.replace("TOP", &(SUM_BITS - 1).to_string()),
            level = cascades.ilog2(),
        ))
    }
}

const LEAF_TEXT: &str = "\
wire unused = &{1'b0, high[24 * i + 12 +: 12]};
wire [17:0] low_field = low[24 * i +: 18];
wire [17:0] field = {high[24 * i +: 12], low[24 * i + 18 +: 6]};
reg [TOP:0] a, b;
initial begin
  a = 0;
  b = 0;
end
always @(posedge clock) begin
  a <= {{3{low_field[17]}}, low_field};
  b <= {{3{field[17]}}, field} + {20'd0, low_field[17]};
end
";

const NODE_TEXT: &str = "\
reg [TOP:0] a, b;
initial begin
  a = 0;
  b = 0;
end
always @(posedge clock) begin
  a <= BELOW[2 * i].a + BELOW[2 * i + 1].a;
  b <= BELOW[2 * i].b + BELOW[2 * i + 1].b;
end
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::bench::{tick, Random};

    fn run(cascades: usize, draw: impl Fn(&mut Random) -> i64) -> usize {
        let limit = 130_048;
        let mut adder = ColumnSum::new(cascades);
        let mut random = Random::new(cascades as u64);
        let latency = latency_cycles(cascades);
        let (mut wanted, mut compared) = (vec![], 0);
        for cycle in 0..2_000 {
            let mut want = [0i64; 2];
            for i in 0..cascades {
                let sums = [
                    draw(&mut random).clamp(-limit, limit),
                    draw(&mut random).clamp(-limit, limit),
                ];
                let p = (sums[1] << PACKING_BITS) + sums[0];
                adder.low[i].next = to_bits(p);
                adder.high[i].next = to_bits(p >> CASCADE_WORD_BITS);
                want = [want[0] + sums[0], want[1] + sums[1]];
            }
            wanted.push(want);
            tick!(adder);
            if cycle + 1 >= latency {
                let got = [from_bits(adder.sum_0.val()), from_bits(adder.sum_1.val())];
                assert_eq!(
                    got,
                    wanted[cycle + 1 - latency],
                    "{cascades} cascades, cycle {cycle}"
                );
                compared += 1;
            }
        }
        compared
    }

    #[test]
    fn splits_and_adds_every_size() {
        for cascades in [1, 2, 4, 8] {
            assert!(run(cascades, |random| random.signed(18)) >= 1_990);
            assert!(run(cascades, |random| *random.pick(&[-130_048, 130_048, -1, 0, 1])) >= 1_990);
        }
    }
}
