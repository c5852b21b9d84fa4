//! The golden model: the network in `f32`, the measure of everything else.
//!
//! ```text
//! image -> normalise -> patches x W + b -> [class token; patches] + pos_embed
//!       -> depth x { x += ls1 * proj(attention(norm1(x))) ; x += ls2 * feed_forward(norm2(x)) } -> tokens
//!       -> head's norm -> head's linear layer -> logits
//! ```
//!
//! LayerNorm with the population variance, exact erf GELU, scores scaled by 1 / sqrt(head size). A Mixture-of-Experts
//! block gives sum of score_e * expert_e(norm2(x)) over the k chosen experts (see [`gate`] for the scores).
//! [`Golden::run`] can replay given routes, so that another engine can be compared without the noise of near-tied
//! choices, and [`Golden::run_observed`] shows every quantisation site to an observer.

mod attention;
mod evaluate;
mod experts;
pub mod gate;
pub mod observer;
pub mod ops;

use ndarray::{s, Array2, ArrayView1};

use crate::model::architecture::{Architecture, BlockKind, Head};
use crate::model::weights::{FeedForward, Model, Norm};
use crate::model::{Image, Tensor};

pub use gate::{BlockRoutes, Choice, Routes};
pub use observer::{Observer, Site, Stage};

use ops::{linear, matrix, normalise, scale_shift};

/// Why the golden model cannot run.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    #[error("the architecture and the model do not belong together: {0}")]
    Model(String),
    #[error("task {task} does not exist: the model has {tasks} tasks, counted from 0")]
    Task { task: usize, tasks: usize },
    #[error("the image is {found:?} (height, width, channels), but the model takes {expected:?}")]
    Image {
        expected: (usize, usize, usize),
        found: (usize, usize, usize),
    },
    #[error("the given routes do not fit the model: {0}")]
    Routes(String),
}

/// What one run gives.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenOutput {
    /// [N, D] after the last block, before any head.
    pub tokens: Tensor,
    /// Classification [1, classes]; dense [patches, cells * cells * classes]; features [N, D].
    pub logits: Tensor,
    /// The chosen experts and their scores, or the given ones with their scores computed anew.
    pub routes: Routes,
}

/// A network that runs in `f32`.
#[derive(Clone, Debug)]
pub struct Golden {
    architecture: Architecture,
    model: Model,
}

impl Golden {
    pub fn new(architecture: &Architecture, model: &Model) -> Result<Self, GoldenError> {
        check(architecture, model).map_err(GoldenError::Model)?;
        Ok(Self {
            architecture: architecture.clone(),
            model: model.clone(),
        })
    }

    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Runs one image for one task; with `routes`, on the given experts.
    pub fn run(
        &self,
        image: &Image,
        task: usize,
        routes: Option<&Routes>,
    ) -> Result<GoldenOutput, GoldenError> {
        self.run_observed(image, task, routes, &mut ())
    }

    /// Runs and shows every quantisation site to `observer`.
    pub fn run_observed(
        &self,
        image: &Image,
        task: usize,
        routes: Option<&Routes>,
        observer: &mut dyn Observer,
    ) -> Result<GoldenOutput, GoldenError> {
        self.check_input(image, task)?;
        if let Some(routes) = routes {
            routes.check(&self.architecture).map_err(GoldenError::Routes)?;
        }
        let mut run = Run {
            golden: self,
            task,
            given: routes,
            observer,
            routes: Routes::default(),
        };
        let tokens = run.encode(image);
        let logits = run.head(&tokens);
        Ok(GoldenOutput {
            tokens: tensor(tokens),
            logits: tensor(logits),
            routes: run.routes,
        })
    }

    fn check_input(&self, image: &Image, task: usize) -> Result<(), GoldenError> {
        let tasks = self.architecture.tasks.len();
        if task >= tasks {
            return Err(GoldenError::Task { task, tasks });
        }
        let spec = &self.architecture.image;
        let expected = (spec.height, spec.width, spec.channels);
        let found = (image.height, image.width, image.channels);
        if found != expected || image.pixels.len() != expected.0 * expected.1 * expected.2 {
            return Err(GoldenError::Image { expected, found });
        }
        Ok(())
    }

    /// The normalised pixels, a row a patch: [patches, channel * row * column].
    pub fn patches(&self, image: &Image) -> Array2<f32> {
        let spec = &self.architecture.image;
        let (size, columns) = (spec.patch, self.architecture.grid().1);
        let value = |patch: usize, at: usize| {
            let (channel, row, column) = (at / (size * size), at / size % size, at % size);
            let (y, x) = (patch / columns * size + row, patch % columns * size + column);
            let pixel = image.pixels[(y * spec.width + x) * spec.channels + channel];
            (f32::from(pixel) / 255.0 - spec.mean[channel]) / spec.std[channel]
        };
        let shape = (self.architecture.patches(), self.architecture.patch_values());
        Array2::from_shape_fn(shape, |(patch, at)| value(patch, at))
    }
}

