//! The arithmetic of the golden model: linear layers, LayerNorm, GELU, softmax.

use ndarray::{linalg::general_mat_mul, Array2, ArrayView1, ArrayView2, Axis};

use crate::model::weights::{Linear, Norm};
use crate::model::Tensor;

/// A tensor as rows x columns.
pub fn matrix(tensor: &Tensor) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((tensor.rows(), tensor.columns()), &tensor.data)
        .expect("a tensor's data fill its shape")
}

/// x W^T + b.
pub fn linear(x: ArrayView2<f32>, layer: &Linear) -> Array2<f32> {
    let weight = matrix(&layer.weight);
    let bias = ArrayView1::from(&layer.bias);
    let mut y = Array2::zeros((x.nrows(), weight.nrows()));
    y += &bias;
    general_mat_mul(1.0, &x, &weight.t(), 1.0, &mut y);
    y
}

/// (x - mean) / sqrt(variance + eps) for every row, with the population variance.
pub fn normalise(x: ArrayView2<f32>, eps: f32) -> Array2<f32> {
    let mut y = x.as_standard_layout().into_owned();
    for mut row in y.axis_iter_mut(Axis(0)) {
        let count = row.len() as f32;
        let mean = row.sum() / count;
        row.mapv_inplace(|v| v - mean);
        let variance = row.iter().map(|v| v * v).sum::<f32>() / count;
        let scale = 1.0 / (variance + eps).sqrt();
        row.mapv_inplace(|v| v * scale);
    }
    y
}

/// y * gamma + beta.
pub fn scale_shift(y: &mut Array2<f32>, norm: &Norm) {
    *y *= &ArrayView1::from(&norm.gamma);
    *y += &ArrayView1::from(&norm.beta);
}

/// GELU(x) = x / 2 (1 + erf(x / sqrt(2))).
pub fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// Softmax of one row, in place.
pub fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for value in row.iter_mut() {
        *value = (*value - largest).exp();
        sum += *value;
    }
    row.iter_mut().for_each(|value| *value /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn assert_close(found: f32, expected: f32, tolerance: f32) {
        assert!(
            (found - expected).abs() <= tolerance,
            "found {found}, expected {expected}"
        );
    }

    #[test]
    fn layer_norm_by_hand() {
        // Mean 2, variance ((-2)^2 + 0 + 2^2 + 0) / 4 = 2.
        let mut y = normalise(array![[0.0f32, 2.0, 4.0, 2.0]].view(), 1e-6);
        let unit = 2.0 / 2.0f32.sqrt();
        for (found, expected) in y.iter().zip([-unit, 0.0, unit, 0.0]) {
            assert_close(*found, expected, 1e-6);
        }
        scale_shift(
            &mut y,
            &Norm {
                gamma: vec![1.0, 2.0, 3.0, 4.0],
                beta: vec![0.5; 4],
            },
        );
        for (found, expected) in y.iter().zip([0.5 - unit, 0.5, 0.5 + 3.0 * unit, 0.5]) {
            assert_close(*found, expected, 1e-6);
        }
    }

    #[test]
    fn a_constant_row_normalises_to_zero() {
        assert!(normalise(array![[3.5f32, 3.5, 3.5]].view(), 1e-6)
            .iter()
            .all(|&v| v == 0.0));
    }

    /// Values of x * Phi(x) from tables of the normal distribution.
    #[test]
    fn gelu_at_known_points() {
        for (x, expected) in [
            (0.0, 0.0),
            (1.0, 0.841_345),
            (-1.0, -0.158_655),
            (2.0, 1.954_5),
            (-2.0, -0.045_500),
            (0.5, 0.345_731),
            (-3.0, -0.004_050),
            (8.0, 8.0),
            (-8.0, 0.0),
        ] {
            assert_close(gelu(x), expected, 1e-6);
        }
    }

    #[test]
    fn softmax_is_a_distribution_and_survives_large_scores() {
        let mut row = [0.0, 3.0f32.ln(), f32::NEG_INFINITY];
        softmax(&mut row);
        for (found, expected) in row.iter().zip([0.25, 0.75, 0.0]) {
            assert_close(*found, expected, 1e-6);
        }
        let mut large = [1000.0, 1000.0];
        softmax(&mut large);
        assert_eq!(large, [0.5, 0.5]);
    }

    #[test]
    fn linear_by_hand() {
        let layer = Linear {
            weight: Tensor::new([2, 3], vec![1.0, 2.0, 3.0, 0.0, -1.0, 0.5]),
            bias: vec![10.0, 20.0],
        };
        let y = linear(array![[1.0f32, 1.0, 2.0], [0.0, 0.0, 0.0]].view(), &layer);
        assert_eq!(y, array![[19.0f32, 20.0], [10.0, 20.0]]);
    }
}
