//! Base-2 exponentials of non-positive arguments: a table for the fraction, a shift for the integer part.
//!
//! * [`probability`]: softmax over keys. Distance to the row's maximum as Q8.8, result an unsigned byte (255 = 1).
//! * [`weight`]: softmax over experts. Distance as Q8.16, result Q0.16 (65,535 = 1), linear interpolation in the table.

use std::sync::OnceLock;

/// Fraction bits of a score (Q7.8).
pub const SCORE_FRACTION_BITS: u32 = 8;
/// Fraction bits of a gate logit (Q7.16).
pub const LOGIT_FRACTION_BITS: u32 = 16;

/// `round(2^(-i/256) * 65280)`: 255 with 8 fraction bits.
pub fn probability_table() -> &'static [u16; 256] {
    static TABLE: OnceLock<[u16; 256]> = OnceLock::new();
    TABLE.get_or_init(|| std::array::from_fn(|i| ((-(i as f64) / 256.0).exp2() * 65_280.0).round() as u16))
}

/// `round(2^(-i/256) * 65535)` for `0..=256`.
pub fn weight_table() -> &'static [u16; 257] {
    static TABLE: OnceLock<[u16; 257]> = OnceLock::new();
    TABLE.get_or_init(|| std::array::from_fn(|i| ((-(i as f64) / 256.0).exp2() * 65_535.0).round() as u16))
}

/// `round(255 * 2^-distance)`, `distance = maximum - score` in Q8.8.
#[inline]
pub fn probability(distance: u32) -> u8 {
    let shift = distance >> SCORE_FRACTION_BITS;
    if shift > 15 {
        return 0;
    }
    let mantissa = u32::from(probability_table()[(distance & 255) as usize]);
    (((mantissa >> shift) + 128) >> 8) as u8
}

/// `2^-distance` as Q0.16, `distance = maximum - logit` in Q8.16.
#[inline]
pub fn weight(distance: u32) -> u16 {
    let shift = distance >> LOGIT_FRACTION_BITS;
    if shift > 15 {
        return 0;
    }
    let index = ((distance >> 8) & 255) as usize;
    let (here, next) = (
        u32::from(weight_table()[index]),
        u32::from(weight_table()[index + 1]),
    );
    let mantissa = here - (((here - next) * (distance & 255)) >> 8);
    (mantissa >> shift) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probability_is_within_one_step_of_the_exact_value() {
        for distance in 0..6_000u32 {
            let exact = 255.0 * (-f64::from(distance) / 256.0).exp2();
            assert!(
                (f64::from(probability(distance)) - exact).abs() <= 0.51,
                "{distance}"
            );
        }
        assert_eq!((probability(0), probability(1 << 17)), (255, 0));
    }

    #[test]
    fn weight_is_exact_to_two_units() {
        for distance in (0..1_200_000u32).step_by(7) {
            let exact = 65_535.0 * (-f64::from(distance) / 65_536.0).exp2();
            assert!((f64::from(weight(distance)) - exact).abs() <= 2.0, "{distance}");
        }
    }
}
