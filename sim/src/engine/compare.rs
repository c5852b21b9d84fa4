//! How far an engine's numbers are from the floating-point model's.

use serde::{Deserialize, Serialize};

/// Distance between two matrices of the same shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// Mean over the rows of the cosine between them.
    pub cosine: f64,
    pub max_abs_error: f64,
}

/// Compares row by row; a row that is zero on both sides has cosine 1.
pub fn distance(ours: &[f32], golden: &[f32], width: usize) -> Distance {
    assert_eq!(ours.len(), golden.len(), "matrices of one shape");
    let rows = ours.chunks_exact(width).zip(golden.chunks_exact(width));
    let count = (ours.len() / width) as f64;
    let cosine = rows.map(|(a, b)| row_cosine(a, b)).sum::<f64>() / count;
    // Not `f64::max`, which passes over NaN.
    let largest = ours
        .iter()
        .zip(golden)
        .map(|(a, b)| f64::from((a - b).abs()))
        .fold(0.0, |most, error| {
            if error > most || error.is_nan() {
                error
            } else {
                most
            }
        });
    Distance {
        cosine,
        max_abs_error: largest,
    }
}

fn row_cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| {
        x.iter()
            .zip(y)
            .map(|(x, y)| f64::from(*x) * f64::from(*y))
            .sum::<f64>()
    };
    let (aa, bb) = (dot(a, a), dot(b, b));
    if aa == 0.0 && bb == 0.0 {
        return 1.0;
    }
    dot(a, b) / (aa * bb).sqrt().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_have_cosine_one_and_opposite_rows_minus_one() {
        let d = distance(
            &[1.0, 2.0, 0.0, 0.0, 3.0, 0.0],
            &[1.0, 2.0, 0.0, 0.0, -3.0, 0.0],
            2,
        );
        assert!((d.cosine - 1.0 / 3.0).abs() < 1e-9, "{d:?}");
        assert_eq!(d.max_abs_error, 6.0);
    }

    #[test]
    fn a_nan_is_not_passed_over() {
        let d = distance(&[f32::NAN, 1.0], &[0.0, 1.0], 1);
        assert!(d.cosine.is_nan() && d.max_abs_error.is_nan(), "{d:?}");
    }
}
