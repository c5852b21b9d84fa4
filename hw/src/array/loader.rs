//! Consumes the weight stream: program, copies, post-processing parameters and tiles, in the order in which the compiler wrote them.
//!
//! * At `start`, `program_load` words go to the program memory; after that commands are taken one by one.
//! * Copy: waits until every earlier command has drained, then writes `words` words of the destination memory, one a cycle.
//! * MatMul: for each tile of columns the parameter words (only once with `hold_parameters`), then for each plane and tile of channels
//!   a tile for the array: eight stream words, or R rows of key/value memory ([`KvRows`]).
//! * A tile loads while the one before it is streamed, so the loader runs ahead of the streamer by one tile, also across commands.
//!   It starts a stream tile only when eight words are there, and then never stalls. `sync` holds back key/value tiles only.
//! * Words whose consumer may wait (program, copy, parameters) stand in [`StreamWord`] until they are taken; one word a cycle.
//!
//! ```text
//! cycle        c    c+1   c+2   c+3
//! decision     *
//! stream_ready      word0 word1 ...
//! StreamWord              word0 word1
//! LoadBus                       word0 --> array
//! tile_ready        * the pass may start
//! ```

use super::kv_rows::KvRows;
use super::load_bus::{LoadBus, SEGMENT_LANES};
use super::stream_word::StreamWord;
use super::{lanes, timing};
use crate::config::{AccelConfig, LOAD_LANES};
use crate::control::command::COMMAND_WORDS;
use rust_hdl::prelude::*;

/// What the loader is doing.
#[derive(Clone, Copy, Debug, PartialEq, LogicState)]
enum LoaderState {
    Idle,
    Program,
    Copy,
    Parameters,
    Tile,
    Rows,
}

/// The loader; see the module.
#[derive(LogicBlock)]
pub struct Loader {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub start: Signal<In, Bit>,
    pub program_load: Signal<In, Bits<16>>,
    /// The command is taken in this cycle; only offered while `ready`.
    pub accept: Signal<In, Bit>,
    pub ready: Signal<Out, Bit>,
    pub command: Vec<Signal<In, Bits<32>>>,
    /// Commands accepted before this one.
    pub tag: Signal<In, Bits<8>>,
    /// Commands drained.
    pub drained: Signal<In, Bits<8>>,
    pub stream_valid: Signal<In, Bit>,
    pub stream_ready: Signal<Out, Bit>,
    pub stream_data: Vec<Signal<In, Bits<8>>>,
    pub stream_level: Signal<In, Bits<16>>,
    /// The word that program, parameters and copies take.
    pub word: Vec<Signal<Out, Bits<8>>>,
    pub program_write: Signal<Out, Bit>,
    pub program_loaded: Signal<Out, Bit>,
    pub parameter_valid: Signal<Out, Bit>,
    pub parameter_ready: Signal<In, Bit>,
    pub copy_valid: Signal<Out, Bit>,
    pub copy_ready: Signal<In, Bit>,
    pub copy_residual: Signal<Out, Bit>,
    pub copy_address: Signal<Out, Bits<16>>,
    pub copy_done: Signal<Out, Bit>,
    pub kv_base: Signal<Out, Bits<16>>,
    pub kv_stride: Signal<Out, Bits<8>>,
    pub kv_rotate: Signal<Out, Bits<6>>,
    pub kv_by_keys: Signal<Out, Bit>,
    pub kv_data: Vec<Signal<In, Bits<8>>>,
    pub load_data: Vec<Vec<Signal<Out, Bits<8>>>>,
    pub load_enable: Vec<Signal<Out, Bit>>,
    /// The streamer issued the first step of a pass.
    pub pass_start: Signal<In, Bit>,
    pub tile_ready: Signal<Out, Bit>,
    /// Waited for the stream in the cycle before.
    pub starved: Signal<Out, Bit>,
    state: DFF<LoaderState>,
    /// Destination words still to be written: program and parameter words, or words of the copy's memory.
    left: DFF<Bits<16>>,
    chunk: DFF<Bits<4>>,
    last_chunk: DFF<Bits<4>>,
    word_full: DFF<Bit>,
    residual: DFF<Bit>,
    address: DFF<Bits<16>>,
    command_tag: DFF<Bits<8>>,
    k_last: DFF<Bits<8>>,
    n_last: DFF<Bits<10>>,
    plane_last: DFF<Bits<2>>,
    from_kv: DFF<Bit>,
    by_keys: DFF<Bit>,
    sync: DFF<Bit>,
    hold: DFF<Bit>,
    base: DFF<Bits<16>>,
    stride: DFF<Bits<8>>,
    tokens: DFF<Bits<11>>,
    k: DFF<Bits<8>>,
    plane: DFF<Bits<2>>,
    n: DFF<Bits<10>>,
    lane_base: DFF<Bits<11>>,
    column_base: DFF<Bits<11>>,
    /// A word of a tile is popped in this cycle, and how many follow it.
    tile_pop: DFF<Bit>,
    pops_left: DFF<Bits<3>>,
    tile_word: DFF<Bit>,
    tile_half: DFF<Bit>,
    /// A tile is loaded, or being loaded, that no pass has taken.
    slot_taken: DFF<Bit>,
    loaded: DFF<Bit>,
    /// Cycles since a pass has started, up to the number that a stream tile waits for.
    age: DFF<Bits<4>>,
    done_copy: DFF<Bit>,
    done_program: DFF<Bit>,
    was_starved: DFF<Bit>,
    all_drained: Signal<Local, Bit>,
    elastic: Signal<Local, Bit>,
    consumer_ready: Signal<Local, Bit>,
    accepted: Signal<Local, Bit>,
    release: Signal<Local, Bit>,
    wants: Signal<Local, Bit>,
    take: Signal<Local, Bit>,
    phase_done: Signal<Local, Bit>,
    stream_turn: Signal<Local, Bit>,
    level_enough: Signal<Local, Bit>,
    stream_tile: Signal<Local, Bit>,
    kv_tile: Signal<Local, Bit>,
    tile_done: Signal<Local, Bit>,
    rows: KvRows,
    stream_word: StreamWord,
    load_bus: LoadBus,
    parameter_words: Constant<Bits<16>>,
    activation_last_chunk: Constant<Bits<4>>,
    residual_last_chunk: Constant<Bits<4>>,
    row_count: Constant<Bits<11>>,
    column_count: Constant<Bits<11>>,
    age_enough: Constant<Bits<4>>,
    _bytes: usize,
    _buses: usize,
    _columns: usize,
    _segments: usize,
}

