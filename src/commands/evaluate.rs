//! `moevit evaluate`: accuracy over a test set, engine and golden model side by side.

use super::engine::computer;
use super::load_program;
use crate::arguments::EvaluateArguments;
use crate::{output, progress, row};
use anyhow::{ensure, Context, Result};
use moevit_sim::engine::evaluate::{Evaluation, Selection, Setup, Summary};
use moevit_sim::model::{Architecture, Dataset};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What `moevit evaluate --json` prints, and `--merge` reads again.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    summary: Summary,
    #[serde(flatten)]
    evaluation: &'a Evaluation,
}

pub fn evaluate(arguments: &EvaluateArguments) -> Result<()> {
    let evaluation = match (&arguments.program, &arguments.images) {
        _ if !arguments.merge.is_empty() => merge(&arguments.merge)?,
        (Some(program), Some(images)) => run(arguments, program, images)?,
        _ => anyhow::bail!("evaluate needs --program and --images, or --merge"),
    };
    let summary = evaluation.summary();
    match arguments.json {
        true => output::print_json(&Report {
            summary,
            evaluation: &evaluation,
        }),
        false => output::print(&text(&evaluation, &summary)),
    }
}

fn run(arguments: &EvaluateArguments, program: &Path, images: &Path) -> Result<Evaluation> {
    let compiled = load_program(program)?;
    let task = compiled.task(&arguments.task)?;
    let set = load_test_set(images, &compiled.architecture, task)?;
    let selection = Selection {
        limit: arguments.limit,
        shard: arguments.shard.unwrap_or((0, 1)),
    };
    let bar = progress::images(selection.images(set.images.len()).len(), arguments.json);
    let watch = |_| bar.inc(1);
    let new = || computer(arguments.engine, &compiled, arguments.memory.config(), None);
    // Alone, so that Verilog is built once and a wrong argument is refused before any thread starts.
    new()?;
    let setup = Setup {
        compiled: compiled.clone(),
        engine: arguments.engine.name(),
        task,
        set: &set,
        selection,
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let evaluation = setup.run(arguments.jobs.map_or(processors, usize::from), new, &watch);
    bar.finish_and_clear();
    evaluation
}

/// Loads a test set from the given folder, or from the one above a folder `images`, and looks whether it has the task's targets.
fn load_test_set(images: &Path, architecture: &Architecture, task: usize) -> Result<Dataset> {
    let load = |folder: &Path| -> Result<Dataset> {
        let set = Dataset::load(folder, architecture)?;
        set.targets(architecture, task)?;
        Ok(set)
    };
    match (images.file_name(), images.parent()) {
        (Some(name), Some(parent)) if name == "images" && images.is_dir() => {
            let parent = match parent.as_os_str().is_empty() {
                true => Path::new("."),
                false => parent,
            };
            load(parent).with_context(|| {
                format!(
                    "--images {}: its classes or labels are looked for beside it",
                    images.display()
                )
            })
        }
        _ => load(images),
    }
}

fn merge(files: &[PathBuf]) -> Result<Evaluation> {
    let read = |path: &PathBuf| {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not a result of evaluate --json", path.display()))
    };
    let shards: Vec<Evaluation> = files.iter().map(read).collect::<Result<_>>()?;
    let merged = Evaluation::merge(&shards)?;
    ensure!(!merged.records.is_empty(), "the shards hold no image");
    Ok(merged)
}

fn text(evaluation: &Evaluation, summary: &Summary) -> String {
    let metric = metric_name(evaluation);
    let number = |value: Option<f64>, digits: usize| value.map_or("-".into(), |v| format!("{v:.digits$}"));
    let title = format!(
        "task {} on {}: {} images",
        evaluation.task, evaluation.config, summary.images
    );
    let rows = [
        row![title, evaluation.engine, "golden"],
        row![
            metric,
            format!("{:.4}", summary.engine_metric),
            number(summary.golden_metric, 4)
        ],
        row!["points lost", number(summary.points_lost, 2)],
        row![
            "mean cosine of tokens, same routes",
            number(summary.mean_cosine_same_routes, 5)
        ],
        row!["mean cosine of tokens, free", number(summary.mean_cosine_free, 5)],
        row![
            "largest error of tokens, same routes",
            number(summary.max_abs_error_same_routes, 4)
        ],
        row!["share of equal routes", number(summary.equal_routes, 4)],
        row!["mean cycles", number(summary.mean_cycles, 0)],
        row![
            "simulated cycles a second",
            number(summary.simulated_cycles_per_second, 0)
        ],
    ];
    output::table(&rows)
}

fn metric_name(evaluation: &Evaluation) -> &'static str {
    use moevit_sim::model::metric::Tally;
    match evaluation.tally {
        Tally::Accuracy { .. } => "accuracy",
        Tally::PixelAccuracy { .. } => "pixel accuracy",
        Tally::MeanIou { .. } => "mean IoU",
        Tally::BoundaryF1 { .. } => "boundary F1",
    }
}
