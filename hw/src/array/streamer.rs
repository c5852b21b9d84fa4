//! Issues the token pairs of every pass: loops, addresses, gather, and the credits that a pass needs to start.
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
//! * Steps are back to back across passes and commands: the next command waits decoded in `pending_*`.
//! * Latency: a step decided in cycle `s` has its addresses out in `s + 5` and its tokens at the array in
//!   `s +` [`STEP_CYCLES`](super::timing::STEP_CYCLES). The queue is asked in `s` itself.
//! * An odd number of rows gives the last pair a second row that nobody writes back.
//!
//! ```text
//! command --> [pending] --> [active: loops n, p, k, step] --> [issue] --> step_* (StepDelay)
//!                                |                               |
//!                           lookup_* --> tokens --> row? --> RowAddress --> read_address_0, 1
//! ```

use super::row_address::RowAddress;
use super::{lanes, registers};
use crate::control::command::COMMAND_WORDS;
use rust_hdl::prelude::*;

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
    matmul: Signal<Local, Bit>,
    tokens: Signal<Local, Bits<11>>,
    pending: DFF<Bit>,
    pending_source: DFF<Bits<16>>,
    pending_low_source: DFF<Bits<16>>,
    pending_stride: DFF<Bits<8>>,
    pending_k_last: DFF<Bits<8>>,
    pending_n_last: DFF<Bits<10>>,
    pending_plane_last: DFF<Bits<2>>,
    pending_pairs: DFF<Bits<10>>,
    pending_gather: DFF<Bit>,
    pending_sync: DFF<Bit>,
    pending_tag: DFF<Bits<8>>,
    pending_expert: DFF<Bits<5>>,
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
    /// First word of row 0 of this pass.
    word: DFF<Bits<16>>,
    bank: DFF<Bit>,
    /// Groups started and not drained.
    filling: DFF<Bits<2>>,
    first_pass: Signal<Local, Bit>,
    last_pass: Signal<Local, Bit>,
    waits: Signal<Local, Bit>,
    bank_free: Signal<Local, Bit>,
    synced: Signal<Local, Bit>,
    go: Signal<Local, Bit>,
    pass_ends: Signal<Local, Bit>,
    group_starts: Signal<Local, Bit>,
    take: Signal<Local, Bit>,
    row_0: Signal<Local, Bits<11>>,
    row_1: Signal<Local, Bits<11>>,
    issue_swap: DFF<Bit>,
    issue_valid: DFF<Bit>,
    issue_pair: DFF<Bits<10>>,
    issue_bank: DFF<Bit>,
    issue_first: DFF<Bit>,
    issue_shift: DFF<Bits<2>>,
    issue_last: DFF<Bit>,
    /// What the row address needs, while the queue is asked.
    row_pair: DFF<Bits<11>>,
    row_gather: Vec<DFF<Bit>>,
    row_stride: Vec<DFF<Bits<8>>>,
    row_word: Vec<DFF<Bits<16>>>,
    bank_stalled: DFF<Bit>,
    sync_stalled: DFF<Bit>,
    address_0: RowAddress,
    address_1: RowAddress,
}

impl Streamer {
    pub fn new() -> Self {
        Self {
            command: lanes(COMMAND_WORDS),
            row_gather: registers(2),
            row_stride: registers(2),
            row_word: registers(2),
            ..Self::default()
        }
    }
}

