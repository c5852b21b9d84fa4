//! Brings every setting of a slot to the post-processing lanes in the cycle in which their stage samples it.
//!
//! A slot's row is looked up in accumulators, expert queue and softmax factors at the same time; all of them answer after
//! [`LOOKUP_CYCLES`], which is cycle 0 of the lanes. The token's second scale is chosen there:
//!
//! | `factor` | token factor | right shift |
//! |---|---|---|
//! | 0 | per channel, from the parameters | `factor_shift` |
//! | 1 | gate score | `factor_shift` |
//! | 2, 3 | mantissa of the softmax sum's reciprocal | `factor_shift` + exponent, at most 63 |
//!
//! ```text
//! slot cycle   0         2 = lane cycle 0       lane cycles 1 .. 19
//! settings   --+--------[odd]------------------[pre_shift]..[factor_shift, offset]
//! lookups    --+--------(token factor)---------[token_factor]
//! ```
//!
//! No reset: nothing here says whether a slot counts.

use super::post_lane::{
    FACTOR_CYCLES, FACTOR_SHIFT_CYCLES, MANTISSA_CYCLES, OFFSET_CYCLES, PRE_SHIFT_CYCLES, SHIFT_CYCLES,
};
use crate::prelude::*;
use crate::primitives::delay::Delay;
use crate::primitives::ram;

/// Cycles from a slot to its sums, its queue entry and its softmax factor.
pub const LOOKUP_CYCLES: usize = ram::LATENCY_CYCLES;

/// The delay lines; see the module.
#[derive(LogicBlock, Default)]
pub struct LaneSettings {
    pub clock: Signal<In, Clock>,
    // With the slot.
    pub row_is_odd: Signal<In, Bit>,
    pub bias_from_sums: Signal<In, Bit>,
    pub block: Signal<In, Bits<2>>,
    pub pre_shift: Signal<In, Bits<4>>,
    pub shift: Signal<In, Bits<6>>,
    pub gelu: Signal<In, Bit>,
    pub factor: Signal<In, Bits<2>>,
    pub factor_shift: Signal<In, Bits<6>>,
    pub offset: Signal<In, Bits<8>>,
    // With the sums.
    pub score: Signal<In, Bits<16>>,
    pub softmax_mantissa: Signal<In, Bits<16>>,
    pub softmax_exponent: Signal<In, Bits<5>>,
    // To the parameter store, a read ahead of the lanes' stage.
    pub bias_bank: Signal<Out, Bits<2>>,
    pub mantissa_bank: Signal<Out, Bits<2>>,
    pub factor_bank: Signal<Out, Bits<2>>,
    // To the lanes.
    pub lane_odd: Signal<Out, Bit>,
    pub lane_bias_from_sums: Signal<Out, Bit>,
    pub lane_pre_shift: Signal<Out, Bits<4>>,
    pub lane_shift: Signal<Out, Bits<6>>,
    pub lane_gelu: Signal<Out, Bit>,
    pub lane_token_factor: Signal<Out, Bits<16>>,
    pub lane_scale_by_token: Signal<Out, Bit>,
    pub lane_factor_shift: Signal<Out, Bits<6>>,
    pub lane_offset: Signal<Out, Bits<8>>,
    odd: Delay<1>,
    from_sums: Delay<1>,
    mantissa_block: Delay<2>,
    factor_block: Delay<2>,
    pre_shifts: Delay<4>,
    shifts: Delay<6>,
    gelus: Delay<1>,
    factors: Delay<2>,
    base_shifts: Delay<6>,
    offsets: Delay<8>,
    by_token: Delay<1>,
    token_factors: Delay<16>,
    factor_shifts: Delay<6>,
    exponent: Signal<Local, Bits<7>>,
    total_shift: Signal<Local, Bits<7>>,
}

impl LaneSettings {
    /// The block, unconnected.
    pub fn new() -> Self {
        Self {
            odd: Delay::new(LOOKUP_CYCLES),
            from_sums: Delay::new(LOOKUP_CYCLES),
            mantissa_block: Delay::new(MANTISSA_CYCLES),
            factor_block: Delay::new(FACTOR_CYCLES),
            pre_shifts: Delay::new(LOOKUP_CYCLES + PRE_SHIFT_CYCLES),
            shifts: Delay::new(LOOKUP_CYCLES + SHIFT_CYCLES),
            gelus: Delay::new(LOOKUP_CYCLES + FACTOR_CYCLES),
            factors: Delay::new(LOOKUP_CYCLES),
            base_shifts: Delay::new(LOOKUP_CYCLES),
            offsets: Delay::new(LOOKUP_CYCLES + OFFSET_CYCLES),
            by_token: Delay::new(FACTOR_CYCLES),
            token_factors: Delay::new(FACTOR_CYCLES),
            factor_shifts: Delay::new(FACTOR_SHIFT_CYCLES),
            ..Self::default()
        }
    }
}

