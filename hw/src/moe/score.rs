//! Gate score of a chosen expert: its weight times the reciprocal of the sum, Q0.16, one a cycle.
//!
//! ```text
//! score = min(65535, round(weight * mantissa / 2^(exponent - 1)))
//!
//! weight, mantissa --> [product: 2] --> [+ half] --> [shift] --> [saturate] --> done, score
//! ```
//!
//! Mantissa and exponent are those of `numerics::reciprocal`. `done` comes [`LATENCY_CYCLES`] cycles after `valid`.

use crate::numerics::round_shift;
use crate::prelude::*;
use crate::primitives::leaf::{valid_text, Pipeline};

/// Cycles from `valid` to `done`.
pub const LATENCY_CYCLES: usize = 5;

/// The score of a weight and a reciprocal.
pub fn gate_score(weight: u16, mantissa: u16, exponent: u32) -> u16 {
    let product = i64::from(weight) * i64::from(mantissa);
    round_shift(product, exponent.saturating_sub(1)).min(65_535) as u16
}

/// The cell; see the module.
#[derive(LogicBlock, Default)]
pub struct GateScore {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub valid: Signal<In, Bit>,
    pub weight: Signal<In, Bits<16>>,
    pub mantissa: Signal<In, Bits<16>>,
    pub exponent: Signal<In, Bits<5>>,
    pub done: Signal<Out, Bit>,
    pub score: Signal<Out, Bits<16>>,
    _results: Pipeline<u16>,
}

impl GateScore {
    /// The block, unconnected.
    pub fn new() -> Self {
        Self {
            _results: Pipeline::new(LATENCY_CYCLES),
            ..Self::default()
        }
    }
}

const TEXT: &str = "\
reg [31:0] product, product_held;
reg [32:0] half, rounded, shifted;
reg [4:0] shift_1, shift_2, shift_3;
reg [15:0] score_out;
assign score = score_out;
initial score_out = 16'd0;
always @(posedge clock) begin
  product <= weight * mantissa;
  shift_1 <= (exponent == 5'd0) ? 5'd0 : exponent - 5'd1;
  product_held <= product;
  half <= (33'd1 << shift_1) >> 1;
  shift_2 <= shift_1;
  rounded <= {1'b0, product_held} + half;
  shift_3 <= shift_2;
  shifted <= rounded >> shift_3;
  if (loads) score_out <= (shifted[32:16] != 17'd0) ? 16'hffff : shifted[15:0];
end
";

impl Logic for GateScore {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let score = gate_score(
            self.weight.val().index() as u16,
            self.mantissa.val().index() as u16,
            self.exponent.val().index() as u32,
        );
        let result = self._results.step(self.valid.val().then_some(score));
        self.done.next = result.is_some() && !self.reset.val();
        if let Some(score) = result {
            self.score.next = u64::from(score).into();
        }
        if self.reset.val() {
            self._results.clear();
        }
    }

    fn connect(&mut self) {
        self.done.connect();
        self.score.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "// module: GateScore\n{}{TEXT}",
            valid_text(LATENCY_CYCLES)
        ))
    }
}
