//! The rust-hdl circuit in process, driven directly: inputs, settle, clock edge, outputs.

use super::device::{Device, DeviceInputs, DeviceOutputs};
use super::waveform::{create_waveform, waveform, WaveformState, WaveformWriter};
use anyhow::Result;
use moevit_hw::activity::Activity;
use moevit_hw::config::AccelConfig;
use moevit_hw::cosim::settle;
use moevit_hw::top::Accelerator;
use rust_hdl::core::vcd_probe::{write_vcd_change, write_vcd_dump, write_vcd_header, VCDProbe};
use rust_hdl::prelude::*;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// Half a clock cycle in a waveform; only the order counts.
const TRACE_HALF_CYCLE_NS: u64 = 2;

/// Hears what the units do in every cycle.
pub type Observer = Box<dyn FnMut(&Activity)>;

/// A waveform that is being written.
struct Trace {
    probe: VCDProbe<BufWriter<WaveformWriter<File>>>,
    state: WaveformState,
}

/// The accelerator as a circuit.
pub struct CircuitDevice {
    accelerator: Box<Accelerator>,
    ports: usize,
    trace: Option<Trace>,
    time_ns: u64,
    observer: Option<Observer>,
}

impl CircuitDevice {
    /// Builds the circuit of a configuration.
    pub fn new(config: &AccelConfig) -> Self {
        let mut accelerator = Box::new(Accelerator::new(config));
        accelerator.connect_all();
        Self {
            accelerator,
            ports: config.read_ports,
            trace: None,
            time_ns: 0,
            observer: None,
        }
    }

    /// Writes every signal of every block to a VCD file from now on.
    pub fn trace(mut self, path: &Path) -> Result<Self> {
        let (writer, state) = waveform(create_waveform(path)?, path);
        let probe = write_vcd_header(writer, &*self.accelerator);
        let probe = write_vcd_dump(probe, &*self.accelerator);
        self.trace = Some(Trace { probe, state });
        Ok(self)
    }

    /// Tells what the units do, once a cycle from now on.
    pub fn observe(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Sets the clock, lets the circuit settle, and records what changed.
    fn half_cycle(&mut self, level: bool) -> Result<()> {
        self.accelerator.clock.next = level.into();
        settle(&mut *self.accelerator)?;
        self.time_ns += TRACE_HALF_CYCLE_NS;
        if let Some(Trace { mut probe, state }) = self.trace.take() {
            probe.timestamp(self.time_ns)?;
            let probe = write_vcd_change(probe, &*self.accelerator);
            state.check()?;
            self.trace = Some(Trace { probe, state });
        }
        Ok(())
    }

    fn drive(&mut self, inputs: &DeviceInputs) {
        let (a, lite, write) = (&mut self.accelerator, &inputs.lite, &inputs.board.write);
        a.reset.next = inputs.reset;
        a.s_axi_control_awaddr.next = u64::from(lite.awaddr & 0xff).into();
        a.s_axi_control_awvalid.next = lite.awvalid;
        a.s_axi_control_wdata.next = u64::from(lite.wdata).into();
        a.s_axi_control_wstrb.next = u64::from(lite.wstrb).into();
        a.s_axi_control_wvalid.next = lite.wvalid;
        a.s_axi_control_bready.next = lite.bready;
        a.s_axi_control_araddr.next = u64::from(lite.araddr & 0xff).into();
        a.s_axi_control_arvalid.next = lite.arvalid;
        a.s_axi_control_rready.next = lite.rready;
        for (p, read) in inputs.board.read.iter().enumerate() {
            a.gmem_arready[p].next = read.arready;
            a.gmem_rvalid[p].next = read.rvalid;
            a.gmem_rresp[p].next = u64::from(read.rresp).into();
            a.gmem_rlast[p].next = read.rlast;
            for (i, word) in read.rdata.iter().enumerate() {
                a.gmem_rdata[4 * p + i].next = u64::from(*word).into();
            }
        }
        a.gmem_awready.next = write.awready;
        a.gmem_wready.next = write.wready;
        a.gmem_bvalid.next = write.bvalid;
        a.gmem_bresp.next = u64::from(write.bresp).into();
    }

    fn sample(&self, outputs: &mut DeviceOutputs) {
        let a = &self.accelerator;
        outputs.interrupt = a.interrupt.val();
        let lite = &mut outputs.lite;
        lite.awready = a.s_axi_control_awready.val();
        lite.wready = a.s_axi_control_wready.val();
        lite.bvalid = a.s_axi_control_bvalid.val();
        lite.bresp = a.s_axi_control_bresp.val().index() as u32;
        lite.arready = a.s_axi_control_arready.val();
        lite.rvalid = a.s_axi_control_rvalid.val();
        lite.rdata = a.s_axi_control_rdata.val().index() as u32;
        lite.rresp = a.s_axi_control_rresp.val().index() as u32;
        outputs.board.read.resize(self.ports, Default::default());
        for (p, read) in outputs.board.read.iter_mut().enumerate() {
            read.arvalid = a.gmem_arvalid[p].val();
            read.araddr = address(a.gmem_araddr_lo[p].val(), a.gmem_araddr_hi[p].val());
            read.arlen = a.gmem_arlen[p].val().index() as u8;
            read.rready = a.gmem_rready[p].val();
        }
        let write = &mut outputs.board.write;
        write.awvalid = a.gmem_awvalid.val();
        write.awaddr = address(a.gmem_awaddr_lo.val(), a.gmem_awaddr_hi.val());
        write.awlen = a.gmem_awlen.val().index() as u8;
        write.wvalid = a.gmem_wvalid.val();
        write.wdata = std::array::from_fn(|i| a.gmem_wdata[i].val().index() as u32);
        write.wlast = a.gmem_wlast.val();
        write.bready = a.gmem_bready.val();
    }
}

fn address(low: Bits<32>, high: Bits<32>) -> u64 {
    low.index() as u64 | (high.index() as u64) << 32
}

impl Device for CircuitDevice {
    fn cycle(&mut self, inputs: &DeviceInputs, outputs: &mut DeviceOutputs) -> Result<()> {
        self.drive(inputs);
        // The inputs settle in the same passes as the falling edge of the cycle before.
        self.half_cycle(false)?;
        self.half_cycle(true)?;
        self.sample(outputs);
        if let Some(observer) = &mut self.observer {
            observer(&self.accelerator.activity());
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        // Without the probe its buffer is written.
        let state = self.trace.take().map(|trace| trace.state);
        state.map_or(Ok(()), |state| state.check())
    }
}
