//! The accelerator as its programs see it: memories, router, and one command after the other.

use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::{Command, Discard, ExpertLoop, Operation};

use super::decode::decode;
use super::error::{Fault, MachineError};
use super::fetch::{self, Board};
use super::footprint::Footprint;
use super::hazards::Hazards;
use super::legal::{check_program, name};
use super::memory::Memories;
use super::router::{QueueEntry, Router, Routes};
use super::rows::Rows;
use super::stream::Stream;
use super::work::Work;
use super::{matmul, norm, softmax};
use crate::program::Program;

/// Largest result buffer of a program whose own size is not known.
const RESULT_BYTES_MAX: usize = 1 << 26;

/// What a frame produces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunOutput {
    /// The result buffer.
    pub result: Vec<u8>,
    /// Every layer with a Route, in program order.
    pub routes: Vec<Routes>,
    /// Work of each command.
    pub work: Vec<Work>,
}

impl RunOutput {
    /// Sums over all commands.
    pub fn total(&self) -> Work {
        self.work.iter().copied().sum()
    }
}

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// Board memory from the program base on.
    pub payload: &'a [u8],
    /// Commands at its start.
    pub command_count: usize,
    /// Board memory from the image base on.
    pub image: &'a [u8],
    pub task: usize,
    /// Bytes of the result buffer.
    pub result_bytes_max: usize,
}

/// Sees the machine after every executed command: the command's index, the expert of a loop, the machine.
pub type Observer<'o> = dyn FnMut(usize, Option<usize>, &Machine) + 'o;

/// The accelerator's state. Memories keep their contents from frame to frame, as in the circuit.
#[derive(Clone, Debug)]
pub struct Machine {
    config: AccelConfig,
    memories: Memories,
    router: Router,
    hazard_checks: bool,
}

/// One run.
struct Frame<'a, 'f> {
    board: Board<'a>,
    stream: Stream<'a>,
    /// Bytes fetched so far.
    fetched: u64,
    result_bytes_max: usize,
    output: RunOutput,
    hazards: Option<Hazards>,
    observe: &'f mut Observer<'f>,
}

impl Frame<'_, '_> {
    /// Bytes whose consumer has been dispatched.
    fn consumed(&self) -> u64 {
        self.fetched - self.stream.held() as u64
    }
}

/// A command with its place.
#[derive(Clone, Copy)]
struct Step<'c> {
    index: usize,
    command: &'c Command,
    /// Expert of a loop and its queue.
    expert: Option<(usize, &'c [QueueEntry])>,
}

impl Machine {
    /// A machine with empty memories.
    pub fn new(config: &AccelConfig) -> Self {
        Self {
            config: config.clone(),
            memories: Memories::new(config),
            router: Router::default(),
            hazard_checks: false,
        }
    }

    /// Also refuses programs whose waits do not order every access; see [`super::hazards`].
    pub fn with_hazard_checks(mut self) -> Self {
        self.hazard_checks = true;
        self
    }

    /// Contents of the memories.
    pub fn memories(&self) -> &Memories {
        &self.memories
    }

    /// Runs a frame from bare bytes.
    pub fn run(
        &mut self,
        payload: &[u8],
        command_count: usize,
        image: &[u8],
        task: usize,
    ) -> Result<RunOutput, MachineError> {
        let job = Job {
            payload,
            command_count,
            image,
            task,
            result_bytes_max: RESULT_BYTES_MAX,
        };
        self.run_observed(&job, &mut |_, _, _| ())
    }

    /// Runs a frame of a compiled program; the result has the bytes that the program promises.
    pub fn run_program(
        &mut self,
        program: &Program,
        image: &[u8],
        task: usize,
    ) -> Result<RunOutput, MachineError> {
        let (expected, found) = (program.meta.image.bytes, image.len());
        if found != expected {
            return Err(MachineError::ImageBytes { expected, found });
        }
        if program.config != self.config {
            return Err(MachineError::Configuration {
                program: program.config.name.clone(),
                machine: self.config.name.clone(),
            });
        }
        let job = Job {
            payload: &program.payload,
            command_count: program.meta.command_count as usize,
            image,
            task,
            result_bytes_max: program.meta.result_bytes as usize,
        };
        let mut output = self.run_observed(&job, &mut |_, _, _| ())?;
        output.result.resize(job.result_bytes_max, 0);
        Ok(output)
    }

    /// Runs a frame and shows the machine to `observe` after every command.
    pub fn run_observed(&mut self, job: &Job, observe: &mut Observer) -> Result<RunOutput, MachineError> {
        if job.task > 7 {
            return Err(MachineError::Task(job.task));
        }
        let commands = decode(job, &self.config)?;
        check_program(&commands, &self.config)?;
        self.router.clear();
        let mut frame = Frame {
            board: Board {
                payload: job.payload,
                image: job.image,
                task: job.task,
            },
            stream: Stream::default(),
            fetched: 0,
            result_bytes_max: job.result_bytes_max,
            output: RunOutput {
                work: vec![Work::default(); commands.len()],
                ..Default::default()
            },
            hazards: self.hazard_checks.then(|| Hazards::new(&self.config)),
            observe,
        };
        self.run_commands(&commands, &mut frame)?;
        Ok(frame.output)
    }