fn constant<const N: usize>(value: usize) -> Constant<Bits<N>> {
    Constant::new((value as u64).into())
}

impl Loader {
    pub fn new(config: &AccelConfig) -> Self {
        let (bytes, columns) = (config.weight_word_bytes(), config.columns);
        let (buses, segments) = (config.rows / LOAD_LANES, config.rows / SEGMENT_LANES);
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            start: Signal::default(),
            program_load: Signal::default(),
            accept: Signal::default(),
            ready: Signal::default(),
            command: lanes(COMMAND_WORDS),
            tag: Signal::default(),
            drained: Signal::default(),
            stream_valid: Signal::default(),
            stream_ready: Signal::default(),
            stream_data: lanes(bytes),
            stream_level: Signal::default(),
            word: lanes(bytes),
            program_write: Signal::default(),
            program_loaded: Signal::default(),
            parameter_valid: Signal::default(),
            parameter_ready: Signal::default(),
            copy_valid: Signal::default(),
            copy_ready: Signal::default(),
            copy_residual: Signal::default(),
            copy_address: Signal::default(),
            copy_done: Signal::default(),
            kv_base: Signal::default(),
            kv_stride: Signal::default(),
            kv_rotate: Signal::default(),
            kv_by_keys: Signal::default(),
            kv_data: lanes(columns),
            load_data: (0..buses).map(|_| lanes(columns)).collect(),
            load_enable: lanes(segments),
            pass_start: Signal::default(),
            tile_ready: Signal::default(),
            starved: Signal::default(),
            state: DFF::default(),
            left: DFF::default(),
            chunk: DFF::default(),
            last_chunk: DFF::default(),
            word_full: DFF::default(),
            residual: DFF::default(),
            address: DFF::default(),
            command_tag: DFF::default(),
            k_last: DFF::default(),
            n_last: DFF::default(),
            plane_last: DFF::default(),
            from_kv: DFF::default(),
            by_keys: DFF::default(),
            sync: DFF::default(),
            hold: DFF::default(),
            base: DFF::default(),
            stride: DFF::default(),
            tokens: DFF::default(),
            k: DFF::default(),
            plane: DFF::default(),
            n: DFF::default(),
            lane_base: DFF::default(),
            column_base: DFF::default(),
            tile_pop: DFF::default(),
            pops_left: DFF::default(),
            tile_word: DFF::default(),
            tile_half: DFF::default(),
            slot_taken: DFF::default(),
            loaded: DFF::default(),
            age: DFF::default(),
            done_copy: DFF::default(),
            done_program: DFF::default(),
            was_starved: DFF::default(),
            all_drained: Signal::default(),
            elastic: Signal::default(),
            consumer_ready: Signal::default(),
            accepted: Signal::default(),
            release: Signal::default(),
            wants: Signal::default(),
            take: Signal::default(),
            phase_done: Signal::default(),
            stream_turn: Signal::default(),
            level_enough: Signal::default(),
            stream_tile: Signal::default(),
            kv_tile: Signal::default(),
            tile_done: Signal::default(),
            rows: KvRows::new(config),
            stream_word: StreamWord::new(config),
            load_bus: LoadBus::new(config),
            parameter_words: constant(config.parameter_words()),
            activation_last_chunk: constant(bytes / config.rows - 1),
            residual_last_chunk: constant(bytes / config.residual_word_bytes() - 1),
            row_count: constant(config.rows),
            column_count: constant(columns),
            age_enough: constant(timing::STREAM_AFTER_PASS_CYCLES - 1),
            _bytes: bytes,
            _buses: buses,
            _columns: columns,
            _segments: segments,
        }
    }
}

