//! The on-chip memories: words of lanes, sized by the configuration.
//!
//! The key/value memory is kept as the circuit keeps it: channel `ch` of token `t` lies in bank `(ch + t) mod C`, so that keys
//! and values come out of the same memory.

use moevit_hw::config::AccelConfig;
use moevit_hw::numerics::reciprocal::Reciprocal;

/// Words of the value-sum memory.
pub const SUM_WORDS: usize = 256;

/// A memory of `words` words of `lanes` elements.
#[derive(Clone, Debug)]
pub struct Memory<T> {
    lanes: usize,
    data: Vec<T>,
}

impl<T: Copy + Default> Memory<T> {
    /// A memory of zeros.
    pub fn new(words: usize, lanes: usize) -> Self {
        Self {
            lanes,
            data: vec![T::default(); words * lanes],
        }
    }

    /// All elements, word after word.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// `words` words from `address` on.
    pub fn span(&self, address: usize, words: usize) -> &[T] {
        &self.data[address * self.lanes..(address + words) * self.lanes]
    }

    /// `words` words from `address` on.
    pub fn span_mut(&mut self, address: usize, words: usize) -> &mut [T] {
        &mut self.data[address * self.lanes..(address + words) * self.lanes]
    }

    /// Chunk `index` of `size` elements, counted from word `address` on across word limits.
    pub fn chunk_mut(&mut self, address: usize, index: usize, size: usize) -> &mut [T] {
        let first = address * self.lanes + index * size;
        &mut self.data[first..first + size]
    }
}

impl Memory<i8> {
    /// Where channel `channel` of token `token` lies, if word `address` exists.
    fn bank(&self, address: usize, channel: usize, token: usize) -> usize {
        address * self.lanes + (channel + token) % self.lanes
    }

    /// Key/value memory: element of a token; words that do not exist read as zero.
    pub fn rotated(&self, address: usize, channel: usize, token: usize) -> i8 {
        let at = self.bank(address & 0xffff, channel, token);
        self.data.get(at).copied().unwrap_or(0)
    }

    /// Key/value memory: writes a word of consecutive channels of a token.
    pub fn write_rotated(&mut self, address: usize, token: usize, channels: &[i8]) {
        for (channel, &value) in channels.iter().enumerate() {
            let at = self.bank(address, channel, token);
            self.data[at] = value;
        }
    }
}

/// Every memory of the accelerator but the expert queues.
#[derive(Clone, Debug)]
pub struct Memories {
    /// Streaming operands, words of R bytes.
    pub activation: Memory<i8>,
    /// Keys and values, words of C bytes in rotated banks.
    pub stationary: Memory<i8>,
    /// Residual stream, words of C 16-bit values.
    pub residual: Memory<i16>,
    /// Attention scores, words of C Q7.8 values.
    pub score: Memory<i16>,
    /// Sums of value bytes over the tokens, words of C.
    pub sums: Memory<i32>,
    /// Gate logits, one word of all experts a token.
    pub logits: Memory<i32>,
    /// Reciprocals of the softmax sums, two banks of a row each.
    pub reciprocals: [Vec<Reciprocal>; 2],
}

impl Memories {
    /// All zeros, as after configuration of the device.
    pub fn new(config: &AccelConfig) -> Self {
        let columns = config.columns;
        Self {
            activation: Memory::new(config.activation_words, config.rows),
            stationary: Memory::new(config.stationary_words, columns),
            residual: Memory::new(config.residual_words, columns),
            score: Memory::new(config.score_words, columns),
            sums: Memory::new(SUM_WORDS, columns),
            logits: Memory::new(config.max_tokens, logit_lanes(config)),
            reciprocals: [(); 2].map(|()| vec![Reciprocal::default(); config.max_tokens]),
        }
    }
}

/// Logits that the router keeps of a token: whole tiles of columns.
pub fn logit_lanes(config: &AccelConfig) -> usize {
    config.max_experts.next_multiple_of(config.columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_run_across_words() {
        let mut memory = Memory::<i8>::new(4, 16);
        memory.chunk_mut(1, 3, 8).fill(5);
        assert_eq!(memory.span(2, 1)[..8], [0; 8]);
        assert_eq!(memory.span(2, 1)[8..], [5; 8]);
    }

    #[test]
    fn rotated_words_read_back_for_every_token() {
        let mut memory = Memory::<i8>::new(20, 8);
        for token in 0..20 {
            let channels: Vec<i8> = (0..8).map(|c| (token * 6 + c) as i8).collect();
            memory.write_rotated(token, token, &channels);
        }
        for (token, channel) in (0..20).flat_map(|t| (0..8).map(move |c| (t, c))) {
            assert_eq!(memory.rotated(token, channel, token), (token * 6 + channel) as i8);
        }
        assert_eq!(memory.span(3, 1)[3], 18, "token 3's channel 0 lies in bank 3");
        assert_eq!(memory.rotated(20, 0, 0), 0);
        assert_eq!(memory.rotated(65_536, 0, 0), 0);
    }
}
