//! One DSP: two INT8 products a cycle that share a weight, added to a cascade.
//!
//! ```text
//! P = (token_1 * 2^18 + token_0) * weight + cascade_in          signed, 48 bits
//! ```
//!
//! * Operands: tokens -128..=127, weights -127..=127, all two's complement.
//! * The low 18 bits of a cascade of 8 cells hold token 0's sum exactly: 8 * 128 * 127 = 130,048 < 2^17. The packed operand lies in
//!   -2^25 - 128 ..= 2^25, inside the 27 bits of the pre-adder. (A packing by 2^19 would allow 16 cells, but -128 * 2^19 - 1 overflows
//!   the pre-adder, and -128 is what a probability of zero streams as.)
//! * Latency: [`TOKEN_CYCLES`] from the tokens to `cascade_out`, [`CASCADE_CYCLES`] from `cascade_in`. One pair a cycle, no stall.
//! * Weights: `load` shifts `weight_in` into B1 and B1 on to `weight_out`; `swap` copies B1 to B2, which multiplies. A swap presented
//!   [`SWAP_CYCLES`] after a pair of tokens makes that pair the first one of the new weight.
//! * The cascade is a 48-bit value in two words of 24 bits, the halves of a DSP48E2's PCIN and PCOUT. The weight cascade is its BCIN and
//!   BCOUT: 18 bits, the weight's sign repeated. Those pins have no wires but the ones to the next cell, so the last cell of a cascade
//!   gives its sum from P.
//!
//! ```text
//! weight, or
//! weight_in --> [B1] --+--> weight_out        token_1 << 18 --> [A] --+
//!               load   +--> [B2] swap                                 (+)--> [AD] --(x B2)--> [M] --(+ cascade_in)--> [P] --> cascade_out
//!                                             token_0 -------> [D] --+
//! ```
//!
//! With `MOEVIT_DSP48E2` defined, the Verilog is an instance of that primitive instead of the same behaviour.

use super::{from_bits, to_bits};
use crate::prelude::*;

/// Cycles from the tokens to the cascade output.
pub const TOKEN_CYCLES: usize = 4;
/// Cycles from the cascade input to its output.
pub const CASCADE_CYCLES: usize = 1;
/// Cycles after a pair of tokens at which its swap is presented.
pub const SWAP_CYCLES: usize = 1;
/// Distance of the two packed tokens, bits.
pub const PACKING_BITS: usize = 18;
/// Bits of one of the two words of the cascade.
pub const CASCADE_WORD_BITS: usize = 24;

/// The macro that chooses the primitive.
pub const PRIMITIVE_MACRO: &str = "MOEVIT_DSP48E2";
/// The primitive as far as the cell uses it, for tools without AMD's library.
pub const DSP48E2_MODEL: &str = include_str!("dsp48e2_model.v");

/// Where a cell stands: it decides the primitive's input multiplexers, and which of its outputs the sum leaves by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// First of a cascade and of a load segment: weight from the bus, nothing to add.
    #[default]
    CascadeHead,
    /// First of a load segment in the middle of a cascade: weight from the bus.
    SegmentHead,
    /// Weight and cascade from the cell before.
    Inner,
    /// Last of a cascade: its sum goes to the fabric.
    Tail,
}

/// The cell; see the module.
#[derive(LogicBlock, Default)]
pub struct MacPair {
    pub clock: Signal<In, Clock>,
    pub load: Signal<In, Bit>,
    pub swap: Signal<In, Bit>,
    /// From the bus, at the head of a segment.
    pub weight: Signal<In, Bits<8>>,
    /// From the cell before.
    pub weight_in: Signal<In, Bits<18>>,
    pub weight_out: Signal<Out, Bits<18>>,
    pub token_0: Signal<In, Bits<8>>,
    pub token_1: Signal<In, Bits<8>>,
    pub cascade_in_low: Signal<In, Bits<24>>,
    pub cascade_in_high: Signal<In, Bits<24>>,
    pub cascade_out_low: Signal<Out, Bits<24>>,
    pub cascade_out_high: Signal<Out, Bits<24>>,
    _place: Place,
    _a: i64,
    _d: i64,
    _ad: i64,
    _m: i64,
    _b1: i64,
    _b2: i64,
}

impl MacPair {
    pub fn new(place: Place) -> Self {
        Self {
            _place: place,
            ..Self::default()
        }
    }