impl Logic for Loader {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            state,
            left,
            chunk,
            last_chunk,
            word_full,
            residual,
            address,
            command_tag,
            k_last,
            n_last,
            plane_last,
            from_kv,
            by_keys,
            sync,
            hold,
            base,
            stride,
            tokens,
            k,
            plane,
            n,
            lane_base,
            column_base,
            tile_pop,
            pops_left,
            tile_word,
            tile_half,
            slot_taken,
            loaded,
            age,
            done_copy,
            done_program,
            was_starved
        );
        clock!(self, clock, rows, stream_word, load_bus);
        self.all_drained.next = self.drained.val() == self.command_tag.q.val();

        // Words whose consumer may wait.
        self.elastic.next = false;
        self.consumer_ready.next = true;
        self.program_write.next = false;
        self.parameter_valid.next = false;
        self.copy_valid.next = false;
        if self.state.q.val() == LoaderState::Program {
            self.elastic.next = true;
            self.program_write.next = self.word_full.q.val();
        }
        if self.state.q.val() == LoaderState::Parameters {
            self.elastic.next = !self.tile_pop.q.val();
            self.consumer_ready.next = self.parameter_ready.val();
            self.parameter_valid.next = self.word_full.q.val();
        }
        if self.state.q.val() == LoaderState::Copy {
            self.elastic.next = self.all_drained.val();
            self.consumer_ready.next = self.copy_ready.val();
            self.copy_valid.next = self.word_full.q.val();
        }
        self.accepted.next = self.word_full.q.val() & self.consumer_ready.val();
        self.release.next = self.accepted.val()
            & ((self.chunk.q.val() == self.last_chunk.q.val()) | (self.left.q.val() == 1));
        self.wants.next = self.elastic.val()
            & ((!self.word_full.q.val() & (self.left.q.val() != 0))
                | (self.release.val() & (self.left.q.val() != 1)));
        self.take.next = self.wants.val() & self.stream_valid.val();
        self.phase_done.next = (self.accepted.val() & (self.left.q.val() == 1))
            | (self.elastic.val() & (self.left.q.val() == 0));
        if self.accepted.val() {
            self.left.d.next = self.left.q.val() - 1;
            self.address.d.next = self.address.q.val() + 1;
            self.chunk.d.next = self.chunk.q.val() + 1;
        }
        if self.release.val() {
            self.chunk.d.next = 0.into();
            self.word_full.d.next = false;
        }
        if self.take.val() {
            self.word_full.d.next = true;
        }
        self.done_program.d.next = self.phase_done.val() & (self.state.q.val() == LoaderState::Program);
        self.done_copy.d.next = self.phase_done.val() & (self.state.q.val() == LoaderState::Copy);

        // Tiles.
        if self.age.q.val() != self.age_enough.val() {
            self.age.d.next = self.age.q.val() + 1;
        }
        if self.pass_start.val() {
            self.age.d.next = 1.into();
            self.slot_taken.d.next = false;
            self.loaded.d.next = false;
        }
        self.stream_turn.next = (self.state.q.val() == LoaderState::Tile)
            & !self.from_kv.q.val()
            & !self.slot_taken.q.val()
            & (self.age.q.val() == self.age_enough.val())
            & (self.pops_left.q.val() == 0);
        self.level_enough.next =
            (self.stream_level.val() > 8) | ((self.stream_level.val() == 8) & !self.tile_pop.q.val());
        self.stream_tile.next = self.stream_turn.val() & self.level_enough.val();
        self.kv_tile.next = (self.state.q.val() == LoaderState::Tile)
            & self.from_kv.q.val()
            & !self.slot_taken.q.val()
            & (!self.sync.q.val() | self.all_drained.val());
        self.tile_pop.d.next = false;
        if self.pops_left.q.val() != 0 {
            self.tile_pop.d.next = true;
            self.pops_left.d.next = self.pops_left.q.val() - 1;
        }
        if self.stream_tile.val() {
            self.tile_pop.d.next = true;
            self.pops_left.d.next = 7.into();
            self.loaded.d.next = true;
        }
        if self.rows.loaded.val() {
            self.loaded.d.next = true;
        }
        if self.stream_tile.val() | self.kv_tile.val() {
            self.slot_taken.d.next = true;
        }
        self.tile_word.d.next = self.tile_pop.q.val();
        self.tile_half.d.next = self.pops_left.q.val() < 4;
        self.tile_done.next = self.stream_tile.val() | self.rows.finished.val();
        self.was_starved.d.next = (self.stream_turn.val() & !self.level_enough.val())
            | (self.wants.val() & !self.stream_valid.val());

        // Loops.
        if self.kv_tile.val() {
            self.state.d.next = LoaderState::Rows;
        }
        if self.tile_done.val() {
            self.state.d.next = LoaderState::Tile;
            self.k.d.next = self.k.q.val() + 1;
            self.lane_base.d.next = self.lane_base.q.val() + self.row_count.val();
            if self.k.q.val() == self.k_last.q.val() {
                self.k.d.next = 0.into();
                self.lane_base.d.next = 0.into();
                self.plane.d.next = self.plane.q.val() + 1;
                if self.plane.q.val() == self.plane_last.q.val() {
                    self.plane.d.next = 0.into();
                    self.n.d.next = self.n.q.val() + 1;
                    self.column_base.d.next = self.column_base.q.val() + self.column_count.val();
                    self.left.d.next = self.parameter_words.val();
                    if !self.hold.q.val() {
                        self.state.d.next = LoaderState::Parameters;
                    }
                    if self.n.q.val() == self.n_last.q.val() {
                        self.state.d.next = LoaderState::Idle;
                    }
                }
            }
        }
        if self.phase_done.val() {
            self.state.d.next = LoaderState::Idle;
            if self.state.q.val() == LoaderState::Parameters {
                self.state.d.next = LoaderState::Tile;
            }
        }

        // A new program or command.
        self.ready.next = (self.state.q.val() == LoaderState::Idle) & !self.start.val();
        if self.start.val() & (self.state.q.val() == LoaderState::Idle) {
            self.state.d.next = LoaderState::Program;
            self.left.d.next = self.program_load.val();
            self.last_chunk.d.next = 0.into();
        }
        if self.accept.val() {
            self.command_tag.d.next = self.tag.val();
            self.k.d.next = 0.into();
            self.plane.d.next = 0.into();
            self.n.d.next = 0.into();
            self.lane_base.d.next = 0.into();
            self.column_base.d.next = 0.into();
            if (self.command[0].val() & 15) == 2 {
                self.state.d.next = LoaderState::Copy;
                self.left.d.next = bit_cast::<16, 32>(self.command[3].val());
                self.residual.d.next = self.command[2].val().get_bit(0);
                self.address.d.next = self.command[2].val().get_bits::<16>(16);
                self.last_chunk.d.next = self.activation_last_chunk.val();
                if self.command[2].val().get_bit(0) {
                    self.last_chunk.d.next = self.residual_last_chunk.val();
                }
            } else {
                self.state.d.next = LoaderState::Parameters;
                self.left.d.next = self.parameter_words.val();
                self.last_chunk.d.next = 0.into();
                self.k_last.d.next = self.command[2].val().get_bits::<8>(24) - 1;
                self.n_last.d.next = bit_cast::<10, 32>(self.command[3].val()) - 1;
                self.plane_last.d.next = 0.into();
                if self.command[3].val().get_bits::<2>(21) == 1 {
                    self.plane_last.d.next = 1.into();
                }
                if self.command[3].val().get_bits::<2>(21) == 2 {
                    self.plane_last.d.next = 3.into();
                }
                self.from_kv.d.next = self.command[3].val().get_bits::<2>(25) != 0;
                self.by_keys.d.next = self.command[3].val().get_bits::<2>(25) == 1;
                self.sync.d.next = self.command[3].val().get_bit(27);
                self.hold.d.next = self.command[3].val().get_bit(28);
                self.base.d.next = bit_cast::<16, 32>(self.command[4].val());
                self.stride.d.next = self.command[4].val().get_bits::<8>(16);
                self.tokens.d.next = bit_cast::<11, 32>(self.command[7].val());
            }
        }

        // The datapath.
        self.rows.reset.next = self.reset.val();
        self.rows.start.next = self.kv_tile.val();
        self.rows.by_keys.next = self.by_keys.q.val();
        self.rows.base.next = self.base.q.val();
        self.rows.stride.next = self.stride.q.val();
        self.rows.tokens.next = self.tokens.q.val();
        self.rows.column_tile.next = self.n.q.val();
        self.rows.column_base.next = self.column_base.q.val();
        self.rows.lane_base.next = self.lane_base.q.val();
        self.kv_base.next = self.rows.kv_base.val();
        self.kv_stride.next = self.rows.kv_stride.val();
        self.kv_rotate.next = self.rows.kv_rotate.val();
        self.kv_by_keys.next = self.rows.kv_by_keys.val();
        self.stream_word.take.next = self.take.val() | self.tile_pop.q.val();
        self.stream_word.shift.next = self.accepted.val();
        self.stream_word.wide.next = self.residual.q.val();
        self.load_bus.reset.next = self.reset.val();
        self.load_bus.tile.next = self.tile_word.q.val();
        self.load_bus.half.next = self.tile_half.q.val();
        self.load_bus.row.next = self.rows.row.val();
        self.load_bus.segment.next = self.rows.segment.val();
        self.load_bus.zero.next = self.rows.zero.val();
        for i in 0..self._bytes {
            self.stream_word.d[i].next = self.stream_data[i].val();
            self.load_bus.word[i].next = self.stream_word.q[i].val();
            self.word[i].next = self.stream_word.q[i].val();
        }
        for c in 0..self._columns {
            self.load_bus.kv_data[c].next = self.kv_data[c].val();
        }
        for b in 0..self._buses {
            for c in 0..self._columns {
                self.load_data[b][c].next = self.load_bus.data[b][c].val();
            }
        }
        for s in 0..self._segments {
            self.load_enable[s].next = self.load_bus.enable[s].val();
        }
        self.stream_ready.next = self.wants.val() | self.tile_pop.q.val();
        self.tile_ready.next = self.loaded.q.val();
        self.copy_residual.next = self.residual.q.val();
        self.copy_address.next = self.address.q.val();
        self.copy_done.next = self.done_copy.q.val();
        self.program_loaded.next = self.done_program.q.val();
        self.starved.next = self.was_starved.q.val();
        if self.reset.val() {
            self.state.d.next = LoaderState::Idle;
            self.word_full.d.next = false;
            self.chunk.d.next = 0.into();
            self.tile_pop.d.next = false;
            self.pops_left.d.next = 0.into();
            self.tile_word.d.next = false;
            self.slot_taken.d.next = false;
            self.loaded.d.next = false;
            self.done_copy.d.next = false;
            self.done_program.d.next = false;
            self.was_starved.d.next = false;
        }
    }
}
