//! Turns Fetch commands into bursts and deals them to the read ports.
//!
//! Address of the bytes of expert e: `base + 16 * (offset + task * task_stride + e * expert_stride)`; without `experts` there
//! is one pass with e = 0. With `experts`, e runs over the experts in increasing order. Until the layer's Route has finished
//! every expert is fetched, from then on only those that somebody chose. `ticket_valid` says for each expert in turn whether
//! its bytes are in the stream (`ticket_fetched`), so that the sequencer can discard what nobody wants.
//!
//! * Burst i of the stream goes to port i mod P. A word never spans two bursts.
//! * A burst is issued only when its words have room in the weight buffer (`space`, credits) and its port is ready.
//! * Rate: a burst every three cycles (one state each for the address, its carry, and the issue); P ports of 16-beat bursts
//!   need one every 16 / P. One cycle for each task stride and each expert passed over.
//! * Layers are told apart by counting: `routed` pulses once for every Fetch with `experts`, in the same order.
//! * `done` comes when the last word of the command is in the weight buffer. A command whose last expert is passed over is done
//!   once every burst has arrived.
//! * `hold` (error, stop, quiesce) lets nothing new out; the burst at hand waits.
//!
//! ```text
//! Idle -> Task (x task) -> Walk -> Low -> High -> Issue --+
//!   ^                       ^  |    ^----- burst left ----|
//!   |                       +--|------ expert done -------+
//!   +--- all experts walked ---+
//! ```

use crate::config::AccelConfig;
use crate::prelude::*;

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum IssueState {
    Idle,
    Task,
    Walk,
    Low,
    High,
    Issue,
    Empty,
}

/// The burst issuer; see the module.
#[derive(LogicBlock, Default)]
pub struct BurstIssuer {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub command_valid: Signal<In, Bit>,
    pub command_ready: Signal<Out, Bit>,
    pub command: Vec<Signal<In, Bits<32>>>,
    pub task_number: Signal<In, Bits<3>>,
    /// Bit e: expert e has a token, since the last `routed`.
    pub nonempty: Signal<In, Bits<32>>,
    /// Pulse: a Route has finished.
    pub routed: Signal<In, Bit>,
    /// Pulse: an expert was decided.
    pub ticket_valid: Signal<Out, Bit>,
    pub ticket_ready: Signal<In, Bit>,
    pub ticket_fetched: Signal<Out, Bit>,
    pub program_lo: Signal<In, Bits<32>>,
    pub program_hi: Signal<In, Bits<32>>,
    pub image_lo: Signal<In, Bits<32>>,
    pub image_hi: Signal<In, Bits<32>>,
    pub hold: Signal<In, Bit>,
    /// A word left the weight buffer.
    pub consumed: Signal<In, Bit>,
    /// The last word of a burst went into the weight buffer.
    pub collected: Signal<In, Bit>,
    /// It was the last one of a command.
    pub collected_final: Signal<In, Bit>,
    pub port_ready: Vec<Signal<In, Bit>>,
    pub burst_valid: Vec<Signal<Out, Bit>>,
    pub burst_lo: Signal<Out, Bits<32>>,
    pub burst_hi: Signal<Out, Bits<32>>,
    pub burst_beats: Signal<Out, Bits<5>>,
    pub burst_final: Signal<Out, Bit>,
    pub done: Signal<Out, Bit>,
    /// Waits for room in the weight buffer.
    pub stall_full: Signal<Out, Bit>,
    /// Pulse: an expert that nobody chose was passed over.
    pub skipped: Signal<Out, Bit>,
    state: DFF<IssueState>,
    base_lo: DFF<Bits<32>>,
    base_hi: DFF<Bits<32>>,
    beats: DFF<Bits<32>>,
    /// What `expert_base` advances by: the task's stride at first, then the expert's.
    stride: DFF<Bits<32>>,
    expert_stride: DFF<Bits<32>>,
    task_left: DFF<Bits<3>>,
    experts_left: DFF<Bits<6>>,
    per_expert: DFF<Bit>,
    expert: DFF<Bits<5>>,
    /// Layers whose experts are decided, less the layers that are routed.
    ahead: DFF<Bits<8>>,
    expert_base: DFF<Bits<32>>,
    position: DFF<Bits<32>>,
    left: DFF<Bits<32>>,
    address_lo: DFF<Bits<32>>,
    address_hi: DFF<Bits<32>>,
    /// Of `address_lo` into `address_hi`.
    carry: DFF<Bit>,
    turn: Vec<DFF<Bit>>,
    /// The expert before was fetched.
    fetched_last: DFF<Bit>,
    burst_words: DFF<Bits<17>>,
    /// At most one burst is left.
    is_short: DFF<Bit>,
    room: DFF<Bit>,
    burst_less_one: DFF<Bits<17>>,
    port_open: DFF<Bit>,
    space: DFF<Bits<17>>,
    pending: DFF<Bits<8>>,
    finished: DFF<Bit>,
    passed_over: DFF<Bit>,
    short: Signal<Local, Bit>,
    last_expert: Signal<Local, Bit>,
    next_expert: Signal<Local, Bit>,
    next_base: Signal<Local, Bit>,
    final_burst: Signal<Local, Bit>,
    port_free: Signal<Local, Bit>,
    has_room: Signal<Local, Bit>,
    issue: Signal<Local, Bit>,
    null_done: Signal<Local, Bit>,
    lost: Signal<Local, Bits<17>>,
    low_sum: Signal<Local, Bits<33>>,
    routing_known: Signal<Local, Bit>,
    wanted: Signal<Local, Bit>,
    decide: Signal<Local, Bit>,
    decided_layer: Signal<Local, Bit>,
    last_turn: Signal<Local, Bit>,
    one_behind: Constant<Bits<8>>,
    word_shift: Constant<Bits<3>>,
    buffer_words: Constant<Bits<17>>,
    _ports: usize,
}

