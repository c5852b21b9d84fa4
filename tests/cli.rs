//! The shapes of the commands: what a user types, and what comes back.

#[path = "support/moevit.rs"]
mod moevit;
#[path = "support/random.rs"]
mod random;
#[path = "support/small.rs"]
mod small;

use moevit::{compile_arguments, demo, moevit, LIMIT};
use moevit_hw::config::AccelConfig;
use moevit_hw::verilog::export_files;
use random::RandomModel;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tempfile::TempDir;

/// Files that the tests share: the demonstration's program and the small model's.
struct Files {
    folder: TempDir,
    compiled: Value,
}

static FILES: LazyLock<Files> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let (weights, architecture) = (demo("model.safetensors"), demo("architecture.toml"));
    let (calibration, out) = (demo("calibration"), folder.path().join("demo.moevit"));
    let mut arguments = compile_arguments(&weights, &architecture, &calibration, "nano", &out);
    arguments.push("--json".as_ref());
    let compiled = moevit(arguments).json();
    small::program(1)
        .write(&folder.path().join("small.moevit"))
        .unwrap();
    let file = std::fs::File::create(folder.path().join("small.png")).unwrap();
    let mut encoder = png::Encoder::new(file, 8, 8);
    encoder.set_color(png::ColorType::Grayscale);
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&small::image(0).pixels)
        .unwrap();
    Files { folder, compiled }
});

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

fn keys(value: &Value, wanted: &[&str]) {
    for key in wanted {
        assert!(value.get(key).is_some(), "{key} is missing in {value:#}");
    }
}

#[test]
fn every_command_explains_itself() {
    let overview = moevit(["--help"]).text();
    for command in [
        "demo", "export", "compile", "run", "stream", "evaluate", "report", "info",
    ] {
        assert!(overview.contains(command), "{overview}");
        let help = moevit([command, "--help"]).text();
        assert!(
            help.contains(&format!("Usage: moevit {command}")) && help.contains("--json"),
            "{help}"
        );
        // Every option has a sentence of its own.
        let options = help
            .lines()
            .filter(|line| line.trim_start().starts_with("--"))
            .count();
        assert!(options >= 3, "{help}");
    }
    assert!(moevit(["--version"]).text().starts_with("moevit "));
}

#[test]
fn arguments_that_do_not_exist_end_with_code_2() {
    for arguments in [
        &["simulate"][..],
        &["run"],
        &["run", "--program", "p", "--image", "i", "--engine", "fpga"],
        &["evaluate"],
        &["export", "--config", "nano"],
        &["info", "--config", "nano", "--program", "p"],
    ] {
        let message = moevit(arguments).refusal(2);
        assert!(message.contains("--help"), "{message}");
    }
}

#[test]
fn export_writes_every_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/verilog").display().to_string();
    let report = moevit(["export", "--config", "nano", "--out", &out, "--json"]).json();
    keys(&report, &["config", "config_hash", "folder", "files", "bytes"]);
    let config = AccelConfig::named("nano").unwrap();
    let wanted = export_files(&config).unwrap();
    assert_eq!(report["files"].as_array().unwrap().len(), wanted.len());
    let mut bytes = 0;
    for (name, text) in &wanted {
        assert_eq!(
            &std::fs::read_to_string(Path::new(&out).join(name)).unwrap(),
            text,
            "{name}"
        );
        bytes += text.len();
    }
    assert!(bytes > 100_000 && report["bytes"] == bytes, "{bytes}");
    let again = moevit(["export", "--config", "nano", "--out", &out]).text();
    assert!(again.contains(&format!("{} files", wanted.len())), "{again}");
}

