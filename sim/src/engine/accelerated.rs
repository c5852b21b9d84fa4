//! A program on anything with the accelerator's pins: circuit or Verilog.

use anyhow::Result;
use moevit_hw::config::BEAT_BYTES;
use moevit_hw::control::command::Unit;

use super::device::Device;
use super::session::{Frame, FrameResult, Session};
use super::{Cycles, Engine, EngineOutput, Progress};
use crate::memory::MemoryConfig;
use crate::program::Program;

/// The host gives up here even if the accelerator's own watchdog sees progress.
const FRAME_LIMIT_CYCLES: u64 = 200_000_000;
/// What the fetch unit or the array may wait for.
const STALLS: [&str; 4] = ["stream", "bank", "sync", "full"];

/// A device with a program in its board's memory.
pub struct Accelerated<D> {
    session: Session<D>,
    command_count: u32,
    result_bytes: usize,
    read_ports: usize,
}

impl<D: Device> Accelerated<D> {
    /// Resets the device and loads the program: once, whatever tasks the frames are for.
    pub fn new(device: D, program: &Program, memory: MemoryConfig) -> Result<Self> {
        let read_ports = program.config.read_ports;
        let mut session = Session::new(device, memory, read_ports)?;
        session.load(&program.payload)?;
        Ok(Self {
            session,
            command_count: program.meta.command_count,
            result_bytes: program.meta.result_bytes as usize,
            read_ports,
        })
    }

    fn frame<'a>(&self, image: &'a [u8], task: usize) -> Frame<'a> {
        Frame {
            command_count: self.command_count,
            image,
            task: task as u32,
            result_bytes: self.result_bytes,
            limit_cycles: FRAME_LIMIT_CYCLES,
        }
    }

    fn counters(&mut self) -> Result<Cycles> {
        let mut read = |name: &str| self.session.read(name).map(u64::from);
        let mut cycles = Cycles {
            total: read("CYCLES")?,
            streaming: read("STREAMING")?,
            skipped_experts: read("SKIPPED_EXPERTS")?,
            bytes_written: read("BEATS_OUT")? * BEAT_BYTES as u64,
            ..Cycles::default()
        };
        for unit in Unit::ALL {
            let busy = read(&format!("BUSY_{}", unit.name().to_uppercase()))?;
            cycles.by_unit.insert(unit.name().into(), busy);
        }
        for cause in STALLS {
            let waited = read(&format!("STALL_{}", cause.to_uppercase()))?;
            cycles.stalls.insert(cause.into(), waited);
        }
        for port in 0..self.read_ports {
            let beats = read(&format!("BEATS_IN_{port}"))?;
            cycles.bytes_read.push(beats * BEAT_BYTES as u64);
        }
        Ok(cycles)
    }
}

impl<D: Device> Engine for Accelerated<D> {
    fn run(&mut self, image: &[u8], task: usize, progress: &mut Progress) -> Result<EngineOutput> {
        let frame = self.frame(image, task);
        let result = self.session.frame(&frame, progress)?.result;
        let cycles = Some(self.counters()?);
        Ok(EngineOutput { result, cycles })
    }

    fn stream(&mut self, frames: &[(Vec<u8>, usize)], progress: &mut Progress) -> Result<Vec<FrameResult>> {
        let frames: Vec<Frame> = frames
            .iter()
            .map(|(image, task)| self.frame(image, *task))
            .collect();
        self.session.stream(&frames, progress)
    }

    fn finish(&mut self) -> Result<()> {
        self.session.finish()
    }
}
