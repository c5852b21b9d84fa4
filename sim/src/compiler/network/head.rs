//! Numbers of the task heads: LayerNorm and a linear layer whose outputs are 16-bit integers with a scale a channel.
//!
//! A head without a linear layer gives the normalised tokens themselves, times gamma, plus beta: a diagonal matrix in the
//! 15-bit mode, so that features keep their precision.

use super::norm::NormNumbers;
use super::{absorb_norm, reals, Source};
use crate::compiler::error::CompileError;
use crate::compiler::fold::Affine;
use crate::compiler::quantise::{quantise, Part, Pass, Precision, Quantised};
use crate::compiler::samples::Columns;
use crate::model::weights::TaskHead;

/// Outputs may be this much larger than in calibration.
const HEADROOM: f64 = 4.0;
/// Largest 16-bit result.
const MOST: f64 = 32_767.0;

/// Numbers of a head.
#[derive(Clone, Debug)]
pub struct Head {
    pub norm: NormNumbers,
    pub outputs: Quantised,
    /// Real value of an output unit, for each channel.
    pub scales: Vec<f64>,
}

impl Head {
    pub fn build(source: &Source, task: usize) -> Result<Self, CompileError> {
        let head = &source.model().heads[task];
        let seen = source.calibration.head(source.model().blocks.len(), task);
        let layer = linear(source, head);
        let (norm, precision) = match head.proj {
            Some(_) => (source.norm.narrow(&seen, &layer.importance()), Precision::Narrow),
            None => (source.norm.wide(&seen), Precision::Wide),
        };
        let scales = output_scales(&layer, &seen);
        let layer = layer.scale_inputs(&vec![norm.step; source.width()]);
        let part = Part::plain(layer, norm.statistics(&seen), scales.clone());
        let pass = Pass {
            precision,
            bound: norm.bound(),
            ..Pass::plain()
        };
        let outputs =
            quantise(&[part], &pass).map_err(|s| CompileError::numbers(format!("head of task {task}"), s))?;
        Ok(Self {
            norm,
            outputs,
            scales,
        })
    }
}

fn linear(source: &Source, head: &TaskHead) -> Affine {
    match &head.proj {
        Some(proj) => absorb_norm(&Affine::of(proj), &head.norm),
        None => Affine::identity(source.width())
            .scale_outputs(&reals(&head.norm.gamma))
            .shift_outputs(&reals(&head.norm.beta)),
    }
}

/// Units that leave room above the largest output of each channel in calibration.
fn output_scales(layer: &Affine, seen: &Columns) -> Vec<f64> {
    let count = seen.iter().next().map_or(0, <[f64]>::len);
    let mut most: Vec<f64> = layer.bias.iter().map(|b| b.abs()).collect();
    let mut row = vec![0.0; layer.inputs];
    for sample in 0..count {
        row.iter_mut()
            .zip(seen.iter())
            .for_each(|(x, channel)| *x = channel[sample]);
        for (m, y) in most.iter_mut().zip(layer.apply(&row)) {
            *m = m.max(y.abs());
        }
    }
    let largest = most.iter().copied().fold(0.0, f64::max).max(1e-6);
    most.into_iter()
        .map(|m| HEADROOM * m.max(largest / 256.0) / MOST)
        .collect()
}
