//! The weights of a network, and the names under which checkpoints hold them.
//!
//! | part | tensors |
//! |---|---|
//! | embedding | `patch_embed.proj.weight` [D, C, P, P], `.bias`; `cls_token` [1, 1, D]; `pos_embed` [1, N, D] |
//! | block | `blocks.N.norm1`, `attn.qkv` [3 D, D], `attn.proj` [D, D], `norm2`; with LayerScale `ls1.gamma`, `ls2.gamma` |
//! | dense MLP | `mlp.fc1` [H, D], `mlp.fc2` [D, H] |
//! | experts | `mlp.experts.htoh4.weight` [E, H, D], `mlp.experts.h4toh.weight` [E, D, H], biases [E, H], [E, D] |
//! | gate a task | `mlp.gate.{task}.w_gate` [D, E] |
//! | shared gate | `mlp.gate.w_gate` [D, E]; task-conditioned also `mlp.gate.task_bias` [tasks, E] |
//! | head | M3ViT `heads.{task}.norm`, `heads.{task}.proj`; timm `norm`, `head` |

use super::architecture::{Architecture, BlockKind, Gates, MoeSpec, Naming};
use super::checkpoint::{Checkpoint, CheckpointError};
use super::tensor::Tensor;

/// y = x W^T + b.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// [outputs, inputs]
    pub weight: Tensor,
    pub bias: Vec<f32>,
}

/// LayerNorm's scale and shift.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    pub gamma: Vec<f32>,
    pub beta: Vec<f32>,
}

/// Two linear layers with GELU between them: a dense MLP or one expert.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    pub up: Linear,
    pub down: Linear,
}

/// One task's gate; `bias` is zero unless the gates are task-conditioned.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// [D, experts]
    pub weight: Tensor,
    pub bias: Vec<f32>,
}

/// The second half of a block.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedForward {
    Dense(Mlp),
    /// `gates[task]` always exists; tasks that share a gate hold copies of it.
    Moe {
        experts: Vec<Mlp>,
        gates: Vec<Gate>,
    },
}

/// One pre-norm block: x += ls1 * proj(attention(norm1(x))); x += ls2 * feed_forward(norm2(x)).
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub norm1: Norm,
    /// Rows: q, k, v; each heads x head size.
    pub qkv: Linear,
    pub proj: Linear,
    pub norm2: Norm,
    pub feed_forward: FeedForward,
    /// LayerScale, when the architecture has it.
    pub ls1: Option<Vec<f32>>,
    pub ls2: Option<Vec<f32>>,
}

/// What follows the encoder for one task; `proj` is missing for features.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskHead {
    pub norm: Norm,
    pub proj: Option<Linear>,
}

/// All weights of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// [D, C * P * P]: channel, row, column of the pixel
    pub patch_embed: Linear,
    pub class_token: Vec<f32>,
    /// [N, D], the class token first
    pub pos_embed: Tensor,
    pub blocks: Vec<Block>,
    pub heads: Vec<TaskHead>,
}

/// Gives the tensor of a name and a shape.
pub type TensorSource<'a, E> = dyn FnMut(&str, &[usize]) -> Result<Tensor, E> + 'a;

impl Model {
    /// Reads the tensors that `architecture` needs.
    pub fn load(
        path: impl AsRef<std::path::Path>,
        architecture: &Architecture,
    ) -> Result<Self, CheckpointError> {
        Self::from_checkpoint(&Checkpoint::open(path)?, architecture)
    }

    pub fn from_checkpoint(
        checkpoint: &Checkpoint,
        architecture: &Architecture,
    ) -> Result<Self, CheckpointError> {
        let reader = checkpoint.reader()?;
        Self::build(architecture, &mut |name, shape| reader.tensor(name, shape))
    }

    /// Builds a model from any source of tensors, which is asked for every name and shape once.
    pub fn build<E>(architecture: &Architecture, source: &mut TensorSource<'_, E>) -> Result<Self, E> {
        let d = architecture.encoder.dim;
        let image = &architecture.image;
        let values = architecture.patch_values();
        let mut names = Names { source };
        let kernel = [d, image.channels, image.patch, image.patch];
        let patch_embed = Linear {
            weight: names
                .tensor("patch_embed.proj.weight", &kernel)?
                .reshape([d, values]),
            bias: names.vector("patch_embed.proj.bias", &[d])?,
        };
        let class_token = names.vector("cls_token", &[1, 1, d])?;
        let tokens = architecture.tokens();
        let pos_embed = names.tensor("pos_embed", &[1, tokens, d])?.reshape([tokens, d]);
        let blocks = (0..architecture.encoder.depth)
            .map(|block| names.block(architecture, block))
            .collect::<Result<_, _>>()?;
        let heads = (0..architecture.tasks.len())
            .map(|task| names.head(architecture, task))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            patch_embed,
            class_token,
            pos_embed,
            blocks,
            heads,
        })
    }
}

/// Asks the source for the tensors by their names.
struct Names<'a, 's, E> {
    source: &'a mut TensorSource<'s, E>,
}

impl<E> Names<'_, '_, E> {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, E> {
        (self.source)(name, shape)
    }

