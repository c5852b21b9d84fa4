//! The board's memory as the accelerator sees it: bytes behind AXI4 ports with latency, bandwidth, stalls and faults.
//!
//! One call of [`Board::step`] is one clock edge. It takes what the accelerator drives during the cycle that ends with the edge
//! and the inputs that the board drove in that same cycle ([`Board::inputs`]), and then decides the inputs of the next cycle.

mod axi_read;
mod axi_write;
mod ddr;

pub use axi_read::{ReadInputs, ReadOutputs, ReadSlave};
pub use axi_write::{WriteInputs, WriteOutputs, WriteSlave};
pub use ddr::Ddr;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use thiserror::Error;

/// Bytes of a beat.
pub const BEAT_BYTES: u64 = 16;

/// Bandwidth that nobody takes is saved up for so many cycles.
const SAVED_CYCLES: u32 = 4;

/// AXI response codes.
pub const OKAY: u8 = 0;
/// The slave's own error.
pub const SLVERR: u8 = 2;
pub const DECERR: u8 = 3;

/// Figures of the memory system; the default is DDR4-2133 behind four ports at 300 MHz.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryConfig {
    /// Cycles from a read address to the first beat of its data.
    pub first_beat_cycles: u32,
    /// Bytes a cycle that all read ports share.
    pub bytes_per_cycle: u32,
    /// Bursts that a port accepts before the first is finished.
    pub outstanding: usize,
    /// Seed of random stalls on every channel; `None` for no stalls.
    pub stalls: Option<u64>,
    pub faults: Faults,
}

impl MemoryConfig {
    /// Default of [`Self::first_beat_cycles`].
    pub const FIRST_BEAT_CYCLES: u32 = 60;
    /// Default of [`Self::bytes_per_cycle`].
    pub const BYTES_PER_CYCLE: u32 = 48;
    /// Least [`Self::bytes_per_cycle`]: with less, what the board saves up never makes a beat.
    pub const BYTES_PER_CYCLE_MIN: u32 = BEAT_BYTES as u32 / SAVED_CYCLES;
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            first_beat_cycles: Self::FIRST_BEAT_CYCLES,
            bytes_per_cycle: Self::BYTES_PER_CYCLE,
            outstanding: 8,
            stalls: None,
            faults: Faults::default(),
        }
    }
}

/// What goes wrong on purpose.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Reads that touch this address answer SLVERR.
    pub read_error: Option<u64>,
    /// Writes that touch this address answer SLVERR.
    pub write_error: Option<u64>,
    /// They answer DECERR instead.
    pub decode_error: bool,
    /// From this cycle on, no channel answers.
    pub silent_from: Option<u64>,
}

impl Faults {
    fn error(&self) -> u8 {
        if self.decode_error {
            DECERR
        } else {
            SLVERR
        }
    }
}

/// A rule of AXI4, or of the subset that the accelerator promises, that was broken.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("port {port}, cycle {cycle}: {sentence}")]
pub struct ProtocolError {
    pub port: usize,
    pub cycle: u64,
    pub sentence: String,
}

/// What the accelerator drives on its memory ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BoardOutputs {
    pub read: Vec<ReadOutputs>,
    pub write: WriteOutputs,
}

/// What the board drives on the accelerator's memory ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BoardInputs {
    pub read: Vec<ReadInputs>,
    pub write: WriteInputs,
}

/// Memory and ports together.
pub struct Board {
    pub ddr: Ddr,
    config: MemoryConfig,
    reads: Vec<ReadSlave>,
    write: WriteSlave,
    inputs: BoardInputs,
    stalls: Stalls,
    /// Bytes that the shared bandwidth still allows.
    credit: u32,
    first_port: usize,
    cycle: u64,
}

impl Board {
    /// A board with `ports` read ports and one write port.
    pub fn new(config: MemoryConfig, ports: usize) -> Self {
        Self {
            ddr: Ddr::default(),
            reads: (0..ports).map(ReadSlave::new).collect(),
            write: WriteSlave::default(),
            inputs: BoardInputs {
                read: vec![ReadInputs::default(); ports],
                write: WriteInputs::default(),
            },
            stalls: Stalls::new(config.stalls),
            credit: 0,
            first_port: 0,
            cycle: 0,
            config,
        }
    }

    /// What the board drives in the current cycle.
    pub fn inputs(&self) -> &BoardInputs {
        &self.inputs
    }

    /// What goes wrong from now on.
    pub fn set_faults(&mut self, faults: Faults) {
        self.config.faults = faults;
    }

    /// Cycles since the board began.
    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// Bytes that each read port has delivered.
    pub fn bytes_read(&self) -> Vec<u64> {
        self.reads.iter().map(|port| port.beats() * BEAT_BYTES).collect()
    }

    /// One clock edge; see the module.
    pub fn step(&mut self, outputs: &BoardOutputs) -> Result<(), ProtocolError> {
        let silent = self
            .config
            .faults
            .silent_from
            .is_some_and(|from| self.cycle >= from);
        let fresh = self.config.bytes_per_cycle;
        self.credit = (self.credit + fresh).min(SAVED_CYCLES * fresh);
        let ports = self.reads.len();
        for i in 0..ports {
            let port = (self.first_port + i) % ports;
            self.step_read(port, &outputs.read[port], silent)?;
        }
        self.first_port = (self.first_port + 1) % ports;
        let stalls = [self.stalls.draw(), self.stalls.draw(), self.stalls.draw()];
        self.inputs.write = self.write.step(
            self.cycle,
            &outputs.write,
            &self.inputs.write,
            &mut self.ddr,
            &self.config,
            silent,
            stalls,
        )?;
        self.cycle += 1;
        Ok(())
    }

    fn step_read(&mut self, port: usize, outputs: &ReadOutputs, silent: bool) -> Result<(), ProtocolError> {
        let slave = &mut self.reads[port];
        slave.edge(self.cycle, outputs, &self.inputs.read[port], &self.config)?;
        let (stall_address, stall_data) = (self.stalls.draw(), self.stalls.draw());
        let may_send = !silent && !stall_data && u64::from(self.credit) >= BEAT_BYTES;
        let (inputs, fresh) = slave.drive(
            self.cycle,
            &self.ddr,
            &self.config,
            may_send,
            !silent && !stall_address,
        );
        if fresh {
            self.credit -= BEAT_BYTES as u32;
        }
        self.inputs.read[port] = inputs;
        Ok(())
    }
}

/// Random stalls whose density changes now and then, from none to nearly always.
struct Stalls {
    rng: Option<SmallRng>,
    density: f64,
    left: u32,
}

impl Stalls {
    fn new(seed: Option<u64>) -> Self {
        Self {
            rng: seed.map(SmallRng::seed_from_u64),
            density: 0.0,
            left: 0,
        }
    }

    fn draw(&mut self) -> bool {
        let Some(rng) = &mut self.rng else { return false };
        if self.left == 0 {
            self.left = rng.random_range(50..3_000);
            self.density = [0.0, 0.1, 0.3, 0.5, 0.9][rng.random_range(0..5)];
        }
        self.left -= 1;
        rng.random_bool(self.density)
    }
}

#[cfg(test)]
mod tests;
