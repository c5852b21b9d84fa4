//! The drain unit: filled accumulator banks to results in their memories.
//!
//! It takes the array's commands, waits for each group of sums and its parameters, and sends one token (C results) a cycle through
//! post-processing to activation, key/value, residual or score memory or to the router. Groups follow each other without a gap when
//! they are ready; nothing behind a slot ever stalls.
//!
//! ```text
//! command --> [queue] --> [register] --> drainer --> drain_*, lookup_*, factor_*   slot cycle 0
//! parameter_* --> [parameters] --+         |
//! sum_*, lookup_*, factor_* -----+--> [C lanes] <-- [lane settings]                slot cycles 2 .. 26
//! residual_data -----------------------> [store] <-- [destination]                 slot cycle 26
//!                                           +--> activation, kv, score, logit      slot cycle 27
//!                                           +--> residual                          slot cycle 28
//! ```
//!
//! * All lookups (`drain_*` to `sum_*`, `lookup_*`, `factor_*`, `residual_read*` to `residual_data`) answer after
//!   [`LOOKUP_CYCLES`].
//! * `command_drained` pulses [`DRAINED_CYCLES`] after the last slot of a command: its writes have left the unit at least
//!   [`WRITE_SETTLE_CYCLES`] before, the time a memory has to make them readable. It pulses once for a Copy or a Discard too.
//! * `group_stored` pulses for every group as long after its last slot.
//! * The same residual word must not be added to twice within [`RESIDUAL_SLOT_CYCLES`]: tokens and tiles of a command are distinct,
//!   commands in between are ordered by `sync` or waits.
//! * The queue lets the array run ahead by as many commands as the configuration says.

use super::command_register::{CommandRegister, LANES};
use super::destination::{Destination, STORE_CYCLES};
use super::drainer::Drainer;
use super::lane_settings::LaneSettings;
pub use super::lane_settings::LOOKUP_CYCLES;
use super::parameters::Parameters;
use super::post_lane::PostLane;
use super::store::{Store, RESIDUAL_WRITE_CYCLES, WRITE_CYCLES};
use crate::config::AccelConfig;
use crate::control::command::COMMAND_WORDS;
use crate::memory::queue::Queue;
use crate::prelude::*;
use crate::primitives::delay::Delay;

/// Cycles from a slot to its write, but for the residual memory.
pub const SLOT_CYCLES: usize = STORE_CYCLES + WRITE_CYCLES;
/// Cycles from a slot to its write of the residual memory.
pub const RESIDUAL_SLOT_CYCLES: usize = STORE_CYCLES + RESIDUAL_WRITE_CYCLES;
/// Cycles that the memories have to make the last write readable before `command_drained`.
pub const WRITE_SETTLE_CYCLES: usize = 4;
/// Cycles from the last slot of a command to `command_drained`.
pub const DRAINED_CYCLES: usize = RESIDUAL_SLOT_CYCLES + WRITE_SETTLE_CYCLES;

