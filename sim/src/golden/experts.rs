//! The second half of a block: a dense MLP, or the experts that the gate chose.
//!
//! Tokens are gathered expert by expert, so that an expert's weights are used once a frame and experts that nobody
//! chose cost nothing.

use ndarray::{Array2, Axis};

use super::gate::{scores, top_k, BlockRoutes, Choice};
use super::ops::{gelu, linear, matrix};
use super::{Run, Site};
use crate::model::weights::{Gate, Mlp};

impl Run<'_> {
    /// Up, GELU, down.
    pub(super) fn mlp(
        &mut self,
        index: usize,
        expert: Option<usize>,
        mlp: &Mlp,
        x: &Array2<f32>,
    ) -> Array2<f32> {
        let mut hidden = linear(x.view(), &mlp.up);
        self.observe(Site::Hidden { expert }, index, &hidden);
        hidden.mapv_inplace(gelu);
        self.observe(Site::Activation { expert }, index, &hidden);
        linear(hidden.view(), &mlp.down)
    }

    /// The scored sum of the chosen experts; notes the routes.
    pub(super) fn experts(
        &mut self,
        index: usize,
        experts: &[Mlp],
        gate: &Gate,
        x: &Array2<f32>,
    ) -> Array2<f32> {
        let routes = self.route(index, gate, x);
        let mut sum = Array2::zeros(x.dim());
        for (expert, mlp) in experts.iter().enumerate() {
            let (queue, weights) = routes.queue(expert);
            if queue.is_empty() {
                continue;
            }
            let y = self.mlp(index, Some(expert), mlp, &x.select(Axis(0), &queue));
            for ((token, weight), row) in queue.iter().zip(weights).zip(y.rows()) {
                sum.row_mut(*token).scaled_add(weight, &row);
            }
        }
        self.routes.blocks.push(routes);
        sum
    }

    /// Chooses the experts of every token, or takes the given ones and computes their scores.
    fn route(&mut self, index: usize, gate: &Gate, x: &Array2<f32>) -> BlockRoutes {
        let mut logits = Array2::zeros((x.nrows(), gate.bias.len()));
        logits += &ndarray::ArrayView1::from(&gate.bias);
        ndarray::linalg::general_mat_mul(1.0, x, &matrix(&gate.weight), 1.0, &mut logits);
        self.observe(Site::GateLogits, index, &logits);
        let moe = self
            .golden
            .architecture
            .moe
            .as_ref()
            .expect("only architectures with experts have gates");
        let given = self.given.and_then(|routes| routes.block(index));
        let choose = |(token, row): (usize, ndarray::ArrayView1<f32>)| {
            let row = row.to_vec();
            let chosen = match given {
                Some(routes) => routes.tokens[token].iter().map(|choice| choice.expert).collect(),
                None => top_k(&row, moe.k),
            };
            let scores = scores(&row, &chosen, moe.scoring);
            chosen
                .into_iter()
                .zip(scores)
                .map(|(expert, score)| Choice { expert, score })
                .collect()
        };
        BlockRoutes {
            block: index,
            tokens: logits.rows().into_iter().enumerate().map(choose).collect(),
        }
    }
}
