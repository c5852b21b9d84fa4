//! Largest score of a row that arrives C scores a cycle.
//!
//! ```text
//! lanes --> [mask the lanes beyond the row] --> [tree, log2(C) levels] --> [running maximum] --> done, maximum
//! ```
//!
//! Scores are Q7.8, two's complement. In the row's last word only the lowest `last_lanes` lanes count (1 to C). One word a cycle;
//! `done` comes [`latency_cycles`] cycles after the last word. Rows may follow each other directly.

use crate::prelude::*;
use crate::primitives::leaf::{ports, row_flow_text, signed, unsigned, Pipeline};

/// Cycles from a row's last word to `done`.
pub fn latency_cycles(columns: usize) -> usize {
    2 + columns.ilog2() as usize
}

/// The cell; see the module.
#[derive(LogicBlock)]
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
            clock: Signal::default(),
            reset: Signal::default(),
            valid: Signal::default(),
            first: Signal::default(),
            last: Signal::default(),
            last_lanes: Signal::default(),
            lanes: ports(columns),
            done: Signal::default(),
            maximum: Signal::default(),
            _maximum: i16::MIN,
            _results: Pipeline::new(latency_cycles(columns)),
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

    fn input_text(lane: usize) -> String {
        format!(
            "reg signed [15:0] score_0_{lane};\n\
             always @(posedge clock) score_0_{lane} <= (last && last_lanes <= 7'd{lane}) ? 16'h8000 : lanes_{lane};\n"
        )
    }

    fn node_text(level: usize, node: usize) -> String {
        let (below, a, b) = (level - 1, 2 * node, 2 * node + 1);
        format!(
            "reg signed [15:0] score_{level}_{node};\n\
             always @(posedge clock)\n  \
             score_{level}_{node} <= (score_{below}_{a} > score_{below}_{b}) ? score_{below}_{a} : score_{below}_{b};\n"
        )
    }

    fn running_text(levels: usize) -> String {
        format!(
            "reg signed [15:0] running;\nreg [15:0] result;\n\
             wire signed [15:0] best = restart ? 16'sh8000 : running;\n\
             wire signed [15:0] larger = (score_{levels}_0 > best) ? score_{levels}_0 : best;\n\
             assign maximum = result;\n\
             initial begin\n  running = 16'sh8000;\n  result = 16'd0;\nend\n\
             always @(posedge clock) begin\n  if (reset) running <= 16'sh8000;\n  else if (word) running <= larger;\n  \
             if (loads) result <= larger;\nend\n"
        )
    }
}

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
        let inputs: String = (0..columns).map(Self::input_text).collect();
        let tree: String = (1..=levels)
            .flat_map(|level| (0..columns >> level).map(move |node| Self::node_text(level, node)))
            .collect();
        Verilog::Custom(format!(
            "// module: RowMaximum_c{columns}\n{flow}{inputs}{tree}{}",
            Self::running_text(levels)
        ))
    }
}
