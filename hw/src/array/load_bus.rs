//! The registers in front of the array's load port: a word of the stream, or a row of the key/value memory.
//!
//! * Stream word (`tile`, in the cycle in which it is popped): every bus loads the half of its lanes that `half` names, two cycles later.
//! * Key/value row: announced by `row`, `segment` and `zero` when its number is known; its C bytes arrive [`timing::KV_ROW_CYCLES`] later
//!   and go to every bus, but only `segment` (4 lanes) loads. `zero` replaces a row beyond the memory's tokens.
//!
//! Byte `j * C + c` of a word is bus `j`, column `c`; enable `s` is lanes `4s .. 4s + 4`. Never stalls. A word that
//! reaches the last register together with a row would lose; the distances of [`timing`] keep them apart.
//!
//! ```text
//! word, tile, half ----> [stage] --> | |
//! kv_data -- zero ? 0 -------------> |?| --> [data]
//! row, segment, zero --> [delay] --> |_| --> [enable]
//! ```

use super::timing;
use crate::config::{AccelConfig, LOAD_LANES};
use crate::prelude::*;
use crate::primitives::leaf::loop_text;
use std::collections::VecDeque;

/// Lanes of a load segment.
pub const SEGMENT_LANES: usize = LOAD_LANES / 2;

/// The registers; see the module.
#[derive(LogicBlock, Default)]
pub struct LoadBus {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub tile: Signal<In, Bit>,
    pub half: Signal<In, Bit>,
    pub word: Vec<Signal<In, Bits<8>>>,
    pub row: Signal<In, Bit>,
    pub segment: Signal<In, Bits<4>>,
    pub zero: Signal<In, Bit>,
    pub kv_data: Vec<Signal<In, Bits<8>>>,
    /// By column and bus.
    pub data: Vec<Vec<Signal<Out, Bits<8>>>>,
    pub enable: Vec<Signal<Out, Bit>>,
    _stage: Vec<Bits<8>>,
    _stage_tile: bool,
    _stage_half: bool,
    /// Announced rows, oldest first: whether there is one, its segment, whether it is zero.
    _rows: VecDeque<(bool, usize, bool)>,
}

impl LoadBus {
    pub fn new(config: &AccelConfig) -> Self {
        let bytes = config.weight_word_bytes();
        Self {
            word: many(bytes),
            kv_data: many(config.columns),
            data: (0..config.columns)
                .map(|_| many(bytes / config.columns))
                .collect(),
            enable: many(config.rows / SEGMENT_LANES),
            _stage: vec![Bits::default(); bytes],
            _rows: vec![(false, 0, false); timing::KV_ROW_CYCLES].into(),
            ..Self::default()
        }
    }

    /// The announced row whose data is there; takes the newest announcement. A reset forgets those behind it.
    fn next_row(&mut self) -> (bool, usize, bool) {
        let there = self._rows.pop_front().unwrap_or_default();
        if self.reset.val() {
            self._rows.iter_mut().for_each(|row| row.0 = false);
        }
        let live = self.row.val() && !self.reset.val();
        self._rows
            .push_back((live, self.segment.val().index(), self.zero.val()));
        there
    }
}

impl Logic for LoadBus {
    fn update(&mut self) {
        if !self.clock.pos_edge() {
            return;
        }
        let (row, segment, zero) = self.next_row();
        let live = !self.reset.val();
        for (i, enable) in self.enable.iter_mut().enumerate() {
            let by_word = self._stage_tile && self._stage_half == (i % 2 == 1);
            enable.next = live && (by_word || row && segment == i);
        }
        let columns = self.kv_data.len();
        for (column, buses) in self.data.iter_mut().enumerate() {
            for (bus, data) in buses.iter_mut().enumerate() {
                data.next = match (row, zero) {
                    (false, _) => self._stage[columns * bus + column],
                    (true, false) => self.kv_data[column].val(),
                    (true, true) => Bits::default(),
                };
            }
        }
        self._stage_tile = self.tile.val() && live;
        self._stage_half = self.half.val();
        for (stage, word) in self._stage.iter_mut().zip(&self.word) {
            *stage = word.val();
        }
    }

    fn connect(&mut self) {
        self.data.iter_mut().flatten().for_each(|data| data.connect());
        self.enable.iter_mut().for_each(|enable| enable.connect());
    }

