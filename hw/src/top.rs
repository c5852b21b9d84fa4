//! The accelerator: every unit, every memory, and the wires between them.
//!
//! ARCHITECTURE.md has the picture. This kernel only connects; each unit's file says what it does.

use crate::array::feed::FeedUnit;
use crate::attention::softmax::SoftmaxUnit;
use crate::attention::stationary_memory::StationaryMemory;
use crate::bus::fetch::FetchUnit;
use crate::bus::registers::Registers;
use crate::bus::write_port::WriteUnit;
use crate::config::AccelConfig;
use crate::control::command::COMMAND_WORDS;
use crate::control::sequencer::{Sequencer, QUEUE_LANES};
use crate::control::watchdog::Watchdog;
use crate::memory::activation::ActivationMemory;
use crate::memory::queue::Queue;
use crate::memory::residual::ResidualMemory;
use crate::moe::router::RouterUnit;
use crate::norm::layer_norm::NormUnit;
use crate::post::drain::DrainUnit;
use crate::prelude::*;
use crate::primitives::ram::{Ram, RamStyle};

fn signals<D: Direction, T: Synth>(count: usize) -> Vec<Signal<D, T>> {
    many(count)
}

/// The accelerator; see the module.
#[derive(LogicBlock, Default)]
pub struct Accelerator {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub interrupt: Signal<Out, Bit>,
    pub s_axi_control_awaddr: Signal<In, Bits<8>>,
    pub s_axi_control_awvalid: Signal<In, Bit>,
    pub s_axi_control_awready: Signal<Out, Bit>,
    pub s_axi_control_wdata: Signal<In, Bits<32>>,
    pub s_axi_control_wstrb: Signal<In, Bits<4>>,
    pub s_axi_control_wvalid: Signal<In, Bit>,
    pub s_axi_control_wready: Signal<Out, Bit>,
    pub s_axi_control_bresp: Signal<Out, Bits<2>>,
    pub s_axi_control_bvalid: Signal<Out, Bit>,
    pub s_axi_control_bready: Signal<In, Bit>,
    pub s_axi_control_araddr: Signal<In, Bits<8>>,
    pub s_axi_control_arvalid: Signal<In, Bit>,
    pub s_axi_control_arready: Signal<Out, Bit>,
    pub s_axi_control_rdata: Signal<Out, Bits<32>>,
    pub s_axi_control_rresp: Signal<Out, Bits<2>>,
    pub s_axi_control_rvalid: Signal<Out, Bit>,
    pub s_axi_control_rready: Signal<In, Bit>,
    /// Read ports; word `i` of port `p` is `gmem_rdata[4 * p + i]`.
    pub gmem_arvalid: Vec<Signal<Out, Bit>>,
    pub gmem_arready: Vec<Signal<In, Bit>>,
    pub gmem_araddr_lo: Vec<Signal<Out, Bits<32>>>,
    pub gmem_araddr_hi: Vec<Signal<Out, Bits<32>>>,
    pub gmem_arlen: Vec<Signal<Out, Bits<8>>>,
    pub gmem_rvalid: Vec<Signal<In, Bit>>,
    pub gmem_rready: Vec<Signal<Out, Bit>>,
    pub gmem_rdata: Vec<Signal<In, Bits<32>>>,
    pub gmem_rresp: Vec<Signal<In, Bits<2>>>,
    pub gmem_rlast: Vec<Signal<In, Bit>>,
    /// Write port, beside read port 0.
    pub gmem_awvalid: Signal<Out, Bit>,
    pub gmem_awready: Signal<In, Bit>,
    pub gmem_awaddr_lo: Signal<Out, Bits<32>>,
    pub gmem_awaddr_hi: Signal<Out, Bits<32>>,
    pub gmem_awlen: Signal<Out, Bits<8>>,
    pub gmem_wvalid: Signal<Out, Bit>,
    pub gmem_wready: Signal<In, Bit>,
    pub gmem_wdata: Vec<Signal<Out, Bits<32>>>,
    pub gmem_wlast: Signal<Out, Bit>,
    pub gmem_bvalid: Signal<In, Bit>,
    pub gmem_bready: Signal<Out, Bit>,
    pub gmem_bresp: Signal<In, Bits<2>>,
    registers: Registers,
    pub(crate) sequencer: Sequencer,
    watchdog: Watchdog,
    pub(crate) fetch: FetchUnit,
    pub(crate) feed: FeedUnit,
    drain: DrainUnit,
    norm: NormUnit,
    softmax: SoftmaxUnit,
    router: RouterUnit,
    write: WriteUnit,
    activation: ActivationMemory,
    stationary: StationaryMemory,
    residual: ResidualMemory,
    scores: Ram<16>,
    fetch_queue: Queue<32>,
    feed_queue: Queue<32>,
    drain_queue: Queue<32>,
    norm_queue: Queue<32>,
    softmax_queue: Queue<32>,
    router_queue: Queue<32>,
    write_queue: Queue<32>,
    unit_reset: DFF<Bit>,
    progress: DFF<Bit>,
    quiet: DFF<Bit>,
    moved: Signal<Local, Bit>,
    _ports: usize,
    _rows: usize,
    _columns: usize,
    _word: usize,
    _groups: usize,
    _copy_bytes: usize,
    _residual_bytes: usize,
    _ports_words: usize,
}

