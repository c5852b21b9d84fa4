//! LayerNorm without its affine part, on the 16-bit residual stream.
//!
//! ```text
//! S = sum x, Q = sum x^2, V = D*Q - S^2 + epsilon        exact integers
//! mean = round(S * inverse_d / 2^22)                      Q16.10, inverse_d = round(2^32 / D)
//! c = (x << 10) - mean                                    27 bits
//! 1/sqrt(V) ~= r / 2^(15 + p/2)                           p: bit length of V, rounded up to even
//! t = round(r * mantissa / 2^15)                          one per token
//! y = sat(round(c * t / 2^(shift + p/2)))
//! ```
//!
//! `mantissa / 2^(shift - 10)` is `D` times the wanted output units per unit of the normalised value. The narrow output is a
//! byte in `-128..=127`; the wide one has 15 bits for [`super::byte_planes`].
//!
//! Settings that do not belong to the row (a wrong `width`) give a defined but meaningless result: `V` wraps at 64 bits, `c` at 27,
//! and a shift above 63 counts as 63, beyond which every result is 0 anyway.

use super::{bit_length, round_shift, WIDE_MAX};
use std::sync::OnceLock;

/// Fraction bits of the mean.
pub const MEAN_FRACTION_BITS: u32 = 10;

/// Constants of a LayerNorm pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormSettings {
    /// Channels.
    pub width: u32,
    /// `round(2^32 / width)`.
    pub inverse_width: u32,
    /// `eps * width^2` in squared units of the residual stream, at least 1.
    pub epsilon: u32,
    /// Output scale, mantissa in `32768..=65535`.
    pub mantissa: u16,
    /// Output scale, right shift.
    pub shift: u32,
}

/// What one row needs besides its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowScale {
    /// Mean, Q16.10.
    pub mean: i32,
    /// Factor of the centred value, 17 bits.
    pub factor: u32,
    /// Right shift after the product.
    pub shift: u32,
}

/// `round(2^23 / sqrt(16384 + 128 i))` for `0..=384`.
pub fn table() -> &'static [u32; 385] {
    static TABLE: OnceLock<[u32; 385]> = OnceLock::new();
    TABLE.get_or_init(|| {
        std::array::from_fn(|i| (2f64.powi(23) / ((16_384 + 128 * i) as f64).sqrt()).round() as u32)
    })
}

/// `1/sqrt(v)` as mantissa and half the even bit length: `mantissa / 2^(15 + half)`.
#[inline]
pub fn inverse_root(v: u64) -> (u32, u32) {
    let half = bit_length(v.max(1)).div_ceil(2);
    let normal = (if half >= 8 {
        v.max(1) >> (2 * half - 16)
    } else {
        v.max(1) << (16 - 2 * half)
    }) as u32;
    let index = ((normal >> 7) - 128) as usize;
    let (here, next) = (table()[index], table()[index + 1]);
    (here - (((here - next) * (normal & 127)) >> 7), half)
}

/// Mean and factor of a row from its exact sums.
#[inline]
pub fn row_scale(sum: i64, squares: u64, settings: &NormSettings) -> RowScale {
    let spread = u64::from(settings.width)
        .wrapping_mul(squares)
        .wrapping_sub((sum * sum) as u64);
    let (root, half) = inverse_root(spread.wrapping_add(u64::from(settings.epsilon)));
    RowScale {
        mean: round_shift(sum * i64::from(settings.inverse_width), 22) as i32,
        factor: round_shift(i64::from(root) * i64::from(settings.mantissa), 15) as u32,
        shift: (settings.shift + half).min(63),
    }
}

/// Keeps 27 bits, the wide input of a DSP multiplier.
#[inline]
fn wrap_27(x: i64) -> i64 {
    x << 37 >> 37
}

/// One element: narrow (a byte) or wide (15 bits).
#[inline]
pub fn element(x: i16, row: &RowScale, wide: bool) -> i32 {
    let centred = wrap_27((i64::from(x) << MEAN_FRACTION_BITS) - i64::from(row.mean));
    let y = round_shift(centred * i64::from(row.factor), row.shift);
    (if wide {
        y.clamp(-WIDE_MAX, WIDE_MAX)
    } else {
        y.clamp(-128, 127)
    }) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(width: u32, units: f64) -> NormSettings {
        let target = f64::from(width) * units;
        let exponent = 15 - target.log2().floor() as i32;
        NormSettings {
            width,
            inverse_width: (2f64.powi(32) / f64::from(width)).round() as u32,
            epsilon: 1,
            mantissa: (target * 2f64.powi(exponent)).round().min(65_535.0) as u16,
            shift: (10 + exponent) as u32,
        }
    }

    #[test]
    fn normalises_rows_of_any_spread() {
        for (width, amplitude) in [(64usize, 30_000i64), (192, 400), (192, 3), (384, 12_000)] {
            let row: Vec<i16> = (0..width as i64)
                .map(|i| ((i * 7_919 % 1_001 - 500) * amplitude / 500) as i16)
                .collect();
            let sum: i64 = row.iter().map(|&x| i64::from(x)).sum();
            let squares: u64 = row.iter().map(|&x| (i64::from(x) * i64::from(x)) as u64).sum();
            let scale = row_scale(sum, squares, &settings(width as u32, 1_000.0));
            let mean = sum as f64 / width as f64;
            let std = (squares as f64 / width as f64 - mean * mean).sqrt();
            for &x in &row {
                let want = (f64::from(x) - mean) / std * 1_000.0;
                let got = f64::from(element(x, &scale, true));
                assert!(
                    (got - want).abs() < 0.6 + want.abs() * 1e-4,
                    "{width} {x}: {got} against {want}"
                );
            }
        }
    }

    #[test]
    fn constant_rows_become_zero() {
        let scale = row_scale(64 * 1_234, 64 * 1_234 * 1_234, &settings(64, 14.0));
        assert_eq!(element(1_234, &scale, false), 0);
    }
}
