//! What computes a frame: golden model, integer reference, circuits, Verilog.
//!
//! ```text
//!  image --Runner--+-- golden (f32)
//!                  +-- reference (integers): result, routes
//!                  +-- Engine (circuit, Verilator): the same bits, and cycles
//!                        `-- Session: host, registers, board memory -- Device: pins
//! ```
//!
//! [`Runner::frame`] computes one image for one task, [`judge`] compares it with the golden model, [`evaluate`] does both for a
//! test set.

pub mod accelerated;
pub mod circuit;
pub mod compare;
pub mod compiled;
pub mod device;
pub mod evaluate;
pub mod judge;
pub mod prediction;
pub mod runner;
pub mod session;
pub mod verilator;
mod waveform;

use std::collections::BTreeMap;

use anyhow::Result;
use moevit_hw::config::AccelConfig;
use serde::Serialize;

pub use accelerated::Accelerated;
pub use compiled::Compiled;
pub use runner::{Computer, Frame, Runner};
pub use session::FrameResult;

/// Hears now and then how many cycles a frame has taken.
pub type Progress<'a> = dyn FnMut(u64) + 'a;

/// Where the cycles of a frame went, as the accelerator's own counters say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cycles {
    pub total: u64,
    /// Cycles in which the array took a step.
    pub streaming: u64,
    /// Cycles in which each unit had a command.
    pub by_unit: BTreeMap<String, u64>,
    /// Cycles spent waiting, by what was missing.
    pub stalls: BTreeMap<String, u64>,
    /// Bytes that each read port delivered.
    pub bytes_read: Vec<u64>,
    pub bytes_written: u64,
    /// Experts that were not fetched because nobody chose them.
    pub skipped_experts: u64,
}

/// What an engine gives for a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineOutput {
    /// The result buffer.
    pub result: Vec<u8>,
    pub cycles: Option<Cycles>,
}

/// Frames a second at the configuration's target clock, which is no result.
pub fn frames_per_second(config: &AccelConfig, cycles: f64) -> f64 {
    f64::from(config.clock_mhz_target) * 1e6 / cycles.max(1.0)
}

/// Runs the frames of one program.
pub trait Engine {
    /// Runs a frame of a packed image; see [`crate::program::ImageLayout::pack`].
    fn run(&mut self, image: &[u8], task: usize, progress: &mut Progress) -> Result<EngineOutput>;

    /// Runs packed images, each with its task, back to back: the next one's loading overlaps the present one.
    fn stream(&mut self, frames: &[(Vec<u8>, usize)], progress: &mut Progress) -> Result<Vec<FrameResult>>;

    /// Ends the engine; a waveform is complete afterwards.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}
