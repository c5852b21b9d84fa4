//! Reads the tensors of a safetensors file as `f32`, checking name, shape, type and values.
//!
//! The names and shapes that a network needs are in [`super::weights`]; this file only knows the format. Stored types
//! are F32, F16 and BF16. Tensors that nobody asks for are ignored: many checkpoints carry some.

use std::path::Path;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};

use super::tensor::Tensor;

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("cannot read the checkpoint {file}: {source}")]
    Read { file: String, source: std::io::Error },
    #[error("the checkpoint {file} is not a whole safetensors file: {message}")]
    Corrupt { file: String, message: String },
    #[error("the checkpoint {file} has no tensor \"{tensor}\" (expected shape {expected:?})")]
    Missing {
        file: String,
        tensor: String,
        expected: Vec<usize>,
    },
    #[error(
        "the checkpoint {file}: tensor \"{tensor}\" should have the shape {expected:?}, but has {found:?}"
    )]
    Shape {
        file: String,
        tensor: String,
        expected: Vec<usize>,
        found: Vec<usize>,
    },
    #[error(
        "the checkpoint {file}: tensor \"{tensor}\" has the type {found}, but F32, F16 or BF16 is expected"
    )]
    Dtype {
        file: String,
        tensor: String,
        found: String,
    },
    #[error("the checkpoint {file}: tensor \"{tensor}\" holds {value} at index {index}, but every weight must be finite")]
    NotFinite {
        file: String,
        tensor: String,
        index: usize,
        value: f32,
    },
}

/// A checkpoint's bytes, whose header has been checked.
pub struct Checkpoint {
    file: String,
    bytes: Vec<u8>,
}

impl Checkpoint {
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let file = path.as_ref().display().to_string();
        match std::fs::read(path.as_ref()) {
            Ok(bytes) => Self::from_bytes(bytes, &file),
            Err(source) => Err(CheckpointError::Read { file, source }),
        }
    }

    /// A checkpoint that is already in memory; `file` stands in the error messages.
    pub fn from_bytes(bytes: Vec<u8>, file: &str) -> Result<Self, CheckpointError> {
        parse(&bytes, file)?;
        Ok(Self {
            file: file.to_string(),
            bytes,
        })
    }

    pub fn names(&self) -> Result<Vec<String>, CheckpointError> {
        let mut names: Vec<_> = parse(&self.bytes, &self.file)?
            .names()
            .into_iter()
            .map(|n| n.to_string())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// All tensors for which the reader below asks, one after the other.
    pub fn reader(&self) -> Result<Reader<'_>, CheckpointError> {
        Ok(Reader {
            file: &self.file,
            tensors: parse(&self.bytes, &self.file)?,
        })
    }
}

fn parse<'a>(bytes: &'a [u8], file: &str) -> Result<SafeTensors<'a>, CheckpointError> {
    SafeTensors::deserialize(bytes).map_err(|e| CheckpointError::Corrupt {
        file: file.to_string(),
        message: e.to_string(),
    })
}

/// Hands out tensors of one checkpoint.
pub struct Reader<'a> {
    file: &'a str,
    tensors: SafeTensors<'a>,
}

impl Reader<'_> {
    /// The tensor called `name`, which must have the shape `expected`.
    pub fn tensor(&self, name: &str, expected: &[usize]) -> Result<Tensor, CheckpointError> {
        let (file, tensor) = (self.file.to_string(), name.to_string());
        let Ok(view) = self.tensors.tensor(name) else {
            return Err(CheckpointError::Missing {
                file,
                tensor,
                expected: expected.to_vec(),
            });
        };
        if view.shape() != expected {
            let (expected, found) = (expected.to_vec(), view.shape().to_vec());
            return Err(CheckpointError::Shape {
                file,
                tensor,
                expected,
                found,
            });
        }
        let Some(data) = decode(view.dtype(), view.data()) else {
            return Err(CheckpointError::Dtype {
                file,
                tensor,
                found: format!("{:?}", view.dtype()),
            });
        };
        match data.iter().position(|v| !v.is_finite()) {
            Some(index) => Err(CheckpointError::NotFinite {
                file,
                tensor,
                index,
                value: data[index],
            }),
            None => Ok(Tensor::new(expected, data)),
        }
    }
}

