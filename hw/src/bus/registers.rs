//! The control registers of [`super::register_table`] behind an [AXI4-Lite slave](super::axi_lite), which says when accesses take effect.
//!
//! * `start` pulses when a start was asked for and the chip is idle; pointers, commands, task and watchdog come out latched
//!   with it and stay for the frame.
//! * `waiting` says that a frame of the same program and watchdog limit waits for the running one. With `taken` its image and task come out, its
//!   result pointer with the running frame's `done`.
//! * With `done` the error code is recorded (0: no error), and the interrupt where enabled; a refused burst's address with
//!   `bus_error` before it.
//! * `interrupt` is a level, one cycle after its causes.
//!
//! ```text
//! AW, W, B <--> slave --> write decoder --> registers --> chip
//! AR, R <-----> slave --> read decoder --> choose --> slave
//!                       chip events --> counters --^
//! ```

use super::axi_lite::AxiLite;
use super::counters::Counters;
use super::register_decoder::RegisterDecoder;
use super::register_table::{register, version, COUNTED_PORTS, COUNTERS, FRAME_REGISTERS, ID_MAGIC};
use crate::config::AccelConfig;
use crate::control::command::Unit;
use crate::prelude::*;

/// The register block; see the module.
#[derive(LogicBlock, Default)]
pub struct Registers {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub awvalid: Signal<In, Bit>,
    pub awready: Signal<Out, Bit>,
    pub awaddr: Signal<In, Bits<8>>,
    pub wvalid: Signal<In, Bit>,
    pub wready: Signal<Out, Bit>,
    pub wdata: Signal<In, Bits<32>>,
    pub wstrb: Signal<In, Bits<4>>,
    pub bvalid: Signal<Out, Bit>,
    pub bready: Signal<In, Bit>,
    pub bresp: Signal<Out, Bits<2>>,
    pub arvalid: Signal<In, Bit>,
    pub arready: Signal<Out, Bit>,
    pub araddr: Signal<In, Bits<8>>,
    pub rvalid: Signal<Out, Bit>,
    pub rready: Signal<In, Bit>,
    pub rdata: Signal<Out, Bits<32>>,
    pub rresp: Signal<Out, Bits<2>>,
    pub interrupt: Signal<Out, Bit>,
    /// Pulse: a frame begins.
    pub start: Signal<Out, Bit>,
    /// A frame of the running program waits.
    pub waiting: Signal<Out, Bit>,
    /// Pulse: the waiting frame begins while the running one finishes.
    pub taken: Signal<In, Bit>,
    pub idle: Signal<In, Bit>,
    /// Pulse: the frame has ended; of two, the older one.
    pub done: Signal<In, Bit>,
    /// With `done`: why it stopped, 0 for no error.
    pub error_code: Signal<In, Bits<4>>,
    pub error_command: Signal<In, Bits<16>>,
    /// The bus has refused a burst, and where; the address is gone when `done` comes.
    pub bus_error: Signal<In, Bit>,
    pub error_lo: Signal<In, Bits<32>>,
    pub error_hi: Signal<In, Bits<32>>,
    pub program_lo: Signal<Out, Bits<32>>,
    pub program_hi: Signal<Out, Bits<32>>,
    pub image_lo: Signal<Out, Bits<32>>,
    pub image_hi: Signal<Out, Bits<32>>,
    pub result_lo: Signal<Out, Bits<32>>,
    pub result_hi: Signal<Out, Bits<32>>,
    pub commands: Signal<Out, Bits<16>>,
    pub task_number: Signal<Out, Bits<3>>,
    pub watchdog: Signal<Out, Bits<32>>,
    /// Nothing new may go to the bus.
    pub quiesce: Signal<Out, Bit>,
    /// Pulse: drop the frame.
    pub soft_reset: Signal<Out, Bit>,
    /// Units with a command, in the order of `Unit::ALL`.
    pub busy: Vec<Signal<In, Bit>>,
    pub streaming: Signal<In, Bit>,
    pub stall_stream: Signal<In, Bit>,
    pub stall_bank: Signal<In, Bit>,
    pub stall_sync: Signal<In, Bit>,
    pub stall_full: Signal<In, Bit>,
    pub skipped: Signal<In, Bit>,
    pub beats_in: Vec<Signal<In, Bit>>,
    pub beat_out: Signal<In, Bit>,
    slave: AxiLite,
    write_decoder: RegisterDecoder,
    read_decoder: RegisterDecoder,
    counters: Counters,
    asked: DFF<Bit>,
    running: DFF<Bit>,
    /// A second frame was taken and the first has not ended.
    chained: DFF<Bit>,
    same_program: DFF<Bit>,
    ended: DFF<Bit>,
    readied: DFF<Bit>,
    started: DFF<Bit>,
    enabled: DFF<Bit>,
    sources: DFF<Bits<2>>,
    recorded: DFF<Bits<2>>,
    interrupting: DFF<Bit>,
    failed: DFF<Bit>,
    code: DFF<Bits<4>>,
    failed_command: DFF<Bits<16>>,
    failed_lo: DFF<Bits<32>>,
    failed_hi: DFF<Bits<32>>,
    quiet: DFF<Bit>,
    dropping: DFF<Bit>,
    frame: Vec<DFF<Bits<32>>>,
    latched: Vec<DFF<Bits<32>>>,
    /// Result pointer of the second frame.
    next_result_lo: DFF<Bits<32>>,
    next_result_hi: DFF<Bits<32>>,
    low_byte: Signal<Local, Bit>,
    launch: Signal<Local, Bit>,
    frame_end: Signal<Local, Bit>,
    frame_ready: Signal<Local, Bit>,
    fresh_bits: Signal<Local, Bits<32>>,
    next_recorded: Signal<Local, Bits<2>>,
    ctrl: Signal<Local, Bits<32>>,
    status: Signal<Local, Bits<32>>,
    value: Signal<Local, Bits<32>>,
    magic: Constant<Bits<32>>,
    version: Constant<Bits<32>>,
    config_hash: Constant<Bits<32>>,
    caps: Constant<Bits<32>>,
    frame_mask: Vec<Constant<Bits<32>>>,
    _frames: usize,
    _counters: usize,
    _ports: usize,
    _units: usize,
}

