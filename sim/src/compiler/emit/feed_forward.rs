//! The second half of a block.
//!
//! With experts, the 15-bit operand of the gate comes first: while the array multiplies it, LayerNorm runs once more for the
//! experts' bytes. Route fills the queues, the Fetch that follows it reads the chosen experts only, and the loop runs them:
//! tokens are gathered by the queue, the hidden layer is compact, results are scattered, multiplied by their scores and added
//! to the residual stream.

use moevit_hw::control::command::{ExpertLoop, MatMul, Operation, Route};

use super::{dst, macs, outputs, Emitter};
use crate::compiler::layout::MlpLayout;
use crate::compiler::quantise::Quantised;
use crate::compiler::schedule::{Step, Stream};
use crate::model::architecture::Scoring;

/// First and second product of a chunk of hidden channels.
struct Chunk {
    up: Quantised,
    down: Quantised,
    /// Activation words of a token's hidden channels.
    row: usize,
}

impl Emitter<'_> {
    pub(super) fn dense(&mut self, block: usize) {
        let Some(layout) = self.layout.dense.clone() else {
            return;
        };
        let s = *self.sizes();
        let norm = self.norm(
            &self.network.blocks[block].feed_forward.norm,
            0,
            s.tokens,
            layout.normalised,
        );
        self.push(Step::new(format!("block {block} norm2"), norm));
        for chunk in self.chunks(block, &layout) {
            let up = self.up(&chunk, &layout);
            let down = self.add_to_residual(&chunk.down, layout.hidden, chunk.row);
            for (name, command, layer) in [("fc1", up, &chunk.up), ("fc2", down, &chunk.down)] {
                let step = Step::new(format!("block {block} {name}"), Operation::MatMul(command))
                    .macs(s.tokens * macs(layer))
                    .stream(self.common(layer));
                self.push(step);
            }
        }
    }

    pub(super) fn experts(&mut self, block: usize) {
        let (Some(layout), Some(moe)) = (self.layout.moe.clone(), self.architecture.moe.clone()) else {
            return;
        };
        self.gate(block, &layout);
        let chunks = self.chunks(block, &layout);
        let route = Route {
            tokens: self.sizes().tokens as u32,
            experts: moe.experts as u32,
            top_k: moe.k as u32,
            renormalise: (moe.scoring == Scoring::Renormalised).into(),
        };
        self.push(Step::new(format!("block {block} route"), Operation::Route(route)));
        let body: Vec<Step> = chunks
            .iter()
            .flat_map(|chunk| self.expert_body(block, &layout, chunk))
            .collect();
        let bytes: usize = body.iter().map(|step| step.stream.part_bytes()).sum();
        let expert_loop = ExpertLoop {
            experts: moe.experts as u32,
            body: body.len() as u32,
            words: (bytes / self.config.weight_word_bytes()) as u32,
        };
        self.push(Step::new(
            format!("block {block} experts"),
            Operation::ExpertLoop(expert_loop),
        ));
        self.steps.extend(body);
    }

    /// One chunk of the hidden channels, for the expert of the loop.
    fn expert_body(&self, block: usize, layout: &MlpLayout, chunk: &Chunk) -> [Step; 2] {
        let up = MatMul {
            routing: 1,
            ..self.up(chunk, layout)
        };
        let down = MatMul {
            routing: 2,
            factor: 1,
            ..self.add_to_residual(&chunk.down, layout.hidden, chunk.row)
        };
        [("fc1", up, &chunk.up), ("fc2", down, &chunk.down)].map(|(name, command, layer)| {
            let parts = layer.matrices.iter().map(|m| self.stream_of(layer, m)).collect();
            Step::new(format!("block {block} expert {name}"), Operation::MatMul(command))
                .macs(macs(layer))
                .stream(Stream::PerExpert(parts))
                .in_loop()
        })
    }

    /// Both norms and the gate's logits.
    fn gate(&mut self, block: usize, layout: &MlpLayout) {
        let s = *self.sizes();
        let numbers = &self.network.blocks[block].feed_forward;
        let Some(gate) = &numbers.gate else {
            return;
        };
        let wide = self.norm(&gate.norm, 0, s.tokens, layout.gate);
        let bytes = self.norm(&numbers.norm, 0, s.tokens, layout.normalised);
        let logits = MatMul {
            dst: dst::ROUTER,
            ..self.product(&gate.logits, layout.gate, 2 * s.activation_row(), s.tokens)
        };
        let mut parts: Vec<Vec<u8>> = gate
            .logits
            .matrices
            .iter()
            .map(|m| self.stream_of(&gate.logits, m))
            .collect();
        let stream = if parts.iter().all(|part| *part == parts[0]) {
            Stream::Common(parts.swap_remove(0))
        } else {
            Stream::PerTask(parts)
        };
        let step = Step::new(format!("block {block} gate"), Operation::MatMul(logits))
            .macs(s.tokens * macs(&gate.logits))
            .stream(stream);
        self.push(Step::new(format!("block {block} gate norm2"), wide));
        self.push(step);
        self.push(Step::new(format!("block {block} norm2"), bytes));
    }

    fn chunks(&self, block: usize, layout: &MlpLayout) -> Vec<Chunk> {
        let numbers = &self.network.blocks[block].feed_forward;
        let chunk = |(range, down): (&std::ops::Range<usize>, &Quantised)| Chunk {
            up: outputs(&numbers.up, range.clone()),
            down: down.clone(),
            row: range.len().div_ceil(self.sizes().rows),
        };
        layout.chunks.iter().zip(&numbers.down).map(chunk).collect()
    }

    /// The first product of a chunk into the hidden layer.
    fn up(&self, chunk: &Chunk, layout: &MlpLayout) -> MatMul {
        let s = self.sizes();
        MatMul {
            dst: dst::ACTIVATION,
            dst_base: layout.hidden as u32,
            dst_stride: chunk.row as u32,
            ..self.product(&chunk.up, layout.normalised, s.activation_row(), s.tokens)
        }
    }
}
