//! Gate logits of a frame's tokens: written C experts at a time, read in pairs of experts.
//!
//! ```text
//! write: token, tile, lanes (experts tile * C + lane) --> [memory, word token * tiles + tile]
//! read:  token, pair --> [word: 2] --> [lanes] --> logits of experts 2 * pair, 2 * pair + 1
//! ```
//!
//! Logits are Q7.16, 24 bits. Read latency [`READ_CYCLES`], one a cycle; a read sees the writes of earlier cycles. Writes beyond the
//! store do nothing, reads there give zero.

use crate::config::AccelConfig;
use crate::prelude::*;
use crate::primitives::leaf::unused_text;

/// Cycles from `read_token` and `read_pair` to `logits`.
pub const READ_CYCLES: usize = 3;

/// The store; see the module.
#[derive(LogicBlock, Default)]
pub struct LogitStore {
    pub clock: Signal<In, Clock>,
    pub write_enable: Signal<In, Bit>,
    pub write_token: Signal<In, Bits<11>>,
    pub write_tile: Signal<In, Bits<4>>,
    pub write_data: Vec<Signal<In, Bits<24>>>,
    pub read_token: Signal<In, Bits<11>>,
    pub read_pair: Signal<In, Bits<4>>,
    pub logits: Vec<Signal<Out, Bits<24>>>,
    /// Lanes of a word that can hold an expert.
    _lanes: usize,
    /// Words of a token, a power of two.
    _tiles: usize,
    _tokens: usize,
    _logits: Vec<u32>,
    _stages: [[u32; 2]; 2],
}

impl LogitStore {
    /// The store of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let experts = config.max_experts.next_power_of_two().max(2);
        let lanes = config.columns.min(experts);
        let tiles = experts.div_ceil(lanes);
        Self {
            write_data: many(config.columns),
            logits: many(2),
            _lanes: lanes,
            _tiles: tiles,
            _tokens: config.max_tokens,
            _logits: vec![0; config.max_tokens * tiles * lanes],
            _stages: [[0; 2]; 2],
            ..Self::default()
        }
    }

    fn read(&self) -> [u32; 2] {
        let experts = self._lanes * self._tiles;
        let (token, pair) = (self.read_token.val().index(), self.read_pair.val().index());
        match token < self._tokens {
            true => [0, 1].map(|i| self._logits[token * experts + (2 * pair + i) % experts]),
            false => [0; 2],
        }
    }

    fn write(&mut self) {
        let (token, tile) = (self.write_token.val().index(), self.write_tile.val().index());
        if !self.write_enable.val() || token >= self._tokens || tile >= self._tiles {
            return;
        }
        let first = (token * self._tiles + tile) * self._lanes;
        for lane in 0..self._lanes {
            self._logits[first + lane] = self.write_data[lane].val().index() as u32;
        }
    }

    /// `name`'s bits that choose among `count` (a power of two), as the tail of a concatenation or an index.
    fn bits_of(name: &str, from: usize, count: usize) -> String {
        match count.ilog2() as usize {
            0 => "1'b0".into(),
            bits => format!("{name}[{}:{from}]", from + bits - 1),
        }
    }
}

impl Logic for LogitStore {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        for (out, logit) in self.logits.iter_mut().zip(self._stages[1]) {
            out.next = u64::from(logit).into();
        }
        self._stages = [self.read(), self._stages[0]];
        self.write();
    }

    fn connect(&mut self) {
        self.logits.iter_mut().for_each(|out| out.connect());
    }

    fn hdl(&self) -> Verilog {
        let (lanes, tiles, tokens) = (self._lanes, self._tiles, self._tokens);
        // Bits that choose among the pairs of a word.
        let lane_bits = (lanes / 2).ilog2() as usize;
        let (width, words) = (24 * lanes, tokens * tiles);
        let address_bits = (usize::BITS - (words - 1).leading_zeros()) as usize;
        let read_tile = match tiles {
            1 => "17'd0".into(),
            _ => format!(
                "{{{}'d0, {}}}",
                17 - tiles.ilog2(),
                Self::bits_of("read_pair", lane_bits, tiles)
            ),
        };
        let pair_bits = lane_bits + tiles.ilog2() as usize;
        let unused = [
            unused_text("read_pair", pair_bits, 4),
            unused_text("write_at", address_bits, 17),
            unused_text("read_at", address_bits, 17),
            unused_text("write_data", width, 24 * self.write_data.len()),
        ]
        .concat();
        Verilog::Custom(format!(
            "// module: LogitStore_c{c}_e{e}_t{tokens}\n\
             (* ram_style = \"block\" *) reg [{top}:0] words [0:{last}];\n\
             wire [16:0] write_at = ({{6'd0, write_token}} * 17'd{tiles}) + {{13'd0, write_tile}};\n\
             wire [16:0] read_at = ({{6'd0, read_token}} * 17'd{tiles}) + {read_tile};\n\
             wire write_inside = {{1'b0, write_token}} < 12'd{tokens} && {{1'b0, write_tile}} < 5'd{tiles};\n\
             reg [{top}:0] word_1, word_2;\nreg [{lane_top}:0] lane_1, lane_2;\nreg inside_1, inside_2;\n\
             reg [47:0] chosen;\nassign logits = chosen;\n{unused}\
             always @(posedge clock) begin\n  \
             if (write_enable && write_inside) words[write_at[{at}:0]] <= write_data[{top}:0];\n  \
             word_1 <= words[read_at[{at}:0]];\n  word_2 <= word_1;\n  \
             lane_1 <= {lane};\n  lane_2 <= lane_1;\n  \
             inside_1 <= {{1'b0, read_token}} < 12'd{tokens};\n  inside_2 <= inside_1;\n  \
             chosen <= inside_2 ? word_2[48 * lane_2 +: 48] : 48'd0;\nend\n\
             `ifndef SYNTHESIS\ninteger i;\ninitial begin\n  word_1 = {width}'d0;\n  word_2 = {width}'d0;\n  lane_1 = 0;\n  lane_2 = 0;\n  \
             inside_1 = 1'b0;\n  inside_2 = 1'b0;\n  chosen = 48'd0;\n  \
             for (i = 0; i < {words}; i = i + 1) words[i] = {width}'d0;\nend\n`endif\n",
            c = self.write_data.len(),
            e = lanes * tiles,
            top = width - 1,
            last = words - 1,
            at = address_bits - 1,
            lane_top = lane_bits.max(1) - 1,
            lane = Self::bits_of("read_pair", 0, lanes / 2),
        ))
    }
}
