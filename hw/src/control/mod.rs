//! What the accelerator is told to do: the command encoding and the sequencer.

pub mod command;
pub mod command_check;
pub mod error_code;
pub mod program_memory;
pub mod scoreboard;
pub mod sequencer;
#[cfg(test)]
mod sequencer_tests;
pub mod watchdog;