    fn hdl(&self) -> Verilog {
        let (bytes, columns, segments) = (self.word.len(), self.kv_data.len(), self.enable.len());
        let stages = self._rows.len();
        let enables: String = (0..segments)
            .map(|i| {
                let half = if i % 2 == 1 { "stage_half" } else { "!stage_half" };
                format!(
                    "  enables[{i}] <= !reset && (stage_tile && {half} || row_there && segment_there == 4'd{i});\n"
                )
            })
            .collect();
        let buses = bytes / columns;
        let order: String = (0..buses)
            .map(|bus| {
                format!(
                    "assign data[8 * ({buses} * i + {bus}) +: 8] = bytes[8 * ({} + i) +: 8];\n",
                    columns * bus
                )
            })
            .collect();
        let order = format!("genvar i;\n{}", loop_text("column", columns, &order));
        Verilog::Custom(format!(
            "// module: LoadBus_c{columns}_w{bytes}\n\
             reg [{last}:0] rows;\ninitial rows = {stages}'d0;\nreg [{info_top}:0] info;\ninitial info = {info_bits}'d0;\n\
             wire row_there = rows[{last}];\nwire [3:0] segment_there = info[{info_top}:{segment_low}];\nwire zero_there = info[{zero_bit}];\n\
             reg [{top}:0] stage, bytes;\ninitial begin stage = {width}'d0; bytes = {width}'d0; end\nreg stage_tile, stage_half;\ninitial begin stage_tile = 1'b0; stage_half = 1'b0; end\nreg [{segment_top}:0] enables;\ninitial enables = {segments}'d0;\n\
             {order}assign enable = enables;\n\
             wire [{kv_top}:0] row_data = zero_there ? {kv_width}'d0 : kv_data;\n\
             always @(posedge clock) begin\n  rows <= reset ? {stages}'d0 : {{rows[{next}:0], row}};\n  info <= {{info[{info_next}:0], segment, zero}};\n\
             \x20 bytes <= row_there ? {{{buses}{{row_data}}}} : stage;\n\
             \x20 stage <= word;\n  stage_tile <= tile && !reset;\n  stage_half <= half;\n{enables}end\n",
            last = stages - 1,
            next = stages - 2,
            info_bits = 5 * stages,
            info_top = 5 * stages - 1,
            info_next = 5 * stages - 6,
            segment_low = 5 * stages - 4,
            zero_bit = 5 * stages - 5,
            top = 8 * bytes - 1,
            width = 8 * bytes,
            segment_top = segments - 1,
            kv_top = 8 * columns - 1,
            kv_width = 8 * columns,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::bench::{tick, Random};

    /// Random words and rows, at most one of them at the register in a cycle, against a queue of announcements.
    #[test]
    fn words_and_rows_reach_their_segments() {
        let config = AccelConfig::named("zcu104").unwrap();
        let mut bus = LoadBus::new(&config);
        let mut random = Random::new(2);
        let (columns, segments) = (config.columns, config.rows / SEGMENT_LANES);
        let mut announced = VecDeque::from(vec![None; timing::KV_ROW_CYCLES]);
        let mut popped = (false, false, vec![0; config.weight_word_bytes()]);
        let mut compared = 0;
        for _ in 0..2_000 {
            let row = random
                .chance(50)
                .then(|| (random.below(segments), random.chance(25)));
            announced.push_back(row);
            let there = announced.pop_front().unwrap();
            let tile = announced[0].is_none() && random.chance(60);
            let half = random.chance(50);
            bus.tile.next = tile;
            bus.half.next = half;
            bus.row.next = row.is_some();
            bus.segment.next = (row.map_or(0, |r| r.0) as u64).into();
            bus.zero.next = row.is_some_and(|r| r.1);
            let fill = |ports: &mut Vec<Signal<In, Bits<8>>>, random: &mut Random| -> Vec<u64> {
                ports
                    .iter_mut()
                    .map(|p| {
                        let byte = random.next() & 255;
                        p.next = byte.into();
                        byte
                    })
                    .collect()
            };
            let word = fill(&mut bus.word, &mut random);
            let kv = fill(&mut bus.kv_data, &mut random);
            tick!(bus);
            for (i, enable) in bus.enable.iter().enumerate() {
                let want = there.is_some_and(|r| r.0 == i) || popped.0 && popped.1 == (i % 2 == 1);
                assert_eq!(enable.val(), want);
            }
            for (c, buses) in bus.data.iter().enumerate() {
                for (b, data) in buses.iter().enumerate() {
                    let want = there.map_or(popped.2[columns * b + c], |r| if r.1 { 0 } else { kv[c] });
                    assert_eq!(data.val(), want);
                    compared += 1;
                }
            }
            popped = (tile, half, word);
        }
        assert!(compared >= 200_000);
    }
}
