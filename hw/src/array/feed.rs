//! The feed unit: loader, streamer, array and accumulators. It turns Copy and MatMul commands into groups of sums for the drain.
//!
//! * A command is taken when loader and streamer can both take it; the drain unit gets the same commands beside it.
//! * A *group* is one tile of columns: `ceil(tokens / 2)` pairs of 32-bit sums. `group_filled` says that the next bank (alternating from 0)
//!   is complete; at most two groups are on their way until `group_drained`.
//! * Commands are numbered modulo 256; `command_drained` counts those that are finished, which is what `sync` and Copy wait for.
//! * Rate: one token pair a cycle. A step reaches the accumulators `STEP_CYCLES + array_cycles` cycles after its decision; nothing stalls it.
//! * Parameters and copies carry the bytes of the stream word they come from, lane 0 first.
//!
//! ```text
//! command --+--> loader --load_*--> systolic_array --sum_*--> accumulator --> sum_0, sum_1
//! stream ---|-----^  |                 ^      ^                   ^  ^
//!           |        +-- tile_ready -> |      +-- swap ---------- | -+-- read, write
//!           +--> streamer --step_*-----|----> step_delay ---------+
//!                   +--> read_address_* --> memory --> read_data_*
//! ```

use super::accumulator::Accumulator;
use super::load_bus::SEGMENT_LANES;
use super::loader::Loader;
use super::step_delay::StepDelay;
use super::streamer::Streamer;
use super::systolic_array::SystolicArray;
use super::timing;
use crate::activity::Array;
use crate::config::{AccelConfig, LOAD_LANES};
use crate::control::command::COMMAND_WORDS;
use crate::prelude::*;

/// The unit; see the module.
#[derive(LogicBlock, Default)]
pub struct FeedUnit {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub start: Signal<In, Bit>,
    pub program_load: Signal<In, Bits<16>>,
    pub program_write: Signal<Out, Bit>,
    pub program_data: Vec<Signal<Out, Bits<8>>>,
    pub program_loaded: Signal<Out, Bit>,
    pub command_valid: Signal<In, Bit>,
    pub command_ready: Signal<Out, Bit>,
    pub command: Vec<Signal<In, Bits<32>>>,
    pub expert: Signal<In, Bits<5>>,
    pub queue_length: Signal<In, Bits<11>>,
    pub in_loop: Signal<In, Bit>,
    pub command_drained: Signal<In, Bit>,
    pub stream_valid: Signal<In, Bit>,
    pub stream_ready: Signal<Out, Bit>,
    pub stream_data: Vec<Signal<In, Bits<8>>>,
    pub stream_level: Signal<In, Bits<16>>,
    pub parameter_valid: Signal<Out, Bit>,
    pub parameter_ready: Signal<In, Bit>,
    pub parameter_data: Vec<Signal<Out, Bits<8>>>,
    pub copy_valid: Signal<Out, Bit>,
    pub copy_ready: Signal<In, Bit>,
    pub copy_residual: Signal<Out, Bit>,
    pub copy_address: Signal<Out, Bits<16>>,
    pub copy_data: Vec<Signal<Out, Bits<8>>>,
    pub copy_done: Signal<Out, Bit>,
    pub lookup_expert: Signal<Out, Bits<5>>,
    pub lookup_pair: Signal<Out, Bits<10>>,
    pub lookup_token_0: Signal<In, Bits<11>>,
    pub lookup_token_1: Signal<In, Bits<11>>,
    pub read_address_0: Signal<Out, Bits<16>>,
    pub read_address_1: Signal<Out, Bits<16>>,
    pub read_data_0: Vec<Signal<In, Bits<8>>>,
    pub read_data_1: Vec<Signal<In, Bits<8>>>,
    pub kv_base: Signal<Out, Bits<16>>,
    pub kv_stride: Signal<Out, Bits<8>>,
    pub kv_rotate: Signal<Out, Bits<6>>,
    pub kv_by_keys: Signal<Out, Bit>,
    pub kv_data: Vec<Signal<In, Bits<8>>>,
    pub group_filled: Signal<Out, Bit>,
    pub group_drained: Signal<In, Bit>,
    pub group_stored: Signal<In, Bit>,
    pub drain_pair: Signal<In, Bits<10>>,
    pub drain_bank: Signal<In, Bit>,
    pub sum_0: Vec<Signal<Out, Bits<32>>>,
    pub sum_1: Vec<Signal<Out, Bits<32>>>,
    /// A token pair was issued in the cycle before.
    pub busy_streaming: Signal<Out, Bit>,
    /// No pair was issued, and the loader waits for the stream.
    pub stall_stream: Signal<Out, Bit>,
    /// A pass waits for a free accumulator bank.
    pub stall_bank: Signal<Out, Bit>,
    /// A pass waits for earlier commands to drain.
    pub stall_sync: Signal<Out, Bit>,
    accept: Signal<Local, Bit>,
    commands_taken: DFF<Bits<8>>,
    commands_drained: DFF<Bits<8>>,
    loader: Loader,
    streamer: Streamer,
    array: SystolicArray,
    step_delay: StepDelay,
    accumulator: Accumulator,
    _bytes: usize,
    _buses: usize,
    _columns: usize,
    _rows: usize,
    _segments: usize,
    _copy_bytes: usize,
}