/// The unit; see the module.
#[derive(LogicBlock, Default)]
pub struct DrainUnit {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // Commands, as the array's feed gets them.
    pub command_valid: Signal<In, Bit>,
    pub command_ready: Signal<Out, Bit>,
    pub command: Vec<Signal<In, Bits<32>>>,
    pub expert: Signal<In, Bits<5>>,
    pub queue_length: Signal<In, Bits<11>>,
    pub in_loop: Signal<In, Bit>,
    pub command_drained: Signal<Out, Bit>,
    pub copy_done: Signal<In, Bit>,
    // Parameters from the weight stream.
    pub parameter_valid: Signal<In, Bit>,
    pub parameter_ready: Signal<Out, Bit>,
    pub parameter_data: Vec<Signal<In, Bits<8>>>,
    // Accumulators.
    pub group_filled: Signal<In, Bit>,
    pub group_drained: Signal<Out, Bit>,
    pub group_stored: Signal<Out, Bit>,
    pub drain_pair: Signal<Out, Bits<10>>,
    pub drain_bank: Signal<Out, Bit>,
    pub sum_0: Vec<Signal<In, Bits<32>>>,
    pub sum_1: Vec<Signal<In, Bits<32>>>,
    // Expert queues.
    pub lookup_expert: Signal<Out, Bits<5>>,
    pub lookup_position: Signal<Out, Bits<11>>,
    pub lookup_token: Signal<In, Bits<11>>,
    pub lookup_score: Signal<In, Bits<16>>,
    // Softmax factors.
    pub factor_bank: Signal<Out, Bit>,
    pub factor_row: Signal<Out, Bits<11>>,
    pub factor_mantissa: Signal<In, Bits<16>>,
    pub factor_exponent: Signal<In, Bits<5>>,
    // Results.
    pub activation_write: Vec<Signal<Out, Bit>>,
    pub activation_address: Signal<Out, Bits<16>>,
    pub activation_data: Vec<Signal<Out, Bits<8>>>,
    pub kv_write: Signal<Out, Bit>,
    pub kv_address: Signal<Out, Bits<16>>,
    pub kv_rotate: Signal<Out, Bits<6>>,
    pub kv_data: Vec<Signal<Out, Bits<8>>>,
    pub residual_read: Signal<Out, Bit>,
    pub residual_read_address: Signal<Out, Bits<16>>,
    pub residual_data: Vec<Signal<In, Bits<16>>>,
    pub residual_write: Signal<Out, Bit>,
    pub residual_address: Signal<Out, Bits<16>>,
    pub residual_write_data: Vec<Signal<Out, Bits<16>>>,
    pub score_write: Signal<Out, Bit>,
    pub score_address: Signal<Out, Bits<16>>,
    pub score_data: Vec<Signal<Out, Bits<16>>>,
    pub logit_write: Signal<Out, Bit>,
    pub logit_token: Signal<Out, Bits<11>>,
    pub logit_tile: Signal<Out, Bits<4>>,
    pub logit_data: Vec<Signal<Out, Bits<24>>>,
    queue: Queue<32>,
    register: CommandRegister,
    drainer: Drainer,
    parameters: Parameters,
    settings: LaneSettings,
    destination: Destination,
    lanes: Vec<PostLane>,
    store: Store,
    ends: Delay<1>,
    stored: Delay<1>,
    releases: Delay<1>,
    _bytes: usize,
    _columns: usize,
    _groups: usize,
}

impl DrainUnit {
    /// The unit of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let (c, groups, bytes) = (config.columns, config.groups(), config.weight_word_bytes());
        Self {
            command: many(COMMAND_WORDS),
            parameter_data: many(bytes),
            sum_0: many(c),
            sum_1: many(c),
            activation_write: many(groups),
            activation_data: many(c),
            kv_data: many(c),
            residual_data: many(c),
            residual_write_data: many(c),
            score_data: many(c),
            logit_data: many(c),
            queue: Queue::new(LANES, config.queue_commands),
            register: CommandRegister::new(),
            drainer: Drainer::new(config),
            parameters: Parameters::new(config),
            settings: LaneSettings::new(),
            destination: Destination::new(),
            lanes: (0..c).map(|_| PostLane::default()).collect(),
            store: Store::new(config),
            ends: Delay::new(DRAINED_CYCLES),
            stored: Delay::new(DRAINED_CYCLES),
            releases: Delay::new(STORE_CYCLES),
            _bytes: bytes,
            _columns: c,
            _groups: groups,
            ..Self::default()
        }
    }
}

