//! GELU(x) = ReLU(x) - delta(|x|), delta(x) = x * (1 - Phi(x)), after Edge-MoE (ICCAD 2023).
//!
//! Input Q4.11, output Q4.15 in 20 bits. `delta` is a table at step 1/32 over `0..=5.5` (177 entries of Q0.15) with linear
//! interpolation; it is zero beyond. Worst error against the exact erf form: about 1e-4.

use std::sync::OnceLock;

/// Entries of the table, the last one for interpolation only.
pub const ENTRIES: usize = 177;
/// Fraction bits between two entries: 2^11 / 32 = 2^6.
pub const STEP_BITS: u32 = 6;

/// The table of `delta`, Q0.15.
pub fn table() -> &'static [u16; ENTRIES] {
    static TABLE: OnceLock<[u16; ENTRIES]> = OnceLock::new();
    TABLE.get_or_init(|| {
        std::array::from_fn(|i| {
            let x = i as f64 / 32.0;
            (x * 0.5 * libm::erfc(x / std::f64::consts::SQRT_2) * 32_768.0).round() as u16
        })
    })
}

/// GELU of a Q4.11 value as Q4.15.
#[inline]
pub fn gelu(x: i16) -> i32 {
    let magnitude = i32::from(x).unsigned_abs();
    let index = (magnitude >> STEP_BITS) as usize;
    let relu = i32::from(x.max(0)) << 4;
    if index >= ENTRIES - 1 {
        return relu;
    }
    let fraction = (magnitude & ((1 << STEP_BITS) - 1)) as i32;
    let (here, next) = (i32::from(table()[index]), i32::from(table()[index + 1]));
    let delta = here + (((next - here) * fraction + (1 << (STEP_BITS - 1))) >> STEP_BITS);
    relu - delta
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_close_to_the_exact_form_over_the_whole_range() {
        let mut worst = 0f64;
        for x in i16::MIN..=i16::MAX {
            let real = f64::from(x) / 2048.0;
            let exact = real * 0.5 * libm::erfc(-real / std::f64::consts::SQRT_2);
            worst = worst.max((f64::from(gelu(x)) / 32_768.0 - exact).abs());
        }
        assert!(worst < 1.3e-4, "worst error {worst}");
    }
}
