//! Second stage of the router: weights of a token's experts, their sum, and the chosen ones' weights.
//!
//! After `ranked` the token's logits come from the buffer of the first stage, a pair a cycle. The sum runs over all experts, or over
//! the chosen ones with `renormalise`. `summed` pulses [`OVERHEAD_CYCLES`] + `pairs` cycles after `ranked`; `sum` and the ranks' weights
//! and experts are valid in that cycle. Ranks from `ranks` on are left as they were. The stage never waits: tokens come at least
//! `pairs + 1` cycles apart.
//!
//! ```text
//! ranked --> [step, half] --buffer: 2--> gate weights --6--> [+] --> [+ sum] --> summed, sum
//! maximum --[3]-------------------------------^        +----------> rank_weight, rank_expert
//! chosen  --[8]--> [matches]---------------------------^
//! ```

use super::gate_weight::{self, GateWeight};
use crate::config::MAX_TOP_K;
use crate::prelude::*;
use crate::primitives::delay::Delay;
use crate::primitives::ram;

/// Cycles from a pair's buffer read to its weights.
const WEIGHT_CYCLES: usize = ram::LATENCY_CYCLES + gate_weight::LATENCY_CYCLES;

/// Cycles from `ranked` to `summed` beside one for each pair.
pub const OVERHEAD_CYCLES: usize = WEIGHT_CYCLES + 2;

/// The stage; see the module.
#[derive(LogicBlock, Default)]
pub struct Weigh {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub start: Signal<In, Bit>,
    pub pairs: Signal<In, Bits<6>>,
    pub full_pairs: Signal<In, Bits<6>>,
    pub ranks: Signal<In, Bits<3>>,
    pub renormalise: Signal<In, Bit>,
    pub ranked: Signal<In, Bit>,
    pub maximum: Signal<In, Bits<24>>,
    pub chosen: Vec<Signal<In, Bits<5>>>,
    pub buffer_half: Signal<Out, Bit>,
    pub buffer_pair: Signal<Out, Bits<4>>,
    pub buffer_logits: Vec<Signal<In, Bits<24>>>,
    pub summed: Signal<Out, Bit>,
    pub sum: Signal<Out, Bits<24>>,
    pub rank_weight: Vec<Signal<Out, Bits<16>>>,
    pub rank_expert: Vec<Signal<Out, Bits<5>>>,
    weighing: DFF<Bit>,
    step: DFF<Bits<6>>,
    half: DFF<Bit>,
    valid_line: Delay<1>,
    flags: Signal<Local, Bits<4>>,
    flags_line: Delay<4>,
    sum_line: Delay<4>,
    pair_line: Delay<4>,
    maximum_line: Delay<24>,
    chosen_line: Vec<Delay<5>>,
    weight: Vec<GateWeight>,
    ranked_here: Vec<Signal<Local, Bit>>,
    matches: Vec<DFF<Bit>>,
    seconds: Vec<DFF<Bit>>,
    included: Vec<DFF<Bit>>,
    pair: DFF<Bits<4>>,
    pair_sum: DFF<Bits<24>>,
    base: Signal<Local, Bits<24>>,
    addend: Vec<Signal<Local, Bits<24>>>,
    total: DFF<Bits<24>>,
    complete: DFF<Bit>,
    weights: Vec<DFF<Bits<16>>>,
    indices: Vec<DFF<Bits<5>>>,
    rank: Vec<Constant<Bits<3>>>,
    _ranks: usize,
    _pair: usize,
}

impl Weigh {
    /// The block, unconnected.
    pub fn new() -> Self {
        Self {
            chosen: many(MAX_TOP_K),
            buffer_logits: many(2),
            rank_weight: many(MAX_TOP_K),
            rank_expert: many(MAX_TOP_K),
            valid_line: Delay::new(ram::LATENCY_CYCLES),
            flags_line: Delay::new(WEIGHT_CYCLES - 1),
            sum_line: Delay::new(WEIGHT_CYCLES + 1),
            pair_line: Delay::new(WEIGHT_CYCLES - 1),
            maximum_line: Delay::new(ram::LATENCY_CYCLES + 1),
            chosen_line: (0..MAX_TOP_K).map(|_| Delay::new(WEIGHT_CYCLES)).collect(),
            weight: (0..2).map(|_| GateWeight::new()).collect(),
            ranked_here: many(MAX_TOP_K),
            matches: many(MAX_TOP_K),
            seconds: many(MAX_TOP_K),
            included: many(2),
            addend: many(2),
            weights: many(MAX_TOP_K),
            indices: many(MAX_TOP_K),
            rank: (0..MAX_TOP_K as u64).map(|i| Constant::new(i.into())).collect(),
            _ranks: MAX_TOP_K,
            _pair: 2,
            ..Self::default()
        }
    }
}

