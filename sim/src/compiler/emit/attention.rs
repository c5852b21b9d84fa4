//! Attention, pipelined over items: a head's chunk of queries.
//!
//! While softmax works on an item, the array computes the next head's keys, the next item's scores, values and the context of
//! the item before:
//!
//! ```text
//! array    Q  K0  K1  S0  V0  K2  S1  V1  C0  S2  V2  C1  C2  projection, in two parts
//! softmax                  SM0         SM1         SM2
//! ```
//!
//! A command whose operand has just been computed would wait for the drain unit, so something else stands between. Scores,
//! probabilities and reciprocal sums have two buffers each, which the items use in turn. With several groups of heads the groups
//! follow each other, because they share the key/value memory. Where the context lies over the normalised tokens, all keys and
//! values come first.

use std::ops::Range;

use moevit_hw::control::command::{MatMul, Operation, Softmax};

use super::{dst, in_parts, macs, outputs, settings, Emitter};
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
        let channels = 0..a.group_heads * s.head_size;
        let query_tiles = self.tiles(&outputs(&numbers.query, channels));
        let (parts, whole) = (self.halves(query_tiles), [0..s.tokens]);
        self.norms(
            &format!("block {block} norm1"),
            &numbers.norm,
            a.normalised,
            &parts,
        );
        for group in 0..s.heads / a.group_heads {
            let parts = if group == 0 { &parts[..] } else { &whole };
            self.heads(block, group * a.group_heads, parts);
        }
        let projection = self.add_to_residual(&numbers.projection, a.context, s.activation_row());
        let step = Step::new(format!("block {block} projection"), Operation::MatMul(projection))
            .macs(s.tokens * macs(&numbers.projection))
            .stream(self.common(&numbers.projection));
        self.steps.extend(in_parts(step, &self.projected_parts()));
    }

    /// A group of heads from its first head on, the queries in parts.
    fn heads(&mut self, block: usize, first: usize, parts: &[Range<usize>]) {
        let a = &self.layout.attention;
        let (heads, interleaved) = (a.group_heads, a.interleaved);
        let query = self.query(block, first);
        self.steps.extend(in_parts(query, parts));
        let early = if interleaved { 1 } else { heads };
        (0..early).for_each(|local| self.keys(block, first, local));
        if !interleaved {
            (0..heads).for_each(|local| self.values(block, first, local));
        }
        let items = self.items(first);
        for (i, item) in items.iter().enumerate() {
            let (begins, ends) = (item.queries.start == 0, item.queries.end == self.sizes().tokens);
            if interleaved && ends && item.local + 1 < heads {
                self.keys(block, first, item.local + 1);
            }
            self.push(self.scores(block, item));
            if interleaved && begins {
                self.values(block, first, item.local);
            }
            // Softmax waits for the scores in the sequencer: the array needs something before it.
            let context = i.checked_sub(1).map(|before| self.context(block, &items[before]));
            let softmax = self.softmax(block, item);
            if interleaved && begins {
                self.push(softmax);
                self.steps.extend(context);
            } else {
                self.steps.extend(context);
                self.push(softmax);
            }
        }
        if let Some(last) = items.last() {
            self.push(self.context(block, last));
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

    /// Queries of a group.
    fn query(&self, block: usize, first: usize) -> Step {
        let (s, a) = (*self.sizes(), &self.layout.attention);
        let channels = first * s.head_size..(first + a.group_heads) * s.head_size;
        let layer = outputs(&self.network.blocks[block].attention.query, channels.clone());
        let command = MatMul {
            dst: dst::ACTIVATION,
            dst_base: a.query as u32,
            dst_stride: (channels.len() / s.rows) as u32,
            ..self.product(&layer, a.normalised, s.activation_row(), s.tokens)
        };
        self.projected(block, "query", &layer, command)
    }

    /// Keys of a head of a group.
    fn keys(&mut self, block: usize, first: usize, local: usize) {
        let s = *self.sizes();
        let layer = self.of_head(&self.network.blocks[block].attention.key, first + local);
        let command = MatMul {
            dst_base: (self.layout.attention.key + local * s.head_size / s.columns) as u32,
            ..self.stationary(&layer)
        };
        let step = self.projected(block, &format!("head {} key", first + local), &layer, command);
        self.push(step);
    }

    /// Values of a head of a group, and their sums.
    fn values(&mut self, block: usize, first: usize, local: usize) {
        let s = *self.sizes();
        let layer = self.of_head(&self.network.blocks[block].attention.value, first + local);
        let words = local * s.head_size / s.columns;
        let command = MatMul {
            dst_base: (self.layout.attention.value + words) as u32,
            write_sums: 1,
            sums_base: words as u32,
            ..self.stationary(&layer)
        };
        let step = self.projected(block, &format!("head {} value", first + local), &layer, command);
        self.push(step);
    }

    fn of_head(&self, layer: &Quantised, head: usize) -> Quantised {
        let size = self.sizes().head_size;
        outputs(layer, head * size..(head + 1) * size)
    }

    /// A product into key/value memory.
    fn stationary(&self, layer: &Quantised) -> MatMul {
        let (s, a) = (*self.sizes(), &self.layout.attention);
        MatMul {
            dst: dst::STATIONARY,
            dst_stride: (a.group_heads * s.head_size / s.columns) as u32,
            ..self.product(layer, a.normalised, s.activation_row(), s.tokens)
        }
    }

    fn projected(&self, block: usize, name: &str, layer: &Quantised, command: MatMul) -> Step {
        Step::new(format!("block {block} {name}"), Operation::MatMul(command))
            .macs(self.sizes().tokens * macs(layer))
            .stream(self.common(layer))
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
