//! Images and label maps from PNG files.
//!
//! An image has 8 bits a channel. RGB becomes grey by the BT.601 weights, grey becomes RGB by repetition, transparency is
//! refused unless every pixel is opaque. A label map is grey or a palette picture, whose values or indices are the labels.

use super::architecture::ImageSpec;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::io::{BufRead, Seek};
use std::path::{Path, PathBuf};

use png::{BitDepth, ColorType, Transformations};

/// A picture with more pixels is refused before memory is taken for it.
pub const MAX_PIXELS: usize = 1 << 26;

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("cannot read {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("{path} is not a PNG image that can be read: {message}")]
    Decode { path: String, message: String },
    #[error("{path}: {reason}")]
    Unsuitable { path: String, reason: String },
    #[error("{path} has {found_height} x {found_width} pixels (height x width), but {expected}")]
    Size {
        path: String,
        found_height: usize,
        found_width: usize,
        expected: String,
    },
}

/// An image of 8 bits a channel, rows of pixels of channels.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub pixels: Vec<u8>,
}

/// The size only: thousands of pixels would bury the message that they stand in.
impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image({} x {} x {})", self.height, self.width, self.channels)
    }
}

impl Image {
    /// Random pixels, the same for the same seed.
    pub fn noise(spec: &ImageSpec, seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let bytes = spec.height * spec.width * spec.channels;
        Self {
            height: spec.height,
            width: spec.width,
            channels: spec.channels,
            pixels: (0..bytes).map(|_| rng.random()).collect(),
        }
    }

    /// Reads a PNG and converts it to `channels` (1 or 3) channels.
    pub fn load(path: impl AsRef<Path>, channels: usize) -> Result<Self, ImageError> {
        let (path, name) = (path.as_ref(), path.as_ref().display().to_string());
        Self::decode(open(path, &name)?, &name, channels)
    }

    /// Reads a PNG that must have exactly this size.
    pub fn load_sized(
        path: impl AsRef<Path>,
        height: usize,
        width: usize,
        channels: usize,
    ) -> Result<Self, ImageError> {
        let image = Self::load(&path, channels)?;
        if (image.height, image.width) == (height, width) {
            return Ok(image);
        }
        Err(ImageError::Size {
            path: path.as_ref().display().to_string(),
            found_height: image.height,
            found_width: image.width,
            expected: format!("the model takes {height} x {width}"),
        })
    }

    /// Decodes a PNG from any source; `name` stands in the error messages.
    pub fn decode(source: impl BufRead + Seek, name: &str, channels: usize) -> Result<Self, ImageError> {
        let raw = Raw::decode(source, name, Transformations::EXPAND)?;
        let pixels = convert(&raw, channels).map_err(|reason| ImageError::Unsuitable {
            path: name.to_string(),
            reason,
        })?;
        Ok(Self {
            height: raw.height,
            width: raw.width,
            channels,
            pixels,
        })
    }

    /// Cuts a contact sheet into images of `height` x `width`, in raster order.
    pub fn tiles(&self, height: usize, width: usize) -> Vec<Image> {
        let row_bytes = width * self.channels;
        let tile = |top: usize, left: usize| {
            let start = |y: usize| ((top + y) * self.width + left) * self.channels;
            let pixels = (0..height)
                .flat_map(|y| &self.pixels[start(y)..start(y) + row_bytes])
                .copied();
            Image {
                height,
                width,
                channels: self.channels,
                pixels: pixels.collect(),
            }
        };
        let tops = (0..self.height / height).map(|row| row * height);
        tops.flat_map(|top| (0..self.width / width).map(move |column| (top, column * width)))
            .map(|(top, left)| tile(top, left))
            .collect()
    }
}

/// A label a pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelMap {
    pub height: usize,
    pub width: usize,
    pub labels: Vec<u8>,
}

impl LabelMap {
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ImageError> {
        let name = path.as_ref().display().to_string();
        let raw = Raw::decode(open(path.as_ref(), &name)?, &name, Transformations::IDENTITY)?;
        if raw.depth != BitDepth::Eight || !matches!(raw.color, ColorType::Grayscale | ColorType::Indexed) {
            let reason = format!(
                "a label map must be an 8-bit grey or palette PNG, not {:?}",
                raw.color
            );
            return Err(ImageError::Unsuitable { path: name, reason });
        }
        Ok(Self {
            height: raw.height,
            width: raw.width,
            labels: raw.bytes,
        })
    }
}

