//! The exported Verilog in this process: the shelled top, translated by Verilator.
//!
//! The model is what a board gets, file for file; [`Options`] say how it is built. A build is cached by content.

use super::device::{Device, DeviceInputs, DeviceOutputs};
use super::waveform::create_waveform;
use anyhow::{Context, Result};
use moevit_hw::config::AccelConfig;
use moevit_hw::cosim::{Options, VerilatedModel};
use moevit_hw::verilog::{shelled, Design, Port};
use std::path::Path;

/// Bits of a word of the model's port values.
const WORD_BITS: usize = 32;

/// The accelerator as Verilog.
pub struct VerilatorDevice {
    model: VerilatedModel,
    pins: Pins,
    inputs: Vec<u32>,
    outputs: Vec<u32>,
}

/// How models of whole accelerators are built: slow to compile, fast to run.
pub fn options() -> Options {
    Options {
        optimise: 3,
        ..Options::default()
    }
}

impl VerilatorDevice {
    /// Builds the exported top of a configuration, or takes it from the cache.
    pub fn new(config: &AccelConfig) -> Result<Self> {
        Self::with_options(config, &options())
    }

    /// As [`new`](Self::new), with a waveform (VCD) of every signal.
    pub fn traced(config: &AccelConfig, path: &Path) -> Result<Self> {
        // The model takes minutes to build: a file that cannot be written is refused before.
        create_waveform(path)?;
        let options = Options {
            trace: true,
            ..options()
        };
        let mut device = Self::with_options(config, &options)?;
        device.model.trace(path)?;
        Ok(device)
    }

    /// Builds with options of the caller's.
    pub fn with_options(config: &AccelConfig, options: &Options) -> Result<Self> {
        Self::of_design(&shelled(config)?, config.read_ports, options)
    }

    /// Builds a shelled top that the caller may have completed, by cells from elsewhere.
    pub fn of_design(design: &Design, read_ports: usize, options: &Options) -> Result<Self> {
        Self::of_model(VerilatedModel::of_design(design, options)?, read_ports)
    }

    /// Another device of the same code, in its initial state.
    pub fn fresh(&self) -> Result<Self> {
        Self::of_model(self.model.fresh(), self.pins.read.len())
    }

    fn of_model(model: VerilatedModel, read_ports: usize) -> Result<Self> {
        let pins = Pins::find(model.ports(), read_ports)?;
        let words = |input| {
            model
                .ports()
                .iter()
                .filter(|p| p.is_input == input)
                .map(|p| p.width.div_ceil(WORD_BITS))
                .sum()
        };
        Ok(Self {
            inputs: vec![0; words(true)],
            outputs: vec![0; words(false)],
            model,
            pins,
        })
    }

    fn drive(&mut self, inputs: &DeviceInputs) {
        let (pins, to, lite, write) = (&self.pins, &mut self.inputs, &inputs.lite, &inputs.board.write);
        to[pins.reset_n] = u32::from(!inputs.reset);
        let control = [
            u32::from(lite.awvalid),
            lite.awaddr & 0xff,
            u32::from(lite.wvalid),
            lite.wdata,
            lite.wstrb & 15,
            u32::from(lite.bready),
            u32::from(lite.arvalid),
            lite.araddr & 0xff,
            u32::from(lite.rready),
        ];
        for (pin, value) in pins.control_in.iter().zip(control) {
            to[*pin] = value;
        }
        for (port, read) in pins.read.iter().zip(&inputs.board.read) {
            to[port.arready] = u32::from(read.arready);
            to[port.rvalid] = u32::from(read.rvalid);
            to[port.rresp] = u32::from(read.rresp);
            to[port.rlast] = u32::from(read.rlast);
            to[port.rdata..port.rdata + read.rdata.len()].copy_from_slice(&read.rdata);
        }
        to[pins.awready] = u32::from(write.awready);
        to[pins.wready] = u32::from(write.wready);
        to[pins.bvalid] = u32::from(write.bvalid);
        to[pins.bresp] = u32::from(write.bresp);
    }

    fn sample(&self, outputs: &mut DeviceOutputs) {
        let (pins, from) = (&self.pins, &self.outputs);
        let flag = |pin: usize| from[pin] != 0;
        let address = |pin: usize| u64::from(from[pin]) | u64::from(from[pin + 1]) << WORD_BITS;
        outputs.interrupt = flag(pins.interrupt);
        let lite = &mut outputs.lite;
        let control = pins.control_out;
        lite.awready = flag(control[0]);
        lite.wready = flag(control[1]);
        lite.bvalid = flag(control[2]);
        lite.bresp = from[control[3]];
        lite.arready = flag(control[4]);
        lite.rvalid = flag(control[5]);
        lite.rdata = from[control[6]];
        lite.rresp = from[control[7]];
        outputs.board.read.resize(pins.read.len(), Default::default());
        for (port, read) in pins.read.iter().zip(&mut outputs.board.read) {
            read.arvalid = flag(port.arvalid);
            read.araddr = address(port.araddr);
            read.arlen = from[port.arlen] as u8;
            read.rready = flag(port.rready);
        }
        let write = &mut outputs.board.write;
        write.awvalid = flag(pins.awvalid);
        write.awaddr = address(pins.awaddr);
        write.awlen = from[pins.awlen] as u8;
        write.wvalid = flag(pins.wvalid);
        write.wdata.copy_from_slice(&from[pins.wdata..pins.wdata + 4]);
        write.wlast = flag(pins.wlast);
        write.bready = flag(pins.bready);
    }

