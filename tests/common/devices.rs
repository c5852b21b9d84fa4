//! The accelerator as circuit and as Verilog, ready for programs.

use anyhow::Result;
use moevit_hw::config::AccelConfig;
use moevit_sim::engine::circuit::CircuitDevice;
use moevit_sim::engine::device::{Device, DeviceInputs, DeviceOutputs};
use moevit_sim::engine::session::{Frame, Session, RESULT_BASE};
use moevit_sim::engine::verilator::VerilatorDevice;
use moevit_sim::memory::MemoryConfig;
use moevit_sim::program::Program;
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

/// Cycles after which a frame of a test has hung; its watchdog bites long before.
pub const LIMIT_CYCLES: u64 = 3_000_000;

/// Which simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    Circuit,
    Verilator,
}

/// The exported Verilog of a configuration in its initial state; built once a test program and kept in the cache.
pub fn verilator(config: &AccelConfig) -> VerilatorDevice {
    static MODELS: OnceLock<Mutex<HashMap<u32, VerilatorDevice>>> = OnceLock::new();
    let mut models = MODELS.get_or_init(Mutex::default).lock().unwrap();
    let model = models
        .entry(config.hash())
        .or_insert_with(|| VerilatorDevice::new(config).unwrap());
    model.fresh().unwrap()
}

/// A device of either world.
pub enum AnyDevice {
    Circuit(Box<CircuitDevice>),
    Verilator(Box<VerilatorDevice>),
}

impl Device for AnyDevice {
    fn cycle(&mut self, inputs: &DeviceInputs, outputs: &mut DeviceOutputs) -> Result<()> {
        match self {
            AnyDevice::Circuit(device) => device.cycle(inputs, outputs),
            AnyDevice::Verilator(device) => device.cycle(inputs, outputs),
        }
    }
}

/// A device with its board, out of reset.
pub fn session(world: World, config: &AccelConfig, memory: MemoryConfig) -> Session<AnyDevice> {
    let device = match world {
        World::Circuit => AnyDevice::Circuit(Box::new(CircuitDevice::new(config))),
        World::Verilator => AnyDevice::Verilator(Box::new(verilator(config))),
    };
    Session::new(device, memory, config.read_ports).unwrap()
}

/// Runs a frame of a loaded program and gives its result.
///
/// The result buffer is cleared first: tasks write different parts of it, and what a task leaves out would be the last frame's.
pub fn frame<D: Device>(
    session: &mut Session<D>,
    program: &Program,
    image: &[u8],
    task: usize,
) -> Result<Vec<u8>> {
    let frame = Frame {
        command_count: program.meta.command_count,
        image,
        task: task as u32,
        result_bytes: program.meta.result_bytes as usize,
        limit_cycles: LIMIT_CYCLES,
    };
    session
        .board()
        .ddr
        .write(RESULT_BASE, &vec![0; frame.result_bytes]);
    Ok(session.frame(&frame, &mut |_| {})?.result)
}
