//! Sum and sum of squares of a row that arrives C values a cycle, exact.
//!
//! ```text
//! S = sum x        30 bits, two's complement
//! Q = sum x^2      44 bits
//!
//! lanes --> [x^2: 4] --> [tree, log2(C) levels] --> [+ accumulators of halves] --> [+] --> done, sum, squares
//! ```
//!
//! One word a cycle; `done` comes [`latency_cycles`] cycles after the row's last word. Rows may follow each other directly. The
//! sums are exact for rows of up to 256 words, more than a command can name. The squares are made of products of four bits by four, in
//! fabric: DSPs are for the array.

use crate::prelude::*;
use crate::primitives::leaf::{row_flow_text, signed, tree_text, unsigned, Pipeline};

/// Bits of the sum.
pub const SUM_BITS: u32 = 30;
/// Bits of the sum of squares.
pub const SQUARES_BITS: u32 = 44;

/// Cycles of a square.
const SQUARE_CYCLES: usize = 4;

/// Cycles from a row's last word to `done`.
pub fn latency_cycles(columns: usize) -> usize {
    SQUARE_CYCLES + columns.ilog2() as usize + 2
}

/// The cell; see the module.
#[derive(LogicBlock, Default)]
pub struct RowStatistics {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub valid: Signal<In, Bit>,
    pub first: Signal<In, Bit>,
    pub last: Signal<In, Bit>,
    pub lanes: Vec<Signal<In, Bits<16>>>,
    pub done: Signal<Out, Bit>,
    pub sum: Signal<Out, Bits<30>>,
    pub squares_low: Signal<Out, Bits<32>>,
    pub squares_high: Signal<Out, Bits<12>>,
    _sums: (i64, u64),
    _results: Pipeline<(i64, u64)>,
}

impl RowStatistics {
    /// A cell for words of `columns` values.
    pub fn new(columns: usize) -> Self {
        Self {
            lanes: many(columns),
            _sums: (0, 0),
            _results: Pipeline::new(latency_cycles(columns)),
            ..Self::default()
        }
    }

    /// Adds the word to the row's sums; they are the result with the last word.
    fn take_word(&mut self) -> Option<(i64, u64)> {
        if !self.valid.val() {
            return None;
        }
        if self.first.val() {
            self._sums = (0, 0);
        }
        for lane in &self.lanes {
            let x = signed(lane.val().index() as u64, 16);
            self._sums.0 += x;
            self._sums.1 += (x * x) as u64;
        }
        self._sums.0 = signed(unsigned(self._sums.0, SUM_BITS), SUM_BITS);
        self._sums.1 &= (1 << SQUARES_BITS) - 1;
        self.last.val().then_some(self._sums)
    }

    fn node_text(level: usize, below: &str) -> String {
        NODE_TEXT
            .replace("TOP", &(15 + level).to_string())
            .replace("SQUARE", &(30 + level).to_string())
            .replace("SIGN", &(14 + level).to_string())
            .replace("BELOW", below)
    }

    /// The products of a lane's digits of four bits, the last of them signed.
    fn products_text() -> String {
        let digit = |i: usize| {
            let part = format!("x[{}:{}]", 4 * i + 3, 4 * i);
            match i {
                3 => format!("$signed({part})"),
                _ => format!("$signed({{1'b0, {part}}})"),
            }
        };
        let product = |(i, j): (usize, usize)| {
            let (a, b, top) = (digit(i), digit(j), if i == 3 { 6 } else { 7 });
            format!(
                "(* use_dsp = \"no\" *) wire [{top}:0] product_{i}{j};\nassign product_{i}{j} = {a} * {b};\n"
            )
        };
        let pairs = (0..4).flat_map(|i| (i..4).map(move |j| (i, j)));
        format!(
            "wire [15:0] x = lanes[16 * i +: 16];\n{}",
            pairs.map(product).collect::<String>()
        )
    }

    /// The squares add up in two halves, whose sums overlap: a short carry. The row's end puts them together.
    fn accumulator_text(levels: usize) -> String {
        let (sum_top, square_top) = (15 + levels, 30 + levels);
        // The sum waits for the squares.
        let delay_top = (SQUARE_CYCLES - 1) * (sum_top + 1) - 1;
        let add = SQUARE_CYCLES - 1 + levels;
        format!(
            "reg [{sum_top}:0] sum_word;\nreg [29:0] sum_total, sum_result;\n\
             reg [{delay_top}:0] sum_delay;\nreg [29:0] low_total;\nreg [21:0] high_total;\nreg [43:0] square_result;\n\
             wire [43:0] square_word = {{{square_fill}'d0, level_{levels}[0].square}};\n\
             wire adds = word_flags[{add}];\nwire anew = first_flags[{add}];\n\
             wire [29:0] low_next = (anew ? 30'd0 : low_total) + {{8'd0, square_word[21:0]}};\n\
             wire [21:0] high_next = (anew ? 22'd0 : high_total) + square_word[43:22];\n\
             wire [29:0] sum_next = (restart ? 30'd0 : sum_total) + {{{{{sum_fill}{{sum_word[{sum_top}]}}}}, sum_word}};\n\
             assign sum = sum_result;\nassign squares_low = square_result[31:0];\nassign squares_high = square_result[43:32];\n\
             initial begin\n  sum_total = 30'd0;\n  low_total = 30'd0;\n  high_total = 22'd0;\n  \
             sum_result = 30'd0;\n  square_result = 44'd0;\nend\n\
             always @(posedge clock) begin\n  {{sum_word, sum_delay}} <= {{sum_delay, level_{levels}[0].part}};\n  \
             if (reset) begin\n    sum_total <= 30'd0;\n    low_total <= 30'd0;\n    high_total <= 22'd0;\n  \
             end else begin\n    if (word) sum_total <= sum_next;\n    \
             if (adds) begin\n      low_total <= low_next;\n      high_total <= high_next;\n    end\n  end\n  \
             if (loads) begin\n    sum_result <= sum_next;\n    \
             square_result <= {{high_total, 22'd0}} + {{14'd0, low_total}};\n  end\nend\n",
            sum_fill = 29 - sum_top,
            square_fill = 43 - square_top,
        )
    }
}

