//! A linear layer in f64 while it is folded: `y = W x + b`, and the exact rewritings that move constants between layers.
//!
//! All of them leave the network's function as it is:
//!
//! | rewriting | because |
//! |---|---|
//! | [`Affine::absorb_affine`] | `W (gamma x + beta) + b = (W gamma) x + (b + W beta)`: LayerNorm, input normalisation |
//! | [`Affine::scale_inputs`] | `W (s x_int) = (W s) x_int`: an activation's scale, one a channel if wanted |
//! | [`Affine::scale_outputs`] | `g (W x + b)`: LayerScale, LayerNorm's gamma of an identity |
//! | [`Affine::shift_outputs`] | an offset that the next layer takes back or that softmax ignores |

use crate::model::weights::Linear;

/// `y = W x + b` with `W` row-major, a row an output.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    pub inputs: usize,
    pub weights: Vec<f64>,
    pub bias: Vec<f64>,
}

impl Affine {
    /// From a row-major `[outputs, inputs]` array; an empty bias is zero.
    pub fn new(inputs: usize, weights: &[f32], bias: &[f32]) -> Self {
        let outputs = weights.len() / inputs;
        let bias = (0..outputs).map(|o| bias.get(o).copied().unwrap_or(0.0).into());
        Self {
            inputs,
            weights: weights.iter().map(|&w| w.into()).collect(),
            bias: bias.collect(),
        }
    }

    /// A layer of the network.
    pub fn of(layer: &Linear) -> Self {
        Self::new(layer.weight.columns(), &layer.weight.data, &layer.bias)
    }

    /// From a row-major `[inputs, outputs]` array without bias, as gates are stored.
    pub fn transposed(outputs: usize, weights: &[f32]) -> Self {
        let inputs = weights.len() / outputs;
        let row = |o: usize| (0..inputs).map(move |i| f64::from(weights[i * outputs + o]));
        Self {
            inputs,
            weights: (0..outputs).flat_map(row).collect(),
            bias: vec![0.0; outputs],
        }
    }

    /// The layer that changes nothing.
    pub fn identity(width: usize) -> Self {
        let weights = (0..width * width).map(|i| f64::from(u8::from(i % (width + 1) == 0)));
        Self {
            inputs: width,
            weights: weights.collect(),
            bias: vec![0.0; width],
        }
    }

    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Weights of an output.
    pub fn row(&self, output: usize) -> &[f64] {
        &self.weights[output * self.inputs..(output + 1) * self.inputs]
    }

    /// The outputs of a range.
    pub fn select_outputs(&self, range: std::ops::Range<usize>) -> Self {
        Self {
            inputs: self.inputs,
            weights: self.weights[range.start * self.inputs..range.end * self.inputs].to_vec(),
            bias: self.bias[range].to_vec(),
        }
    }

    /// The part of the sum over a range of inputs; only the first part keeps the bias.
    pub fn select_inputs(&self, range: std::ops::Range<usize>) -> Self {
        let keep = f64::from(u8::from(range.start == 0));
        let rows = (0..self.outputs()).flat_map(|o| self.row(o)[range.clone()].iter().copied());
        Self {
            inputs: range.len(),
            weights: rows.collect(),
            bias: self.bias.iter().map(|b| b * keep).collect(),
        }
    }

    /// Takes in `gamma x + beta` before the layer.
    pub fn absorb_affine(mut self, gamma: &[f64], beta: &[f64]) -> Self {
        for output in 0..self.outputs() {
            self.bias[output] += dot(self.row(output), beta);
        }
        self.scale_inputs(gamma)
    }

    /// Takes in a factor of each input.
    pub fn scale_inputs(mut self, scales: &[f64]) -> Self {
        for row in self.weights.chunks_exact_mut(self.inputs) {
            row.iter_mut().zip(scales).for_each(|(w, s)| *w *= s);
        }
        self
    }

    /// Multiplies each output.
    pub fn scale_outputs(mut self, scales: &[f64]) -> Self {
        for (row, scale) in self.weights.chunks_exact_mut(self.inputs).zip(scales) {
            row.iter_mut().for_each(|w| *w *= scale);
        }
        self.bias.iter_mut().zip(scales).for_each(|(b, s)| *b *= s);
        self
    }

    /// Adds to each output.
    pub fn shift_outputs(mut self, offsets: &[f64]) -> Self {
        self.bias.iter_mut().zip(offsets).for_each(|(b, o)| *b += o);
        self
    }

    /// `W x + b`.
    pub fn apply(&self, x: &[f64]) -> Vec<f64> {
        (0..self.outputs())
            .map(|o| self.bias[o] + dot(self.row(o), x))
            .collect()
    }

    /// How much an error of each input weighs at the outputs: the squared norm of the input's column.
    pub fn importance(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.inputs];
        for row in self.weights.chunks_exact(self.inputs) {
            sums.iter_mut().zip(row).for_each(|(s, w)| *s += w * w);
        }
        sums
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer() -> Affine {
        Affine::new(3, &[1.0, -2.0, 0.5, 0.25, 3.0, -1.0], &[0.5, -4.0])
    }

    fn close(a: &[f64], b: &[f64]) {
        assert_eq!(a.len(), b.len());
        a.iter()
            .zip(b)
            .for_each(|(x, y)| assert!((x - y).abs() < 1e-12, "{a:?} {b:?}"));
    }

    #[test]
    fn folding_an_affine_part_changes_nothing() {
        let (gamma, beta, x) = ([2.0, -0.5, 15.5], [0.1, 7.0, -3.0], [0.3, -1.25, 2.0]);
        let affine: Vec<f64> = (0..3).map(|i| gamma[i] * x[i] + beta[i]).collect();
        close(
            &layer().absorb_affine(&gamma, &beta).apply(&x),
            &layer().apply(&affine),
        );
    }

    #[test]
    fn outputs_scale_and_shift() {
        let y = layer()
            .scale_outputs(&[2.0, 3.0])
            .shift_outputs(&[1.0, -1.0])
            .apply(&[1.0, 2.0, 3.0]);
        let plain = layer().apply(&[1.0, 2.0, 3.0]);
        close(&y, &[2.0 * plain[0] + 1.0, 3.0 * plain[1] - 1.0]);
    }

    #[test]
    fn parts_of_the_inputs_add_up() {
        let x = [0.3, -1.25, 2.0];
        let (a, b) = (layer().select_inputs(0..2), layer().select_inputs(2..3));
        let sum: Vec<f64> = a
            .apply(&x[..2])
            .iter()
            .zip(b.apply(&x[2..]))
            .map(|(p, q)| p + q)
            .collect();
        close(&sum, &layer().apply(&x));
        close(&layer().select_outputs(1..2).apply(&x), &layer().apply(&x)[1..]);
    }

    #[test]
    fn gates_are_stored_transposed() {
        let gate = Affine::transposed(2, &[1.0, 10.0, 2.0, 20.0, 3.0, 30.0]);
        assert_eq!(
            (gate.row(0), gate.row(1)),
            (&[1.0, 2.0, 3.0][..], &[10.0, 20.0, 30.0][..])
        );
        close(&Affine::identity(3).apply(&[1.0, 2.0, 3.0]), &[1.0, 2.0, 3.0]);
        close(&layer().importance(), &[1.0625, 13.0, 1.25]);
    }
}
