//! Any architecture with random weights and images of noise, through the command line as a user's own model goes.
#![allow(dead_code)] // Every test takes only a part.

use crate::moevit::{compile_arguments, moevit, moevit_within};
use moevit_sim::model::architecture::ImageSpec;
use moevit_sim::model::{Architecture, Model, Tensor};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Images of noise; all calibrate, the first one is run.
const IMAGES: usize = 3;

/// A checkpoint with a random tensor for every name that an architecture asks for.
fn checkpoint(architecture: &Architecture) -> Vec<u8> {
    let mut rng = SmallRng::seed_from_u64(5);
    let mut tensors = vec![];
    let built = Model::build::<Infallible>(architecture, &mut |name, shape| {
        let (norm, fan_in) = (
            name.contains("norm") && name.ends_with("weight"),
            shape[1..].iter().product::<usize>(),
        );
        let limit = (3.0 / fan_in.max(30) as f32).sqrt();
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|_| f32::from(u8::from(norm)) + rng.random_range(-limit..limit))
            .collect();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        tensors.push((name.to_owned(), shape.to_vec(), bytes));
        Ok(Tensor::new(shape, values))
    });
    assert!(built.is_ok());
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

fn noise(path: &Path, spec: &ImageSpec, rng: &mut SmallRng) {
    let pixels: Vec<u8> = (0..spec.height * spec.width * spec.channels)
        .map(|_| rng.random())
        .collect();
    let file = std::fs::File::create(path).unwrap();
    let mut encoder = png::Encoder::new(file, spec.width as u32, spec.height as u32);
    encoder.set_color(match spec.channels {
        1 => png::ColorType::Grayscale,
        _ => png::ColorType::Rgb,
    });
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
}

/// A compiled model of random weights, its images and what its runs leave behind.
pub struct RandomModel {
    folder: TempDir,
}

impl RandomModel {
    /// Compiles an architecture for a configuration.
    pub fn compile(architecture: &str, config: &str) -> Self {
        let model = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let parsed = Architecture::parse(architecture, "random").unwrap();
        let [weights, arch, images, program] =
            ["w.safetensors", "a.toml", "images", "p.moevit"].map(|name| model.path(name));
        std::fs::write(&arch, architecture).unwrap();
        std::fs::write(&weights, checkpoint(&parsed)).unwrap();
        std::fs::create_dir(&images).unwrap();
        let mut rng = SmallRng::seed_from_u64(6);
        for index in 0..IMAGES {
            noise(&images.join(format!("{index}.png")), &parsed.image, &mut rng);
        }
        moevit(compile_arguments(&weights, &arch, &images, config, &program)).text();
        model
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the first image for the first task on an engine; gives the report.
    pub fn run(&self, engine: &str, limit: Duration) -> Value {
        let text = |name: &str| self.path(name).display().to_string();
        let (program, image, dump) = (text("p.moevit"), text("images/0.png"), text("tokens.npy"));
        let arguments = [
            "run",
            "--program",
            &program,
            "--image",
            &image,
            "--task",
            "0",
            "--engine",
            engine,
            "--dump-tokens",
            &dump,
            "--json",
        ];
        moevit_within(limit, arguments).json()
    }

    /// Runs an engine that simulates circuits; its bits must be the reference's. Gives its report.
    pub fn same_bits(&self, engine: &str, limit: Duration) -> Value {
        let (report, reference) = (self.run(engine, limit), self.run("reference", limit));
        assert_eq!(report["equals_reference"], true);
        assert_eq!(report["tokens_sha256"], reference["tokens_sha256"]);
        println!(
            "{engine}, {}: {} cycles, {:.0} cycles/s, utilisation {:.3}, cosine {:.5}",
            report["config"],
            report["cycles"],
            report["simulated_cycles_per_second"].as_f64().unwrap(),
            report["mac_utilisation"].as_f64().unwrap(),
            report["golden"]["same_routes"]["cosine"].as_f64().unwrap()
        );
        report
    }

    /// The NumPy file of the last run's tokens.
    pub fn tokens(&self) -> Vec<u8> {
        std::fs::read(self.path("tokens.npy")).unwrap()
    }
}
