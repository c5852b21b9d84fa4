//! The largest [`MAX_TOP_K`] logits of a token, which arrive one a cycle; ties go to the lower expert.
//!
//! A sorted list of four entries. A new logit moves in before the first entry that is smaller, so an equal one that came earlier
//! keeps its rank.
//!
//! ```text
//! logit, expert --> compare with 4 entries --> shift and insert --> [entries] --last--> done, maximum, chosen
//! ```
//!
//! `done` comes [`LATENCY_CYCLES`] cycle after the token's last logit; the results stay until the next token's. With fewer than four
//! experts the remaining ranks are 0.

use crate::config::MAX_TOP_K;
use crate::prelude::*;
use crate::primitives::leaf::{ports, signed, unsigned};

/// Cycles from a token's last logit to `done`.
pub const LATENCY_CYCLES: usize = 1;

/// A rank of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    valid: bool,
    logit: i32,
    expert: u8,
}

/// The cell; see the module.
#[derive(LogicBlock)]
pub struct TopK {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub valid: Signal<In, Bit>,
    pub first: Signal<In, Bit>,
    pub last: Signal<In, Bit>,
    pub expert: Signal<In, Bits<5>>,
    pub logit: Signal<In, Bits<24>>,
    pub done: Signal<Out, Bit>,
    pub maximum: Signal<Out, Bits<24>>,
    pub chosen: Vec<Signal<Out, Bits<5>>>,
    _entries: [Entry; MAX_TOP_K],
}

impl Default for TopK {
    fn default() -> Self {
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            valid: Signal::default(),
            first: Signal::default(),
            last: Signal::default(),
            expert: Signal::default(),
            logit: Signal::default(),
            done: Signal::default(),
            maximum: Signal::default(),
            chosen: ports(MAX_TOP_K),
            _entries: [Entry::default(); MAX_TOP_K],
        }
    }
}

impl TopK {
    fn insert(&mut self, new: Entry) {
        let rank = self._entries.iter().position(|e| !e.valid || new.logit > e.logit);
        if let Some(rank) = rank {
            self._entries.copy_within(rank..MAX_TOP_K - 1, rank + 1);
            self._entries[rank] = new;
        }
    }

    fn take_logit(&mut self) {
        if self.first.val() {
            self._entries = Default::default();
        }
        self.insert(Entry {
            valid: true,
            logit: signed(self.logit.val().index() as u64, 24) as i32,
            expert: self.expert.val().index() as u8,
        });
        if self.last.val() {
            self.maximum.next = unsigned(i64::from(self._entries[0].logit), 24).into();
            for (out, entry) in self.chosen.iter_mut().zip(&self._entries) {
                out.next = u64::from(entry.expert).into();
            }
        }
    }

    fn rank_text(rank: usize) -> String {
        let from_above = match rank {
            0 => "{1'b1, logit, expert}".into(),
            _ => format!("smaller_{0} ? entry_{0} : {{1'b1, logit, expert}}", rank - 1),
        };
        format!(
            "reg [29:0] held_{rank};\nwire [29:0] entry_{rank} = first ? 30'd0 : held_{rank};\n\
             wire signed [23:0] value_{rank} = entry_{rank}[28:5];\n\
             wire smaller_{rank} = ~entry_{rank}[29] | (new_value > value_{rank});\n\
             wire [29:0] next_{rank} = smaller_{rank} ? ({from_above}) : entry_{rank};\n\
             reg [4:0] expert_{rank};\nassign chosen_{rank} = expert_{rank};\n\
             initial begin\n  held_{rank} = 30'd0;\n  expert_{rank} = 5'd0;\nend\n\
             always @(posedge clock) begin\n  if (valid) held_{rank} <= next_{rank};\n  \
             if (valid & last) expert_{rank} <= next_{rank}[4:0];\nend\n"
        )
    }
}

impl Logic for TopK {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        if self.valid.val() {
            self.take_logit();
        }
        self.done.next = self.valid.val() && self.last.val() && !self.reset.val();
    }

    fn connect(&mut self) {
        self.done.connect();
        self.maximum.connect();
        self.chosen.iter_mut().for_each(|out| out.connect());
    }

    fn hdl(&self) -> Verilog {
        let ranks: String = (0..MAX_TOP_K).map(Self::rank_text).collect();
        Verilog::Custom(format!(
            "// module: TopK\nwire signed [23:0] new_value = logit;\n{ranks}\
             reg finished;\nreg [23:0] largest;\nassign done = finished;\nassign maximum = largest;\n\
             initial begin\n  finished = 1'b0;\n  largest = 24'd0;\nend\n\
             always @(posedge clock) begin\n  finished <= valid & last & ~reset;\n  \
             if (valid & last) largest <= next_0[28:5];\nend\n"
        ))
    }
}