impl FeedUnit {
    pub fn new(config: &AccelConfig) -> Self {
        let (rows, columns, bytes) = (config.rows, config.columns, config.weight_word_bytes());
        let copy_bytes = rows.max(config.residual_word_bytes());
        // The issue register has passed one of the cycles.
        let token_tap = timing::STEP_CYCLES - 1;
        Self {
            program_data: many(bytes),
            command: many(COMMAND_WORDS),
            stream_data: many(bytes),
            parameter_data: many(bytes),
            copy_data: many(copy_bytes),
            read_data_0: many(rows),
            read_data_1: many(rows),
            kv_data: many(columns),
            sum_0: many(columns),
            sum_1: many(columns),
            loader: Loader::new(config),
            streamer: Streamer::new(config.groups()),
            array: SystolicArray::new(config),
            step_delay: StepDelay::new(token_tap, token_tap + timing::array_cycles(config)),
            accumulator: Accumulator::new(config),
            _bytes: bytes,
            _buses: rows / LOAD_LANES,
            _columns: columns,
            _rows: rows,
            _segments: rows / SEGMENT_LANES,
            _copy_bytes: copy_bytes,
            ..Self::default()
        }
    }

    /// What the array does in this cycle, for a timeline.
    pub(crate) fn array_activity(&self) -> Array {
        self.streamer.activity(self.loader.starved.val())
    }

    /// Number of the command that is streamed.
    pub(crate) fn array_command(&self) -> Bits<8> {
        self.streamer.streamed_command()
    }
}

