//! Gate weight of an expert before normalisation: `numerics::exp2::weight(maximum - logit)`, one a cycle.
//!
//! ```text
//! maximum - logit --> [distance] --> [table of 256] --> [step * fraction: 2] --> [subtract] --> [shift] --> done, weight
//! ```
//!
//! Logits are Q7.16, the weight is Q0.16 (65,535 = 1). `done` comes [`LATENCY_CYCLES`] cycles after `valid`.

use crate::numerics::exp2::{weight, weight_table};
use crate::prelude::*;
use crate::primitives::leaf::{rom_text, valid_text, Pipeline};

/// Cycles from `valid` to `done`.
pub const LATENCY_CYCLES: usize = 6;

/// The cell; see the module.
#[derive(LogicBlock, Default)]
pub struct GateWeight {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub valid: Signal<In, Bit>,
    pub maximum: Signal<In, Bits<24>>,
    pub logit: Signal<In, Bits<24>>,
    pub done: Signal<Out, Bit>,
    pub weight: Signal<Out, Bits<16>>,
    _results: Pipeline<u16>,
}

impl GateWeight {
    /// The block, unconnected.
    pub fn new() -> Self {
        Self {
            _results: Pipeline::new(LATENCY_CYCLES),
            ..Self::default()
        }
    }
}

const TEXT: &str = "\
reg [23:0] distance;
reg [23:0] entry;
reg [7:0] fraction;
reg [7:0] places_1, places_2, places_3, places_4;
// entry * fraction in two halves: too small for a DSP, too deep for one step.
(* use_dsp = \"no\" *) wire [11:0] low_product;
assign low_product = {4'd0, entry[7:0]} * {8'd0, fraction[3:0]};
(* use_dsp = \"no\" *) wire [11:0] high_product;
assign high_product = {4'd0, entry[7:0]} * {8'd0, fraction[7:4]};
reg [11:0] product_low, product_high;
reg [15:0] here, here_1, product, mantissa;
wire _unused_bits = &{1'b0, product[7:0]};
reg [15:0] weight_out;
assign weight = weight_out;
initial weight_out = 16'd0;
always @(posedge clock) begin
  distance <= maximum - logit;
  entry <= exponential[distance[15:8]];
  fraction <= distance[7:0];
  places_1 <= distance[23:16];
  here <= entry[23:8];
  product_low <= low_product;
  product_high <= high_product;
  places_2 <= places_1;
  here_1 <= here;
  product <= {4'd0, product_low} + {product_high, 4'd0};
  places_3 <= places_2;
  mantissa <= here_1 - {8'd0, product[15:8]};
  places_4 <= places_3;
  if (loads) weight_out <= (places_4 > 8'd15) ? 16'd0 : mantissa >> places_4[3:0];
end
";

impl Logic for GateWeight {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let (maximum, logit) = (self.maximum.val().index() as u32, self.logit.val().index() as u32);
        let distance = maximum.wrapping_sub(logit) & 0xff_ffff;
        let result = self._results.step(self.valid.val().then(|| weight(distance)));
        self.done.next = result.is_some() && !self.reset.val();
        if let Some(weight) = result {
            self.weight.next = u64::from(weight).into();
        }
        if self.reset.val() {
            self._results.clear();
        }
    }

    fn connect(&mut self) {
        self.done.connect();
        self.weight.connect();
    }

    fn hdl(&self) -> Verilog {
        let entries = weight_table()
            .windows(2)
            .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair[0] - pair[1]));
        let (flow, rom) = (valid_text(LATENCY_CYCLES), rom_text("exponential", 24, entries));
        Verilog::Custom(format!("// module: GateWeight\n{flow}{rom}{TEXT}"))
    }
}