/// Little-endian values as `f32`; `None` for a type that is no supported float.
fn decode(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let pairs = || bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    match dtype {
        Dtype::F32 => Some(
            bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
        ),
        Dtype::F16 => Some(pairs().map(|b| f16::from_bits(b).to_f32()).collect()),
        Dtype::BF16 => Some(pairs().map(|b| bf16::from_bits(b).to_f32()).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;

    fn file(dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
        let view = TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
        safetensors::serialize([("w", view)], None).unwrap()
    }

    fn read(bytes: Vec<u8>, name: &str, shape: &[usize]) -> Result<Tensor, CheckpointError> {
        Checkpoint::from_bytes(bytes, "m.safetensors")?
            .reader()?
            .tensor(name, shape)
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn the_three_float_types_are_read() {
        let values = [1.5f32, -0.25, 0.0, 96.0];
        let half: Vec<u8> = values
            .iter()
            .flat_map(|&v| f16::from_f32(v).to_le_bytes())
            .collect();
        let brain: Vec<u8> = values
            .iter()
            .flat_map(|&v| bf16::from_f32(v).to_le_bytes())
            .collect();
        for (dtype, bytes) in [
            (Dtype::F32, floats(&values)),
            (Dtype::F16, half),
            (Dtype::BF16, brain),
        ] {
            let tensor = read(file(dtype, &[2, 2], &bytes), "w", &[2, 2]).unwrap();
            assert_eq!(tensor, Tensor::new([2, 2], values.to_vec()), "{dtype:?}");
        }
    }

    #[test]
    fn a_missing_tensor_is_named() {
        let error = read(file(Dtype::F32, &[1], &floats(&[1.0])), "v", &[7])
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "the checkpoint m.safetensors has no tensor \"v\" (expected shape [7])"
        );
    }

    #[test]
    fn a_wrong_shape_names_expected_and_found() {
        let error = read(file(Dtype::F32, &[2], &floats(&[1.0, 2.0])), "w", &[1, 2])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("m.safetensors") && error.contains("\"w\""),
            "{error}"
        );
        assert!(error.contains("shape [1, 2], but has [2]"), "{error}");
    }

    #[test]
    fn an_integer_tensor_is_refused() {
        let error = read(file(Dtype::I32, &[1], &[0; 4]), "w", &[1])
            .unwrap_err()
            .to_string();
        assert!(error.contains("type I32"), "{error}");
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = read(file(Dtype::F32, &[3], &floats(&[1.0, 2.0, bad])), "w", &[3]).unwrap_err();
            assert!(
                matches!(error, CheckpointError::NotFinite { index: 2, .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let whole = file(Dtype::F32, &[2], &floats(&[1.0, 2.0]));
        for len in 0..whole.len() {
            let error = Checkpoint::from_bytes(whole[..len].to_vec(), "cut").err();
            assert!(
                matches!(error, Some(CheckpointError::Corrupt { .. })),
                "{len} bytes are accepted"
            );
        }
        assert!(Checkpoint::from_bytes(whole, "whole").is_ok());
    }

    #[test]
    fn a_corrupt_header_is_refused() {
        let whole = file(Dtype::F32, &[2], &floats(&[1.0, 2.0]));
        let mut huge = whole.clone();
        huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        let mut garbled = whole;
        garbled[8] = b'?';
        for bytes in [
            huge,
            garbled,
            b"PK\x03\x04 a zip archive, not safetensors".to_vec(),
        ] {
            let error = Checkpoint::from_bytes(bytes, "bad").err().unwrap().to_string();
            assert!(
                error.starts_with("the checkpoint bad is not a whole safetensors file"),
                "{error}"
            );
        }
    }

    /// Every single-byte error gives an answer or a sentence, never a panic.
    #[test]
    fn damaged_bytes_never_panic() {
        let whole = file(Dtype::F32, &[2, 1], &floats(&[1.0, 2.0]));
        let mut refused = 0;
        for at in 0..whole.len() {
            for flip in [0x01, 0x10, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                refused += usize::from(read(bytes, "w", &[2, 1]).is_err());
            }
        }
        assert!(
            refused > 2 * whole.len(),
            "only {refused} of {} were refused",
            4 * whole.len()
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Checkpoint::open("no/such.safetensors").err().unwrap().to_string();
        assert!(error.contains("no/such.safetensors"), "{error}");
    }

    #[test]
    fn names_are_sorted() {
        let bytes = floats(&[1.0]);
        let view = || TensorView::new(Dtype::F32, vec![1], &bytes).unwrap();
        let two = safetensors::serialize([("b", view()), ("a", view())], None).unwrap();
        assert_eq!(
            Checkpoint::from_bytes(two, "two").unwrap().names().unwrap(),
            ["a", "b"]
        );
    }
}
