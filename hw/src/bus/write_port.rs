//! Write unit: residual words to the board's memory over one AXI4 write master port of 128 bits.
//!
//! Command: `beats` beats of 16 bytes from residual word `src_base` on go to `result + 16 * offset`. Values are 16 bits,
//! little-endian, C to a word; what a last word has beyond the beats is dropped.
//!
//! * Bursts are INCR, at most 16 beats, and end at 256-byte boundaries, so none crosses 4 KB whatever the offset.
//! * A burst's address goes out only when all of its data wait in the queue, and its data follow the accepted address: an
//!   issued burst is always completed, even when `hold` or an error stops everything behind it.
//! * `done` comes after the command's last response. The first SLVERR or DECERR is latched with its burst's address; no
//!   new address is issued then and the command sends no `done`.
//! * Rate: one beat a cycle, also from burst to burst: the next address goes out while data leave, as soon as its data wait.
//!   Requests stop while the queue is full.
//! * `reset` forgets everything; only while `busy` is low.
//!
//! ```text
//! residual memory --grant, 2 cycles--> queue (words to beats) --> W
//! command --> [address, beats left] --> AW --> beats allowed --^    B --> owed bursts, error
//!
//! Idle -> Low -> High -> Length -> Wait -> Address -+-> Owed -> Idle
//!                           ^-----------------------+
//! ```

use crate::config::{AccelConfig, BURST_BEATS};
use crate::memory::lanes::Lanes;
use crate::memory::queue::Queue;
use crate::memory::residual::READ_CYCLES;
use crate::prelude::*;

/// Beats that the queue holds: one burst fills while another leaves.
const QUEUE_BEATS: usize = 2 * BURST_BEATS;
/// 16-bit values of a beat.
const BEAT_VALUES: usize = 8;

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum WriteState {
    Idle,
    Low,
    High,
    Length,
    Wait,
    Address,
    Owed,
}

/// The write unit; see the module.
#[derive(LogicBlock, Default)]
pub struct WriteUnit {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// Issues nothing new while high.
    pub hold: Signal<In, Bit>,
    pub command_valid: Signal<In, Bit>,
    pub command_ready: Signal<Out, Bit>,
    pub command: Vec<Signal<In, Bits<32>>>,
    /// Pulse: every byte of the command is in memory.
    pub done: Signal<Out, Bit>,
    pub result_lo: Signal<In, Bits<32>>,
    pub result_hi: Signal<In, Bits<32>>,
    pub read_valid: Signal<Out, Bit>,
    pub read_ready: Signal<In, Bit>,
    pub read_address: Signal<Out, Bits<16>>,
    pub read_data: Vec<Signal<In, Bits<16>>>,
    pub awvalid: Signal<Out, Bit>,
    pub awready: Signal<In, Bit>,
    pub awaddr_lo: Signal<Out, Bits<32>>,
    pub awaddr_hi: Signal<Out, Bits<32>>,
    pub awlen: Signal<Out, Bits<8>>,
    pub wvalid: Signal<Out, Bit>,
    pub wready: Signal<In, Bit>,
    pub wdata: Vec<Signal<Out, Bits<32>>>,
    pub wlast: Signal<Out, Bit>,
    pub bvalid: Signal<In, Bit>,
    pub bready: Signal<Out, Bit>,
    pub bresp: Signal<In, Bits<2>>,
    /// Bursts are issued and not answered.
    pub busy: Signal<Out, Bit>,
    /// Pulse a cycle after a beat.
    pub beat: Signal<Out, Bit>,
    pub error: Signal<Out, Bit>,
    pub error_lo: Signal<Out, Bits<32>>,
    pub error_hi: Signal<Out, Bits<32>>,
    queue: Queue<16>,
    pairs: Lanes<16, 32>,
    state: DFF<WriteState>,
    // Reading, counted in beats: not yet read, free in the queue, waiting in the queue for their burst.
    source: DFF<Bits<16>>,
    unread: DFF<Bits<16>>,
    places: DFF<Bits<6>>,
    waiting: DFF<Bits<6>>,
    granted: Vec<DFF<Bit>>,
    // Writing.
    offset: DFF<Bits<32>>,
    address_lo: DFF<Bits<32>>,
    address_hi: DFF<Bits<32>>,
    /// The low word of the address passed its end a cycle ago: the high one follows now.
    carry: DFF<Bit>,
    beats_left: DFF<Bits<16>>,
    length: DFF<Bits<5>>,
    // Sending: beats of accepted addresses, beats of the command, place of the next beat in its 256 bytes.
    allowed: DFF<Bits<6>>,
    unsent: DFF<Bits<16>>,
    place: DFF<Bits<4>>,
    // Responses.
    owed: DFF<Bits<4>>,
    answered_lo: DFF<Bits<32>>,
    answered_hi: DFF<Bits<32>>,
    answer_carry: DFF<Bit>,
    failed: DFF<Bit>,
    finished: DFF<Bit>,
    was_beat: DFF<Bit>,
    request: Signal<Local, Bit>,
    grant: Signal<Local, Bit>,
    arrived: Signal<Local, Bit>,
    issue: Signal<Local, Bit>,
    accept: Signal<Local, Bit>,
    send: Signal<Local, Bit>,
    answer: Signal<Local, Bit>,
    idle: Signal<Local, Bit>,
    burst: Signal<Local, Bits<6>>,
    to_boundary: Signal<Local, Bits<5>>,
    now_waiting: Signal<Local, Bits<6>>,
    now_free: Signal<Local, Bits<6>>,
    now_allowed: Signal<Local, Bits<6>>,
    low_sum: Signal<Local, Bits<33>>,
    next_hi: Signal<Local, Bits<32>>,
    next_answer: Signal<Local, Bits<32>>,
    word_beats: Constant<Bits<6>>,
    all_places: Constant<Bits<6>>,
    most_owed: Constant<Bits<4>>,
    _columns: usize,
    _delay: usize,
}