impl Accelerator {
    /// The accelerator of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let ports = config.read_ports;
        Self {
            gmem_arvalid: signals(ports),
            gmem_arready: signals(ports),
            gmem_araddr_lo: signals(ports),
            gmem_araddr_hi: signals(ports),
            gmem_arlen: signals(ports),
            gmem_rvalid: signals(ports),
            gmem_rready: signals(ports),
            gmem_rdata: signals(4 * ports),
            gmem_rresp: signals(ports),
            gmem_rlast: signals(ports),
            gmem_wdata: signals(4),
            registers: Registers::new(config),
            sequencer: Sequencer::new(config),
            watchdog: Watchdog::default(),
            fetch: FetchUnit::new(config),
            feed: FeedUnit::new(config),
            drain: DrainUnit::new(config),
            norm: NormUnit::new(config),
            softmax: SoftmaxUnit::new(config),
            router: RouterUnit::new(config),
            write: WriteUnit::new(config),
            activation: ActivationMemory::new(config),
            stationary: StationaryMemory::new(config),
            residual: ResidualMemory::new(config),
            scores: Ram::new(config.columns, 1, config.score_words, RamStyle::Block),
            fetch_queue: Queue::new(COMMAND_WORDS, config.queue_commands),
            feed_queue: Queue::new(QUEUE_LANES, config.queue_commands),
            drain_queue: Queue::new(QUEUE_LANES, config.queue_commands),
            norm_queue: Queue::new(COMMAND_WORDS, config.queue_commands),
            softmax_queue: Queue::new(COMMAND_WORDS, config.queue_commands),
            router_queue: Queue::new(COMMAND_WORDS, config.queue_commands),
            write_queue: Queue::new(COMMAND_WORDS, config.queue_commands),
            _ports: ports,
            _rows: config.rows,
            _columns: config.columns,
            _word: config.weight_word_bytes(),
            _groups: config.groups(),
            _copy_bytes: config.rows.max(2 * config.columns),
            _residual_bytes: 2 * config.columns,
            _ports_words: 4 * ports,
            ..Self::default()
        }
    }
}

