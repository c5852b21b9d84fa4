//! What a task's outputs say.

use anyhow::{Error, Result};
use serde::Serialize;

use crate::golden::ops;
use crate::model::architecture::{Architecture, Head, Metric};
use crate::model::metric::{argmax, cell_logits};
use crate::model::Tensor;

/// A prediction and how sure the model is of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Prediction {
    Class {
        class: usize,
        /// Softmax of its logit.
        confidence: f64,
    },
    /// A label a cell; with one logit a cell, 1 where it exceeds the metric's threshold.
    Cells {
        labels: Vec<Vec<usize>>,
        /// Mean over the cells.
        confidence: f64,
    },
    Features {
        tokens: usize,
        width: usize,
    },
}

impl Prediction {
    /// Reads the outputs of a task.
    pub fn new(architecture: &Architecture, task: usize, logits: &Tensor) -> Result<Self> {
        match architecture.tasks[task].head {
            Head::Features => Ok(Self::Features {
                tokens: logits.rows(),
                width: logits.columns(),
            }),
            Head::Classification { .. } => {
                let class = argmax(logits.data.iter().copied());
                let confidence = softmax(&logits.data)[class].into();
                Ok(Self::Class { class, confidence })
            }
            Head::Dense { .. } => cells(architecture, task, logits),
        }
    }
}

fn cells(architecture: &Architecture, task: usize, logits: &Tensor) -> Result<Prediction> {
    let threshold = match architecture.tasks[task].metric {
        Some(Metric::BoundaryF1 { threshold }) => threshold,
        _ => 0.0,
    };
    let logits = cell_logits(logits, architecture, task).map_err(Error::msg)?;
    let (classes, count, columns) = (
        logits.shape[0],
        logits.data.len() / logits.shape[0],
        logits.shape[2],
    );
    let judged: Vec<(usize, f64)> = (0..count)
        .map(|cell| {
            let values: Vec<f32> = (0..classes)
                .map(|class| logits.data[class * count + cell])
                .collect();
            label(&values, threshold)
        })
        .collect();
    let labels = judged.chunks(columns);
    Ok(Prediction::Cells {
        labels: labels
            .map(|row| row.iter().map(|cell| cell.0).collect())
            .collect(),
        confidence: judged.iter().map(|cell| cell.1).sum::<f64>() / count as f64,
    })
}

/// Label and confidence of a cell.
fn label(logits: &[f32], threshold: f32) -> (usize, f64) {
    if let [logit] = logits {
        let sure = softmax(&[*logit, 0.0]);
        return (usize::from(*logit > threshold), sure[0].max(sure[1]).into());
    }
    let class = argmax(logits.iter().copied());
    (class, softmax(logits)[class].into())
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let mut row = logits.to_vec();
    ops::softmax(&mut row);
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn architecture() -> Architecture {
        let text = include_str!("../../../demo/architecture.toml");
        Architecture::parse(text, "demo").unwrap()
    }

    #[test]
    fn a_class_is_the_largest_logit() {
        let mut logits = Tensor::zeros([1, 10]);
        logits.data[7] = 2.0;
        let Prediction::Class { class, confidence } = Prediction::new(&architecture(), 0, &logits).unwrap()
        else {
            panic!("the first task is a classification")
        };
        let expected = 2f64.exp() / (2f64.exp() + 9.0);
        assert_eq!(class, 7);
        assert!((confidence - expected).abs() < 1e-6, "{confidence}");
    }

    #[test]
    fn cells_above_the_threshold_lie_where_their_patch_lies() {
        let mut logits = Tensor::zeros([49, 16]);
        logits.data.fill(-1.0);
        // Patch 9 is in row 1, column 2; its channel 6 is in row 1, column 2 of the patch.
        logits.data[9 * 16 + 6] = 1.0;
        let Prediction::Cells { labels, confidence } = Prediction::new(&architecture(), 1, &logits).unwrap()
        else {
            panic!("the second task is dense")
        };
        let marked: Vec<(usize, usize)> = (0..28)
            .flat_map(|y| (0..28).map(move |x| (y, x)))
            .filter(|&(y, x)| labels[y][x] == 1)
            .collect();
        assert_eq!(marked, [(5, 10)]);
        assert!((confidence - 1.0 / (1.0 + (-1f64).exp())).abs() < 1e-6);
    }
}
