//! Analytical cycle model: a frame's timeline by formulas, command by command and tile by tile, in milliseconds.
//!
//! The sequencer dispatches commands in order once the units in their wait fields have finished enough of theirs. A unit works on
//! its commands in order, each for as long as the unit's own documentation says. Every command depends on earlier ones only, so one
//! walk through the program suffices; the weight stream is unrolled as far as somebody consumes it.
//!
//! Left out: contention for memory ports on the chip, the order in which bursts of different ports arrive, random stalls of the
//! bus. What the model is worth is its error against a simulated frame, which the report prints.

mod array;
mod stream;
mod units;

use super::timeline::{Span, Timeline};
use crate::memory::MemoryConfig;
use crate::program::Program;
use anyhow::{ensure, Context, Result};
use array::ArrayModel;
use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::{Command, ExpertLoop, MatMul, Operation, Route, Unit, NO_WAIT};
use moevit_hw::moe::router;
use stream::WeightStream;

/// From the start to the program's fetch in the fetch unit's queue.
const START_CYCLES: u64 = 2;
/// The sequencer reads a command and looks at it.
const READ_CYCLES: u64 = 5;
/// It sees that the last unit it waited for has finished.
const WAIT_CYCLES: u64 = 2;
const DISPATCH_CYCLES: u64 = 1;
/// From a queue's write to the command at its unit.
const QUEUE_CYCLES: u64 = 2;
/// The pipeline behind the last command that is checked.
const SCAN_CYCLES: u64 = 8;
/// From the last unit's end to that of the frame.
const END_CYCLES: u64 = 3;

/// Queue lengths of a layer with experts, by expert.
pub type Queues = Vec<usize>;

/// The timeline of a frame for `task`, whose k-th layer with experts has the queues `queues[k]`.
pub fn timeline(
    program: &Program,
    task: usize,
    queues: &[Queues],
    memory: &MemoryConfig,
) -> Result<Timeline> {
    let commands = program.commands()?;
    let mut model = Model::new(&program.config, memory, task, queues);
    model.load_program(commands.len());
    let mut index = 0;
    while index < commands.len() {
        index += model.command(&commands, index)?;
    }
    Ok(model.finish())
}

/// The walk through a program.
struct Model<'a> {
    config: &'a AccelConfig,
    task: usize,
    queues: &'a [Queues],
    /// Cycle of the sequencer.
    now: u64,
    /// When the commands of each unit finish; the fetch unit's come from the stream.
    finishes: [Vec<u64>; 6],
    stream: WeightStream<'a>,
    array: ArrayModel<'a>,
    /// Layers with experts whose first Route has been dispatched.
    layers: usize,
    timeline: Timeline,
}

impl<'a> Model<'a> {
    fn new(config: &'a AccelConfig, memory: &'a MemoryConfig, task: usize, queues: &'a [Queues]) -> Self {
        Self {
            config,
            task,
            queues,
            now: START_CYCLES,
            finishes: Default::default(),
            stream: WeightStream::new(config, memory, task, queues),
            array: ArrayModel::new(config),
            layers: 0,
            timeline: Timeline::default(),
        }
    }

    /// The commands come through the stream and are checked one a cycle.
    fn load_program(&mut self, commands: usize) {
        let words = self.stream.load_program(self.now, commands);
        let loaded = (0..words).map(|_| self.stream.take(0)).max().unwrap_or(0);
        self.now = loaded + commands as u64 + SCAN_CYCLES;
    }

    /// A command, or a loop with its body; how many commands that were.
    fn command(&mut self, commands: &[Command], index: usize) -> Result<usize> {
        let command = &commands[index];
        self.now += READ_CYCLES;
        if command.tasks >> self.task & 1 == 0 {
            return Ok(1);
        }
        self.wait(&command.wait.0);
        match &command.operation {
            Operation::End(_) => return Ok(commands.len() - index),
            Operation::ExpertLoop(op) => return self.expert_loop(op, &commands[index + 1..], index),
            Operation::Fetch(op) => self.stream.fetch(self.now, op, index),
            Operation::MatMul(op) => self.matmul(op, op.tokens as usize, index),
            Operation::Copy(op) => {
                let at = self.array_turn();
                let end = self.array.copy(op, at, &mut self.stream);
                self.done(Unit::Array, index, at, end);
            }
            Operation::Discard(op) => self.discard(op.words as usize, index),
            Operation::Route(op) => self.route(op, index)?,
            Operation::Norm(op) => self.unit(Unit::Norm, index, units::norm(self.config, op)),
            Operation::Softmax(op) => self.unit(Unit::Softmax, index, units::softmax(self.config, op)),
            Operation::Write(op) => self.unit(Unit::Write, index, units::write(op)),
        }
        self.now += DISPATCH_CYCLES;
        Ok(1)
    }

