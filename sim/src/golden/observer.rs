//! Looks at activations while the golden model runs: calibration takes its ranges here.

/// A place where the accelerator holds a quantised value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Site {
    /// Normalised pixels, a row a patch.
    PatchInput,
    /// First LayerNorm before gamma and beta: what the circuit computes when they are folded into the next matrix.
    Normalised1,
    /// First LayerNorm with gamma and beta.
    Norm1,
    Query,
    Key,
    Value,
    /// Scores of one head, already scaled by 1 / sqrt(head size), before the softmax.
    Scores {
        head: usize,
    },
    /// Attention's output before the projection, all heads side by side.
    Context,
    /// Second LayerNorm before gamma and beta.
    Normalised2,
    /// Second LayerNorm with gamma and beta.
    Norm2,
    GateLogits,
    /// Before GELU; `None` for the dense MLP. An expert shows only the tokens that it serves.
    Hidden {
        expert: Option<usize>,
    },
    /// After GELU.
    Activation {
        expert: Option<usize>,
    },
    /// The residual stream after an addition.
    Residual(Stage),
    /// The head's LayerNorm before gamma and beta; its block is the depth.
    HeadNormalised,
    /// The head's LayerNorm with gamma and beta.
    HeadNorm,
}

/// Which addition wrote the residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    Embedding,
    Attention,
    FeedForward,
}

/// Sees every quantisation site of a run, in the order of the computation.
pub trait Observer {
    /// `values` are rows of `channels` values, a row a token (a patch, for [`Site::PatchInput`]).
    fn observe(&mut self, site: Site, block: usize, values: &[f32], channels: usize);
}

/// Looks at nothing.
impl Observer for () {
    fn observe(&mut self, _: Site, _: usize, _: &[f32], _: usize) {}
}

/// Every closure of the right form observes.
impl<F: FnMut(Site, usize, &[f32], usize)> Observer for F {
    fn observe(&mut self, site: Site, block: usize, values: &[f32], channels: usize) {
        self(site, block, values, channels);
    }
}
