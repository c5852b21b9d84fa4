//! Second stage of the router: weights of a token's experts, their sum, and the chosen ones' weights.
//!
//! After `ranked` the token's logits come from the buffer of the first stage, one a cycle. The sum runs over all experts, or over the
//! chosen ones with `renormalise`. `summed` pulses [`OVERHEAD_CYCLES`] + `experts` cycles after `ranked`; `sum` and the ranks' weights
//! and experts are valid in that cycle. Ranks from `ranks` on are left as they were. The stage never waits: tokens come at least
//! `experts` cycles apart.
//!
//! ```text
//! ranked --> [step, half] --buffer: 2--> gate weight --5--> [+ sum] --> summed, sum
//! maximum --[3]------------------------------^                +-------> rank_weight, rank_expert
//! chosen  --[8]-----------------------------------------------^
//! ```

use super::gate_weight::{self, GateWeight};
use crate::config::MAX_TOP_K;
use crate::prelude::*;
use crate::primitives::delay::Delay;
use crate::primitives::leaf::ports;
use crate::primitives::ram;

/// Cycles from a token's buffer read to its weight.
const WEIGHT_CYCLES: usize = ram::LATENCY_CYCLES + gate_weight::LATENCY_CYCLES;

/// Cycles from `ranked` to `summed` beside one for each expert.
pub const OVERHEAD_CYCLES: usize = WEIGHT_CYCLES + 1;

/// The stage; see the module.
#[derive(LogicBlock)]
pub struct Weigh {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub start: Signal<In, Bit>,
    pub experts: Signal<In, Bits<6>>,
    pub ranks: Signal<In, Bits<3>>,
    pub renormalise: Signal<In, Bit>,
    pub ranked: Signal<In, Bit>,
    pub maximum: Signal<In, Bits<24>>,
    pub chosen: Vec<Signal<In, Bits<5>>>,
    pub buffer_half: Signal<Out, Bit>,
    pub buffer_expert: Signal<Out, Bits<5>>,
    pub buffer_logit: Signal<In, Bits<24>>,
    pub summed: Signal<Out, Bit>,
    pub sum: Signal<Out, Bits<24>>,
    pub rank_weight: Vec<Signal<Out, Bits<16>>>,
    pub rank_expert: Vec<Signal<Out, Bits<5>>>,
    weighing: DFF<Bit>,
    step: DFF<Bits<6>>,
    half: DFF<Bit>,
    valid_line: Delay<1>,
    flags: Signal<Local, Bits<3>>,
    flags_line: Delay<3>,
    expert_line: Delay<5>,
    maximum_line: Delay<24>,
    chosen_line: Vec<Delay<5>>,
    weight: GateWeight,
    matches: Vec<Signal<Local, Bit>>,
    included: Signal<Local, Bit>,
    base: Signal<Local, Bits<24>>,
    addend: Signal<Local, Bits<24>>,
    total: DFF<Bits<24>>,
    complete: DFF<Bit>,
    weights: Vec<DFF<Bits<16>>>,
    indices: Vec<DFF<Bits<5>>>,
    rank: Vec<Constant<Bits<3>>>,
    _ranks: usize,
}

