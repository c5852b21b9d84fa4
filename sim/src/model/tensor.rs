//! A dense row-major array of `f32`.

/// Values and their shape; the last dimension varies fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

impl Tensor {
    /// # Panics
    /// When `data` does not fill `shape`: that is a mistake of the caller, never of a file.
    pub fn new(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Self {
        let shape = shape.into();
        assert_eq!(
            shape.iter().product::<usize>(),
            data.len(),
            "the data must fill the shape {shape:?}"
        );
        Self { shape, data }
    }

    pub fn zeros(shape: impl Into<Vec<usize>>) -> Self {
        let shape = shape.into();
        let len = shape.iter().product();
        Self {
            shape,
            data: vec![0.0; len],
        }
    }

    /// The same values under another shape.
    pub fn reshape(mut self, shape: impl Into<Vec<usize>>) -> Self {
        let data = std::mem::take(&mut self.data);
        Self::new(shape, data)
    }

    /// The size of the last dimension.
    pub fn columns(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// The product of all dimensions but the last.
    pub fn rows(&self) -> usize {
        self.shape.iter().rev().skip(1).product()
    }

    /// Row `index` when the tensor is seen as rows x columns.
    pub fn row(&self, index: usize) -> &[f32] {
        let columns = self.columns();
        &self.data[index * columns..(index + 1) * columns]
    }

    /// The sub-tensors along the first dimension.
    pub fn split_first(&self) -> Vec<Tensor> {
        let (count, shape) = (self.shape[0], self.shape[1..].to_vec());
        let len = shape.iter().product::<usize>();
        (0..count)
            .map(|i| Self::new(shape.clone(), self.data[i * len..(i + 1) * len].to_vec()))
            .collect()
    }

    /// The largest absolute value; zero for an empty tensor.
    pub fn abs_max(&self) -> f32 {
        self.data.iter().fold(0.0, |most, v| most.max(v.abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_sub_tensors_are_row_major() {
        let t = Tensor::new([2, 2, 3], (0..12).map(|v| v as f32).collect());
        assert_eq!((t.rows(), t.columns(), t.abs_max()), (4, 3, 11.0));
        assert_eq!(t.row(2), [6.0, 7.0, 8.0]);
        assert_eq!(
            t.split_first()[1],
            Tensor::new([2, 3], vec![6.0, 7.0, 8.0, 9.0, 10.0, 11.0])
        );
        assert_eq!(Tensor::zeros([4]).rows(), 1);
    }

    #[test]
    #[should_panic(expected = "must fill the shape")]
    fn data_must_fill_the_shape() {
        Tensor::new([2, 2], vec![0.0; 3]);
    }
}
