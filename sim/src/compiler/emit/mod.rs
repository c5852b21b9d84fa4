//! Emits the steps of a frame: embedding, blocks, results, heads.

mod attention;
mod embedding;
mod feed_forward;
mod head;

use std::ops::Range;

use moevit_hw::array::timing::PASS_CYCLES_MIN;
use moevit_hw::config::{AccelConfig, BEAT_BYTES, BURST_BEATS, BURST_BYTES};
use moevit_hw::control::command::{End, MatMul, Norm, Operation, Write};
use moevit_hw::norm::layer_norm;
use moevit_hw::post::drain::DRAINED_CYCLES;

use super::layout::{cut, Layout, Sizes};
use super::network::norm::NormNumbers;
use super::network::Network;
use super::quantise::{Matrix, Quantised};
use super::schedule::{Step, Stream};
use super::tile::matrix_stream;
use crate::model::architecture::{Architecture, BlockKind};

/// Destinations of a product.
mod dst {
    pub const ACTIVATION: u32 = 0;
    pub const STATIONARY: u32 = 1;
    pub const RESIDUAL: u32 = 2;
    pub const SCORE: u32 = 3;
    pub const ROUTER: u32 = 4;
}

/// Fewest tokens of a part: with less, tiles would load longer than they stream.
const PART_TOKENS_MIN: usize = 2 * PASS_CYCLES_MIN;
/// Most beats of a Write command: what its 16-bit field counts, in whole bursts, so that the next one starts aligned.
const WRITE_BEATS: usize = (1 << 16) - BURST_BEATS;

/// All steps of a frame in dispatch order, without fetches and waits.
pub fn frame(
    config: &AccelConfig,
    architecture: &Architecture,
    layout: &Layout,
    network: &Network,
) -> Vec<Step> {
    let mut emitter = Emitter {
        config,
        architecture,
        layout,
        network,
        steps: Vec::new(),
    };
    emitter.embedding();
    for block in 0..network.blocks.len() {
        emitter.attention(block);
        match architecture.block_kind(block) {
            BlockKind::Dense { .. } => emitter.dense(block),
            BlockKind::Moe { .. } => emitter.experts(block),
        }
    }
    emitter.tokens();
    (0..network.heads.len()).for_each(|task| emitter.head(task));
    emitter.steps.push(Step::new("end", Operation::End(End {})));
    emitter.steps
}

/// Bytes of the encoder's tokens in the result buffer.
pub fn token_bytes(sizes: &Sizes) -> usize {
    2 * sizes.tokens * sizes.width
}

/// First byte of a head's outputs in the result buffer.
pub fn head_offset(sizes: &Sizes) -> usize {
    token_bytes(sizes).next_multiple_of(BURST_BYTES)
}

struct Emitter<'a> {
    config: &'a AccelConfig,
    architecture: &'a Architecture,
    layout: &'a Layout,
    network: &'a Network,
    steps: Vec<Step>,
}

