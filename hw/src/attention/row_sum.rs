//! Sum of a row's probabilities, which arrive as C bytes `p - 128` a cycle.
//!
//! ```text
//! lanes --> [tree, log2(C) levels] --> [+ accumulator] --> done, sum
//! ```
//!
//! One word a cycle; `done` comes [`latency_cycles`] cycles after the row's last word. The sum has 24 bits, the width of the
//! reciprocal's input; a row of 2,047 probabilities needs 19.

use crate::prelude::*;
use crate::primitives::leaf::{row_flow_text, tree_text, Pipeline};

/// Cycles from a row's last word to `done`.
pub fn latency_cycles(columns: usize) -> usize {
    1 + columns.ilog2() as usize
}

const SUM_MASK: u32 = (1 << 24) - 1;

/// The cell; see the module.
#[derive(LogicBlock, Default)]
pub struct RowSum {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub valid: Signal<In, Bit>,
    pub first: Signal<In, Bit>,
    pub last: Signal<In, Bit>,
    pub lanes: Vec<Signal<In, Bits<8>>>,
    pub done: Signal<Out, Bit>,
    pub sum: Signal<Out, Bits<24>>,
    _sum: u32,
    _results: Pipeline<u32>,
}

impl RowSum {
    /// A cell for words of `columns` bytes.
    pub fn new(columns: usize) -> Self {
        Self {
            lanes: many(columns),
            _sum: 0,
            _results: Pipeline::new(latency_cycles(columns)),
            ..Self::default()
        }
    }

    fn take_word(&mut self) -> Option<u32> {
        if !self.valid.val() {
            return None;
        }
        if self.first.val() {
            self._sum = 0;
        }
        let word: u32 = self
            .lanes
            .iter()
            .map(|lane| lane.val().index() as u32 ^ 0x80)
            .sum();
        self._sum = (self._sum + word) & SUM_MASK;
        self.last.val().then_some(self._sum)
    }

    fn node_text(level: usize, below: &str) -> String {
        let top = 7 + level;
        format!(
            "reg [{top}:0] part;\n\
             always @(posedge clock) part <= {{1'b0, {below}[2 * i].part}} + {{1'b0, {below}[2 * i + 1].part}};\n"
        )
    }
}

/// A lane, made unsigned.
const LEAF_TEXT: &str = "wire [7:0] part = {~lanes[8 * i + 7], lanes[8 * i +: 7]};\n";

impl Logic for RowSum {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let row = self.take_word();
        let result = self._results.step(row);
        self.done.next = result.is_some() && !self.reset.val();
        if let Some(sum) = result {
            self.sum.next = u64::from(sum).into();
        }
        if self.reset.val() {
            self._results.clear();
            self._sum = 0;
        }
    }

    fn connect(&mut self) {
        self.done.connect();
        self.sum.connect();
    }

    fn hdl(&self) -> Verilog {
        let columns = self.lanes.len();
        let levels = columns.ilog2() as usize;
        let flow = row_flow_text(latency_cycles(columns));
        Verilog::Custom(format!(
            "// module: RowSum_c{columns}\n{flow}genvar i;\n{tree}\
             reg [23:0] total, result;\n\
             wire [23:0] next = (restart ? 24'd0 : total) + {{{fill}'d0, level_{levels}[0].part}};\n\
             assign sum = result;\ninitial begin\n  total = 24'd0;\n  result = 24'd0;\nend\n\
             always @(posedge clock) begin\n  if (reset) total <= 24'd0;\n  else if (word) total <= next;\n  \
             if (loads) result <= next;\nend\n",
            tree = tree_text(columns, LEAF_TEXT, Self::node_text),
            fill = 16 - levels,
        ))
    }
}
