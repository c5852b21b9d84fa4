//! The accelerator's pins, as plain values: one interface for circuit and Verilog.

use crate::memory::{BoardInputs, BoardOutputs};
use anyhow::Result;

/// What the host drives on the AXI4-Lite port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiteInputs {
    pub awvalid: bool,
    pub awaddr: u32,
    pub wvalid: bool,
    pub wdata: u32,
    pub wstrb: u32,
    pub bready: bool,
    pub arvalid: bool,
    pub araddr: u32,
    pub rready: bool,
}

/// What the accelerator drives on the AXI4-Lite port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiteOutputs {
    pub awready: bool,
    pub wready: bool,
    pub bvalid: bool,
    pub bresp: u32,
    pub arready: bool,
    pub rvalid: bool,
    pub rdata: u32,
    pub rresp: u32,
}

/// Inputs during one cycle.
#[derive(Clone, Debug, Default)]
pub struct DeviceInputs {
    pub reset: bool,
    pub lite: LiteInputs,
    pub board: BoardInputs,
}

/// Outputs during one cycle.
#[derive(Clone, Debug, Default)]
pub struct DeviceOutputs {
    pub interrupt: bool,
    pub lite: LiteOutputs,
    pub board: BoardOutputs,
}

/// Something with the accelerator's pins.
pub trait Device {
    /// One clock cycle: `inputs` hold until the edge, `outputs` are those after it.
    fn cycle(&mut self, inputs: &DeviceInputs, outputs: &mut DeviceOutputs) -> Result<()>;

    /// Writes what a waveform still buffers.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}
