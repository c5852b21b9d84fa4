//! Address of a row's word: `address = word + row * stride` (16 bits, wrapping).
//!
//! Latency [`LATENCY_CYCLES`], one address a cycle, no stall. The product is too small for a DSP.
//!
//! ```text
//! row, stride --> [input] --> (x) --> [product] --> (+) --> [address]
//! word ---------> [input] ----------> [delay] -------^
//! ```

use crate::prelude::*;

/// Cycles from `row` to `address`.
pub const LATENCY_CYCLES: usize = 3;

/// The cell; see the module.
#[derive(LogicBlock, Default)]
pub struct RowAddress {
    pub clock: Signal<In, Clock>,
    pub row: Signal<In, Bits<11>>,
    pub stride: Signal<In, Bits<8>>,
    pub word: Signal<In, Bits<16>>,
    pub address: Signal<Out, Bits<16>>,
    _row: u64,
    _stride: u64,
    _word: u64,
    _product: u64,
    _word_of_product: u64,
}

impl Logic for RowAddress {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        self.address.next = (self._product + self._word_of_product & 0xffff).into();
        self._product = self._row * self._stride;
        self._word_of_product = self._word;
        self._row = self.row.val().into();
        self._stride = self.stride.val().into();
        self._word = self.word.val().into();
    }

    fn connect(&mut self) {
        self.address.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "// module: RowAddress\n\
             reg [10:0] row_in;\ninitial row_in = 11'd0;\nreg [7:0] stride_in;\ninitial stride_in = 8'd0;\nreg [15:0] word_in;\ninitial word_in = 16'd0;\n\
             // row * stride in two halves: too small for a DSP, too deep for one step.\n\
             (* use_dsp = \"no\" *) wire [14:0] low_product;\n\
             assign low_product = {4'd0, row_in} * {11'd0, stride_in[3:0]};\n\
             (* use_dsp = \"no\" *) wire [14:0] high_product;\n\
             assign high_product = {4'd0, row_in} * {11'd0, stride_in[7:4]};\n\
             reg [14:0] low;\nreg [11:0] high;\nreg [15:0] word_of_product, sum;\n\
             initial begin low = 15'd0; high = 12'd0; word_of_product = 16'd0; sum = 16'd0; end\n\
             wire unused = &{1'b0, high_product[14:12]};\n\
             assign address = sum;\n\
             always @(posedge clock) begin\n\
             \x20 row_in <= row;\n  stride_in <= stride;\n  word_in <= word;\n\
             \x20 low <= low_product;\n  high <= high_product[11:0];\n  word_of_product <= word_in;\n\
             \x20 sum <= {1'b0, low} + {high, 4'd0} + word_of_product;\nend\n"
                .into(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::bench::{tick, Random};

    #[test]
    fn multiplies_and_adds_with_its_latency() {
        let mut cell = RowAddress::default();
        let mut random = Random::new(5);
        let (mut wanted, mut compared) = (vec![], 0);
        for cycle in 0..1_000 {
            let (row, stride, word) = (
                random.next() & 0x7ff,
                random.next() & 0xff,
                random.next() & 0xffff,
            );
            cell.row.next = row.into();
            cell.stride.next = stride.into();
            cell.word.next = word.into();
            wanted.push((word + row * stride) & 0xffff);
            tick!(cell);
            if cycle + 1 >= LATENCY_CYCLES {
                assert_eq!(cell.address.val(), wanted[cycle + 1 - LATENCY_CYCLES]);
                compared += 1;
            }
        }
        assert_eq!(compared, 998);
    }
}
