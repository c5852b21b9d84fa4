//! The array unit: loader, streamer, accumulator banks and drain, tile by tile.
//!
//! A pass starts when the one before it has ended, its tile is loaded, its group has a bank, and what `sync` asks for is stored. The
//! loader works one tile ahead. The rules are those of `hw/src/array/timing.rs`, `streamer.rs` and `loader.rs`.

use super::stream::WeightStream;
use crate::report::timeline::Timeline;
use moevit_hw::activity::Array;
use moevit_hw::array::timing::{
    array_cycles, pass_after_kv_cycles, KV_AFTER_PASS_CYCLES, PASS_CYCLES_MIN, STEP_CYCLES,
    STREAM_AFTER_PASS_CYCLES,
};
use moevit_hw::config::{AccelConfig, LOAD_LANES};
use moevit_hw::control::command::{Copy, MatMul};
use moevit_hw::post::drain::DRAINED_CYCLES;
use moevit_hw::post::parameter_memory::BANKS;

/// From a group's last step at the accumulators to its first drain slot.
const DRAIN_START_CYCLES: u64 = 3;
/// From a command's acceptance to its first parameter word, and from the last one to the first tile.
const PARAMETER_CYCLES: u64 = 1;
/// From a command's acceptance to the streamer.
const TAKE_CYCLES: u64 = 1;
/// From the last word of a Copy or Discard to its slot in the drain unit.
const COPY_CYCLES: u64 = 3;
/// From a drained bank to the pass that fills it again.
const BANK_CYCLES: u64 = 1;

/// A tile of columns on its way through accumulators and drain.
struct Group {
    drained: u64,
    stored: u64,
}

/// What the array unit has done so far.
pub struct ArrayModel<'a> {
    config: &'a AccelConfig,
    loader_free: u64,
    /// Start and end of the last pass.
    pass: (u64, u64),
    /// When the streamer took each command.
    taken: Vec<u64>,
    groups: Vec<Group>,
    /// When each block of parameters was given back.
    blocks: Vec<u64>,
    drain_free: u64,
    /// When the last command was drained.
    drained: u64,
}

/// When a pass may start.
struct Conditions {
    taken: u64,
    bank: u64,
    sync: u64,
    tile: u64,
    /// The tile's words came late.
    starved: bool,
}

impl<'a> ArrayModel<'a> {
    pub fn new(config: &'a AccelConfig) -> Self {
        Self {
            config,
            loader_free: 0,
            pass: (0, 0),
            taken: Vec::new(),
            groups: Vec::new(),
            blocks: Vec::new(),
            drain_free: 0,
            drained: 0,
        }
    }

    /// When a queue of `depth` commands in front of the unit has room.
    pub fn room(&self, depth: usize) -> u64 {
        super::nth_last(&self.taken, depth)
    }

    /// A MatMul over `rows` rows that is at the unit in cycle `at`; when its results are stored.
    pub fn matmul(
        &mut self,
        op: &MatMul,
        rows: usize,
        at: u64,
        command: usize,
        stream: &mut WeightStream,
        timeline: &mut Timeline,
    ) -> u64 {
        let accepted = self.accept(at);
        let taken = (accepted + TAKE_CYCLES).max(self.pass.1);
        self.taken.push(taken);
        let (before, drained_before) = (self.groups.len(), self.drained);
        let pairs = rows.div_ceil(2) as u64;
        let steps = pairs.max(PASS_CYCLES_MIN as u64);
        let planes = [1, 2, 4][op.planes as usize];
        let mut parameters = accepted;
        for n in 0..op.n_tiles as usize {
            if n == 0 || op.hold_parameters == 0 {
                parameters = self.parameters(stream);
            }
            for (plane, k) in (0..planes).flat_map(|plane| (0..op.k_tiles as usize).map(move |k| (plane, k)))
            {
                let is_first = plane == 0 && k == 0;
                let (tile, starved) = self.tile(op, drained_before, stream);
                let mut sync = 0;
                if op.sync == 1 && op.sync_by_tile == 1 && n == 0 && plane == 0 {
                    let allowed = (op.k_tiles as usize - 1 - k) * self.config.groups();
                    sync = before
                        .checked_sub(allowed + 1)
                        .map_or(0, |group| self.groups[group].stored);
                } else if op.sync == 1 && n == 0 && is_first {
                    sync = drained_before;
                }
                let full = self.groups.len().checked_sub(2).filter(|_| is_first);
                let conditions = Conditions {
                    taken,
                    bank: full.map_or(0, |group| self.groups[group].drained + BANK_CYCLES),
                    sync,
                    tile,
                    starved,
                };
                self.start_pass(&conditions, pairs, steps, command, timeline);
            }
            self.drain(
                rows as u64,
                parameters,
                op.hold_parameters == 0 || n + 1 == op.n_tiles as usize,
            );
        }
        self.drained = self.groups.last().map_or(0, |group| group.stored);
        self.drained
    }

