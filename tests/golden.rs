//! The golden model on trained weights: the demonstration's whole test set, and tokens that other frameworks computed.

use std::path::{Path, PathBuf};
use std::time::Instant;

use moevit_sim::golden::Golden;
use moevit_sim::model::checkpoint::Checkpoint;
use moevit_sim::model::image::list_png;
use moevit_sim::model::{Architecture, Dataset, Image, Model};

/// Half a percent of the metric: what counts as the same accuracy.
const METRIC_TOLERANCE: f64 = 0.005;
/// Largest difference from tokens that another framework computed in `f32`.
const TOKEN_TOLERANCE: f32 = 1e-3;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn demo() -> Golden {
    let architecture = Architecture::load(root("demo/architecture.toml")).unwrap();
    let model = Model::load(root("demo/model.safetensors"), &architecture).unwrap();
    Golden::new(&architecture, &model).unwrap()
}

fn largest_difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().all(|value| value.is_finite()));
    found
        .iter()
        .zip(expected)
        .fold(0.0, |most, (f, e)| most.max((f - e).abs()))
}

#[test]
fn the_demonstration_reaches_its_recorded_accuracy() {
    let golden = demo();
    let set = Dataset::load(root("demo/test"), golden.architecture()).unwrap();
    let record: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(root("demo/accuracy.json")).unwrap()).unwrap();
    for (task, key) in ["digit_accuracy", "boundary_f1"].into_iter().enumerate() {
        let tally = golden.evaluate(&set, task).unwrap();
        let recorded = record[key].as_f64().unwrap();
        println!(
            "{key}: {:.4} over {} images, recorded {recorded:.4}",
            tally.value(),
            tally.images()
        );
        assert!(
            tally.images() >= 500,
            "only {} images were judged",
            tally.images()
        );
        assert!(
            (tally.value() - recorded).abs() <= METRIC_TOLERANCE,
            "{} is not {recorded}",
            tally.value()
        );
    }
    assert!(record["digit_accuracy"].as_f64().unwrap() >= 0.96);
}

#[test]
fn the_demonstrations_tokens_are_those_of_the_training_framework() {
    let golden = demo();
    let expected = Checkpoint::open(root("demo/expected.safetensors")).unwrap();
    let images = list_png(root("demo/images")).unwrap();
    let (tokens, dim) = (golden.architecture().tokens(), golden.architecture().encoder.dim);
    let mut compared = 0;
    for name in expected.names().unwrap() {
        let mut parts = name.trim_start_matches("image").split(".task");
        let image: usize = parts.next().unwrap().parse().unwrap();
        let task: usize = parts.next().unwrap().trim_end_matches(".tokens").parse().unwrap();
        let wanted = expected.reader().unwrap().tensor(&name, &[tokens, dim]).unwrap();
        let image = Image::load_sized(&images[image], 28, 28, 1).unwrap();
        let output = golden.run(&image, task, None).unwrap();
        let difference = largest_difference(&output.tokens.data, &wanted.data);
        assert!(difference <= TOKEN_TOLERANCE, "{name}: {difference}");
        compared += 1;
    }
    assert_eq!(compared, 4);
}

#[test]
fn the_demonstration_uses_all_its_experts() {
    let golden = demo();
    for task in 0..2 {
        let mut used = [[0usize; 8]; 2];
        for path in list_png(root("demo/calibration")).unwrap() {
            let image = Image::load_sized(path, 28, 28, 1).unwrap();
            let routes = golden.run(&image, task, None).unwrap().routes;
            for (block, counts) in routes.blocks.iter().zip(&mut used) {
                block
                    .tokens
                    .iter()
                    .flatten()
                    .for_each(|choice| counts[choice.expert] += 1);
            }
        }
        println!("task {task}: tokens an expert in blocks 1 and 3: {used:?}");
        assert!(
            used.iter().flatten().all(|&count| count > 0),
            "an expert is never chosen: {used:?}"
        );
        assert_eq!(used.iter().flatten().sum::<usize>(), 2 * 2 * 50 * 32);
    }
}

/// The folder of optional models, if there is one.
fn optional_model(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("MOEVIT_MODELS").map(|models| Path::new(&models).join(name));
    let found = folder.filter(|folder| folder.join("model.safetensors").is_file());
    if found.is_none() {
        println!("skipped: MOEVIT_MODELS names no folder that holds {name}/model.safetensors");
    }
    found
}

fn m3vit_t(folder: &Path) -> Golden {
    let architecture = Architecture::load(root("sim/architectures/m3vit_t.toml")).unwrap();
    let model = Model::load(folder.join("model.safetensors"), &architecture).unwrap();
    Golden::new(&architecture, &model).unwrap()
}

/// The values of a NumPy file of little-endian `f32` in row order.
fn read_npy(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(
        &bytes[..8],
        b"\x93NUMPY\x01\x00",
        "{} is no NumPy file of version 1",
        path.display()
    );
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let text = std::str::from_utf8(&bytes[10..10 + header]).unwrap();
    assert!(
        text.contains("'<f4'") && text.contains("'fortran_order': False"),
        "{text}"
    );
    bytes[10 + header..]
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}

#[test]
fn m3vit_t_gives_the_tokens_of_another_framework() {
    let Some(folder) = optional_model("m3vit_t_camvid") else {
        return;
    };
    let golden = m3vit_t(&folder);
    let mut compared = 0;
    for index in 0..4 {
        let image =
            Image::load_sized(folder.join(format!("images/test_{index:03}.png")), 128, 256, 3).unwrap();
        for task in 0..2 {
            let wanted = read_npy(&folder.join(format!("expected/test_{index:03}_task{task}_tokens.npy")));
            let start = Instant::now();
            let output = golden.run(&image, task, None).unwrap();
            let seconds = start.elapsed().as_secs_f64();
            let difference = largest_difference(&output.tokens.data, &wanted);
            println!("image {index} task {task}: largest difference {difference:.2e}, {seconds:.3} s");
            assert!(
                difference <= TOKEN_TOLERANCE,
                "image {index}, task {task}: {difference}"
            );
            compared += output.tokens.data.len();
        }
    }
    assert_eq!(compared, 8 * 129 * 192);
}

#[test]
fn m3vit_t_segments_its_test_images() {
    let Some(folder) = optional_model("m3vit_t_camvid") else {
        return;
    };
    let golden = m3vit_t(&folder);
    let set = Dataset::load(&folder, golden.architecture()).unwrap();
    for (task, least) in [(0, 0.6), (1, 0.4)] {
        let tally = golden.evaluate(&set, task).unwrap();
        let spec = &golden.architecture().tasks[task];
        println!(
            "{}: {:?} = {:.4} over {} images",
            spec.name,
            spec.metric,
            tally.value(),
            tally.images()
        );
        assert!(tally.images() >= 16 && tally.value() >= least, "{tally:?}");
    }
}
