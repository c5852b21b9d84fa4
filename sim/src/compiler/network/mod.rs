//! The network in integers: every matrix, multiplier and constant that the program carries.

pub mod attention;
pub mod embedding;
pub mod feed_forward;
pub mod head;
pub mod norm;

use rayon::prelude::*;

use super::calibrate::Calibration;
use super::error::CompileError;
use super::fold::Affine;
use super::layout::{Layout, MlpLayout};
use crate::golden::Golden;
use crate::model::architecture::BlockKind;
use crate::model::weights::Norm;
use crate::model::Model;

use attention::Attention;
use embedding::Embedding;
use feed_forward::FeedForward;
use head::Head;
use norm::NormContext;

/// The residual stream may be this much larger than in calibration.
const RESIDUAL_HEADROOM: f64 = 1.5;

/// What all layers are built from.
pub struct Source<'a> {
    pub golden: &'a Golden,
    pub calibration: &'a Calibration,
    /// Real value of a residual unit.
    pub residual_step: f64,
    pub norm: NormContext,
}

impl Source<'_> {
    pub fn model(&self) -> &Model {
        self.golden.model()
    }

    pub fn width(&self) -> usize {
        self.norm.width
    }

    pub fn tokens(&self) -> usize {
        self.golden.architecture().tokens()
    }
}

/// Numbers of a block.
#[derive(Clone, Debug)]
pub struct Block {
    pub attention: Attention,
    pub feed_forward: FeedForward,
}

/// Numbers of a network.
#[derive(Clone, Debug)]
pub struct Network {
    /// Fraction bits of the residual stream.
    pub residual_bits: i32,
    pub embedding: Embedding,
    pub blocks: Vec<Block>,
    pub heads: Vec<Head>,
}

impl Network {
    /// Folds and quantises every layer.
    pub fn build(golden: &Golden, calibration: &Calibration, layout: &Layout) -> Result<Self, CompileError> {
        let architecture = golden.architecture();
        let residual_bits = residual_bits(calibration.residual_most());
        let residual_step = 2f64.powi(-residual_bits);
        let source = Source {
            golden,
            calibration,
            residual_step,
            norm: NormContext {
                width: architecture.encoder.dim,
                epsilon: architecture.encoder.norm_eps.into(),
                residual_step,
            },
        };
        let block = |index: usize| {
            Ok(Block {
                attention: Attention::build(&source, index)?,
                feed_forward: FeedForward::build(&source, index, mlp_layout(golden, layout, index)?)?,
            })
        };
        let blocks: Result<Vec<Block>, CompileError> = (0..architecture.encoder.depth)
            .into_par_iter()
            .map(block)
            .collect();
        let heads: Result<Vec<Head>, CompileError> = (0..architecture.tasks.len())
            .map(|task| Head::build(&source, task))
            .collect();
        Ok(Self {
            residual_bits,
            embedding: Embedding::build(&source)?,
            blocks: blocks?,
            heads: heads?,
        })
    }
}

fn mlp_layout<'a>(golden: &Golden, layout: &'a Layout, block: usize) -> Result<&'a MlpLayout, CompileError> {
    let found = match golden.architecture().block_kind(block) {
        BlockKind::Dense { .. } => layout.dense.as_ref(),
        BlockKind::Moe { .. } => layout.moe.as_ref(),
    };
    found.ok_or_else(|| CompileError::Model(format!("block {block} has no layout")))
}

impl Network {
    /// The scales that were found, for reports and comparisons.
    pub fn summary(&self, calibration: &Calibration) -> serde_json::Value {
        let block = |block: &Block| {
            let (attention, mlp) = (&block.attention, &block.feed_forward);
            serde_json::json!({
                "norm1_step": attention.norm.step,
                "norm2_step": mlp.norm.step,
                "hidden_zero_point": mlp.up.settings.offset,
            })
        };
        serde_json::json!({
            "images": calibration.images(),
            "residual_most": calibration.residual_most(),
            "residual_fraction_bits": self.residual_bits,
            "blocks": self.blocks.iter().map(block).collect::<Vec<_>>(),
        })
    }
}

/// Fraction bits that hold the stream with headroom in 16 bits.
fn residual_bits(most: f64) -> i32 {
    (32_767.0 / (RESIDUAL_HEADROOM * most.max(1e-3))).log2().floor() as i32
}

/// Puts the names of block and layer before a sentence.
fn fault(block: usize, layer: &str) -> impl FnOnce(String) -> CompileError {
    let layer = format!("block {block} {layer}");
    move |sentence| CompileError::numbers(layer, sentence)
}

/// A layer behind a LayerNorm as a function of the normalised values.
fn absorb_norm(layer: &Affine, norm: &Norm) -> Affine {
    layer
        .clone()
        .absorb_affine(&reals(&norm.gamma), &reals(&norm.beta))
}

fn reals(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| v.into()).collect()
}

#[cfg(test)]
mod tests {
    use super::residual_bits;

    #[test]
    fn the_residual_stream_keeps_headroom() {
        for most in [0.3, 1.0, 15.0, 40.0, 42.6, 900.0] {
            let bits = residual_bits(most);
            let units = most * 2f64.powi(bits);
            assert!(
                units * 1.5 <= 32_767.0 && units * 3.001 > 32_767.0,
                "{most}: {bits}"
            );
        }
    }
}
