//! Reciprocal of a positive integer as mantissa and exponent: table with linear interpolation.
//!
//! `1 / x ~= mantissa / 2^(15 + exponent)` with `mantissa` in `32768..=65535` and `exponent = bit_length(x)`.
//! `x` is normalised to 16 bits (lower bits truncated), so the relative error is below 2^-14.

use super::bit_length;
use std::sync::OnceLock;

/// A normalised reciprocal; see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Reciprocal {
    pub mantissa: u16,
    pub exponent: u32,
}

/// `round(2^31 / (32768 + 128 i))` for `0..=256`.
pub fn table() -> &'static [u32; 257] {
    static TABLE: OnceLock<[u32; 257]> = OnceLock::new();
    TABLE.get_or_init(|| std::array::from_fn(|i| (2f64.powi(31) / (32_768 + 128 * i) as f64).round() as u32))
}

/// Reciprocal of `x`, at most 24 bits wide; 0 counts as 1.
#[inline]
pub fn reciprocal(x: u32) -> Reciprocal {
    let x = x.max(1);
    let exponent = bit_length(u64::from(x));
    let normal = if exponent >= 16 {
        x >> (exponent - 16)
    } else {
        x << (16 - exponent)
    };
    let index = ((normal >> 7) & 255) as usize;
    let (here, next) = (table()[index], table()[index + 1]);
    let mantissa = here - (((here - next) * (normal & 127)) >> 7);
    Reciprocal {
        mantissa: mantissa.min(65_535) as u16,
        exponent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_error_is_below_two_to_the_minus_14() {
        let mut worst = 0f64;
        for x in (1..1u32 << 22).step_by(3) {
            let r = reciprocal(x);
            let value = f64::from(r.mantissa) / 2f64.powi(15 + r.exponent as i32);
            worst = worst.max((value * f64::from(x) - 1.0).abs());
        }
        assert!(worst < 2f64.powi(-14), "{worst}");
    }
}