#[test]
fn the_demonstration_runs_without_an_argument() {
    let text = moevit::<&str>([]).text();
    let out = FILES.text("verilog");
    let other = moevit(["demo", "--engine", "reference", "--json", "--out", &out]).json();
    let frames = other["frames"].as_array().unwrap();
    assert_eq!(frames.len(), 2);
    for (task, frame) in frames.iter().enumerate() {
        let name = frame["task"].as_str().unwrap();
        assert!(
            text.contains(&format!("task {task} ({name}), circuit on nano")),
            "{text}"
        );
        let sha = frame["tokens_sha256"].as_str().unwrap();
        assert!(text.contains(sha), "the circuit's {name} differs: {text}");
    }
    for part in [
        "golden",
        "array",
        "a target",
        "only register TASK changed",
        "Verilog",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(Path::new(&out).join("moevit_top.v").is_file());
}

#[test]
fn compile_says_what_it_made() {
    let report = &FILES.compiled;
    keys(
        report,
        &[
            "config",
            "model",
            "program",
            "commands",
            "payload_bytes",
            "seconds",
        ],
    );
    assert_eq!(
        (&report["config"], &report["calibration_images"]),
        (&"nano".into(), &32.into())
    );
    let size = std::fs::metadata(FILES.path("demo.moevit")).unwrap().len();
    assert!(size > report["payload_bytes"].as_u64().unwrap());
}

#[test]
fn run_compares_with_golden_and_dumps_tokens() {
    let (program, image) = (
        FILES.text("demo.moevit"),
        demo("images/digit_00_is_2.png").display().to_string(),
    );
    let dump = FILES.text("dump/tokens.npy");
    let run = |task: &str, engine: &str, more: &[&str]| {
        let arguments = [
            "run",
            "--program",
            &program,
            "--image",
            &image,
            "--task",
            task,
            "--engine",
            engine,
            "--json",
        ];
        moevit(arguments.into_iter().chain(more.iter().copied())).json()
    };
    let report = run("digit", "reference", &["--dump-tokens", &dump]);
    keys(
        &report,
        &[
            "engine",
            "config",
            "task",
            "cycles",
            "clock_mhz_target",
            "macs",
            "mac_utilisation",
            "cycles_by_unit",
        ],
    );
    keys(&report, &["tokens_sha256", "prediction", "golden"]);
    assert_eq!(
        (&report["engine"], &report["config"]),
        (&"reference".into(), &"nano".into())
    );
    assert_eq!(report["task"], "digit");
    assert_eq!(report["tokens_sha256"].as_str().unwrap().len(), 64);
    assert!(report["macs"].as_u64().unwrap() > 1_000_000);
    for routes in ["same_routes", "free"] {
        keys(&report["golden"][routes], &["cosine", "max_abs_error"]);
        assert!(
            report["golden"][routes]["cosine"].as_f64().unwrap() > 0.99,
            "{report:#}"
        );
    }
    assert_dump(Path::new(&dump), 50, 64);

    // The number names the task too, the golden engine agrees with itself, and another task is another result.
    assert_eq!(
        run("0", "reference", &[])["tokens_sha256"],
        report["tokens_sha256"]
    );
    let golden = run("digit", "golden", &[]);
    assert_eq!(golden["golden"]["free"]["max_abs_error"], 0.0);
    let boundary = run("boundary", "reference", &[]);
    assert_ne!(boundary["tokens_sha256"], report["tokens_sha256"]);
}

/// A NumPy file of finite `float32` values that are not all the same.
fn assert_dump(path: &Path, tokens: usize, width: usize) {
    assert_dump_bytes(&std::fs::read(path).unwrap(), tokens, width);
}

fn assert_dump_bytes(bytes: &[u8], tokens: usize, width: usize) {
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let text = String::from_utf8_lossy(&bytes[10..header]);
    assert!(text.contains(&format!("'shape': ({tokens}, {width})")), "{text}");
    let data = bytes[header..].chunks_exact(4);
    let values: Vec<f32> = data
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    assert_eq!(values.len(), tokens * width);
    assert!(values.iter().all(|v| v.is_finite()) && values.iter().any(|v| *v != values[0]));
}

#[test]
fn the_circuit_counts_cycles_and_writes_a_waveform() {
    let (program, image, trace) = (
        FILES.text("small.moevit"),
        FILES.text("small.png"),
        FILES.text("small.vcd"),
    );
    let run = |engine: &str, more: &[&str]| {
        let arguments = [
            "run",
            "--program",
            &program,
            "--image",
            &image,
            "--engine",
            engine,
        ];
        moevit(arguments.into_iter().chain(more.iter().copied()))
    };
    let report = run("circuit", &["--trace", &trace, "--stalls", "4", "--json"]).json();
    let reference = run("reference", &["--json"]).json();
    assert_eq!(report["tokens_sha256"], reference["tokens_sha256"]);
    assert_eq!(report["equals_reference"], true);
    let cycles = report["cycles"].as_u64().unwrap();
    assert!((1_000..50_000).contains(&cycles), "{cycles}");
    assert!(report["simulated_cycles_per_second"].as_f64().unwrap() > 1.0);
    assert!(reference["simulated_cycles_per_second"].is_null());
    let utilisation = report["mac_utilisation"].as_f64().unwrap();
    assert!(utilisation > 0.0 && utilisation < 1.0);
    for unit in ["fetch", "array", "norm", "softmax", "router", "write"] {
        assert!(report["cycles_by_unit"][unit].as_u64().unwrap() > 0, "{report:#}");
    }
    let text = run("circuit", &[]).text();
    assert!(
        text.contains("frames/s at the target clock of 300 MHz (a target, not a measurement)"),
        "{text}"
    );
    assert!(text.contains(" cycles/s, "), "{text}");

    let vcd = std::fs::read_to_string(&trace).unwrap();
    assert!(vcd.contains("$enddefinitions") && vcd.matches("$var ").count() > 1_000);
    let last = vcd.lines().rev().find_map(|line| line.strip_prefix('#')).unwrap();
    assert!(
        last.parse::<u64>().unwrap() > cycles,
        "the waveform ends at {last}"
    );
}

#[test]
fn a_vision_transformer_of_patch_14_with_layer_scale_ends_in_features() {
    // ViT-S/14 with fewer blocks and a smaller image.
    let architecture = include_str!("../sim/architectures/vit_s14.toml")
        .replace("height = 224", "height = 42")
        .replace("width = 224", "width = 56")
        .replace("depth = 12", "depth = 2");
    let model = RandomModel::compile(&architecture, "nano");
    let report = model.same_bits("verilator", LIMIT);
    assert_dump_bytes(&model.tokens(), 13, 384);
    assert!(
        report["golden"]["free"]["cosine"].as_f64().unwrap() > 0.99,
        "{report:#}"
    );
    assert!(report["prediction"]["class"].is_null(), "{report:#}");
}

#[test]
fn four_experts_of_six_for_every_token() {
    let text = small::ARCHITECTURE
        .replace("experts = 4", "experts = 6")
        .replace("k = 2", "k = 4")
        .replace("\"per_task\"", "\"task_conditioned\"")
        .replace("\"softmax\"", "\"renormalised\"");
    let model = RandomModel::compile(&text, "nano");
    let report = model.same_bits("verilator", LIMIT);
    assert_dump_bytes(&model.tokens(), 5, 32);
    assert!(
        report["golden"]["same_routes"]["cosine"].as_f64().unwrap() > 0.99,
        "{report:#}"
    );
    assert_eq!(report["prediction"]["kind"], "class");
}

#[test]
fn frames_stream_through_the_queue() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..2 {
        std::fs::copy(
            FILES.path("small.png"),
            folder.path().join(format!("{number}.png")),
        )
        .unwrap();
    }
    let (program, images) = (FILES.text("small.moevit"), folder.path().display().to_string());
    let arguments = [
        "stream",
        "--program",
        &program,
        "--images",
        &images,
        "--frames",
        "5",
    ];
    let json = moevit([&arguments[..], &["--json"]].concat()).json();
    let frames = json["frames"].as_array().unwrap();
    assert_eq!(frames.len(), 5);
    assert!(frames.iter().all(
        |frame| frame["equals_reference"] == true && frame["tokens_sha256"] == frames[0]["tokens_sha256"]
    ));
    let later: u64 = frames[1..]
        .iter()
        .map(|frame| frame["cycles"].as_u64().unwrap())
        .sum();
    assert_eq!(json["steady_cycles"].as_f64().unwrap(), later as f64 / 4.0);
    assert!(
        json["first_frame_cycles"].as_f64() > json["steady_cycles"].as_f64(),
        "{json:#}"
    );
    assert!(moevit(arguments).text().contains("a target, not a measurement"));
    let refused = moevit([&arguments[..], &["--engine", "reference"]].concat()).refusal(1);
    assert!(
        refused.contains("circuit and verilator have a frame queue"),
        "{refused}"
    );
}

