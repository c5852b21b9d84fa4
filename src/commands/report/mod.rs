//! `moevit report`: what a frame costs, as text, Markdown, JSON and pictures.

mod markdown;
mod text;

use super::area::Table;
use super::compile::load_images;
use super::{load_config, load_program};
use crate::arguments::ReportArguments;
use crate::embedded::{demonstration, sample};
use crate::{output, progress};
use anyhow::{ensure, Result};
use moevit_hw::config::AccelConfig;
use moevit_sim::compiler::{self, layout::Layout, Options};
use moevit_sim::engine::Compiled;
use moevit_sim::model::{Architecture, Image, Model};
use moevit_sim::report::document::{Document, Sources};
use moevit_sim::report::pictures;
use moevit_sim::report::simulate::{predict, simulate};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Random weights and images are the same in every run.
const SEED: u64 = 1;
const CALIBRATION_IMAGES: u64 = 4;

/// A program and where its weights come from.
struct Subject {
    compiled: Arc<Compiled>,
    weights: String,
    /// The image, if the user names none.
    image: Image,
}

/// What `report.json` holds.
#[derive(Serialize)]
struct Report {
    weights: String,
    #[serde(flatten)]
    frame: Document,
    area: Option<Table>,
    files: Vec<PathBuf>,
}

pub fn report(arguments: &ReportArguments) -> Result<()> {
    let subject = subject(arguments)?;
    let compiled = &subject.compiled;
    let (config, spec) = (&compiled.program.config, &compiled.architecture.image);
    let image = match &arguments.image {
        Some(path) => Image::load_sized(path, spec.height, spec.width, spec.channels)?,
        None => subject.image,
    };
    let task = compiled.task(&arguments.task)?;
    ensure!(
        arguments.memory.stalls.is_none() || !arguments.model_only,
        "the model knows no random stalls; leave out --stalls or --model-only"
    );
    let memory = arguments.memory.config();
    let modelled = predict(compiled, &image, task, &memory)?;
    let bar = progress::cycles("circuit".into(), arguments.json || arguments.model_only);
    let simulated = match arguments.model_only {
        true => None,
        false => Some(simulate(compiled, &image, task, &memory, &mut |cycle| {
            bar.set_position(cycle)
        })?),
    };
    bar.finish_and_clear();
    let area = match arguments.without_area {
        true => None,
        false => Some(Table::new(config, arguments.json)?),
    };
    let counted = simulated
        .as_ref()
        .map(|(frame, timeline)| frame.cycles.as_ref().map(|cycles| (timeline, cycles)));
    let frame = Document::new(&Sources {
        compiled,
        task,
        memory: &memory,
        modelled: &modelled,
        simulated: counted.flatten(),
        dsp: area.as_ref().map(|area| area.sum().dsp),
    })?;
    let timeline = simulated.as_ref().map_or(&modelled, |(_, timeline)| timeline);
    let title = format!("{}, task {}, on {}", frame.model, frame.task, frame.config);
    let pictures = [
        (
            "timeline.svg",
            pictures::timeline(&title, &compiled.program, timeline, memory.bytes_per_cycle)?,
        ),
        (
            "roofline.svg",
            pictures::roofline(
                &title,
                &frame.best().kinds,
                frame.macs_per_cycle,
                memory.bytes_per_cycle,
            )?,
        ),
    ];
    let names = ["report.md", "report.json"]
        .into_iter()
        .chain(pictures.iter().map(|picture| picture.0));
    let report = Report {
        weights: subject.weights,
        files: names.map(|name| arguments.out.join(name)).collect(),
        frame,
        area,
    };
    let json = serde_json::to_string_pretty(&report)? + "\n";
    let texts = [("report.md", report.markdown()), ("report.json", json)];
    for (name, content) in texts.iter().chain(&pictures) {
        output::write_file(&arguments.out.join(name), content.as_bytes())?;
    }
    match arguments.json {
        true => output::print_json(&report),
        false => output::print(&report.text()),
    }
}

fn subject(arguments: &ReportArguments) -> Result<Subject> {
    if let Some(path) = &arguments.program {
        let compiled = load_program(path)?;
        return Ok(Subject {
            image: Image::noise(&compiled.architecture.image, SEED),
            compiled,
            weights: format!("of {}", path.display()),
        });
    }
    let config = load_config(&arguments.config)?;
    match &arguments.arch {
        Some(arch) => from_architecture(&config, arch, arguments),
        None => embedded(&config),
    }
}

fn embedded(config: &AccelConfig) -> Result<Subject> {
    let demo = demonstration()?;
    let (architecture, model, images) = (&demo.architecture, &demo.model, &demo.calibration);
    let program = compiler::compile(config, architecture, model, images, &Options::default())?;
    Ok(Subject {
        image: sample(0, architecture)?.image,
        compiled: Arc::new(Compiled::new(program)?),
        weights: "of the embedded demonstration".into(),
    })
}

fn from_architecture(config: &AccelConfig, path: &Path, arguments: &ReportArguments) -> Result<Subject> {
    let architecture = Architecture::load(path)?;
    // Before random weights of any size are made.
    Layout::new(config, &architecture)?;
    let (model, images, weights) = match (&arguments.weights, &arguments.calibration) {
        (Some(weights), Some(folder)) => {
            let name = weights.display().to_string();
            let model = Model::load(weights, &architecture)?;
            (model, load_images(folder, &architecture)?, format!("of {name}"))
        }
        _ => {
            let noise = |seed| Image::noise(&architecture.image, seed);
            let images = (SEED + 1..=SEED + CALIBRATION_IMAGES).map(noise).collect();
            (Model::synthetic(&architecture, SEED), images, "random".into())
        }
    };
    let program = compiler::compile(config, &architecture, &model, &images, &Options::default())?;
    Ok(Subject {
        image: Image::noise(&architecture.image, SEED),
        compiled: Arc::new(Compiled::new(program)?),
        weights,
    })
}
