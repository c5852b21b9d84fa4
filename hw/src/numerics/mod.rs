//! The integer meaning of every arithmetic cell: one definition, used by the circuit cells, by their tables in Verilog and by the
//! integer reference.
//!
//! Conventions: `Qi.f` is two's complement with `f` fraction bits. Rounding is half up (`floor(x + 1/2)`), shifts are arithmetic,
//! saturation is to the two's complement range unless a range is named.

pub mod exp2;
pub mod gelu;
pub mod layer_norm;
pub mod post;
pub mod reciprocal;

/// `floor(x / 2^shift + 1/2)`; a shift of 0 returns `x`.
#[inline]
pub fn round_shift(x: i64, shift: u32) -> i64 {
    if shift == 0 {
        x
    } else {
        (x + (1i64 << (shift - 1))) >> shift
    }
}

/// Clamps to the two's complement range of `bits` bits.
#[inline]
pub fn saturate(x: i64, bits: u32) -> i64 {
    let limit = 1i64 << (bits - 1);
    x.clamp(-limit, limit - 1)
}

/// Number of bits needed to write `x`; 0 for 0.
#[inline]
pub fn bit_length(x: u64) -> u32 {
    64 - x.leading_zeros()
}

/// Splits a 15-bit value into byte planes with `x = 128 * high + low`, `low` in `-64..=63`.
///
/// The range is `-16320..=16319`, so that `high` stays in `-127..=127`.
#[inline]
pub fn byte_planes(x: i32) -> (i8, i8) {
    let high = (x + 64) >> 7;
    ((high) as i8, (x - 128 * high) as i8)
}

/// Largest magnitude of both signs that [`byte_planes`] can split.
pub const WIDE_MAX: i64 = 16_319;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_half_up_on_both_sides_of_zero() {
        let cases = [
            (5, 1, 3),
            (-5, 1, -2),
            (6, 2, 2),
            (-6, 2, -1),
            (7, 0, 7),
            (-1, 4, 0),
            (8, 4, 1),
        ];
        for (x, shift, want) in cases {
            assert_eq!(round_shift(x, shift), want, "{x} >> {shift}");
        }
    }

    #[test]
    fn saturates_to_twos_complement() {
        assert_eq!(saturate(128, 8), 127);
        assert_eq!(saturate(-129, 8), -128);
        assert_eq!(saturate(-128, 8), -128);
    }

    #[test]
    fn byte_planes_rebuild_every_value() {
        for x in -(WIDE_MAX as i32) - 1..=WIDE_MAX as i32 {
            let (high, low) = byte_planes(x);
            assert!((-127..=127).contains(&high) && (-64..=63).contains(&low));
            assert_eq!(128 * i32::from(high) + i32::from(low), x);
        }
    }
}
