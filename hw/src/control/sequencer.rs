//! Runs the program: loads it, checks it, and hands its commands to the units' queues.
//!
//! `start` makes it fetch `command_count` commands through the weight stream (a Fetch of its own making), check every one of
//! them (one a cycle; the first illegal one stops the frame before any other bus traffic), and dispatch them in order. A command
//! waits until the units named in its wait fields have few enough commands outstanding ([`Scoreboard`]), then is pushed into its unit's queue;
//! MatMul and Copy enter the feed's and the drain's queue together. An ExpertLoop repeats its body for every expert in
//! `nonempty`, ascending, with the expert and its queue's length beside the command; it takes a ticket of the fetch unit for each
//! expert, and sends a Discard for one that was fetched and has no token. End waits for all units and raises `done`.
//!
//! While a frame of the same program is `waiting`, End waits for the fetch unit only: `take` makes the waiting frame the present
//! one, and its first Fetches go out beside what is left of the older frame. Its first other command waits until the older frame's
//! commands have all finished, which raises `done` for that frame.
//!
//! On an error (illegal command, bus, watchdog) dispatch stops, `hold_bus` keeps the bus masters from new bursts, and when no
//! burst is owed any more `unit_reset` clears the chip for the next frame. `done` comes with `error_code` set; a bus that never
//! answers delays `idle`, not `done`.
//!
//! * About 7 cycles a command, beside the units' own work. `push` goes up only with `room`; there is no other stall.
//!
//! ```text
//! start --> Load --> Scan --> Read --> Decide --> Dispatch --push--> queue of the unit
//!                              ^         |           |
//!                              |         +-> NextExpert (loop) <--> Discard
//!                              |         +-> Drain --> done, or take --> Read
//!                              +---------------------+         any error --> Abort --> Clear --> done
//! ```

use super::command::{Discard, End, ExpertLoop, Fetch, MatMul, Operation, Unit, COMMAND_WORDS};
use super::command_check::{self, CommandCheck};
use super::program_memory::{self, ProgramMemory};
use super::scoreboard::{Scoreboard, UNITS};
use crate::config::{AccelConfig, BURST_BYTES};
use crate::prelude::*;
use crate::primitives::delay::Delay;

/// Words that travel with a command: its own, and one for the loop (`expert | length << 5 | in_loop << 16`).
pub const QUEUE_LANES: usize = COMMAND_WORDS + 1;
/// Queues in front of the units: fetch, feed, drain, norm, softmax, router, write.
pub const QUEUES: usize = 7;
/// Cycles from an index to the verdict on its command.
const SCAN_CYCLES: usize = program_memory::LATENCY_CYCLES + command_check::LATENCY_CYCLES;

#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
enum State {
    Idle,
    Load,
    Scan,
    Read,
    Decide,
    Dispatch,
    NextExpert,
    Discard,
    Drain,
    Abort,
    Clear,
}

