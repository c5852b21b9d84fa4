//! Consumes the weight stream: program, copies, post-processing parameters and tiles, in the order in which the compiler wrote them.
//!
//! * At `start`, `program_load` words go to the program memory; after that commands are taken one by one.
//! * Copy: waits until every earlier command has drained, then writes `words` words of the destination memory.
//! * Discard: drops `words` stream words, a word a cycle.
//! * MatMul: for each tile of columns the parameter words (only once with `hold_parameters`), then for each plane and tile of channels
//!   a tile for the array: eight stream words, or R rows of key/value memory.
//! * A tile loads while the one before it is streamed, so the loader runs ahead of the streamer by one tile, also across commands.
//!   It starts a stream tile only when eight words are there, and then never stalls. `sync` holds back key/value tiles only.
//! * Rate: a stream word a cycle. Parameters cost their words and one cycle of the stream's time.
//!
//! ```text
//! command --> [state, loops] --+--> WordConsumer ---> program, parameters, copies
//! stream ----------------------+--> TileScheduler --> LoadBus --> load_data, load_enable
//! kv memory <-- KvRows <-------+                        ^-- kv_data
//!
//! cycle          c    c+1   c+2   c+3
//! decision       *
//! stream_ready        w0    w1    ...
//! LoadBus stage             w0    ...
//! load_data                       w0 --> array
//! ```

