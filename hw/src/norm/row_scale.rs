//! Mean and scale of a row from its sums: `numerics::layer_norm::row_scale`, one row a cycle.
//!
//! ```text
//! sum, squares --> [S*S, D*Q, S*inverse: 4] --> [D*Q - S^2 + epsilon: 3] --> [half length] --> [normalise]
//!     --> [table] --> [interpolate: 3] --> [* mantissa: 2] --> [round] --> done, mean, factor, shift
//! ```
//!
//! `done` comes [`LATENCY_CYCLES`] cycles after `valid`. The settings stay unchanged while a row is inside. `mean` is Q16.10 in 27
//! bits, `factor` has 17 bits, `shift` is at most 63.

use crate::numerics::layer_norm::{row_scale, table, NormSettings, RowScale as Scale};
use crate::prelude::*;
use crate::primitives::leaf::{rom_text, signed, unsigned, valid_text, Pipeline};

/// Cycles from `valid` to `done`.
pub const LATENCY_CYCLES: usize = 17;

/// The cell; see the module.
#[derive(LogicBlock, Default)]
pub struct RowScale {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub valid: Signal<In, Bit>,
    pub sum: Signal<In, Bits<30>>,
    pub squares_low: Signal<In, Bits<32>>,
    pub squares_high: Signal<In, Bits<12>>,
    pub width: Signal<In, Bits<12>>,
    pub inverse_width: Signal<In, Bits<32>>,
    pub epsilon: Signal<In, Bits<32>>,
    pub mantissa: Signal<In, Bits<16>>,
    pub norm_shift: Signal<In, Bits<6>>,
    pub done: Signal<Out, Bit>,
    pub mean: Signal<Out, Bits<27>>,
    pub factor: Signal<Out, Bits<17>>,
    pub shift: Signal<Out, Bits<6>>,
    _results: Pipeline<Scale>,
}

impl RowScale {
    /// The block, unconnected.
    pub fn new() -> Self {
        Self {
            _results: Pipeline::new(LATENCY_CYCLES),
            ..Self::default()
        }
    }
}

impl RowScale {
    fn settings(&self) -> NormSettings {
        NormSettings {
            width: self.width.val().index() as u32,
            inverse_width: self.inverse_width.val().index() as u32,
            epsilon: self.epsilon.val().index() as u32,
            mantissa: self.mantissa.val().index() as u16,
            shift: self.norm_shift.val().index() as u32,
        }
    }

    fn take_row(&self) -> Option<Scale> {
        let sum = signed(self.sum.val().index() as u64, 30);
        let squares = self.squares_low.val().index() as u64 | (self.squares_high.val().index() as u64) << 32;
        self.valid
            .val()
            .then(|| row_scale(sum, squares, &self.settings()))
    }
}

