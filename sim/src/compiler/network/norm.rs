//! LayerNorm's numbers: the output step and the constants of the Norm command.

use moevit_hw::control::command::Norm;
use moevit_hw::numerics::WIDE_MAX;

use crate::compiler::quantise::{Bound, InputStatistics};
use crate::compiler::samples::Columns;
use crate::compiler::scale::{statistics, tensor_step, Range};

/// Margin of the wide output over the largest normalised value of calibration.
const WIDE_HEADROOM: f64 = 1.1;
/// 15-bit units of a unit of the high plane.
const BYTE_UNITS: f64 = 128.0;
/// Fraction bits that the mean adds to the centred value.
const CENTRED_BITS: i32 = 10;

/// Constants of a Norm command, without addresses.
#[derive(Clone, Debug, PartialEq)]
pub struct NormNumbers {
    /// Normalised value of one output unit.
    pub step: f64,
    pub wide: bool,
    pub width: usize,
    mantissa: u32,
    shift: u32,
    epsilon: u32,
}

/// What all norms of a network share.
#[derive(Clone, Copy, Debug)]
pub struct NormContext {
    pub width: usize,
    pub epsilon: f64,
    /// Real value of a residual unit.
    pub residual_step: f64,
}

impl NormContext {
    /// Byte output; the step loses least where the next layer listens.
    pub fn narrow(&self, columns: &Columns, importance: &[f64]) -> NormNumbers {
        self.with_step(tensor_step(columns, importance, Range::BYTE), false)
    }

    /// 15-bit output that holds every value seen, or every value possible.
    pub fn wide(&self, columns: &Columns) -> NormNumbers {
        let seen = columns.iter().flatten().fold(0.0, |m: f64, v| m.max(v.abs()));
        let possible = (self.width as f64 - 1.0).sqrt();
        let most = if seen > 0.0 {
            possible.min(WIDE_HEADROOM * seen)
        } else {
            possible
        };
        self.with_step(most / WIDE_MAX as f64, true)
    }

    fn with_step(&self, step: f64, wide: bool) -> NormNumbers {
        let width = self.width as f64;
        let target = width / step;
        let exponent = 15 - target.log2().floor() as i32;
        let mantissa = (target * 2f64.powi(exponent)).round().min(65_535.0);
        let variance = self.epsilon * (width / self.residual_step).powi(2);
        NormNumbers {
            step: width * 2f64.powi(exponent) / mantissa,
            wide,
            width: self.width,
            mantissa: mantissa as u32,
            shift: (CENTRED_BITS + exponent).max(0) as u32,
            epsilon: variance.round().clamp(1.0, u32::MAX.into()) as u32,
        }
    }
}

impl NormNumbers {
    /// The command without addresses, tokens and strides.
    pub fn command(&self) -> Norm {
        Norm {
            wide: self.wide.into(),
            width: self.width as u32,
            inverse_width: (2f64.powi(32) / self.width as f64).round() as u32,
            mantissa: self.mantissa,
            shift: self.shift,
            epsilon: self.epsilon,
            ..Default::default()
        }
    }

    fn range(&self) -> Range {
        if self.wide {
            Range {
                least: -WIDE_MAX as f64,
                most: WIDE_MAX as f64,
            }
        } else {
            Range::BYTE
        }
    }

    /// Normalised value of a unit of the byte output.
    pub fn byte_step(&self) -> f64 {
        if self.wide {
            BYTE_UNITS * self.step
        } else {
            self.step
        }
    }

    /// What the next layer knows about its inputs if it reads the byte output.
    pub fn byte_statistics(&self, columns: &Columns) -> InputStatistics {
        let range = if self.wide { Range::STATIONARY } else { Range::BYTE };
        self.statistics_of(columns, self.byte_step(), range)
    }

    /// What the next layer knows about its inputs.
    pub fn statistics(&self, columns: &Columns) -> InputStatistics {
        self.statistics_of(columns, self.step, self.range())
    }

    fn statistics_of(&self, columns: &Columns, step: f64, range: Range) -> InputStatistics {
        if columns.channels() == 0 {
            return InputStatistics::unknown(self.width);
        }
        statistics(columns, &vec![step; self.width], range)
    }

    /// A normalised row has the Euclidean norm `sqrt(width)`; rounding adds at most half a unit an element.
    pub fn bound(&self) -> Bound {
        let root = (self.width as f64).sqrt();
        if self.wide {
            Bound::Euclidean(1.001 * root / self.step + 0.5 * root)
        } else {
            Bound::BYTES
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moevit_hw::numerics::layer_norm::{element, row_scale, NormSettings};

    #[test]
    fn the_circuit_gives_the_normalised_values_in_steps() {
        let context = NormContext {
            width: 192,
            epsilon: 1e-6,
            residual_step: 1.0 / 512.0,
        };
        let row: Vec<i16> = (0..192i64)
            .map(|i| ((i * 7_919 % 1_001 - 400) * 9) as i16)
            .collect();
        let real: Vec<f64> = row.iter().map(|&x| f64::from(x) / 512.0).collect();
        let mean = real.iter().sum::<f64>() / 192.0;
        let variance = real.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 192.0 + 1e-6;
        let normalised: Vec<f64> = real.iter().map(|x| (x - mean) / variance.sqrt()).collect();
        let columns = Columns::new(normalised.iter().map(|&v| vec![v; 3]));
        let mut compared = 0;
        for numbers in [context.narrow(&columns, &[1.0; 192]), context.wide(&columns)] {
            let c = numbers.command();
            let settings = NormSettings {
                width: c.width,
                inverse_width: c.inverse_width,
                epsilon: c.epsilon,
                mantissa: c.mantissa as u16,
                shift: c.shift,
            };
            let sum = row.iter().map(|&x| i64::from(x)).sum();
            let squares = row.iter().map(|&x| (i64::from(x) * i64::from(x)) as u64).sum();
            let scale = row_scale(sum, squares, &settings);
            for (&x, &want) in row.iter().zip(&normalised) {
                let got = f64::from(element(x, &scale, numbers.wide)) * numbers.step;
                let clipped = want.clamp(
                    numbers.range().least * numbers.step,
                    numbers.range().most * numbers.step,
                );
                assert!(
                    (got - clipped).abs() < 0.55 * numbers.step + 2e-4 * want.abs(),
                    "{got} {want}"
                );
                compared += 1;
            }
        }
        assert_eq!(compared, 384);
    }

    #[test]
    fn tiny_epsilons_stay_positive() {
        let context = NormContext {
            width: 64,
            epsilon: 1e-12,
            residual_step: 0.01,
        };
        assert_eq!(context.wide(&Columns::default()).command().epsilon, 1);
    }
}
