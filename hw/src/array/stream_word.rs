//! The register that holds the word of the stream that is being consumed.
//!
//! `take` loads a word; `shift` drops the chunk that a copy has just written, R bytes of an activation word or 2C bytes of a residual
//! word (`wide`), so that the next one lies at byte 0. Latency 1 cycle.
//!
//! ```text
//! d --take--> [q] --+--> tiles, parameters, program, copies
//!              ^    |
//!              +-->>+ shift
//! ```

use crate::config::AccelConfig;
use crate::prelude::*;

/// The register; see the module.
#[derive(LogicBlock, Default)]
pub struct StreamWord {
    pub clock: Signal<In, Clock>,
    pub take: Signal<In, Bit>,
    pub shift: Signal<In, Bit>,
    pub wide: Signal<In, Bit>,
    pub d: Vec<Signal<In, Bits<8>>>,
    pub q: Vec<Signal<Out, Bits<8>>>,
    _activation_bytes: usize,
    _residual_bytes: usize,
    _bytes: Vec<Bits<8>>,
}

impl StreamWord {
    pub fn new(config: &AccelConfig) -> Self {
        let bytes = config.weight_word_bytes();
        Self {
            d: many(bytes),
            q: many(bytes),
            _activation_bytes: config.rows,
            _residual_bytes: config.residual_word_bytes(),
            _bytes: vec![Bits::default(); bytes],
            ..Self::default()
        }
    }
}

impl Logic for StreamWord {
    fn update(&mut self) {
        if !self.clock.pos_edge() || !(self.take.val() || self.shift.val()) {
            return;
        }
        if self.take.val() {
            for (byte, d) in self._bytes.iter_mut().zip(&self.d) {
                *byte = d.val();
            }
        } else {
            let chunk = if self.wide.val() {
                self._residual_bytes
            } else {
                self._activation_bytes
            };
            self._bytes.rotate_left(chunk);
            let kept = self._bytes.len() - chunk;
            self._bytes[kept..].fill(Bits::default());
        }
        for (q, byte) in self.q.iter_mut().zip(&self._bytes) {
            q.next = *byte;
        }
    }

    fn connect(&mut self) {
        self.q.iter_mut().for_each(|q| q.connect());
    }

    fn hdl(&self) -> Verilog {
        let bytes = self.d.len();
        let shifted = |chunk: usize| match 8 * (bytes - chunk) {
            0 => format!("{}'d0", 8 * bytes),
            _ => format!("{{{}'d0, word[{}:{}]}}", 8 * chunk, 8 * bytes - 1, 8 * chunk),
        };
        let residual = shifted(self._residual_bytes);
        let activation = shifted(self._activation_bytes);
        // Chunks of one size need no choice.
        let (unused, choice) = match residual == activation {
            true => ("wire unused = wide;\n", activation),
            false => ("", format!("wide ? {residual} : {activation}")),
        };
        Verilog::Custom(format!(
            "// module: StreamWord_a{a}_r{r}_w{bytes}\nreg [{top}:0] word;\ninitial word = {width}'d0;\n{unused}assign q = word;\n\
             always @(posedge clock)\n  if (take) word <= d;\n  else if (shift) word <= {choice};\n",
            a = self._activation_bytes,
            r = self._residual_bytes,
            top = 8 * bytes - 1,
            width = 8 * bytes,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::bench::{tick, Random};

    #[test]
    fn takes_words_and_drops_chunks() {
        let mut compared = 0;
        for name in AccelConfig::names() {
            let config = AccelConfig::named(name).unwrap();
            let mut word = StreamWord::new(&config);
            let mut random = Random::new(1);
            let mut model = vec![0u64; config.weight_word_bytes()];
            for _ in 0..300 {
                let (take, shift, wide) = (random.chance(30), random.chance(50), random.chance(50));
                let bytes: Vec<u64> = model.iter().map(|_| random.next() & 255).collect();
                word.take.next = take;
                word.shift.next = shift;
                word.wide.next = wide;
                for (d, &byte) in word.d.iter_mut().zip(&bytes) {
                    d.next = byte.into();
                }
                tick!(word);
                if take {
                    model = bytes;
                } else if shift {
                    model.drain(
                        ..if wide {
                            config.residual_word_bytes()
                        } else {
                            config.rows
                        },
                    );
                    model.resize(config.weight_word_bytes(), 0);
                }
                let got: Vec<u64> = word.q.iter().map(|q| q.val().into()).collect();
                assert_eq!(got, model);
                compared += 1;
            }
        }
        assert_eq!(compared, 600);
    }
}