/// The sequencer; see the module.
#[derive(LogicBlock, Default)]
pub struct Sequencer {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub start: Signal<In, Bit>,
    pub command_count: Signal<In, Bits<16>>,
    pub task_number: Signal<In, Bits<3>>,
    pub program_write: Signal<In, Bit>,
    pub program_data: Vec<Signal<In, Bits<8>>>,
    pub program_loaded: Signal<In, Bit>,
    /// Stream words of the program, with `load_start`.
    pub program_load: Signal<Out, Bits<16>>,
    pub load_start: Signal<Out, Bit>,
    pub idle: Signal<Out, Bit>,
    pub done: Signal<Out, Bit>,
    pub error_code: Signal<Out, Bits<4>>,
    pub error_command: Signal<Out, Bits<16>>,
    /// A frame of the program that is loaded waits.
    pub waiting: Signal<In, Bit>,
    /// Pulse: the waiting frame is the present one from now on.
    pub take: Signal<Out, Bit>,
    /// Drop the frame without `done`.
    pub drop_frame: Signal<In, Bit>,
    pub read_error: Signal<In, Bit>,
    pub write_error: Signal<In, Bit>,
    pub watchdog: Signal<In, Bit>,
    /// No burst is owed on any port.
    pub bus_quiet: Signal<In, Bit>,
    pub hold_bus: Signal<Out, Bit>,
    pub unit_reset: Signal<Out, Bit>,
    pub nonempty: Signal<In, Bits<32>>,
    /// Whether the loop's next expert was fetched.
    pub ticket_valid: Signal<In, Bit>,
    pub ticket_ready: Signal<Out, Bit>,
    pub ticket_fetched: Signal<In, Bit>,
    pub count_expert: Signal<Out, Bits<5>>,
    pub count: Signal<In, Bits<11>>,
    /// One command finished: fetch, array, norm, softmax, router, write.
    pub unit_done: Vec<Signal<In, Bit>>,
    /// Commands are outstanding, in the same order.
    pub busy: Vec<Signal<Out, Bit>>,
    /// One for each queue.
    pub room: Vec<Signal<In, Bit>>,
    pub push: Vec<Signal<Out, Bit>>,
    pub command: Vec<Signal<Out, Bits<32>>>,
    state: DFF<State>,
    /// Command that is read; during the scan, command that is asked for.
    index: DFF<Bits<16>>,
    /// Of the cycle before: no command stands at `index`; all of them were checked.
    at_end: DFF<Bit>,
    all_scanned: DFF<Bit>,
    /// Command that the scan's verdict is about.
    scanned: DFF<Bits<16>>,
    scan_valid: Delay<1>,
    pause: DFF<Bits<4>>,
    program_sent: DFF<Bit>,
    load_pulse: DFF<Bit>,
    in_loop: DFF<Bit>,
    loop_base: DFF<Bits<16>>,
    loop_body: DFF<Bits<3>>,
    loop_position: DFF<Bits<3>>,
    loop_words: DFF<Bits<16>>,
    loop_left: DFF<Bits<6>>,
    /// No expert is left.
    loop_over: DFF<Bit>,
    loop_mask: DFF<Bits<32>>,
    loop_expert: DFF<Bits<5>>,
    fault: DFF<Bits<4>>,
    fault_command: DFF<Bits<16>>,
    abort_count: DFF<Bits<13>>,
    done_sent: DFF<Bit>,
    done_pulse: DFF<Bit>,
    aborting: DFF<Bit>,
    clearing: DFF<Bit>,
    /// The older of two frames has not ended.
    overlapped: DFF<Bit>,
    take_pulse: DFF<Bit>,
    memory: ProgramMemory,
    check: CommandCheck,
    scoreboard: Scoreboard,
    tail: Signal<Local, Bits<32>>,
    bursts: Signal<Local, Bits<16>>,
    target: Signal<Local, Bits<7>>,
    issued: Signal<Local, Bits<6>>,
    go: Signal<Local, Bit>,
    opcode: Signal<Local, Bits<4>>,
    mine: Signal<Local, Bit>,
    running: Signal<Local, Bit>,
    expert_over: Signal<Local, Bit>,
    place: Signal<Local, Bits<7>>,
    words_shift: Constant<Bits<16>>,
    /// A byte for each opcode: the queues that take such a command, the units that count it.
    queues: Constant<Bits<128>>,
    units: Constant<Bits<128>>,
    op_fetch: Constant<Bits<4>>,
    op_mat_mul: Constant<Bits<4>>,
    op_expert_loop: Constant<Bits<4>>,
    op_discard: Constant<Bits<4>>,
    op_end: Constant<Bits<4>>,
    _bytes: usize,
}

/// The queues in front of a unit, a bit each.
fn queues(unit: Unit) -> u8 {
    match unit {
        Unit::Fetch => 1,
        Unit::Array => 0b110,
        Unit::Norm => 1 << 3,
        Unit::Softmax => 1 << 4,
        Unit::Router => 1 << 5,
        Unit::Write => 1 << 6,
    }
}

/// A byte for each opcode of a unit, opcode 0 in the lowest.
fn by_opcode(byte: impl Fn(Unit) -> u8) -> Constant<Bits<128>> {
    let byte_of = |opcode| Operation::of(opcode).and_then(|o| o.unit()).map_or(0, &byte);
    let bytes = (0..16).rev().map(|opcode| u64::from(byte_of(opcode)));
    Constant::new(bytes.fold(Bits::default(), |all, byte| (all << 8) | Bits::from(byte)))
}