// Digit pairs 01 and 23, 02 and 13, 03 and 12 stand beside each other or at the same place.
const LANE_TEXT: &str = "\
reg [15:0] part;
reg [30:0] squares_1, squares_2, squares_3, square;
reg [7:0] pair_01, pair_02, pair_03, pair_12, pair_13, pair_23;
reg [25:0] outer, pairs;
reg [9:0] inner;
always @(posedge clock) begin
  part <= x;
  squares_1 <= {product_33, product_22, product_11, product_00};
  pair_01 <= product_01;
  pair_02 <= product_02;
  pair_03 <= product_03;
  pair_12 <= product_12;
  pair_13 <= product_13;
  pair_23 <= product_23;
  squares_2 <= squares_1;
  outer <= {{2{pair_23[7]}}, pair_23, 8'd0, pair_01}
    + {{6{pair_13[7]}}, pair_13, pair_02, 4'd0};
  inner <= {{2{pair_03[7]}}, pair_03} + {2'd0, pair_12};
  squares_3 <= squares_2;
  pairs <= outer + {{8{inner[9]}}, inner, 8'd0};
  square <= squares_3 + {pairs, 5'd0};
end
";

const NODE_TEXT: &str = "\
wire [SIGN:0] a = BELOW[2 * i].part;
wire [SIGN:0] b = BELOW[2 * i + 1].part;
reg [TOP:0] part;
reg [SQUARE:0] square;
always @(posedge clock) begin
  part <= {a[SIGN], a} + {b[SIGN], b};
  square <= {1'b0, BELOW[2 * i].square} + {1'b0, BELOW[2 * i + 1].square};
end
";

impl Logic for RowStatistics {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let word = self.take_word();
        let result = self._results.step(word);
        self.done.next = result.is_some() && !self.reset.val();
        if let Some((sum, squares)) = result {
            self.sum.next = unsigned(sum, SUM_BITS).into();
            self.squares_low.next = (squares & 0xffff_ffff).into();
            self.squares_high.next = (squares >> 32).into();
        }
        if self.reset.val() {
            self._results.clear();
            self._sums = (0, 0);
        }
    }

    fn connect(&mut self) {
        self.done.connect();
        self.sum.connect();
        self.squares_low.connect();
        self.squares_high.connect();
    }

    fn hdl(&self) -> Verilog {
        let columns = self.lanes.len();
        let levels = columns.ilog2() as usize;
        let flow = row_flow_text(latency_cycles(columns));
        Verilog::Custom(format!(
            "// module: RowStatistics_c{columns}\n{flow}genvar i;\n{}{}",
            tree_text(columns, &(Self::products_text() + LANE_TEXT), Self::node_text),
            Self::accumulator_text(levels),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::{tick, Rng};

    fn value(rng: &mut Rng, round: u32) -> i64 {
        match round % 4 {
            0 => i64::from(i16::MIN),
            1 => i64::from(i16::MAX),
            _ => i64::from(rng.next_u64() as i16),
        }
    }

    #[test]
    fn sums_are_exact_for_extreme_and_random_rows_back_to_back() {
        let mut rng = Rng::new(11);
        let mut cell = RowStatistics::new(8);
        let (mut want, mut compared, mut round) = (std::collections::VecDeque::new(), 0, 0);
        let (mut left, mut row) = (0u32, (0i64, 0u64));
        cell.connect_all();
        for _ in 0..12_000 {
            cell.valid.next = rng.chance(80);
            if cell.valid.next {
                cell.first.next = left == 0;
                if left == 0 {
                    (left, row, round) = (1 + rng.below(12) as u32, (0, 0), round + 1);
                }
                for lane in cell.lanes.iter_mut() {
                    let x = value(&mut rng, round);
                    lane.next = unsigned(x, 16).into();
                    row = (row.0 + x, row.1 + (x * x) as u64);
                }
                left -= 1;
                cell.last.next = left == 0;
                if left == 0 {
                    want.push_back(row);
                }
            }
            tick(&mut cell, |c, level| c.clock.next = level.into()).unwrap();
            if cell.done.val() {
                let squares =
                    cell.squares_low.val().index() as u64 | (cell.squares_high.val().index() as u64) << 32;
                let got = (signed(cell.sum.val().index() as u64, 30), squares);
                assert_eq!(Some(got), want.pop_front());
                compared += 1;
            }
        }
        assert!(compared > 1_000, "{compared}");
    }

    #[test]
    fn the_result_comes_after_the_stated_latency() {
        for columns in [4, 8, 32] {
            let mut cell = RowStatistics::new(columns);
            let mut cycles = 0;
            cell.connect_all();
            (cell.valid.next, cell.first.next, cell.last.next) = (true, true, true);
            while !cell.done.val() {
                tick(&mut cell, |c, level| c.clock.next = level.into()).unwrap();
                cell.valid.next = false;
                cycles += 1;
                assert!(cycles < 100);
            }
            assert_eq!(cycles, latency_cycles(columns));
        }
    }
}