#[test]
fn shards_merge_to_the_whole() {
    let (program, images) = (FILES.text("demo.moevit"), demo("test").display().to_string());
    let evaluate_first = |limit: &str, more: &[&str]| {
        let arguments = [
            "evaluate",
            "--program",
            &program,
            "--images",
            &images,
            "--task",
            "boundary",
            "--limit",
            limit,
            "--json",
        ];
        moevit(arguments.into_iter().chain(more.iter().copied())).json()
    };
    let evaluate = |more: &[&str]| evaluate_first("14", more);
    let whole = evaluate(&[]);
    keys(
        &whole,
        &[
            "images",
            "engine_metric",
            "golden_metric",
            "points_lost",
            "equal_routes",
        ],
    );
    assert_eq!(
        (&whole["images"], &whole["engine"]),
        (&14.into(), &"reference".into())
    );
    assert_eq!(evaluate(&["--jobs", "1"]), whole);
    let mut files = vec![];
    for part in 0..3 {
        let shard = evaluate(&["--shard", &format!("{part}/3")]);
        files.push(FILES.text(&format!("shard{part}.json")));
        std::fs::write(&files[part], shard.to_string()).unwrap();
    }
    let merge = |files: &[String]| {
        let flags = ["evaluate", "--json", "--merge"].map(String::from);
        moevit(flags.iter().chain(files))
    };
    files.rotate_left(1);
    assert_eq!(merge(&files).json(), whole);
    let twice = merge(&[&files[..], &files[..1]].concat()).refusal(1);
    assert!(twice.contains("shard 1/3 is given twice"), "{twice}");
    let missing = merge(&files[..2]).refusal(1);
    assert!(missing.contains("shard 0/3 is missing"), "{missing}");
    let longer = evaluate_first("15", &["--shard", "0/3"]);
    std::fs::write(&files[2], longer.to_string()).unwrap();
    let mixed = merge(&files).refusal(1);
    assert!(
        mixed.contains("14 selected images and 15 selected images"),
        "{mixed}"
    );
    std::fs::write(&files[0], "{}").unwrap();
    let foreign = merge(&files).refusal(1);
    assert!(
        foreign.contains(&files[0]) && foreign.contains("not a result of evaluate"),
        "{foreign}"
    );
}

