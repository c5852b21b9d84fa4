//! Cycles of the commands whose length depends on nothing but themselves.

use moevit_hw::attention::softmax;
use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::{Norm, Softmax, Write};
use moevit_hw::norm::layer_norm;

/// From a Write to its first burst, and from its last beat to the response.
const WRITE_OVERHEAD_CYCLES: u64 = 20;

pub fn norm(config: &AccelConfig, op: &Norm) -> u64 {
    let words = u64::from(op.tokens * op.row_words * (1 + op.wide));
    words + layer_norm::overhead_cycles(config.columns, op.row_words as usize) as u64
}

pub fn softmax(config: &AccelConfig, op: &Softmax) -> u64 {
    let row_words = (op.keys as usize).div_ceil(config.columns);
    let words = op.queries as usize * row_words;
    (words + softmax::overhead_cycles(config.columns, row_words)) as u64
}

pub fn write(op: &Write) -> u64 {
    u64::from(op.beats) + WRITE_OVERHEAD_CYCLES
}
