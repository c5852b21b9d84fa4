//! Largest score of a row that arrives C scores a cycle.
//!
//! ```text
//! lanes --> [mask the lanes beyond the row] --> [tree, log2(C) levels] --> [running maximum] --> done, maximum
//! ```
//!
//! Scores are Q7.8, two's complement. In the row's last word only the lowest `last_lanes` lanes count (1 to C). One word a cycle;
//! `done` comes [`latency_cycles`] cycles after the last word. Rows may follow each other directly.

use crate::prelude::*;
use crate::primitives::leaf::{row_flow_text, signed, tree_text, unsigned, Pipeline};

/// Cycles from a row's last word to `done`.
pub fn latency_cycles(columns: usize) -> usize {
    2 + columns.ilog2() as usize
}

/// The cell; see the module.
#[derive(LogicBlock, Default)]
pub struct RowMaximum {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub valid: Signal<In, Bit>,
    pub first: Signal<In, Bit>,
    pub last: Signal<In, Bit>,
    pub last_lanes: Signal<In, Bits<7>>,
    pub lanes: Vec<Signal<In, Bits<16>>>,
    pub done: Signal<Out, Bit>,
    pub maximum: Signal<Out, Bits<16>>,
    _maximum: i16,
    _results: Pipeline<i16>,
}

impl RowMaximum {
    /// A cell for words of `columns` scores.
    pub fn new(columns: usize) -> Self {
        Self {
            lanes: many(columns),
            _maximum: i16::MIN,
            _results: Pipeline::new(latency_cycles(columns)),
            ..Self::default()
        }
    }

    fn take_word(&mut self) -> Option<i16> {
        if !self.valid.val() {
            return None;
        }
        if self.first.val() {
            self._maximum = i16::MIN;
        }
        let count = match self.last.val() {
            true => self.last_lanes.val().index(),
            false => self.lanes.len(),
        };
        for lane in self.lanes.iter().take(count) {
            let score = signed(lane.val().index() as u64, 16) as i16;
            self._maximum = self._maximum.max(score);
        }
        self.last.val().then_some(self._maximum)
    }

    fn running_text(levels: usize) -> String {
        format!(
            "reg signed [15:0] running;\nreg [15:0] result;\n\
             wire signed [15:0] best = restart ? 16'sh8000 : running;\n\
             wire signed [15:0] larger = (level_{levels}[0].score > best) ? level_{levels}[0].score : best;\n\
             assign maximum = result;\n\
             initial begin\n  running = 16'sh8000;\n  result = 16'd0;\nend\n\
             always @(posedge clock) begin\n  if (reset) running <= 16'sh8000;\n  else if (word) running <= larger;\n  \
             if (loads) result <= larger;\nend\n"
        )
    }
}

const LEAF_TEXT: &str = "\
reg signed [15:0] score;
always @(posedge clock) score <= (last && beyond[i]) ? 16'h8000 : lanes[16 * i +: 16];
";

const NODE_TEXT: &str = "\
wire signed [15:0] a = BELOW[2 * i].score;
wire signed [15:0] b = BELOW[2 * i + 1].score;
reg signed [15:0] score;
always @(posedge clock) score <= (a > b) ? a : b;
";

impl Logic for RowMaximum {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let row = self.take_word();
        let result = self._results.step(row);
        self.done.next = result.is_some() && !self.reset.val();
        if let Some(maximum) = result {
            self.maximum.next = unsigned(i64::from(maximum), 16).into();
        }
        if self.reset.val() {
            self._results.clear();
            self._maximum = i16::MIN;
        }
    }

    fn connect(&mut self) {
        self.done.connect();
        self.maximum.connect();
    }

    fn hdl(&self) -> Verilog {
        let columns = self.lanes.len();
        let levels = columns.ilog2() as usize;
        let flow = row_flow_text(latency_cycles(columns));
        Verilog::Custom(format!(
            "// module: RowMaximum_c{columns}\n{flow}wire [{top}:0] beyond = {{{columns}{{1'b1}}}} << last_lanes;\ngenvar i;\n{}{}",
            tree_text(columns, LEAF_TEXT, |_, below| NODE_TEXT.replace("BELOW", below)),
            Self::running_text(levels),
            top = columns - 1,
        ))
    }
}
