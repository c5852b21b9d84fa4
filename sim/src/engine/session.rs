//! A host with the accelerator on a board: reset, registers, frames. What a driver does, cycle by cycle.

use super::device::{Device, DeviceInputs, DeviceOutputs, LiteInputs};
use super::Progress;
use crate::memory::{Board, MemoryConfig};
use anyhow::{bail, ensure, Context, Result};
use moevit_hw::bus::register_table::{offset, status_sentence};

/// Where the host puts things in the board's memory; 4 KB aligned.
pub const PROGRAM_BASE: u64 = 0x1000_0000;
pub const IMAGE_BASE: u64 = 0x3000_0000;
pub const RESULT_BASE: u64 = 0x4000_0000;

/// Distance of the images, and of the results, of frames that are in flight together; 4 KB aligned.
const SLOT_BYTES: u64 = 0x0100_0000;
/// One frame finishes, one runs, one waits.
const SLOTS: usize = 3;

/// Bits of IP_IER and IP_ISR.
const DONE: u32 = 1;
const READY: u32 = 2;

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
    /// Host cycles from the start, or from the end of the frame before it in the queue, to its interrupt.
    pub cycles: u64,
    /// Bytes delivered by each read port in these cycles.
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
        self.write_pointer("PROGRAM", PROGRAM_BASE)?;
        for (register, value) in [
            ("WATCHDOG", WATCHDOG_CYCLES),
            ("GIER", 1),
            ("IP_IER", DONE | READY),
        ] {
            self.write(register, value)?;
        }
        Ok(())
    }

    fn write_pointer(&mut self, name: &str, address: u64) -> Result<()> {
        self.write(&format!("{name}_LO"), address as u32)?;
        self.write(&format!("{name}_HI"), (address >> 32) as u32)
    }

    /// Runs a frame of the loaded program; `progress` hears the cycle count now and then.
    pub fn frame(&mut self, frame: &Frame, progress: &mut Progress) -> Result<FrameResult> {
        let mut results = self.stream(std::slice::from_ref(frame), progress)?;
        results.pop().context("the accelerator ran no frame")
    }

    /// Runs frames of the loaded program through the frame queue: while one runs, the next one waits in the registers.
    pub fn stream(&mut self, frames: &[Frame], progress: &mut Progress) -> Result<Vec<FrameResult>> {
        let Some(first) = frames.first() else {
            return Ok(vec![]);
        };
        self.submit(first, 0)?;
        let (started, mut submitted, mut results) = (self.cycles, 1, vec![]);
        let (mut before, mut read_before) = (started, self.board.bytes_read());
        while results.len() < frames.len() {
            let frame = &frames[results.len()];
            self.wait_for_interrupt(frame.limit_cycles, &mut |cycle| progress(cycle - started))?;
            let now = self.cycles;
            let events = self.read("IP_ISR")?;
            self.write("IP_ISR", events)?;
            if events & READY != 0 && submitted < frames.len() {
                self.submit(&frames[submitted], submitted % SLOTS)?;
                submitted += 1;
            }
            if events & DONE != 0 {
                let number = results.len() + 1;
                self.check_status().map_err(|error| match frames.len() {
                    1 => error,
                    all => error.context(format!("frame {number} of {all}")),
                })?;
                let read = self.board.bytes_read();
                let slot = (results.len() % SLOTS) as u64 * SLOT_BYTES;
                results.push(FrameResult {
                    result: self.board.ddr.read(RESULT_BASE + slot, frame.result_bytes),
                    cycles: now - before,
                    bytes_read: read
                        .iter()
                        .zip(&read_before)
                        .map(|(now, before)| now - before)
                        .collect(),
                });
                (before, read_before) = (now, read);
            }
        }
        Ok(results)
    }

    /// Puts a frame into the registers, where it waits for its turn.
    fn submit(&mut self, frame: &Frame, slot: usize) -> Result<()> {
        let bytes = frame.image.len().max(frame.result_bytes) as u64;
        ensure!(
            bytes <= SLOT_BYTES,
            "an image or result of {bytes} bytes is more than the host's {SLOT_BYTES}"
        );
        let offset = slot as u64 * SLOT_BYTES;
        self.board.ddr.write(IMAGE_BASE + offset, frame.image);
        self.write_pointer("IMAGE", IMAGE_BASE + offset)?;
        self.write_pointer("RESULT", RESULT_BASE + offset)?;
        self.write("COMMANDS", frame.command_count)?;
        self.write("TASK", frame.task)?;
        self.write("CTRL", 1)
    }

    /// `progress` hears the session's cycles.
    fn wait_for_interrupt(&mut self, limit: u64, progress: &mut Progress) -> Result<()> {
        for cycle in 0..limit {
            if self.outputs.interrupt {
                progress(self.cycles);
                return Ok(());
            }
            if cycle % PROGRESS_CYCLES == 0 {
                progress(self.cycles);
            }
            self.step()?;
        }
        bail!("the accelerator did not finish within {limit} cycles")
    }

    /// Turns an error status into an error, and clears it.
    fn check_status(&mut self) -> Result<()> {
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
