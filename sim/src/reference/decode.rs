//! Commands from the bytes of a payload.

use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::{Command, COMMAND_BYTES};

use super::error::{Fault, MachineError};
use super::machine::Job;

/// The commands at the start of the payload.
pub fn decode(job: &Job, config: &AccelConfig) -> Result<Vec<Command>, MachineError> {
    let (count, memory) = (job.command_count, config.program_commands);
    let held = job.payload.len() / COMMAND_BYTES;
    let most = held.min(memory);
    if count == 0 || count > most {
        return Err(MachineError::CommandCount {
            count,
            most,
            held,
            memory,
        });
    }
    let commands = job.payload.chunks_exact(COMMAND_BYTES).take(count);
    commands
        .enumerate()
        .map(|(index, bytes)| decode_one(bytes).map_err(|fault| undecoded(index, fault)))
        .collect()
}

fn decode_one(bytes: &[u8]) -> Result<Command, Fault> {
    let word = |i: usize| u32::from_le_bytes(std::array::from_fn(|byte| bytes[4 * i + byte]));
    Ok(Command::decode(&std::array::from_fn(word))?)
}

fn undecoded(index: usize, fault: Fault) -> MachineError {
    MachineError::Command {
        index,
        operation: "undecoded",
        fault,
    }
}
