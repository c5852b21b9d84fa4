//! Reciprocal of a 24-bit sum: `numerics::reciprocal::reciprocal`, one a cycle.
//!
//! ```text
//! x --> [x or 1] --> [bit length] --> [normalise to 16 bits] --> [table of 256] --> [step * fraction: 2] --> [subtract] --> done
//! ```
//!
//! `1 / x ~= mantissa / 2^(15 + exponent)`. `done` comes [`LATENCY_CYCLES`] cycles after `valid`; the result stays until the next.

use crate::numerics::reciprocal::{reciprocal, table, Reciprocal as Value};
use crate::prelude::*;
use crate::primitives::leaf::{rom_text, valid_text, Pipeline};

/// Cycles from `valid` to `done`.
pub const LATENCY_CYCLES: usize = 7;

/// The cell; see the module.
#[derive(LogicBlock, Default)]
pub struct Reciprocal {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub valid: Signal<In, Bit>,
    pub x: Signal<In, Bits<24>>,
    pub done: Signal<Out, Bit>,
    pub mantissa: Signal<Out, Bits<16>>,
    pub exponent: Signal<Out, Bits<5>>,
    _results: Pipeline<Value>,
}

impl Reciprocal {
    /// The block, unconnected.
    pub fn new() -> Self {
        Self {
            _results: Pipeline::new(LATENCY_CYCLES),
            ..Self::default()
        }
    }
}

const TEXT: &str = "\
reg [23:0] x_in, x_1;
reg [4:0] length, length_found, exponent_1, exponent_2, exponent_3, exponent_4;
reg [15:0] normal;
reg [24:0] entry;
reg [6:0] fraction;
reg [16:0] here, here_1;
// entry * fraction in two halves: too small for a DSP, too deep for one step.
(* use_dsp = \"no\" *) wire [11:0] low_product;
assign low_product = {4'd0, entry[7:0]} * {8'd0, fraction[3:0]};
(* use_dsp = \"no\" *) wire [10:0] high_product;
assign high_product = {3'd0, entry[7:0]} * {8'd0, fraction[6:4]};
reg [11:0] step_low;
reg [10:0] step_high;
reg [14:0] step;
wire [38:0] aligned = {x_1, 15'd0} >> (length - 5'd1);
wire [16:0] interpolated = here_1 - {9'd0, step[14:7]};
wire _unused_bits = &{1'b0, aligned[38:16], normal[15], step[6:0]};
reg [15:0] mantissa_out;
reg [4:0] exponent_out;
assign mantissa = mantissa_out;
assign exponent = exponent_out;
initial begin
  mantissa_out = 16'd0;
  exponent_out = 5'd0;
end
integer i;
always @(*) begin
  length_found = 5'd1;
  for (i = 1; i < 24; i = i + 1)
    if (x_in[i]) length_found = i[4:0] + 5'd1;
end
always @(posedge clock) begin
  x_in <= (x == 24'd0) ? 24'd1 : x;
  x_1 <= x_in;
  length <= length_found;
  normal <= aligned[15:0];
  exponent_1 <= length;
  entry <= inverse[normal[14:7]];
  fraction <= normal[6:0];
  exponent_2 <= exponent_1;
  here <= entry[24:8];
  step_low <= low_product;
  step_high <= high_product;
  exponent_3 <= exponent_2;
  here_1 <= here;
  step <= {3'd0, step_low} + {step_high, 4'd0};
  exponent_4 <= exponent_3;
  if (loads) begin
    mantissa_out <= interpolated[16] ? 16'hffff : interpolated[15:0];
    exponent_out <= exponent_4;
  end
end
";

impl Logic for Reciprocal {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let x = self.x.val().index() as u32;
        let result = self._results.step(self.valid.val().then(|| reciprocal(x)));
        self.done.next = result.is_some() && !self.reset.val();
        if let Some(value) = result {
            self.mantissa.next = u64::from(value.mantissa).into();
            self.exponent.next = u64::from(value.exponent).into();
        }
        if self.reset.val() {
            self._results.clear();
        }
    }

    fn connect(&mut self) {
        self.done.connect();
        self.mantissa.connect();
        self.exponent.connect();
    }

    fn hdl(&self) -> Verilog {
        let entries = table()
            .windows(2)
            .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair[0] - pair[1]));
        let (flow, rom) = (valid_text(LATENCY_CYCLES), rom_text("inverse", 25, entries));
        Verilog::Custom(format!("// module: Reciprocal\n{flow}{rom}{TEXT}"))
    }
}
