//! Multi-head self-attention: softmax(Q K^T / sqrt(head size)) V, then the projection.

use ndarray::{linalg::general_mat_mul, s, Array2, ArrayView2, Axis};

use super::ops::{linear, softmax};
use super::{Run, Site};
use crate::model::weights::Block;

impl Run<'_> {
    pub(super) fn attention(&mut self, index: usize, block: &Block, x: &Array2<f32>) -> Array2<f32> {
        let (tokens, dim) = x.dim();
        let qkv = linear(x.view(), &block.qkv);
        let part = |i: usize| {
            qkv.slice(s![.., i * dim..(i + 1) * dim])
                .as_standard_layout()
                .into_owned()
        };
        let (q, k, v) = (part(0), part(1), part(2));
        for (site, values) in [(Site::Query, &q), (Site::Key, &k), (Site::Value, &v)] {
            self.observe(site, index, values);
        }
        let mut context = Array2::zeros((tokens, dim));
        let size = self.golden.architecture.head_dim();
        for head in 0..self.golden.architecture.encoder.heads {
            let columns = s![.., head * size..(head + 1) * size];
            let mut scores = scaled_scores(q.slice(columns), k.slice(columns));
            self.observe(Site::Scores { head }, index, &scores);
            for mut row in scores.axis_iter_mut(Axis(0)) {
                softmax(row.as_slice_mut().expect("scores are row-major"));
            }
            general_mat_mul(
                1.0,
                &scores,
                &v.slice(columns),
                0.0,
                &mut context.slice_mut(columns),
            );
        }
        self.observe(Site::Context, index, &context);
        linear(context.view(), &block.proj)
    }
}

/// Q K^T / sqrt(head size).
fn scaled_scores(q: ArrayView2<f32>, k: ArrayView2<f32>) -> Array2<f32> {
    let mut scores = Array2::zeros((q.nrows(), k.nrows()));
    general_mat_mul(1.0 / (q.ncols() as f32).sqrt(), &q, &k.t(), 0.0, &mut scores);
    scores
}
