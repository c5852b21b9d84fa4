//! Attention, pipelined over items: a head's chunk of queries.
//!
//! While softmax works on item i, the array computes the scores of item i + 1 and the context of item i - 1:
//!
//! ```text
//! array    Q K V  S0  S1  ....  C0  S2  C1  S3  C2  C3  projection
//! softmax             SM0         SM1     SM2     SM3
//! ```
//!
//! Scores, probabilities and reciprocal sums have two buffers each, which the items use in turn. With several groups of heads
//! the groups follow each other, because they share the key/value memory.

use std::ops::Range;

use moevit_hw::control::command::{MatMul, Operation, Softmax};

use super::{dst, macs, outputs, settings, Emitter};
use crate::compiler::quantise::Quantised;
use crate::compiler::schedule::{Step, Stream};
use crate::compiler::tile::push_parameters;

/// A head's chunk of queries.
#[derive(Clone, Debug)]
struct Item {
    /// Head of the network, and its number in the group.
    head: usize,
    local: usize,
    queries: Range<usize>,
    /// Which of the two buffers.
    buffer: usize,
}

impl Emitter<'_> {
    pub(super) fn attention(&mut self, block: usize) {
        let (s, a) = (*self.sizes(), &self.layout.attention);
        let numbers = &self.network.blocks[block].attention;
        let norm = self.norm(&numbers.norm, 0, s.tokens, a.normalised);
        self.push(Step::new(format!("block {block} norm1"), norm));
        for group in 0..s.heads / a.group_heads {
            self.heads(block, group * a.group_heads);
        }
        let projection = self.add_to_residual(&numbers.projection, a.context, s.activation_row());
        let step = Step::new(format!("block {block} projection"), Operation::MatMul(projection))
            .macs(s.tokens * macs(&numbers.projection))
            .stream(self.common(&numbers.projection));
        self.push(step);
    }

    /// A group of heads from its first head on.
    fn heads(&mut self, block: usize, first: usize) {
        self.projections(block, first);
        let items = self.items(first);
        let mut scores = items
            .iter()
            .map(|item| self.scores(block, item))
            .collect::<Vec<_>>()
            .into_iter();
        let mut softmaxes = items
            .iter()
            .map(|item| self.softmax(block, item))
            .collect::<Vec<_>>()
            .into_iter();
        let contexts: Vec<Step> = items.iter().map(|item| self.context(block, item)).collect();
        self.steps.extend(scores.by_ref().take(2));
        self.steps.extend(softmaxes.next());
        for context in contexts {
            self.push(context);
            self.steps.extend(softmaxes.next());
            self.steps.extend(scores.next());
        }
    }

    fn items(&self, first: usize) -> Vec<Item> {
        let a = &self.layout.attention;
        let heads = 0..a.group_heads;
        heads
            .flat_map(|local| a.chunks.iter().map(move |queries| (local, queries.clone())))
            .enumerate()
            .map(|(i, (local, queries))| Item {
                head: first + local,
                local,
                queries,
                buffer: i % 2,
            })
            .collect()
    }

    /// Queries, keys and values of a group.
    fn projections(&mut self, block: usize, first: usize) {
        let (s, a) = (*self.sizes(), &self.layout.attention);
        let numbers = &self.network.blocks[block].attention;
        let channels = first * s.head_size..(first + a.group_heads) * s.head_size;
        let product = |layer: &Quantised| self.product(layer, a.normalised, s.activation_row(), s.tokens);
        let parts =
            [&numbers.query, &numbers.key, &numbers.value].map(|layer| outputs(layer, channels.clone()));
        let (row, kv_row) = (channels.len() / s.rows, channels.len() / s.columns);
        let query = MatMul {
            dst: dst::ACTIVATION,
            dst_base: a.query as u32,
            dst_stride: row as u32,
            ..product(&parts[0])
        };
        let key = MatMul {
            dst: dst::STATIONARY,
            dst_base: a.key as u32,
            dst_stride: kv_row as u32,
            ..product(&parts[1])
        };
        let value = MatMul {
            dst: dst::STATIONARY,
            dst_base: a.value as u32,
            dst_stride: kv_row as u32,
            write_sums: 1,
            ..product(&parts[2])
        };
        let named = [("query", query), ("key", key), ("value", value)];
        let steps = named.into_iter().zip(&parts).map(|((name, command), part)| {
            Step::new(format!("block {block} {name}"), Operation::MatMul(command))
                .macs(s.tokens * macs(part))
                .stream(self.common(part))
        });
        let steps: Vec<Step> = steps.collect();
        self.steps.extend(steps);
    }

    /// `Q K^T` of an item into its score buffer.
    fn scores(&self, block: usize, item: &Item) -> Step {
        let (s, a) = (self.sizes(), &self.layout.attention);
        let (parameter, post) = &self.network.blocks[block].attention.scores[item.head];
        let row = a.group_heads * s.head_size / s.rows;
        let command = MatMul {
            src_base: (a.query + item.queries.start * row + item.local * s.head_size / s.rows) as u32,
            src_stride: row as u32,
            k_tiles: (s.head_size / s.rows) as u32,
            n_tiles: s.score_row() as u32,
            tokens: item.queries.len() as u32,
            stationary: 1,
            hold_parameters: 1,
            kv_base: (a.key + item.local * s.head_size / s.columns) as u32,
            kv_stride: (a.group_heads * s.head_size / s.columns) as u32,
            kv_tokens: s.tokens as u32,
            dst: dst::SCORE,
            dst_base: a.scores[item.buffer] as u32,
            dst_stride: s.score_row() as u32,
            ..settings(post)
        };
        let mut stream = Vec::new();
        push_parameters(self.config, &vec![*parameter; s.columns], &mut stream);
        Step::new(
            format!("block {block} head {} scores", item.head),
            Operation::MatMul(command),
        )
        .macs(item.queries.len() * s.tokens * s.head_size)
        .stream(Stream::Common(stream))
    }

    fn softmax(&self, block: usize, item: &Item) -> Step {
        let (s, a) = (self.sizes(), &self.layout.attention);
        let command = Softmax {
            src_base: a.scores[item.buffer] as u32,
            dst_base: a.probabilities[item.buffer] as u32,
            queries: item.queries.len() as u32,
            keys: s.tokens as u32,
            src_stride: s.score_row() as u32,
            dst_stride: s.probability_row() as u32,
            sum_bank: item.buffer as u32,
        };
        Step::new(
            format!("block {block} head {} softmax", item.head),
            Operation::Softmax(command),
        )
    }

    /// Probabilities times values of an item into its columns of the context.
    fn context(&self, block: usize, item: &Item) -> Step {
        let (s, a) = (self.sizes(), &self.layout.attention);
        let numbers = &self.network.blocks[block].attention;
        let dst = a.context + item.queries.start * s.activation_row() + item.head * s.head_size / s.rows;
        let command = MatMul {
            src_base: a.probabilities[item.buffer] as u32,
            src_stride: s.probability_row() as u32,
            k_tiles: s.probability_row() as u32,
            n_tiles: (s.head_size / s.columns) as u32,
            tokens: item.queries.len() as u32,
            stationary: 2,
            kv_base: (a.value + item.local * s.head_size / s.columns) as u32,
            kv_stride: (a.group_heads * s.head_size / s.columns) as u32,
            kv_tokens: s.tokens as u32,
            bias_from_sums: 1,
            sums_base: (item.local * s.head_size / s.columns) as u32,
            factor: 2,
            sum_bank: item.buffer as u32,
            dst: dst::ACTIVATION,
            dst_base: dst as u32,
            dst_stride: s.activation_row() as u32,
            ..settings(&numbers.context_settings)
        };
        let mut stream = Vec::new();
        let channels = &numbers.context[item.head * s.head_size..][..s.head_size];
        for tile in channels.chunks(s.columns) {
            push_parameters(self.config, tile, &mut stream);
        }
        Step::new(
            format!("block {block} head {} context", item.head),
            Operation::MatMul(command),
        )
        .macs(item.queries.len() * s.tokens * s.head_size)
        .stream(Stream::Common(stream))
    }
}
