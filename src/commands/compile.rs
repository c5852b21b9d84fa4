//! `moevit compile`: a trained model becomes a program file.

use super::load_config;
use crate::arguments::CompileArguments;
use crate::output;
use anyhow::{Context, Result};
use moevit_sim::compiler::{self, Options};
use moevit_sim::model::checkpoint::Checkpoint;
use moevit_sim::model::image::list_png;
use moevit_sim::model::{Architecture, Image, Model};
use moevit_sim::program::Program;
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// What a compilation gave.
#[derive(Serialize)]
struct Summary<'a> {
    config: &'a str,
    model: &'a str,
    program: String,
    commands: u32,
    payload_bytes: usize,
    calibration_images: usize,
    seconds: f64,
}

pub fn compile(arguments: &CompileArguments) -> Result<()> {
    let started = Instant::now();
    let config = load_config(&arguments.config)?;
    let architecture = Architecture::load(&arguments.arch)?;
    let bytes = std::fs::read(&arguments.weights)
        .with_context(|| format!("cannot read the checkpoint {}", arguments.weights.display()))?;
    let checkpoint = Checkpoint::from_bytes(bytes.clone(), &arguments.weights.display().to_string())?;
    let model = Model::from_checkpoint(&checkpoint, &architecture)?;
    let images = load_images(&arguments.calibration, &architecture)?;
    let options = Options {
        checkpoint: (!arguments.without_golden).then_some(bytes),
    };
    let program = compiler::compile(&config, &architecture, &model, &images, &options)?;
    output::write_file(&arguments.out, &program.to_bytes()?)?;
    let summary = Summary {
        config: &config.name,
        model: &architecture.name,
        program: arguments.out.display().to_string(),
        commands: program.meta.command_count,
        payload_bytes: program.payload.len(),
        calibration_images: images.len(),
        seconds: started.elapsed().as_secs_f64(),
    };
    match arguments.json {
        true => output::print_json(&summary),
        false => output::print(&text(&summary, &program)),
    }
}

/// All images of a folder, of the model's size.
pub fn load_images(folder: &Path, architecture: &Architecture) -> Result<Vec<Image>> {
    let spec = &architecture.image;
    let load = |path: &std::path::PathBuf| Image::load_sized(path, spec.height, spec.width, spec.channels);
    Ok(list_png(folder)?.iter().map(load).collect::<Result<_, _>>()?)
}

fn text(summary: &Summary, program: &Program) -> String {
    let tasks: Vec<&str> = program.meta.tasks.iter().map(|task| task.name.as_str()).collect();
    format!(
        "{}: {} for {}, {} commands, {} bytes for the board's memory, tasks {}; calibrated on {} images, {:.1} s\n",
        summary.program,
        summary.model,
        summary.config,
        summary.commands,
        output::thousands(summary.payload_bytes as u64),
        tasks.join(", "),
        summary.calibration_images,
        summary.seconds
    )
}