impl Logic for Accelerator {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, unit_reset, progress, quiet);
        clock!(
            self, clock, registers, sequencer, watchdog, fetch, feed, drain, norm, softmax, router, write,
            activation, stationary, residual, scores
        );
        clock!(
            self,
            clock,
            fetch_queue,
            feed_queue,
            drain_queue,
            norm_queue,
            softmax_queue,
            router_queue,
            write_queue
        );

        // One reset for the units: the chip's own, or the end of an aborted frame.
        self.unit_reset.d.next = self.reset.val() | self.sequencer.unit_reset.val();
        self.registers.reset.next = self.reset.val();
        self.sequencer.reset.next = self.reset.val();
        self.watchdog.reset.next = self.reset.val();
        self.fetch.reset.next = self.unit_reset.q.val();
        self.feed.reset.next = self.unit_reset.q.val();
        self.drain.reset.next = self.unit_reset.q.val();
        self.norm.reset.next = self.unit_reset.q.val();
        self.softmax.reset.next = self.unit_reset.q.val();
        self.router.reset.next = self.unit_reset.q.val();
        self.write.reset.next = self.unit_reset.q.val();
        self.fetch_queue.reset.next = self.unit_reset.q.val();
        self.feed_queue.reset.next = self.unit_reset.q.val();
        self.drain_queue.reset.next = self.unit_reset.q.val();
        self.norm_queue.reset.next = self.unit_reset.q.val();
        self.softmax_queue.reset.next = self.unit_reset.q.val();
        self.router_queue.reset.next = self.unit_reset.q.val();
        self.write_queue.reset.next = self.unit_reset.q.val();
        self.fetch.flush.next = false;

        // Host side.
        self.interrupt.next = self.registers.interrupt.val();
        self.registers.awaddr.next = self.s_axi_control_awaddr.val();
        self.registers.awvalid.next = self.s_axi_control_awvalid.val();
        self.s_axi_control_awready.next = self.registers.awready.val();
        self.registers.wdata.next = self.s_axi_control_wdata.val();
        self.registers.wstrb.next = self.s_axi_control_wstrb.val();
        self.registers.wvalid.next = self.s_axi_control_wvalid.val();
        self.s_axi_control_wready.next = self.registers.wready.val();
        self.s_axi_control_bresp.next = self.registers.bresp.val();
        self.s_axi_control_bvalid.next = self.registers.bvalid.val();
        self.registers.bready.next = self.s_axi_control_bready.val();
        self.registers.araddr.next = self.s_axi_control_araddr.val();
        self.registers.arvalid.next = self.s_axi_control_arvalid.val();
        self.s_axi_control_arready.next = self.registers.arready.val();
        self.s_axi_control_rdata.next = self.registers.rdata.val();
        self.s_axi_control_rresp.next = self.registers.rresp.val();
        self.s_axi_control_rvalid.next = self.registers.rvalid.val();
        self.registers.rready.next = self.s_axi_control_rready.val();
        self.sequencer.start.next = self.registers.start.val();
        self.sequencer.waiting.next = self.registers.waiting.val();
        self.registers.taken.next = self.sequencer.take.val();
        self.registers.idle.next = self.sequencer.idle.val();
        self.registers.done.next = self.sequencer.done.val();
        self.registers.error_code.next = self.sequencer.error_code.val();
        self.registers.error_command.next = self.sequencer.error_command.val();
        self.sequencer.task_number.next = self.registers.task_number.val();
        self.fetch.task_number.next = self.registers.task_number.val();
        self.sequencer.drop_frame.next = self.registers.soft_reset.val();
        self.registers.skipped.next = self.fetch.skipped.val();
        self.fetch.program_lo.next = self.registers.program_lo.val();
        self.fetch.program_hi.next = self.registers.program_hi.val();
        self.fetch.image_lo.next = self.registers.image_lo.val();
        self.fetch.image_hi.next = self.registers.image_hi.val();
        self.write.result_lo.next = self.registers.result_lo.val();
        self.write.result_hi.next = self.registers.result_hi.val();
        self.watchdog.limit.next = self.registers.watchdog.val();
        self.registers.streaming.next = self.feed.busy_streaming.val();
        self.registers.stall_stream.next = self.feed.stall_stream.val();
        self.registers.stall_bank.next = self.feed.stall_bank.val();
        self.registers.stall_sync.next = self.feed.stall_sync.val();
        self.registers.stall_full.next = self.fetch.stall_full.val();
        self.registers.beat_out.next = self.write.beat.val();
        self.sequencer.command_count.next = self.registers.commands.val();
        self.registers.bus_error.next = self.fetch.error.val() | self.write.error.val();
        self.registers.error_lo.next = self.fetch.error_lo.val();
        self.registers.error_hi.next = self.fetch.error_hi.val();
        if self.write.error.val() {
            self.registers.error_lo.next = self.write.error_lo.val();
            self.registers.error_hi.next = self.write.error_hi.val();
        }

        // Sequencer, its queues and its scoreboard.
        self.sequencer.read_error.next = self.fetch.error.val();
        self.sequencer.write_error.next = self.write.error.val();
        self.sequencer.watchdog.next = self.watchdog.expired.val();
        self.sequencer.nonempty.next = self.router.nonempty.val();
        self.fetch.nonempty.next = self.router.nonempty.val();
        self.fetch.routed.next = self.router.routed.val();
        self.sequencer.ticket_valid.next = self.fetch.ticket_valid.val();
        self.sequencer.ticket_fetched.next = self.fetch.ticket_fetched.val();
        self.fetch.ticket_ready.next = self.sequencer.ticket_ready.val();
        self.router.count_expert.next = self.sequencer.count_expert.val();
        self.sequencer.count.next = self.router.count.val();
        self.sequencer.program_write.next = self.feed.program_write.val();
        self.sequencer.program_loaded.next = self.feed.program_loaded.val();
        self.feed.program_load.next = self.sequencer.program_load.val();
        self.feed.start.next = self.sequencer.load_start.val();
        self.sequencer.unit_done[0].next = self.fetch.done.val();
        self.sequencer.unit_done[1].next = self.drain.command_drained.val();
        self.sequencer.unit_done[2].next = self.norm.done.val();
        self.sequencer.unit_done[3].next = self.softmax.done.val();
        self.sequencer.unit_done[4].next = self.router.done.val();
        self.sequencer.unit_done[5].next = self.write.done.val();
        self.fetch.hold.next = self.sequencer.hold_bus.val() | self.registers.quiesce.val();
        self.write.hold.next = self.sequencer.hold_bus.val() | self.registers.quiesce.val();
        self.quiet.d.next = !self.fetch.outstanding_any.val() & !self.write.busy.val();
        self.sequencer.bus_quiet.next = self.quiet.q.val();
        for i in 0..6 {
            self.registers.busy[i].next = self.sequencer.busy[i].val();
        }
        self.sequencer.room[0].next = self.fetch_queue.write_ready.val();
        self.fetch_queue.write_valid.next = self.sequencer.push[0].val();
        self.fetch.command_valid.next = self.fetch_queue.read_valid.val();
        self.fetch_queue.read_ready.next = self.fetch.command_ready.val();
        self.sequencer.room[1].next = self.feed_queue.write_ready.val();
        self.feed_queue.write_valid.next = self.sequencer.push[1].val();
        self.feed.command_valid.next = self.feed_queue.read_valid.val();
        self.feed_queue.read_ready.next = self.feed.command_ready.val();
        self.sequencer.room[2].next = self.drain_queue.write_ready.val();
        self.drain_queue.write_valid.next = self.sequencer.push[2].val();
        self.drain.command_valid.next = self.drain_queue.read_valid.val();
        self.drain_queue.read_ready.next = self.drain.command_ready.val();
        self.sequencer.room[3].next = self.norm_queue.write_ready.val();
        self.norm_queue.write_valid.next = self.sequencer.push[3].val();
        self.norm.command_valid.next = self.norm_queue.read_valid.val();
        self.norm_queue.read_ready.next = self.norm.command_ready.val();
        self.sequencer.room[4].next = self.softmax_queue.write_ready.val();
        self.softmax_queue.write_valid.next = self.sequencer.push[4].val();
        self.softmax.command_valid.next = self.softmax_queue.read_valid.val();
        self.softmax_queue.read_ready.next = self.softmax.command_ready.val();
        self.sequencer.room[5].next = self.router_queue.write_ready.val();
        self.router_queue.write_valid.next = self.sequencer.push[5].val();
        self.router.command_valid.next = self.router_queue.read_valid.val();
        self.router_queue.read_ready.next = self.router.command_ready.val();
        self.sequencer.room[6].next = self.write_queue.write_ready.val();
        self.write_queue.write_valid.next = self.sequencer.push[6].val();
        self.write.command_valid.next = self.write_queue.read_valid.val();
        self.write_queue.read_ready.next = self.write.command_ready.val();
        for i in 0..8 {
            self.fetch_queue.write_data[i].next = self.sequencer.command[i].val();
            self.fetch.command[i].next = self.fetch_queue.read_data[i].val();
            self.feed_queue.write_data[i].next = self.sequencer.command[i].val();
            self.feed.command[i].next = self.feed_queue.read_data[i].val();
            self.drain_queue.write_data[i].next = self.sequencer.command[i].val();
            self.drain.command[i].next = self.drain_queue.read_data[i].val();
            self.norm_queue.write_data[i].next = self.sequencer.command[i].val();
            self.norm.command[i].next = self.norm_queue.read_data[i].val();
            self.softmax_queue.write_data[i].next = self.sequencer.command[i].val();
            self.softmax.command[i].next = self.softmax_queue.read_data[i].val();
            self.router_queue.write_data[i].next = self.sequencer.command[i].val();
            self.router.command[i].next = self.router_queue.read_data[i].val();
            self.write_queue.write_data[i].next = self.sequencer.command[i].val();
            self.write.command[i].next = self.write_queue.read_data[i].val();
        }
        self.feed_queue.write_data[8].next = self.sequencer.command[8].val();
        self.feed.expert.next = self.feed_queue.read_data[8].val().get_bits::<5>(0);
        self.feed.queue_length.next = self.feed_queue.read_data[8].val().get_bits::<11>(5);
        self.feed.in_loop.next = self.feed_queue.read_data[8].val().get_bit(16);
        self.drain_queue.write_data[8].next = self.sequencer.command[8].val();
        self.drain.expert.next = self.drain_queue.read_data[8].val().get_bits::<5>(0);
        self.drain.queue_length.next = self.drain_queue.read_data[8].val().get_bits::<11>(5);
        self.drain.in_loop.next = self.drain_queue.read_data[8].val().get_bit(16);

        // Progress keeps the watchdog quiet.
        self.moved.next = self.feed.busy_streaming.val()
            | self.write.beat.val()
            | self.norm.done.val()
            | self.softmax.done.val()
            | self.router.done.val()
            | self.drain.command_drained.val();
        for i in 0..self._ports {
            self.moved.next = self.moved.val() | self.fetch.beat[i].val();
            self.registers.beats_in[i].next = self.fetch.beat[i].val();
        }
        self.progress.d.next = self.moved.val();
        self.watchdog.progress.next = self.progress.q.val();
        self.watchdog.busy.next = !self.sequencer.idle.val();

        // Memory ports.
        for i in 0..self._ports {
            self.gmem_arvalid[i].next = self.fetch.arvalid[i].val();
            self.fetch.arready[i].next = self.gmem_arready[i].val();
            self.gmem_araddr_lo[i].next = self.fetch.araddr_lo[i].val();
            self.gmem_araddr_hi[i].next = self.fetch.araddr_hi[i].val();
            self.gmem_arlen[i].next = self.fetch.arlen[i].val();
            self.fetch.rvalid[i].next = self.gmem_rvalid[i].val();
            self.gmem_rready[i].next = self.fetch.rready[i].val();
            self.fetch.rresp[i].next = self.gmem_rresp[i].val();
            self.fetch.rlast[i].next = self.gmem_rlast[i].val();
        }
        for i in 0..self._ports_words {
            self.fetch.rdata[i].next = self.gmem_rdata[i].val();
        }
        self.gmem_awvalid.next = self.write.awvalid.val();
        self.write.awready.next = self.gmem_awready.val();
        self.gmem_awaddr_lo.next = self.write.awaddr_lo.val();
        self.gmem_awaddr_hi.next = self.write.awaddr_hi.val();
        self.gmem_awlen.next = self.write.awlen.val();
        self.gmem_wvalid.next = self.write.wvalid.val();
        self.write.wready.next = self.gmem_wready.val();
        self.gmem_wlast.next = self.write.wlast.val();
        self.write.bvalid.next = self.gmem_bvalid.val();
        self.gmem_bready.next = self.write.bready.val();
        self.write.bresp.next = self.gmem_bresp.val();
        for i in 0..4 {
            self.gmem_wdata[i].next = self.write.wdata[i].val();
        }

        // Weight stream, parameters and copies.
        self.feed.stream_valid.next = self.fetch.stream_valid.val();
        self.fetch.stream_ready.next = self.feed.stream_ready.val();
        self.feed.stream_level.next = self.fetch.stream_level.val();
        self.drain.parameter_valid.next = self.feed.parameter_valid.val();
        self.feed.parameter_ready.next = self.drain.parameter_ready.val();
        self.drain.copy_done.next = self.feed.copy_done.val();
        for i in 0..self._word {
            self.feed.stream_data[i].next = self.fetch.stream_data[i].val();
            self.sequencer.program_data[i].next = self.feed.program_data[i].val();
            self.drain.parameter_data[i].next = self.feed.parameter_data[i].val();
        }
        self.activation.copy_write.next = self.feed.copy_valid.val() & !self.feed.copy_residual.val();
        self.residual.copy_write.next = self.feed.copy_valid.val() & self.feed.copy_residual.val();
        self.feed.copy_ready.next = self.activation.copy_ready.val();
        if self.feed.copy_residual.val() {
            self.feed.copy_ready.next = self.residual.copy_ready.val();
        }
        self.activation.copy_address.next = self.feed.copy_address.val();
        self.residual.copy_address.next = self.feed.copy_address.val();
        for i in 0..self._rows {
            self.activation.copy_data[i].next = self.feed.copy_data[i].val();
        }
        for i in 0..self._residual_bytes {
            self.residual.copy_data[i].next = self.feed.copy_data[i].val();
        }

        // Feed: operands, queues, key/value rows, accumulators.
        self.activation.read_address_0.next = self.feed.read_address_0.val();
        self.activation.read_address_1.next = self.feed.read_address_1.val();
        self.router.feed_lookup_expert.next = self.feed.lookup_expert.val();
        self.router.feed_lookup_pair.next = self.feed.lookup_pair.val();
        self.feed.lookup_token_0.next = self.router.feed_lookup_token_0.val();
        self.feed.lookup_token_1.next = self.router.feed_lookup_token_1.val();
        self.stationary.read_base.next = self.feed.kv_base.val();
        self.stationary.read_stride.next = self.feed.kv_stride.val();
        self.stationary.read_rotate.next = self.feed.kv_rotate.val();
        self.stationary.read_by_keys.next = self.feed.kv_by_keys.val();
        self.drain.group_filled.next = self.feed.group_filled.val();
        self.feed.group_drained.next = self.drain.group_drained.val();
        self.feed.group_stored.next = self.drain.group_stored.val();
        self.feed.command_drained.next = self.drain.command_drained.val();
        self.feed.drain_pair.next = self.drain.drain_pair.val();
        self.feed.drain_bank.next = self.drain.drain_bank.val();
        for i in 0..self._rows {
            self.feed.read_data_0[i].next = self.activation.read_data_0[i].val();
            self.feed.read_data_1[i].next = self.activation.read_data_1[i].val();
        }

        // Drain: lookups, factors and destinations.
        self.router.drain_lookup_expert.next = self.drain.lookup_expert.val();
        self.router.drain_lookup_position.next = self.drain.lookup_position.val();
        self.drain.lookup_token.next = self.router.drain_lookup_token.val();
        self.drain.lookup_score.next = self.router.drain_lookup_score.val();
        self.softmax.factor_bank.next = self.drain.factor_bank.val();
        self.softmax.factor_row.next = self.drain.factor_row.val();
        self.drain.factor_mantissa.next = self.softmax.factor_mantissa.val();
        self.drain.factor_exponent.next = self.softmax.factor_exponent.val();
        self.activation.drain_address.next = self.drain.activation_address.val();
        self.stationary.write_enable.next = self.drain.kv_write.val();
        self.stationary.write_address.next = self.drain.kv_address.val();
        self.stationary.write_rotate.next = self.drain.kv_rotate.val();
        self.residual.drain_read.next = self.drain.residual_read.val();
        self.residual.drain_read_address.next = self.drain.residual_read_address.val();
        self.residual.drain_write.next = self.drain.residual_write.val();
        self.residual.drain_address.next = self.drain.residual_address.val();
        self.scores.write_enable[0].next = self.drain.score_write.val();
        self.scores.write_address.next = self.drain.score_address.val();
        self.router.logit_write.next = self.drain.logit_write.val();
        self.router.logit_token.next = self.drain.logit_token.val();
        self.router.logit_tile.next = self.drain.logit_tile.val();
        for i in 0..self._groups {
            self.activation.drain_write[i].next = self.drain.activation_write[i].val();
            self.activation.softmax_write[i].next = self.softmax.write_valid[i].val();
            self.activation.norm_write[i].next = self.norm.write_valid[i].val();
        }
        for i in 0..self._columns {
            self.feed.kv_data[i].next = self.stationary.read_data[i].val();
            self.drain.sum_0[i].next = self.feed.sum_0[i].val();
            self.drain.sum_1[i].next = self.feed.sum_1[i].val();
            self.activation.drain_data[i].next = self.drain.activation_data[i].val();
            self.stationary.write_data[i].next = self.drain.kv_data[i].val();
            self.drain.residual_data[i].next = self.residual.read_data[i].val();
            self.residual.drain_data[i].next = self.drain.residual_write_data[i].val();
            self.scores.write_data[i].next = self.drain.score_data[i].val();
            self.router.logit_data[i].next = self.drain.logit_data[i].val();
            self.activation.softmax_data[i].next = self.softmax.write_data[i].val();
            self.activation.norm_data[i].next = self.norm.write_data[i].val();
            self.softmax.read_data[i].next = self.scores.read_data[i].val();
            self.norm.read_data[i].next = self.residual.read_data[i].val();
            self.write.read_data[i].next = self.residual.read_data[i].val();
        }

        // Norm, softmax and write-back on the memories.
        self.residual.norm_read.next = self.norm.read_valid.val();
        self.norm.read_ready.next = self.residual.norm_ready.val();
        self.residual.norm_address.next = self.norm.read_address.val();
        self.norm.write_ready.next = self.activation.norm_ready.val();
        self.activation.norm_address.next = self.norm.write_address.val();
        self.scores.read_address.next = self.softmax.read_address.val();
        self.softmax.write_ready.next = self.activation.softmax_ready.val();
        self.activation.softmax_address.next = self.softmax.write_address.val();
        self.residual.write_back_read.next = self.write.read_valid.val();
        self.write.read_ready.next = self.residual.write_back_ready.val();
        self.residual.write_back_address.next = self.write.read_address.val();
    }
}