impl Logic for FeedUnit {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, commands_taken, commands_drained);
        clock!(self, clock, loader, streamer, array, step_delay, accumulator);
        self.loader.reset.next = self.reset.val();
        self.streamer.reset.next = self.reset.val();
        self.step_delay.reset.next = self.reset.val();

        self.accept.next = self.command_valid.val() & self.loader.ready.val() & self.streamer.ready.val();
        self.command_ready.next = self.loader.ready.val() & self.streamer.ready.val();
        if self.accept.val() {
            self.commands_taken.d.next = self.commands_taken.q.val() + 1;
        }
        if self.command_drained.val() {
            self.commands_drained.d.next = self.commands_drained.q.val() + 1;
        }
        self.loader.accept.next = self.accept.val();
        self.loader.tag.next = self.commands_taken.q.val();
        self.loader.drained.next = self.commands_drained.q.val();
        self.streamer.accept.next = self.accept.val();
        self.streamer.tag.next = self.commands_taken.q.val();
        self.streamer.drained.next = self.commands_drained.q.val();
        self.streamer.expert.next = self.expert.val();
        self.streamer.queue_length.next = self.queue_length.val();
        self.streamer.in_loop.next = self.in_loop.val();
        for i in 0..8 {
            self.loader.command[i].next = self.command[i].val();
            self.streamer.command[i].next = self.command[i].val();
        }

        self.loader.start.next = self.start.val();
        self.loader.program_load.next = self.program_load.val();
        self.program_write.next = self.loader.program_write.val();
        self.program_loaded.next = self.loader.program_loaded.val();
        self.loader.stream_valid.next = self.stream_valid.val();
        self.loader.stream_level.next = self.stream_level.val();
        self.stream_ready.next = self.loader.stream_ready.val();
        self.loader.parameter_ready.next = self.parameter_ready.val();
        self.parameter_valid.next = self.loader.parameter_valid.val();
        self.loader.copy_ready.next = self.copy_ready.val();
        self.copy_valid.next = self.loader.copy_valid.val();
        self.copy_residual.next = self.loader.copy_residual.val();
        self.copy_address.next = self.loader.copy_address.val();
        self.copy_done.next = self.loader.copy_done.val();
        for i in 0..self._bytes {
            self.loader.stream_data[i].next = self.stream_data[i].val();
            self.program_data[i].next = self.loader.word[i].val();
            self.parameter_data[i].next = self.loader.word[i].val();
        }
        for i in 0..self._copy_bytes {
            self.copy_data[i].next = self.loader.word[i].val();
        }
        self.kv_base.next = self.loader.kv_base.val();
        self.kv_stride.next = self.loader.kv_stride.val();
        self.kv_rotate.next = self.loader.kv_rotate.val();
        self.kv_by_keys.next = self.loader.kv_by_keys.val();
        for c in 0..self._columns {
            self.loader.kv_data[c].next = self.kv_data[c].val();
        }

        self.loader.pass_start.next = self.streamer.step_swap.val();
        self.streamer.tile_ready.next = self.loader.tile_ready.val();
        self.streamer.group_drained.next = self.group_drained.val();
        self.streamer.group_stored.next = self.group_stored.val();
        self.lookup_expert.next = self.streamer.lookup_expert.val();
        self.lookup_pair.next = self.streamer.lookup_pair.val();
        self.streamer.lookup_token_0.next = self.lookup_token_0.val();
        self.streamer.lookup_token_1.next = self.lookup_token_1.val();
        self.read_address_0.next = self.streamer.read_address_0.val();
        self.read_address_1.next = self.streamer.read_address_1.val();

        self.step_delay.swap_in.next = self.streamer.step_swap.val();
        self.step_delay.valid.next = self.streamer.step_valid.val();
        self.step_delay.pair.next = self.streamer.step_pair.val();
        self.step_delay.bank.next = self.streamer.step_bank.val();
        self.step_delay.first_in.next = self.streamer.step_first.val();
        self.step_delay.shift_in.next = self.streamer.step_shift.val();
        self.step_delay.last.next = self.streamer.step_last.val();

        self.array.swap.next = self.step_delay.swap.val();
        for r in 0..self._rows {
            self.array.token_0[r].next = self.read_data_0[r].val();
            self.array.token_1[r].next = self.read_data_1[r].val();
        }
        for c in 0..self._columns {
            for b in 0..self._buses {
                self.array.load_data[c][b].next = self.loader.load_data[c][b].val();
            }
        }
        for s in 0..self._segments {
            self.array.load_enable[s].next = self.loader.load_enable[s].val();
        }

        self.accumulator.read_valid.next = self.step_delay.read_valid.val();
        self.accumulator.read_pair.next = self.step_delay.read_pair.val();
        self.accumulator.read_bank.next = self.step_delay.read_bank.val();
        self.accumulator.write_valid.next = self.step_delay.write_valid.val();
        self.accumulator.write_pair.next = self.step_delay.write_pair.val();
        self.accumulator.write_bank.next = self.step_delay.write_bank.val();
        self.accumulator.first.next = self.step_delay.first.val();
        self.accumulator.shift.next = self.step_delay.shift.val();
        self.accumulator.drain_pair.next = self.drain_pair.val();
        self.accumulator.drain_bank.next = self.drain_bank.val();
        for c in 0..self._columns {
            self.accumulator.sum_0[c].next = self.array.sum_0[c].val();
            self.accumulator.sum_1[c].next = self.array.sum_1[c].val();
            self.sum_0[c].next = self.accumulator.drain_0[c].val();
            self.sum_1[c].next = self.accumulator.drain_1[c].val();
        }
        self.group_filled.next = self.step_delay.group_filled.val();
        self.busy_streaming.next = self.streamer.step_valid.val();
        self.stall_stream.next = self.loader.starved.val() & !self.streamer.step_valid.val();
        self.stall_bank.next = self.streamer.stall_bank.val();
        self.stall_sync.next = self.streamer.stall_sync.val();
        if self.reset.val() {
            self.commands_taken.d.next = 0.into();
            self.commands_drained.d.next = 0.into();
        }
    }
}
