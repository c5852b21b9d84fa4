//! What the host must know about a program besides its bytes: layouts of image and result, tasks, labels for reports.

use serde::{Deserialize, Serialize};

use super::error::Fault;
use crate::model::Image;

/// The meta section, without the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// The model's architecture, as its own type writes it.
    pub model: serde_json::Value,
    /// Commands at the start of the payload.
    pub command_count: u32,
    /// How an image lies in the board's memory.
    pub image: ImageLayout,
    /// Fraction bits of the residual stream.
    pub residual_fraction_bits: i32,
    /// Bytes of the result buffer.
    pub result_bytes: u64,
    /// The encoder's tokens in the result buffer.
    pub tokens: Tensor,
    /// Tasks in the order of the task register.
    pub tasks: Vec<Task>,
    /// One label a command, for reports and error messages.
    pub labels: Vec<Label>,
}

/// A task and where its head's outputs lie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    pub name: String,
    /// The head's outputs; a model without heads has none.
    pub head: Option<Tensor>,
}

/// A command in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Layer and operation, e.g. `block 3 qkv`.
    pub layer: String,
    /// Multiply-accumulates of the model for this command; of one expert and token in an expert loop.
    pub macs: u64,
}

/// A matrix of 16-bit values in the result buffer: `real = value * scale`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tensor {
    /// First byte in the result buffer.
    pub offset: u64,
    /// Rows.
    pub tokens: usize,
    /// Columns.
    pub outputs: usize,
    /// Bytes from one row to the next.
    pub stride: u64,
    /// One scale for all columns, or one for each.
    pub scales: Vec<f32>,
}

impl Tensor {
    /// First byte after the tensor; `None` if it does not fit 64 bits.
    pub fn end(&self) -> Option<u64> {
        let last = (self.tokens as u64).saturating_sub(1).checked_mul(self.stride)?;
        let row = (self.outputs as u64).checked_mul(2)?;
        self.offset.checked_add(last)?.checked_add(row)
    }

    /// The rows as the integers that the accelerator wrote.
    pub fn integers(&self, result: &[u8]) -> Result<Vec<i16>, Fault> {
        self.check("tensor", result.len() as u64)?;
        let row = |t: usize| {
            let first = (self.offset + t as u64 * self.stride) as usize;
            result[first..first + 2 * self.outputs].chunks_exact(2)
        };
        Ok((0..self.tokens)
            .flat_map(row)
            .map(|b| i16::from_le_bytes([b[0], b[1]]))
            .collect())
    }

    /// The rows as real numbers.
    pub fn reals(&self, result: &[u8]) -> Result<Vec<f32>, Fault> {
        let scale = |i: usize| self.scales[i % self.outputs % self.scales.len()];
        Ok(self
            .integers(result)?
            .into_iter()
            .enumerate()
            .map(|(i, x)| f32::from(x) * scale(i))
            .collect())
    }

    pub(super) fn check(&self, name: &str, result_bytes: u64) -> Result<(), Fault> {
        if self.end().is_none_or(|end| end > result_bytes) {
            let (field, expected) = (
                format!("end of {name}"),
                format!("at most {result_bytes}, the result's bytes"),
            );
            return Err(Fault::value(field, expected, format!("{:?}", self.end())));
        }
        if self.outputs == 0 || self.tokens == 0 || self.stride < 2 * self.outputs as u64 {
            let (field, expected) = (
                format!("stride of {name}"),
                format!("at least {} and not empty", 2 * self.outputs),
            );
            return Err(Fault::value(field, expected, self.stride));
        }
        if self.scales.len() != 1 && self.scales.len() != self.outputs {
            let (field, expected) = (
                format!("number of scales of {name}"),
                format!("1 or {}", self.outputs),
            );
            return Err(Fault::value(field, expected, self.scales.len()));
        }
        Ok(())
    }
}

/// An image in the board's memory: patches in raster order, in each channel, row, column as signed bytes `pixel - 128`,
/// each patch padded with zeros to `patch_stride` bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageLayout {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Bytes from one patch to the next.
    pub patch_stride: usize,
    /// Bytes of the whole image, padding included.
    pub bytes: usize,
}

impl ImageLayout {
    /// Patches of the image.
    pub fn patches(&self) -> usize {
        (self.height / self.patch) * (self.width / self.patch)
    }

    /// The bytes of an image in the board's memory.
    pub fn pack(&self, image: &Image) -> Result<Vec<u8>, Fault> {
        self.check()?;
        let expected = (self.height, self.width, self.channels);
        let found = (image.height, image.width, image.channels);
        let values = expected.0 * expected.1 * expected.2;
        if found != expected {
            let (expected, found) = (format!("{expected:?}"), format!("{found:?}"));
            return Err(Fault::value("image (height, width, channels)", expected, found));
        }
        if image.pixels.len() != values {
            return Err(Fault::value("number of pixel values", values, image.pixels.len()));
        }
        let (p, across) = (self.patch, self.width / self.patch);
        let mut bytes = vec![0u8; self.bytes];
        for patch in 0..self.patches() {
            for line in 0..self.channels * p {
                let (channel, row) = (line / p, patch / across * p + line % p);
                let from = (row * self.width + patch % across * p) * self.channels + channel;
                let pixels = image.pixels[from..].iter().step_by(self.channels);
                let to = patch * self.patch_stride + line * p;
                let places = bytes[to..to + p].iter_mut();
                places.zip(pixels).for_each(|(y, x)| *y = x.wrapping_sub(128));
            }
        }
        Ok(bytes)
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        let sides = [self.channels, self.height, self.width, self.patch];
        if sides.iter().any(|&side| side == 0 || side > 1 << 16) {
            return Err(Fault::value("image side", "1 to 65536", format!("{sides:?}")));
        }
        if self.height % self.patch != 0 || self.width % self.patch != 0 {
            let expected = format!("a divisor of {} and {}", self.height, self.width);
            return Err(Fault::value("patch side", expected, self.patch));
        }
        let least = self.channels * self.patch * self.patch;
        if self.patch_stride < least {
            return Err(Fault::value(
                "patch stride",
                format!("at least {least}"),
                self.patch_stride,
            ));
        }
        let all = self.patches().checked_mul(self.patch_stride);
        if all.is_none_or(|all| all > self.bytes) || self.bytes > 1 << 30 {
            let expected = format!("from {all:?} (patches times stride) to 2^30");
            return Err(Fault::value("image bytes", expected, self.bytes));
        }
        Ok(())
    }
}
