//! The compiler: a trained network and calibration images become a program for a configuration.
//!
//! ```text
//! architecture --layout--> places          checkpoint + images --calibrate--> samples
//!                    \                                                  |
//!                     +-------------> network (fold, scale, quantise) <-+
//!                                        |
//!                                      emit --> steps --fetches--> --waits--> program
//! ```
//!
//! [`network`] holds the arithmetic, [`emit`] the commands in dispatch order, [`schedule`] what lets the units overlap.

pub mod calibrate;
pub mod emit;
mod error;
pub mod fold;
pub mod layout;
pub mod multiplier;
pub mod network;
pub mod place;
pub mod quantise;
pub mod samples;
pub mod scale;
pub mod schedule;
pub mod tile;

use moevit_hw::config::{AccelConfig, BEAT_BYTES, BURST_BYTES};
use moevit_hw::control::command::COMMAND_BYTES;

use crate::golden::Golden;
use crate::model::{Architecture, Image, Model};
use crate::program::{self, ImageLayout, Label, Meta, Program, Task, Tensor};

pub use calibrate::Calibration;
pub use error::CompileError;
use layout::Layout;
use network::Network;
use schedule::{fetches, waits, Step};

/// What a compilation may be told.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The safetensors file that the model came from, kept in the program for comparisons with the golden model.
    pub checkpoint: Option<Vec<u8>>,
}

/// Compiles a model for a configuration.
pub fn compile(
    config: &AccelConfig,
    architecture: &Architecture,
    model: &Model,
    images: &[Image],
    options: &Options,
) -> Result<Program, CompileError> {
    config.validate()?;
    // First, because everything else takes time and memory by the network's size.
    let layout = Layout::new(config, architecture)?;
    let golden = Golden::new(architecture, model).map_err(|e| CompileError::Model(e.to_string()))?;
    let calibration = Calibration::run(&golden, images)?;
    let network = Network::build(&golden, &calibration, &layout)?;
    assemble(config, architecture, &layout, &network, &calibration, options)
}

fn assemble(
    config: &AccelConfig,
    architecture: &Architecture,
    layout: &Layout,
    network: &Network,
    calibration: &Calibration,
    options: &Options,
) -> Result<Program, CompileError> {
    let steps = emit::frame(config, architecture, layout, network);
    let (mut steps, data) = fetches::insert(config, steps);
    if steps.len() > config.program_commands {
        return Err(CompileError::Capacity {
            what: "the program".into(),
            buffer: "program_commands",
            unit: "commands",
            needed: steps.len(),
            available: config.program_commands,
            config: config.name.clone(),
        });
    }
    waits::resolve(config, &mut steps);
    let program = Program {
        config: config.clone(),
        meta: meta(config, architecture, layout, network, &steps)?,
        payload: payload(&steps, data)?,
        golden: options.checkpoint.as_ref().map(|checkpoint| program::Golden {
            checkpoint: checkpoint.clone(),
            calibration: network.summary(calibration),
        }),
    };
    program.to_bytes()?;
    Ok(program)
}

/// Commands, padded, and everything that they fetch.
fn payload(steps: &[Step], data: Vec<u8>) -> Result<Vec<u8>, CompileError> {
    let offset = fetches::payload_offset(steps.len());
    let mut payload = Vec::with_capacity(offset + data.len());
    for (index, step) in steps.iter().enumerate() {
        let words = step.command().encode().map_err(|source| CompileError::Command {
            index,
            label: step.layer.clone(),
            source,
        })?;
        payload.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
    debug_assert_eq!(payload.len(), steps.len() * COMMAND_BYTES);
    payload.resize(offset, 0);
    payload.extend(data);
    Ok(payload)
}

fn meta(
    config: &AccelConfig,
    architecture: &Architecture,
    layout: &Layout,
    network: &Network,
    steps: &[Step],
) -> Result<Meta, CompileError> {
    let s = &layout.sizes;
    let head_offset = emit::head_offset(s);
    let tasks: Vec<Task> = (0..architecture.tasks.len())
        .map(|task| Task {
            name: architecture.tasks[task].name.clone(),
            head: Some(Tensor {
                offset: head_offset as u64,
                tokens: layout.heads[task].tokens,
                outputs: layout.heads[task].outputs,
                stride: (layout.heads[task].row * config.residual_word_bytes()) as u64,
                scales: network.heads[task].scales.iter().map(|&x| x as f32).collect(),
            }),
        })
        .collect();
    let rows = |h: &layout::HeadLayout| {
        (h.tokens * h.row * config.residual_word_bytes()).next_multiple_of(BEAT_BYTES)
    };
    let heads = layout.heads.iter().map(rows).max().unwrap_or(0);
    let patch_stride = s.patch_words * config.rows;
    let image_bytes = (architecture.patches() * patch_stride).next_multiple_of(config.weight_word_bytes());
    let label = |step: &Step| Label {
        layer: step.layer.clone(),
        macs: step.macs,
    };
    Ok(Meta {
        model: serde_json::to_value(architecture).map_err(|e| CompileError::Model(e.to_string()))?,
        command_count: steps.len() as u32,
        image: ImageLayout {
            channels: architecture.image.channels,
            height: architecture.image.height,
            width: architecture.image.width,
            patch: architecture.image.patch,
            patch_stride,
            bytes: image_bytes.next_multiple_of(BURST_BYTES),
        },
        residual_fraction_bits: network.residual_bits,
        result_bytes: (head_offset + heads) as u64,
        tokens: Tensor {
            offset: 0,
            tokens: s.tokens,
            outputs: s.width,
            stride: 2 * s.width as u64,
            scales: vec![2f32.powi(-network.residual_bits)],
        },
        tasks,
        labels: steps.iter().map(label).collect(),
    })
}