/// The sizes that a run relies on, for models that were not read from a checkpoint.
fn check(architecture: &Architecture, model: &Model) -> Result<(), String> {
    architecture.validate().map_err(|e| e.to_string())?;
    let (encoder, tasks) = (&architecture.encoder, &architecture.tasks);
    expect(
        "the position table's shape",
        &model.pos_embed.shape[..],
        &[architecture.tokens(), encoder.dim],
    )?;
    let kernel = [encoder.dim, architecture.patch_values()];
    expect(
        "the patch embedding's shape",
        &model.patch_embed.weight.shape[..],
        &kernel,
    )?;
    expect("the number of blocks", model.blocks.len(), encoder.depth)?;
    expect("the number of heads", model.heads.len(), tasks.len())?;
    for (index, block) in model.blocks.iter().enumerate() {
        let found = match &block.feed_forward {
            FeedForward::Dense(mlp) => (1, mlp.up.bias.len(), 0),
            FeedForward::Moe { experts, gates } => (
                experts.len(),
                experts.first().map_or(0, |e| e.up.bias.len()),
                gates.len(),
            ),
        };
        let expected = match architecture.block_kind(index) {
            BlockKind::Dense { hidden } => (1, hidden, 0),
            BlockKind::Moe { experts, hidden, .. } => (experts, hidden, tasks.len()),
        };
        expect(
            &format!("block {index}'s experts, hidden size and gates"),
            found,
            expected,
        )?;
    }
    for (head, task) in model.heads.iter().zip(tasks) {
        let found = head.proj.as_ref().map(|proj| proj.bias.len());
        expect(
            &format!("the outputs of task \"{}\"", task.name),
            found,
            task.head.outputs(),
        )?;
    }
    Ok(())
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: expected {expected:?}, found {found:?}")),
    }
}

fn tensor(values: Array2<f32>) -> Tensor {
    Tensor::new(values.shape(), values.iter().copied().collect())
}

/// One pass of one image.
struct Run<'a> {
    golden: &'a Golden,
    task: usize,
    given: Option<&'a Routes>,
    observer: &'a mut dyn Observer,
    routes: Routes,
}

impl Run<'_> {
    fn observe(&mut self, site: Site, block: usize, values: &Array2<f32>) {
        let values = values.as_standard_layout();
        if let Some(slice) = values.as_slice() {
            self.observer.observe(site, block, slice, values.ncols());
        }
    }

    fn encode(&mut self, image: &Image) -> Array2<f32> {
        let golden = self.golden;
        let mut x = self.embed(image);
        for (index, block) in golden.model.blocks.iter().enumerate() {
            let y = self.norm(index, &x, &block.norm1, Site::Normalised1, Site::Norm1);
            let y = self.attention(index, block, &y);
            add_scaled(&mut x, y, block.ls1.as_deref());
            self.observe(Site::Residual(Stage::Attention), index, &x);
            let y = self.norm(index, &x, &block.norm2, Site::Normalised2, Site::Norm2);
            let y = match &block.feed_forward {
                FeedForward::Dense(mlp) => self.mlp(index, None, mlp, &y),
                FeedForward::Moe { experts, gates } => self.experts(index, experts, &gates[self.task], &y),
            };
            add_scaled(&mut x, y, block.ls2.as_deref());
            self.observe(Site::Residual(Stage::FeedForward), index, &x);
        }
        x
    }

    fn embed(&mut self, image: &Image) -> Array2<f32> {
        let model = &self.golden.model;
        let patches = self.golden.patches(image);
        self.observe(Site::PatchInput, 0, &patches);
        let mut x = matrix(&model.pos_embed).to_owned();
        x.row_mut(0)
            .scaled_add(1.0, &ArrayView1::from(&model.class_token));
        x.slice_mut(s![1.., ..])
            .scaled_add(1.0, &linear(patches.view(), &model.patch_embed));
        self.observe(Site::Residual(Stage::Embedding), 0, &x);
        x
    }

    fn norm(&mut self, block: usize, x: &Array2<f32>, norm: &Norm, plain: Site, scaled: Site) -> Array2<f32> {
        let mut y = normalise(x.view(), self.golden.architecture.encoder.norm_eps);
        self.observe(plain, block, &y);
        scale_shift(&mut y, norm);
        self.observe(scaled, block, &y);
        y
    }

    fn head(&mut self, tokens: &Array2<f32>) -> Array2<f32> {
        let golden = self.golden;
        let head = &golden.model.heads[self.task];
        let depth = golden.model.blocks.len();
        let rows = match golden.architecture.tasks[self.task].head {
            Head::Classification { .. } => tokens.slice(s![..1, ..]),
            Head::Dense { .. } => tokens.slice(s![1.., ..]),
            Head::Features => tokens.view(),
        };
        let y = self.norm(
            depth,
            &rows.to_owned(),
            &head.norm,
            Site::HeadNormalised,
            Site::HeadNorm,
        );
        head.proj
            .as_ref()
            .map_or_else(|| y.clone(), |proj| linear(y.view(), proj))
    }
}

/// x += scale * y, with LayerScale's gamma a channel when there is one.
fn add_scaled(x: &mut Array2<f32>, mut y: Array2<f32>, gamma: Option<&[f32]>) {
    if let Some(gamma) = gamma {
        y *= &ArrayView1::from(gamma);
    }
    *x += &y;
}

#[cfg(test)]
mod tests;
