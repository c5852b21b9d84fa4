//! Issues the token pairs of every pass: loops, addresses, and the credits that a pass needs to start.
//!
//! For each tile of columns `n`, plane `p` and tile of channels `k` it streams one *pass*: all pairs of rows, at least
//! [`PASS_CYCLES_MIN`](super::timing::PASS_CYCLES_MIN) cycles (idle steps behind the last pair). Row `r` is read from
//!
//! ```text
//! address = src_base + k (+ k_tiles in the low activation plane) + row * src_stride     row = r, or the queue's token (routing 1)
//! ```
//!
//! * A pass waits for its tile (`tile_ready`); the first one of a group of sums also for a free accumulator bank, the first one of a
//!   command with `sync` until every earlier command has drained. Once started it never stalls.
//! * With `sync_by_tile`, pass `k` of the first tile of columns waits instead until at most `(k_tiles - 1 - k) * R / C` groups of
//!   earlier commands are on their way (started and not stored): those fill the activation words of later tiles.
//! * Steps are back to back across passes and commands: the next command waits decoded in [`PassCommand`].
//! * Latency: a step decided in cycle `s` asks the queue in `s`, has its addresses out in `s + 5` and its tokens at the array in
//!   `s +` [`STEP_CYCLES`](super::timing::STEP_CYCLES).
//! * An odd number of rows gives the last pair a second row that nobody writes back. `k_tiles` and `n_tiles` are at least 1.
//!
//! ```text
//! command --> PassCommand --> [loops n, p, k, step] --+--> [issue] --> step_* (StepDelay)
//!                                                     +--> RowReader --> read_address_0, 1
//! ```

use super::pass_command::PassCommand;
use super::row_reader::RowReader;
use crate::activity::Array;
use crate::control::command::COMMAND_WORDS;
use crate::prelude::*;

