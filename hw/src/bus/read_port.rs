//! One AXI4 read master port of 128 bits: bursts in, whole words of the weight stream out.
//!
//! * Bursts are INCR, full width, one ID; their addresses are 256-byte aligned and at most 16 beats, so none crosses 4 KB.
//! * Up to `outstanding_bursts` are on the bus at once. Beats enter a word queue that has room for every burst issued, so
//!   `rready` is high whenever a beat is owed: the port never stalls the bus and takes one beat a cycle.
//! * Ends of bursts come from the port's own count of beats; an `rlast` elsewhere counts as an error like SLVERR and DECERR.
//!   The first error is latched with the address of its burst. Owed beats are still taken afterwards.
//! * Latency: `burst_valid` to `arvalid` 1 cycle, last beat of a word to `word_valid` [`LATENCY_CYCLES`].
//!
//! ```text
//! burst --> [AR] --> araddr, arlen
//!       \-> queue of owed bursts (address, last beat, final)
//! rdata --> word queue (W/16 beats a word, flags beside) --> word
//! ```

use crate::config::{AccelConfig, BEAT_BYTES, BURST_BYTES};
use crate::memory::queue::{self, Queue};
use crate::prelude::*;

/// Cycles from the last beat of a word to `word_valid`.
pub const LATENCY_CYCLES: usize = queue::LATENCY_CYCLES;
/// 32-bit words of a beat.
pub const BEAT_WORDS: usize = BEAT_BYTES / 4;
/// Lanes of a beat in the word queue: the data and the flags.
const BEAT_LANES: usize = BEAT_WORDS + 1;

/// Bursts that a port's word queue holds: those on the bus and as many that wait for another port's turn.
pub fn queued_bursts(config: &AccelConfig) -> usize {
    2 * config.outstanding_bursts
}

/// The read port; see the module.
#[derive(LogicBlock, Default)]
pub struct ReadPort {
    pub clock: Signal<In, Clock>,
    /// Forgets everything; only while nothing is outstanding.
    pub reset: Signal<In, Bit>,
    pub burst_valid: Signal<In, Bit>,
    pub burst_ready: Signal<Out, Bit>,
    pub burst_lo: Signal<In, Bits<32>>,
    pub burst_hi: Signal<In, Bits<32>>,
    /// Beats of the burst, 1 to 16.
    pub burst_beats: Signal<In, Bits<5>>,
    /// Last burst of a command.
    pub burst_final: Signal<In, Bit>,
    pub arvalid: Signal<Out, Bit>,
    pub arready: Signal<In, Bit>,
    pub araddr_lo: Signal<Out, Bits<32>>,
    pub araddr_hi: Signal<Out, Bits<32>>,
    pub arlen: Signal<Out, Bits<8>>,
    pub rvalid: Signal<In, Bit>,
    pub rready: Signal<Out, Bit>,
    pub rdata: Vec<Signal<In, Bits<32>>>,
    pub rresp: Signal<In, Bits<2>>,
    pub rlast: Signal<In, Bit>,
    pub word_valid: Signal<Out, Bit>,
    pub word_ready: Signal<In, Bit>,
    pub word_data: Vec<Signal<Out, Bits<32>>>,
    /// The word ends a burst; the next word of the stream comes from the next port.
    pub word_last: Signal<Out, Bit>,
    /// The word ends a command.
    pub word_final: Signal<Out, Bit>,
    /// Bursts are issued and not complete.
    pub busy: Signal<Out, Bit>,
    /// Pulse a cycle after a beat.
    pub beat: Signal<Out, Bit>,
    pub error: Signal<Out, Bit>,
    pub error_lo: Signal<Out, Bits<32>>,
    pub error_hi: Signal<Out, Bits<32>>,
    owed: Queue<32>,
    words: Queue<32>,
    ar_valid: DFF<Bit>,
    ar_lo: DFF<Bits<32>>,
    ar_hi: DFF<Bits<32>>,
    ar_len: DFF<Bits<5>>,
    outstanding: DFF<Bits<5>>,
    queued: DFF<Bits<6>>,
    beats: DFF<Bits<5>>,
    was_beat: DFF<Bit>,
    failed: DFF<Bit>,
    failed_lo: DFF<Bits<32>>,
    failed_hi: DFF<Bits<32>>,
    issue: Signal<Local, Bit>,
    accepted: Signal<Local, Bit>,
    burst_end: Signal<Local, Bit>,
    burst_out: Signal<Local, Bit>,
    flags: Signal<Local, Bits<32>>,
    most_outstanding: Constant<Bits<5>>,
    most_queued: Constant<Bits<6>>,
    _words: usize,
    _beats: usize,
}

impl ReadPort {
    /// A port of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let (words, beats) = (config.weight_word_bytes() / 4, config.word_beats());
        let queued = queued_bursts(config);
        let depth = queued * BURST_BYTES / config.weight_word_bytes();
        Self {
            rdata: many(BEAT_WORDS),
            word_data: many(words),
            owed: Queue::new(3, config.outstanding_bursts.max(2)),
            words: Queue::resizing(BEAT_LANES, beats, 1, depth),
            most_outstanding: Constant::new((config.outstanding_bursts as u64).into()),
            most_queued: Constant::new((queued as u64).into()),
            _words: words,
            _beats: beats,
            ..Self::default()
        }
    }
}

