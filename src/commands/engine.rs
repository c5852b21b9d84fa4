//! Builds the computer that the user names.

use crate::arguments::{EngineName, MemoryArguments};
use anyhow::{ensure, Result};
use moevit_sim::engine::circuit::CircuitDevice;
use moevit_sim::engine::verilator::VerilatorDevice;
use moevit_sim::engine::{Accelerated, Compiled, Computer};
use moevit_sim::memory::MemoryConfig;
use std::path::Path;

impl EngineName {
    /// Name in arguments and JSON.
    pub fn name(self) -> &'static str {
        match self {
            EngineName::Golden => "golden",
            EngineName::Reference => "reference",
            EngineName::Circuit => "circuit",
            EngineName::Verilator => "verilator",
        }
    }

    /// Whether it simulates clock cycles.
    pub fn is_device(self) -> bool {
        matches!(self, EngineName::Circuit | EngineName::Verilator)
    }
}

impl MemoryArguments {
    pub fn config(&self) -> MemoryConfig {
        MemoryConfig {
            first_beat_cycles: self.latency,
            bytes_per_cycle: self.bandwidth,
            stalls: self.stalls,
            ..MemoryConfig::default()
        }
    }
}

/// The computer for a program; `trace` names a waveform to write.
pub fn computer(
    name: EngineName,
    compiled: &Compiled,
    memory: MemoryConfig,
    trace: Option<&Path>,
) -> Result<Computer> {
    ensure!(
        trace.is_none() || name.is_device(),
        "engine {} has no signals, so --trace has nothing to write; use circuit or verilator",
        name.name()
    );
    let program = &compiled.program;
    Ok(match name {
        EngineName::Golden => {
            compiled.require_golden()?;
            Computer::Golden
        }
        EngineName::Reference => Computer::Reference,
        EngineName::Circuit => {
            let device = CircuitDevice::new(&program.config);
            let device = match trace {
                Some(path) => device.trace(path)?,
                None => device,
            };
            Computer::Engine(Box::new(Accelerated::new(device, program, memory)?))
        }
        EngineName::Verilator => {
            let device = match trace {
                Some(path) => VerilatorDevice::traced(&program.config, path)?,
                None => VerilatorDevice::new(&program.config)?,
            };
            Computer::Engine(Box::new(Accelerated::new(device, program, memory)?))
        }
    })
}
