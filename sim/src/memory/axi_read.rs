//! One AXI4 read port of the board: queued bursts, a latency to the first beat, one beat a cycle at most.

use super::{Ddr, MemoryConfig, ProtocolError, BEAT_BYTES, OKAY};
use std::collections::VecDeque;

/// What the accelerator drives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOutputs {
    pub arvalid: bool,
    pub araddr: u64,
    /// Beats minus one.
    pub arlen: u8,
    pub rready: bool,
}

/// What the board drives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadInputs {
    pub arready: bool,
    pub rvalid: bool,
    pub rdata: [u32; 4],
    pub rresp: u8,
    pub rlast: bool,
}

#[derive(Debug)]
struct Burst {
    address: u64,
    beats_left: u32,
    ready_at: u64,
}

/// The port.
#[derive(Debug)]
pub struct ReadSlave {
    port: usize,
    bursts: VecDeque<Burst>,
    stalled_address: Option<(u64, u8)>,
    waiting: Option<ReadInputs>,
    beats: u64,
}

impl ReadSlave {
    pub(super) fn new(port: usize) -> Self {
        Self {
            port,
            bursts: VecDeque::new(),
            stalled_address: None,
            waiting: None,
            beats: 0,
        }
    }

    /// Beats delivered so far.
    pub fn beats(&self) -> u64 {
        self.beats
    }

    /// Takes the handshakes of the cycle that ends.
    pub(super) fn edge(
        &mut self,
        cycle: u64,
        outputs: &ReadOutputs,
        inputs: &ReadInputs,
        config: &MemoryConfig,
    ) -> Result<(), ProtocolError> {
        self.check_address(outputs).map_err(|sentence| ProtocolError {
            port: self.port,
            cycle,
            sentence,
        })?;
        if outputs.arvalid && inputs.arready {
            self.stalled_address = None;
            self.bursts.push_back(Burst {
                address: outputs.araddr,
                beats_left: u32::from(outputs.arlen) + 1,
                ready_at: cycle + u64::from(config.first_beat_cycles),
            });
        }
        if inputs.rvalid && outputs.rready {
            self.waiting = None;
            self.beats += 1;
        }
        Ok(())
    }

    fn check_address(&mut self, outputs: &ReadOutputs) -> Result<(), String> {
        let now = outputs.arvalid.then_some((outputs.araddr, outputs.arlen));
        if self.stalled_address.is_some() && self.stalled_address != now {
            return Err(format!(
                "read address changed while it was stalled: {:x?} became {now:x?}",
                self.stalled_address
            ));
        }
        self.stalled_address = now;
        now.map_or(Ok(()), |(address, length)| check_burst(address, length, "read"))
    }

    /// Inputs of the next cycle, and whether they hold a beat that was not there before.
    pub(super) fn drive(
        &mut self,
        cycle: u64,
        ddr: &Ddr,
        config: &MemoryConfig,
        may_send: bool,
        may_accept: bool,
    ) -> (ReadInputs, bool) {
        let fresh = self.waiting.is_none() && may_send;
        if fresh {
            self.waiting = self.next_beat(cycle, ddr, config);
        }
        let mut inputs = self.waiting.clone().unwrap_or_default();
        inputs.arready = may_accept && self.bursts.len() < config.outstanding;
        let new = fresh && inputs.rvalid;
        (inputs, new)
    }

    fn next_beat(&mut self, cycle: u64, ddr: &Ddr, config: &MemoryConfig) -> Option<ReadInputs> {
        let burst = self.bursts.front_mut()?;
        if burst.ready_at > cycle {
            return None;
        }
        let address = burst.address;
        burst.address += BEAT_BYTES;
        burst.beats_left -= 1;
        let rlast = burst.beats_left == 0;
        if rlast {
            self.bursts.pop_front();
        }
        let broken = config
            .faults
            .read_error
            .is_some_and(|at| at / BEAT_BYTES == address / BEAT_BYTES);
        let rresp = if broken { config.faults.error() } else { OKAY };
        Some(ReadInputs {
            arready: false,
            rvalid: true,
            rdata: ddr.beat(address),
            rresp,
            rlast,
        })
    }
}

/// The rules for an address that hold for reads and writes.
pub(super) fn check_burst(address: u64, length: u8, what: &str) -> Result<(), String> {
    let bytes = (u64::from(length) + 1) * BEAT_BYTES;
    if address % BEAT_BYTES != 0 {
        return Err(format!("{what} address {address:#x} is not a multiple of 16"));
    }
    if length > 15 {
        return Err(format!(
            "{what} burst of {} beats; at most 16 are promised",
            u32::from(length) + 1
        ));
    }
    if address / 4_096 != (address + bytes - 1) / 4_096 {
        return Err(format!(
            "{what} burst of {bytes} bytes at {address:#x} crosses a 4 KB boundary"
        ));
    }
    Ok(())
}
