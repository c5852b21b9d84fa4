//! Bad input through the command line: every case ends with code 1 and one sentence that names the thing.

#[path = "support/moevit.rs"]
mod moevit;
#[path = "support/small.rs"]
mod small;

use moevit::{compile_arguments, demo, moevit};
use safetensors::tensor::TensorView;
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

/// Compiles with one part of the demonstration replaced; returns the message.
#[derive(Default)]
struct Compile {
    weights: Option<PathBuf>,
    architecture: Option<PathBuf>,
    calibration: Option<PathBuf>,
    config: Option<String>,
}

impl Compile {
    fn refusal(self) -> String {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("never.moevit");
        let weights = self.weights.unwrap_or_else(|| demo("model.safetensors"));
        let architecture = self.architecture.unwrap_or_else(|| demo("architecture.toml"));
        let calibration = self.calibration.unwrap_or_else(|| demo("calibration"));
        let config = self.config.as_deref().unwrap_or("nano");
        let arguments = compile_arguments(&weights, &architecture, &calibration, config, &out);
        let message = moevit(arguments).refusal(1);
        assert!(!out.exists(), "a program was written: {message}");
        message
    }
}

/// Writes bytes to a file of a new folder.
fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn refused_weights(bytes: &[u8], wanted: &[&str]) {
    let (_folder, path) = file("broken.safetensors", bytes);
    let message = Compile {
        weights: Some(path),
        ..Compile::default()
    }
    .refusal();
    for part in wanted.iter().chain(&["broken.safetensors"]) {
        assert!(message.contains(part), "{part}: {message}");
    }
}

fn checkpoint() -> Vec<u8> {
    std::fs::read(demo("model.safetensors")).unwrap()
}

