//! Fetch unit: Fetch commands in, the weight stream out, over P AXI4 read ports.
//!
//! ```text
//! command --> burst issuer --burst i--> port i mod P ==AXI==> board memory
//!               |  +--> ticket queue --> ticket_*
//!                 ^                        | words
//!                 | credits                v
//!                 +-------- weight buffer <-- collector (ports in turn, one word a cycle)
//!                                |
//!                                +--> stream_valid, stream_data, stream_level
//! ```
//!
//! * The collector takes words of the port whose turn it is until one ends a burst, then turns to the next port, so words
//!   enter the weight buffer in the order of the stream whatever the order in which the ports answer.
//! * Rate: one beat a port and cycle as long as P * 16 <= W; one word a cycle otherwise.
//! * Latency from a word's last beat to `stream_valid`: [`LATENCY_CYCLES`].
//! * A bus error is latched with its burst's address; nothing new is issued from the next cycle on, owed beats are still
//!   taken. `flush`, allowed once `outstanding_any` is low, empties everything and clears the error.
//! * Command words are trusted: the checker refuses misaligned ones before they come here.

use crate::bus::burst_issuer::BurstIssuer;
use crate::bus::read_port::{self, ReadPort, BEAT_WORDS};
use crate::config::AccelConfig;
use crate::memory::queue::Queue;
use crate::memory::weight_buffer::{self, WeightBuffer};
use crate::prelude::*;

/// Cycles from the last beat of a word to the word at the stream's output.
pub const LATENCY_CYCLES: usize = read_port::LATENCY_CYCLES + 1 + weight_buffer::LATENCY_CYCLES;

/// Experts that may be decided before the sequencer comes to them: two layers of 32.
const TICKETS: usize = 64;

fn signals<D: Direction, T: Synth>(count: usize) -> Vec<Signal<D, T>> {
    many(count)
}

/// The fetch unit; see the module.
#[derive(LogicBlock, Default)]
pub struct FetchUnit {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// Drops everything; only while `outstanding_any` is low.
    pub flush: Signal<In, Bit>,
    /// Issues nothing new while high.
    pub hold: Signal<In, Bit>,
    pub command_valid: Signal<In, Bit>,
    pub command_ready: Signal<Out, Bit>,
    pub command: Vec<Signal<In, Bits<32>>>,
    /// Pulse: every byte of a command is in the weight buffer.
    pub done: Signal<Out, Bit>,
    pub task_number: Signal<In, Bits<3>>,
    pub nonempty: Signal<In, Bits<32>>,
    /// Pulse: a Route has finished.
    pub routed: Signal<In, Bit>,
    /// Every expert of every Fetch with `experts` in turn: its bytes are in the stream, or were not fetched.
    pub ticket_valid: Signal<Out, Bit>,
    pub ticket_ready: Signal<In, Bit>,
    pub ticket_fetched: Signal<Out, Bit>,
    pub program_lo: Signal<In, Bits<32>>,
    pub program_hi: Signal<In, Bits<32>>,
    pub image_lo: Signal<In, Bits<32>>,
    pub image_hi: Signal<In, Bits<32>>,
    pub arvalid: Vec<Signal<Out, Bit>>,
    pub arready: Vec<Signal<In, Bit>>,
    pub araddr_lo: Vec<Signal<Out, Bits<32>>>,
    pub araddr_hi: Vec<Signal<Out, Bits<32>>>,
    pub arlen: Vec<Signal<Out, Bits<8>>>,
    pub rvalid: Vec<Signal<In, Bit>>,
    pub rready: Vec<Signal<Out, Bit>>,
    /// Word i of port p's beat is at `4 * p + i`.
    pub rdata: Vec<Signal<In, Bits<32>>>,
    pub rresp: Vec<Signal<In, Bits<2>>>,
    pub rlast: Vec<Signal<In, Bit>>,
    pub stream_valid: Signal<Out, Bit>,
    pub stream_ready: Signal<In, Bit>,
    pub stream_data: Vec<Signal<Out, Bits<8>>>,
    /// Words that can be taken without a stall from this cycle on.
    pub stream_level: Signal<Out, Bits<16>>,
    pub error: Signal<Out, Bit>,
    pub error_lo: Signal<Out, Bits<32>>,
    pub error_hi: Signal<Out, Bits<32>>,
    /// Bursts are on the bus.
    pub outstanding_any: Signal<Out, Bit>,
    pub stall_full: Signal<Out, Bit>,
    /// Pulse: an expert that nobody chose was not fetched.
    pub skipped: Signal<Out, Bit>,
    /// Pulse a port a cycle after a beat.
    pub beat: Vec<Signal<Out, Bit>>,
    issuer: BurstIssuer,
    tickets: Queue<1>,
    ports: Vec<ReadPort>,
    buffer: WeightBuffer,
    turn: Vec<DFF<Bit>>,
    word: Vec<DFF<Bits<32>>>,
    word_valid: DFF<Bit>,
    word_last: DFF<Bit>,
    word_final: DFF<Bit>,
    any_error: Signal<Local, Bit>,
    any_busy: Signal<Local, Bit>,
    clear: Signal<Local, Bit>,
    collect: Signal<Local, Bit>,
    burst_end: Signal<Local, Bit>,
    command_end: Signal<Local, Bit>,
    last_turn: Signal<Local, Bit>,
    _ports: usize,
    _words: usize,
}