/// The streamer; see the module.
#[derive(LogicBlock, Default)]
pub struct Streamer {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// The command is taken in this cycle; only offered while `ready`.
    pub accept: Signal<In, Bit>,
    pub ready: Signal<Out, Bit>,
    pub command: Vec<Signal<In, Bits<32>>>,
    pub expert: Signal<In, Bits<5>>,
    pub queue_length: Signal<In, Bits<11>>,
    pub in_loop: Signal<In, Bit>,
    /// Commands accepted before this one.
    pub tag: Signal<In, Bits<8>>,
    /// Commands drained.
    pub drained: Signal<In, Bits<8>>,
    pub tile_ready: Signal<In, Bit>,
    pub group_drained: Signal<In, Bit>,
    /// The results of a group are readable.
    pub group_stored: Signal<In, Bit>,
    pub lookup_expert: Signal<Out, Bits<5>>,
    pub lookup_pair: Signal<Out, Bits<10>>,
    pub lookup_token_0: Signal<In, Bits<11>>,
    pub lookup_token_1: Signal<In, Bits<11>>,
    pub read_address_0: Signal<Out, Bits<16>>,
    pub read_address_1: Signal<Out, Bits<16>>,
    /// First step of a pass.
    pub step_swap: Signal<Out, Bit>,
    pub step_valid: Signal<Out, Bit>,
    pub step_pair: Signal<Out, Bits<10>>,
    pub step_bank: Signal<Out, Bit>,
    /// First pass of a group: the accumulators start at zero.
    pub step_first: Signal<Out, Bit>,
    pub step_shift: Signal<Out, Bits<2>>,
    /// Last step of the last pass of a group.
    pub step_last: Signal<Out, Bit>,
    pub stall_bank: Signal<Out, Bit>,
    pub stall_sync: Signal<Out, Bit>,
    queued: PassCommand,
    active: DFF<Bit>,
    source: DFF<Bits<16>>,
    low_source: DFF<Bits<16>>,
    stride: DFF<Bits<8>>,
    k_last: DFF<Bits<8>>,
    n_last: DFF<Bits<10>>,
    plane_last: DFF<Bits<2>>,
    pairs: DFF<Bits<10>>,
    last_step: DFF<Bits<10>>,
    gather: DFF<Bit>,
    /// The command still has to wait for the earlier ones.
    sync: DFF<Bit>,
    command_tag: DFF<Bits<8>>,
    command_expert: DFF<Bits<5>>,
    step: DFF<Bits<10>>,
    k: DFF<Bits<8>>,
    plane: DFF<Bits<2>>,
    n: DFF<Bits<10>>,
    /// Word of row 0 in this pass.
    word: DFF<Bits<16>>,
    bank: DFF<Bit>,
    /// Groups started and not drained.
    filling: DFF<Bits<2>>,
    /// Groups started and not stored: two in the accumulators, the others in the drain unit.
    on_their_way: DFF<Bits<4>>,
    by_tile: DFF<Bit>,
    /// `step` is not 0.
    inside: DFF<Bit>,
    /// Groups that may be on their way when the pass starts, its own one included.
    allowance: DFF<Bits<12>>,
    /// `allowance` as far as it can matter: at most 15.
    limit: DFF<Bits<4>>,
    /// Both of the pass behind this one, found while this one runs: a pass takes more cycles than they need.
    next_allowance: DFF<Bits<12>>,
    next_limit: DFF<Bits<4>>,
    /// R / C.
    word_groups: Constant<Bits<12>>,
    first_pass: Signal<Local, Bit>,
    last_pass: Signal<Local, Bit>,
    waits: Signal<Local, Bit>,
    bank_free: Signal<Local, Bit>,
    synced: Signal<Local, Bit>,
    go: Signal<Local, Bit>,
    pass_ends: Signal<Local, Bit>,
    group_starts: Signal<Local, Bit>,
    take: Signal<Local, Bit>,
    issue_swap: DFF<Bit>,
    issue_valid: DFF<Bit>,
    issue_pair: DFF<Bits<10>>,
    issue_bank: DFF<Bit>,
    issue_first: DFF<Bit>,
    issue_shift: DFF<Bits<2>>,
    issue_last: DFF<Bit>,
    bank_stalled: DFF<Bit>,
    sync_stalled: DFF<Bit>,
    rows: RowReader,
}

impl Streamer {
    /// The streamer for R / C groups in an activation word.
    pub fn new(groups: usize) -> Self {
        Self {
            command: many(COMMAND_WORDS),
            word_groups: Constant::new((groups as u64).into()),
            queued: PassCommand::new(groups),
            rows: RowReader::new(),
            ..Self::default()
        }
    }

    /// What happens in this cycle, for a timeline.
    pub(crate) fn activity(&self, starved: bool) -> Array {
        match (self.active.q.val(), self.go.val()) {
            (false, _) => Array::NoCommand,
            (_, true) if self.step.q.val() < self.pairs.q.val() => Array::Streams,
            (_, true) => Array::Pads,
            _ if !self.bank_free.val() => Array::NoBank,
            _ if !self.synced.val() => Array::Syncs,
            _ if starved => Array::Starved,
            _ => Array::LoadsTile,
        }
    }

    /// Number of the command that is streamed.
    pub(crate) fn streamed_command(&self) -> Bits<8> {
        self.command_tag.q.val()
    }
}