/// The demonstration's checkpoint with one tensor changed, or left out for `None`.
fn with_tensor(name: &str, change: impl Fn(&TensorView) -> Option<(Vec<usize>, Vec<u8>)>) -> Vec<u8> {
    let bytes = checkpoint();
    let whole = SafeTensors::deserialize(&bytes).unwrap();
    let mut parts = vec![];
    for (tensor, view) in whole.tensors() {
        let changed = match tensor == name {
            true => change(&view),
            false => Some((view.shape().to_vec(), view.data().to_vec())),
        };
        parts.extend(changed.map(|(shape, data)| (tensor, view.dtype(), shape, data)));
    }
    let views = parts
        .iter()
        .map(|(tensor, dtype, shape, data)| (tensor, TensorView::new(*dtype, shape.clone(), data).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn damaged_checkpoints() {
    let whole = checkpoint();
    for length in [0, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        refused_weights(&whole[..length], &["not a whole safetensors file"]);
    }
    let mut garbled = whole.clone();
    garbled[9..40].fill(b'?');
    refused_weights(&garbled, &["not a whole safetensors file"]);
    refused_weights(b"PK\x03\x04 a zip archive", &["not a whole safetensors file"]);
    let missing = Compile {
        weights: Some("no/such.safetensors".into()),
        ..Compile::default()
    }
    .refusal();
    assert!(missing.contains("no/such.safetensors"), "{missing}");
}

#[test]
fn tensors_that_do_not_fit() {
    let experts = "blocks.1.mlp.experts.htoh4.weight";
    refused_weights(
        &with_tensor(experts, |_| None),
        &["has no tensor", experts, "[8, 64, 64]"],
    );
    let flat = |view: &TensorView| Some((vec![view.shape().iter().product()], view.data().to_vec()));
    refused_weights(
        &with_tensor(experts, flat),
        &[experts, "shape [8, 64, 64], but has [32768]"],
    );
    let gate = "blocks.3.mlp.gate.1.w_gate";
    for bits in [0xffu8, 0x7f] {
        // 0x7fff and 0xffff end a NaN in every float format.
        let broken = |view: &TensorView| {
            let mut data = view.data().to_vec();
            data[40..44].copy_from_slice(&[0xff, bits, 0xff, bits]);
            Some((view.shape().to_vec(), data))
        };
        refused_weights(&with_tensor(gate, broken), &[gate, "NaN at index", "finite"]);
    }
}

#[test]
fn architectures_that_are_not_understood() {
    let text = std::fs::read_to_string(demo("architecture.toml")).unwrap();
    let cases = [
        (text.replace("heads = 4", "heads = 0"), "heads"),
        (text.replace("heads = 4", "heads = 5"), "heads"),
        (text.replace("patch = 4", "patch = 5"), "patch"),
        (text.replace("k = 2", "k = 9"), "k"),
        (text.replace("depth = 4", "depht = 4"), "depht"),
        (text.replace("\"m3vit\"", "\"resnet\""), "resnet"),
        (text[..text.len() / 2].to_owned() + "=", "broken.toml"),
    ];
    for (text, wanted) in cases {
        let (_folder, path) = file("broken.toml", text.as_bytes());
        let message = Compile {
            architecture: Some(path),
            ..Compile::default()
        }
        .refusal();
        assert!(
            message.contains(wanted) && message.contains("architecture"),
            "{wanted}: {message}"
        );
    }
}

#[test]
fn configurations_that_do_not_exist_or_cannot_be_built() {
    let unknown = Compile {
        config: Some("huge".into()),
        ..Compile::default()
    }
    .refusal();
    assert!(
        unknown.contains("unknown configuration 'huge'; the named ones are nano, zcu104"),
        "{unknown}"
    );
    let nano = include_str!("../hw/configs/nano.toml");
    let cases = [
        (nano.replace("rows = 16", "rows = 12"), "rows"),
        (nano.replace("read_ports = 1", "read_ports = 9"), "read_ports"),
        (nano.replace("rows = 16", "rowz = 16"), "rowz"),
        (nano.replace("columns = 8\n", ""), "columns"),
    ];
    for (text, wanted) in cases {
        assert_ne!(text, nano);
        let (_folder, path) = file("own.toml", text.as_bytes());
        for message in [
            Compile {
                config: Some(path.display().to_string()),
                ..Compile::default()
            }
            .refusal(),
            moevit(["info", "--config", &path.display().to_string()]).refusal(1),
        ] {
            assert!(
                message.contains(wanted) && message.contains("own.toml"),
                "{wanted}: {message}"
            );
        }
    }
    let small = nano.replace("residual_words = 1024", "residual_words = 64");
    let (_folder, path) = file("small.toml", small.as_bytes());
    let message = Compile {
        config: Some(path.display().to_string()),
        ..Compile::default()
    }
    .refusal();
    for part in ["residual", "64"] {
        assert!(
            message.contains(part),
            "needed and available must be named: {message}"
        );
    }
}

/// With a typing error, random weights alone would take gigabytes: the size is refused before there are any.
#[test]
fn sizes_that_no_configuration_holds() {
    let text = std::fs::read_to_string(demo("architecture.toml")).unwrap();
    for (right, wrong, wanted) in [
        ("dim = 64", "dim = 64000", "encoder.dim is 64000"),
        ("depth = 4", "depth = 40000", "encoder.depth is 40000"),
    ] {
        let broken = text.replace(right, wrong);
        assert_ne!(broken, text);
        let (folder, architecture) = file("large.toml", broken.as_bytes());
        let out = folder.path().join("report").display().to_string();
        let architecture = architecture.display().to_string();
        let started = std::time::Instant::now();
        let message = moevit(["report", "--arch", &architecture, "--model-only", "--out", &out]).refusal(1);
        assert!(
            message.contains(wanted) && message.contains("configuration 'nano'"),
            "{message}"
        );
        assert!(
            started.elapsed().as_secs() < 5,
            "{wrong}: {:?}",
            started.elapsed()
        );
    }
}

/// A grey picture.
fn png(width: u32, height: u32) -> Vec<u8> {
    let mut out = vec![];
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    let pixels: Vec<u8> = (0..width * height).map(|i| (i * 29) as u8).collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    out
}

#[test]
fn images_that_do_not_fit() {
    let (_program_folder, program) = file("small.moevit", &small::program(1).to_bytes().unwrap());
    let whole = png(8, 8);
    let cases = [
        (png(8, 9), "has 9 x 8 pixels"),
        (png(16, 8), "has 8 x 16 pixels"),
        (vec![], "not a PNG image"),
        (b"GIF89a and so on".to_vec(), "not a PNG image"),
        (whole[..whole.len() - 20].to_vec(), "not a PNG image"),
    ];
    for (bytes, wanted) in cases {
        let (_folder, image) = file("picture.png", &bytes);
        for engine in ["reference", "circuit", "golden"] {
            let arguments = ["run", "--engine", engine, "--program"].map(std::ffi::OsStr::new);
            let files = [program.as_os_str(), "--image".as_ref(), image.as_os_str()];
            let message = moevit(arguments.into_iter().chain(files)).refusal(1);
            assert!(
                message.contains("picture.png") && message.contains(wanted),
                "{wanted}: {message}"
            );
        }
        let calibration = Compile {
            calibration: Some(image.parent().unwrap().into()),
            ..Compile::default()
        };
        let message = calibration.refusal();
        assert!(message.contains("picture.png"), "{message}");
    }
    let empty = tempfile::tempdir().unwrap();
    let message = Compile {
        calibration: Some(empty.path().into()),
        ..Compile::default()
    }
    .refusal();
    assert!(message.contains("holds no PNG image"), "{message}");
}

#[test]
fn requests_that_the_program_cannot_serve() {
    let (_folder, program) = file("small.moevit", &small::program(1).to_bytes().unwrap());
    let (_image_folder, image) = file("picture.png", &png(8, 8));
    let (program, image) = (program.display().to_string(), image.display().to_string());
    let cases: [(&[&str], &str); 4] = [
        (
            &["--task", "depth"],
            "unknown task 'depth'; the program's tasks are: 0 class",
        ),
        (&["--task", "1"], "unknown task '1'"),
        (
            &["--engine", "reference", "--trace", "t.vcd"],
            "engine reference has no signals",
        ),
        (&["--engine", "golden"], "holds no floating-point model"),
    ];
    for (more, wanted) in cases {
        let arguments = ["run", "--program", &program, "--image", &image];
        let message = moevit(arguments.iter().chain(more)).refusal(1);
        assert!(message.contains(wanted), "{wanted}: {message}");
    }
}

/// A test set of the small program: pictures and their classes.
fn test_set(images: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("images")).unwrap();
    for index in 0..images {
        let name = format!("images/{index}.png");
        std::fs::write(folder.path().join(name), png(8, 8)).unwrap();
    }
    std::fs::write(folder.path().join("classes.txt"), "1\n".repeat(images)).unwrap();
    folder
}

#[test]
fn selections_without_an_image() {
    let (_folder, program) = file("small.moevit", &small::program(1).to_bytes().unwrap());
    let set = test_set(2);
    let (program, images) = (program.display().to_string(), set.path().display().to_string());
    let evaluate = |more: &[&str]| {
        let arguments = ["evaluate", "--program", &program, "--images", &images];
        moevit(arguments.iter().chain(more))
    };
    // The set itself is fine, so that nothing but the selection is refused below.
    evaluate(&["--shard", "1/2"]).text();
    for more in [&["--limit", "0"][..], &["--shard", "2/3"]] {
        let message = evaluate(more).refusal(1);
        assert!(message.contains("no image is selected out of 2"), "{message}");
    }
    for shard in ["3/2", "2/2", "0/0", "x", "1/", "-1/2"] {
        let message = evaluate(&[&format!("--shard={shard}")]).refusal(2);
        for wanted in [&format!("'{shard}'"), "--shard <I/N>", "0 <= I < N"] {
            assert!(message.contains(wanted), "{wanted}: {message}");
        }
    }
}

#[test]
fn numbers_out_of_range() {
    let common = ["--program", "p", "--image", "i"];
    for (option, value, range) in [
        ("--bandwidth", "0", "4..=65536"),
        ("--bandwidth", "3", "4..=65536"),
        ("--bandwidth", "4294967295", "4..=65536"),
        ("--latency", "10001", "0..=10000"),
    ] {
        for command in ["run", "report"] {
            let arguments = [command, option, value];
            let message = moevit(arguments.iter().chain(&common)).refusal(2);
            for wanted in [option, &format!("{value} is not in {range}")] {
                assert!(message.contains(wanted), "{wanted}: {message}");
            }
        }
    }
    let stream = ["stream", "--program", "p", "--images", "i"];
    for frames in ["0", "10001"] {
        let message = moevit(stream.iter().chain(&["--frames", frames])).refusal(2);
        assert!(message.contains("not in 1..=10000"), "{message}");
    }
}

#[test]
fn a_memory_of_the_least_bandwidth_is_modelled_and_simulated() {
    let (_folder, program) = file("small.moevit", &small::program(1).to_bytes().unwrap());
    let out = tempfile::tempdir().unwrap();
    let (program, out) = (program.display().to_string(), out.path().display().to_string());
    let report = moevit([
        "report",
        "--program",
        &program,
        "--bandwidth",
        "4",
        "--without-area",
        "--out",
        &out,
        "--json",
    ])
    .json();
    for source in ["modelled", "simulated"] {
        let number = |name: &str| report[source][name].as_u64().unwrap();
        let (cycles, least) = (number("cycles"), number("bytes_read") / 4);
        assert!(cycles >= least && least > 1_000, "{source}: {cycles}, {least}");
    }
}

#[test]
fn waveforms_that_cannot_be_written() {
    let (folder, program) = file("small.moevit", &small::program(1).to_bytes().unwrap());
    let image = folder.path().join("picture.png");
    std::fs::write(&image, png(8, 8)).unwrap();
    let (program, image) = (program.display().to_string(), image.display().to_string());
    let a_folder = folder.path().display().to_string();
    let missing = folder.path().join("no/such.vcd").display().to_string();
    let refused = |engine: &str, place: &str, wanted: &str| {
        let arguments = ["run", "--program", &program, "--image", &image];
        let message = moevit(arguments.iter().chain(&["--engine", engine, "--trace", place])).refusal(1);
        assert!(
            message.contains(&format!("{wanted} {place}: ")),
            "{engine}, {place}: {message}"
        );
    };
    for engine in ["circuit", "verilator"] {
        refused(engine, &a_folder, "cannot create the waveform");
        refused(engine, &missing, "cannot create the waveform");
    }
    // It opens, and then has no room.
    refused("circuit", "/dev/full", "cannot write the waveform");
}

#[test]
fn images_without_what_they_should_give() {
    let (_program_folder, program) = file("small.moevit", &small::program(1).to_bytes().unwrap());
    let set = tempfile::tempdir().unwrap();
    let images = set.path().join("images");
    std::fs::create_dir(&images).unwrap();
    std::fs::write(images.join("picture.png"), png(8, 8)).unwrap();
    let (program, images) = (program.display().to_string(), images.display().to_string());
    let message = moevit(["evaluate", "--program", &program, "--images", &images]).refusal(1);
    for wanted in [
        format!("--images {images}: "),
        "looked for beside it".into(),
        "no classes.txt".into(),
    ] {
        assert!(message.contains(&wanted), "{wanted}: {message}");
    }
}

/// Runs a program file; returns the message.
fn refused_program(bytes: &[u8]) -> String {
    let (folder, program) = file("broken.moevit", bytes);
    let image = folder.path().join("picture.png");
    std::fs::write(&image, png(8, 8)).unwrap();
    let (program, image) = (program.display().to_string(), image.display().to_string());
    let message = moevit([
        "run",
        "--engine",
        "reference",
        "--program",
        &program,
        "--image",
        &image,
    ])
    .refusal(1);
    assert!(message.contains("broken.moevit"), "{message}");
    message
}

#[test]
fn foreign_and_damaged_program_files() {
    let whole = small::program(1).to_bytes().unwrap();
    for foreign in [&b""[..], b"MOEVIT", &png(8, 8), &checkpoint()] {
        let message = refused_program(foreign);
        assert!(
            message.contains("cut off") || message.contains("not a moevit program"),
            "{message}"
        );
    }
    for length in [63, 64, 100, whole.len() / 2, whole.len() - 1] {
        refused_program(&whole[..length]);
    }
    // Every byte of the header and of the section table, and some of the sections.
    let header = 64 + 24 * usize::from(whole[48]) + 4;
    let mut refused = 0;
    for at in (0..header).chain((header..whole.len()).step_by(whole.len() / 16)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        refused_program(&bytes);
        refused += 1;
    }
    assert!(refused > 120, "{refused}");
    let missing = moevit(["info", "--program", "no/such.moevit"]).refusal(1);
    assert!(missing.contains("no/such.moevit"), "{missing}");
}

/// Changes the payload and seals the file again, as a wrong compiler would.
fn with_payload(whole: &[u8], change: impl Fn(&mut [u8])) -> Vec<u8> {
    const PAYLOAD: u32 = 1;
    let mut bytes = whole.to_vec();
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let table = 64..64 + 24 * usize::from(bytes[48]);
    let entry = table
        .clone()
        .step_by(24)
        .find(|&at| word(&bytes, at) == PAYLOAD)
        .unwrap();
    let (offset, length) = (
        word(&bytes, entry + 8) as usize,
        word(&bytes, entry + 16) as usize,
    );
    change(&mut bytes[offset..offset + length]);
    let crc = crc32fast::hash(&bytes[offset..offset + length]);
    bytes[entry + 4..entry + 8].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..table.end]);
    bytes[table.end..table.end + 4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn illegal_commands() {
    let whole = small::program(1).to_bytes().unwrap();
    assert_eq!(with_payload(&whole, |_| ()), whole);
    let unknown = small::unknown_opcode();
    for index in [0, 3, 7] {
        let opcode = with_payload(&whole, |payload| payload[32 * index] = unknown);
        let message = refused_program(&opcode);
        assert!(
            message.contains(&format!("command {index}: opcode {unknown} does not exist")),
            "{message}"
        );
    }
    // No command has a use for all bits.
    let mut commands = 0;
    for index in 0..small::program(1).meta.command_count as usize {
        let noise = with_payload(&whole, |payload| {
            payload[32 * index + 8..32 * index + 32].fill(0xff)
        });
        let message = refused_program(&noise);
        assert!(message.contains(&format!("command {index}")), "{message}");
        commands += 1;
    }
    assert!(commands > 20, "{commands}");
}

#[test]
fn places_that_cannot_be_written() {
    let (_folder, plain) = file("plain", b"a file, not a folder");
    let out = plain.join("verilog").display().to_string();
    let message = moevit(["export", "--config", "nano", "--out", &out]).refusal(1);
    assert!(message.contains("plain"), "{message}");
    let unknown = moevit(["export", "--config", "huge", "--out", &out]).refusal(1);
    assert!(unknown.contains("unknown configuration 'huge'"), "{unknown}");
    assert!(Path::new(&plain).is_file());
}
