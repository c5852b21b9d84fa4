//! Post-processing of one column: an accumulator a cycle through [`crate::numerics::post::post`].
//!
//! ```text
//! total = sum + bias + 128 * value_sum       34 bits
//! v = sat27(round(total / 2^pre_shift))
//! y = sat24(round(v * mantissa / 2^shift))   27 x 17 bit DSP
//! g = y, or GELU(sat16(y))                   table of 176 segments, 11 x 7 bit product
//! z = sat24(round(g * factor / 2^factor_shift) + offset)   24 x 17 bit DSP
//! ```
//!
//! Latency [`LATENCY_CYCLES`] from `sum_*` to `z`, one result a cycle, never stalls, no reset: whoever uses `z` knows from a flag
//! beside it when it counts. Every product has input, M and P registers. A setting is sampled when its stage needs it, so that
//! one delay line outside serves all columns; the constants below say how many cycles after the sum:
//!
//! ```text
//! cycle    0: sum_*, odd, bias, value_sum, bias_from_sums
//! cycle    1: pre_shift          half 2, total 2
//! cycle    4: mantissa           v 5, M 6, P 7
//! cycle    6: shift              half 7, y 11
//! cycle   16: gelu, *_factor     |x| 12, table 13, M 14, P 15, delta 16, g 17, M 18, P 19
//! cycle   18: factor_shift       half 19
//! cycle   19: offset
//! cycle   24: z
//! ```
//!
//! What rounding adds, half a unit of the shifted result, is decoded a cycle ahead of its addition. The first product is below
//! 2^42 and its result zero from a shift of 43 on; the second one below 2^39 and zero from 40 on: larger shifts act like these.

use super::line::Line;
use crate::numerics::{gelu, round_shift, saturate};
use crate::prelude::*;
use crate::primitives::leaf::rom_text;

/// Cycles from the sums to `z`.
pub const LATENCY_CYCLES: usize = 24;
/// Cycles from the sums to `pre_shift`.
pub const PRE_SHIFT_CYCLES: usize = 1;
/// Cycles from the sums to `mantissa`.
pub const MANTISSA_CYCLES: usize = 4;
/// Cycles from the sums to `shift`.
pub const SHIFT_CYCLES: usize = 6;
/// Cycles from the sums to `gelu`, both factors and their choice.
pub const FACTOR_CYCLES: usize = 16;
/// Cycles from the sums to `factor_shift`.
pub const FACTOR_SHIFT_CYCLES: usize = 18;
/// Cycles from the sums to `offset`.
pub const OFFSET_CYCLES: usize = 19;

/// Bits of a value sum.
pub const VALUE_SUM_BITS: usize = 20;

/// The lane; see the module.
#[derive(LogicBlock, Default)]
pub struct PostLane {
    pub clock: Signal<In, Clock>,
    /// Sums of the two tokens of a pair.
    pub sum_0: Signal<In, Bits<32>>,
    pub sum_1: Signal<In, Bits<32>>,
    /// Takes `sum_1`.
    pub odd: Signal<In, Bit>,
    pub bias: Signal<In, Bits<32>>,
    pub value_sum: Signal<In, Bits<20>>,
    /// Adds 128 times the value sum.
    pub bias_from_sums: Signal<In, Bit>,
    pub pre_shift: Signal<In, Bits<4>>,
    pub mantissa: Signal<In, Bits<16>>,
    pub shift: Signal<In, Bits<6>>,
    pub gelu: Signal<In, Bit>,
    /// Second scale of the column.
    pub channel_factor: Signal<In, Bits<16>>,
    /// Second scale of the token, taken with `scale_by_token`.
    pub token_factor: Signal<In, Bits<16>>,
    pub scale_by_token: Signal<In, Bit>,
    pub factor_shift: Signal<In, Bits<6>>,
    pub offset: Signal<In, Bits<8>>,
    pub z: Signal<Out, Bits<24>>,
    _total: Line<i64, 2>,
    _pre_shift: Line<u32, 1>,
    _shift: Line<u32, 1>,
    _factor_shift: Line<u32, 1>,
    _v: Line<i64, 3>,
    _mantissa: Line<i64, 1>,
    _product: Line<i64, 2>,
    _activated: Line<(i64, i64), 9>,
    _scaled: Line<(i64, i64), 1>,
    _second: Line<i64, 2>,
    _z: Line<i64, 4>,
}

fn unsigned<const N: usize>(x: Bits<N>) -> i64 {
    x.index() as i64
}

fn signed<const N: usize>(x: Bits<N>) -> i64 {
    (unsigned(x) << (64 - N)) >> (64 - N)
}

impl PostLane {
    fn total(&self) -> i64 {
        let sum = if self.odd.val() {
            self.sum_1.val()
        } else {
            self.sum_0.val()
        };
        let values = if self.bias_from_sums.val() {
            signed(self.value_sum.val())
        } else {
            0
        };
        signed(sum) + signed(self.bias.val()) + 128 * values
    }

    fn first_scale(&self) -> i64 {
        let shifted = round_shift(self._product.out(), self._shift.out());
        saturate(shifted, 24)
    }

