//! Turns a list of steps into the command program: fetches hoisted, waits that keep every memory free of hazards.
//!
//! A [`Step`] is a command without its waits, together with what it consumes from the weight stream. Steps come in the order in
//! which the sequencer is to dispatch them; [`fetches::insert`] adds the Fetch commands, [`waits::resolve`] the waits.

pub mod access;
pub mod fetches;
pub mod waits;

use moevit_hw::control::command::{Command, Operation, Unit, Wait, ALL_TASKS};

/// What a step consumes from the weight stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stream {
    Nothing,
    /// The same bytes in every frame.
    Common(Vec<u8>),
    /// Bytes of the image buffer.
    Image(usize),
    /// One of equally long parts, by the task register.
    PerTask(Vec<Vec<u8>>),
    /// The equally long parts of the experts that have tokens.
    PerExpert(Vec<Vec<u8>>),
}

impl Stream {
    /// Bytes that one execution of the step consumes.
    pub fn part_bytes(&self) -> usize {
        match self {
            Stream::PerExpert(parts) => parts[0].len(),
            other => other.bytes(),
        }
    }

    /// Bytes that one frame fetches, with all experts in use.
    pub fn bytes(&self) -> usize {
        match self {
            Stream::Nothing => 0,
            Stream::Common(bytes) => bytes.len(),
            Stream::Image(bytes) => *bytes,
            Stream::PerTask(parts) => parts[0].len(),
            Stream::PerExpert(parts) => parts.iter().map(Vec::len).sum(),
        }
    }
}

/// A command that has no waits yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub layer: String,
    /// Multiply-accumulates of the model; of one expert and token in an expert loop.
    pub macs: u64,
    /// Bit t: runs for task t.
    pub tasks: u32,
    pub operation: Operation,
    pub stream: Stream,
    /// Stands in the body of an expert loop.
    pub in_loop: bool,
    pub wait: Wait,
}

impl Step {
    pub fn new(layer: impl Into<String>, operation: Operation) -> Self {
        Self {
            layer: layer.into(),
            macs: 0,
            tasks: ALL_TASKS,
            operation,
            stream: Stream::Nothing,
            in_loop: false,
            wait: Wait::NONE,
        }
    }

    pub fn macs(mut self, macs: usize) -> Self {
        self.macs = macs as u64;
        self
    }

    pub fn stream(mut self, stream: Stream) -> Self {
        self.stream = stream;
        self
    }

    /// Only for one task.
    pub fn for_task(mut self, task: usize) -> Self {
        self.tasks = 1 << task;
        self
    }

    pub fn in_loop(mut self) -> Self {
        self.in_loop = true;
        self
    }

    pub fn command(&self) -> Command {
        Command {
            tasks: self.tasks,
            wait: self.wait,
            operation: self.operation,
        }
    }

    pub fn unit(&self) -> Option<Unit> {
        self.command().operation.unit()
    }
}
