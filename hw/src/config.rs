//! `AccelConfig`: the one place that holds a size of the accelerator.
//!
//! Circuits, Verilog, register values, compiler and reports derive every size from it. Named configurations are TOML files in
//! `hw/configs`; [`AccelConfig::validate`] refuses an illegal set with a sentence.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Bytes of one AXI beat (128-bit data bus).
pub const BEAT_BYTES: usize = 16;
/// Beats of the longest burst; 16 beats of 16 bytes stay inside 4 KB when aligned to 256 bytes.
pub const BURST_BEATS: usize = 16;
/// Bytes of the longest burst, and the alignment of everything that the weight stream fetches.
pub const BURST_BYTES: usize = BEAT_BYTES * BURST_BEATS;
/// Lanes of one DSP cascade: the longest whose packed lower field (18 bits) stays exact for tokens down to -128.
pub const CASCADE_LANES: usize = 8;
/// Lanes of one weight-load bus; a tile loads in this many cycles.
pub const LOAD_LANES: usize = 8;
/// Bytes of one channel's post-processing parameters: bias (i32), mantissa (u16), factor (u16).
pub const PARAMETER_BYTES: usize = 8;
/// Largest number of experts that a token may choose.
pub const MAX_TOP_K: usize = 4;
/// Longest name of a configuration: what a program file has room for.
pub const MAX_NAME_BYTES: usize = 32;
/// Beyond what the device can clock; more is a mistake.
const MAX_CLOCK_MHZ: u32 = 1_000;

/// Why a configuration is refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("unknown configuration '{0}'; the named ones are {1}")]
    Unknown(String, String),
    #[error("configuration file: {0}")]
    Parse(#[from] toml::de::Error),
    #[error("configuration '{name}': {sentence}")]
    Illegal { name: String, sentence: String },
}

/// Every size of the accelerator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccelConfig {
    /// Name in every artefact, comments of Verilog and C among them: letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// R: lanes of the array, channels summed in a step.
    pub rows: usize,
    /// C: columns of the array, results a step and token.
    pub columns: usize,
    /// AXI4 read ports of 128 bits, 1 to 4; bursts go round them in turn.
    pub read_ports: usize,
    /// Bursts that a read port keeps outstanding.
    pub outstanding_bursts: usize,
    /// Weight buffer, words of `rows / 8 * columns` bytes.
    pub weight_words: usize,
    /// Activation memory, words of `rows` bytes.
    pub activation_words: usize,
    /// Key/value memory, words of `columns` bytes.
    pub stationary_words: usize,
    /// Residual memory, words of `columns` 16-bit values.
    pub residual_words: usize,
    /// Score memory, words of `columns` 16-bit scores.
    pub score_words: usize,
    /// Token pairs of one accumulator bank (there are two).
    pub accumulator_pairs: usize,
    /// Largest number of tokens of a frame.
    pub max_tokens: usize,
    /// Largest number of experts of a layer.
    pub max_experts: usize,
    /// Commands of the program memory.
    pub program_commands: usize,
    /// Commands that wait in front of a unit.
    pub queue_commands: usize,
    /// Clock that the design is written for; a target, never a result.
    pub clock_mhz_target: u32,
}

const NAMED: [(&str, &str); 2] = [
    ("nano", include_str!("../configs/nano.toml")),
    ("zcu104", include_str!("../configs/zcu104.toml")),
];

