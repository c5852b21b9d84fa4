//! The AXI4 write port of the board: addresses, data in address order, one response a burst.

use super::axi_read::check_burst;
use super::{Ddr, MemoryConfig, ProtocolError, BEAT_BYTES, OKAY};
use std::collections::VecDeque;

/// Cycles from the last beat of a burst to its response.
const RESPONSE_CYCLES: u64 = 20;

/// What the accelerator drives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOutputs {
    pub awvalid: bool,
    pub awaddr: u64,
    /// Beats minus one.
    pub awlen: u8,
    pub wvalid: bool,
    pub wdata: [u32; 4],
    pub wlast: bool,
    pub bready: bool,
}

/// What the board drives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteInputs {
    pub awready: bool,
    pub wready: bool,
    pub bvalid: bool,
    pub bresp: u8,
}

#[derive(Debug)]
struct Burst {
    address: u64,
    beats_left: u32,
    broken: bool,
}

/// The port.
#[derive(Debug, Default)]
pub struct WriteSlave {
    bursts: VecDeque<Burst>,
    responses: VecDeque<(u64, u8)>,
    stalled_address: Option<(u64, u8)>,
    stalled_data: Option<([u32; 4], bool)>,
}

impl WriteSlave {
    /// One clock edge: handshakes of the cycle that ends, then the inputs of the next.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn step(
        &mut self,
        cycle: u64,
        outputs: &WriteOutputs,
        inputs: &WriteInputs,
        ddr: &mut Ddr,
        config: &MemoryConfig,
        silent: bool,
        stalls: [bool; 3],
    ) -> Result<WriteInputs, ProtocolError> {
        self.edge(cycle, outputs, inputs, ddr, config)
            .map_err(|sentence| ProtocolError {
                port: 0,
                cycle,
                sentence,
            })?;
        let due = self.responses.front().filter(|(at, _)| *at <= cycle);
        let held = inputs.bvalid && !outputs.bready;
        Ok(WriteInputs {
            awready: !silent && !stalls[0] && self.bursts.len() < config.outstanding,
            wready: !silent && !stalls[1],
            bvalid: held || (!silent && !stalls[2] && due.is_some()),
            bresp: due.map_or(OKAY, |(_, response)| *response),
        })
    }

    fn edge(
        &mut self,
        cycle: u64,
        outputs: &WriteOutputs,
        inputs: &WriteInputs,
        ddr: &mut Ddr,
        config: &MemoryConfig,
    ) -> Result<(), String> {
        let address = outputs.awvalid.then_some((outputs.awaddr, outputs.awlen));
        let data = outputs.wvalid.then_some((outputs.wdata, outputs.wlast));
        stable(
            "write address",
            &mut self.stalled_address,
            address,
            inputs.awready,
        )?;
        stable("write data", &mut self.stalled_data, data, inputs.wready)?;
        if inputs.bvalid && outputs.bready {
            self.responses.pop_front();
        }
        if let Some((address, length)) = address {
            check_burst(address, length, "write")?;
            if inputs.awready {
                self.bursts.push_back(Burst {
                    address,
                    beats_left: u32::from(length) + 1,
                    broken: false,
                });
            }
        }
        match data {
            Some((words, last)) if inputs.wready => self.take_beat(cycle, words, last, ddr, config),
            _ => Ok(()),
        }
    }

    fn take_beat(
        &mut self,
        cycle: u64,
        words: [u32; 4],
        last: bool,
        ddr: &mut Ddr,
        config: &MemoryConfig,
    ) -> Result<(), String> {
        let burst = self
            .bursts
            .iter_mut()
            .find(|burst| burst.beats_left > 0)
            .ok_or("write data without an address")?;
        burst.beats_left -= 1;
        if last != (burst.beats_left == 0) {
            return Err(format!(
                "WLAST is {last} with {} beats of the burst to go",
                burst.beats_left
            ));
        }
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        burst.broken |= config
            .faults
            .write_error
            .is_some_and(|at| at / BEAT_BYTES == burst.address / BEAT_BYTES);
        if !burst.broken {
            ddr.write(burst.address, &bytes);
        }
        burst.address += BEAT_BYTES;
        if last {
            let response = if burst.broken { config.faults.error() } else { OKAY };
            self.bursts.pop_front();
            self.responses.push_back((cycle + RESPONSE_CYCLES, response));
        }
        Ok(())
    }
}

/// Payload and valid must not change while stalled.
fn stable<T: PartialEq + std::fmt::Debug + Copy>(
    what: &str,
    stalled: &mut Option<T>,
    now: Option<T>,
    ready: bool,
) -> Result<(), String> {
    if stalled.is_some() && *stalled != now {
        return Err(format!(
            "{what} changed while it was stalled: {stalled:x?} became {now:x?}"
        ));
    }
    *stalled = if ready { None } else { now };
    Ok(())
}