impl Logic for Weigh {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, weighing, step, half, pair, pair_sum, total, complete);
        clock!(
            self,
            clock,
            valid_line,
            flags_line,
            sum_line,
            pair_line,
            maximum_line
        );
        self.valid_line.reset.next = self.reset.val();
        self.flags_line.reset.next = self.reset.val();
        self.sum_line.reset.next = self.reset.val();
        self.pair_line.reset.next = self.reset.val();
        self.maximum_line.reset.next = self.reset.val();
        // Reads of the buffer; the halves alternate from token to token, the first token has half 0.
        if self.weighing.q.val() {
            self.step.d.next = self.step.q.val() + 1;
            if self.step.q.val() + 1 == self.pairs.val() {
                self.weighing.d.next = false;
            }
        }
        if self.ranked.val() {
            self.weighing.d.next = true;
            self.step.d.next = 0.into();
            self.half.d.next = !self.half.q.val();
        }
        if self.start.val() {
            self.half.d.next = true;
        }
        self.buffer_half.next = self.half.q.val();
        self.buffer_pair.next = self.step.q.val().get_bits::<4>(0);
        // Weights.
        self.valid_line.d.next = 0.into();
        self.flags.next = 0.into();
        if self.weighing.q.val() {
            self.valid_line.d.next = 1.into();
            self.flags.next = self.flags.val() | 1;
        }
        if !self.step.q.val().any() {
            self.flags.next = self.flags.val() | 2;
        }
        if self.step.q.val() + 1 == self.pairs.val() {
            self.flags.next = self.flags.val() | 4;
        }
        if self.step.q.val() < self.full_pairs.val() {
            self.flags.next = self.flags.val() | 8;
        }
        self.flags_line.d.next = self.flags.val();
        self.sum_line.d.next = self.flags.val();
        self.pair_line.d.next = self.step.q.val().get_bits::<4>(0);
        self.maximum_line.d.next = self.maximum.val();
        // Who is chosen, a cycle before the weights. Flags: 0 valid, 1 first, 2 last, 3 both experts.
        self.pair.d.next = self.pair_line.q.val();
        self.included[0].d.next = !self.renormalise.val();
        self.included[1].d.next = !self.renormalise.val() & self.flags_line.q.val().get_bit(3);
        for i in 0..self._ranks {
            self.chosen_line[i].clock.next = self.clock.val();
            self.chosen_line[i].reset.next = self.reset.val();
            self.chosen_line[i].d.next = self.chosen[i].val();
            self.matches[i].clock.next = self.clock.val();
            self.seconds[i].clock.next = self.clock.val();
            self.ranked_here[i].next = (self.chosen_line[i].q.val().get_bits::<4>(1)
                == self.pair_line.q.val())
                & (self.ranks.val() > self.rank[i].val())
                & self.flags_line.q.val().get_bit(0);
            self.matches[i].d.next = self.ranked_here[i].val();
            self.seconds[i].d.next = self.chosen_line[i].q.val().get_bit(0);
            if self.ranked_here[i].val() & !self.chosen_line[i].q.val().get_bit(0) {
                self.included[0].d.next = true;
            }
            if self.ranked_here[i].val() & self.chosen_line[i].q.val().get_bit(0) {
                self.included[1].d.next = true;
            }
        }
        // Ranks and sum.
        for i in 0..self._pair {
            self.weight[i].clock.next = self.clock.val();
            self.weight[i].reset.next = self.reset.val();
            self.weight[i].valid.next = self.valid_line.q.val().any();
            self.weight[i].maximum.next = self.maximum_line.q.val();
            self.weight[i].logit.next = self.buffer_logits[i].val();
            self.included[i].clock.next = self.clock.val();
            self.addend[i].next = 0.into();
        }
        if self.included[0].q.val() {
            self.addend[0].next = bit_cast::<24, 16>(self.weight[0].weight.val());
        }
        if self.included[1].q.val() {
            self.addend[1].next = bit_cast::<24, 16>(self.weight[1].weight.val());
        }
        self.pair_sum.d.next = self.addend[0].val() + self.addend[1].val();
        for i in 0..self._ranks {
            self.weights[i].clock.next = self.clock.val();
            self.weights[i].d.next = self.weights[i].q.val();
            self.indices[i].clock.next = self.clock.val();
            self.indices[i].d.next = self.indices[i].q.val();
            if self.matches[i].q.val() {
                self.weights[i].d.next = self.weight[0].weight.val();
                self.indices[i].d.next = bit_cast::<5, 4>(self.pair.q.val()) << 1;
                if self.seconds[i].q.val() {
                    self.weights[i].d.next = self.weight[1].weight.val();
                    self.indices[i].d.next = bit_cast::<5, 4>(self.pair.q.val()) << 1 | 1;
                }
            }
            self.rank_weight[i].next = self.weights[i].q.val();
            self.rank_expert[i].next = self.indices[i].q.val();
        }
        self.base.next = self.total.q.val();
        if self.sum_line.q.val().get_bit(1) {
            self.base.next = 0.into();
        }
        if self.sum_line.q.val().get_bit(0) {
            self.total.d.next = self.base.val() + self.pair_sum.q.val();
        }
        self.complete.d.next = self.sum_line.q.val().get_bit(0) & self.sum_line.q.val().get_bit(2);
        self.summed.next = self.complete.q.val();
        self.sum.next = self.total.q.val();
        if self.reset.val() {
            self.weighing.d.next = false;
            self.complete.d.next = false;
        }
    }
}