    fn accept(&mut self, at: u64) -> u64 {
        let accepted = at.max(self.loader_free).max(super::nth_last(&self.taken, 0));
        self.loader_free = accepted;
        accepted
    }

    /// Loads a block of parameters; when it is there.
    fn parameters(&mut self, stream: &mut WeightStream) -> u64 {
        let free = self
            .blocks
            .len()
            .checked_sub(BANKS)
            .map_or(0, |block| self.blocks[block]);
        let mut at = self.loader_free.max(free) + PARAMETER_CYCLES;
        for _ in 0..self.config.parameter_words() {
            at = stream.take(at) + 1;
        }
        self.loader_free = at + PARAMETER_CYCLES - 1;
        at + PARAMETER_CYCLES
    }

    /// Loads the next tile; when its pass may start, and whether words were missing.
    fn tile(&mut self, op: &MatMul, drained_before: u64, stream: &mut WeightStream) -> (u64, bool) {
        let pass = self.pass.0;
        if op.stationary != 0 {
            let synced = if op.sync == 1 { drained_before } else { 0 };
            let at = self
                .loader_free
                .max(pass + KV_AFTER_PASS_CYCLES as u64)
                .max(synced);
            self.loader_free = at + self.config.rows as u64 + 1;
            return (at + pass_after_kv_cycles(self.config.rows) as u64, false);
        }
        let free = self.loader_free.max(pass + STREAM_AFTER_PASS_CYCLES as u64);
        let arrival = stream.arrival(LOAD_LANES - 1);
        let at = free.max(arrival);
        for word in 0..LOAD_LANES as u64 {
            stream.take(at + 1 + word);
        }
        self.loader_free = at + LOAD_LANES as u64;
        (at + 1, arrival > free)
    }

    fn start_pass(
        &mut self,
        conditions: &Conditions,
        pairs: u64,
        steps: u64,
        command: usize,
        timeline: &mut Timeline,
    ) {
        let late = match conditions.starved {
            true => Array::Starved,
            false => Array::LoadsTile,
        };
        let mut at = self.pass.1;
        for (until, why) in [
            (conditions.taken, Array::NoCommand),
            (conditions.bank, Array::NoBank),
            (conditions.sync, Array::Syncs),
            (conditions.tile, late),
        ] {
            at = at.max(until);
            timeline.push_run(why, Some(command), at);
        }
        timeline.push_run(Array::Streams, Some(command), at + pairs);
        timeline.push_run(Array::Pads, Some(command), at + steps);
        self.pass = (at, at + steps);
    }

    /// The group that the last pass has completed goes through the drain unit.
    fn drain(&mut self, rows: u64, parameters: u64, frees_block: bool) {
        let filled = self.pass.1 + (STEP_CYCLES + array_cycles(self.config)) as u64 + DRAIN_START_CYCLES;
        let start = filled.max(self.drain_free).max(parameters);
        let end = start + rows.max(1);
        self.drain_free = end;
        if frees_block {
            self.blocks.push(end);
        }
        self.groups.push(Group {
            drained: end,
            stored: end + DRAINED_CYCLES as u64,
        });
    }

    /// A Copy; when its words are readable.
    pub fn copy(&mut self, op: &Copy, at: u64, stream: &mut WeightStream) -> u64 {
        let at = self.accept(at).max(self.drained);
        let bytes = match op.residual {
            1 => self.config.residual_word_bytes(),
            _ => self.config.rows,
        };
        let chunks = (self.config.weight_word_bytes() / bytes) as u64;
        let mut end = at;
        for word in 0..u64::from(op.words).div_ceil(chunks) {
            end = stream.take(end.max(at + word * chunks)) + chunks;
        }
        self.slot(end)
    }

    /// A Discard; when the next command may follow.
    pub fn discard(&mut self, words: usize, at: u64, stream: &mut WeightStream) -> u64 {
        let mut end = self.accept(at) + 1;
        for _ in 0..words {
            end = stream.take(end) + 1;
        }
        self.slot(end)
    }

    /// Copies and discards pass the drain unit too.
    fn slot(&mut self, end: u64) -> u64 {
        self.taken.push(end);
        self.loader_free = end + 1;
        self.drain_free = self.drain_free.max(end + COPY_CYCLES) + 1;
        self.drained = self.drain_free + DRAINED_CYCLES as u64;
        self.drained
    }
}
