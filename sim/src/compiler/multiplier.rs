//! Real factors as unsigned mantissas with one right shift a command.
//!
//! `ratio ~= mantissa / 2^shift`. The largest channel gets a mantissa in `32768..=65535`; the others keep what the common shift
//! leaves them. Whoever fits a factor takes the exact value back ([`Multipliers::ratio`]) and folds the difference into the
//! numbers that it still can choose, so that the rounding of a mantissa costs nothing.

use moevit_hw::numerics::post::SHIFT_MAX;

/// Mantissas of a command's channels and their common shift.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multipliers {
    pub mantissas: Vec<u16>,
    pub shift: u32,
}

impl Multipliers {
    /// The factor one for every channel: exact, and without effect on an integer.
    pub fn identity(channels: usize) -> Self {
        Self {
            mantissas: vec![1 << 15; channels],
            shift: 15,
        }
    }

    /// Fits positive ratios; says what is wrong if the shifter's range does not hold them.
    pub fn fit(ratios: &[f64]) -> Result<Self, String> {
        let largest = ratios.iter().copied().fold(0.0, f64::max);
        if !largest.is_finite() || ratios.iter().any(|r| r.is_nan() || *r <= 0.0) {
            return Err("a scale is not a positive number".into());
        }
        let mut exponent = 15 - largest.log2().floor() as i32;
        if (largest * 2f64.powi(exponent)).round() > 65_535.0 {
            exponent -= 1;
        }
        if exponent < 0 {
            return Err(format!(
                "a scale of {largest:e} is beyond the multiplier's 16 bits"
            ));
        }
        let shift = (exponent as u32).min(SHIFT_MAX);
        let unit = 2f64.powi(shift as i32);
        let mantissas = ratios.iter().map(|r| (r * unit).round().max(1.0) as u16);
        Ok(Self {
            mantissas: mantissas.collect(),
            shift,
        })
    }

    /// The exact factor of a channel.
    pub fn ratio(&self, channel: usize) -> f64 {
        f64::from(self.mantissas[channel]) / 2f64.powi(self.shift as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_channel_uses_all_bits() {
        for largest in [1e-9, 3.3e-4, 0.5, 0.999_999, 1.0, 7.0, 65_535.4] {
            let fitted = Multipliers::fit(&[largest, largest / 300.0]).unwrap();
            assert!(
                fitted.mantissas[0] >= 32_768,
                "{largest}: {}",
                fitted.mantissas[0]
            );
            for (i, want) in [largest, largest / 300.0].into_iter().enumerate() {
                let step = 2f64.powi(-(fitted.shift as i32));
                assert!((fitted.ratio(i) - want).abs() <= 0.5 * step, "{largest} {i}");
            }
        }
    }

    #[test]
    fn tiny_and_huge_ratios_meet_the_shifter() {
        let tiny = Multipliers::fit(&[1e-13]).unwrap();
        assert_eq!((tiny.shift, tiny.mantissas[0]), (SHIFT_MAX, 14));
        assert!(Multipliers::fit(&[70_000.0]).unwrap_err().contains("16 bits"));
        assert!(Multipliers::fit(&[1.0, 0.0]).is_err());
    }

    #[test]
    fn identity_is_exact() {
        let one = Multipliers::identity(3);
        assert_eq!((one.ratio(2), one.mantissas.len()), (1.0, 3));
    }
}