impl Emitter<'_> {
    fn sizes(&self) -> &Sizes {
        &self.layout.sizes
    }

    fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// The encoder's tokens go to the result buffer.
    fn tokens(&mut self) {
        let words = self.sizes().tokens * self.sizes().residual_row();
        self.write("tokens", 0, words, 0)
            .into_iter()
            .for_each(|step| self.push(step));
    }

    /// Residual words to a byte of the result buffer.
    fn write(&self, layer: &str, base: usize, words: usize, offset: usize) -> Vec<Step> {
        let word = self.config.residual_word_bytes();
        let most = WRITE_BEATS * BEAT_BYTES / word;
        (0..words.div_ceil(most))
            .map(|i| {
                let first = i * most;
                let bytes = (words - first).min(most) * word;
                let write = Write {
                    src_base: (base + first) as u32,
                    beats: bytes.div_ceil(BEAT_BYTES) as u32,
                    offset: ((offset + first * word) / BEAT_BYTES) as u32,
                };
                Step::new(format!("{layer} write"), Operation::Write(write))
            })
            .collect()
    }

    /// LayerNorm of rows of the residual stream.
    fn norm(&self, numbers: &NormNumbers, first: usize, tokens: usize, dst_base: usize) -> Operation {
        let s = self.sizes();
        let planes = 1 + usize::from(numbers.wide);
        Operation::Norm(Norm {
            src_base: (first * s.residual_row()) as u32,
            dst_base: dst_base as u32,
            tokens: tokens as u32,
            row_words: s.residual_row() as u32,
            dst_stride: (planes * s.activation_row()) as u32,
            ..numbers.command()
        })
    }

    /// LayerNorm of the whole residual stream, a command for each part.
    fn norms(&mut self, name: &str, numbers: &NormNumbers, dst_base: usize, parts: &[Range<usize>]) {
        let row = self.sizes().activation_row() * (1 + usize::from(numbers.wide));
        for part in parts {
            let norm = self.norm(numbers, part.start, part.len(), dst_base + part.start * row);
            self.push(Step::new(name, norm));
        }
    }

    /// Tiles that a product streams a token pair through.
    fn tiles(&self, layer: &Quantised) -> usize {
        let command = self.product(layer, 0, 0, 0);
        let passes = [1, 2, 4][command.planes as usize];
        (command.k_tiles * command.n_tiles) as usize * passes
    }

    /// The tokens in two parts: LayerNorm does the first, then the array multiplies it by `tiles` tiles while the unit does the
    /// second. `first / 2 * tiles` cycles must cover `(tokens - first) * words` and the command's overhead.
    fn halves(&self, tiles: usize) -> Vec<Range<usize>> {
        let (tokens, words) = (self.sizes().tokens, self.sizes().residual_row());
        let first = (2 * (tokens * words + self.norm_overhead())).div_ceil(tiles + 2 * words);
        let first = first.max(PART_TOKENS_MIN).next_multiple_of(2);
        if first + PART_TOKENS_MIN > tokens {
            return std::iter::once(0..tokens).collect();
        }
        vec![0..first, first..tokens]
    }

    /// The tokens in the parts of the projection: while the array computes the second, LayerNorm does the first.
    fn projected_parts(&self) -> Vec<Range<usize>> {
        let tokens = self.sizes().tokens;
        cut(tokens, (tokens / PART_TOKENS_MIN).clamp(1, 2), 2)
    }

    /// Cycles of a Norm command beside its words.
    fn norm_overhead(&self) -> usize {
        layer_norm::overhead_cycles(self.sizes().columns, self.sizes().residual_row()) + DRAINED_CYCLES
    }

    /// A product of activation rows with streamed weights; the destination is still to be said.
    fn product(&self, layer: &Quantised, src_base: usize, src_stride: usize, tokens: usize) -> MatMul {
        let matrix = &layer.matrices[0];
        MatMul {
            src_base: src_base as u32,
            src_stride: src_stride as u32,
            tokens: tokens as u32,
            k_tiles: matrix.inputs().div_ceil(self.config.rows) as u32,
            n_tiles: matrix.outputs().div_ceil(self.config.columns) as u32,
            planes: layer.precision.planes(),
            ..settings(&layer.settings)
        }
    }

    /// The stream of one matrix of a layer.
    fn stream_of(&self, layer: &Quantised, matrix: &Matrix) -> Vec<u8> {
        matrix_stream(self.config, &matrix.parameters, &matrix.passes(layer.precision))
    }

    /// The stream of a layer with one matrix.
    fn common(&self, layer: &Quantised) -> Stream {
        Stream::Common(self.stream_of(layer, &layer.matrices[0]))
    }

    /// A product over the whole residual stream that is added to it.
    fn add_to_residual(&self, layer: &Quantised, src_base: usize, src_stride: usize) -> MatMul {
        let s = self.sizes();
        MatMul {
            dst: dst::RESIDUAL,
            add: 1,
            dst_stride: s.residual_row() as u32,
            ..self.product(layer, src_base, src_stride, s.tokens)
        }
    }
}

/// A product as a command for each part of its tokens, each with all of the weights.
fn in_parts(step: Step, parts: &[Range<usize>]) -> Vec<Step> {
    let Operation::MatMul(whole) = step.operation else {
        return vec![step];
    };
    let part = |part: &Range<usize>| {
        let (first, tokens) = (part.start as u32, part.len() as u32);
        Step {
            macs: step.macs / u64::from(whole.tokens) * u64::from(tokens),
            operation: Operation::MatMul(MatMul {
                tokens,
                src_base: whole.src_base + first * whole.src_stride,
                dst_base: whole.dst_base + first * whole.dst_stride,
                ..whole
            }),
            ..step.clone()
        }
    };
    parts.iter().map(part).collect()
}

/// The post-processing fields of a command.
fn settings(post: &moevit_hw::numerics::post::PostSettings) -> MatMul {
    MatMul {
        gelu: post.gelu.into(),
        shift: post.shift,
        factor_shift: post.factor_shift,
        pre_shift: post.pre_shift,
        offset: u32::from(post.offset as u8),
        ..Default::default()
    }
}

/// Some outputs of a layer, with the same settings.
fn outputs(layer: &Quantised, range: Range<usize>) -> Quantised {
    let part = |matrix: &Matrix| Matrix {
        parameters: matrix.parameters[range.clone()].to_vec(),
        planes: matrix
            .planes
            .iter()
            .map(|plane| plane.rows(range.clone()))
            .collect(),
    };
    Quantised {
        matrices: layer.matrices.iter().map(part).collect(),
        ..layer.clone()
    }
}

/// Multiply-accumulates of a matrix for one token.
fn macs(layer: &Quantised) -> usize {
    layer.matrices[0].inputs() * layer.matrices[0].outputs()
}