impl BurstIssuer {
    /// The issuer of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let ports = config.read_ports;
        Self {
            command: many(8),
            port_ready: many(ports),
            burst_valid: many(ports),
            turn: many(ports),
            one_behind: Constant::new(u64::from(u8::MAX).into()),
            word_shift: Constant::new(u64::from(config.word_beats().trailing_zeros()).into()),
            buffer_words: Constant::new((config.weight_words as u64).into()),
            _ports: ports,
            ..Self::default()
        }
    }
}

impl Logic for BurstIssuer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            state,
            base_lo,
            base_hi,
            beats,
            stride,
            expert_stride,
            task_left,
            experts_left,
            per_expert,
            expert,
            ahead,
            expert_base,
            position,
            left,
            address_lo,
            address_hi,
            carry,
            fetched_last
        );
        dff_setup!(self, clock, burst_words, space, pending, finished, passed_over);
        dff_setup!(self, clock, is_short, room, port_open, burst_less_one);

        // The burst at hand: its beats, its words, whether it may go.
        self.short.next = self.is_short.q.val();
        self.burst_beats.next = 16.into();
        if self.short.val() {
            self.burst_beats.next = bit_cast::<5, 32>(self.left.q.val());
        }
        // Room and a free port, a cycle late: between bursts both can only come, not go.
        self.room.d.next = self.space.q.val() >= self.burst_words.q.val();
        self.has_room.next = self.room.q.val();
        self.port_free.next = false;
        for p in 0..self._ports {
            self.port_free.next = self.port_free.val() | (self.turn[p].q.val() & self.port_ready[p].val());
        }
        self.port_open.d.next = self.port_free.val();
        self.issue.next = (self.state.q.val() == IssueState::Issue)
            & self.port_open.q.val()
            & self.has_room.val()
            & !self.hold.val();
        self.stall_full.next = (self.state.q.val() == IssueState::Issue) & !self.has_room.val();
        self.last_expert.next = self.experts_left.q.val() == 1;
        self.final_burst.next = self.short.val() & self.last_expert.val();
        self.burst_final.next = self.final_burst.val();
        self.burst_lo.next = self.address_lo.q.val();
        self.burst_hi.next = self.address_hi.q.val();
        self.last_turn.next = false;
        for p in 0..self._ports {
            self.turn[p].clock.next = self.clock.val();
            self.turn[p].d.next = self.turn[p].q.val();
            self.burst_valid[p].next = self.issue.val() & self.turn[p].q.val();
            self.last_turn.next = self.turn[p].q.val();
        }

        // Steps.
        self.next_expert.next = false;
        self.next_base.next = false;
        self.null_done.next = false;
        self.passed_over.d.next = false;
        self.low_sum.next =
            bit_cast::<33, 32>(self.base_lo.q.val()) + bit_cast::<33, 32>(self.position.q.val() << 4);
        self.decide.next = false;
        self.decided_layer.next = false;
        self.routing_known.next = self.ahead.q.val() == self.one_behind.val();
        self.wanted.next = !self.per_expert.q.val()
            | !self.routing_known.val()
            | self.nonempty.val().get_bit(self.expert.q.val().index());
        self.command_ready.next = (self.state.q.val() == IssueState::Idle) & !self.hold.val();
        match self.state.q.val() {
            IssueState::Idle => {
                self.base_lo.d.next = self.program_lo.val();
                self.base_hi.d.next = self.program_hi.val();
                if self.command[2].val().get_bit(0) {
                    self.base_lo.d.next = self.image_lo.val();
                    self.base_hi.d.next = self.image_hi.val();
                }
                self.per_expert.d.next = self.command[2].val().get_bit(1);
                self.expert.d.next = 0.into();
                self.experts_left.d.next = 1.into();
                if self.command[2].val().get_bit(1) {
                    self.experts_left.d.next = self.command[2].val().get_bits::<6>(8);
                }
                self.expert_base.d.next = self.command[3].val();
                self.beats.d.next = self.command[4].val();
                self.stride.d.next = self.command[5].val();
                self.expert_stride.d.next = self.command[6].val();
                self.task_left.d.next = self.task_number.val();
                self.fetched_last.d.next = false;
                if self.command_valid.val() & !self.hold.val() {
                    self.state.d.next = IssueState::Task;
                }
            }
            IssueState::Task => {
                self.state.d.next = IssueState::Walk;
                if self.task_left.q.val().any() {
                    self.state.d.next = IssueState::Task;
                    self.task_left.d.next = self.task_left.q.val() - 1;
                    self.next_base.next = true;
                } else {
                    self.stride.d.next = self.expert_stride.q.val();
                }
            }
            IssueState::Walk => {
                self.position.d.next = self.expert_base.q.val();
                self.left.d.next = self.beats.q.val();
                self.is_short.d.next = self.beats.q.val() <= 16;
                if !self.experts_left.q.val().any() {
                    self.decided_layer.next = self.per_expert.q.val();
                    self.state.d.next = IssueState::Empty;
                    if self.fetched_last.q.val() {
                        self.state.d.next = IssueState::Idle;
                    }
                } else if self.ticket_ready.val() | !self.per_expert.q.val() {
                    self.decide.next = self.per_expert.q.val();
                    self.fetched_last.d.next = self.wanted.val();
                    self.state.d.next = IssueState::Low;
                    if !self.wanted.val() {
                        self.state.d.next = IssueState::Walk;
                        self.next_expert.next = true;
                        self.passed_over.d.next = true;
                    }
                }
            }
            IssueState::Low => {
                self.address_lo.d.next = self.low_sum.val().get_bits::<32>(0);
                self.carry.d.next = self.low_sum.val().get_bit(32);
                self.address_hi.d.next = self.base_hi.q.val() + (self.position.q.val() >> 28);
                self.burst_words.d.next = bit_cast::<17, 5>(self.burst_beats.val() >> self.word_shift.val());
                self.state.d.next = IssueState::High;
            }
            IssueState::High => {
                if self.carry.q.val() {
                    self.address_hi.d.next = self.address_hi.q.val() + 1;
                }
                self.state.d.next = IssueState::Issue;
            }
            IssueState::Issue => {
                if self.issue.val() {
                    self.position.d.next = self.position.q.val() + 16;
                    self.left.d.next = self.left.q.val() - 16;
                    self.is_short.d.next = self.left.q.val() <= 32;
                    self.state.d.next = IssueState::Low;
                    if self.short.val() {
                        self.next_expert.next = true;
                        self.state.d.next = IssueState::Walk;
                    }
                }
            }
            IssueState::Empty => {
                if !self.pending.q.val().any() {
                    self.null_done.next = true;
                    self.state.d.next = IssueState::Idle;
                }
            }
            _ => {
                self.state.d.next = IssueState::Idle;
            }
        }
        if self.next_expert.val() {
            self.expert.d.next = self.expert.q.val() + 1;
            self.experts_left.d.next = self.experts_left.q.val() - 1;
        }
        if self.next_expert.val() | self.next_base.val() {
            self.expert_base.d.next = self.expert_base.q.val() + self.stride.q.val();
        }
        if self.issue.val() {
            for p in 0..self._ports {
                self.turn[p].d.next = self.last_turn.val();
                self.last_turn.next = self.turn[p].q.val();
            }
        }

        // Credits and ends of commands.
        // What the space loses, in one subtraction: a burst's words, less the word that was consumed.
        self.burst_less_one.d.next = self.burst_words.q.val() - 1;
        self.lost.next = 0.into();
        if self.issue.val() & self.consumed.val() {
            self.lost.next = self.burst_less_one.q.val();
        } else if self.issue.val() {
            self.lost.next = self.burst_words.q.val();
        } else if self.consumed.val() {
            self.lost.next = 0x1_ffff.into();
        }
        self.space.d.next = self.space.q.val() - self.lost.val();
        if self.issue.val() & !self.collected.val() {
            self.pending.d.next = self.pending.q.val() + 1;
        } else if self.collected.val() & !self.issue.val() {
            self.pending.d.next = self.pending.q.val() - 1;
        }
        self.ticket_valid.next = self.decide.val();
        self.ticket_fetched.next = self.wanted.val();
        if self.decided_layer.val() & !self.routed.val() {
            self.ahead.d.next = self.ahead.q.val() + 1;
        } else if self.routed.val() & !self.decided_layer.val() {
            self.ahead.d.next = self.ahead.q.val() - 1;
        }
        self.finished.d.next = self.collected_final.val() | self.null_done.val();
        self.done.next = self.finished.q.val();
        self.skipped.next = self.passed_over.q.val();

        if self.reset.val() {
            self.state.d.next = IssueState::Idle;
            self.space.d.next = self.buffer_words.val();
            self.pending.d.next = 0.into();
            self.ahead.d.next = 0.into();
            self.finished.d.next = false;
            self.passed_over.d.next = false;
            self.last_turn.next = true;
            for p in 0..self._ports {
                self.turn[p].d.next = self.last_turn.val();
                self.last_turn.next = false;
            }
        }
    }
}
