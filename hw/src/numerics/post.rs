//! Post-processing of one accumulator: bias, requantise, activation, second scale, offset.
//!
//! ```text
//! v = sat27(round((acc + bias) / 2^pre_shift))
//! y = sat24(round(v * mantissa / 2^shift))            mantissa: u16
//! g = y, or GELU(sat16(y)): Q4.11 in, Q4.15 out
//! z = sat24(round(g * factor / 2^factor_shift) + offset)
//! ```
//!
//! 27 bits are the wide input of a DSP multiplier, 24 bits leave the second one the same room.

use super::{gelu, round_shift, saturate};

/// Settings of a post-processing pass that hold for all of its channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PostSettings {
    /// Right shift of the biased sum, `0..=15`.
    pub pre_shift: u32,
    /// Right shift after the first product, `0..=47`.
    pub shift: u32,
    /// Applies GELU between the two products.
    pub gelu: bool,
    /// Right shift after the second product, `0..=47`.
    pub factor_shift: u32,
    /// Zero point added last.
    pub offset: i8,
}

/// Largest shift that the circuit's shifters take.
pub const SHIFT_MAX: u32 = 47;

/// One accumulator to one 24-bit result; see the module for the formula.
#[inline]
pub fn post(acc: i32, bias: i64, mantissa: u16, factor: u16, settings: &PostSettings) -> i32 {
    let v = saturate(round_shift(i64::from(acc) + bias, settings.pre_shift), 27);
    let y = saturate(round_shift(v * i64::from(mantissa), settings.shift), 24);
    let g = if settings.gelu {
        i64::from(gelu::gelu(saturate(y, 16) as i16))
    } else {
        y
    };
    let scaled = round_shift(g * i64::from(factor), settings.factor_shift);
    saturate(scaled + i64::from(settings.offset), 24) as i32
}

/// An operand byte for the streaming side: the full range of a byte.
#[inline]
pub fn to_activation(z: i32) -> i8 {
    z.clamp(-128, 127) as i8
}

/// An operand byte for the stationary side: symmetric, as the DSP packing demands.
#[inline]
pub fn to_stationary(z: i32) -> i8 {
    z.clamp(-127, 127) as i8
}

/// A 16-bit result: residual stream or score.
#[inline]
pub fn to_16(z: i32) -> i16 {
    z.clamp(-32_768, 32_767) as i16
}

/// Adds a result to the residual stream.
#[inline]
pub fn add_residual(residual: i16, z: i32) -> i16 {
    to_16(i32::from(residual) + z)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_by_a_half_and_adds_the_zero_point() {
        let settings = PostSettings {
            shift: 16,
            factor_shift: 15,
            offset: -3,
            ..Default::default()
        };
        assert_eq!(post(100, 10, 32_768, 32_768, &settings), 55 - 3);
    }

    #[test]
    fn saturates_instead_of_wrapping() {
        let settings = PostSettings {
            shift: 0,
            factor_shift: 0,
            ..Default::default()
        };
        assert_eq!(post(i32::MAX, 0, u16::MAX, u16::MAX, &settings), (1 << 23) - 1);
        assert_eq!(post(i32::MIN, 0, u16::MAX, u16::MAX, &settings), -(1 << 23));
        assert_eq!(to_activation(-300), -128);
        assert_eq!(to_stationary(-300), -127);
        assert_eq!(add_residual(32_000, 1_000), 32_767);
    }
}