impl Logic for DrainUnit {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(
            self,
            clock,
            queue,
            register,
            drainer,
            parameters,
            settings,
            destination,
            store,
            ends,
            stored,
            releases
        );
        self.queue.reset.next = self.reset.val();
        self.register.reset.next = self.reset.val();
        self.drainer.reset.next = self.reset.val();
        self.parameters.reset.next = self.reset.val();
        self.destination.reset.next = self.reset.val();
        self.store.reset.next = self.reset.val();
        self.ends.reset.next = self.reset.val();
        self.stored.reset.next = self.reset.val();
        self.releases.reset.next = self.reset.val();
        // Commands.
        self.queue.write_valid.next = self.command_valid.val();
        self.command_ready.next = self.queue.write_ready.val();
        self.queue.write_data[0].next = self.command[3].val();
        self.queue.write_data[1].next = self.command[4].val();
        self.queue.write_data[2].next = self.command[5].val();
        self.queue.write_data[3].next = self.command[6].val();
        self.queue.write_data[4].next = bit_cast::<32, 4>(self.command[0].val().get_bits::<4>(0))
            | (bit_cast::<32, 5>(self.expert.val()) << 5)
            | (bit_cast::<32, 11>(self.queue_length.val()) << 10);
        if self.in_loop.val() {
            self.queue.write_data[4].next = bit_cast::<32, 4>(self.command[0].val().get_bits::<4>(0))
                | (bit_cast::<32, 5>(self.expert.val()) << 5)
                | (bit_cast::<32, 11>(self.queue_length.val()) << 10)
                | 16;
        }
        self.register.command_valid.next = self.queue.read_valid.val();
        self.queue.read_ready.next = self.register.command_ready.val();
        for i in 0..5 {
            self.register.command[i].next = self.queue.read_data[i].val();
        }
        self.register.finish.next = self.drainer.finish.val();
        // Slots.
        self.drainer.group_filled.next = self.group_filled.val();
        self.drainer.block_loaded.next = self.parameters.block_loaded.val();
        self.drainer.copy_done.next = self.copy_done.val();
        self.drainer.load.next = self.register.load.val();
        self.drainer.first_word.next = self.register.first_word.val();
        self.drainer.first_sums.next = self.register.first_sums.val();
        self.drainer.busy.next = self.register.busy.val();
        self.drainer.copy.next = self.register.copy.val();
        self.drainer.empty.next = self.register.empty.val();
        self.drainer.last_row.next = self.register.last_row.val();
        self.drainer.one_row.next = self.register.one_row.val();
        self.drainer.last_tile.next = self.register.last_tile.val();
        self.drainer.hold_parameters.next = self.register.hold_parameters.val();
        self.drainer.grouped.next = self.register.dst.val() == 0;
        self.drainer.fixed_word.next = self.register.dst.val() == 4;
        self.group_drained.next = self.drainer.group_drained.val();
        self.drain_pair.next = self.drainer.row.val().get_bits::<10>(1);
        self.drain_bank.next = self.drainer.bank.val();
        self.lookup_expert.next = self.register.expert.val();
        self.lookup_position.next = self.drainer.row.val();
        self.factor_bank.next = self.register.sum_bank.val();
        self.factor_row.next = self.drainer.row.val();
        self.ends.d.next = 0.into();
        if self.drainer.finish.val() {
            self.ends.d.next = 1.into();
        }
        self.command_drained.next = self.ends.q.val().get_bit(0);
        self.stored.d.next = 0.into();
        if self.drainer.last.val() {
            self.stored.d.next = 1.into();
        }
        self.group_stored.next = self.stored.q.val().get_bit(0);
        // Parameters.
        self.parameters.parameter_valid.next = self.parameter_valid.val();
        self.parameter_ready.next = self.parameters.parameter_ready.val();
        for i in 0..self._bytes {
            self.parameters.parameter_data[i].next = self.parameter_data[i].val();
        }
        self.releases.d.next = 0.into();
        if self.drainer.block_last.val() {
            self.releases.d.next = 1.into();
        }
        self.parameters.free_block.next = self.releases.q.val().get_bit(0);
        self.parameters.bias_bank.next = self.settings.bias_bank.val();
        self.parameters.mantissa_bank.next = self.settings.mantissa_bank.val();
        self.parameters.factor_bank.next = self.settings.factor_bank.val();
        // Settings of the lanes.
        self.settings.row_is_odd.next = self.drainer.row.val().get_bit(0);
        self.settings.bias_from_sums.next = self.register.bias_from_sums.val();
        self.settings.block.next = self.drainer.block.val();
        self.settings.pre_shift.next = self.register.pre_shift.val();
        self.settings.shift.next = self.register.shift.val();
        self.settings.gelu.next = self.register.gelu.val();
        self.settings.factor.next = self.register.factor.val();
        self.settings.factor_shift.next = self.register.factor_shift.val();
        self.settings.offset.next = self.register.offset.val();
        self.settings.score.next = self.lookup_score.val();
        self.settings.softmax_mantissa.next = self.factor_mantissa.val();
        self.settings.softmax_exponent.next = self.factor_exponent.val();
        // Destination.
        self.destination.valid.next = self.drainer.valid.val();
        self.destination.first.next = self.drainer.first.val();
        self.destination.last.next = self.drainer.last.val();
        self.destination.row.next = self.drainer.row.val();
        self.destination.scatter.next = self.register.scatter.val();
        self.destination.word.next = self.drainer.word.val();
        self.destination.stride.next = self.register.stride.val();
        self.destination.group.next = self.drainer.group.val();
        self.destination.tile.next = self.drainer.tile.val().get_bits::<4>(0);
        self.destination.dst.next = self.register.dst.val();
        self.destination.add.next = self.register.add.val();
        self.destination.write_sums.next = self.register.write_sums.val();
        self.destination.sums_address.next = self.drainer.sums_address.val();
        self.destination.queue_token.next = self.lookup_token.val();
        self.residual_read.next = self.destination.residual_read.val();
        self.residual_read_address.next = self.destination.residual_read_address.val();
        // Store.
        self.store.valid.next = self.destination.store_valid.val();
        self.store.first.next = self.destination.store_first.val();
        self.store.last.next = self.destination.store_last.val();
        self.store.add.next = self.destination.store_add.val();
        self.store.sums.next = self.destination.store_sums.val();
        self.store.dst.next = self.destination.store_dst.val();
        self.store.address.next = self.destination.store_address.val();
        self.store.token.next = self.destination.store_token.val();
        self.store.group.next = self.destination.store_group.val();
        self.store.tile.next = self.destination.store_tile.val();
        self.store.sums_address.next = self.destination.store_sums_address.val();
        self.store.value_sums_address.next = self.drainer.sums_address.val();
        for i in 0..self._groups {
            self.activation_write[i].next = self.store.activation_write[i].val();
        }
        self.activation_address.next = self.store.activation_address.val();
        self.kv_write.next = self.store.kv_write.val();
        self.kv_address.next = self.store.kv_address.val();
        self.kv_rotate.next = self.store.kv_rotate.val();
        self.residual_write.next = self.store.residual_write.val();
        self.residual_address.next = self.store.residual_address.val();
        self.score_write.next = self.store.score_write.val();
        self.score_address.next = self.store.score_address.val();
        self.logit_write.next = self.store.logit_write.val();
        self.logit_token.next = self.store.logit_token.val();
        self.logit_tile.next = self.store.logit_tile.val();
        // Columns.
        for i in 0..self._columns {
            self.lanes[i].clock.next = self.clock.val();
            self.lanes[i].sum_0.next = self.sum_0[i].val();
            self.lanes[i].sum_1.next = self.sum_1[i].val();
            self.lanes[i].odd.next = self.settings.lane_odd.val();
            self.lanes[i].bias.next = self.parameters.bias[i].val();
            self.lanes[i].value_sum.next = self.store.value_sums[i].val();
            self.lanes[i].bias_from_sums.next = self.settings.lane_bias_from_sums.val();
            self.lanes[i].pre_shift.next = self.settings.lane_pre_shift.val();
            self.lanes[i].mantissa.next = self.parameters.mantissa[i].val();
            self.lanes[i].shift.next = self.settings.lane_shift.val();
            self.lanes[i].gelu.next = self.settings.lane_gelu.val();
            self.lanes[i].channel_factor.next = self.parameters.factor[i].val();
            self.lanes[i].token_factor.next = self.settings.lane_token_factor.val();
            self.lanes[i].scale_by_token.next = self.settings.lane_scale_by_token.val();
            self.lanes[i].factor_shift.next = self.settings.lane_factor_shift.val();
            self.lanes[i].offset.next = self.settings.lane_offset.val();
            self.store.z[i].next = self.lanes[i].z.val();
            self.store.residual_data[i].next = self.residual_data[i].val();
            self.activation_data[i].next = self.store.activation_data[i].val();
            self.kv_data[i].next = self.store.kv_data[i].val();
            self.residual_write_data[i].next = self.store.residual_write_data[i].val();
            self.score_data[i].next = self.store.score_data[i].val();
            self.logit_data[i].next = self.store.logit_data[i].val();
        }
    }
}