#[test]
fn info_describes_configurations_and_programs() {
    for name in ["nano", "zcu104"] {
        let report = moevit(["info", "--config", name, "--json"]).json();
        assert_eq!(report["configuration"]["name"], name);
        assert!(report["configuration"]["memory_bytes"].as_u64().unwrap() > 10_000);
        assert!(moevit(["info", "--config", name])
            .text()
            .contains(&format!("configuration {name}")));
    }
    let program = FILES.text("demo.moevit");
    let report = moevit(["info", "--program", &program, "--json"]).json();
    let listing = &report["program"];
    assert_eq!(
        (&listing["model"], &listing["tokens"]),
        (&"demo".into(), &50.into())
    );
    assert_eq!(listing["commands"], FILES.compiled["commands"]);
    let layers = listing["layers"].as_array().unwrap();
    let commands: u64 = layers
        .iter()
        .map(|layer| layer["commands"].as_u64().unwrap())
        .sum();
    assert_eq!(commands, FILES.compiled["commands"].as_u64().unwrap());
    assert!(moevit(["info", "--program", &program])
        .text()
        .contains("boundary"));
}

/// Reports without simulation: the demonstration, and an architecture of random weights.
#[test]
fn reports_are_written_as_text_and_pictures() {
    let architecture = demo("architecture.toml").display().to_string();
    for (name, arguments) in [("embedded", vec![]), ("random", vec!["--arch", &architecture])] {
        let out = FILES.text(name);
        let options = [
            "report",
            "--model-only",
            "--without-area",
            "--json",
            "--out",
            &out,
        ];
        let report = moevit(options.into_iter().chain(arguments)).json();
        keys(
            &report,
            &["weights", "modelled", "model_error", "occupancy", "files"],
        );
        let cycles = report["modelled"]["cycles"].as_u64().unwrap();
        assert!((30_000..100_000).contains(&cycles), "{cycles}");
        for list in ["kinds", "layers"] {
            let rows = report["modelled"][list].as_array().unwrap();
            let sum: u64 = rows.iter().map(|row| row["cycles"].as_u64().unwrap()).sum();
            assert_eq!(sum, cycles, "{list}");
        }
        let file = |name: &str| std::fs::read_to_string(Path::new(&out).join(name)).unwrap();
        let (markdown, json) = (file("report.md"), file("report.json"));
        assert!(markdown.contains("timeline.svg") && markdown.contains("| expert fc1 |"));
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), report);
        for (picture, word) in [("timeline.svg", "softmax"), ("roofline.svg", "projection")] {
            let svg = file(picture);
            assert!(svg.starts_with("<svg") && svg.contains(word), "{picture}");
        }
    }
}
