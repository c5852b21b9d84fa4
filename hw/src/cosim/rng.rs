//! A small reproducible random source for stimuli (SplitMix64).

/// The same seed gives the same sequence on every machine.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Rng(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A random number of `width` bits, at most 64.
    pub fn bits(&mut self, width: usize) -> u64 {
        match width {
            0 => 0,
            width => self.next_u64() >> (64 - width.min(64)),
        }
    }

    /// A number of `width` bits that is an extreme one (0, 1, largest, sign bit) a quarter of the time.
    pub fn corner_bits(&mut self, width: usize) -> u64 {
        let width = width.clamp(1, 64);
        let largest = u64::MAX >> (64 - width);
        match self.below(16) {
            0 => 0,
            1 => largest,
            2 => 1 << (width - 1),
            3 => 1 & largest,
            _ => self.bits(width),
        }
    }

    /// A random number below `limit`, which must not be zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        ((self.next_u64() as u128 * limit.max(1) as u128) >> 64) as u64
    }

    /// A random number from `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = (high as i128 - low as i128).max(0) as u64;
        low.wrapping_add(match span.checked_add(1) {
            Some(count) => self.below(count) as i64,
            None => self.next_u64() as i64,
        })
    }

    /// True `percent` times out of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_in_their_ranges_and_reach_the_ends() {
        let mut rng = Rng::new(7);
        let mut seen = [false; 5];
        for _ in 0..1000 {
            let n = rng.between(-2, 2);
            seen[(n + 2) as usize] = true;
            assert!(rng.bits(3) < 8);
            assert!(rng.corner_bits(5) < 32);
            assert_eq!(rng.bits(0), 0);
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!(Rng::new(1).next_u64(), Rng::new(1).next_u64());
    }
}
