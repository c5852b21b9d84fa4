//! A frame on the circuits with everybody watched, and the same frame by the analytical model.

use super::model::{self, Queues};
use super::recorder::Recorder;
use super::timeline::Timeline;
use crate::engine::circuit::CircuitDevice;
use crate::engine::{Accelerated, Compiled, Computer, Frame, Progress, Runner};
use crate::golden::Routes;
use crate::memory::MemoryConfig;
use crate::model::Image;
use anyhow::Result;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Runs an image on the circuits; its bits are checked against the reference.
pub fn simulate(
    compiled: &Arc<Compiled>,
    image: &Image,
    task: usize,
    memory: &MemoryConfig,
    progress: &mut Progress,
) -> Result<(Frame, Timeline)> {
    let recorder = Rc::new(RefCell::new(Recorder::default()));
    let observer = recorder.clone();
    let device = CircuitDevice::new(&compiled.program.config)
        .observe(Box::new(move |activity| observer.borrow_mut().record(activity)));
    let engine = Accelerated::new(device, &compiled.program, memory.clone())?;
    let mut runner = Runner::new(compiled.clone(), Computer::Engine(Box::new(engine)));
    let frame = runner.frame(image, task, progress)?;
    runner.finish()?;
    let timeline = recorder.take().into_timeline();
    Ok((frame, timeline))
}

/// The timeline that the model expects, with the queues that the reference finds for the image.
pub fn predict(
    compiled: &Arc<Compiled>,
    image: &Image,
    task: usize,
    memory: &MemoryConfig,
) -> Result<Timeline> {
    let mut runner = Runner::new(compiled.clone(), Computer::Reference);
    let routes = runner.frame(image, task, &mut |_| {})?.routes;
    let experts = compiled.architecture.moe.as_ref().map_or(0, |moe| moe.experts);
    model::timeline(&compiled.program, task, &queues(&routes, experts), memory)
}

/// Tokens in each expert's queue, layer by layer.
fn queues(routes: &Routes, experts: usize) -> Vec<Queues> {
    let lengths = |tokens: &[Vec<crate::golden::Choice>]| {
        let mut lengths = vec![0; experts];
        tokens
            .iter()
            .flatten()
            .for_each(|choice| lengths[choice.expert] += 1);
        lengths
    };
    routes.blocks.iter().map(|block| lengths(&block.tokens)).collect()
}