// A row's sum is 8 * high + low, so that its two products fit two DSPs each; those of `low` (3 bits) are sums in fabric:
// S^2 = 64 * high^2 + low * (16 * high + low).
const SPREAD_TEXT: &str = "\
reg [29:0] sum_in;
reg [43:0] squares_in;
wire signed [26:0] high = sum_in[29:3];
wire [2:0] low = sum_in[2:0];
wire signed [32:0] inverse_wide = {1'b0, inverse_width};
wire [33:0] twofold = {{3{sum_in[29]}}, sum_in[29:3], 1'b0, low};
wire [34:0] inverse = {3'd0, inverse_width};
reg signed [53:0] high_square_1, high_square_2, high_square_3, high_square_4;
reg [55:0] scaled_1, scaled_2, scaled_3, scaled_4;
reg signed [59:0] mean_1, mean_2, mean_3;
reg [33:0] square_two, square_four, square_low;
reg [34:0] mean_two, mean_four, mean_low, mean_offset;
reg [35:0] offset_3, offset_4;
reg [31:0] offset_5;
reg [22:0] mean_carry;
reg [26:0] mean_above, mean_rounded;
// 64 bits in two steps each: the low words first.
reg [32:0] spread_low, variance_low;
reg [31:0] scaled_high, square_high, spread_high;
reg [63:0] variance;
always @(posedge clock) begin
  sum_in <= sum;
  squares_in <= {squares_high, squares_low};
  high_square_1 <= high * high;
  high_square_2 <= high_square_1;
  high_square_3 <= high_square_2;
  high_square_4 <= high_square_3;
  square_two <= (twofold & {34{low[0]}}) + ({twofold[32:0], 1'b0} & {34{low[1]}});
  square_four <= {twofold[31:0], 2'b0} & {34{low[2]}};
  square_low <= square_two + square_four;
  offset_3 <= {4'd0, epsilon} - {{2{square_low[33]}}, square_low};
  offset_4 <= offset_3;
  scaled_1 <= squares_in * width;
  scaled_2 <= scaled_1;
  scaled_3 <= scaled_2;
  scaled_4 <= scaled_3;
  mean_1 <= high * inverse_wide;
  mean_2 <= mean_1;
  mean_3 <= mean_2;
  mean_two <= (inverse & {35{low[0]}}) + ({inverse[33:0], 1'b0} & {35{low[1]}});
  mean_four <= {inverse[32:0], 2'b0} & {35{low[2]}};
  mean_low <= mean_two + mean_four;
  mean_offset <= mean_low + 35'd2097152;
  mean_carry <= {1'b0, mean_3[18:0], 3'd0} + {1'b0, mean_offset[21:0]};
  mean_above <= mean_3[45:19] + {14'd0, mean_offset[34:22]};
  mean_rounded <= mean_above + {26'd0, mean_carry[22]};
  spread_low <= {1'b0, scaled_4[31:0]} - {1'b0, high_square_4[25:0], 6'd0};
  scaled_high <= {8'd0, scaled_4[55:32]} + {{28{offset_4[35]}}, offset_4[35:32]};
  square_high <= {{4{high_square_4[53]}}, high_square_4[53:26]};
  offset_5 <= offset_4[31:0];
  spread_high <= scaled_high - square_high - {31'd0, spread_low[32]};
  variance_low <= {1'b0, spread_low[31:0]} + {1'b0, offset_5};
  variance <= {spread_high + {31'd0, variance_low[32]}, variance_low[31:0]};
end
wire _unused_mean = &{1'b0, mean_3[59:46], mean_carry[21:0]};
reg [269:0] mean_line;
always @(posedge clock) mean_line <= {mean_line[242:0], mean_rounded};
";

const ROOT_TEXT: &str = "\
// Half of the variance's bit length, rounded up; 0 counts as 1.
reg [5:0] half;
reg [63:0] variance_1;
reg [5:0] half_found;
integer pair;
always @(*) begin
  half_found = 6'd1;
  for (pair = 1; pair < 32; pair = pair + 1)
    if (variance[2 * pair +: 2] != 2'd0) half_found = pair[5:0] + 6'd1;
end
wire [77:0] aligned = {variance_1, 14'd0} >> {half - 6'd1, 1'b0};
reg [15:0] normal;
reg [5:0] half_1, half_2, half_3, half_4, half_5, half_6, half_7;
reg [25:0] entry;
wire [8:0] entry_index = normal[15:7] - 9'd128;
reg [6:0] fraction;
reg [16:0] here, here_1;
// entry * fraction in two halves: too small for a DSP, too deep for one step.
(* use_dsp = \"no\" *) wire [12:0] low_product;
assign low_product = {4'd0, entry[8:0]} * {9'd0, fraction[3:0]};
(* use_dsp = \"no\" *) wire [11:0] high_product;
assign high_product = {3'd0, entry[8:0]} * {9'd0, fraction[6:4]};
reg [12:0] step_low;
reg [11:0] step_high;
reg [15:0] step;
reg [16:0] root;
reg [33:0] product_1, product_2;
wire [33:0] rounded = product_2 + 34'd16384;
wire [6:0] shift_sum = {1'b0, half_7} + {1'b0, norm_shift};
wire _unused_bits = &{1'b0, aligned[77:16], step[6:0], rounded[33:32], rounded[14:0]};
reg [26:0] mean_out;
reg [16:0] factor_out;
reg [5:0] shift_out;
assign mean = mean_out;
assign factor = factor_out;
assign shift = shift_out;
initial begin
  mean_out = 27'd0;
  factor_out = 17'd0;
  shift_out = 6'd0;
end
always @(posedge clock) begin
  half <= half_found;
  variance_1 <= (variance == 64'd0) ? 64'd1 : variance;
  normal <= aligned[15:0];
  half_1 <= half;
  entry <= inverse_root[entry_index];
  fraction <= normal[6:0];
  half_2 <= half_1;
  here <= entry[25:9];
  step_low <= low_product;
  step_high <= high_product;
  half_3 <= half_2;
  here_1 <= here;
  step <= {3'd0, step_low} + {step_high, 4'd0};
  half_4 <= half_3;
  root <= here_1 - {8'd0, step[15:7]};
  half_5 <= half_4;
  product_1 <= root * mantissa;
  half_6 <= half_5;
  product_2 <= product_1;
  half_7 <= half_6;
  if (loads) begin
    mean_out <= mean_line[269:243];
    factor_out <= rounded[31:15];
    shift_out <= shift_sum[6] ? 6'd63 : shift_sum[5:0];
  end
end
";

impl Logic for RowScale {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let row = self.take_row();
        let result = self._results.step(row);
        self.done.next = result.is_some() && !self.reset.val();
        if let Some(scale) = result {
            self.mean.next = unsigned(i64::from(scale.mean), 27).into();
            self.factor.next = u64::from(scale.factor).into();
            self.shift.next = u64::from(scale.shift).into();
        }
        if self.reset.val() {
            self._results.clear();
        }
    }

    fn connect(&mut self) {
        self.done.connect();
        self.mean.connect();
        self.factor.connect();
        self.shift.connect();
    }

    fn hdl(&self) -> Verilog {
        let entries = table()
            .windows(2)
            .map(|pair| u64::from(pair[0]) << 9 | u64::from(pair[0] - pair[1]));
        let rom = rom_text("inverse_root", 26, entries);
        let flow = valid_text(LATENCY_CYCLES);
        Verilog::Custom(format!(
            "// module: RowScale\n{flow}{rom}{SPREAD_TEXT}{ROOT_TEXT}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::{tick, Rng};

    fn present(cell: &mut RowScale, sum: i64, squares: u64, s: &NormSettings) {
        cell.valid.next = true;
        cell.sum.next = unsigned(sum, 30).into();
        cell.squares_low.next = (squares & 0xffff_ffff).into();
        cell.squares_high.next = (squares >> 32).into();
        cell.width.next = u64::from(s.width).into();
        cell.inverse_width.next = u64::from(s.inverse_width).into();
        cell.epsilon.next = u64::from(s.epsilon).into();
        cell.mantissa.next = u64::from(s.mantissa).into();
        cell.norm_shift.next = u64::from(s.shift).into();
    }

    fn run(cell: &mut RowScale, sum: i64, squares: u64, settings: &NormSettings) -> (Scale, usize) {
        present(cell, sum, squares, settings);
        for cycles in 1..100 {
            tick(cell, |c, level| c.clock.next = level.into()).unwrap();
            cell.valid.next = false;
            if cell.done.val() {
                let scale = Scale {
                    mean: signed(cell.mean.val().index() as u64, 27) as i32,
                    factor: cell.factor.val().index() as u32,
                    shift: cell.shift.val().index() as u32,
                };
                return (scale, cycles);
            }
        }
        panic!("no result");
    }

    #[test]
    fn gives_the_scale_of_rows_of_any_spread() {
        let mut rng = Rng::new(23);
        let mut cell = RowScale::new();
        cell.connect_all();
        for round in 0..400u32 {
            let width = [64, 192, 384, 768][round as usize % 4];
            let amplitude = 1 << rng.below(15);
            let row: Vec<i64> = (0..width)
                .map(|_| rng.between(-amplitude, amplitude - 1))
                .collect();
            let settings = NormSettings {
                width,
                inverse_width: ((1u64 << 32) / u64::from(width)) as u32,
                epsilon: 1 + rng.below(1_000_000) as u32,
                mantissa: 32_768 + rng.below(32_768) as u16,
                shift: rng.below(32) as u32,
            };
            let (sum, squares) = (row.iter().sum(), row.iter().map(|x| (x * x) as u64).sum());
            let (scale, cycles) = run(&mut cell, sum, squares, &settings);
            assert_eq!(scale, row_scale(sum, squares, &settings));
            assert_eq!(cycles, LATENCY_CYCLES);
        }
    }
}