impl FetchUnit {
    /// The unit of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let (ports, words) = (config.read_ports, config.weight_word_bytes() / 4);
        Self {
            command: signals(8),
            arvalid: signals(ports),
            arready: signals(ports),
            araddr_lo: signals(ports),
            araddr_hi: signals(ports),
            arlen: signals(ports),
            rvalid: signals(ports),
            rready: signals(ports),
            rdata: signals(BEAT_WORDS * ports),
            rresp: signals(ports),
            rlast: signals(ports),
            stream_data: signals(4 * words),
            beat: signals(ports),
            issuer: BurstIssuer::new(config),
            tickets: Queue::new(1, TICKETS),
            ports: (0..ports).map(|_| ReadPort::new(config)).collect(),
            buffer: WeightBuffer::new(config),
            turn: many(ports),
            word: many(words),
            _ports: ports,
            _words: words,
            ..Self::default()
        }
    }
}

impl Logic for FetchUnit {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, word_valid, word_last, word_final);
        clock!(self, clock, issuer, tickets, buffer);
        self.clear.next = self.reset.val() | self.flush.val();

        // Commands.
        self.issuer.reset.next = self.clear.val();
        self.issuer.command_valid.next = self.command_valid.val();
        self.command_ready.next = self.issuer.command_ready.val();
        for i in 0..8 {
            self.issuer.command[i].next = self.command[i].val();
        }
        self.issuer.task_number.next = self.task_number.val();
        self.issuer.nonempty.next = self.nonempty.val();
        self.issuer.routed.next = self.routed.val();
        self.issuer.ticket_ready.next = self.tickets.write_ready.val();
        self.tickets.reset.next = self.clear.val();
        self.tickets.write_valid.next = self.issuer.ticket_valid.val();
        self.tickets.write_data[0].next = self.issuer.ticket_fetched.val().into();
        self.tickets.read_ready.next = self.ticket_ready.val();
        self.ticket_valid.next = self.tickets.read_valid.val();
        self.ticket_fetched.next = self.tickets.read_data[0].val().get_bit(0);
        self.issuer.program_lo.next = self.program_lo.val();
        self.issuer.program_hi.next = self.program_hi.val();
        self.issuer.image_lo.next = self.image_lo.val();
        self.issuer.image_hi.next = self.image_hi.val();
        self.issuer.consumed.next = self.buffer.consumed.val();
        self.issuer.collected.next = self.word_last.q.val();
        self.issuer.collected_final.next = self.word_final.q.val();
        self.done.next = self.issuer.done.val();
        self.stall_full.next = self.issuer.stall_full.val();
        self.skipped.next = self.issuer.skipped.val();

        // Ports.
        self.any_error.next = false;
        self.any_busy.next = false;
        self.error_lo.next = 0.into();
        self.error_hi.next = 0.into();
        for p in 0..self._ports {
            self.ports[p].clock.next = self.clock.val();
            self.ports[p].reset.next = self.clear.val();
            self.issuer.port_ready[p].next = self.ports[p].burst_ready.val();
            self.ports[p].burst_valid.next = self.issuer.burst_valid[p].val();
            self.ports[p].burst_lo.next = self.issuer.burst_lo.val();
            self.ports[p].burst_hi.next = self.issuer.burst_hi.val();
            self.ports[p].burst_beats.next = self.issuer.burst_beats.val();
            self.ports[p].burst_final.next = self.issuer.burst_final.val();
            self.arvalid[p].next = self.ports[p].arvalid.val();
            self.ports[p].arready.next = self.arready[p].val();
            self.araddr_lo[p].next = self.ports[p].araddr_lo.val();
            self.araddr_hi[p].next = self.ports[p].araddr_hi.val();
            self.arlen[p].next = self.ports[p].arlen.val();
            self.ports[p].rvalid.next = self.rvalid[p].val();
            self.rready[p].next = self.ports[p].rready.val();
            self.ports[p].rdata[0].next = self.rdata[4 * p].val();
            self.ports[p].rdata[1].next = self.rdata[4 * p + 1].val();
            self.ports[p].rdata[2].next = self.rdata[4 * p + 2].val();
            self.ports[p].rdata[3].next = self.rdata[4 * p + 3].val();
            self.ports[p].rresp.next = self.rresp[p].val();
            self.ports[p].rlast.next = self.rlast[p].val();
            self.beat[p].next = self.ports[p].beat.val();
            self.any_busy.next = self.any_busy.val() | self.ports[p].busy.val();
            if self.ports[p].error.val() & !self.any_error.val() {
                self.any_error.next = true;
                self.error_lo.next = self.ports[p].error_lo.val();
                self.error_hi.next = self.ports[p].error_hi.val();
            }
        }
        self.error.next = self.any_error.val();
        self.outstanding_any.next = self.any_busy.val();
        self.issuer.hold.next = self.hold.val() | self.any_error.val();

        // Collector.
        self.collect.next = false;
        self.burst_end.next = false;
        self.command_end.next = false;
        self.last_turn.next = false;
        for i in 0..self._words {
            self.word[i].clock.next = self.clock.val();
            self.word[i].d.next = self.word[i].q.val();
        }
        for p in 0..self._ports {
            self.turn[p].clock.next = self.clock.val();
            self.turn[p].d.next = self.turn[p].q.val();
            self.last_turn.next = self.turn[p].q.val();
            self.ports[p].word_ready.next = self.turn[p].q.val();
            if self.turn[p].q.val() {
                self.collect.next = self.ports[p].word_valid.val();
                self.burst_end.next = self.ports[p].word_valid.val() & self.ports[p].word_last.val();
                self.command_end.next = self.ports[p].word_valid.val() & self.ports[p].word_final.val();
                for i in 0..self._words {
                    self.word[i].d.next = self.ports[p].word_data[i].val();
                }
            }
        }
        if self.burst_end.val() {
            for p in 0..self._ports {
                self.turn[p].d.next = self.last_turn.val();
                self.last_turn.next = self.turn[p].q.val();
            }
        }
        self.word_valid.d.next = self.collect.val();
        self.word_last.d.next = self.burst_end.val();
        self.word_final.d.next = self.command_end.val();

        // Weight buffer.
        self.buffer.reset.next = self.clear.val();
        self.buffer.write_valid.next = self.word_valid.q.val();
        for i in 0..self._words {
            self.buffer.write_data[i].next = self.word[i].q.val();
            self.stream_data[4 * i].next = self.buffer.stream_data[4 * i].val();
            self.stream_data[4 * i + 1].next = self.buffer.stream_data[4 * i + 1].val();
            self.stream_data[4 * i + 2].next = self.buffer.stream_data[4 * i + 2].val();
            self.stream_data[4 * i + 3].next = self.buffer.stream_data[4 * i + 3].val();
        }
        self.stream_valid.next = self.buffer.stream_valid.val();
        self.buffer.stream_ready.next = self.stream_ready.val();
        self.stream_level.next = self.buffer.stream_level.val();

        if self.clear.val() {
            self.word_valid.d.next = false;
            self.word_last.d.next = false;
            self.word_final.d.next = false;
            self.last_turn.next = true;
            for p in 0..self._ports {
                self.turn[p].d.next = self.last_turn.val();
                self.last_turn.next = false;
            }
        }
    }
}
