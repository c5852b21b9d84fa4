//! Layers, commands and bytes of a program.

use crate::output::{table, thousands};
use crate::row;
use anyhow::Result;
use moevit_hw::config::BEAT_BYTES;
use moevit_hw::control::command::Operation;
use moevit_sim::engine::Compiled;
use serde::Serialize;

/// Commands of one layer.
#[derive(Serialize)]
struct Layer {
    name: String,
    commands: usize,
    /// Of one token and expert within an expert loop.
    macs: u64,
    /// Bytes that its fetches name, of all experts.
    fetched_bytes: u64,
}

/// A task of a program.
#[derive(Serialize)]
struct Task {
    name: String,
    macs: u64,
}

/// A program in figures.
#[derive(Serialize)]
pub struct Listing {
    model: String,
    tokens: usize,
    width: usize,
    tasks: Vec<Task>,
    commands: u32,
    payload_bytes: usize,
    image_bytes: usize,
    result_bytes: u64,
    holds_golden: bool,
    layers: Vec<Layer>,
}

impl Listing {
    pub fn new(compiled: &Compiled) -> Result<Self> {
        let (program, meta) = (&compiled.program, &compiled.program.meta);
        let task = |(number, task): (usize, &moevit_sim::program::Task)| {
            let name = task.name.clone();
            compiled.macs(number).map(|macs| Task { name, macs })
        };
        Ok(Self {
            model: compiled.architecture.name.clone(),
            tokens: meta.tokens.tokens,
            width: meta.tokens.outputs,
            tasks: meta.tasks.iter().enumerate().map(task).collect::<Result<_>>()?,
            commands: meta.command_count,
            payload_bytes: program.payload.len(),
            image_bytes: meta.image.bytes,
            result_bytes: meta.result_bytes,
            holds_golden: program.golden.is_some(),
            layers: layers(compiled)?,
        })
    }

    pub fn text(&self) -> String {
        let mut text = format!(
            "program of {}: {} tokens of {} channels\n\
             bytes           {} program, {} image, {} result\n\
             golden model    {}\n",
            self.model,
            self.tokens,
            self.width,
            thousands(self.payload_bytes as u64),
            thousands(self.image_bytes as u64),
            thousands(self.result_bytes),
            if self.holds_golden { "inside" } else { "left out" }
        );
        for (number, task) in self.tasks.iter().enumerate() {
            text += &format!(
                "task {number}          {}: {} multiply-accumulates a frame\n",
                task.name,
                thousands(task.macs)
            );
        }
        let mut rows = vec![row!["layer", "commands", "MACs", "bytes fetched"]];
        for layer in &self.layers {
            let (macs, bytes) = (thousands(layer.macs), thousands(layer.fetched_bytes));
            rows.push(row![layer.name, layer.commands, macs, bytes]);
        }
        rows.push(row!["all", self.commands]);
        text + "\n" + &table(&rows)
    }
}

/// Commands in program order, neighbours of the same layer together.
fn layers(compiled: &Compiled) -> Result<Vec<Layer>> {
    let mut layers: Vec<Layer> = Vec::new();
    let commands = compiled.program.commands()?;
    for (command, label) in commands.iter().zip(&compiled.program.meta.labels) {
        if layers.last().is_none_or(|layer| layer.name != label.layer) {
            layers.push(Layer {
                name: label.layer.clone(),
                commands: 0,
                macs: 0,
                fetched_bytes: 0,
            });
        }
        if let Some(layer) = layers.last_mut() {
            layer.commands += 1;
            layer.macs += label.macs;
            layer.fetched_bytes += fetched_bytes(&command.operation);
        }
    }
    Ok(layers)
}

fn fetched_bytes(operation: &Operation) -> u64 {
    let Operation::Fetch(fetch) = operation else {
        return 0;
    };
    let experts = if fetch.experts == 1 { fetch.expert_count } else { 1 };
    u64::from(fetch.beats) * u64::from(experts) * BEAT_BYTES as u64
}
