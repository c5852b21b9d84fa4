//! A timeline as a table: cycles by layer and unit.

use super::timeline::Timeline;
use crate::engine::Compiled;
use anyhow::Result;
use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::{Operation, Unit};
use serde::Serialize;
use std::collections::BTreeMap;

/// The cycles before the array's first command and behind its last one.
const END: &str = "end of frame";

/// Where a part of the network spends its cycles.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Layer {
    pub name: String,
    /// Multiply-accumulates of the network for one frame.
    pub macs: u64,
    /// Bytes of the weight stream that its array commands consume.
    pub bytes: u64,
    /// Cycles of the frame that belong to it: what the array does for it, and its waiting before. All layers together are the frame.
    pub cycles: u64,
    /// The same by what the array does.
    pub array: BTreeMap<&'static str, u64>,
    /// Cycles in which each other unit works on it, beside the array.
    pub units: BTreeMap<&'static str, u64>,
}

/// What a command is counted to.
struct Account {
    layer: String,
    bytes: u64,
}

/// The table, in the order of the program; `name` makes a row's name of a command's label.
pub fn layers(
    compiled: &Compiled,
    task: usize,
    timeline: &Timeline,
    name: impl Fn(&str) -> String,
) -> Result<Vec<Layer>> {
    let program = &compiled.program;
    let commands = program.commands()?;
    let accounts: Vec<Account> = commands
        .iter()
        .zip(&program.meta.labels)
        .map(|(command, label)| Account {
            layer: name(&label.layer),
            bytes: stream_bytes(&program.config, &command.operation),
        })
        .collect();
    let mut rows: Vec<Layer> = Vec::new();
    for (account, macs) in accounts.iter().zip(compiled.macs_by_command(task)?) {
        row(&mut rows, &account.layer).macs += macs;
    }
    let of = |command: Option<usize>| command.map_or(END, |c| accounts[c].layer.as_str());
    for run in &timeline.runs {
        let row = row(&mut rows, of(run.command));
        row.cycles += run.cycles();
        *row.array.entry(run.array.name()).or_default() += run.cycles();
    }
    for span in &timeline.spans {
        let row = row(&mut rows, of(span.command));
        if span.unit == Unit::Array {
            let account = span.command.map(|c| &accounts[c]);
            row.bytes += account.map_or(0, |account| account.bytes);
        } else {
            *row.units.entry(span.unit.name()).or_default() += span.end - span.start;
        }
    }
    rows.retain(|row| row.cycles > 0 || !row.units.is_empty());
    Ok(rows)
}

fn row<'a>(rows: &'a mut Vec<Layer>, name: &str) -> &'a mut Layer {
    let at = rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
        rows.push(Layer {
            name: name.into(),
            ..Layer::default()
        });
        rows.len() - 1
    });
    &mut rows[at]
}

/// `block 3 head 1 key` becomes `block 3 key`: heads take turns.
pub fn without_heads(label: &str) -> String {
    let mut words: Vec<&str> = label.split(' ').collect();
    if let Some(at) = words.iter().position(|&word| word == "head") {
        if words
            .get(at + 1)
            .is_some_and(|word| word.parse::<usize>().is_ok())
        {
            words.drain(at..at + 2);
        }
    }
    words.join(" ")
}

/// `block 3 head 1 key` becomes `key`: what all blocks have in common.
pub fn kind(label: &str) -> String {
    if label.ends_with("weights") {
        return "weights".into();
    }
    let label = without_heads(label);
    match label.strip_prefix("block ").and_then(|rest| rest.split_once(' ')) {
        Some((number, kind)) if number.parse::<usize>().is_ok() => kind.into(),
        _ => label,
    }
}

/// Bytes of the weight stream that an array command consumes.
fn stream_bytes(config: &AccelConfig, operation: &Operation) -> u64 {
    let word = config.weight_word_bytes();
    let words = match operation {
        Operation::MatMul(op) => {
            let tiles = (op.n_tiles * op.k_tiles) as usize * [1, 2, 4][op.planes as usize];
            let tile_words = usize::from(op.stationary == 0) * config.rows * config.columns / word;
            let blocks = if op.hold_parameters == 1 {
                1
            } else {
                op.n_tiles as usize
            };
            tiles * tile_words + blocks * config.parameter_words()
        }
        Operation::Copy(op) => {
            let bytes = [config.rows, config.residual_word_bytes()][op.residual as usize];
            (op.words as usize * bytes).div_ceil(word)
        }
        Operation::Discard(op) => op.words as usize,
        _ => 0,
    };
    (words * word) as u64
}
