//! Why a program cannot run: the command, the field, what was expected and what was found.

use moevit_hw::control::command::CommandError;
use thiserror::Error;

/// A program that the reference refuses.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum MachineError {
    #[error("task is {0}, but must be 0 to 7")]
    Task(usize),
    #[error("the program counts {count} commands, but must have 1 to {most}: the payload holds {held}, the program memory {memory}")]
    CommandCount {
        count: usize,
        most: usize,
        held: usize,
        memory: usize,
    },
    #[error("the program has no End for task {0}")]
    NoEnd(usize),
    #[error("the program was compiled for configuration '{program}', not for '{machine}'")]
    Configuration { program: String, machine: String },
    #[error("the image has {found} bytes, but the program expects {expected}")]
    ImageBytes { expected: usize, found: usize },
    #[error("command {index} ({operation}): {fault}")]
    Command {
        index: usize,
        operation: &'static str,
        fault: Fault,
    },
}

/// What is wrong with a command.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Fault {
    #[error(transparent)]
    Decode(#[from] CommandError),
    #[error("{field} is {value}, but must be {expected}")]
    Field {
        field: &'static str,
        value: u64,
        expected: String,
    },
    #[error("{field} reaches word {last} of the {memory} memory, which has {words}")]
    Address {
        field: &'static str,
        memory: &'static str,
        last: usize,
        words: usize,
    },
    #[error("offset reaches byte {end} of the {buffer}, which has {bytes}")]
    Buffer {
        buffer: &'static str,
        end: u64,
        bytes: u64,
    },
    #[error("the weight stream holds {held} bytes, but {needed} are consumed")]
    Underrun { needed: usize, held: usize },
    #[error("{bytes} bytes of the weight stream were never consumed")]
    Leftover { bytes: usize },
    #[error("weight -128 in tile of columns {tile}: the array multiplies -127 to 127 only")]
    Weight { tile: usize },
    #[error("no Route before it has filled the expert queues of all tokens")]
    NoRoute,
    #[error("channel {channel} of row {row} is {value}, but channels from width on must be 0")]
    Padding { row: usize, channel: usize, value: i16 },
    #[error("row {row} needs a right shift of {shift}, but the second shifter ends at {most}")]
    RowShift { row: usize, shift: u32, most: u32 },
    #[error("reads word {word} of the {memory} memory, which nothing has written in this frame")]
    NeverWritten { memory: &'static str, word: usize },
    #[error("{access} word {word} of the {memory} memory without waiting for the {unit} command {other} that {earlier} it")]
    Race {
        access: &'static str,
        memory: &'static str,
        word: usize,
        unit: &'static str,
        other: usize,
        earlier: &'static str,
    },
    #[error("waits for fetches of {held} unconsumed bytes, but the weight buffer has {capacity}: it would wait for ever")]
    Deadlock { held: u64, capacity: u64 },
}

impl Fault {
    /// `field` is `value`, but must be `expected`.
    pub(super) fn field(field: &'static str, value: u64, expected: impl Into<String>) -> Self {
        Fault::Field {
            field,
            value,
            expected: expected.into(),
        }
    }
}