impl Default for Weigh {
    fn default() -> Self {
        Self {
            clock: Signal::default(),
            reset: Signal::default(),
            start: Signal::default(),
            experts: Signal::default(),
            ranks: Signal::default(),
            renormalise: Signal::default(),
            ranked: Signal::default(),
            maximum: Signal::default(),
            chosen: ports(MAX_TOP_K),
            buffer_half: Signal::default(),
            buffer_expert: Signal::default(),
            buffer_logit: Signal::default(),
            summed: Signal::default(),
            sum: Signal::default(),
            rank_weight: ports(MAX_TOP_K),
            rank_expert: ports(MAX_TOP_K),
            weighing: DFF::default(),
            step: DFF::default(),
            half: DFF::default(),
            valid_line: Delay::new(ram::LATENCY_CYCLES),
            flags: Signal::default(),
            flags_line: Delay::new(WEIGHT_CYCLES),
            expert_line: Delay::new(WEIGHT_CYCLES),
            maximum_line: Delay::new(ram::LATENCY_CYCLES + 1),
            chosen_line: (0..MAX_TOP_K).map(|_| Delay::new(WEIGHT_CYCLES + 1)).collect(),
            weight: GateWeight::default(),
            matches: ports(MAX_TOP_K),
            included: Signal::default(),
            base: Signal::default(),
            addend: Signal::default(),
            total: DFF::default(),
            complete: DFF::default(),
            weights: (0..MAX_TOP_K).map(|_| DFF::default()).collect(),
            indices: (0..MAX_TOP_K).map(|_| DFF::default()).collect(),
            rank: (0..MAX_TOP_K as u64).map(|i| Constant::new(i.into())).collect(),
            _ranks: MAX_TOP_K,
        }
    }
}

impl Logic for Weigh {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, weighing, step, half, total, complete);
        clock!(
            self,
            clock,
            valid_line,
            flags_line,
            expert_line,
            maximum_line,
            weight
        );
        self.valid_line.reset.next = self.reset.val();
        self.flags_line.reset.next = self.reset.val();
        self.expert_line.reset.next = self.reset.val();
        self.maximum_line.reset.next = self.reset.val();
        self.weight.reset.next = self.reset.val();
        // Reads of the buffer; the halves alternate from token to token, the first token has half 0.
        if self.weighing.q.val() {
            self.step.d.next = self.step.q.val() + 1;
            if self.step.q.val() + 1 == self.experts.val() {
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
        self.buffer_expert.next = self.step.q.val().get_bits::<5>(0);
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
        if self.step.q.val() + 1 == self.experts.val() {
            self.flags.next = self.flags.val() | 4;
        }
        self.flags_line.d.next = self.flags.val();
        self.expert_line.d.next = self.step.q.val().get_bits::<5>(0);
        self.maximum_line.d.next = self.maximum.val();
        self.weight.valid.next = self.valid_line.q.val().any();
        self.weight.maximum.next = self.maximum_line.q.val();
        self.weight.logit.next = self.buffer_logit.val();
        // Ranks and sum. Flags: 0 valid, 1 first, 2 last.
        self.included.next = !self.renormalise.val();
        for i in 0..self._ranks {
            self.chosen_line[i].clock.next = self.clock.val();
            self.chosen_line[i].reset.next = self.reset.val();
            self.chosen_line[i].d.next = self.chosen[i].val();
            self.matches[i].next = (self.chosen_line[i].q.val() == self.expert_line.q.val())
                & (self.ranks.val() > self.rank[i].val())
                & self.flags_line.q.val().get_bit(0);
            self.included.next = self.included.val() | self.matches[i].val();
            self.weights[i].clock.next = self.clock.val();
            self.weights[i].d.next = self.weights[i].q.val();
            self.indices[i].clock.next = self.clock.val();
            self.indices[i].d.next = self.indices[i].q.val();
            if self.matches[i].val() {
                self.weights[i].d.next = self.weight.weight.val();
                self.indices[i].d.next = self.expert_line.q.val();
            }
            self.rank_weight[i].next = self.weights[i].q.val();
            self.rank_expert[i].next = self.indices[i].q.val();
        }
        self.base.next = self.total.q.val();
        if self.flags_line.q.val().get_bit(1) {
            self.base.next = 0.into();
        }
        self.addend.next = 0.into();
        if self.included.val() {
            self.addend.next = bit_cast::<24, 16>(self.weight.weight.val());
        }
        if self.flags_line.q.val().get_bit(0) {
            self.total.d.next = self.base.val() + self.addend.val();
        }
        self.complete.d.next = self.flags_line.q.val().get_bit(0) & self.flags_line.q.val().get_bit(2);
        self.summed.next = self.complete.q.val();
        self.sum.next = self.total.q.val();
        if self.reset.val() {
            self.weighing.d.next = false;
            self.complete.d.next = false;
        }
    }
}