use super::kv_rows::KvRows;
use super::load_bus::{LoadBus, SEGMENT_LANES};
use super::tile_scheduler::TileScheduler;
use super::word_consumer::WordConsumer;
use crate::config::{AccelConfig, LOAD_LANES};
use crate::control::command::COMMAND_WORDS;
use crate::prelude::*;

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
#[derive(LogicBlock, Default)]
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
    /// By column and bus.
    pub load_data: Vec<Vec<Signal<Out, Bits<8>>>>,
    pub load_enable: Vec<Signal<Out, Bit>>,
    /// The streamer issued the first step of a pass.
    pub pass_start: Signal<In, Bit>,
    pub tile_ready: Signal<Out, Bit>,
    /// Waited for the stream in the cycle before.
    pub starved: Signal<Out, Bit>,
    state: DFF<LoaderState>,
    command_tag: DFF<Bits<8>>,
    k_last: DFF<Bits<8>>,
    n_last: DFF<Bits<10>>,
    plane_last: DFF<Bits<2>>,
    from_kv: DFF<Bit>,
    by_keys: DFF<Bit>,
    sync: DFF<Bit>,
    hold: DFF<Bit>,
    discard: DFF<Bit>,
    base: DFF<Bits<16>>,
    stride: DFF<Bits<8>>,
    tokens: DFF<Bits<11>>,
    k: DFF<Bits<8>>,
    plane: DFF<Bits<2>>,
    n: DFF<Bits<10>>,
    lane_base: DFF<Bits<11>>,
    column_base: DFF<Bits<11>>,
    was_starved: DFF<Bit>,
    all_drained: Signal<Local, Bit>,
    tile_done: Signal<Local, Bit>,
    phase_start: Signal<Local, Bit>,
    phase_kind: Signal<Local, Bits<3>>,
    phase_count: Signal<Local, Bits<16>>,
    words: WordConsumer,
    scheduler: TileScheduler,
    rows: KvRows,
    bus: LoadBus,
    parameter_words: Constant<Bits<16>>,
    row_count: Constant<Bits<11>>,
    column_count: Constant<Bits<11>>,
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
            command: many(COMMAND_WORDS),
            stream_data: many(bytes),
            word: many(bytes),
            kv_data: many(columns),
            load_data: (0..columns).map(|_| many(buses)).collect(),
            load_enable: many(segments),
            words: WordConsumer::new(config),
            scheduler: TileScheduler::new(),
            rows: KvRows::new(config),
            bus: LoadBus::new(config),
            parameter_words: constant(config.parameter_words()),
            row_count: constant(config.rows),
            column_count: constant(columns),
            _bytes: bytes,
            _buses: buses,
            _columns: columns,
            _segments: segments,
            ..Self::default()
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
            command_tag,
            k_last,
            n_last,
            plane_last,
            from_kv,
            by_keys,
            sync,
            hold,
            base
        );
        dff_setup!(
            self,
            clock,
            stride,
            tokens,
            k,
            plane,
            n,
            lane_base,
            column_base,
            was_starved,
            discard
        );
        clock!(self, clock, words, scheduler, rows, bus);
        self.all_drained.next = self.drained.val() == self.command_tag.q.val();
        self.phase_start.next = false;
        self.phase_kind.next = 1.into();
        self.phase_count.next = self.parameter_words.val();

        // Loops over tiles.
        self.tile_done.next = self.scheduler.stream_tile.val() | self.rows.finished.val();
        if self.scheduler.kv_tile.val() {
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
                    if self.n.q.val() == self.n_last.q.val() {
                        self.state.d.next = LoaderState::Idle;
                    } else if !self.hold.q.val() {
                        self.state.d.next = LoaderState::Parameters;
                        self.phase_start.next = true;
                    }
                }
            }
        }
        if (self.state.q.val() == LoaderState::Parameters) & (self.words.taken.val() | self.words.empty.val())
        {
            self.state.d.next = LoaderState::Tile;
        }
        if self.words.program_done.val() | self.words.copy_done.val() {
            self.state.d.next = LoaderState::Idle;
        }

        // A new program or command.
        self.ready.next = (self.state.q.val() == LoaderState::Idle) & !self.start.val();
        if self.start.val() & (self.state.q.val() == LoaderState::Idle) {
            self.state.d.next = LoaderState::Program;
            self.phase_start.next = true;
            self.phase_kind.next = 0.into();
            self.phase_count.next = self.program_load.val();
        }
        if self.accept.val() {
            self.phase_start.next = true;
            self.command_tag.d.next = self.tag.val();
            self.k.d.next = 0.into();
            self.plane.d.next = 0.into();
            self.n.d.next = 0.into();
            self.lane_base.d.next = 0.into();
            self.column_base.d.next = 0.into();
            self.discard.d.next = (self.command[0].val() & 15) == 9;
            if (self.command[0].val() & 15) == 9 {
                self.state.d.next = LoaderState::Copy;
                self.phase_count.next = bit_cast::<16, 32>(self.command[2].val());
                self.phase_kind.next = 4.into();
            } else if (self.command[0].val() & 15) == 2 {
                self.state.d.next = LoaderState::Copy;
                self.phase_count.next = bit_cast::<16, 32>(self.command[3].val());
                self.phase_kind.next = 2.into();
                if self.command[2].val().get_bit(0) {
                    self.phase_kind.next = 3.into();
                }
            } else {
                self.state.d.next = LoaderState::Parameters;
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

        // Words whose consumer may wait.
        self.words.reset.next = self.reset.val();
        self.words.start.next = self.phase_start.val();
        self.words.kind.next = self.phase_kind.val();
        self.words.count.next = self.phase_count.val();
        self.words.first_address.next = 0.into();
        if self.accept.val() {
            self.words.first_address.next = self.command[2].val().get_bits::<16>(16);
        }
        self.words.enable.next = !self.scheduler.pop.val()
            & ((self.state.q.val() != LoaderState::Copy) | self.discard.q.val() | self.all_drained.val());
        self.words.stream_valid.next = self.stream_valid.val();
        self.words.parameter_ready.next = self.parameter_ready.val();
        self.words.copy_ready.next = self.copy_ready.val();
        self.program_write.next = self.words.program_write.val();
        self.program_loaded.next = self.words.program_done.val();
        self.parameter_valid.next = self.words.parameter_valid.val();
        self.copy_valid.next = self.words.copy_valid.val();
        self.copy_residual.next = self.words.copy_residual.val();
        self.copy_address.next = self.words.copy_address.val();
        self.copy_done.next = self.words.copy_done.val();
        self.stream_ready.next = self.words.wants.val() | self.scheduler.pop.val();

        // Tiles.
        self.scheduler.reset.next = self.reset.val();
        self.scheduler.stream_turn.next = (self.state.q.val() == LoaderState::Tile) & !self.from_kv.q.val();
        self.scheduler.kv_turn.next = (self.state.q.val() == LoaderState::Tile)
            & self.from_kv.q.val()
            & (!self.sync.q.val() | self.all_drained.val());
        self.scheduler.stream_level.next = self.stream_level.val();
        self.scheduler.pass_start.next = self.pass_start.val();
        self.scheduler.rows_loaded.next = self.rows.loaded.val();
        self.tile_ready.next = self.scheduler.tile_ready.val();
        self.was_starved.d.next =
            self.scheduler.starved.val() | (self.words.wants.val() & !self.stream_valid.val());
        self.starved.next = self.was_starved.q.val();
        self.rows.reset.next = self.reset.val();
        self.rows.start.next = self.scheduler.kv_tile.val();
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
        self.bus.reset.next = self.reset.val();
        self.bus.tile.next = self.scheduler.pop.val();
        self.bus.half.next = self.scheduler.half.val();
        self.bus.row.next = self.rows.row.val();
        self.bus.segment.next = self.rows.segment.val();
        self.bus.zero.next = self.rows.zero.val();
        for i in 0..self._bytes {
            self.words.stream_data[i].next = self.stream_data[i].val();
            self.bus.word[i].next = self.stream_data[i].val();
            self.word[i].next = self.words.word[i].val();
        }
        for c in 0..self._columns {
            self.bus.kv_data[c].next = self.kv_data[c].val();
        }
        for c in 0..self._columns {
            for b in 0..self._buses {
                self.load_data[c][b].next = self.bus.data[c][b].val();
            }
        }
        for s in 0..self._segments {
            self.load_enable[s].next = self.bus.enable[s].val();
        }
        if self.reset.val() {
            self.state.d.next = LoaderState::Idle;
            self.was_starved.d.next = false;
        }
    }
}
