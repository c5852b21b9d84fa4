//! Sizes of a configuration and of its memories.

use crate::output::{table, thousands};
use crate::row;
use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::COMMAND_BYTES;
use serde::Serialize;

/// Bytes of an accumulator.
const SUM_BYTES: usize = 4;
/// Tokens of a pair, and banks of the accumulators.
const PAIR: usize = 2;
const BANKS: usize = 2;

/// A memory on the chip.
#[derive(Serialize)]
struct Memory {
    name: &'static str,
    words: usize,
    word_bytes: usize,
    bytes: usize,
}

/// A configuration in figures.
#[derive(Serialize)]
pub struct Configuration {
    name: String,
    hash: String,
    rows: usize,
    columns: usize,
    macs_per_cycle: usize,
    clock_mhz_target: u32,
    /// Two operations a multiply-accumulate, at the target clock.
    peak_gops_at_target: f64,
    read_ports: usize,
    max_tokens: usize,
    max_experts: usize,
    memories: Vec<Memory>,
    memory_bytes: usize,
}

impl Configuration {
    pub fn new(c: &AccelConfig) -> Self {
        let memories = memories(c);
        Self {
            name: c.name.clone(),
            hash: format!("{:08x}", c.hash()),
            rows: c.rows,
            columns: c.columns,
            macs_per_cycle: c.macs_per_cycle(),
            clock_mhz_target: c.clock_mhz_target,
            peak_gops_at_target: 2e-3 * c.macs_per_cycle() as f64 * f64::from(c.clock_mhz_target),
            read_ports: c.read_ports,
            max_tokens: c.max_tokens,
            max_experts: c.max_experts,
            memory_bytes: memories.iter().map(|m| m.bytes).sum(),
            memories,
        }
    }

    pub fn text(&self) -> String {
        let title = format!(
            "configuration {} ({})\n\
             array           {} lanes x {} columns, {} multiply-accumulates a cycle\n\
             clock target    {} MHz: {:.1} GOP/s at most (a target, not a measurement)\n\
             memory ports    {} of 128 bits\n\
             limits          {} tokens, {} experts a layer\n\n",
            self.name,
            self.hash,
            self.rows,
            self.columns,
            self.macs_per_cycle,
            self.clock_mhz_target,
            self.peak_gops_at_target,
            self.read_ports,
            self.max_tokens,
            self.max_experts
        );
        let mut rows = vec![row!["memory", "words", "bytes a word", "bytes"]];
        let memories = self.memories.iter();
        rows.extend(memories.map(|m| row![m.name, m.words, m.word_bytes, thousands(m.bytes as u64)]));
        rows.push(row!["all", "", "", thousands(self.memory_bytes as u64)]);
        title + &table(&rows)
    }
}

fn memories(c: &AccelConfig) -> Vec<Memory> {
    let sizes = [
        ("weight buffer", c.weight_words, c.weight_word_bytes()),
        ("activations", c.activation_words, c.rows),
        ("keys and values", c.stationary_words, c.columns),
        ("residual stream", c.residual_words, c.residual_word_bytes()),
        ("scores", c.score_words, 2 * c.columns),
        (
            "accumulators",
            BANKS * c.accumulator_pairs,
            PAIR * SUM_BYTES * c.columns,
        ),
        ("program", c.program_commands, COMMAND_BYTES),
    ];
    let memory = |(name, words, word_bytes)| Memory {
        name,
        words,
        word_bytes,
        bytes: words * word_bytes,
    };
    sizes.into_iter().map(memory).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_multiplies_2048_a_cycle() {
        let info = Configuration::new(&AccelConfig::named("zcu104").unwrap());
        assert_eq!(info.macs_per_cycle, 2_048);
        assert!((info.peak_gops_at_target - 1_228.8).abs() < 1e-9);
        let weights = &info.memories[0];
        assert_eq!(weights.bytes, 16_384 * 32 / 8 * 32);
        assert_eq!(
            info.memory_bytes,
            info.memories.iter().map(|m| m.bytes).sum::<usize>()
        );
    }
}
