//! What several integration tests share: the demonstration, random networks, devices.
#![allow(dead_code)] // Every test takes only a part.

pub mod devices;
pub mod networks;

use moevit_hw::config::AccelConfig;
use moevit_sim::compiler::{compile, Options};
use moevit_sim::engine::Compiled;
use moevit_sim::model::{image::list_png, Architecture, Image, Model};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A path of the workspace.
pub fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every PNG image of a folder.
pub fn load_images(folder: &Path, architecture: &Architecture) -> Vec<Image> {
    let spec = &architecture.image;
    list_png(folder)
        .unwrap()
        .iter()
        .map(|path| Image::load_sized(path, spec.height, spec.width, spec.channels).unwrap())
        .collect()
}

/// Compiles a checkpoint for a named configuration, with its golden model.
pub fn compile_files(architecture: &Path, weights: &Path, calibration: &Path, config: &str) -> Arc<Compiled> {
    let architecture = Architecture::load(architecture).unwrap();
    let model = Model::load(weights, &architecture).unwrap();
    let options = Options {
        checkpoint: Some(std::fs::read(weights).unwrap()),
    };
    let images = load_images(calibration, &architecture);
    let config = AccelConfig::named(config).unwrap();
    let program = compile(&config, &architecture, &model, &images, &options).unwrap();
    Arc::new(Compiled::new(program).unwrap())
}

/// The demonstration for `nano`, compiled once a test program.
pub fn demo() -> Arc<Compiled> {
    static DEMO: OnceLock<Arc<Compiled>> = OnceLock::new();
    DEMO.get_or_init(|| {
        compile_files(
            &root("demo/architecture.toml"),
            &root("demo/model.safetensors"),
            &root("demo/calibration"),
            "nano",
        )
    })
    .clone()
}

/// The demonstration's test images.
pub fn demo_images() -> Vec<Image> {
    load_images(&root("demo/images"), &demo().architecture)
}

/// The folder of an optional trained model, or a word why it is left out.
pub fn optional_model(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("MOEVIT_MODELS").map(|models| Path::new(&models).join(name));
    let found = folder.filter(|folder| folder.join("model.safetensors").is_file());
    if found.is_none() {
        println!("skipped: MOEVIT_MODELS names no folder that holds {name}/model.safetensors");
    }
    found
}
