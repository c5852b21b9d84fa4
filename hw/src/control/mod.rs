//! What the accelerator is told to do: the command encoding and the sequencer.

pub mod command;
pub mod error_code;
