//! Probabilities before normalisation, `numerics::exp2::probability(maximum - score)`, in C lanes, one word a cycle.
//!
//! ```text
//! lanes, maximum --> [maximum - score] --> [4 tables of 64] --> [one of them] --> [shift] --> [round] --> done, bytes
//! ```
//!
//! Scores are Q7.8; a byte is `p - 128` with `p = round(255 * 2^(score - maximum))`. Lanes from `lane_count` on lie beyond the row
//! and give `p = 0`. `done` comes [`LATENCY_CYCLES`] cycles after `valid`; the cell never stalls.

use crate::numerics::exp2::{probability, probability_table};
use crate::prelude::*;
use crate::primitives::leaf::{loop_text, rom_text, valid_text, Pipeline};

/// Cycles from `valid` to `done`.
pub const LATENCY_CYCLES: usize = 5;

/// The cell; see the module.
#[derive(LogicBlock, Default)]
pub struct ExpLanes {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub valid: Signal<In, Bit>,
    pub maximum: Signal<In, Bits<16>>,
    pub lane_count: Signal<In, Bits<7>>,
    pub lanes: Vec<Signal<In, Bits<16>>>,
    pub done: Signal<Out, Bit>,
    pub bytes: Vec<Signal<Out, Bits<8>>>,
    _results: Pipeline<Vec<u8>>,
}

impl ExpLanes {
    /// A cell of `columns` lanes.
    pub fn new(columns: usize) -> Self {
        Self {
            lanes: many(columns),
            bytes: many(columns),
            _results: Pipeline::new(LATENCY_CYCLES),
            ..Self::default()
        }
    }

    fn take_word(&self) -> Option<Vec<u8>> {
        let (maximum, count) = (self.maximum.val().index() as u16, self.lane_count.val().index());
        let byte = |(lane, score): (usize, &Signal<In, Bits<16>>)| {
            let distance = maximum.wrapping_sub(score.val().index() as u16);
            let p = if lane < count {
                probability(u32::from(distance))
            } else {
                0
            };
            p ^ 0x80
        };
        self.valid
            .val()
            .then(|| self.lanes.iter().enumerate().map(byte).collect())
    }
}

const LANE_TEXT: &str = "\
reg [15:0] distance, part_0, part_1, part_2, part_3, entry, shifted;
reg [9:0] places_1;
reg [7:0] places, result;
reg present, present_1, alive;
wire [15:0] rounded = shifted + 16'd128;
wire _unused = &{1'b0, rounded[7:0]};
assign bytes[8 * i +: 8] = result;
initial result = 8'd0;
always @(posedge clock) begin
  distance <= maximum - lanes[16 * i +: 16];
  present <= ~beyond[i];
  part_0 <= exponential[{2'd0, distance[5:0]}];
  part_1 <= exponential[{2'd1, distance[5:0]}];
  part_2 <= exponential[{2'd2, distance[5:0]}];
  part_3 <= exponential[{2'd3, distance[5:0]}];
  places_1 <= distance[15:6];
  present_1 <= present;
  entry <= places_1[1] ? (places_1[0] ? part_3 : part_2) : (places_1[0] ? part_1 : part_0);
  places <= places_1[9:2];
  alive <= present_1;
  shifted <= (alive && places < 8'd16) ? entry >> places[3:0] : 16'd0;
  if (loads) result <= {~rounded[15], rounded[14:8]};
end
";

impl Logic for ExpLanes {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let word = self.take_word();
        let result = self._results.step(word);
        self.done.next = result.is_some() && !self.reset.val();
        for (out, byte) in self.bytes.iter_mut().zip(result.iter().flatten()) {
            out.next = u64::from(*byte).into();
        }
        if self.reset.val() {
            self._results.clear();
        }
    }

    fn connect(&mut self) {
        self.done.connect();
        self.bytes.iter_mut().for_each(|out| out.connect());
    }

    fn hdl(&self) -> Verilog {
        let columns = self.lanes.len();
        let flow = valid_text(LATENCY_CYCLES);
        let rom = rom_text(
            "exponential",
            16,
            probability_table().iter().map(|&x| u64::from(x)),
        );
        Verilog::Custom(format!(
            "// module: ExpLanes_c{columns}\n{flow}{rom}wire [{top}:0] beyond = {{{columns}{{1'b1}}}} << lane_count;\ngenvar i;\n{}",
            loop_text("lane", columns, LANE_TEXT),
            top = columns - 1,
        ))
    }
}