impl Registers {
    /// The registers of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let constant = |value: u32| Constant::new(u64::from(value).into());
        let caps = config.rows | config.columns << 8 | config.read_ports << 16;
        let mask = |name: &&str| register(name).map_or(0, |r| r.mask());
        Self {
            slave: AxiLite::new(),
            busy: Unit::ALL.iter().map(|_| Signal::default()).collect(),
            beats_in: many(config.read_ports),
            write_decoder: RegisterDecoder::default(),
            read_decoder: RegisterDecoder::default(),
            counters: Counters::new(COUNTERS.len()),
            frame: FRAME_REGISTERS.iter().map(|_| DFF::default()).collect(),
            latched: FRAME_REGISTERS.iter().map(|_| DFF::default()).collect(),
            magic: constant(ID_MAGIC),
            version: constant(version()),
            config_hash: constant(config.hash()),
            caps: constant(caps as u32),
            frame_mask: FRAME_REGISTERS.iter().map(|name| constant(mask(name))).collect(),
            _frames: FRAME_REGISTERS.len(),
            _counters: COUNTERS.len(),
            _ports: config.read_ports.min(COUNTED_PORTS),
            _units: Unit::ALL.len(),
            ..Self::default()
        }
    }
}

impl Logic for Registers {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            asked,
            running,
            chained,
            same_program,
            ended,
            readied,
            started,
            enabled,
            sources,
            recorded,
            interrupting,
            failed,
            code,
            failed_command,
            failed_lo,
            failed_hi,
            quiet,
            dropping,
            next_result_lo,
            next_result_hi
        );
        clock!(self, clock, counters, slave);

        // The bus.
        self.slave.reset.next = self.reset.val();
        self.slave.awvalid.next = self.awvalid.val();
        self.awready.next = self.slave.awready.val();
        self.slave.awaddr.next = self.awaddr.val();
        self.slave.wvalid.next = self.wvalid.val();
        self.wready.next = self.slave.wready.val();
        self.slave.wdata.next = self.wdata.val();
        self.slave.wstrb.next = self.wstrb.val();
        self.bvalid.next = self.slave.bvalid.val();
        self.slave.bready.next = self.bready.val();
        self.bresp.next = self.slave.bresp.val();
        self.slave.arvalid.next = self.arvalid.val();
        self.arready.next = self.slave.arready.val();
        self.slave.araddr.next = self.araddr.val();
        self.rvalid.next = self.slave.rvalid.val();
        self.slave.rready.next = self.rready.val();
        self.rdata.next = self.slave.rdata.val();
        self.rresp.next = self.slave.rresp.val();
        self.write_decoder.address.next = self.slave.write_address.val();
        self.read_decoder.address.next = self.slave.read_address.val();
        self.fresh_bits.next = self.slave.write_data.val() & self.slave.write_mask.val();
        self.low_byte.next = self.slave.write.val() & self.slave.write_mask.val().get_bit(0);

        // What software writes.
        if self.low_byte.val() & self.write_decoder.special[1].val() {
            self.enabled.d.next = self.slave.write_data.val().get_bit(0);
        }
        if self.low_byte.val() & self.write_decoder.special[2].val() {
            self.sources.d.next = bit_cast::<2, 32>(self.slave.write_data.val());
        }
        self.dropping.d.next = false;
        if self.low_byte.val() & self.write_decoder.special[8].val() {
            self.dropping.d.next = self.slave.write_data.val().get_bit(0);
            self.quiet.d.next = self.slave.write_data.val().get_bit(1);
        }
        self.soft_reset.next = self.dropping.q.val();
        self.quiesce.next = self.quiet.q.val();
        for i in 0..self._frames {
            self.frame[i].clock.next = self.clock.val();
            self.latched[i].clock.next = self.clock.val();
            self.frame[i].d.next = self.frame[i].q.val();
            self.latched[i].d.next = self.latched[i].q.val();
            if self.slave.write.val() & self.write_decoder.frame[i].val() {
                self.frame[i].d.next = ((self.frame[i].q.val() & !self.slave.write_mask.val())
                    | self.fresh_bits.val())
                    & self.frame_mask[i].val();
            }
        }

        // Start and end of a frame.
        self.frame_end.next = self.done.val() & self.running.q.val();
        self.frame_ready.next = false;
        if self.low_byte.val()
            & self.write_decoder.special[0].val()
            & self.slave.write_data.val().get_bit(0)
            & !self.asked.q.val()
        {
            self.asked.d.next = !self.failed.q.val();
            self.frame_end.next = self.frame_end.val() | self.failed.q.val();
            self.frame_ready.next = self.failed.q.val();
        }
        self.launch.next =
            self.asked.q.val() & !self.running.q.val() & self.idle.val() & !self.dropping.q.val();
        self.started.d.next = self.launch.val();
        self.start.next = self.started.q.val();
        if self.launch.val() {
            self.asked.d.next = false;
            self.running.d.next = true;
            self.failed_lo.d.next = 0.into();
            self.failed_hi.d.next = 0.into();
            self.frame_ready.next = true;
            for i in 0..self._frames {
                self.latched[i].d.next = self.frame[i].q.val();
            }
        }

        // The next frame of the same program may begin while this one finishes.
        self.same_program.d.next = (self.frame[0].q.val() == self.latched[0].q.val())
            & (self.frame[1].q.val() == self.latched[1].q.val())
            & (self.frame[6].q.val() == self.latched[6].q.val())
            & (self.frame[8].q.val() == self.latched[8].q.val());
        self.waiting.next =
            self.asked.q.val() & self.running.q.val() & self.same_program.q.val() & !self.dropping.q.val();
        if self.taken.val() & self.running.q.val() {
            self.asked.d.next = false;
            self.chained.d.next = true;
            self.frame_ready.next = true;
            self.latched[2].d.next = self.frame[2].q.val();
            self.latched[3].d.next = self.frame[3].q.val();
            self.latched[7].d.next = self.frame[7].q.val();
            self.next_result_lo.d.next = self.frame[4].q.val();
            self.next_result_hi.d.next = self.frame[5].q.val();
        }
        if self.bus_error.val() & self.running.q.val() {
            self.failed_lo.d.next = self.error_lo.val();
            self.failed_hi.d.next = self.error_hi.val();
        }
        self.program_lo.next = self.latched[0].q.val();
        self.program_hi.next = self.latched[1].q.val();
        self.image_lo.next = self.latched[2].q.val();
        self.image_hi.next = self.latched[3].q.val();
        self.result_lo.next = self.latched[4].q.val();
        self.result_hi.next = self.latched[5].q.val();
        self.commands.next = bit_cast::<16, 32>(self.latched[6].q.val());
        self.task_number.next = bit_cast::<3, 32>(self.latched[7].q.val());
        self.watchdog.next = self.latched[8].q.val();
        if self.done.val() & self.running.q.val() {
            self.chained.d.next = false;
            self.running.d.next = self.chained.q.val() & !self.error_code.val().any();
            if self.chained.q.val() {
                self.latched[4].d.next = self.next_result_lo.q.val();
                self.latched[5].d.next = self.next_result_hi.q.val();
            }
            if self.error_code.val().any() {
                self.asked.d.next = false;
                self.failed.d.next = true;
                self.code.d.next = self.error_code.val();
                self.failed_command.d.next = self.error_command.val();
            }
        } else if self.low_byte.val()
            & self.write_decoder.special[4].val()
            & self.slave.write_data.val().get_bit(0)
        {
            self.failed.d.next = false;
            self.code.d.next = 0.into();
        }
        if self.dropping.q.val() {
            self.asked.d.next = false;
            self.running.d.next = false;
            self.chained.d.next = false;
        }

        // What software reads.
        self.ctrl.next = 0.into();
        if self.asked.q.val() {
            self.ctrl.next = 1.into();
        } else if self.idle.val() & !self.running.q.val() {
            self.ctrl.next = 4.into();
        }
        if self.ended.q.val() {
            self.ctrl.next = self.ctrl.val() | 2;
        }
        if self.readied.q.val() {
            self.ctrl.next = self.ctrl.val() | 8;
        }
        self.status.next = 0.into();
        self.value.next = 0.into();
        if self.slave.read.val() {
            self.status.next = bit_cast::<32, 4>(self.code.q.val()) << 4;
            if self.failed.q.val() {
                self.status.next = self.status.val() | 1;
            }
            if !self.idle.val() | self.running.q.val() {
                self.status.next = self.status.val() | 0x100;
            }
            if self.read_decoder.special[0].val() {
                self.value.next = self.ctrl.val();
            }
            if self.read_decoder.special[1].val() & self.enabled.q.val() {
                self.value.next = 1.into();
            }
            if self.read_decoder.special[2].val() {
                self.value.next = bit_cast::<32, 2>(self.sources.q.val());
            }
            if self.read_decoder.special[3].val() {
                self.value.next = bit_cast::<32, 2>(self.recorded.q.val());
            }
            if self.read_decoder.special[4].val() {
                self.value.next = self.status.val();
            }
            if self.read_decoder.special[5].val() {
                self.value.next = bit_cast::<32, 16>(self.failed_command.q.val());
            }
            if self.read_decoder.special[6].val() {
                self.value.next = self.failed_lo.q.val();
            }
            if self.read_decoder.special[7].val() {
                self.value.next = self.failed_hi.q.val();
            }
            if self.read_decoder.special[8].val() & self.quiet.q.val() {
                self.value.next = 2.into();
            }
            if self.read_decoder.special[9].val() {
                self.value.next = self.magic.val();
            }
            if self.read_decoder.special[10].val() {
                self.value.next = self.version.val();
            }
            if self.read_decoder.special[11].val() {
                self.value.next = self.config_hash.val();
            }
            if self.read_decoder.special[12].val() {
                self.value.next = self.caps.val();
            }
            for i in 0..self._frames {
                if self.read_decoder.frame[i].val() {
                    self.value.next = self.frame[i].q.val();
                }
            }
            for i in 0..self._counters {
                if self.read_decoder.counter[i].val() {
                    self.value.next = self.counters.value[i].val();
                }
            }
        }
        self.slave.value.next = self.value.val();
        if self.slave.read.val() & self.read_decoder.special[0].val() {
            self.ended.d.next = false;
            self.readied.d.next = false;
        }
        if self.frame_end.val() {
            self.ended.d.next = true;
        }
        if self.frame_ready.val() {
            self.readied.d.next = true;
        }

        // Interrupts.
        self.next_recorded.next = self.recorded.q.val();
        if self.low_byte.val() & self.write_decoder.special[3].val() {
            self.next_recorded.next = self.recorded.q.val() ^ bit_cast::<2, 32>(self.slave.write_data.val());
        }
        if self.frame_end.val() {
            self.next_recorded.next = self.next_recorded.val() | (self.sources.q.val() & 1);
        }
        if self.frame_ready.val() {
            self.next_recorded.next = self.next_recorded.val() | (self.sources.q.val() & 2);
        }
        self.recorded.d.next = self.next_recorded.val();
        self.interrupting.d.next = self.enabled.q.val() & self.recorded.q.val().any();
        self.interrupt.next = self.interrupting.q.val();

        // Counters.
        self.counters.clear.next = self.launch.val();
        self.counters.enable.next = self.running.q.val();
        for i in 0..self._counters {
            self.counters.event[i].next = false;
        }
        self.counters.event[0].next = true;
        self.counters.event[1].next = self.streaming.val();
        self.counters.event[2].next = self.stall_stream.val();
        self.counters.event[3].next = self.stall_bank.val();
        self.counters.event[4].next = self.stall_sync.val();
        self.counters.event[5].next = self.stall_full.val();
        self.counters.event[6].next = self.skipped.val();
        self.counters.event[7].next = self.beat_out.val();
        for p in 0..self._ports {
            self.counters.event[8 + p].next = self.beats_in[p].val();
        }
        for u in 0..self._units {
            self.counters.event[12 + u].next = self.busy[u].val();
        }
        self.counters.event[18].next = self.done.val() & !self.error_code.val().any();

        if self.reset.val() {
            self.asked.d.next = false;
            self.running.d.next = false;
            self.chained.d.next = false;
            self.same_program.d.next = false;
            self.ended.d.next = false;
            self.readied.d.next = false;
            self.started.d.next = false;
            self.enabled.d.next = false;
            self.sources.d.next = 0.into();
            self.recorded.d.next = 0.into();
            self.interrupting.d.next = false;
            self.failed.d.next = false;
            self.code.d.next = 0.into();
            self.failed_command.d.next = 0.into();
            self.failed_lo.d.next = 0.into();
            self.failed_hi.d.next = 0.into();
            self.quiet.d.next = false;
            self.dropping.d.next = false;
            self.next_result_lo.d.next = 0.into();
            self.next_result_hi.d.next = 0.into();
            self.counters.clear.next = true;
            for i in 0..self._frames {
                self.frame[i].d.next = 0.into();
                self.latched[i].d.next = 0.into();
            }
        }
    }
}
