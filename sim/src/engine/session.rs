//! A host with the accelerator on a board: reset, registers, frames. What a driver does, cycle by cycle.

use super::device::{Device, DeviceInputs, DeviceOutputs, LiteInputs};
use super::Progress;
use crate::memory::{Board, MemoryConfig};
use anyhow::{bail, Context, Result};
use moevit_hw::bus::register_table::{offset, status_sentence};

/// Where the host puts things in the board's memory; 4 KB aligned.
pub const PROGRAM_BASE: u64 = 0x1000_0000;
pub const IMAGE_BASE: u64 = 0x3000_0000;
pub const RESULT_BASE: u64 = 0x4000_0000;

/// Cycles that a register access may take.
const REGISTER_LIMIT_CYCLES: u64 = 1_000;
const RESET_CYCLES: u64 = 16;
/// Cycles without progress after which the accelerator gives up by itself.
const WATCHDOG_CYCLES: u32 = 100_000;
/// Cycles between two reports of progress.
const PROGRESS_CYCLES: u64 = 1_024;

/// A frame of the loaded program.
pub struct Frame<'a> {
    pub command_count: u32,
    pub image: &'a [u8],
    pub task: u32,
    pub result_bytes: usize,
    /// Cycles after which the host stops waiting.
    pub limit_cycles: u64,
}

/// What a frame gave.
#[derive(Clone, Debug)]
pub struct FrameResult {
    pub result: Vec<u8>,
    /// Host cycles from start to interrupt.
    pub cycles: u64,
    /// Bytes delivered by each read port during the frame.
    pub bytes_read: Vec<u64>,
}

/// The host's side of a device.
pub struct Session<D> {
    device: D,
    board: Board,
    inputs: DeviceInputs,
    outputs: DeviceOutputs,
    cycles: u64,
}

impl<D: Device> Session<D> {
    /// A device on a board, out of reset.
    pub fn new(device: D, memory: MemoryConfig, read_ports: usize) -> Result<Self> {
        let mut outputs = DeviceOutputs::default();
        outputs.board.read.resize(read_ports, Default::default());
        let mut session = Self {
            device,
            board: Board::new(memory, read_ports),
            inputs: DeviceInputs::default(),
            outputs,
            cycles: 0,
        };
        session.inputs.reset = true;
        (0..RESET_CYCLES).try_for_each(|_| session.step())?;
        session.inputs.reset = false;
        session.step()?;
        Ok(session)
    }

    /// Cycles since the session began.
    pub fn cycles(&self) -> u64 {
        self.cycles
    }

    /// The board's memory and ports.
    pub fn board(&mut self) -> &mut Board {
        &mut self.board
    }

    /// One clock cycle.
    pub fn step(&mut self) -> Result<()> {
        self.inputs.board.clone_from(self.board.inputs());
        self.board.step(&self.outputs.board)?;
        self.device.cycle(&self.inputs, &mut self.outputs)?;
        self.cycles += 1;
        Ok(())
    }

    /// Writes a register by its name in the table.
    pub fn write(&mut self, register: &str, value: u32) -> Result<()> {
        let address = offset(register).with_context(|| format!("no register is called {register}"))?;
        let (mut address_sent, mut data_sent) = (false, false);
        for _ in 0..REGISTER_LIMIT_CYCLES {
            self.inputs.lite = LiteInputs {
                awvalid: !address_sent,
                awaddr: address,
                wvalid: !data_sent,
                wdata: value,
                wstrb: 15,
                bready: true,
                ..Default::default()
            };
            let now = self.outputs.lite;
            address_sent |= now.awready;
            data_sent |= now.wready;
            self.step()?;
            if now.bvalid {
                self.inputs.lite = LiteInputs::default();
                return if now.bresp == 0 {
                    Ok(())
                } else {
                    bail!("register {register} refuses the value {value:#x}")
                };
            }
        }
        bail!("register {register} does not answer a write within {REGISTER_LIMIT_CYCLES} cycles")
    }

    /// Reads a register by its name in the table.
    pub fn read(&mut self, register: &str) -> Result<u32> {
        let address = offset(register).with_context(|| format!("no register is called {register}"))?;
        let mut sent = false;
        for _ in 0..REGISTER_LIMIT_CYCLES {
            self.inputs.lite = LiteInputs {
                arvalid: !sent,
                araddr: address,
                rready: true,
                ..Default::default()
            };
            let now = self.outputs.lite;
            sent |= now.arready;
            self.step()?;
            if now.rvalid {
                self.inputs.lite = LiteInputs::default();
                return if now.rresp == 0 {
                    Ok(now.rdata)
                } else {
                    bail!("register {register} cannot be read")
                };
            }
        }
        bail!("register {register} does not answer a read within {REGISTER_LIMIT_CYCLES} cycles")
    }

    /// Puts a program into the board's memory: once for all its frames and tasks.
    pub fn load(&mut self, payload: &[u8]) -> Result<()> {
        self.board.ddr.write(PROGRAM_BASE, payload);
        for (register, base) in [
            ("PROGRAM", PROGRAM_BASE),
            ("IMAGE", IMAGE_BASE),
            ("RESULT", RESULT_BASE),
        ] {
            self.write(&format!("{register}_LO"), base as u32)?;
            self.write(&format!("{register}_HI"), (base >> 32) as u32)?;
        }
        for (register, value) in [("WATCHDOG", WATCHDOG_CYCLES), ("GIER", 1), ("IP_IER", 1)] {
            self.write(register, value)?;
        }
        Ok(())
    }

    /// Runs a frame of the loaded program; `progress` hears the cycle count now and then.
    pub fn frame(&mut self, frame: &Frame, progress: &mut Progress) -> Result<FrameResult> {
        self.board.ddr.write(IMAGE_BASE, frame.image);
        self.write("COMMANDS", frame.command_count)?;
        self.write("TASK", frame.task)?;
        let (started, before) = (self.cycles, self.board.bytes_read());
        self.write("CTRL", 1)?;
        self.wait_for_interrupt(frame.limit_cycles, progress)?;
        let cycles = self.cycles - started;
        self.finish_frame()?;
        let after = self.board.bytes_read();
        Ok(FrameResult {
            result: self.board.ddr.read(RESULT_BASE, frame.result_bytes),
            cycles,
            bytes_read: after
                .iter()
                .zip(before)
                .map(|(after, before)| after - before)
                .collect(),
        })
    }

    fn wait_for_interrupt(&mut self, limit: u64, progress: &mut Progress) -> Result<()> {
        for cycle in 0..limit {
            if self.outputs.interrupt {
                progress(cycle);
                return Ok(());
            }
            if cycle % PROGRESS_CYCLES == 0 {
                progress(cycle);
            }
            self.step()?;
        }
        bail!("the accelerator did not finish within {limit} cycles")
    }

    /// Clears the interrupt and turns an error status into an error.
    fn finish_frame(&mut self) -> Result<()> {
        self.read("CTRL")?;
        self.write("IP_ISR", 1)?;
        let status = self.read("STATUS")?;
        if let Some(sentence) = status_sentence(status) {
            let command = self.read("ERROR_COMMAND")?;
            let address =
                u64::from(self.read("ERROR_ADDRESS_LO")?) | u64::from(self.read("ERROR_ADDRESS_HI")?) << 32;
            self.write("STATUS", u32::MAX)?;
            bail!("the accelerator stopped: {sentence} (command {command}, address {address:#x})");
        }
        Ok(())
    }

    /// Ends the session; a waveform is complete afterwards.
    pub fn finish(&mut self) -> Result<()> {
        self.device.finish()
    }
}
