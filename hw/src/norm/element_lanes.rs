//! Normalised elements of a word: `numerics::layer_norm::element` in C lanes, one word a cycle.
//!
//! ```text
//! lanes, scale --> [(x << 10) - mean] --> [* factor: 2] --> [>> 8s] --> [>> 1s] --> [sat17] --> [round, saturate] --> [byte] --> done, bytes
//! ```
//!
//! Narrow: a byte in `-128..=127`. Wide: 15 bits, of which `low` chooses the plane (`x = 128 * high + low`). `done` comes
//! [`LATENCY_CYCLES`] cycles after `valid`. All inputs belong to the word; the cell never stalls.

use crate::numerics::byte_planes;
use crate::numerics::layer_norm::{element, RowScale as Scale};
use crate::prelude::*;
use crate::primitives::leaf::{loop_text, signed, valid_text, Pipeline};

/// Cycles from `valid` to `done`.
pub const LATENCY_CYCLES: usize = 8;

/// The cell; see the module.
#[derive(LogicBlock, Default)]
pub struct ElementLanes {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub valid: Signal<In, Bit>,
    pub lanes: Vec<Signal<In, Bits<16>>>,
    pub mean: Signal<In, Bits<27>>,
    pub factor: Signal<In, Bits<17>>,
    pub shift: Signal<In, Bits<6>>,
    pub wide: Signal<In, Bit>,
    pub low: Signal<In, Bit>,
    pub done: Signal<Out, Bit>,
    pub bytes: Vec<Signal<Out, Bits<8>>>,
    _results: Pipeline<Vec<u8>>,
}

impl ElementLanes {
    /// A cell of `columns` lanes.
    pub fn new(columns: usize) -> Self {
        Self {
            lanes: many(columns),
            bytes: many(columns),
            _results: Pipeline::new(LATENCY_CYCLES),
            ..Self::default()
        }
    }

    fn byte(&self, x: i16, row: &Scale) -> u8 {
        let y = element(x, row, self.wide.val());
        match (self.wide.val(), self.low.val()) {
            (false, _) => y as u8,
            (true, false) => byte_planes(y).0 as u8,
            (true, true) => byte_planes(y).1 as u8,
        }
    }

    fn take_word(&self) -> Option<Vec<u8>> {
        let row = Scale {
            mean: signed(self.mean.val().index() as u64, 27) as i32,
            factor: self.factor.val().index() as u32,
            shift: self.shift.val().index() as u32,
        };
        let lanes = self.lanes.iter();
        self.valid.val().then(|| {
            lanes
                .map(|lane| self.byte(lane.val().index() as i16, &row))
                .collect()
        })
    }
}

/// Flags and shifts that travel with the word. The product is below 2^43: from 44 on every shift gives 0.
const WORD_TEXT: &str = "\
reg [16:0] factor_1;
reg [5:0] shift_1, shift_2, shift_3;
reg [2:0] shift_4;
reg [6:0] wide_flags, low_flags;
always @(posedge clock) begin
  factor_1 <= factor;
  shift_1 <= (shift > 6'd44) ? 6'd44 : shift;
  shift_2 <= shift_1;
  shift_3 <= shift_2;
  shift_4 <= shift_3[2:0];
  wide_flags <= {wide_flags[5:0], wide};
  low_flags <= {low_flags[5:0], low};
end
";

const LANE_TEXT: &str = "\
wire [15:0] x = lanes[16 * i +: 16];
reg [7:0] result;
initial result = 8'd0;
reg signed [26:0] centred;
wire signed [17:0] factor_signed = {1'b0, factor_1};
reg signed [43:0] product, product_held;
// Twice the shifted product, whose last bit rounds.
reg signed [44:0] coarse, fine;
reg signed [16:0] clamped;
wire fits = fine[44:16] == {29{fine[44]}};
wire too_high = ~clamped[16] & (wide_flags[5] ? clamped > 17'sd32638 : clamped > 17'sd254);
wire too_low = clamped[16] & (wide_flags[5] ? clamped < -17'sd32639 : clamped < -17'sd257);
wire [14:0] rounded = clamped[15:1] + {14'd0, clamped[0]};
wire [14:0] most = wide_flags[5] ? 15'd16319 : 15'd127;
wire [14:0] least = wide_flags[5] ? 15'd16449 : 15'd32640;
reg [14:0] y;
wire [14:0] shifted = y + 15'd64;
wire [7:0] low_byte = {~shifted[6], ~shifted[6], shifted[5:0]};
wire [7:0] wide_byte = low_flags[6] ? low_byte : shifted[14:7];
always @(posedge clock) begin
  centred <= {x[15], x, 10'd0} - mean;
  product <= centred * factor_signed;
  product_held <= product;
  coarse <= $signed({product_held, 1'b0}) >>> {shift_3[5:3], 3'd0};
  fine <= coarse >>> shift_4;
  clamped <= fits ? fine[16:0] : {fine[44], {16{~fine[44]}}};
  y <= too_high ? most : too_low ? least : rounded;
  if (loads) result <= wide_flags[6] ? wide_byte : y[7:0];
end
assign bytes[8 * i +: 8] = result;
";

impl Logic for ElementLanes {
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
        Verilog::Custom(format!(
            "// module: ElementLanes_c{columns}\n{}{WORD_TEXT}genvar i;\n{}",
            valid_text(LATENCY_CYCLES),
            loop_text("lane", columns, LANE_TEXT),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::{tick, Rng};
    use crate::primitives::leaf::unsigned;
    use std::collections::VecDeque;

    fn want(lanes: &[i16], row: &Scale, wide: bool, low: bool) -> Vec<u8> {
        let plane = |y| if low { byte_planes(y).1 } else { byte_planes(y).0 };
        let byte = |&x: &i16| match wide {
            true => plane(element(x, row, true)) as u8,
            false => element(x, row, false) as u8,
        };
        lanes.iter().map(byte).collect()
    }

    #[test]
    fn bytes_of_a_word_a_cycle_in_every_mode() {
        let mut rng = Rng::new(31);
        let mut cell = ElementLanes::new(4);
        let (mut expected, mut compared) = (VecDeque::new(), 0);
        cell.connect_all();
        for _ in 0..8_000 {
            let lanes: Vec<i16> = (0..4).map(|_| rng.next_u64() as i16).collect();
            let mean = signed(rng.bits(26), 26) as i32;
            let (factor, shift) = (rng.bits(17) as u32, rng.bits(6) as u32);
            let row = Scale { mean, factor, shift };
            (cell.wide.next, cell.low.next) = (rng.chance(50), rng.chance(50));
            cell.valid.next = rng.chance(80);
            for (port, x) in cell.lanes.iter_mut().zip(&lanes) {
                port.next = unsigned(i64::from(*x), 16).into();
            }
            cell.mean.next = unsigned(i64::from(mean), 27).into();
            cell.factor.next = u64::from(factor).into();
            cell.shift.next = u64::from(shift).into();
            if cell.valid.next {
                expected.push_back(want(&lanes, &row, cell.wide.next, cell.low.next));
            }
            tick(&mut cell, |c, level| c.clock.next = level.into()).unwrap();
            if cell.done.val() {
                let got: Vec<u8> = cell.bytes.iter().map(|b| b.val().index() as u8).collect();
                assert_eq!(Some(got), expected.pop_front());
                compared += 1;
            }
        }
        assert!(compared > 6_000 && expected.len() < LATENCY_CYCLES, "{compared}");
    }
}