    fn is_head(&self) -> bool {
        matches!(self._place, Place::CascadeHead | Place::SegmentHead)
    }

    fn weight(&self) -> i64 {
        match self.is_head() {
            true => from_bits(self.weight.val()),
            false => from_bits(self.weight_in.val()),
        }
    }

    fn cascade_in(&self) -> i64 {
        let low: u64 = self.cascade_in_low.val().into();
        from_bits(self.cascade_in_high.val()) << CASCADE_WORD_BITS | low as i64
    }
}

impl Logic for MacPair {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let added = match self._place {
            Place::CascadeHead => 0,
            _ => self.cascade_in(),
        };
        let p = self._m + added;
        self.cascade_out_low.next = to_bits(p);
        self.cascade_out_high.next = to_bits(p >> CASCADE_WORD_BITS);
        self._m = self._ad * self._b2;
        self._ad = self._a + self._d;
        self._a = from_bits(self.token_1.val()) << PACKING_BITS;
        self._d = from_bits(self.token_0.val());
        if self.swap.val() {
            self._b2 = self._b1;
        }
        if self.load.val() {
            self._b1 = self.weight();
            self.weight_out.next = to_bits(self._b1);
        }
    }

    fn connect(&mut self) {
        self.weight_out.connect();
        self.cascade_out_low.connect();
        self.cascade_out_high.connect();
    }

    fn hdl(&self) -> Verilog {
        let is_tail = self._place == Place::Tail;
        let (b_input, opmode) = match self._place {
            Place::CascadeHead => ("DIRECT", "000000101"),
            Place::SegmentHead => ("DIRECT", "000010101"),
            Place::Inner | Place::Tail => ("CASCADE", "000010101"),
        };
        Verilog::Custom(format!(
            "// module: MacPair #(HEAD = {head}, TAIL = {tail}, B_INPUT = \"{b_input}\", OPMODE = 9'b{opmode})\n\
             `ifdef {PRIMITIVE_MACRO}\n{PRIMITIVE}`else\n{BEHAVIOUR}`endif\n",
            head = u8::from(self.is_head()),
            tail = u8::from(is_tail),
        ))
    }
}

