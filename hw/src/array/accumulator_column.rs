//! Accumulators of one column: two banks of both tokens' 32-bit sums, one entry a token pair.
//!
//! ```text
//! bank[write_bank][write_pair].t <= (first ? 0 : what was read) + (sum_t << {0, 7, 14}[shift])       32 bits, wrapping
//! ```
//!
//! * The pair's entry is read [`READ_AHEAD_CYCLES`](super::step_delay::READ_AHEAD_CYCLES) before its sum arrives and written
//!   two clock edges after: a pair may come back after four cycles, and a pass lasts at least eight.
//! * Each bank has its own read address: one accumulates while the other is drained through the same port (`drain_bank` selects the
//!   output; latency 2 cycles from `read_pair_*`, 0 from `drain_bank`).
//! * One pair a cycle, no stall, no reset: the first pass of a group does not look at old contents.
//!
//! ```text
//! read_pair_b --> [bank b] --> [data b] --+--> drain_bank ? --> drain_0, drain_1
//!                    ^                    +--> first ? 0 --> (+) --> [result]
//!                    |             sum_t << shift ------------^         |
//!                    +--------------------------------------------------+
//! ```

use super::column_sum::SUM_BITS;
use super::{from_bits, to_bits};
use crate::prelude::*;

/// Left shift of each code.
pub const PLANE_SHIFTS: [u32; 3] = [0, 7, 14];

/// The column; see the module.
#[derive(LogicBlock, Default)]
pub struct AccumulatorColumn {
    pub clock: Signal<In, Clock>,
    pub read_pair_0: Signal<In, Bits<10>>,
    pub read_pair_1: Signal<In, Bits<10>>,
    pub write: Signal<In, Bit>,
    pub write_pair: Signal<In, Bits<10>>,
    pub write_bank: Signal<In, Bit>,
    pub first: Signal<In, Bit>,
    pub shift: Signal<In, Bits<2>>,
    pub sum_0: Signal<In, Bits<SUM_BITS>>,
    pub sum_1: Signal<In, Bits<SUM_BITS>>,
    pub drain_bank: Signal<In, Bit>,
    pub drain_0: Signal<Out, Bits<32>>,
    pub drain_1: Signal<Out, Bits<32>>,
    _banks: [Vec<[i32; 2]>; 2],
    _stage: [[i32; 2]; 2],
    _data: [[i32; 2]; 2],
    _result: Option<Entry>,
}

/// A result on its way to memory.
struct Entry {
    bank: usize,
    pair: usize,
    sums: [i32; 2],
}

impl AccumulatorColumn {
    /// Banks of at least `pairs` pairs; addresses wrap at the next power of two.
    pub fn new(pairs: usize) -> Self {
        let bank = vec![[0; 2]; pairs.next_power_of_two()];
        Self {
            _banks: [bank.clone(), bank],
            ..Self::default()
        }
    }

    fn read(&mut self) {
        let last = self._banks[0].len() - 1;
        for (bank, pair) in [&self.read_pair_0, &self.read_pair_1].into_iter().enumerate() {
            self._data[bank] = self._stage[bank];
            self._stage[bank] = self._banks[bank][pair.val().index() & last];
        }
    }

    fn accumulate(&self) -> Entry {
        let bank = usize::from(self.write_bank.val());
        let old = if self.first.val() {
            [0; 2]
        } else {
            self._data[bank]
        };
        let shift = PLANE_SHIFTS.get(self.shift.val().index()).copied().unwrap_or(0);
        let sums = [from_bits(self.sum_0.val()), from_bits(self.sum_1.val())];
        Entry {
            bank,
            pair: self.write_pair.val().index() & (self._banks[0].len() - 1),
            sums: std::array::from_fn(|t| old[t].wrapping_add((sums[t] << shift) as i32)),
        }
    }
}

impl Logic for AccumulatorColumn {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let result = self.write.val().then(|| self.accumulate());
            self.read();
            if let Some(entry) = std::mem::replace(&mut self._result, result) {
                self._banks[entry.bank][entry.pair] = entry.sums;
            }
        }
        let drained = self._data[usize::from(self.drain_bank.val())];
        self.drain_0.next = to_bits(drained[0].into());
        self.drain_1.next = to_bits(drained[1].into());
    }

    fn connect(&mut self) {
        self.drain_0.connect();
        self.drain_1.connect();
    }

    fn hdl(&self) -> Verilog {
        let pairs = self._banks[0].len();
        let address_bits = pairs.ilog2() as usize;
        let unused = match address_bits {
            10 => String::new(),
            n => format!(
                "wire unused = &{{1'b0, read_pair_0[9:{n}], read_pair_1[9:{n}], write_pair[9:{n}]}};\n"
            ),
        };
        let body = VERILOG
            .replace("ADDRESS_TOP", &(address_bits - 1).to_string())
            .replace("LAST_PAIR", &(pairs - 1).to_string())
            .replace("SUM_TOP", &(SUM_BITS - 1).to_string())
            .replace("EXTENSION", &(32 - SUM_BITS).to_string());
        Verilog::Custom(format!("// module: AccumulatorColumn_p{pairs}\n{unused}{body}"))
    }
}

const VERILOG: &str = "\
(* ram_style = \"block\" *) reg [63:0] bank_0 [0:LAST_PAIR];
(* ram_style = \"block\" *) reg [63:0] bank_1 [0:LAST_PAIR];
reg [63:0] stage_0, stage_1, data_0, data_1, result;
reg result_0, result_1;
reg [ADDRESS_TOP:0] result_pair;
wire [63:0] old = first ? 64'd0 : write_bank ? data_1 : data_0;
wire [31:0] wide_0 = {{EXTENSION{sum_0[SUM_TOP]}}, sum_0};
wire [31:0] wide_1 = {{EXTENSION{sum_1[SUM_TOP]}}, sum_1};
wire [31:0] term_0 = shift == 2'd1 ? {wide_0[24:0], 7'd0} : shift == 2'd2 ? {wide_0[17:0], 14'd0} : wide_0;
wire [31:0] term_1 = shift == 2'd1 ? {wide_1[24:0], 7'd0} : shift == 2'd2 ? {wide_1[17:0], 14'd0} : wide_1;
assign {drain_1, drain_0} = drain_bank ? data_1 : data_0;
always @(posedge clock) begin
  if (result_0) bank_0[result_pair] <= result;
  if (result_1) bank_1[result_pair] <= result;
  stage_0 <= bank_0[read_pair_0[ADDRESS_TOP:0]];
  stage_1 <= bank_1[read_pair_1[ADDRESS_TOP:0]];
  data_0 <= stage_0;
  data_1 <= stage_1;
  result <= {old[63:32] + term_1, old[31:0] + term_0};
  result_pair <= write_pair[ADDRESS_TOP:0];
  result_0 <= write && !write_bank;
  result_1 <= write && write_bank;
end
`ifndef SYNTHESIS
integer i;
initial begin
  stage_0 = 64'd0;
  stage_1 = 64'd0;
  data_0 = 64'd0;
  data_1 = 64'd0;
  result = 64'd0;
  result_pair = 0;
  result_0 = 1'b0;
  result_1 = 1'b0;
  for (i = 0; i <= LAST_PAIR; i = i + 1) begin
    bank_0[i] = 64'd0;
    bank_1[i] = 64'd0;
  end
end
`endif
";