impl Logic for Streamer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            pending,
            pending_source,
            pending_low_source,
            pending_stride,
            pending_k_last,
            pending_n_last,
            pending_plane_last,
            pending_pairs,
            pending_gather,
            pending_sync,
            pending_tag,
            pending_expert,
            active,
            source,
            low_source,
            stride,
            k_last,
            n_last,
            plane_last,
            pairs,
            last_step,
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
            filling,
            issue_swap,
            issue_valid,
            issue_pair,
            issue_bank,
            issue_first,
            issue_shift,
            issue_last,
            row_pair,
            bank_stalled,
            sync_stalled
        );
        clock!(self, clock, address_0, address_1);

        // Decode a command into the pending registers.
        self.ready.next = !self.pending.q.val();
        self.matmul.next = self.accept.val() & ((self.command[0].val() & 15) == 3);
        self.tokens.next = self.queue_length.val();
        if self.matmul.val() {
            if !self.in_loop.val() {
                self.tokens.next = self.command[3].val().get_bits::<11>(10);
            }
            self.pending.d.next = true;
            self.pending_source.d.next = bit_cast::<16, 32>(self.command[2].val());
            self.pending_low_source.d.next = bit_cast::<16, 32>(self.command[2].val())
                + bit_cast::<16, 8>(self.command[2].val().get_bits::<8>(24));
            self.pending_stride.d.next = self.command[2].val().get_bits::<8>(16);
            self.pending_k_last.d.next = self.command[2].val().get_bits::<8>(24) - 1;
            self.pending_n_last.d.next = bit_cast::<10, 32>(self.command[3].val()) - 1;
            self.pending_plane_last.d.next = 0.into();
            if self.command[3].val().get_bits::<2>(21) == 1 {
                self.pending_plane_last.d.next = 1.into();
            }
            if self.command[3].val().get_bits::<2>(21) == 2 {
                self.pending_plane_last.d.next = 3.into();
            }
            self.pending_pairs.d.next = (bit_cast::<12, 11>(self.tokens.val()) + 1).get_bits::<10>(1);
            self.pending_gather.d.next = self.command[3].val().get_bits::<2>(23) == 1;
            self.pending_sync.d.next = self.command[3].val().get_bit(27);
            self.pending_tag.d.next = self.tag.val();
            self.pending_expert.d.next = self.expert.val();
        }

        // Whether a step is issued in this cycle.
        self.first_pass.next = (self.k.q.val() == 0) & (self.plane.q.val() == 0);
        self.last_pass.next =
            (self.k.q.val() == self.k_last.q.val()) & (self.plane.q.val() == self.plane_last.q.val());
        self.waits.next = self.active.q.val() & (self.step.q.val() == 0);
        self.bank_free.next = !self.first_pass.val() | !self.filling.q.val().get_bit(1);
        self.synced.next = !self.sync.q.val() | (self.drained.val() == self.command_tag.q.val());
        self.go.next = self.active.q.val()
            & (!self.waits.val() | (self.tile_ready.val() & self.bank_free.val() & self.synced.val()));
        self.pass_ends.next = self.go.val() & (self.step.q.val() == self.last_step.q.val());
        self.group_starts.next = self.go.val() & self.waits.val() & self.first_pass.val();
        self.bank_stalled.d.next = self.waits.val() & !self.bank_free.val();
        self.sync_stalled.d.next = self.waits.val() & self.bank_free.val() & !self.synced.val();
        if self.group_starts.val() & !self.group_drained.val() {
            self.filling.d.next = self.filling.q.val() + 1;
        }
        if !self.group_starts.val() & self.group_drained.val() {
            self.filling.d.next = self.filling.q.val() - 1;
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
        self.take.next = self.pending.q.val() & !self.active.q.val();
        if self.go.val() {
            self.sync.d.next = false;
            self.step.d.next = self.step.q.val() + 1;
        }
        if self.pass_ends.val() {
            self.step.d.next = 0.into();
            self.k.d.next = self.k.q.val() + 1;
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
                    self.take.next = self.pending.q.val();
                }
            }
        }
        if self.take.val() {
            self.pending.d.next = false;
            self.active.d.next = true;
            self.source.d.next = self.pending_source.q.val();
            self.low_source.d.next = self.pending_low_source.q.val();
            self.word.d.next = self.pending_source.q.val();
            self.stride.d.next = self.pending_stride.q.val();
            self.k_last.d.next = self.pending_k_last.q.val();
            self.n_last.d.next = self.pending_n_last.q.val();
            self.plane_last.d.next = self.pending_plane_last.q.val();
            self.pairs.d.next = self.pending_pairs.q.val();
            self.last_step.d.next = 7.into();
            if self.pending_pairs.q.val() > 8 {
                self.last_step.d.next = self.pending_pairs.q.val() - 1;
            }
            self.gather.d.next = self.pending_gather.q.val();
            self.sync.d.next = self.pending_sync.q.val();
            self.command_tag.d.next = self.pending_tag.q.val();
            self.command_expert.d.next = self.pending_expert.q.val();
            self.n.d.next = 0.into();
        }

        // Addresses of both rows, while the queue looks the tokens up.
        self.lookup_expert.next = self.command_expert.q.val();
        self.lookup_pair.next = self.step.q.val();
        for i in 0..2 {
            self.row_gather[i].clock.next = self.clock.val();
            self.row_stride[i].clock.next = self.clock.val();
            self.row_word[i].clock.next = self.clock.val();
        }
        self.row_gather[0].d.next = self.gather.q.val();
        self.row_stride[0].d.next = self.stride.q.val();
        self.row_word[0].d.next = self.word.q.val();
        self.row_gather[1].d.next = self.row_gather[0].q.val();
        self.row_stride[1].d.next = self.row_stride[0].q.val();
        self.row_word[1].d.next = self.row_word[0].q.val();
        self.row_pair.d.next =
            bit_cast::<11, 10>(self.issue_pair.q.val()) + bit_cast::<11, 10>(self.issue_pair.q.val());
        self.row_0.next = self.row_pair.q.val();
        self.row_1.next = self.row_pair.q.val() + 1;
        if self.row_gather[1].q.val() {
            self.row_0.next = self.lookup_token_0.val();
            self.row_1.next = self.lookup_token_1.val();
        }
        self.address_0.row.next = self.row_0.val();
        self.address_1.row.next = self.row_1.val();
        self.address_0.stride.next = self.row_stride[1].q.val();
        self.address_1.stride.next = self.row_stride[1].q.val();
        self.address_0.word.next = self.row_word[1].q.val();
        self.address_1.word.next = self.row_word[1].q.val();
        self.read_address_0.next = self.address_0.address.val();
        self.read_address_1.next = self.address_1.address.val();

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
            self.pending.d.next = false;
            self.active.d.next = false;
            self.step.d.next = 0.into();
            self.k.d.next = 0.into();
            self.plane.d.next = 0.into();
            self.bank.d.next = false;
            self.filling.d.next = 0.into();
            self.issue_swap.d.next = false;
            self.issue_valid.d.next = false;
            self.issue_last.d.next = false;
            self.bank_stalled.d.next = false;
            self.sync_stalled.d.next = false;
        }
    }
}
