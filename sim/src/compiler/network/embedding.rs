//! The patch embedding on raw pixels, and what the residual stream holds before it.
//!
//! The network normalises pixels, `(x / 255 - mean) / std`; the accelerator multiplies `x - 128`. Scale and offset go into
//! weights and bias, the bias into the preloaded position table, and the class token with it.

use moevit_hw::numerics::post::to_16;

use super::Source;
use crate::compiler::error::CompileError;
use crate::compiler::fold::Affine;
use crate::compiler::quantise::{quantise, InputStatistics, Part, Pass, Precision, Quantised};
use crate::model::Model;

/// Numbers of the embedding.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// Residual stream before the patches are added, `[tokens, width]`.
    pub preload: Vec<i16>,
    pub patches: Quantised,
}

impl Embedding {
    pub fn build(source: &Source) -> Result<Self, CompileError> {
        let model = source.model();
        let layer = on_pixels(source);
        let preload = preload(model, &layer.bias, source.residual_step);
        let inputs = layer.inputs;
        let silent = Affine {
            bias: vec![0.0; layer.outputs()],
            ..layer
        };
        let units = vec![source.residual_step; silent.outputs()];
        let part = Part::plain(silent, InputStatistics::unknown(inputs), units);
        // Pixels are exact and nothing corrects this layer later, so that its weights get 15 bits.
        let pass = Pass {
            precision: Precision::WideWeights,
            ..Pass::plain()
        };
        let patches = quantise(&[part], &pass).map_err(|s| CompileError::numbers("patch embedding", s))?;
        Ok(Self { preload, patches })
    }
}

/// The embedding as a function of `pixel - 128`.
fn on_pixels(source: &Source) -> Affine {
    let (model, image) = (source.model(), &source.golden.architecture().image);
    let layer = Affine::of(&model.patch_embed);
    let per_channel = layer.inputs / image.channels;
    let channel = |input: usize| {
        let (mean, std) = (
            f64::from(image.mean[input / per_channel]),
            f64::from(image.std[input / per_channel]),
        );
        (1.0 / (255.0 * std), (128.0 / 255.0 - mean) / std)
    };
    let (scale, offset): (Vec<f64>, Vec<f64>) = (0..layer.inputs).map(channel).unzip();
    layer.absorb_affine(&scale, &offset)
}

fn preload(model: &Model, bias: &[f64], step: f64) -> Vec<i16> {
    let width = bias.len();
    let add = |token: usize, channel: usize| match token {
        0 => f64::from(model.class_token[channel]),
        _ => bias[channel],
    };
    let value = |(i, &position): (usize, &f32)| {
        let real = f64::from(position) + add(i / width, i % width);
        to_16((real / step).round() as i32)
    };
    model.pos_embed.data.iter().enumerate().map(value).collect()
}
