//! A program together with the network that it came from.

use anyhow::{bail, ensure, Context, Result};
use moevit_hw::control::command::{Command, Operation};

use crate::golden::Golden;
use crate::model::architecture::Head;
use crate::model::checkpoint::Checkpoint;
use crate::model::{Architecture, Image, Model};
use crate::program::{Golden as Source, Label, Program};

/// A program whose parts have been understood.
#[derive(Debug)]
pub struct Compiled {
    pub program: Program,
    pub architecture: Architecture,
    /// Missing in programs that were compiled without it.
    pub golden: Option<Golden>,
}

impl Compiled {
    /// Reads the network out of a program, and checks that both speak of the same sizes.
    pub fn new(program: Program) -> Result<Self> {
        let architecture: Architecture = serde_json::from_value(program.meta.model.clone())
            .context("the program's model is not an architecture")?;
        architecture.validate().context("the program's model")?;
        check_sizes(&program, &architecture).context("the program contradicts its model")?;
        let golden = program
            .golden
            .as_ref()
            .map(|source| load_golden(source, &architecture))
            .transpose()?;
        Ok(Self {
            program,
            architecture,
            golden,
        })
    }

    /// The task with this name or number.
    pub fn task(&self, text: &str) -> Result<usize> {
        let tasks = &self.architecture.tasks;
        let number = text.parse().ok().filter(|&number| number < tasks.len());
        if let Some(task) = self.architecture.task_index(text).or(number) {
            return Ok(task);
        }
        let known = tasks
            .iter()
            .enumerate()
            .map(|(i, task)| format!("{i} {}", task.name));
        let known = known.collect::<Vec<_>>().join(", ");
        bail!("unknown task '{text}'; the program's tasks are: {known}")
    }

    /// The golden model, which comparisons need.
    pub fn require_golden(&self) -> Result<&Golden> {
        self.golden
            .as_ref()
            .context("the program holds no floating-point model; compile it without --without-golden")
    }

    /// CRC-32 of the payload, which tells programs apart.
    pub fn crc(&self) -> u32 {
        crc32fast::hash(&self.program.payload)
    }

    /// Lays out an image for the board's memory.
    pub fn pack(&self, image: &Image) -> Result<Vec<u8>> {
        Ok(self.program.meta.image.pack(image)?)
    }

    /// Multiply-accumulates of the network for a task: real rows and channels, without the padding of tiles.
    pub fn macs(&self, task: usize) -> Result<u64> {
        Ok(self.macs_by_command(task)?.iter().sum())
    }

    /// The same for each command, all experts of a loop together.
    pub fn macs_by_command(&self, task: usize) -> Result<Vec<u64>> {
        let commands = self.program.commands()?;
        let (mut entries, mut body) = (0, 0);
        let mut macs = |(command, label): (&Command, &Label)| {
            let repeats = if body > 0 { entries } else { 1 };
            body = u32::saturating_sub(body, 1);
            if command.tasks >> task & 1 == 0 {
                return 0;
            }
            match command.operation {
                Operation::Route(op) => entries = u64::from(op.tokens * op.top_k),
                Operation::ExpertLoop(op) => body = op.body,
                _ => return label.macs * repeats,
            }
            0
        };
        Ok(commands
            .iter()
            .zip(&self.program.meta.labels)
            .map(&mut macs)
            .collect())
    }
}

fn load_golden(source: &Source, architecture: &Architecture) -> Result<Golden> {
    let checkpoint = Checkpoint::from_bytes(source.checkpoint.clone(), "inside the program")?;
    let model = Model::from_checkpoint(&checkpoint, architecture)?;
    Ok(Golden::new(architecture, &model)?)
}

/// Sizes that are in both.
fn check_sizes(program: &Program, architecture: &Architecture) -> Result<()> {
    let meta = &program.meta;
    let (image, spec) = (&meta.image, &architecture.image);
    same(
        "image",
        [image.channels, image.height, image.width, image.patch],
        [spec.channels, spec.height, spec.width, spec.patch],
    )?;
    let width = architecture.encoder.dim;
    same(
        "tokens",
        [meta.tokens.tokens, meta.tokens.outputs],
        [architecture.tokens(), width],
    )?;
    same("number of tasks", meta.tasks.len(), architecture.tasks.len())?;
    for (index, (task, spec)) in meta.tasks.iter().zip(&architecture.tasks).enumerate() {
        same("task name", &task.name, &spec.name)?;
        if let Some(head) = &task.head {
            let shape = [head.tokens, head.outputs];
            same("task output", shape, logits_shape(architecture, index))?;
        }
    }
    Ok(())
}

/// Rows and columns of a task's outputs.
fn logits_shape(architecture: &Architecture, task: usize) -> [usize; 2] {
    let head = &architecture.tasks[task].head;
    match head.outputs() {
        None => [architecture.tokens(), architecture.encoder.dim],
        Some(outputs) if matches!(head, Head::Classification { .. }) => [1, outputs],
        Some(outputs) => [architecture.patches(), outputs],
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<()> {
    ensure!(
        found == expected,
        "{what}: {found:?}, but the model has {expected:?}"
    );
    Ok(())
}
