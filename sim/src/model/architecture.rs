//! The architecture file: everything about a network that is not a weight.
//!
//! A TOML file names the image, the encoder, the Mixture-of-Experts blocks and the tasks:
//!
//! ```toml
//! name = "m3vit_t"
//! naming = "m3vit"                    # tensor names: "m3vit" or "timm"
//!
//! [image]
//! height = 128
//! width = 256
//! channels = 3
//! patch = 16                          # square, stride = patch
//! mean = [0.485, 0.456, 0.406]        # (pixel / 255 - mean) / std
//! std = [0.229, 0.224, 0.225]
//!
//! [encoder]
//! dim = 192
//! depth = 12
//! heads = 3
//! mlp_hidden = 768                    # of the dense blocks
//! norm_eps = 1e-6
//! layer_scale = false                 # timm's ls1.gamma, ls2.gamma
//!
//! [moe]                               # leave it out for a dense encoder
//! blocks = "odd"                      # "odd", "even", "all" or a list: [1, 3, 5]
//! experts = 16
//! k = 2
//! expert_hidden = 384
//! scoring = "softmax"                 # over all experts; "renormalised" among the chosen k
//! gates = "per_task"                  # "per_task", "shared" or "task_conditioned"
//!
//! [[tasks]]
//! name = "segmentation"
//! head = { kind = "dense", cells = 4, classes = 12 }
//! metric = { kind = "pixel_accuracy", ignored = 11 }
//! ```
//!
//! Tokens are the class token first, then the patches in raster order. A dense head gives every patch `cells` x `cells`
//! cells; the channel of a class at a cell is `class * cells^2 + row * cells + column`.

use std::path::Path;

use serde::{Deserialize, Serialize};

mod validate;

/// No size in an architecture file may exceed this: a typing error must not become an allocation of terabytes.
pub const MAX_SIZE: usize = 1 << 16;

/// Why an architecture cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchitectureError {
    #[error("cannot read the architecture file {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("the architecture file {path} is not understood: {message}")]
    Parse { path: String, message: String },
    #[error("architecture \"{name}\": {reason}")]
    Invalid { name: String, reason: String },
}

/// How the checkpoint names its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Naming {
    /// `heads.{task}.norm`, `heads.{task}.proj`, `mlp.experts.*`, `mlp.gate.*`.
    M3vit,
    /// timm's ViT, DeiT and DINOv2: one `norm` and one `head`, no experts.
    Timm,
}

/// The input image and how it is cut into patches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub patch: usize,
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
}

/// The pre-norm transformer encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderSpec {
    pub dim: usize,
    pub depth: usize,
    pub heads: usize,
    pub mlp_hidden: usize,
    #[serde(default = "default_norm_eps")]
    pub norm_eps: f32,
    #[serde(default)]
    pub layer_scale: bool,
}

fn default_norm_eps() -> f32 {
    1e-6
}

/// Which blocks hold experts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MoeBlocks {
    Rule(MoeRule),
    List(Vec<usize>),
}

/// A short way to name the Mixture-of-Experts blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoeRule {
    Odd,
    Even,
    All,
}

/// What the score of a chosen expert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scoring {
    /// Softmax over all experts, then top-k, not renormalised.
    Softmax,
    /// Softmax among the k chosen experts: their scores sum to one.
    Renormalised,
}

/// How the gate depends on the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gates {
    /// One matrix a task: `mlp.gate.{task}.w_gate` [D, E].
    PerTask,
    /// One matrix for all tasks: `mlp.gate.w_gate` [D, E].
    Shared,
    /// The shared matrix and a constant a task added to the logits: `mlp.gate.task_bias` [tasks, E].
    TaskConditioned,
}

/// The Mixture-of-Experts blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoeSpec {
    pub blocks: MoeBlocks,
    pub experts: usize,
    pub k: usize,
    pub expert_hidden: usize,
    pub scoring: Scoring,
    pub gates: Gates,
}

/// What stands after the encoder for one task: always a LayerNorm, then mostly a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Head {
    /// A linear layer on the class token.
    Classification { classes: usize },
    /// A linear layer on every patch token: `cells` x `cells` cells of `classes` logits.
    Dense { cells: usize, classes: usize },
    /// No linear layer: every token after the LayerNorm.
    Features,
}

/// How the output of a task is judged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Metric {
    /// Share of images whose largest logit is the label.
    Accuracy,
    /// Share of cells whose largest logit is the label, without the cells labelled `ignored`.
    PixelAccuracy { ignored: Option<usize> },
    /// Intersection over union, averaged over the classes that occur.
    MeanIou { ignored: Option<usize> },
    /// F1 of the cells whose only logit exceeds `threshold` against the label map's boundaries.
    BoundaryF1 { threshold: f32 },
}

/// One task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    pub name: String,
    pub head: Head,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
}

/// A whole network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    pub name: String,
    pub naming: Naming,
    pub image: ImageSpec,
    pub encoder: EncoderSpec,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moe: Option<MoeSpec>,
    pub tasks: Vec<TaskSpec>,
}

/// What the second half of a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    Dense { hidden: usize },
    Moe { experts: usize, k: usize, hidden: usize },
}