impl Sequencer {
    /// The sequencer of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let opcode = |number: u32| Constant::new(u64::from(number).into());
        Self {
            program_data: many(config.weight_word_bytes()),
            unit_done: many(UNITS),
            busy: many(UNITS),
            room: many(QUEUES),
            push: many(QUEUES),
            command: many(QUEUE_LANES),
            scan_valid: Delay::new(SCAN_CYCLES),
            memory: ProgramMemory::new(config),
            check: CommandCheck::new(config),
            scoreboard: Scoreboard::new(),
            queues: by_opcode(queues),
            units: by_opcode(|unit| 1 << unit as u8),
            op_fetch: opcode(Fetch::OPCODE),
            op_mat_mul: opcode(MatMul::OPCODE),
            op_expert_loop: opcode(ExpertLoop::OPCODE),
            op_discard: opcode(Discard::OPCODE),
            op_end: opcode(End::OPCODE),
            words_shift: Constant::new(u64::from((BURST_BYTES / config.weight_word_bytes()).ilog2()).into()),
            _bytes: config.weight_word_bytes(),
            ..Self::default()
        }
    }

    /// Index of the command that is dispatched.
    pub(crate) fn command_index(&self) -> Bits<16> {
        self.index.q.val()
    }
}

impl Logic for Sequencer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            state,
            index,
            scanned,
            pause,
            program_sent,
            load_pulse,
            in_loop,
            loop_base,
            loop_body
        );
        dff_setup!(
            self,
            clock,
            loop_position,
            loop_mask,
            loop_expert,
            fault,
            fault_command,
            abort_count,
            done_sent
        );
        dff_setup!(self, clock, loop_words, loop_left, loop_over);
        dff_setup!(
            self,
            clock,
            done_pulse,
            aborting,
            clearing,
            at_end,
            all_scanned,
            overlapped,
            take_pulse
        );
        clock!(self, clock, scan_valid, memory, check, scoreboard);
        self.scan_valid.reset.next = self.reset.val();
        self.load_pulse.d.next = false;
        self.done_pulse.d.next = false;
        self.take_pulse.d.next = false;
        self.take.next = self.take_pulse.q.val();
        self.ticket_ready.next = false;
        self.load_start.next = self.load_pulse.q.val();
        self.idle.next = self.state.q.val() == State::Idle;
        self.done.next = self.done_pulse.q.val();
        self.error_code.next = self.fault.q.val();
        self.error_command.next = self.fault_command.q.val();
        self.hold_bus.next = self.aborting.q.val();
        self.unit_reset.next = self.clearing.q.val();
        self.count_expert.next = self.loop_expert.q.val();

        // The program memory, its check, and the fields that matter here.
        self.memory.restart.next = self.start.val();
        self.memory.write.next = self.program_write.val();
        for b in 0..self._bytes {
            self.memory.write_data[b].next = self.program_data[b].val();
        }
        self.memory.index.next = self.index.q.val();
        self.tail.next = (bit_cast::<32, 5>(self.loop_expert.q.val()))
            | (bit_cast::<32, 11>(self.count.val()) << 5)
            | (bit_cast::<32, 1>(self.in_loop.q.val().into()) << 16);
        for l in 0..8 {
            self.check.command[l].next = self.memory.command[l].val();
            self.command[l].next = self.memory.command[l].val();
        }
        self.command[8].next = self.tail.val();
        self.opcode.next = self.memory.command[0].val().get_bits::<4>(0);
        self.mine.next = self.memory.command[0]
            .val()
            .get_bits::<8>(8)
            .get_bit(self.task_number.val().index());

        self.scoreboard.reset.next = self.reset.val() | (self.state.q.val() == State::Clear);
        self.scoreboard.waits.next = self.memory.command[1].val();
        for u in 0..6 {
            self.scoreboard.unit_done[u].next = self.unit_done[u].val();
            self.busy[u].next = self.scoreboard.busy[u].val();
        }
        if self.overlapped.q.val() & self.scoreboard.others_quiet.val() {
            self.overlapped.d.next = false;
            self.done_pulse.d.next = true;
        }

        // Which queues take it, and which units count it.
        self.place.next = bit_cast::<7, 4>(self.opcode.val()) << 3;
        self.bursts.next = (self.command_count.val() + 7) >> 3;
        self.program_load.next = self.bursts.val() << self.words_shift.val();
        if self.state.q.val() == State::Load {
            self.place.next = bit_cast::<7, 4>(self.op_fetch.val()) << 3;
            self.command[0].next = bit_cast::<32, 4>(self.op_fetch.val());
            self.command[2].next = 0.into();
            self.command[3].next = 0.into();
            self.command[4].next = bit_cast::<32, 16>(self.bursts.val()) << 4;
            self.command[5].next = 0.into();
            self.command[6].next = 0.into();
        }
        if self.state.q.val() == State::Discard {
            self.place.next = bit_cast::<7, 4>(self.op_discard.val()) << 3;
            self.command[0].next = bit_cast::<32, 4>(self.op_discard.val());
            self.command[2].next = bit_cast::<32, 16>(self.loop_words.q.val());
        }
        self.target.next = (self.queues.val() >> self.place.val()).get_bits::<7>(0);
        self.issued.next = (self.units.val() >> self.place.val()).get_bits::<6>(0);
        self.go.next = (self.state.q.val() == State::Dispatch)
            | (self.state.q.val() == State::Discard)
            | ((self.state.q.val() == State::Load) & !self.program_sent.q.val());
        for q in 0..7 {
            self.go.next = self.go.val() & (self.room[q].val() | !self.target.val().get_bit(q));
        }
        for q in 0..7 {
            self.push[q].next = self.go.val() & self.target.val().get_bit(q);
        }
        self.scoreboard.go.next = self.go.val();
        self.scoreboard.issued.next = self.issued.val();

        self.at_end.d.next = self.index.q.val() == self.command_count.val();
        self.all_scanned.d.next = self.scanned.q.val() == self.command_count.val();
        self.scan_valid.d.next = 0.into();
        self.expert_over.next = false;
        match self.state.q.val() {
            State::Idle => {
                self.program_sent.d.next = false;
                self.in_loop.d.next = false;
                self.index.d.next = 0.into();
                self.scanned.d.next = 0.into();
                self.done_sent.d.next = false;
                if self.start.val() {
                    self.fault.d.next = 0.into();
                    self.fault_command.d.next = 0.into();
                    self.load_pulse.d.next = true;
                    self.state.d.next = State::Load;
                }
            }
            State::Load => {
                if self.go.val() {
                    self.program_sent.d.next = true;
                }
                if self.program_loaded.val() {
                    self.state.d.next = State::Scan;
                }
            }
            State::Scan => {
                if self.index.q.val() != self.command_count.val() {
                    self.scan_valid.d.next = 1.into();
                    self.index.d.next = self.index.q.val() + 1;
                }
                if self.scan_valid.q.val() == 1 {
                    self.scanned.d.next = self.scanned.q.val() + 1;
                    if !self.check.legal.val() {
                        self.fault.d.next = 1.into();
                        self.fault_command.d.next = self.scanned.q.val();
                        self.state.d.next = State::Abort;
                    }
                } else if self.all_scanned.q.val() {
                    self.index.d.next = 0.into();
                    self.pause.d.next = 0.into();
                    self.state.d.next = State::Read;
                }
            }
            State::Read => {
                self.pause.d.next = self.pause.q.val() + 1;
                if self.pause.q.val() == 3 {
                    self.state.d.next = State::Decide;
                }
            }
            State::Decide => {
                if self.at_end.q.val() | (self.in_loop.q.val() & (self.opcode.val() != self.op_mat_mul.val()))
                {
                    // The program has no End, or something else than MatMul in a loop.
                    self.fault.d.next = 1.into();
                    self.fault_command.d.next = self.index.q.val();
                    self.state.d.next = State::Abort;
                } else if !self.mine.val() {
                    self.pause.d.next = 0.into();
                    self.index.d.next = self.index.q.val() + 1;
                    self.state.d.next = State::Read;
                } else if self.scoreboard.wait_over.val()
                    & (!self.overlapped.q.val() | (self.opcode.val() == self.op_fetch.val()))
                {
                    if self.opcode.val() == self.op_end.val() {
                        self.state.d.next = State::Drain;
                    } else if self.opcode.val() == self.op_expert_loop.val() {
                        self.loop_base.d.next = self.index.q.val() + 1;
                        self.loop_body.d.next = self.memory.command[2].val().get_bits::<3>(8);
                        self.loop_words.d.next = self.memory.command[3].val().get_bits::<16>(0);
                        self.loop_left.d.next = self.memory.command[2].val().get_bits::<6>(0);
                        self.loop_over.d.next = self.memory.command[2].val().get_bits::<6>(0) == 0;
                        self.loop_mask.d.next = self.nonempty.val();
                        self.loop_expert.d.next = 0.into();
                        self.state.d.next = State::NextExpert;
                    } else {
                        self.state.d.next = State::Dispatch;
                    }
                }
            }
            State::Dispatch => {
                if self.go.val() {
                    self.pause.d.next = 0.into();
                    self.index.d.next = self.index.q.val() + 1;
                    self.loop_position.d.next = self.loop_position.q.val() + 1;
                    self.state.d.next = State::Read;
                    if self.in_loop.q.val() & (self.loop_position.q.val() + 1 == self.loop_body.q.val()) {
                        self.expert_over.next = true;
                    }
                }
            }
            State::NextExpert => {
                self.pause.d.next = 0.into();
                self.loop_position.d.next = 0.into();
                self.index.d.next = self.loop_base.q.val();
                if self.loop_over.q.val() {
                    self.in_loop.d.next = false;
                    self.index.d.next = self.loop_base.q.val() + bit_cast::<16, 3>(self.loop_body.q.val());
                    self.state.d.next = State::Read;
                } else if self.ticket_valid.val() {
                    self.ticket_ready.next = true;
                    if self.loop_mask.q.val().get_bit(0) {
                        self.in_loop.d.next = true;
                        self.state.d.next = State::Read;
                    } else if self.ticket_fetched.val() {
                        self.state.d.next = State::Discard;
                    } else {
                        self.expert_over.next = true;
                    }
                }
            }
            State::Discard => {
                if self.go.val() {
                    self.expert_over.next = true;
                }
            }
            State::Drain => {
                if self.waiting.val() & self.scoreboard.fetch_quiet.val() {
                    self.take_pulse.d.next = true;
                    self.overlapped.d.next = true;
                    self.index.d.next = 0.into();
                    self.pause.d.next = 0.into();
                    self.state.d.next = State::Read;
                } else if self.scoreboard.quiet.val() {
                    self.done_pulse.d.next = true;
                    self.state.d.next = State::Idle;
                }
            }
            State::Abort => {
                self.overlapped.d.next = false;
                self.pause.d.next = 0.into();
                if !self.abort_count.q.val().get_bit(12) {
                    self.abort_count.d.next = self.abort_count.q.val() + 1;
                }
                if self.abort_count.q.val().get_bit(12) & !self.done_sent.q.val() {
                    self.done_sent.d.next = true;
                    self.done_pulse.d.next = true;
                }
                // The first cycles let a burst that was being issued show up as owed.
                if self.bus_quiet.val() & (self.abort_count.q.val() >= 16) {
                    self.clearing.d.next = true;
                    self.state.d.next = State::Clear;
                }
            }
            State::Clear => {
                self.pause.d.next = self.pause.q.val() + 1;
                if self.pause.q.val() == 15 {
                    self.clearing.d.next = false;
                    self.aborting.d.next = false;
                    self.done_pulse.d.next = !self.done_sent.q.val();
                    self.state.d.next = State::Idle;
                }
            }
            _ => {
                self.state.d.next = State::Idle;
            }
        }
        if self.expert_over.val() {
            self.loop_left.d.next = self.loop_left.q.val() - 1;
            self.loop_over.d.next = self.loop_left.q.val() == 1;
            self.loop_mask.d.next = self.loop_mask.q.val() >> 1;
            self.loop_expert.d.next = self.loop_expert.q.val() + 1;
            self.state.d.next = State::NextExpert;
        }
        self.running.next = (self.state.q.val() != State::Idle)
            & (self.state.q.val() != State::Abort)
            & (self.state.q.val() != State::Clear);
        if self.running.val() & (self.read_error.val() | self.write_error.val() | self.watchdog.val()) {
            self.fault_command.d.next = self.index.q.val();
            self.done_pulse.d.next = false;
            self.state.d.next = State::Abort;
            self.fault.d.next = 4.into();
            if self.read_error.val() {
                self.fault.d.next = 2.into();
            } else if self.write_error.val() {
                self.fault.d.next = 3.into();
            }
        }
        if self.running.val() & self.drop_frame.val() {
            self.done_sent.d.next = true;
            self.state.d.next = State::Abort;
        }
        if self.state.q.val() == State::Abort {
            self.aborting.d.next = true;
        } else {
            self.abort_count.d.next = 0.into();
        }
        if self.reset.val() {
            self.state.d.next = State::Idle;
            self.load_pulse.d.next = false;
            self.done_pulse.d.next = false;
            self.take_pulse.d.next = false;
            self.overlapped.d.next = false;
            self.aborting.d.next = false;
            self.clearing.d.next = false;
            self.fault.d.next = 0.into();
        }
    }
}