const BEHAVIOUR: &str = "\
reg signed [17:0] b1, b2;
reg signed [26:0] a, d, ad;
reg signed [44:0] m;
reg signed [47:0] p;
wire [47:0] cascade_in = OPMODE[4] ? {cascade_in_high, cascade_in_low} : 48'd0;
// What only the primitive is told.
wire unused = &{1'b0, weight, weight_in, TAIL == 1, B_INPUT == \"\", OPMODE};
assign weight_out = b1;
assign {cascade_out_high, cascade_out_low} = p;
always @(posedge clock) begin
  if (load) b1 <= HEAD == 1 ? {{10{weight[7]}}, weight} : weight_in;
  if (swap) b2 <= b1;
  a <= {token_1[7], token_1, 18'd0};
  d <= {{19{token_0[7]}}, token_0};
  ad <= a + d;
  m <= ad * b2;
  p <= {{3{m[44]}}, m} + cascade_in;
end
initial begin
  b1 = 18'd0; b2 = 18'd0; a = 27'd0; d = 27'd0; ad = 27'd0; m = 45'd0; p = 48'd0;
end
";

const PRIMITIVE: &str = "\
wire [17:0] bcout;
wire [47:0] pcout, sum;
assign weight_out = bcout;
assign {cascade_out_high, cascade_out_low} = TAIL == 1 ? sum : pcout;
// Not every place uses all of them.
wire unused = &{1'b0, weight, weight_in, cascade_in_high, cascade_in_low, pcout, sum};
// The cell's other outputs lead nowhere.
/* verilator lint_off PINCONNECTEMPTY */
DSP48E2 #(
  .AMULTSEL(\"AD\"), .PREADDINSEL(\"A\"), .BMULTSEL(\"B\"), .USE_MULT(\"MULTIPLY\"),
  .A_INPUT(\"DIRECT\"), .B_INPUT(B_INPUT),
  .AREG(1), .ACASCREG(1), .DREG(1), .ADREG(1), .BREG(2), .BCASCREG(1), .MREG(1), .PREG(1), .CREG(1),
  .ALUMODEREG(0), .CARRYINREG(0), .CARRYINSELREG(0), .INMODEREG(0), .OPMODEREG(0)
) dsp (
  .CLK(clock), .A({{3{token_1[7]}}, token_1[7], token_1, 18'd0}), .D({{19{token_0[7]}}, token_0}),
  .B(HEAD == 1 ? {{10{weight[7]}}, weight} : 18'd0), .BCIN(HEAD == 1 ? 18'd0 : weight_in),
  .C(48'd0), .PCIN(OPMODE[4] ? {cascade_in_high, cascade_in_low} : 48'd0),
  .CEB1(load), .CEB2(swap), .CEA1(1'b0), .CEA2(1'b1), .CED(1'b1), .CEAD(1'b1), .CEM(1'b1), .CEP(1'b1),
  .CEC(1'b1), .CEALUMODE(1'b1), .CECARRYIN(1'b1), .CECTRL(1'b1), .CEINMODE(1'b1),
  .INMODE(5'b00100), .ALUMODE(4'b0000), .OPMODE(OPMODE), .CARRYIN(1'b0), .CARRYINSEL(3'b000),
  .RSTA(1'b0), .RSTB(1'b0), .RSTC(1'b0), .RSTD(1'b0), .RSTM(1'b0), .RSTP(1'b0),
  .RSTALLCARRYIN(1'b0), .RSTALUMODE(1'b0), .RSTCTRL(1'b0), .RSTINMODE(1'b0),
  .ACIN(30'd0), .CARRYCASCIN(1'b0), .MULTSIGNIN(1'b0),
  .BCOUT(bcout), .PCOUT(pcout), .P(sum), .ACOUT(), .CARRYCASCOUT(), .CARRYOUT(), .MULTSIGNOUT(),
  .OVERFLOW(), .PATTERNBDETECT(), .PATTERNDETECT(), .UNDERFLOW(), .XOROUT()
);
/* verilator lint_on PINCONNECTEMPTY */
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::bench::{tick, Random};
    use crate::config::CASCADE_LANES;

    /// The worst packed operand keeps to the pre-adder and the worst sum to the lower field.
    #[test]
    fn the_packing_is_exact_at_its_limits() {
        let limit = CASCADE_LANES as i64 * 128 * 127;
        assert!(limit < 1 << (PACKING_BITS - 1));
        let packed = (-128i64 << PACKING_BITS) - 128;
        assert!(packed >= -(1 << 26));
    }

    /// Drives random loads, swaps, tokens and cascades and compares with the formula, pipeline written out as a queue.
    #[test]
    fn matches_the_formula_with_its_latencies() {
        let mut random = Random::new(7);
        let mut cell = MacPair::new(Place::Inner);
        let (mut b1, mut b2) = (0i64, 0i64);
        let (mut packed, mut products) = (vec![0i64; 2], vec![0i64]);
        let mut compared = 0;
        for cycle in 0..4_000 {
            let corner = cycle % 3 == 0;
            let token = |random: &mut Random| {
                if corner {
                    *random.pick(&[-128, 127, 0])
                } else {
                    random.signed(8)
                }
            };
            let (t0, t1) = (token(&mut random), token(&mut random));
            let weight = if corner {
                *random.pick(&[-127, 127])
            } else {
                random.signed(8).max(-127)
            };
            let (load, swap) = (random.chance(40), random.chance(30));
            let cascade = random.signed(40);
            cell.token_0.next = to_bits(t0);
            cell.token_1.next = to_bits(t1);
            cell.weight_in.next = to_bits(weight);
            cell.load.next = load;
            cell.swap.next = swap;
            cell.cascade_in_low.next = to_bits(cascade);
            cell.cascade_in_high.next = to_bits(cascade >> 24);
            tick!(cell);
            let p = products[0] + cascade;
            products[0] = packed.remove(0) * b2;
            packed.push((t1 << 18) + t0);
            b2 = if swap { b1 } else { b2 };
            b1 = if load { weight } else { b1 };
            let low: u64 = cell.cascade_out_low.val().into();
            assert_eq!(
                from_bits(cell.cascade_out_high.val()) << 24 | low as i64,
                p,
                "cycle {cycle}"
            );
            assert_eq!(from_bits(cell.weight_out.val()), b1, "cycle {cycle}");
            compared += 1;
        }
        assert_eq!(compared, 4_000);
    }
}