impl AccelConfig {
    /// Names of the configurations that come with the crate.
    pub fn names() -> Vec<&'static str> {
        NAMED.iter().map(|(name, _)| *name).collect()
    }

    /// A configuration that comes with the crate.
    pub fn named(name: &str) -> Result<Self, ConfigError> {
        let (_, text) = NAMED
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| ConfigError::Unknown(name.into(), Self::names().join(", ")))?;
        Self::from_toml(text)
    }

    /// Parses and validates a TOML text.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)?;
        config.validate()?;
        Ok(config)
    }

    /// Refuses every set that the circuits cannot be built from.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self.first_fault() {
            None => Ok(()),
            Some(sentence) => Err(ConfigError::Illegal {
                // Escaped: a broken name must not break the message.
                name: self.name.escape_debug().to_string(),
                sentence,
            }),
        }
    }

    fn first_fault(&self) -> Option<String> {
        self.name_fault()
            .or_else(|| self.array_fault())
            .or_else(|| self.port_fault())
            .or_else(|| self.memory_fault())
    }

    fn name_fault(&self) -> Option<String> {
        let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !(1..=MAX_NAME_BYTES).contains(&self.name.len()) || !self.name.chars().all(is_legal) {
            return Some(format!(
                "name is '{}', but must be 1 to {MAX_NAME_BYTES} letters, digits, '_', '-' or '.'",
                self.name.escape_debug()
            ));
        }
        if !(1..=MAX_CLOCK_MHZ).contains(&self.clock_mhz_target) {
            return Some(format!(
                "clock_mhz_target is {}, but must be 1 to {MAX_CLOCK_MHZ}",
                self.clock_mhz_target
            ));
        }
        None
    }

    fn array_fault(&self) -> Option<String> {
        let (r, c) = (self.rows, self.columns);
        if !matches!(r, 16 | 32 | 64) {
            return Some(format!("rows is {r}, but the array's lanes come in 16, 32 or 64"));
        }
        if !c.is_power_of_two() || !(4..=64).contains(&c) || c > r {
            return Some(format!(
                "columns is {c}, but must be a power of two from 4 to 64 and at most rows ({r})"
            ));
        }
        if self.weight_word_bytes() % BEAT_BYTES != 0 {
            return Some(format!(
                "rows / 8 * columns is {} bytes, but must be a multiple of 16",
                self.weight_word_bytes()
            ));
        }
        if self.weight_word_bytes() > BURST_BYTES {
            return Some(format!(
                "rows / 8 * columns is {} bytes, but a weight word must fit a burst of {BURST_BYTES}",
                self.weight_word_bytes()
            ));
        }
        if self.residual_word_bytes() % 4 != 0 || self.weight_word_bytes() % self.residual_word_bytes() != 0 {
            return Some(format!(
                "a weight word of {} bytes must hold whole residual words of {} bytes",
                self.weight_word_bytes(),
                self.residual_word_bytes()
            ));
        }
        if self.weight_word_bytes() % self.rows != 0 {
            return Some(format!(
                "a weight word of {} bytes must hold whole activation words of {r} bytes",
                self.weight_word_bytes()
            ));
        }
        None
    }

    fn port_fault(&self) -> Option<String> {
        if !(1..=4).contains(&self.read_ports) {
            return Some(format!("read_ports is {}, but must be 1 to 4", self.read_ports));
        }
        if !(1..=8).contains(&self.outstanding_bursts) {
            return Some(format!(
                "outstanding_bursts is {}, but must be 1 to 8",
                self.outstanding_bursts
            ));
        }
        if !(4..=64).contains(&self.queue_commands) {
            return Some(format!(
                "queue_commands is {}, but must be 4 to 64",
                self.queue_commands
            ));
        }
        if !(1..=32).contains(&self.max_experts) {
            return Some(format!(
                "max_experts is {}, but must be 1 to 32",
                self.max_experts
            ));
        }
        if self.max_tokens > 2 * self.accumulator_pairs || !(2..=2_000).contains(&self.max_tokens) {
            return Some(format!(
                "max_tokens is {}, but must be 2 to 2000 and fit 2 x accumulator_pairs ({})",
                self.max_tokens, self.accumulator_pairs
            ));
        }
        None
    }

    fn memory_fault(&self) -> Option<String> {
        let least_weights =
            4 * BURST_BYTES * self.read_ports * self.outstanding_bursts / self.weight_word_bytes();
        let memories = [
            ("weight_words", self.weight_words, least_weights, 65_536),
            ("activation_words", self.activation_words, 64, 65_536),
            ("stationary_words", self.stationary_words, 64, 65_536),
            ("residual_words", self.residual_words, 64, 65_536),
            ("score_words", self.score_words, 64, 65_536),
            ("accumulator_pairs", self.accumulator_pairs, 16, 1_024),
            ("program_commands", self.program_commands, 16, 4_096),
        ];
        memories.iter().find_map(|&(name, value, least, most)| {
            (!(least..=most).contains(&value))
                .then(|| format!("{name} is {value}, but must be {least} to {most}"))
        })
    }

    /// Bytes of a word of the weight stream: `rows / 8` rows of `columns` weights.
    pub fn weight_word_bytes(&self) -> usize {
        self.rows / LOAD_LANES * self.columns
    }

    /// Beats of a word of the weight stream.
    pub fn word_beats(&self) -> usize {
        self.weight_word_bytes() / BEAT_BYTES
    }

    /// Bytes of a word of the residual memory.
    pub fn residual_word_bytes(&self) -> usize {
        2 * self.columns
    }

    /// Weight-stream words that hold the post-processing parameters of one tile of columns.
    pub fn parameter_words(&self) -> usize {
        (PARAMETER_BYTES * self.columns).div_ceil(self.weight_word_bytes())
    }

    /// Writes of `columns` bytes that fill one activation word.
    pub fn groups(&self) -> usize {
        self.rows / self.columns
    }

    /// Multiply-accumulates a cycle: two tokens in each cell.
    pub fn macs_per_cycle(&self) -> usize {
        2 * self.rows * self.columns
    }

    /// First 32 bits of the SHA-256 of the canonical TOML text; drivers refuse a bitstream with another value.
    pub fn hash(&self) -> u32 {
        let text = toml::to_string(self).expect("a plain struct always serialises");
        let digest = Sha256::digest(text.as_bytes());
        u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_configurations_are_legal_and_differ() {
        let hashes: Vec<u32> = AccelConfig::names()
            .iter()
            .map(|n| AccelConfig::named(n).unwrap().hash())
            .collect();
        assert_eq!(hashes.len(), 2);
        assert_ne!(hashes[0], hashes[1]);
    }

    #[test]
    fn unknown_name_lists_the_known_ones() {
        let message = AccelConfig::named("mega").unwrap_err().to_string();
        assert!(
            message.contains("mega") && message.contains("nano") && message.contains("zcu104"),
            "{message}"
        );
    }

    #[test]
    fn every_illegal_field_is_named() {
        type Fault = (&'static str, fn(&mut AccelConfig));
        let faults: [Fault; 20] = [
            ("rows", |c| c.rows = 24),
            ("columns", |c| c.columns = 12),
            ("columns", |c| c.columns = 64),
            ("read_ports", |c| c.read_ports = 0),
            ("read_ports", |c| c.read_ports = 5),
            ("outstanding_bursts", |c| c.outstanding_bursts = 9),
            ("queue_commands", |c| c.queue_commands = 1),
            ("max_experts", |c| c.max_experts = 33),
            ("max_tokens", |c| c.max_tokens = 1_999),
            ("weight_words", |c| c.weight_words = 1),
            ("activation_words", |c| c.activation_words = 70_000),
            ("program_commands", |c| c.program_commands = 0),
            ("weight word", |c| c.columns = 4),
            ("clock_mhz_target", |c| c.clock_mhz_target = 0),
            ("clock_mhz_target", |c| c.clock_mhz_target = 1_001),
            ("name is ''", |c| c.name = String::new()),
            ("name is 'a\\nb'", |c| c.name = "a\nb".into()),
            ("name is 'a*/b'", |c| c.name = "a*/b".into()),
            ("name is 'ü'", |c| c.name = "ü".into()),
            ("name is 'n", |c| c.name = "n".repeat(33)),
        ];
        for (field, break_it) in faults {
            let mut config = AccelConfig::named("nano").unwrap();
            break_it(&mut config);
            let message = config.validate().unwrap_err().to_string();
            assert!(
                message.contains(field) || message.contains("rows / 8"),
                "{field}: {message}"
            );
            assert!(!message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn every_number_of_ports_and_every_plain_name_is_legal() {
        for ports in 1..=4 {
            let config = AccelConfig {
                name: format!("My-own_{ports}.ports"),
                read_ports: ports,
                ..AccelConfig::named("zcu104").unwrap()
            };
            config.validate().unwrap();
        }
    }
}
