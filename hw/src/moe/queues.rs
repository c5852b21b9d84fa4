//! One queue of (token, gate score) for each expert, its length, and the experts that have any.
//!
//! An append writes behind the last entry of the expert's queue. The feed looks pairs of tokens up (positions `2p` and `2p + 1`, from
//! two memories of even and odd positions), the drain single entries; both read their own copy, so neither waits.
//!
//! ```text
//! append, expert, token, score --+--> even / odd tokens --2--> pair_token_0, pair_token_1
//!                                +--> entries -----------2--> entry_token, entry_score
//!                                +--> counts ------------2--> count;  nonempty
//! ```
//!
//! * Latency of every lookup: [`LOOKUP_CYCLES`], one a cycle; `nonempty` follows an append by one cycle.
//! * `clear` empties all queues in one cycle; old entries stay readable beyond the counts, as tokens of an earlier frame.
//! * A queue has room for every token; positions and experts beyond the configuration wrap.

use crate::config::AccelConfig;
use crate::prelude::*;
use crate::primitives::leaf::unused_text;

/// Cycles from a lookup to its answer.
pub const LOOKUP_CYCLES: usize = 2;
/// Counters, one for each expert that a command can name.
const COUNTERS: usize = 32;

/// An entry of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    token: u16,
    score: u16,
}

/// The queues; see the module.
#[derive(LogicBlock, Default)]
pub struct ExpertQueues {
    pub clock: Signal<In, Clock>,
    pub clear: Signal<In, Bit>,
    pub append: Signal<In, Bit>,
    pub append_expert: Signal<In, Bits<5>>,
    pub append_token: Signal<In, Bits<11>>,
    pub append_score: Signal<In, Bits<16>>,
    pub pair_expert: Signal<In, Bits<5>>,
    pub pair: Signal<In, Bits<10>>,
    pub pair_token_0: Signal<Out, Bits<11>>,
    pub pair_token_1: Signal<Out, Bits<11>>,
    pub entry_expert: Signal<In, Bits<5>>,
    pub entry_position: Signal<In, Bits<11>>,
    pub entry_token: Signal<Out, Bits<11>>,
    pub entry_score: Signal<Out, Bits<16>>,
    pub count_expert: Signal<In, Bits<5>>,
    pub count: Signal<Out, Bits<11>>,
    pub nonempty: Signal<Out, Bits<32>>,
    /// Bits of a position within a queue.
    _position_bits: usize,
    /// Bits of an expert.
    _expert_bits: usize,
    _entries: Vec<Entry>,
    _counts: [u16; COUNTERS],
    _pair_stage: (u16, u16),
    _entry_stage: Entry,
    _count_stage: u16,
}

impl ExpertQueues {
    /// The queues of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let position_bits = config.max_tokens.next_power_of_two().ilog2().max(2) as usize;
        let expert_bits = config.max_experts.next_power_of_two().ilog2().max(1) as usize;
        Self {
            _position_bits: position_bits,
            _expert_bits: expert_bits,
            _entries: vec![Entry::default(); 1 << (position_bits + expert_bits)],
            _counts: [0; COUNTERS],
            _pair_stage: (0, 0),
            _entry_stage: Entry::default(),
            _count_stage: 0,
            ..Self::default()
        }
    }

    fn address(&self, expert: usize, position: usize) -> usize {
        let expert = expert & ((1 << self._expert_bits) - 1);
        let position = position & ((1 << self._position_bits) - 1);
        expert << self._position_bits | position
    }

    fn look_up(&mut self) {
        self.pair_token_0.next = u64::from(self._pair_stage.0).into();
        self.pair_token_1.next = u64::from(self._pair_stage.1).into();
        self.entry_token.next = u64::from(self._entry_stage.token).into();
        self.entry_score.next = u64::from(self._entry_stage.score).into();
        self.count.next = u64::from(self._count_stage).into();
        let (expert, pair) = (self.pair_expert.val().index(), self.pair.val().index());
        let even = self.address(expert, 2 * pair);
        self._pair_stage = (self._entries[even].token, self._entries[even + 1].token);
        let (expert, position) = (self.entry_expert.val().index(), self.entry_position.val().index());
        self._entry_stage = self._entries[self.address(expert, position)];
        self._count_stage = self._counts[self.count_expert.val().index()];
    }

    fn append(&mut self) {
        let expert = self.append_expert.val().index();
        let position = usize::from(self._counts[expert]);
        let address = self.address(expert, position);
        self._entries[address] = Entry {
            token: self.append_token.val().index() as u16,
            score: self.append_score.val().index() as u16,
        };
        self._counts[expert] = (self._counts[expert] + 1) & 0x7ff;
        self.nonempty.next = self.nonempty.val() | (1u64 << expert);
    }
}