impl Logic for LaneSettings {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(
            self,
            clock,
            odd,
            from_sums,
            mantissa_block,
            factor_block,
            pre_shifts,
            shifts,
            gelus
        );
        clock!(
            self,
            clock,
            factors,
            base_shifts,
            offsets,
            by_token,
            token_factors,
            factor_shifts
        );
        self.odd.reset.next = false;
        self.from_sums.reset.next = false;
        self.mantissa_block.reset.next = false;
        self.factor_block.reset.next = false;
        self.pre_shifts.reset.next = false;
        self.shifts.reset.next = false;
        self.gelus.reset.next = false;
        self.factors.reset.next = false;
        self.base_shifts.reset.next = false;
        self.offsets.reset.next = false;
        self.by_token.reset.next = false;
        self.token_factors.reset.next = false;
        self.factor_shifts.reset.next = false;
        // With the slot.
        self.odd.d.next = 0.into();
        if self.row_is_odd.val() {
            self.odd.d.next = 1.into();
        }
        self.from_sums.d.next = 0.into();
        if self.bias_from_sums.val() {
            self.from_sums.d.next = 1.into();
        }
        self.gelus.d.next = 0.into();
        if self.gelu.val() {
            self.gelus.d.next = 1.into();
        }
        self.bias_bank.next = self.block.val();
        self.mantissa_block.d.next = self.block.val();
        self.factor_block.d.next = self.block.val();
        self.pre_shifts.d.next = self.pre_shift.val();
        self.shifts.d.next = self.shift.val();
        self.factors.d.next = self.factor.val();
        self.base_shifts.d.next = self.factor_shift.val();
        self.offsets.d.next = self.offset.val();
        // With the sums: the token's own scale.
        self.by_token.d.next = 0.into();
        if self.factors.q.val() != 0 {
            self.by_token.d.next = 1.into();
        }
        self.token_factors.d.next = self.score.val();
        self.exponent.next = 0.into();
        if self.factors.q.val().get_bit(1) {
            self.token_factors.d.next = self.softmax_mantissa.val();
            self.exponent.next = bit_cast::<7, 5>(self.softmax_exponent.val());
        }
        self.total_shift.next = bit_cast::<7, 6>(self.base_shifts.q.val()) + self.exponent.val();
        self.factor_shifts.d.next = self.total_shift.val().get_bits::<6>(0);
        if self.total_shift.val().get_bit(6) {
            self.factor_shifts.d.next = 63.into();
        }
        // To the lanes.
        self.mantissa_bank.next = self.mantissa_block.q.val();
        self.factor_bank.next = self.factor_block.q.val();
        self.lane_odd.next = self.odd.q.val().get_bit(0);
        self.lane_bias_from_sums.next = self.from_sums.q.val().get_bit(0);
        self.lane_pre_shift.next = self.pre_shifts.q.val();
        self.lane_shift.next = self.shifts.q.val();
        self.lane_gelu.next = self.gelus.q.val().get_bit(0);
        self.lane_token_factor.next = self.token_factors.q.val();
        self.lane_scale_by_token.next = self.by_token.q.val().get_bit(0);
        self.lane_factor_shift.next = self.factor_shifts.q.val();
        self.lane_offset.next = self.offsets.q.val();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::{Lockstep, Rng};
    use crate::testbench::{cycle, settle};
    use std::collections::VecDeque;

    #[derive(Clone, Copy, Default)]
    struct Slot {
        word: u32,
        lookup: u32,
        exponent: u32,
    }