    fn wait(&mut self, outstanding: &[u32; 6]) {
        for (unit, &allowed) in Unit::ALL.into_iter().zip(outstanding) {
            if allowed == NO_WAIT {
                continue;
            }
            let finish = match unit {
                Unit::Fetch => self.stream.finish(allowed as usize),
                _ => nth_last(&self.finishes[unit as usize], allowed as usize),
            };
            self.now = self.now.max(finish + WAIT_CYCLES);
        }
    }

    fn expert_loop(&mut self, op: &ExpertLoop, body: &[Command], index: usize) -> Result<usize> {
        let layer = self
            .layers
            .checked_sub(1)
            .context("an expert loop before a Route")?;
        let queues = &self.queues[layer];
        ensure!(
            queues.len() == op.experts as usize,
            "layer {layer} has {} queues, but its loop {} experts",
            queues.len(),
            op.experts
        );
        let body = body.get(..op.body as usize).context("a loop without its body")?;
        for &length in queues {
            let (known, fetched) = self.stream.ticket();
            self.now = (self.now + 1).max(known);
            if length == 0 {
                if fetched {
                    self.discard(op.words as usize, index + 1);
                }
                continue;
            }
            for (at, command) in body.iter().enumerate() {
                let Operation::MatMul(op) = &command.operation else {
                    continue;
                };
                self.now += READ_CYCLES;
                self.wait(&command.wait.0);
                self.matmul(op, length, index + 1 + at);
                self.now += DISPATCH_CYCLES;
            }
        }
        Ok(1 + op.body as usize)
    }

    fn matmul(&mut self, op: &MatMul, rows: usize, index: usize) {
        let at = self.array_turn();
        let runs = &mut self.timeline;
        let end = self.array.matmul(op, rows, at, index, &mut self.stream, runs);
        self.done(Unit::Array, index, at, end);
    }

    fn discard(&mut self, words: usize, index: usize) {
        let at = self.array_turn();
        let end = self.array.discard(words, at, &mut self.stream);
        self.done(Unit::Array, index, at, end);
    }

    /// Waits for room in the array's queue; when the command is at the feed unit.
    fn array_turn(&mut self) -> u64 {
        self.now = self.now.max(self.array.room(self.config.queue_commands));
        self.now + QUEUE_CYCLES
    }

    fn route(&mut self, op: &Route, index: usize) -> Result<()> {
        if op.first == 0 {
            self.layers += 1;
            ensure!(
                self.layers <= self.queues.len(),
                "the program has more layers with experts than the {} given",
                self.queues.len()
            );
        }
        let cycles = router::command_cycles((op.tokens - op.first) as usize, op.experts as usize);
        self.unit(Unit::Router, index, cycles as u64);
        if op.more == 0 {
            self.stream
                .routed(nth_last(&self.finishes[Unit::Router as usize], 0));
        }
        Ok(())
    }

    /// A command of a unit that does nothing else meanwhile.
    fn unit(&mut self, unit: Unit, index: usize, cycles: u64) {
        let free = nth_last(&self.finishes[unit as usize], 0);
        let start = (self.now + QUEUE_CYCLES).max(free);
        self.done(unit, index, self.now, start + cycles);
    }

    fn done(&mut self, unit: Unit, index: usize, dispatched: u64, end: u64) {
        let finishes = &mut self.finishes[unit as usize];
        self.timeline.spans.push(Span {
            unit,
            command: Some(index),
            start: dispatched.max(nth_last(finishes, 0)),
            end,
        });
        finishes.push(end);
    }

    fn finish(mut self) -> Timeline {
        let last = self.finishes.iter().map(|finishes| nth_last(finishes, 0));
        let end = last.max().unwrap_or(0).max(self.now).max(self.stream.finish(0)) + END_CYCLES;
        let mut timeline = self.timeline;
        timeline.cycles = end;
        timeline.push_run(moevit_hw::activity::Array::NoCommand, None, end);
        self.stream.add_to(&mut timeline);
        timeline
    }
}

/// The entry with `after` entries behind it; 0 if there is none.
fn nth_last(cycles: &[u64], after: usize) -> u64 {
    cycles.iter().rev().nth(after).copied().unwrap_or(0)
}
