//! Which tokens the rows of a MatMul are.

use fixed::types::U0F16;
use moevit_hw::control::command::MatMul;

/// A token in an expert's queue and its gate score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    pub token: usize,
    pub score: U0F16,
}

/// Tokens of the operand rows and of the result rows.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Row of the source of each row.
    pub source: Vec<usize>,
    /// Row of the destination of each row.
    pub destination: Vec<usize>,
    /// Second factor of each row, in an expert loop.
    pub scores: Vec<U0F16>,
    /// The command reads the expert's queue.
    pub queued: bool,
}

impl Rows {
    /// Rows of a command, in an expert loop with the expert's queue.
    pub fn of(op: &MatMul, queue: Option<&[QueueEntry]>) -> Self {
        let entries = queue.unwrap_or(&[]);
        let count = queue.map_or(op.tokens as usize, <[_]>::len);
        let queued_if = |routing: u32| match op.routing == routing {
            true => entries.iter().map(|entry| entry.token).collect(),
            false => (0..count).collect(),
        };
        Self {
            source: queued_if(1),
            destination: queued_if(2),
            scores: entries.iter().map(|entry| entry.score).collect(),
            queued: queue.is_some(),
        }
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.source.len()
    }
}