const TEXT: &str = "\
(* ram_style = \"block\" *) reg [10:0] even_tokens [0:PAIRLAST];
(* ram_style = \"block\" *) reg [10:0] odd_tokens [0:PAIRLAST];
(* ram_style = \"block\" *) reg [26:0] entries [0:LAST];
// Every expert's count, in 16 bits.
wire [511:0] counts;
reg [31:0] any;
wire [31:0] appends = {31'd0, append} << append_expert;
wire [POSITION:0] position = counts[{append_expert, 4'd0} +: POSITION + 1];
wire [TOP:0] append_at = {append_expert[EXPERT:0], position};
wire [TOP:0] entry_at = {entry_expert[EXPERT:0], entry_position[POSITION:0]};
wire [PAIRTOP:0] pair_at = {pair_expert[EXPERT:0], pair[PAIR:0]};
reg [10:0] even_1, even_2, odd_1, odd_2, count_1, count_2;
reg [26:0] entry_1, entry_2;
assign pair_token_0 = even_2;
assign pair_token_1 = odd_2;
assign entry_token = entry_2[26:16];
assign entry_score = entry_2[15:0];
assign count = count_2;
assign nonempty = any;
always @(posedge clock) begin
  if (append && !append_at[0]) even_tokens[append_at[TOP:1]] <= append_token;
  if (append && append_at[0]) odd_tokens[append_at[TOP:1]] <= append_token;
  if (append) entries[append_at] <= {append_token, append_score};
  even_1 <= even_tokens[pair_at];
  odd_1 <= odd_tokens[pair_at];
  entry_1 <= entries[entry_at];
  count_1 <= counts[{count_expert, 4'd0} +: 11];
  even_2 <= even_1;
  odd_2 <= odd_1;
  entry_2 <= entry_1;
  count_2 <= count_1;
end
always @(posedge clock) any <= clear ? 32'd0 : any | appends;
genvar i;
generate
  for (i = 0; i < 32; i = i + 1) begin : expert
    reg [10:0] tokens;
    initial tokens = 11'd0;
    always @(posedge clock)
      if (clear) tokens <= 11'd0;
      else if (appends[i]) tokens <= tokens + 11'd1;
    assign counts[16 * i +: 16] = {5'd0, tokens};
  end
endgenerate
`ifndef SYNTHESIS
integer n;
initial begin
  any = 32'd0;
  even_1 = 11'd0;
  even_2 = 11'd0;
  odd_1 = 11'd0;
  odd_2 = 11'd0;
  count_1 = 11'd0;
  count_2 = 11'd0;
  entry_1 = 27'd0;
  entry_2 = 27'd0;
  for (n = 0; n <= PAIRLAST; n = n + 1) begin
    even_tokens[n] = 11'd0;
    odd_tokens[n] = 11'd0;
  end
  for (n = 0; n <= LAST; n = n + 1) entries[n] = 27'd0;
end
`endif
";

impl Logic for ExpertQueues {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        self.look_up();
        if self.append.val() {
            self.append();
        }
        if self.clear.val() {
            self._counts = [0; COUNTERS];
            self.nonempty.next = 0u64.into();
        }
    }

    fn connect(&mut self) {
        self.pair_token_0.connect();
        self.pair_token_1.connect();
        self.entry_token.connect();
        self.entry_score.connect();
        self.count.connect();
        self.nonempty.connect();
    }

    fn hdl(&self) -> Verilog {
        let bits = self._position_bits + self._expert_bits;
        let sizes = [
            ("PAIRLAST", (1 << (bits - 1)) - 1),
            ("PAIRTOP", bits - 2),
            ("LAST", (1 << bits) - 1),
            ("TOP", bits - 1),
            ("EXPERT", self._expert_bits - 1),
            ("POSITION", self._position_bits - 1),
            ("PAIR", self._position_bits - 2),
        ];
        let text = sizes.iter().fold(TEXT.to_owned(), |text, (name, value)| {
            text.replace(name, &value.to_string())
        });
        let name = format!(
            "ExpertQueues_e{}_t{}",
            1 << self._expert_bits,
            1 << self._position_bits
        );
        let unused = [
            unused_text("pair_expert", self._expert_bits, 5),
            unused_text("entry_expert", self._expert_bits, 5),
            unused_text("pair", self._position_bits - 1, 10),
            unused_text("entry_position", self._position_bits, 11),
        ];
        Verilog::Custom(format!("// module: {name}\n{text}{}", unused.concat()))
    }
}