impl Logic for Streamer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, active, source, low_source, stride, k_last, n_last, plane_last, pairs, last_step
        );
        dff_setup!(
            self,
            clock,
            gather,
            sync,
            command_tag,
            command_expert,
            step,
            k,
            plane,
            n,
            word,
            bank,
            filling
        );
        dff_setup!(
            self,
            clock,
            issue_swap,
            issue_valid,
            issue_pair,
            issue_bank,
            issue_first,
            issue_shift
        );
        dff_setup!(
            self,
            clock,
            issue_last,
            bank_stalled,
            sync_stalled,
            on_their_way,
            by_tile,
            allowance,
            limit,
            next_allowance,
            next_limit,
            inside
        );
        clock!(self, clock, queued, rows);
        self.queued.reset.next = self.reset.val();
        self.queued.accept.next = self.accept.val();
        for i in 0..8 {
            self.queued.command[i].next = self.command[i].val();
        }
        self.queued.command_expert.next = self.expert.val();
        self.queued.queue_length.next = self.queue_length.val();
        self.queued.in_loop.next = self.in_loop.val();
        self.queued.command_tag.next = self.tag.val();
        self.ready.next = !self.queued.full.val();

        // Whether a step is issued in this cycle.
        self.first_pass.next = (self.k.q.val() == 0) & (self.plane.q.val() == 0);
        self.last_pass.next =
            (self.k.q.val() == self.k_last.q.val()) & (self.plane.q.val() == self.plane_last.q.val());
        self.waits.next = self.active.q.val() & !self.inside.q.val();
        self.bank_free.next = !self.first_pass.val() | !self.filling.q.val().get_bit(1);
        self.synced.next = !self.sync.q.val()
            | (!self.by_tile.q.val() & (self.drained.val() == self.command_tag.q.val()))
            | (self.by_tile.q.val() & (self.on_their_way.q.val() <= self.limit.q.val()));
        self.go.next = self.active.q.val()
            & (!self.waits.val() | (self.tile_ready.val() & self.bank_free.val() & self.synced.val()));
        self.pass_ends.next = self.go.val() & (self.step.q.val() == self.last_step.q.val());
        self.bank_stalled.d.next = self.waits.val() & !self.bank_free.val();
        self.sync_stalled.d.next = self.waits.val() & self.bank_free.val() & !self.synced.val();
        self.group_starts.next = self.go.val() & self.waits.val() & self.first_pass.val();
        if self.group_starts.val() & !self.group_drained.val() {
            self.filling.d.next = self.filling.q.val() + 1;
        }
        if !self.group_starts.val() & self.group_drained.val() {
            self.filling.d.next = self.filling.q.val() - 1;
        }

        if self.group_starts.val() & !self.group_stored.val() {
            self.on_their_way.d.next = self.on_their_way.q.val() + 1;
        }
        if !self.group_starts.val() & self.group_stored.val() {
            self.on_their_way.d.next = self.on_their_way.q.val() - 1;
        }

        // Issue it.
        self.issue_swap.d.next = self.go.val() & self.waits.val();
        self.issue_valid.d.next = self.go.val() & (self.step.q.val() < self.pairs.q.val());
        self.issue_pair.d.next = self.step.q.val();
        self.issue_bank.d.next = self.bank.q.val();
        self.issue_first.d.next = self.first_pass.val();
        self.issue_last.d.next = self.pass_ends.val() & self.last_pass.val();
        self.issue_shift.d.next = 0.into();
        if self.plane.q.val() != self.plane_last.q.val() {
            self.issue_shift.d.next = 1.into();
            if (self.plane_last.q.val() == 3) & (self.plane.q.val() == 0) {
                self.issue_shift.d.next = 2.into();
            }
        }

        // Advance the loops.
        self.next_allowance.d.next = self.allowance.q.val() - self.word_groups.val();
        if self.first_pass.val() {
            self.next_allowance.d.next = self.allowance.q.val() + 1 - self.word_groups.val();
        }
        self.next_limit.d.next = self.next_allowance.q.val().get_bits::<4>(0);
        if (self.next_allowance.q.val() >> 4).any() {
            self.next_limit.d.next = 15.into();
        }
        self.take.next = self.queued.full.val() & !self.active.q.val();
        if self.go.val() {
            if !self.by_tile.q.val() | (self.k.q.val() == self.k_last.q.val()) {
                self.sync.d.next = false;
            }
            self.step.d.next = self.step.q.val() + 1;
            self.inside.d.next = true;
        }
        if self.pass_ends.val() {
            self.step.d.next = 0.into();
            self.inside.d.next = false;
            self.k.d.next = self.k.q.val() + 1;
            self.allowance.d.next = self.next_allowance.q.val();
            self.limit.d.next = self.next_limit.q.val();
            self.word.d.next = self.word.q.val() + 1;
            if self.k.q.val() == self.k_last.q.val() {
                self.k.d.next = 0.into();
                self.plane.d.next = self.plane.q.val() + 1;
                self.word.d.next = self.source.q.val();
                if (self.plane_last.q.val() == 3) & ((self.plane.q.val() == 1) | (self.plane.q.val() == 2)) {
                    self.word.d.next = self.low_source.q.val();
                }
            }
            if self.last_pass.val() {
                self.plane.d.next = 0.into();
                self.n.d.next = self.n.q.val() + 1;
                self.bank.d.next = !self.bank.q.val();
                if self.n.q.val() == self.n_last.q.val() {
                    self.active.d.next = false;
                    self.take.next = self.queued.full.val();
                }
            }
        }
        self.queued.take.next = self.take.val();
        if self.take.val() {
            self.active.d.next = true;
            self.source.d.next = self.queued.source.val();
            self.low_source.d.next = self.queued.low_source.val();
            self.word.d.next = self.queued.source.val();
            self.stride.d.next = self.queued.stride.val();
            self.k_last.d.next = self.queued.k_last.val();
            self.n_last.d.next = self.queued.n_last.val();
            self.plane_last.d.next = self.queued.plane_last.val();
            self.pairs.d.next = self.queued.pairs.val();
            self.last_step.d.next = self.queued.last_step.val();
            self.gather.d.next = self.queued.gather.val();
            self.sync.d.next = self.queued.sync.val();
            self.by_tile.d.next = self.queued.by_tile.val();
            self.allowance.d.next = self.queued.allowance.val();
            self.limit.d.next = self.queued.allowance.val().get_bits::<4>(0);
            if (self.queued.allowance.val() >> 4).any() {
                self.limit.d.next = 15.into();
            }
            self.command_tag.d.next = self.queued.tag.val();
            self.command_expert.d.next = self.queued.expert.val();
            self.n.d.next = 0.into();
        }

        // Read it.
        self.lookup_expert.next = self.command_expert.q.val();
        self.lookup_pair.next = self.step.q.val();
        self.rows.pair.next = self.step.q.val();
        self.rows.gather.next = self.gather.q.val();
        self.rows.stride.next = self.stride.q.val();
        self.rows.word.next = self.word.q.val();
        self.rows.lookup_token_0.next = self.lookup_token_0.val();
        self.rows.lookup_token_1.next = self.lookup_token_1.val();
        self.read_address_0.next = self.rows.address_0.val();
        self.read_address_1.next = self.rows.address_1.val();

        self.step_swap.next = self.issue_swap.q.val();
        self.step_valid.next = self.issue_valid.q.val();
        self.step_pair.next = self.issue_pair.q.val();
        self.step_bank.next = self.issue_bank.q.val();
        self.step_first.next = self.issue_first.q.val();
        self.step_shift.next = self.issue_shift.q.val();
        self.step_last.next = self.issue_last.q.val();
        self.stall_bank.next = self.bank_stalled.q.val();
        self.stall_sync.next = self.sync_stalled.q.val();
        if self.reset.val() {
            self.active.d.next = false;
            self.step.d.next = 0.into();
            self.inside.d.next = false;
            self.k.d.next = 0.into();
            self.plane.d.next = 0.into();
            self.bank.d.next = false;
            self.filling.d.next = 0.into();
            self.on_their_way.d.next = 0.into();
            self.issue_swap.d.next = false;
            self.issue_valid.d.next = false;
            self.issue_last.d.next = false;
            self.bank_stalled.d.next = false;
            self.sync_stalled.d.next = false;
        }
    }
}