impl Architecture {
    /// Reads and validates an architecture file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ArchitectureError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ArchitectureError::Read {
            path: name.clone(),
            source,
        })?;
        Self::parse(&text, &name)
    }

    /// Parses and validates the text of an architecture file; `origin` stands in the error messages.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ArchitectureError> {
        let architecture: Self = toml::from_str(text).map_err(|e| ArchitectureError::Parse {
            path: origin.to_string(),
            message: e.to_string(),
        })?;
        architecture.validate()?;
        Ok(architecture)
    }

    /// The text of an architecture file that parses to `self`.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("an architecture has no map with non-string keys")
    }

    /// Patches in a column and in a row of the image.
    pub fn grid(&self) -> (usize, usize) {
        (
            self.image.height / self.image.patch,
            self.image.width / self.image.patch,
        )
    }

    pub fn patches(&self) -> usize {
        let (rows, columns) = self.grid();
        rows * columns
    }

    /// The class token and the patches.
    pub fn tokens(&self) -> usize {
        self.patches() + 1
    }

    /// Pixels times channels of a patch: the depth of the patch embedding.
    pub fn patch_values(&self) -> usize {
        self.image.channels * self.image.patch * self.image.patch
    }

    pub fn head_dim(&self) -> usize {
        self.encoder.dim / self.encoder.heads
    }

    pub fn is_moe(&self, block: usize) -> bool {
        self.moe.as_ref().is_some_and(|moe| match &moe.blocks {
            MoeBlocks::Rule(MoeRule::Odd) => block % 2 == 1,
            MoeBlocks::Rule(MoeRule::Even) => block % 2 == 0,
            MoeBlocks::Rule(MoeRule::All) => true,
            MoeBlocks::List(list) => list.contains(&block),
        })
    }

    pub fn block_kind(&self, block: usize) -> BlockKind {
        match &self.moe {
            Some(moe) if self.is_moe(block) => BlockKind::Moe {
                experts: moe.experts,
                k: moe.k,
                hidden: moe.expert_hidden,
            },
            _ => BlockKind::Dense {
                hidden: self.encoder.mlp_hidden,
            },
        }
    }

    /// The Mixture-of-Experts blocks in ascending order.
    pub fn moe_blocks(&self) -> Vec<usize> {
        (0..self.encoder.depth)
            .filter(|&block| self.is_moe(block))
            .collect()
    }

    /// Cells of a dense task's output, rows and columns; `None` for other tasks.
    pub fn cell_grid(&self, task: usize) -> Option<(usize, usize)> {
        let (rows, columns) = self.grid();
        match self.tasks.get(task)?.head {
            Head::Dense { cells, .. } => Some((rows * cells, columns * cells)),
            _ => None,
        }
    }

    /// The number of the task with this name.
    pub fn task_index(&self, name: &str) -> Option<usize> {
        self.tasks.iter().position(|task| task.name == name)
    }
}

impl Head {
    /// Channels that the head's linear layer gives for a token; `None` when there is no linear layer.
    pub fn outputs(&self) -> Option<usize> {
        match *self {
            Head::Classification { classes } => Some(classes),
            Head::Dense { cells, classes } => Some(cells * cells * classes),
            Head::Features => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M3VIT_T: &str = include_str!("../../architectures/m3vit_t.toml");

    #[test]
    fn m3vit_t_has_the_published_geometry() {
        let a = Architecture::parse(M3VIT_T, "m3vit_t.toml").unwrap();
        assert_eq!(
            (a.grid(), a.tokens(), a.patch_values(), a.head_dim()),
            ((8, 16), 129, 768, 64)
        );
        assert_eq!(a.moe_blocks(), [1, 3, 5, 7, 9, 11]);
        assert_eq!(a.block_kind(0), BlockKind::Dense { hidden: 768 });
        assert_eq!(
            a.block_kind(11),
            BlockKind::Moe {
                experts: 16,
                k: 2,
                hidden: 384
            }
        );
        assert_eq!(a.tasks[0].head.outputs(), Some(192));
        assert_eq!(a.cell_grid(1), Some((32, 64)));
        assert_eq!(a.task_index("boundary"), Some(1));
    }

    #[test]
    fn dense_encoders_have_no_experts() {
        for (text, tokens) in [
            (include_str!("../../architectures/deit_tiny.toml"), 197),
            (include_str!("../../architectures/vit_s14.toml"), 257),
        ] {
            let a = Architecture::parse(text, "dense").unwrap();
            assert_eq!(a.tokens(), tokens);
            assert!(a.moe_blocks().is_empty());
            assert!(matches!(a.block_kind(1), BlockKind::Dense { .. }));
        }
    }

    #[test]
    fn block_rules_and_lists_agree() {
        let mut a = Architecture::parse(M3VIT_T, "m3vit_t.toml").unwrap();
        let odd = a.moe_blocks();
        a.moe.as_mut().unwrap().blocks = MoeBlocks::List(odd.clone());
        assert_eq!(a.moe_blocks(), odd);
        a.moe.as_mut().unwrap().blocks = MoeBlocks::Rule(MoeRule::Even);
        assert_eq!(a.moe_blocks(), [0, 2, 4, 6, 8, 10]);
        a.moe.as_mut().unwrap().blocks = MoeBlocks::Rule(MoeRule::All);
        assert_eq!(a.moe_blocks().len(), 12);
    }

    #[test]
    fn written_text_parses_back() {
        let a = Architecture::parse(M3VIT_T, "m3vit_t.toml").unwrap();
        assert_eq!(Architecture::parse(&a.to_toml(), "written").unwrap(), a);
    }

    #[test]
    fn unreadable_and_misspelt_files_are_named() {
        let missing = Architecture::load("no/such/file.toml").unwrap_err().to_string();
        assert!(missing.contains("no/such/file.toml"), "{missing}");
        let misspelt = M3VIT_T.replace("heads = 3", "head = 3");
        let error = Architecture::parse(&misspelt, "misspelt.toml")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("misspelt.toml") && error.contains("head"),
            "{error}"
        );
    }
}
