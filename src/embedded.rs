//! The demonstration model inside the program: weights, calibration and test images.

use anyhow::{Context, Result};
use moevit_sim::model::checkpoint::Checkpoint;
use moevit_sim::model::{Architecture, Image, Model};
use std::io::Cursor;

/// A file of the folder `demo`: its name and its bytes.
type File = (&'static str, &'static [u8]);

macro_rules! file {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../demo/", $name)) as &[u8])
    };
}

const ARCHITECTURE: &str = include_str!("../demo/architecture.toml");
const CHECKPOINT: File = file!("model.safetensors");
#[rustfmt::skip]
const CALIBRATION: [File; 32] = [
    file!("calibration/train_00.png"),
    file!("calibration/train_01.png"),
    file!("calibration/train_02.png"),
    file!("calibration/train_03.png"),
    file!("calibration/train_04.png"),
    file!("calibration/train_05.png"),
    file!("calibration/train_06.png"),
    file!("calibration/train_07.png"),
    file!("calibration/train_08.png"),
    file!("calibration/train_09.png"),
    file!("calibration/train_10.png"),
    file!("calibration/train_11.png"),
    file!("calibration/train_12.png"),
    file!("calibration/train_13.png"),
    file!("calibration/train_14.png"),
    file!("calibration/train_15.png"),
    file!("calibration/train_16.png"),
    file!("calibration/train_17.png"),
    file!("calibration/train_18.png"),
    file!("calibration/train_19.png"),
    file!("calibration/train_20.png"),
    file!("calibration/train_21.png"),
    file!("calibration/train_22.png"),
    file!("calibration/train_23.png"),
    file!("calibration/train_24.png"),
    file!("calibration/train_25.png"),
    file!("calibration/train_26.png"),
    file!("calibration/train_27.png"),
    file!("calibration/train_28.png"),
    file!("calibration/train_29.png"),
    file!("calibration/train_30.png"),
    file!("calibration/train_31.png"),
];
/// Test images; each name ends with the digit that it shows.
#[rustfmt::skip]
const IMAGES: [File; 16] = [
    file!("images/digit_00_is_2.png"),
    file!("images/digit_01_is_6.png"),
    file!("images/digit_02_is_1.png"),
    file!("images/digit_03_is_8.png"),
    file!("images/digit_04_is_3.png"),
    file!("images/digit_05_is_0.png"),
    file!("images/digit_06_is_2.png"),
    file!("images/digit_07_is_3.png"),
    file!("images/digit_08_is_8.png"),
    file!("images/digit_09_is_8.png"),
    file!("images/digit_10_is_9.png"),
    file!("images/digit_11_is_1.png"),
    file!("images/digit_12_is_2.png"),
    file!("images/digit_13_is_5.png"),
    file!("images/digit_14_is_9.png"),
    file!("images/digit_15_is_5.png"),
];

/// Everything that compiling the demonstration takes.
pub struct Demonstration {
    pub architecture: Architecture,
    pub model: Model,
    pub checkpoint: Vec<u8>,
    pub calibration: Vec<Image>,
}

/// A test image.
pub struct Sample {
    pub image: Image,
    /// The digit that it shows.
    pub digit: usize,
}

/// Unpacks the model.
pub fn demonstration() -> Result<Demonstration> {
    let architecture = Architecture::parse(ARCHITECTURE, "embedded architecture.toml")?;
    let checkpoint = Checkpoint::from_bytes(CHECKPOINT.1.to_vec(), "embedded model.safetensors")?;
    let model = Model::from_checkpoint(&checkpoint, &architecture)?;
    let channels = architecture.image.channels;
    let calibration = CALIBRATION.iter().map(|file| decode(file, channels));
    Ok(Demonstration {
        calibration: calibration.collect::<Result<_>>()?,
        checkpoint: CHECKPOINT.1.to_vec(),
        architecture,
        model,
    })
}

/// A test image by its number.
pub fn sample(index: usize, architecture: &Architecture) -> Result<Sample> {
    let file = IMAGES.get(index).with_context(|| {
        format!(
            "there is no image {index}; the embedded ones are 0 to {}",
            IMAGES.len() - 1
        )
    })?;
    Ok(Sample {
        image: decode(file, architecture.image.channels)?,
        digit: digit(file.0).with_context(|| format!("{} names no digit", file.0))?,
    })
}

fn decode((name, bytes): &File, channels: usize) -> Result<Image> {
    Ok(Image::decode(Cursor::new(*bytes), name, channels)?)
}

/// `images/digit_00_is_2.png` shows a 2.
fn digit(name: &str) -> Option<usize> {
    name.strip_suffix(".png")?.rsplit('_').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_file_is_whole() {
        let demo = demonstration().unwrap();
        assert_eq!(demo.calibration.len(), CALIBRATION.len());
        let digits: Vec<usize> = (0..IMAGES.len())
            .map(|index| sample(index, &demo.architecture).unwrap().digit)
            .collect();
        assert_eq!(digits, [2, 6, 1, 8, 3, 0, 2, 3, 8, 8, 9, 1, 2, 5, 9, 5]);
        assert!(sample(16, &demo.architecture).is_err());
    }
}
