//! Third stage of the router: gate scores of a token's chosen experts, and their entries for the queues.
//!
//! `summed` brings the sum and the ranks' weights and experts; the reciprocal takes 6 cycles, then the ranks follow one a cycle,
//! each with its entry 4 cycles later. `final_entry` marks the last rank of the last token. Tokens count from `first` after `start`. The
//! stage never waits: tokens come at least [`TOKEN_CYCLES`] cycles apart.
//!
//! ```text
//! sum --> reciprocal --6--> mantissa, exponent -----------+
//! weights, experts --> [held: 6] --> [shifted by rank] ---+--> gate score --4--> append_*
//! ```

use super::score::{self, GateScore};
use crate::attention::reciprocal::{self, Reciprocal};
use crate::config::MAX_TOP_K;
use crate::prelude::*;
use crate::primitives::delay::Delay;

/// Least cycles between two tokens: one is held while the reciprocal works on it, the one before is scored.
pub const TOKEN_CYCLES: usize = reciprocal::LATENCY_CYCLES + 1;
const _: () = assert!(MAX_TOP_K < TOKEN_CYCLES);
/// Cycles from `summed` to the last rank's entry, at most.
pub const LATENCY_CYCLES: usize = reciprocal::LATENCY_CYCLES + MAX_TOP_K + score::LATENCY_CYCLES;

/// The stage; see the module.
#[derive(LogicBlock, Default)]
pub struct Rate {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub start: Signal<In, Bit>,
    pub first: Signal<In, Bits<11>>,
    pub tokens: Signal<In, Bits<11>>,
    pub ranks: Signal<In, Bits<3>>,
    pub summed: Signal<In, Bit>,
    pub sum: Signal<In, Bits<24>>,
    pub rank_weight: Vec<Signal<In, Bits<16>>>,
    pub rank_expert: Vec<Signal<In, Bits<5>>>,
    pub append: Signal<Out, Bit>,
    pub append_expert: Signal<Out, Bits<5>>,
    pub append_token: Signal<Out, Bits<11>>,
    pub append_score: Signal<Out, Bits<16>>,
    pub final_entry: Signal<Out, Bit>,
    reciprocal: Reciprocal,
    held_weights: Vec<DFF<Bits<16>>>,
    held_indices: Vec<DFF<Bits<5>>>,
    weights: Vec<DFF<Bits<16>>>,
    indices: Vec<DFF<Bits<5>>>,
    left: DFF<Bits<3>>,
    scoring: Signal<Local, Bit>,
    closing: Signal<Local, Bit>,
    ending: Signal<Local, Bits<1>>,
    token: DFF<Bits<11>>,
    score: GateScore,
    final_line: Delay<1>,
    expert_line: Delay<5>,
    token_line: Delay<11>,
    _ranks: usize,
    _last_rank: usize,
}

impl Rate {
    /// The block, unconnected.
    pub fn new() -> Self {
        Self {
            rank_weight: many(MAX_TOP_K),
            rank_expert: many(MAX_TOP_K),
            reciprocal: Reciprocal::new(),
            held_weights: many(MAX_TOP_K),
            held_indices: many(MAX_TOP_K),
            weights: many(MAX_TOP_K),
            indices: many(MAX_TOP_K),
            score: GateScore::new(),
            final_line: Delay::new(score::LATENCY_CYCLES),
            expert_line: Delay::new(score::LATENCY_CYCLES),
            token_line: Delay::new(score::LATENCY_CYCLES),
            _ranks: MAX_TOP_K,
            _last_rank: MAX_TOP_K - 1,
            ..Self::default()
        }
    }
}

impl Logic for Rate {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, left, token);
        clock!(
            self,
            clock,
            reciprocal,
            score,
            final_line,
            expert_line,
            token_line
        );
        self.reciprocal.reset.next = self.reset.val();
        self.score.reset.next = self.reset.val();
        self.final_line.reset.next = self.reset.val();
        self.expert_line.reset.next = self.reset.val();
        self.token_line.reset.next = self.reset.val();
        self.reciprocal.valid.next = self.summed.val();
        self.reciprocal.x.next = self.sum.val();
        // Ranks, one a cycle: rank 0 of the held ones is the next.
        self.scoring.next = self.left.q.val().any();
        self.closing.next = self.left.q.val() == 1;
        if self.scoring.val() {
            self.left.d.next = self.left.q.val() - 1;
        }
        if self.reciprocal.done.val() {
            self.left.d.next = self.ranks.val();
        }
        for i in 0..self._ranks {
            self.weights[i].clock.next = self.clock.val();
            self.weights[i].d.next = self.weights[i].q.val();
            self.indices[i].clock.next = self.clock.val();
            self.indices[i].d.next = self.indices[i].q.val();
            self.held_weights[i].clock.next = self.clock.val();
            self.held_weights[i].d.next = self.held_weights[i].q.val();
            self.held_indices[i].clock.next = self.clock.val();
            self.held_indices[i].d.next = self.held_indices[i].q.val();
        }
        if self.scoring.val() {
            for i in 0..self._last_rank {
                self.weights[i].d.next = self.weights[i + 1].q.val();
                self.indices[i].d.next = self.indices[i + 1].q.val();
            }
        }
        if self.summed.val() {
            for i in 0..self._ranks {
                self.held_weights[i].d.next = self.rank_weight[i].val();
                self.held_indices[i].d.next = self.rank_expert[i].val();
            }
        }
        if self.reciprocal.done.val() {
            for i in 0..self._ranks {
                self.weights[i].d.next = self.held_weights[i].q.val();
                self.indices[i].d.next = self.held_indices[i].q.val();
            }
        }
        self.ending.next = 0.into();
        if self.closing.val() {
            self.token.d.next = self.token.q.val() + 1;
            if self.token.q.val() + 1 == self.tokens.val() {
                self.ending.next = 1.into();
            }
        }
        self.score.valid.next = self.scoring.val();
        self.score.weight.next = self.weights[0].q.val();
        self.score.mantissa.next = self.reciprocal.mantissa.val();
        self.score.exponent.next = self.reciprocal.exponent.val();
        self.final_line.d.next = self.ending.val();
        self.expert_line.d.next = self.indices[0].q.val();
        self.token_line.d.next = self.token.q.val();
        self.append.next = self.score.done.val();
        self.append_expert.next = self.expert_line.q.val();
        self.append_token.next = self.token_line.q.val();
        self.append_score.next = self.score.score.val();
        self.final_entry.next = self.final_line.q.val().any();
        if self.start.val() {
            self.token.d.next = self.first.val();
        }
        if self.reset.val() {
            self.left.d.next = 0.into();
        }
    }
}
