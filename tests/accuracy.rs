//! Accuracy of the integers: the reference against the golden model over whole test sets.

mod common;

use common::{compile_files, demo, optional_model, root};
use moevit_sim::engine::evaluate::{Selection, Setup, Summary};
use moevit_sim::engine::{Compiled, Computer};
use moevit_sim::model::Dataset;
use std::path::Path;
use std::sync::Arc;

/// Most that a task's metric may lose, in points (hundredths).
const MOST_POINTS_LOST: f64 = 0.5;

/// The reference over a test set.
fn evaluate(compiled: &Arc<Compiled>, folder: &Path, task: usize) -> Summary {
    let set = Dataset::load(folder, &compiled.architecture).unwrap();
    let setup = Setup {
        compiled: compiled.clone(),
        engine: "reference",
        task,
        set: &set,
        selection: Selection {
            limit: None,
            shard: (0, 1),
        },
    };
    let summary = setup
        .run(2, || Ok(Computer::Reference), &|_| {})
        .unwrap()
        .summary();
    println!("{} task {task}: {summary:?}", compiled.architecture.name);
    summary
}

#[test]
fn the_demonstration_keeps_its_accuracy() {
    let compiled = demo();
    for task in 0..2 {
        let summary = evaluate(&compiled, &root("demo/test"), task);
        assert!(summary.images >= 500, "{summary:?}");
        assert!(summary.points_lost.unwrap() <= MOST_POINTS_LOST, "{summary:?}");
        assert!(summary.mean_cosine_same_routes.unwrap() >= 0.999, "{summary:?}");
    }
}

#[test]
fn m3vit_t_keeps_its_accuracy() {
    let Some(folder) = optional_model("m3vit_t_camvid") else {
        return;
    };
    let compiled = compile_files(
        &root("sim/architectures/m3vit_t.toml"),
        &folder.join("model.safetensors"),
        &folder.join("calibration"),
        "zcu104",
    );
    for task in 0..2 {
        let summary = evaluate(&compiled, &folder, task);
        assert!(summary.images >= 16, "{summary:?}");
        assert!(summary.points_lost.unwrap() <= MOST_POINTS_LOST, "{summary:?}");
        assert!(summary.mean_cosine_same_routes.unwrap() >= 0.998, "{summary:?}");
        assert!(summary.mean_cosine_free.unwrap() >= 0.99, "{summary:?}");
    }
}