    fn factor(&self) -> i64 {
        let factor = if self.scale_by_token.val() {
            self.token_factor.val()
        } else {
            self.channel_factor.val()
        };
        unsigned(factor)
    }

    fn second_scale(&self) -> i64 {
        let shifted = round_shift(self._second.out(), self._factor_shift.out());
        saturate(shifted + signed(self.offset.val()), 24)
    }

    /// One clock edge, last stage first, so that every line still shows what it held before the edge.
    fn advance(&mut self) {
        self.z.next = (self._z.out() as u64 & 0xff_ffff).into();
        self._z.push(self.second_scale());
        self._factor_shift.push(unsigned(self.factor_shift.val()) as u32);
        let (g, factor) = self._scaled.out();
        self._second.push(g * factor);
        let (y, activated) = self._activated.out();
        let g = if self.gelu.val() { activated } else { y };
        self._scaled.push((g, self.factor()));
        let y = self.first_scale();
        self._shift.push(unsigned(self.shift.val()) as u32);
        self._activated
            .push((y, i64::from(gelu::gelu(saturate(y, 16) as i16))));
        self._product.push(self._v.out() * self._mantissa.out());
        self._mantissa.push(unsigned(self.mantissa.val()));
        let v = round_shift(self._total.out(), self._pre_shift.out());
        self._v.push(saturate(v, 27));
        self._pre_shift.push(unsigned(self.pre_shift.val()) as u32);
        self._total.push(self.total());
    }
}

impl Logic for PostLane {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self.advance();
        }
    }

    fn connect(&mut self) {
        self.z.connect();
    }

    fn hdl(&self) -> Verilog {
        let entry = |(here, slope): (i32, i32)| (here as u64) << 11 | (slope as u64 & 0x7ff);
        let table = rom_text("delta_table", 24, table_entries().into_iter().map(entry));
        Verilog::Custom(VERILOG.replace("@TABLE@\n", &table))
    }
}

/// Value and rise of `delta` over each segment; zero beyond the last one of the table.
fn table_entries() -> Vec<(i32, i32)> {
    let table = gelu::table();
    let segment = |i: usize| {
        let here = i32::from(table[i]);
        (here, i32::from(table[i + 1]) - here)
    };
    (0..256)
        .map(|i| if i + 1 < gelu::ENTRIES { segment(i) } else { (0, 0) })
        .collect()
}