impl Logic for ReadPort {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            ar_valid,
            ar_lo,
            ar_hi,
            ar_len,
            outstanding,
            queued,
            beats,
            was_beat,
            failed,
            failed_lo,
            failed_hi
        );
        clock!(self, clock, owed, words);
        self.owed.reset.next = self.reset.val();
        self.words.reset.next = self.reset.val();

        // Addresses.
        self.burst_ready.next = !self.ar_valid.q.val()
            & self.owed.write_ready.val()
            & (self.outstanding.q.val() < self.most_outstanding.val())
            & (self.queued.q.val() < self.most_queued.val());
        self.issue.next = self.burst_valid.val() & self.burst_ready.val();
        if self.ar_valid.q.val() & self.arready.val() {
            self.ar_valid.d.next = false;
        }
        if self.issue.val() {
            self.ar_valid.d.next = true;
            self.ar_lo.d.next = self.burst_lo.val();
            self.ar_hi.d.next = self.burst_hi.val();
            self.ar_len.d.next = self.burst_beats.val() - 1;
        }
        self.arvalid.next = self.ar_valid.q.val();
        self.araddr_lo.next = self.ar_lo.q.val();
        self.araddr_hi.next = self.ar_hi.q.val();
        self.arlen.next = bit_cast::<8, 5>(self.ar_len.q.val());
        self.owed.write_valid.next = self.issue.val();
        self.owed.write_data[0].next = self.burst_lo.val();
        self.owed.write_data[1].next = self.burst_hi.val();
        self.owed.write_data[2].next = bit_cast::<32, 5>(self.burst_beats.val() - 1);
        if self.burst_final.val() {
            self.owed.write_data[2].next = bit_cast::<32, 5>(self.burst_beats.val() - 1) | 0x100;
        }

        // Beats.
        self.rready.next = self.owed.read_valid.val();
        self.accepted.next = self.rvalid.val() & self.owed.read_valid.val();
        self.burst_end.next = self.beats.q.val() == bit_cast::<5, 32>(self.owed.read_data[2].val());
        self.owed.read_ready.next = self.accepted.val() & self.burst_end.val();
        if self.accepted.val() {
            self.beats.d.next = self.beats.q.val() + 1;
            if self.burst_end.val() {
                self.beats.d.next = 0.into();
            }
        }
        self.words.write_valid.next = self.accepted.val();
        self.words.write_data[0].next = self.rdata[0].val();
        self.words.write_data[1].next = self.rdata[1].val();
        self.words.write_data[2].next = self.rdata[2].val();
        self.words.write_data[3].next = self.rdata[3].val();
        self.words.write_data[4].next = 0.into();
        if self.burst_end.val() {
            self.words.write_data[4].next = 1.into();
            if self.owed.read_data[2].val().get_bit(8) {
                self.words.write_data[4].next = 3.into();
            }
        }
        self.was_beat.d.next = self.accepted.val();
        self.beat.next = self.was_beat.q.val();

        // Errors.
        if self.accepted.val()
            & !self.failed.q.val()
            & (self.rresp.val().get_bit(1) | (self.rlast.val() ^ self.burst_end.val()))
        {
            self.failed.d.next = true;
            self.failed_lo.d.next = self.owed.read_data[0].val();
            self.failed_hi.d.next = self.owed.read_data[1].val();
        }
        self.error.next = self.failed.q.val();
        self.error_lo.next = self.failed_lo.q.val();
        self.error_hi.next = self.failed_hi.q.val();

        // Words.
        self.word_valid.next = self.words.read_valid.val();
        self.words.read_ready.next = self.word_ready.val();
        for i in 0..self._words {
            self.word_data[i].next = self.words.read_data[i / 4 * 5 + i % 4].val();
        }
        self.flags.next = 0.into();
        for b in 0..self._beats {
            self.flags.next = self.words.read_data[5 * b + 4].val();
        }
        self.word_last.next = self.flags.val().get_bit(0);
        self.word_final.next = self.flags.val().get_bit(1);
        self.burst_out.next =
            self.words.read_valid.val() & self.word_ready.val() & self.flags.val().get_bit(0);

        // Counts.
        if self.issue.val() & !self.owed.read_ready.val() {
            self.outstanding.d.next = self.outstanding.q.val() + 1;
        } else if self.owed.read_ready.val() & !self.issue.val() {
            self.outstanding.d.next = self.outstanding.q.val() - 1;
        }
        self.busy.next = self.outstanding.q.val().any();
        if self.issue.val() & !self.burst_out.val() {
            self.queued.d.next = self.queued.q.val() + 1;
        } else if self.burst_out.val() & !self.issue.val() {
            self.queued.d.next = self.queued.q.val() - 1;
        }

        if self.reset.val() {
            self.ar_valid.d.next = false;
            self.outstanding.d.next = 0.into();
            self.queued.d.next = 0.into();
            self.beats.d.next = 0.into();
            self.was_beat.d.next = false;
            self.failed.d.next = false;
        }
    }
}