impl WriteUnit {
    /// The unit of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let columns = config.columns;
        let word_beats = columns / BEAT_VALUES;
        let depth = QUEUE_BEATS / word_beats;
        Self {
            command: many(8),
            read_data: many(columns),
            wdata: many(4),
            queue: Queue::resizing(columns, 1, word_beats, depth),
            pairs: Lanes::new(BEAT_VALUES),
            granted: many(READ_CYCLES),
            word_beats: Constant::new((word_beats as u64).into()),
            all_places: Constant::new((QUEUE_BEATS as u64).into()),
            most_owed: Constant::new((config.outstanding_bursts as u64).into()),
            _columns: columns,
            _delay: READ_CYCLES,
            ..Self::default()
        }
    }
}

impl Logic for WriteUnit {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            state,
            source,
            unread,
            places,
            waiting,
            offset,
            address_lo,
            address_hi,
            carry,
            beats_left,
            length,
            allowed,
            unsent,
            place,
            owed,
            answered_lo,
            answered_hi,
            answer_carry,
            failed,
            finished,
            was_beat
        );
        clock!(self, clock, queue);
        self.idle.next = self.state.q.val() == WriteState::Idle;

        // Residual words into the queue.
        self.request.next =
            self.unread.q.val().any() & (self.places.q.val() >= self.word_beats.val()) & !self.idle.val();
        self.read_valid.next = self.request.val();
        self.read_address.next = self.source.q.val();
        self.grant.next = self.request.val() & self.read_ready.val();
        self.arrived.next = self.grant.val();
        for i in 0..self._delay {
            self.granted[i].clock.next = self.clock.val();
            self.granted[i].d.next = self.arrived.val();
            self.arrived.next = self.granted[i].q.val();
        }
        self.queue.reset.next = self.reset.val() | self.idle.val();
        self.queue.write_valid.next = self.arrived.val();
        for c in 0..self._columns {
            self.queue.write_data[c].next = self.read_data[c].val();
        }

        // Beats out of the queue.
        self.wvalid.next = self.allowed.q.val().any() & self.queue.read_valid.val();
        self.send.next = self.wvalid.val() & self.wready.val();
        self.wlast.next = self.place.q.val().all() | (self.unsent.q.val() == 1);
        self.queue.read_ready.next = self.send.val();
        for i in 0..8 {
            self.pairs.from[i].next = self.queue.read_data[i].val();
        }
        for i in 0..4 {
            self.wdata[i].next = self.pairs.to[i].val();
        }
        self.was_beat.d.next = self.send.val();
        self.beat.next = self.was_beat.q.val();

        // What the queue holds and has room for.
        self.burst.next = bit_cast::<6, 5>(self.length.q.val());
        self.issue.next = (self.state.q.val() == WriteState::Wait)
            & (self.waiting.q.val() >= self.burst.val())
            & (self.owed.q.val() < self.most_owed.val())
            & !self.hold.val()
            & !self.failed.q.val();
        self.now_waiting.next = self.waiting.q.val();
        if self.issue.val() {
            self.now_waiting.next = self.now_waiting.val() - self.burst.val();
        }
        if self.arrived.val() {
            self.now_waiting.next = self.now_waiting.val() + self.word_beats.val();
        }
        self.waiting.d.next = self.now_waiting.val();
        self.now_free.next = self.places.q.val();
        if self.send.val() {
            self.now_free.next = self.now_free.val() + 1;
        }
        if self.grant.val() {
            self.now_free.next = self.now_free.val() - self.word_beats.val();
        }
        self.places.d.next = self.now_free.val();
        self.accept.next = (self.state.q.val() == WriteState::Address) & self.awready.val();
        self.now_allowed.next = self.allowed.q.val();
        if self.accept.val() {
            self.now_allowed.next = self.now_allowed.val() + self.burst.val();
        }
        if self.send.val() {
            self.now_allowed.next = self.now_allowed.val() - 1;
            self.unsent.d.next = self.unsent.q.val() - 1;
            self.place.d.next = self.place.q.val() + 1;
        }
        self.allowed.d.next = self.now_allowed.val();
        if self.grant.val() {
            self.source.d.next = self.source.q.val() + 1;
            self.unread.d.next = self.unread.q.val() - bit_cast::<16, 6>(self.word_beats.val());
            if self.unread.q.val() < bit_cast::<16, 6>(self.word_beats.val()) {
                self.unread.d.next = 0.into();
            }
        }

        // Bursts.
        self.command_ready.next = self.idle.val() & !self.hold.val() & !self.failed.q.val();
        self.awvalid.next = self.state.q.val() == WriteState::Address;
        self.awaddr_lo.next = self.address_lo.q.val();
        self.awaddr_hi.next = self.address_hi.q.val();
        self.awlen.next = bit_cast::<8, 5>(self.length.q.val() - 1);
        self.to_boundary.next = 16.into();
        self.low_sum.next =
            bit_cast::<33, 32>(self.result_lo.val()) + bit_cast::<33, 32>(self.offset.q.val() << 4);
        self.next_hi.next = self.address_hi.q.val();
        if self.carry.q.val() {
            self.next_hi.next = self.address_hi.q.val() + 1;
        }
        self.address_hi.d.next = self.next_hi.val();
        self.carry.d.next = false;
        self.finished.d.next = false;
        match self.state.q.val() {
            WriteState::Idle => {
                self.places.d.next = self.all_places.val();
                self.waiting.d.next = 0.into();
                if self.command_valid.val() & self.command_ready.val() {
                    self.source.d.next = bit_cast::<16, 32>(self.command[2].val());
                    self.beats_left.d.next = bit_cast::<16, 32>(self.command[3].val());
                    self.unread.d.next = bit_cast::<16, 32>(self.command[3].val());
                    self.unsent.d.next = bit_cast::<16, 32>(self.command[3].val());
                    self.offset.d.next = self.command[4].val();
                    self.state.d.next = WriteState::Low;
                }
            }
            WriteState::Low => {
                self.address_lo.d.next = self.low_sum.val().get_bits::<32>(0);
                self.carry.d.next = self.low_sum.val().get_bit(32);
                self.address_hi.d.next = self.result_hi.val() + (self.offset.q.val() >> 28);
                self.state.d.next = WriteState::High;
            }
            WriteState::High => {
                self.answered_lo.d.next = self.address_lo.q.val();
                self.answered_hi.d.next = self.next_hi.val();
                self.place.d.next = self.address_lo.q.val().get_bits::<4>(4);
                self.state.d.next = WriteState::Length;
                if !self.beats_left.q.val().any() {
                    self.state.d.next = WriteState::Owed;
                }
            }
            WriteState::Length => {
                self.to_boundary.next =
                    bits::<5>(16) - bit_cast::<5, 4>(self.address_lo.q.val().get_bits::<4>(4));
                self.length.d.next = self.to_boundary.val();
                if self.beats_left.q.val() < bit_cast::<16, 5>(self.to_boundary.val()) {
                    self.length.d.next = bit_cast::<5, 16>(self.beats_left.q.val());
                }
                self.state.d.next = WriteState::Wait;
            }
            WriteState::Wait => {
                if self.issue.val() {
                    self.state.d.next = WriteState::Address;
                }
            }
            WriteState::Address => {
                if self.awready.val() {
                    self.beats_left.d.next = self.beats_left.q.val() - bit_cast::<16, 5>(self.length.q.val());
                    // A next burst starts where the 256 bytes of this one end.
                    self.address_lo.d.next = ((self.address_lo.q.val() >> 8) + 1) << 8;
                    self.carry.d.next = (self.address_lo.q.val() | 0xff).all();
                    self.state.d.next = WriteState::Length;
                    if self.beats_left.q.val() == bit_cast::<16, 5>(self.length.q.val()) {
                        self.state.d.next = WriteState::Owed;
                    }
                }
            }
            WriteState::Owed => {
                if !self.owed.q.val().any() & !self.failed.q.val() {
                    self.finished.d.next = true;
                    self.state.d.next = WriteState::Idle;
                }
            }
            _ => {
                self.state.d.next = WriteState::Idle;
            }
        }
        self.done.next = self.finished.q.val();

        // Responses.
        self.bready.next = self.owed.q.val().any();
        self.answer.next = self.bvalid.val() & self.owed.q.val().any();
        if self.issue.val() & !self.answer.val() {
            self.owed.d.next = self.owed.q.val() + 1;
        } else if self.answer.val() & !self.issue.val() {
            self.owed.d.next = self.owed.q.val() - 1;
        }
        self.next_answer.next = ((self.answered_lo.q.val() >> 8) + 1) << 8;
        self.answer_carry.d.next = false;
        if self.answer_carry.q.val() {
            self.answered_hi.d.next = self.answered_hi.q.val() + 1;
        }
        if self.answer.val() & !self.failed.q.val() {
            if self.bresp.val().get_bit(1) {
                self.failed.d.next = true;
            } else {
                self.answered_lo.d.next = self.next_answer.val();
                self.answer_carry.d.next = (self.answered_lo.q.val() | 0xff).all();
            }
        }
        self.busy.next = self.owed.q.val().any();
        self.error.next = self.failed.q.val();
        self.error_lo.next = self.answered_lo.q.val();
        self.error_hi.next = self.answered_hi.q.val();

        if self.reset.val() {
            self.state.d.next = WriteState::Idle;
            self.unread.d.next = 0.into();
            self.allowed.d.next = 0.into();
            self.owed.d.next = 0.into();
            self.failed.d.next = false;
            self.finished.d.next = false;
            self.was_beat.d.next = false;
            for i in 0..self._delay {
                self.granted[i].d.next = false;
            }
        }
    }
}
