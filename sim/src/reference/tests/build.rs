//! Builds small programs and runs them.

use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::{
    Command, Copy, End, Fetch, MatMul, Operation, Wait, Write, ALL_TASKS, COMMAND_BYTES,
};

use crate::reference::{Machine, MachineError, RunOutput};

/// Bytes that the commands may take; the data lies behind.
const DATA_OFFSET: usize = 16_384;
/// Waits for everything.
pub const CAREFUL: Wait = Wait([0; 6]);

/// Small deterministic random numbers.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Uniform in `low..=high`.
    pub fn range(&mut self, low: i64, high: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + ((self.0 >> 16) % (high - low + 1) as u64) as i64
    }

    pub fn matrix(&mut self, rows: usize, columns: usize, limit: i64) -> Vec<Vec<i64>> {
        let mut row = || (0..columns).map(|_| self.range(-limit, limit)).collect();
        (0..rows).map(|_| row()).collect()
    }
}

/// A program in the making; waits are careful and array commands in sync unless told otherwise.
#[derive(Clone)]
pub struct Builder {
    pub config: AccelConfig,
    pub commands: Vec<Command>,
    pub tasks: u32,
    pub wait: Wait,
    pub image: Vec<u8>,
    data: Vec<u8>,
}

impl Builder {
    pub fn nano() -> Self {
        Self::new(AccelConfig::named("nano").unwrap())
    }

    pub fn new(config: AccelConfig) -> Self {
        Self {
            config,
            commands: Vec::new(),
            tasks: ALL_TASKS,
            wait: CAREFUL,
            image: Vec::new(),
            data: Vec::new(),
        }
    }

    pub fn push(&mut self, operation: Operation) -> &mut Self {
        self.commands.push(Command {
            tasks: self.tasks,
            wait: self.wait,
            operation,
        });
        self
    }

    /// Places bytes in board memory; returns the offset and the length in beats.
    pub fn place(&mut self, bytes: &[u8]) -> (u32, u32) {
        let offset = DATA_OFFSET + self.data.len().next_multiple_of(256);
        self.data.resize(offset - DATA_OFFSET, 0xa5);
        let length = bytes.len().next_multiple_of(self.config.weight_word_bytes());
        self.data.extend(bytes);
        self.data.resize(offset - DATA_OFFSET + length, 0);
        (offset as u32 / 16, length as u32 / 16)
    }

    pub fn fetch(&mut self, bytes: &[u8]) -> &mut Self {
        let (offset, beats) = self.place(bytes);
        self.push(Operation::Fetch(Fetch {
            offset,
            beats,
            ..Default::default()
        }))
    }

    /// Puts bytes into activation memory.
    pub fn activation(&mut self, dst_base: u32, bytes: &[i8]) -> &mut Self {
        let words = (bytes.len() / self.config.rows) as u32;
        let bytes: Vec<u8> = bytes.iter().map(|&x| x as u8).collect();
        self.fetch(&bytes).push(Operation::Copy(Copy {
            residual: 0,
            dst_base,
            words,
        }))
    }

    /// Puts values into residual memory.
    pub fn residual(&mut self, dst_base: u32, values: &[i16]) -> &mut Self {
        let words = (values.len() / self.config.columns) as u32;
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.fetch(&bytes).push(Operation::Copy(Copy {
            residual: 1,
            dst_base,
            words,
        }))
    }

    pub fn matmul(&mut self, op: MatMul) -> &mut Self {
        self.push(Operation::MatMul(MatMul { sync: 1, ..op }))
    }

    /// Writes residual words to the start of the result.
    pub fn write(&mut self, src_base: u32, words: usize) -> &mut Self {
        let beats = (words * self.config.residual_word_bytes() / 16) as u32;
        self.push(Operation::Write(Write {
            src_base,
            beats,
            offset: 0,
        }))
    }

    pub fn payload(&self) -> Vec<u8> {
        let words = self.commands.iter().flat_map(|c| c.encode().unwrap());
        let mut payload: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
        assert!(payload.len() <= DATA_OFFSET && payload.len() == COMMAND_BYTES * self.commands.len());
        payload.resize(DATA_OFFSET, 0);
        payload.extend(&self.data);
        payload
    }

    /// Adds the End and runs for a task, with all checks.
    pub fn try_run(&mut self, task: usize) -> Result<(Machine, RunOutput), MachineError> {
        self.tasks = ALL_TASKS;
        self.push(Operation::End(End {}));
        let mut machine = Machine::new(&self.config).with_hazard_checks();
        let output = machine.run(&self.payload(), self.commands.len(), &self.image, task)?;
        Ok((machine, output))
    }

    pub fn run(&mut self) -> (Machine, RunOutput) {
        self.try_run(0).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The sentence that a program is refused with.
    pub fn refusal(&mut self) -> String {
        match self.try_run(0) {
            Ok(_) => "accepted".into(),
            Err(error) => error.to_string(),
        }
    }
}