/// Body of the module; the table goes to `@TABLE@`.
const VERILOG: &str = include_str!("post_lane.body.v");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::{Lockstep, Rng};
    use crate::numerics::post::{post, PostSettings, SHIFT_MAX};
    use crate::testbench::cycle;
    use std::collections::VecDeque;

    /// One result: what goes in at its own cycles, and what must come out.
    #[derive(Clone, Copy, Default)]
    struct Sample {
        sum: i32,
        bias: i32,
        value_sum: Option<i32>,
        mantissa: u16,
        channel_factor: u16,
        token_factor: Option<u16>,
        settings: PostSettings,
    }

    impl Sample {
        fn expected(&self) -> i32 {
            let bias = i64::from(self.bias) + 128 * i64::from(self.value_sum.unwrap_or(0));
            let factor = self.token_factor.unwrap_or(self.channel_factor);
            post(self.sum, bias, self.mantissa, factor, &self.settings)
        }

        fn random(rng: &mut Rng) -> Self {
            let magnitude = rng.below(32) as u32;
            Self {
                sum: rng.bits(32) as i32 >> magnitude,
                bias: rng.bits(32) as i32 >> rng.below(32),
                value_sum: rng.chance(50).then(|| (rng.bits(32) as i32) >> 12),
                mantissa: rng.bits(16) as u16,
                channel_factor: rng.bits(16) as u16,
                token_factor: rng.chance(50).then(|| rng.bits(16) as u16),
                settings: PostSettings {
                    pre_shift: rng.below(16) as u32,
                    shift: rng.below(u64::from(SHIFT_MAX) + 1) as u32,
                    gelu: rng.chance(50),
                    factor_shift: rng.below(u64::from(SHIFT_MAX) + 1) as u32,
                    offset: rng.bits(8) as i8,
                },
            }
        }
    }

    fn drive(lane: &mut PostLane, history: &VecDeque<Sample>, rng: &mut Rng) {
        let (now, odd) = (history[0], rng.chance(50));
        let noise = rng.bits(32) as u32;
        let (sum_0, sum_1) = if odd {
            (noise, now.sum as u32)
        } else {
            (now.sum as u32, noise)
        };
        lane.odd.next = odd;
        lane.sum_0.next = u64::from(sum_0).into();
        lane.sum_1.next = u64::from(sum_1).into();
        lane.bias.next = u64::from(now.bias as u32).into();
        lane.bias_from_sums.next = now.value_sum.is_some();
        let value_sum = now.value_sum.unwrap_or(noise as i32) as u64 & 0xf_ffff;
        lane.value_sum.next = value_sum.into();
        lane.pre_shift.next = u64::from(history[PRE_SHIFT_CYCLES].settings.pre_shift).into();
        lane.mantissa.next = u64::from(history[MANTISSA_CYCLES].mantissa).into();
        lane.shift.next = u64::from(history[SHIFT_CYCLES].settings.shift).into();
        let scaled = history[FACTOR_CYCLES];
        lane.gelu.next = scaled.settings.gelu;
        lane.channel_factor.next = u64::from(scaled.channel_factor).into();
        lane.scale_by_token.next = scaled.token_factor.is_some();
        lane.token_factor.next = u64::from(scaled.token_factor.unwrap_or(noise as u16)).into();
        let factor_shift = history[FACTOR_SHIFT_CYCLES].settings.factor_shift;
        lane.factor_shift.next = u64::from(factor_shift).into();
        let offset = history[OFFSET_CYCLES].settings.offset;
        lane.offset.next = (offset as u8 as u64).into();
    }

    /// Streams the samples and counts how many results were compared.
    fn run(samples: impl Iterator<Item = Sample>) -> usize {
        let mut lane = PostLane::default();
        let mut rng = Rng::new(7);
        let mut history = VecDeque::from(vec![Sample::default(); LATENCY_CYCLES + 1]);
        let mut compared = 0;
        for sample in samples.chain([Sample::default(); LATENCY_CYCLES]) {
            history.push_front(sample);
            history.pop_back();
            drive(&mut lane, &history, &mut rng);
            cycle(&mut lane, |u| &mut u.clock);
            let want = history[LATENCY_CYCLES - 1].expected();
            assert_eq!(signed(lane.z.val()), i64::from(want), "result {compared}");
            compared += 1;
        }
        compared
    }

    fn corners() -> Vec<Sample> {
        let mut samples = vec![];
        for sum in [i32::MIN, -(1 << 26) - 1, -1, 0, 1, (1 << 26) - 1, i32::MAX] {
            for (mantissa, factor) in [(0, 1), (1, 65_535), (65_535, 65_535), (65_535, 1)] {
                for shift in [0, 1, 15, 16, 31, 47] {
                    for (bias, gelu) in [(0, false), (i32::MAX, true), (i32::MIN, false), (-1, true)] {
                        samples.push(Sample {
                            sum,
                            bias,
                            value_sum: Some(if bias < 0 { -(1 << 19) } else { (1 << 19) - 1 }),
                            mantissa,
                            channel_factor: factor,
                            token_factor: None,
                            settings: PostSettings {
                                pre_shift: shift.min(15),
                                shift,
                                gelu,
                                factor_shift: 47 - shift,
                                offset: -128,
                            },
                        });
                    }
                }
            }
        }
        samples
    }

    #[test]
    fn corners_match_the_integer_meaning() {
        assert!(run(corners().into_iter()) > 600);
    }

    #[test]
    fn gelu_matches_over_its_whole_input_range() {
        let samples = (i16::MIN..=i16::MAX).step_by(3).map(|x| Sample {
            sum: i32::from(x),
            mantissa: 1,
            channel_factor: 1,
            settings: PostSettings {
                gelu: true,
                ..Default::default()
            },
            ..Default::default()
        });
        assert!(run(samples) > 20_000);
    }

    #[test]
    fn random_results_match_the_integer_meaning() {
        let mut rng = Rng::new(1);
        let samples = (0..30_000).map(move |_| Sample::random(&mut rng));
        assert!(run(samples) >= 30_000);
    }

    #[test]
    fn the_table_fits_its_fields() {
        let entries = table_entries();
        assert_eq!(entries.len(), 256);
        for (i, (here, slope)) in entries.into_iter().enumerate() {
            assert!(
                (0..1 << 13).contains(&here) && (-1024..1024).contains(&slope),
                "entry {i}"
            );
        }
    }

    #[test]
    fn verilog_agrees() {
        let report = Lockstep::new("PostLane", PostLane::default, |u, level| {
            u.clock.next = level.into()
        })
        .run(0..4, 25_000, |u, rng, cycle| {
            u.sum_0.next = rng.corner_bits(32).into();
            u.sum_1.next = rng.corner_bits(32).into();
            u.odd.next = rng.chance(50);
            u.bias.next = rng.corner_bits(32).into();
            u.value_sum.next = rng.corner_bits(20).into();
            u.bias_from_sums.next = rng.chance(50);
            u.pre_shift.next = rng.bits(4).into();
            u.mantissa.next = rng.corner_bits(16).into();
            u.shift.next = rng.corner_bits(6).into();
            u.gelu.next = rng.chance(50);
            u.channel_factor.next = rng.corner_bits(16).into();
            u.token_factor.next = rng.corner_bits(16).into();
            u.scale_by_token.next = rng.chance(50);
            u.factor_shift.next = if cycle % 2 == 0 {
                rng.below(24)
            } else {
                rng.corner_bits(6)
            }
            .into();
            u.offset.next = rng.corner_bits(8).into();
        })
        .unwrap();
        assert!(report.cycles >= 100_000 && report.comparisons >= 200_000);
    }
}
