//! The router unit: chooses experts from the gate's logits and fills their queues (command `Route`).
//!
//! For every token: the `top_k` experts with the largest logits (ties to the lower expert), weights
//! `q_e = numerics::exp2::weight(maximum - logit_e)`, their sum `S` over all experts (over the chosen ones with `renormalise`), and for
//! each chosen one the score `min(65535, round(q_e / S))` in Q0.16 by `numerics::reciprocal`. Tokens go in order, so every queue is in
//! token order. Counts, entries and `nonempty` hold until the next command with `first` 0; one with another `first` adds to them.
//!
//! * Throughput: two experts a cycle, a token in `max(experts / 2 + 1, SLOT_CYCLES)` cycles. The slots are fixed, so no stage ever waits for another, whatever the
//!   choices are. Latency of a command: at most [`command_cycles`].
//! * `top_k` counts as at most 4 and at most `experts`, `experts` as at most the configuration's. No tokens, experts or ranks: empty
//!   queues and `done`.
//! * `done` pulses when the last entry is in its queue, `routed` beside it unless `more` Routes of the layer follow. One command at a time: `command_ready` is low until then.
//! * Lookups take [`super::queues::LOOKUP_CYCLES`] cycles. Logits are written at any time, a word a cycle.
//!
//! ```text
//! slot t:     choose   logits of token t, ranks
//! slot t + 1: weigh    weights, sum
//! slot t + 2: rate     reciprocal, scores --> expert queues --> lookups, count, nonempty
//! ```

use super::choose::Choose;
use super::queues::ExpertQueues;
use super::rate::Rate;
use super::weigh::Weigh;
use super::{logit_store, rate, top_k, weigh};
use crate::config::{AccelConfig, MAX_TOP_K};
use crate::control::command::COMMAND_WORDS;
use crate::prelude::*;

/// Least cycles of a token; what the third stage needs.
pub const SLOT_CYCLES: usize = rate::TOKEN_CYCLES;

/// Most cycles of a command, from its acceptance to `done`.
pub fn command_cycles(tokens: usize, experts: usize) -> usize {
    let pairs = experts.div_ceil(2);
    let choose = pairs + logit_store::READ_CYCLES + top_k::LATENCY_CYCLES;
    let weigh = pairs + weigh::OVERHEAD_CYCLES;
    let handshakes = 6;
    tokens * (pairs + 1).max(SLOT_CYCLES) + choose + weigh + rate::LATENCY_CYCLES + handshakes
}

/// The router unit; see the module.
#[derive(LogicBlock, Default)]
pub struct RouterUnit {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub command_valid: Signal<In, Bit>,
    pub command_ready: Signal<Out, Bit>,
    pub command: Vec<Signal<In, Bits<32>>>,
    pub done: Signal<Out, Bit>,
    pub routed: Signal<Out, Bit>,
    pub logit_write: Signal<In, Bit>,
    pub logit_token: Signal<In, Bits<11>>,
    pub logit_tile: Signal<In, Bits<4>>,
    pub logit_data: Vec<Signal<In, Bits<24>>>,
    pub nonempty: Signal<Out, Bits<32>>,
    pub feed_lookup_expert: Signal<In, Bits<5>>,
    pub feed_lookup_pair: Signal<In, Bits<10>>,
    pub feed_lookup_token_0: Signal<Out, Bits<11>>,
    pub feed_lookup_token_1: Signal<Out, Bits<11>>,
    pub drain_lookup_expert: Signal<In, Bits<5>>,
    pub drain_lookup_position: Signal<In, Bits<11>>,
    pub drain_lookup_token: Signal<Out, Bits<11>>,
    pub drain_lookup_score: Signal<Out, Bits<16>>,
    pub count_expert: Signal<In, Bits<5>>,
    pub count: Signal<Out, Bits<11>>,
    busy: DFF<Bit>,
    accepted: DFF<Bit>,
    clamped: DFF<Bit>,
    start: DFF<Bit>,
    settings: DFF<Bits<32>>,
    first: DFF<Bits<11>>,
    tokens: Signal<Local, Bits<11>>,
    wanted_experts: Signal<Local, Bits<6>>,
    wanted_ranks: Signal<Local, Bits<6>>,
    experts: DFF<Bits<6>>,
    ranks: DFF<Bits<3>>,
    more_experts: Signal<Local, Bits<6>>,
    pairs: DFF<Bits<6>>,
    full_pairs: DFF<Bits<6>>,
    slot_last: DFF<Bits<6>>,
    choose: Choose,
    weigh: Weigh,
    rate: Rate,
    queues: ExpertQueues,
    finished: DFF<Bit>,
    max_experts: Constant<Bits<6>>,
    max_ranks: Constant<Bits<6>>,
    slot_least: Constant<Bits<6>>,
    _columns: usize,
    _ranks: usize,
    _pair: usize,
}

impl RouterUnit {
    /// The unit of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        Self {
            command: many(COMMAND_WORDS),
            logit_data: many(config.columns),
            choose: Choose::new(config),
            weigh: Weigh::new(),
            rate: Rate::new(),
            queues: ExpertQueues::new(config),
            max_experts: Constant::new((config.max_experts as u64).into()),
            max_ranks: Constant::new((MAX_TOP_K as u64).into()),
            slot_least: Constant::new((SLOT_CYCLES as u64).into()),
            _columns: config.columns,
            _ranks: MAX_TOP_K,
            _pair: 2,
            ..Self::default()
        }
    }
}