    fn drive(uut: &mut LaneSettings, slot: &Slot, looked_up: &Slot) {
        let w = u64::from(slot.word);
        uut.row_is_odd.next = w & 1 != 0;
        uut.bias_from_sums.next = w & 2 != 0;
        uut.gelu.next = w & 4 != 0;
        uut.block.next = (w >> 3 & 3).into();
        uut.pre_shift.next = (w >> 5 & 15).into();
        uut.shift.next = (w >> 9 & 63).into();
        uut.factor.next = (w >> 15 & 3).into();
        uut.factor_shift.next = (w >> 17 & 63).into();
        uut.offset.next = (w >> 23 & 255).into();
        uut.score.next = u64::from(looked_up.lookup & 0xffff).into();
        uut.softmax_mantissa.next = u64::from(looked_up.lookup >> 16).into();
        uut.softmax_exponent.next = u64::from(looked_up.exponent).into();
    }

    /// What the lanes must see, `history[n]` being the slot of `n` cycles ago.
    fn check(uut: &LaneSettings, history: &VecDeque<Slot>) {
        let ago = |cycles: usize| history[cycles].word as usize;
        let at = |cycles: usize| ago(LOOKUP_CYCLES + cycles);
        assert_eq!(uut.bias_bank.val().index(), ago(0) >> 3 & 3);
        assert_eq!(uut.mantissa_bank.val().index(), ago(MANTISSA_CYCLES) >> 3 & 3);
        assert_eq!(uut.factor_bank.val().index(), ago(FACTOR_CYCLES) >> 3 & 3);
        assert_eq!(uut.lane_odd.val(), at(0) & 1 != 0);
        assert_eq!(uut.lane_bias_from_sums.val(), at(0) & 2 != 0);
        assert_eq!(uut.lane_pre_shift.val().index(), at(PRE_SHIFT_CYCLES) >> 5 & 15);
        assert_eq!(uut.lane_shift.val().index(), at(SHIFT_CYCLES) >> 9 & 63);
        assert_eq!(uut.lane_gelu.val(), at(FACTOR_CYCLES) & 4 != 0);
        let scaled = history[LOOKUP_CYCLES + FACTOR_CYCLES];
        let factor = scaled.word >> 15 & 3;
        assert_eq!(uut.lane_scale_by_token.val(), factor != 0);
        let want = if factor >= 2 {
            scaled.lookup >> 16
        } else {
            scaled.lookup & 0xffff
        };
        assert_eq!(uut.lane_token_factor.val().index() as u32, want);
        let last = history[LOOKUP_CYCLES + FACTOR_SHIFT_CYCLES];
        let exponent = if last.word >> 15 & 3 >= 2 {
            last.exponent
        } else {
            0
        };
        let want = ((last.word >> 17 & 63) + exponent).min(63);
        assert_eq!(uut.lane_factor_shift.val().index() as u32, want);
        assert_eq!(uut.lane_offset.val().index(), at(OFFSET_CYCLES) >> 23 & 255);
    }

    #[test]
    fn every_setting_arrives_in_its_cycle() {
        let mut uut = LaneSettings::new();
        uut.connect_all();
        let mut rng = Rng::new(12);
        let mut history = VecDeque::from(vec![Slot::default(); LOOKUP_CYCLES + OFFSET_CYCLES + 1]);
        for step in 0..20_000 {
            history.push_front(Slot {
                word: rng.bits(32) as u32,
                lookup: rng.bits(32) as u32,
                exponent: rng.bits(5) as u32,
            });
            history.pop_back();
            let looked_up = history[LOOKUP_CYCLES];
            drive(&mut uut, &history[0], &looked_up);
            settle(&mut uut);
            if step >= history.len() {
                check(&uut, &history);
            }
            cycle(&mut uut, |u| &mut u.clock);
        }
    }

    #[test]
    fn verilog_agrees() {
        let report = Lockstep::new("LaneSettings", LaneSettings::new, |u, level| {
            u.clock.next = level.into()
        })
        .run(0..4, 25_000, |u, rng, cycle| {
            u.row_is_odd.next = cycle % 2 == 1;
            u.bias_from_sums.next = rng.chance(50);
            u.block.next = rng.bits(2).into();
            u.pre_shift.next = rng.bits(4).into();
            u.shift.next = rng.bits(6).into();
            u.gelu.next = rng.chance(50);
            u.factor.next = rng.bits(2).into();
            u.factor_shift.next = rng.bits(6).into();
            u.offset.next = rng.bits(8).into();
            u.score.next = rng.bits(16).into();
            u.softmax_mantissa.next = rng.bits(16).into();
            u.softmax_exponent.next = rng.bits(5).into();
        })
        .unwrap();
        assert!(report.cycles >= 100_000 && report.comparisons >= 200_000);
    }
}