    fn vector(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, E> {
        Ok(self.tensor(name, shape)?.data)
    }

    fn linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Result<Linear, E> {
        Ok(Linear {
            weight: self.tensor(&format!("{name}.weight"), &[outputs, inputs])?,
            bias: self.vector(&format!("{name}.bias"), &[outputs])?,
        })
    }

    fn norm(&mut self, name: &str, dim: usize) -> Result<Norm, E> {
        Ok(Norm {
            gamma: self.vector(&format!("{name}.weight"), &[dim])?,
            beta: self.vector(&format!("{name}.bias"), &[dim])?,
        })
    }

    fn layer_scale(&mut self, name: String, architecture: &Architecture) -> Result<Option<Vec<f32>>, E> {
        let encoder = &architecture.encoder;
        encoder
            .layer_scale
            .then(|| self.vector(&name, &[encoder.dim]))
            .transpose()
    }

    fn block(&mut self, architecture: &Architecture, block: usize) -> Result<Block, E> {
        let (name, d) = (format!("blocks.{block}"), architecture.encoder.dim);
        Ok(Block {
            norm1: self.norm(&format!("{name}.norm1"), d)?,
            qkv: self.linear(&format!("{name}.attn.qkv"), 3 * d, d)?,
            proj: self.linear(&format!("{name}.attn.proj"), d, d)?,
            norm2: self.norm(&format!("{name}.norm2"), d)?,
            feed_forward: self.feed_forward(architecture, block)?,
            ls1: self.layer_scale(format!("{name}.ls1.gamma"), architecture)?,
            ls2: self.layer_scale(format!("{name}.ls2.gamma"), architecture)?,
        })
    }

    fn feed_forward(&mut self, architecture: &Architecture, block: usize) -> Result<FeedForward, E> {
        let (name, d) = (format!("blocks.{block}.mlp"), architecture.encoder.dim);
        match (architecture.block_kind(block), &architecture.moe) {
            (BlockKind::Moe { .. }, Some(moe)) => {
                let experts = self.experts(&name, moe, d)?;
                let gates = self.gates(&name, moe, d, architecture.tasks.len())?;
                Ok(FeedForward::Moe { experts, gates })
            }
            _ => {
                let hidden = architecture.encoder.mlp_hidden;
                let up = self.linear(&format!("{name}.fc1"), hidden, d)?;
                Ok(FeedForward::Dense(Mlp {
                    up,
                    down: self.linear(&format!("{name}.fc2"), d, hidden)?,
                }))
            }
        }
    }

    fn experts(&mut self, name: &str, moe: &MoeSpec, d: usize) -> Result<Vec<Mlp>, E> {
        let mut layers = |layer: &str, outputs, inputs| -> Result<Vec<Linear>, E> {
            let name = format!("{name}.experts.{layer}");
            let weight = self.tensor(&format!("{name}.weight"), &[moe.experts, outputs, inputs])?;
            let bias = self.tensor(&format!("{name}.bias"), &[moe.experts, outputs])?;
            let pairs = weight.split_first().into_iter().zip(bias.split_first());
            Ok(pairs
                .map(|(weight, bias)| Linear {
                    weight,
                    bias: bias.data,
                })
                .collect())
        };
        let up = layers("htoh4", moe.expert_hidden, d)?;
        let down = layers("h4toh", d, moe.expert_hidden)?;
        Ok(up
            .into_iter()
            .zip(down)
            .map(|(up, down)| Mlp { up, down })
            .collect())
    }

    fn gates(&mut self, name: &str, moe: &MoeSpec, d: usize, tasks: usize) -> Result<Vec<Gate>, E> {
        let shape = [d, moe.experts];
        if moe.gates == Gates::PerTask {
            let bias = vec![0.0; moe.experts];
            return (0..tasks)
                .map(|task| {
                    let weight = self.tensor(&format!("{name}.gate.{task}.w_gate"), &shape)?;
                    Ok(Gate {
                        weight,
                        bias: bias.clone(),
                    })
                })
                .collect();
        }
        let weight = self.tensor(&format!("{name}.gate.w_gate"), &shape)?;
        let biases = match moe.gates {
            Gates::TaskConditioned => {
                self.tensor(&format!("{name}.gate.task_bias"), &[tasks, moe.experts])?
            }
            Gates::PerTask | Gates::Shared => Tensor::zeros([tasks, moe.experts]),
        };
        let gate = |bias: Tensor| Gate {
            weight: weight.clone(),
            bias: bias.data,
        };
        Ok(biases.split_first().into_iter().map(gate).collect())
    }

    fn head(&mut self, architecture: &Architecture, task: usize) -> Result<TaskHead, E> {
        let d = architecture.encoder.dim;
        let (norm, proj) = match architecture.naming {
            Naming::M3vit => (format!("heads.{task}.norm"), format!("heads.{task}.proj")),
            Naming::Timm => ("norm".to_string(), "head".to_string()),
        };
        let outputs = architecture.tasks[task].head.outputs();
        Ok(TaskHead {
            norm: self.norm(&norm, d)?,
            proj: outputs
                .map(|outputs| self.linear(&proj, outputs, d))
                .transpose()?,
        })
    }
}