impl Logic for RouterUnit {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, busy, accepted, clamped, start, settings, first, experts, ranks, pairs, full_pairs,
            slot_last, finished
        );
        clock!(self, clock, choose, weigh, rate, queues);
        self.choose.reset.next = self.reset.val();
        self.weigh.reset.next = self.reset.val();
        self.rate.reset.next = self.reset.val();
        // Command: accepted, experts clamped, ranks and slot clamped, start.
        self.command_ready.next = !self.busy.q.val();
        self.accepted.d.next = self.command_valid.val() & !self.busy.q.val();
        self.clamped.d.next = self.accepted.q.val();
        self.start.d.next = self.clamped.q.val();
        if !self.busy.q.val() {
            self.settings.d.next = self.command[2].val();
            self.first.d.next = self.command[3].val().get_bits::<11>(0);
        }
        if self.command_valid.val() {
            self.busy.d.next = true;
        }
        self.tokens.next = self.settings.q.val().get_bits::<11>(0);
        self.wanted_experts.next = self.settings.q.val().get_bits::<6>(11);
        self.experts.d.next = self.wanted_experts.val();
        if self.wanted_experts.val() > self.max_experts.val() {
            self.experts.d.next = self.max_experts.val();
        }
        self.wanted_ranks.next = bit_cast::<6, 3>(self.settings.q.val().get_bits::<3>(17));
        if self.wanted_ranks.val() > self.max_ranks.val() {
            self.wanted_ranks.next = self.max_ranks.val();
        }
        if self.wanted_ranks.val() > self.experts.q.val() {
            self.wanted_ranks.next = self.experts.q.val();
        }
        self.ranks.d.next = bit_cast::<3, 6>(self.wanted_ranks.val());
        self.more_experts.next = self.experts.q.val() + 1;
        self.pairs.d.next = bit_cast::<6, 5>(self.more_experts.val().get_bits::<5>(1));
        self.full_pairs.d.next = bit_cast::<6, 5>(self.experts.q.val().get_bits::<5>(1));
        self.slot_last.d.next = self.pairs.d.val();
        if self.pairs.d.val() < self.slot_least.val() {
            self.slot_last.d.next = self.slot_least.val() - 1;
        }
        // The three stages.
        self.choose.start.next = self.start.q.val() & self.tokens.val().any() & self.ranks.q.val().any();
        self.choose.first.next = self.first.q.val();
        self.choose.tokens.next = self.tokens.val();
        self.choose.pairs.next = self.pairs.q.val();
        self.choose.full_pairs.next = self.full_pairs.q.val();
        self.choose.slot_last.next = self.slot_last.q.val();
        self.choose.logit_write.next = self.logit_write.val();
        self.choose.logit_token.next = self.logit_token.val();
        self.choose.logit_tile.next = self.logit_tile.val();
        for c in 0..self._columns {
            self.choose.logit_data[c].next = self.logit_data[c].val();
        }
        self.choose.buffer_half.next = self.weigh.buffer_half.val();
        self.choose.buffer_pair.next = self.weigh.buffer_pair.val();
        self.weigh.start.next = self.start.q.val();
        self.weigh.pairs.next = self.pairs.q.val();
        self.weigh.full_pairs.next = self.full_pairs.q.val();
        self.weigh.ranks.next = self.ranks.q.val();
        self.weigh.renormalise.next = self.settings.q.val().get_bit(20);
        self.weigh.ranked.next = self.choose.ranked.val();
        self.weigh.maximum.next = self.choose.maximum.val();
        for i in 0..self._pair {
            self.weigh.buffer_logits[i].next = self.choose.buffer_logits[i].val();
        }
        self.rate.start.next = self.start.q.val();
        self.rate.first.next = self.first.q.val();
        self.rate.tokens.next = self.tokens.val();
        self.rate.ranks.next = self.ranks.q.val();
        self.rate.summed.next = self.weigh.summed.val();
        self.rate.sum.next = self.weigh.sum.val();
        for i in 0..self._ranks {
            self.weigh.chosen[i].next = self.choose.chosen[i].val();
            self.rate.rank_weight[i].next = self.weigh.rank_weight[i].val();
            self.rate.rank_expert[i].next = self.weigh.rank_expert[i].val();
        }
        // Queues.
        self.queues.clear.next = self.accepted.q.val() & !self.first.q.val().any();
        self.queues.append.next = self.rate.append.val();
        self.queues.append_expert.next = self.rate.append_expert.val();
        self.queues.append_token.next = self.rate.append_token.val();
        self.queues.append_score.next = self.rate.append_score.val();
        self.queues.pair_expert.next = self.feed_lookup_expert.val();
        self.queues.pair.next = self.feed_lookup_pair.val();
        self.feed_lookup_token_0.next = self.queues.pair_token_0.val();
        self.feed_lookup_token_1.next = self.queues.pair_token_1.val();
        self.queues.entry_expert.next = self.drain_lookup_expert.val();
        self.queues.entry_position.next = self.drain_lookup_position.val();
        self.drain_lookup_token.next = self.queues.entry_token.val();
        self.drain_lookup_score.next = self.queues.entry_score.val();
        self.queues.count_expert.next = self.count_expert.val();
        self.count.next = self.queues.count.val();
        self.nonempty.next = self.queues.nonempty.val();
        // The end: the last entry, or nothing to do.
        self.finished.d.next = self.rate.final_entry.val();
        if self.start.q.val() & !(self.tokens.val().any() & self.ranks.q.val().any()) {
            self.finished.d.next = true;
        }
        if self.finished.q.val() {
            self.busy.d.next = false;
        }
        self.done.next = self.finished.q.val();
        self.routed.next = self.finished.q.val() & !self.settings.q.val().get_bit(21);
        if self.reset.val() {
            self.busy.d.next = false;
            self.accepted.d.next = false;
            self.clamped.d.next = false;
            self.start.d.next = false;
            self.finished.d.next = false;
        }
    }
}
