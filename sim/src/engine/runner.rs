//! Runs frames of a program on any engine and reads what they gave.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};

use super::compiled::Compiled;
use super::{Cycles, Engine, FrameResult, Progress};
use crate::golden::{BlockRoutes, Choice, Routes};
use crate::model::{Image, Tensor};
use crate::program::Tensor as Place;
use crate::reference::{self, Machine, RunOutput};

/// What computes.
pub enum Computer {
    /// The floating-point model.
    Golden,
    /// The integer reference.
    Reference,
    /// Something that must give the reference's bits.
    Engine(Box<dyn Engine>),
}

/// A computed frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// [N, D] after the last block.
    pub tokens: Tensor,
    /// The tokens as the accelerator writes them; the golden model has none.
    pub integers: Option<Vec<i16>>,
    /// The task's outputs; a model without heads has none.
    pub logits: Option<Tensor>,
    /// Which experts served which tokens.
    pub routes: Routes,
    /// Share of the integers of all layers that were cut to their range; the golden model has none.
    pub saturated_share: Option<f64>,
    pub cycles: Option<Cycles>,
    /// How long the engine simulated them.
    pub simulated_in: Option<Duration>,
    /// Whether the bits were compared with the reference's, and were equal.
    pub equals_reference: Option<bool>,
}

impl Frame {
    /// Simulated cycles a second.
    pub fn simulation_speed(&self) -> Option<f64> {
        let (cycles, duration) = (self.cycles.as_ref()?.total, self.simulated_in?);
        Some(cycles as f64 / duration.as_secs_f64())
    }
}

/// Runs frames, one after the other.
pub struct Runner {
    compiled: Arc<Compiled>,
    reference: Machine,
    computer: Computer,
}

impl Runner {
    pub fn new(compiled: Arc<Compiled>, computer: Computer) -> Self {
        Self {
            reference: Machine::new(&compiled.program.config),
            compiled,
            computer,
        }
    }

    pub fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// Computes an image for a task.
    pub fn frame(&mut self, image: &Image, task: usize, progress: &mut Progress) -> Result<Frame> {
        if let Computer::Golden = self.computer {
            return golden_frame(&self.compiled, image, task);
        }
        let packed = self.compiled.pack(image)?;
        let program = &self.compiled.program;
        let output = self.reference.run_program(program, &packed, task)?;
        let Computer::Engine(engine) = &mut self.computer else {
            return read_frame(&self.compiled, &output, task);
        };
        let started = Instant::now();
        let found = engine.run(&packed, task, progress)?;
        let simulated_in = found.cycles.as_ref().map(|_| started.elapsed());
        check_bits(&self.compiled, task, &output.result, &found.result)?;
        Ok(Frame {
            equals_reference: Some(true),
            cycles: found.cycles,
            simulated_in,
            ..read_frame(&self.compiled, &output, task)?
        })
    }

    /// Computes images, each for its task, back to back through the engine's frame queue.
    pub fn stream(
        &mut self,
        images: &[(Image, usize)],
        progress: &mut Progress,
    ) -> Result<Vec<(Frame, FrameResult)>> {
        let Computer::Engine(engine) = &mut self.computer else {
            bail!("only the engines circuit and verilator have a frame queue");
        };
        let packed = images
            .iter()
            .map(|(image, task)| Ok((self.compiled.pack(image)?, *task)))
            .collect::<Result<Vec<_>>>()?;
        let found = engine.stream(&packed, progress)?;
        let program = &self.compiled.program;
        packed
            .iter()
            .zip(found)
            .enumerate()
            .map(|(number, ((packed, task), found))| {
                let want = self.reference.run_program(program, packed, *task)?;
                check_bits(&self.compiled, *task, &want.result, &found.result)
                    .with_context(|| format!("frame {}", number + 1))?;
                let frame = Frame {
                    equals_reference: Some(true),
                    ..read_frame(&self.compiled, &want, *task)?
                };
                Ok((frame, found))
            })
            .collect()
    }

    /// Ends the engine; a waveform is complete afterwards.
    pub fn finish(mut self) -> Result<()> {
        match &mut self.computer {
            Computer::Engine(engine) => engine.finish(),
            Computer::Golden | Computer::Reference => Ok(()),
        }
    }
}

fn golden_frame(compiled: &Compiled, image: &Image, task: usize) -> Result<Frame> {
    let output = compiled.require_golden()?.run(image, task, None)?;
    Ok(Frame {
        tokens: output.tokens,
        integers: None,
        logits: Some(output.logits),
        routes: output.routes,
        saturated_share: None,
        cycles: None,
        simulated_in: None,
        equals_reference: None,
    })
}

/// Reads what the reference computed; an engine's integers are the same by then.
fn read_frame(compiled: &Compiled, output: &RunOutput, task: usize) -> Result<Frame> {
    let (meta, result) = (&compiled.program.meta, &output.result);
    let head = meta.tasks[task].head.as_ref();
    Ok(Frame {
        tokens: read_tensor(&meta.tokens, result)?,
        integers: Some(meta.tokens.integers(result)?),
        logits: head.map(|place| read_tensor(place, result)).transpose()?,
        routes: golden_routes(compiled, &output.routes)?,
        saturated_share: Some(output.total().saturated_share()),
        cycles: None,
        simulated_in: None,
        equals_reference: None,
    })
}

fn read_tensor(place: &Place, result: &[u8]) -> Result<Tensor> {
    Ok(Tensor::new([place.tokens, place.outputs], place.reals(result)?))
}

/// The reference's routes in the golden model's terms; its k-th Route command belongs to the k-th block with experts.
fn golden_routes(compiled: &Compiled, routes: &[reference::Routes]) -> Result<Routes> {
    let blocks = compiled.architecture.moe_blocks();
    ensure!(
        blocks.len() == routes.len(),
        "the program routes {} times, but the model has {} blocks with experts",
        routes.len(),
        blocks.len()
    );
    let choice = |choice: &reference::Choice| Choice {
        expert: choice.expert,
        score: choice.score.to_num(),
    };
    let pairs = blocks.into_iter().zip(routes);
    let blocks = pairs.map(|(block, routes)| BlockRoutes {
        block,
        tokens: routes
            .choices
            .iter()
            .map(|choices| choices.iter().map(choice).collect())
            .collect(),
    });
    let blocks = blocks.collect();
    Ok(Routes { blocks })
}

/// Every integer that the frame promises must be the reference's.
fn check_bits(compiled: &Compiled, task: usize, expected: &[u8], found: &[u8]) -> Result<()> {
    let meta = &compiled.program.meta;
    let head = meta.tasks[task].head.as_ref().map(|place| ("task output", place));
    for (what, place) in std::iter::once(("token", &meta.tokens)).chain(head) {
        let found = place.integers(found).context("the engine's result")?;
        let expected = place.integers(expected)?;
        let pairs = found.iter().zip(&expected);
        let wrong: Vec<usize> = pairs
            .enumerate()
            .filter_map(|(at, (f, e))| (f != e).then_some(at))
            .collect();
        ensure!(
            wrong.is_empty(),
            "{} of {} integers differ from the reference; first at {what} {}, channel {}: {} instead of {}",
            wrong.len(),
            expected.len(),
            wrong[0] / place.outputs,
            wrong[0] % place.outputs,
            found[wrong[0]],
            expected[wrong[0]]
        );
    }
    Ok(())
}