    fn run_commands(&mut self, commands: &[Command], frame: &mut Frame) -> Result<(), MachineError> {
        let mut index = 0;
        while let Some(command) = commands.get(index) {
            let step = Step {
                index,
                command,
                expert: None,
            };
            let selected = command.tasks >> frame.board.task & 1 == 1;
            match &command.operation {
                Operation::End(_) if selected => return end(step, frame),
                Operation::ExpertLoop(op) => {
                    if selected {
                        self.run_loop(op, step, commands, frame)?;
                    }
                    index += op.body as usize;
                }
                _ if selected => self.run_step(step, frame)?,
                _ => (),
            }
            index += 1;
        }
        Err(MachineError::NoEnd(frame.board.task))
    }

    /// The loop's body once for each expert with a token; the other experts' words are dropped.
    fn run_loop(
        &mut self,
        op: &ExpertLoop,
        step: Step,
        commands: &[Command],
        frame: &mut Frame,
    ) -> Result<(), MachineError> {
        self.run_step(step, frame)?;
        let experts = self
            .router
            .nonempty(op.experts as usize, "experts")
            .map_err(|fault| fault.at(step.index, &step.command.operation))?;
        let words = Discard { words: op.words };
        let fault = |fault: Fault| fault.at(step.index, &step.command.operation);
        for expert in 0..op.experts as usize {
            if !experts.contains(&expert) {
                fetch::discard(&words, &self.config, &mut frame.stream).map_err(fault)?;
                continue;
            }
            let before = frame.consumed();
            self.run_body(op, step.index, expert, commands, frame)?;
            let consumed = (frame.consumed() - before) / self.config.weight_word_bytes() as u64;
            if consumed != u64::from(op.words) {
                let expected = format!("{consumed}, what the body consumes");
                return Err(fault(Fault::field("words", op.words.into(), expected)));
            }
        }
        Ok(())
    }

    fn run_body(
        &mut self,
        op: &ExpertLoop,
        loop_index: usize,
        expert: usize,
        commands: &[Command],
        frame: &mut Frame,
    ) -> Result<(), MachineError> {
        let queue = self.router.queues()[expert].clone();
        for index in loop_index + 1..=loop_index + op.body as usize {
            let step = Step {
                index,
                command: &commands[index],
                expert: Some((expert, &queue)),
            };
            self.run_step(step, frame)?;
        }
        Ok(())
    }

    fn run_step(&mut self, step: Step, frame: &mut Frame) -> Result<(), MachineError> {
        let mut work = self
            .execute(step, frame)
            .map_err(|fault| fault.at(step.index, &step.command.operation))?;
        work.executions = 1;
        frame.output.work[step.index] += work;
        (frame.observe)(step.index, step.expert.map(|e| e.0), self);
        Ok(())
    }

    fn execute(&mut self, step: Step, frame: &mut Frame) -> Result<Work, Fault> {
        let rows = match &step.command.operation {
            Operation::MatMul(op) => Rows::of(op, step.expert.map(|e| e.1)),
            _ => Rows::default(),
        };
        self.check(step.command, &rows, frame)?;
        let (config, memories) = (&self.config, &mut self.memories);
        match &step.command.operation {
            Operation::Fetch(op) => {
                let bytes = fetch::fetch(op, &frame.board, &mut frame.stream)?;
                frame.fetched += bytes;
                let consumed = frame.consumed();
                if let Some(hazards) = &mut frame.hazards {
                    hazards.fetch(bytes, consumed)?;
                }
                Ok(Work::streamed(bytes))
            }
            Operation::Copy(op) => fetch::copy(op, config, memories, &mut frame.stream).map(Work::streamed),
            Operation::Discard(op) => fetch::discard(op, config, &mut frame.stream).map(Work::streamed),
            Operation::MatMul(op) => matmul::run(op, &rows, config, memories, &mut frame.stream),
            Operation::Norm(op) => norm::run(op, config, memories),
            Operation::Softmax(op) => Ok(softmax::run(op, config, memories)),
            Operation::Route(op) => {
                let choices = self.router.route(op, &memories.logits)?;
                let queues = self.router.queues().to_vec();
                match frame.output.routes.last_mut() {
                    Some(layer) if op.first > 0 => {
                        layer.choices.extend(choices);
                        layer.queues = queues;
                    }
                    _ => frame.output.routes.push(Routes {
                        command: step.index,
                        choices,
                        queues,
                    }),
                }
                Ok(Work::default())
            }
            Operation::Write(op) => {
                let (result, most) = (&mut frame.output.result, frame.result_bytes_max);
                fetch::write(op, config, &memories.residual, result, most).map(|()| Work::default())
            }
            Operation::ExpertLoop(_) | Operation::End(_) => Ok(Work::default()),
        }
    }

    /// Ranges of addresses, and races if they are looked for.
    fn check(&self, command: &Command, rows: &Rows, frame: &mut Frame) -> Result<(), Fault> {
        let footprint = Footprint::of(&command.operation, rows, &self.config);
        footprint.check(&self.config)?;
        let consumed = frame.consumed();
        let Some(hazards) = &mut frame.hazards else {
            return Ok(());
        };
        hazards.wait(&command.wait, consumed)?;
        hazards.dispatch(&command.operation, command.operation.unit(), &footprint)
    }
}

impl Fault {
    fn at(self, index: usize, operation: &Operation) -> MachineError {
        MachineError::Command {
            index,
            operation: name(operation),
            fault: self,
        }
    }
}

/// Nothing may be left in the stream.
fn end(step: Step, frame: &mut Frame) -> Result<(), MachineError> {
    frame.output.work[step.index].executions = 1;
    match frame.stream.held() {
        0 => Ok(()),
        bytes => Err(Fault::Leftover { bytes }.at(step.index, &step.command.operation)),
    }
}