impl From<LabelMap> for Image {
    fn from(map: LabelMap) -> Self {
        Self {
            height: map.height,
            width: map.width,
            channels: 1,
            pixels: map.labels,
        }
    }
}

impl From<Image> for LabelMap {
    /// Takes the first channel.
    fn from(image: Image) -> Self {
        let labels = image.pixels.into_iter().step_by(image.channels).collect();
        Self {
            height: image.height,
            width: image.width,
            labels,
        }
    }
}

/// The PNG files of a directory, sorted by name.
pub fn list_png(directory: impl AsRef<Path>) -> Result<Vec<PathBuf>, ImageError> {
    let name = directory.as_ref().display().to_string();
    let failed = |source| ImageError::Read {
        path: name.clone(),
        source,
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory.as_ref()).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() && path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")) {
            paths.push(path);
        }
    }
    paths.sort();
    match paths.is_empty() {
        true => Err(ImageError::Unsuitable {
            path: name,
            reason: "the directory holds no PNG image".into(),
        }),
        false => Ok(paths),
    }
}

fn open(path: &Path, name: &str) -> Result<std::io::BufReader<std::fs::File>, ImageError> {
    std::fs::File::open(path)
        .map(std::io::BufReader::new)
        .map_err(|source| ImageError::Read {
            path: name.to_string(),
            source,
        })
}

/// A decoded PNG before conversion.
struct Raw {
    height: usize,
    width: usize,
    color: ColorType,
    depth: BitDepth,
    bytes: Vec<u8>,
}

impl Raw {
    fn decode(source: impl BufRead + Seek, name: &str, how: Transformations) -> Result<Self, ImageError> {
        let failed = |message: String| ImageError::Decode {
            path: name.to_string(),
            message,
        };
        let mut decoder = png::Decoder::new(source);
        decoder.set_transformations(how);
        let mut reader = decoder.read_info().map_err(|e| failed(e.to_string()))?;
        let (height, width) = (reader.info().height as usize, reader.info().width as usize);
        if height.saturating_mul(width) > MAX_PIXELS {
            return Err(failed(format!(
                "its {height} x {width} pixels are more than {MAX_PIXELS}"
            )));
        }
        let size = reader
            .output_buffer_size()
            .ok_or_else(|| failed("it is too large".to_string()))?;
        let mut bytes = vec![0; size];
        let info = reader.next_frame(&mut bytes).map_err(|e| failed(e.to_string()))?;
        bytes.truncate(info.buffer_size());
        Ok(Self {
            height,
            width,
            color: info.color_type,
            depth: info.bit_depth,
            bytes,
        })
    }
}

fn convert(raw: &Raw, channels: usize) -> Result<Vec<u8>, String> {
    if raw.depth != BitDepth::Eight {
        return Err(format!(
            "images must have 8 bits a channel, not {}",
            raw.depth as u8
        ));
    }
    let opaque = drop_alpha(raw)?;
    let found = if matches!(raw.color, ColorType::Grayscale | ColorType::GrayscaleAlpha) {
        1
    } else {
        3
    };
    match (found, channels) {
        (1, 1) | (3, 3) => Ok(opaque),
        (1, 3) => Ok(opaque.iter().flat_map(|&v| [v; 3]).collect()),
        (3, 1) => Ok(opaque.chunks_exact(3).map(|p| luma(p[0], p[1], p[2])).collect()),
        _ => Err(format!(
            "an image cannot be converted to {channels} channels, only to 1 or 3"
        )),
    }
}

fn drop_alpha(raw: &Raw) -> Result<Vec<u8>, String> {
    if !matches!(raw.color, ColorType::GrayscaleAlpha | ColorType::Rgba) {
        return Ok(raw.bytes.clone());
    }
    let samples = raw.color.samples();
    let pixels = raw.bytes.chunks_exact(samples);
    if pixels.clone().any(|pixel| pixel[samples - 1] != 255) {
        return Err("the image has transparent pixels: put it on a background first".to_string());
    }
    Ok(pixels.flat_map(|pixel| &pixel[..samples - 1]).copied().collect())
}

/// BT.601 luma, rounded.
fn luma(red: u8, green: u8, blue: u8) -> u8 {
    ((299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue) + 500) / 1000) as u8
}

#[cfg(test)]
mod tests;
