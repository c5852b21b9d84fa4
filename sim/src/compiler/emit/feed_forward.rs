//! The second half of a block.
//!
//! LayerNorm starts with the projection's first half while the array computes its second:
//!
//! ```text
//! array   projection 0   projection 1   fc1 0   fc1 1   fc1 (all tokens)   fc2
//! norm                   norm 0         norm 1
//! ```
//!
//! With experts, LayerNorm gives the gate's operand of 15 bits, whose high plane the experts read. Its parts are smaller: while the
//! router chooses for one, the array multiplies the next, and LayerNorm does the one after it. Route fills the queues, and the
//! loop runs the chosen experts, whose weights are on the chip by then: tokens are gathered by the queue, the hidden layer is
//! compact, results are scattered, multiplied by their scores and added to the residual stream.

use std::ops::Range;

use moevit_hw::control::command::{ExpertLoop, MatMul, Operation, Route};

use super::{dst, in_parts, macs, outputs, Emitter, PART_TOKENS_MIN};
use crate::compiler::layout::{cut, MlpLayout};
use crate::compiler::quantise::Quantised;
use crate::compiler::schedule::{Step, Stream};
use crate::model::architecture::Scoring;

/// Tokens of a part of the gate: a pass takes a quarter longer than its tile loads.
const GATE_TOKENS: usize = 5 * PART_TOKENS_MIN / 4;

/// Why layouts and gates are there: a network whose blocks lack one is not built.
const BUILT: &str = "Network::build refuses a block without layout or gate";

/// First and second product of a chunk of hidden channels.
struct Chunk {
    up: Quantised,
    down: Quantised,
    /// Activation words of a token's hidden channels.
    row: usize,
}

impl Emitter<'_> {
    pub(super) fn dense(&mut self, block: usize) {
        let layout = self.layout.dense.clone().expect(BUILT);
        let chunks = self.chunks(block, &layout);
        let leading = self.leading_outputs(&chunks[0].up);
        let parts = self.projected_parts();
        let whole = [0..self.sizes().tokens];
        let norm = &self.network.blocks[block].feed_forward.norm;
        self.norms(&format!("block {block} norm2"), norm, layout.normalised, &parts);
        for (i, chunk) in chunks.iter().enumerate() {
            let channels = chunk.up.matrices[0].outputs();
            let split = if i == 0 { leading } else { 0 };
            for (part, tokens) in [(0..split, &parts[..]), (split..channels, &whole)] {
                if !part.is_empty() {
                    let layer = outputs(&chunk.up, part.clone());
                    let up = self.up(&layer, &layout, chunk.row, part.start);
                    let steps = in_parts(self.dense_step(block, "fc1", &layer, up), tokens);
                    self.steps.extend(steps);
                }
            }
            let down = self.add_to_residual(&chunk.down, layout.hidden, chunk.row);
            self.push(self.dense_step(block, "fc2", &chunk.down, down));
        }
    }

    fn dense_step(&self, block: usize, name: &str, layer: &Quantised, command: MatMul) -> Step {
        Step::new(format!("block {block} {name}"), Operation::MatMul(command))
            .macs(self.sizes().tokens * macs(layer))
            .stream(self.common(layer))
    }

    /// Outputs of the first product that are computed in parts: their tiles keep the array busy with half of the tokens while the
    /// other half is stored and normalised; more would only repeat weights.
    fn leading_outputs(&self, up: &Quantised) -> usize {
        let s = self.sizes();
        let tiles = 2 * (1 + s.residual_row()) + 4 * self.norm_overhead() / s.tokens;
        let columns = tiles.div_ceil(s.activation_row()) * s.columns;
        columns.next_multiple_of(s.rows).min(up.matrices[0].outputs())
    }

    pub(super) fn experts(&mut self, block: usize) {
        let layout = self.layout.moe.clone().expect(BUILT);
        let moe = self.architecture.moe.clone().expect(BUILT);
        let chunks = self.chunks(block, &layout);
        let route = Route {
            tokens: self.sizes().tokens as u32,
            experts: moe.experts as u32,
            top_k: moe.k as u32,
            renormalise: (moe.scoring == Scoring::Renormalised).into(),
            ..Default::default()
        };
        self.gate(block, &layout, route);
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
            src_stride: 2 * self.sizes().activation_row() as u32,
            ..self.up(&chunk.up, layout, chunk.row, 0)
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

    /// The gate works in parts, so that LayerNorm, array and router work on three parts at a time.
    fn gate_parts(&self) -> Vec<Range<usize>> {
        let cut_again = |half: Range<usize>| {
            let parts = cut(half.len(), (half.len() / GATE_TOKENS).max(1), 2);
            parts
                .into_iter()
                .map(move |part| half.start + part.start..half.start + part.end)
        };
        self.projected_parts().into_iter().flat_map(cut_again).collect()
    }

    /// LayerNorm, the gate's logits and the choice of experts.
    fn gate(&mut self, block: usize, layout: &MlpLayout, route: Route) {
        let s = *self.sizes();
        let numbers = &self.network.blocks[block].feed_forward;
        let gate = numbers.gate.as_ref().expect(BUILT);
        let logits = MatMul {
            dst: dst::ROUTER,
            dst_stride: 1,
            ..self.product(gate, layout.normalised, 2 * s.activation_row(), s.tokens)
        };
        let matrices = gate.matrices.iter();
        let mut streams: Vec<Vec<u8>> = matrices.map(|m| self.stream_of(gate, m)).collect();
        let stream = if streams.iter().all(|part| *part == streams[0]) {
            Stream::Common(streams.swap_remove(0))
        } else {
            Stream::PerTask(streams)
        };
        let step = Step::new(format!("block {block} gate"), Operation::MatMul(logits))
            .macs(s.tokens * macs(gate))
            .stream(stream);
        let parts = self.gate_parts();
        let name = format!("block {block} norm2");
        self.norms(&name, &numbers.norm, layout.normalised, &parts);
        // A Route waits for its logits in the sequencer, so the next part of the gate stands before it.
        let mut routes = parts.iter().map(|part| {
            let route = Route {
                first: part.start as u32,
                tokens: part.end as u32,
                more: u32::from(part.end < s.tokens),
                ..route
            };
            Step::new(format!("block {block} route"), Operation::Route(route))
        });
        for (i, gate) in in_parts(step, &parts).into_iter().enumerate() {
            self.push(gate);
            if i > 0 {
                self.steps.extend(routes.next());
            }
        }
        self.steps.extend(routes);
    }

    fn chunks(&self, block: usize, layout: &MlpLayout) -> Vec<Chunk> {
        let numbers = &self.network.blocks[block].feed_forward;
        let chunk = |(range, down): (&Range<usize>, &Quantised)| Chunk {
            up: outputs(&numbers.up, range.clone()),
            down: down.clone(),
            row: range.len().div_ceil(self.sizes().rows),
        };
        layout.chunks.iter().zip(&numbers.down).map(chunk).collect()
    }

    /// The first product of channels from `first` on into the hidden layer, whose rows have `row` words.
    fn up(&self, layer: &Quantised, layout: &MlpLayout, row: usize, first: usize) -> MatMul {
        let s = self.sizes();
        MatMul {
            dst: dst::ACTIVATION,
            dst_base: (layout.hidden + first / s.rows) as u32,
            dst_stride: row as u32,
            ..self.product(layer, layout.normalised, s.activation_row(), s.tokens)
        }
    }
}