    fn level(&mut self, clock: u32) {
        self.inputs[self.pins.clock] = clock;
        self.model.step(&self.inputs, &mut self.outputs);
    }
}

impl Device for VerilatorDevice {
    fn cycle(&mut self, inputs: &DeviceInputs, outputs: &mut DeviceOutputs) -> Result<()> {
        // Falling edge first, so that inputs and rising edge come in one evaluation: combinational paths from the inputs settle
        // before the edge.
        self.level(0);
        self.drive(inputs);
        self.level(1);
        self.sample(outputs);
        Ok(self.model.check_trace()?)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(self.model.end_trace()?)
    }
}

/// Where each signal is in the words of all inputs and all outputs.
struct Pins {
    clock: usize,
    reset_n: usize,
    interrupt: usize,
    control_in: [usize; 9],
    control_out: [usize; 8],
    read: Vec<ReadPins>,
    awvalid: usize,
    awaddr: usize,
    awlen: usize,
    awready: usize,
    wvalid: usize,
    wdata: usize,
    wlast: usize,
    wready: usize,
    bvalid: usize,
    bresp: usize,
    bready: usize,
}

/// A read port.
struct ReadPins {
    arvalid: usize,
    araddr: usize,
    arlen: usize,
    arready: usize,
    rvalid: usize,
    rdata: usize,
    rresp: usize,
    rlast: usize,
    rready: usize,
}

impl Pins {
    fn find(ports: &[Port], read_ports: usize) -> Result<Self> {
        let find = |name: &str| first_word(ports, name);
        let control = |signal: &str| find(&format!("s_axi_control_{signal}"));
        let write = |signal: &str| find(&format!("m_axi_gmem0_{signal}"));
        let [c0, c1, c2, c3, c4, c5, c6, c7, c8] = [
            "awvalid", "awaddr", "wvalid", "wdata", "wstrb", "bready", "arvalid", "araddr", "rready",
        ]
        .map(control);
        let [r0, r1, r2, r3, r4, r5, r6, r7] = [
            "awready", "wready", "bvalid", "bresp", "arready", "rvalid", "rdata", "rresp",
        ]
        .map(control);
        Ok(Self {
            clock: find("ap_clk")?,
            reset_n: find("ap_rst_n")?,
            interrupt: find("interrupt")?,
            control_in: [c0?, c1?, c2?, c3?, c4?, c5?, c6?, c7?, c8?],
            control_out: [r0?, r1?, r2?, r3?, r4?, r5?, r6?, r7?],
            read: (0..read_ports)
                .map(|p| ReadPins::find(ports, p))
                .collect::<Result<_>>()?,
            awvalid: write("awvalid")?,
            awaddr: write("awaddr")?,
            awlen: write("awlen")?,
            awready: write("awready")?,
            wvalid: write("wvalid")?,
            wdata: write("wdata")?,
            wlast: write("wlast")?,
            wready: write("wready")?,
            bvalid: write("bvalid")?,
            bresp: write("bresp")?,
            bready: write("bready")?,
        })
    }
}

impl ReadPins {
    fn find(ports: &[Port], number: usize) -> Result<Self> {
        let find = |signal: &str| first_word(ports, &format!("m_axi_gmem{number}_{signal}"));
        Ok(Self {
            arvalid: find("arvalid")?,
            araddr: find("araddr")?,
            arlen: find("arlen")?,
            arready: find("arready")?,
            rvalid: find("rvalid")?,
            rdata: find("rdata")?,
            rresp: find("rresp")?,
            rlast: find("rlast")?,
            rready: find("rready")?,
        })
    }
}

/// The first word of a port among the words of its direction.
fn first_word(ports: &[Port], name: &str) -> Result<usize> {
    let index = ports.iter().position(|p| p.name == name);
    let index = index.with_context(|| format!("the exported top has no port {name}"))?;
    let same_direction = ports[..index]
        .iter()
        .filter(|p| p.is_input == ports[index].is_input);
    Ok(same_direction.map(|p| p.width.div_ceil(WORD_BITS)).sum())
}
