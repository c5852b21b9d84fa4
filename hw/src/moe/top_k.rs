//! The largest [`MAX_TOP_K`] logits of a token, which arrive in pairs, one a cycle; ties go to the lower expert.
//!
//! A sorted list of four entries. A new logit moves in before the first entry that is smaller, so an equal one that came earlier
//! keeps its rank. The two of a pair are put in order first, so that both find their places at once.
//!
//! ```text
//! logits, pair --> [larger, smaller] --> compare with 4 entries --> shift and insert --> [entries] --last--> done, maximum, chosen
//! ```
//!
//! Pair `p` holds experts `2p` and `2p + 1`, the latter only with `second`. `done` comes [`LATENCY_CYCLES`] cycles after the token's
//! last pair; the results stay until the next token's. With fewer than four experts the remaining ranks are 0.

use crate::config::MAX_TOP_K;
use crate::prelude::*;
use crate::primitives::leaf::{signed, unsigned};

/// Cycles from a token's last pair to `done`.
pub const LATENCY_CYCLES: usize = 2;

/// A rank of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    valid: bool,
    logit: i32,
    expert: u8,
}

/// What arrived in a cycle.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    first: bool,
    last: bool,
    second: bool,
    entries: [Entry; 2],
}

/// The cell; see the module.
#[derive(LogicBlock, Default)]
pub struct TopK {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub valid: Signal<In, Bit>,
    pub first: Signal<In, Bit>,
    pub last: Signal<In, Bit>,
    pub second: Signal<In, Bit>,
    pub pair: Signal<In, Bits<4>>,
    pub logits: Vec<Signal<In, Bits<24>>>,
    pub done: Signal<Out, Bit>,
    pub maximum: Signal<Out, Bits<24>>,
    pub chosen: Vec<Signal<Out, Bits<5>>>,
    _arrived: Option<Pair>,
    _entries: [Entry; MAX_TOP_K],
}

impl TopK {
    /// The block, unconnected.
    pub fn new() -> Self {
        Self {
            logits: many(2),
            chosen: many(MAX_TOP_K),
            _arrived: None,
            _entries: [Entry::default(); MAX_TOP_K],
            ..Self::default()
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

    fn arrive(&self) -> Pair {
        let entry = |i: usize| Entry {
            valid: true,
            logit: signed(self.logits[i].val().index() as u64, 24) as i32,
            expert: (2 * self.pair.val().index() + i) as u8,
        };
        Pair {
            first: self.first.val(),
            last: self.last.val(),
            second: self.second.val(),
            entries: [entry(0), entry(1)],
        }
    }

    fn take(&mut self, pair: &Pair) {
        if pair.first {
            self._entries = Default::default();
        }
        self.insert(pair.entries[0]);
        if pair.second {
            self.insert(pair.entries[1]);
        }
        if pair.last {
            self.maximum.next = unsigned(i64::from(self._entries[0].logit), 24).into();
            for (out, entry) in self.chosen.iter_mut().zip(&self._entries) {
                out.next = u64::from(entry.expert).into();
            }
        }
    }

    /// Each rank's entry after a pair: itself, the larger or the smaller one, or what the ranks above give up.
    fn ranks_text() -> String {
        const PADS: usize = 2;
        let ranks = MAX_TOP_K + PADS;
        format!(
            "// Two ranks below which nothing falls stand above the first one.\n\
             wire [{entries}:0] entry;\nwire [{last}:0] below_larger, below_smaller;\n\
             assign entry[{pads}:0] = 0;\nassign below_larger[1:0] = 2'd0;\nassign below_smaller[1:0] = 2'd0;\n\
             wire unused = &{{1'b0, below_larger[0], below_smaller[{last}]}};\n\
             genvar i;\ngenerate\n  for (i = {PADS}; i < {ranks}; i = i + 1) begin : rank\n{RANK_TEXT}  end\nendgenerate\n",
            entries = 30 * ranks - 1,
            last = ranks - 1,
            pads = 30 * PADS - 1,
        )
    }
}

const RANK_TEXT: &str = "    reg [29:0] held;
    reg [4:0] expert;
    wire empty = opens | ~held[29];
    wire signed [23:0] value = held[28:5];
    wire [29:0] behind_both = below_smaller[i - 2] ? entry[30 * (i - 2) +: 30] : smaller;
    wire [29:0] behind_one = below_smaller[i - 1] ? behind_both : entry[30 * (i - 1) +: 30];
    wire [29:0] next = ~below_larger[i] ? entry[30 * i +: 30] : below_larger[i - 1] ? behind_one : larger;
    assign entry[30 * i +: 30] = opens ? 30'd0 : held;
    assign below_larger[i] = empty | (larger_value > value);
    assign below_smaller[i] = two & (empty | (smaller_value > value));
    assign chosen[5 * (i - 2) +: 5] = expert;
    initial begin
      held = 30'd0;
      expert = 5'd0;
    end
    always @(posedge clock) begin
      if (arrived) held <= next;
      if (arrived & closes) expert <= next[4:0];
    end
";

const PAIR_TEXT: &str = "\
wire signed [23:0] value_first = logits[23:0];
wire signed [23:0] value_second = logits[47:24];
wire swap = second & (value_second > value_first);
reg arrived, opens, closes, two;
reg [29:0] larger, smaller;
wire signed [23:0] larger_value = larger[28:5];
wire signed [23:0] smaller_value = smaller[28:5];
initial begin
  arrived = 1'b0;
  opens = 1'b0;
  closes = 1'b0;
  two = 1'b0;
  larger = 30'd0;
  smaller = 30'd0;
end
always @(posedge clock) begin
  arrived <= valid & ~reset;
  opens <= first;
  closes <= last;
  two <= second;
  larger <= swap ? {1'b1, logits[47:24], pair, 1'b1} : {1'b1, logits[23:0], pair, 1'b0};
  smaller <= swap ? {1'b1, logits[23:0], pair, 1'b0} : {1'b1, logits[47:24], pair, 1'b1};
end
";

impl Logic for TopK {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let arrived = self._arrived.take();
        if let Some(pair) = &arrived {
            self.take(pair);
        }
        self.done.next = arrived.is_some_and(|pair| pair.last) && !self.reset.val();
        if self.valid.val() && !self.reset.val() {
            self._arrived = Some(self.arrive());
        }
    }

    fn connect(&mut self) {
        self.done.connect();
        self.maximum.connect();
        self.chosen.iter_mut().for_each(|out| out.connect());
    }

    fn hdl(&self) -> Verilog {
        let ranks = Self::ranks_text();
        Verilog::Custom(format!(
            "// module: TopK\n{PAIR_TEXT}{ranks}\
             reg finished;\nreg [23:0] largest;\nassign done = finished;\nassign maximum = largest;\n\
             initial begin\n  finished = 1'b0;\n  largest = 24'd0;\nend\n\
             always @(posedge clock) begin\n  finished <= arrived & closes & ~reset;\n  \
             if (arrived & closes) largest <= rank[2].next[28:5];\nend\n"
        ))
    }
}
