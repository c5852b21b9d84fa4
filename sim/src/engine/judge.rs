//! How good a frame is: its distance from the golden model.
//!
//! Two distances: *same routes* replays the golden model on the experts that the engine chose, which leaves only the quantisation;
//! *free* lets it choose for itself, so that choices between nearly equal experts count too.

use anyhow::Result;
use serde::Serialize;

use super::compare::{distance, Distance};
use super::runner::Frame;
use crate::golden::{Golden, GoldenOutput, Routes};
use crate::model::{Image, Tensor};

/// Distance of a frame from one golden run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Closeness {
    #[serde(flatten)]
    pub tokens: Distance,
    /// Distance of the task's outputs, a row a token.
    pub logits: Option<Distance>,
}

/// Choices of experts, counted by token and block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RouteCount {
    pub equal: u64,
    pub compared: u64,
}

/// A frame beside the golden model.
#[derive(Clone, Debug)]
pub struct Judgement {
    pub same_routes: Closeness,
    pub free: Closeness,
    pub routes: RouteCount,
    /// The golden model's own run.
    pub golden: GoldenOutput,
}

impl RouteCount {
    pub fn between(a: &Routes, b: &Routes) -> Self {
        let (differ, compared) = a.differences(b);
        Self {
            equal: (compared - differ) as u64,
            compared: compared as u64,
        }
    }

    /// Share of equal choices; 1 for a model without experts.
    pub fn share(&self) -> f64 {
        match self.compared {
            0 => 1.0,
            compared => self.equal as f64 / compared as f64,
        }
    }
}

/// Compares a frame with the golden model on the same image and task.
pub fn judge(golden: &Golden, image: &Image, task: usize, frame: &Frame) -> Result<Judgement> {
    let free = golden.run(image, task, None)?;
    let routes = RouteCount::between(&frame.routes, &free.routes);
    let same = match routes.equal == routes.compared {
        true => closeness(frame, &free),
        false => closeness(frame, &golden.run(image, task, Some(&frame.routes))?),
    };
    Ok(Judgement {
        same_routes: same,
        free: closeness(frame, &free),
        routes,
        golden: free,
    })
}

fn closeness(frame: &Frame, golden: &GoldenOutput) -> Closeness {
    let between = |ours: &Tensor, golden: &Tensor| distance(&ours.data, &golden.data, golden.columns());
    Closeness {
        tokens: between(&frame.tokens, &golden.tokens),
        logits: frame
            .logits
            .as_ref()
            .map(|logits| between(logits, &golden.logits)),
    }
}
