//! What takes minutes: whole frames of real sizes on `zcu104`, in its Verilog and in the circuits. `scripts/long.sh` runs them.
//!
//! The first of them builds the Verilog of `zcu104` with Verilator, once for each change of a circuit.

mod common;
#[path = "support/moevit.rs"]
mod moevit;
#[path = "support/random.rs"]
mod random;

use common::devices::frame;
use common::{optional_model, root};
use moevit::{compile_arguments, moevit, moevit_within};
use moevit_hw::array::mac_pair::{DSP48E2_MODEL, PRIMITIVE_MACRO};
use moevit_hw::config::AccelConfig;
use moevit_hw::cosim::Options;
use moevit_hw::verilog::shelled;
use moevit_sim::engine::session::Session;
use moevit_sim::engine::verilator::{options, VerilatorDevice};
use moevit_sim::memory::MemoryConfig;
use moevit_sim::reference::Machine;
use random::RandomModel;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// No command of these tests may take longer.
const LONG: Duration = Duration::from_secs(3_600);
/// Cycles that no frame of M3ViT-T may exceed.
const MOST_CYCLES: u64 = 480_000;

/// Multiply-accumulates of a frame of M3ViT-T.
const M3VIT_T_MACS: u64 = 787_438_080;

/// Builds the Verilog of `zcu104` into the cache, so that tests which start together do not build it each.
fn build_zcu104() {
    static BUILT: LazyLock<()> = LazyLock::new(|| {
        let started = Instant::now();
        VerilatorDevice::new(&AccelConfig::named("zcu104").unwrap()).unwrap();
        println!("zcu104 in Verilator: ready after {:.1?}", started.elapsed());
    });
    LazyLock::force(&BUILT);
}

/// Runs an architecture with random weights in the Verilog of `zcu104`; the bits must be the reference's.
fn same_bits_on_zcu104(architecture: &str) -> Value {
    build_zcu104();
    let started = Instant::now();
    let report = RandomModel::compile(architecture, "zcu104").same_bits("verilator", LONG);
    println!("{:.1?} with the compiler and both engines", started.elapsed());
    assert!(
        report["golden"]["same_routes"]["cosine"].as_f64().unwrap() > 0.99,
        "{report:#}"
    );
    report
}

#[test]
#[ignore = "minutes: 257 tokens of width 384, 12 blocks, LayerScale"]
fn vit_s14_of_the_whole_image() {
    same_bits_on_zcu104(include_str!("../sim/architectures/vit_s14.toml"));
}

#[test]
#[ignore = "minutes: 197 tokens, 12 blocks"]
fn deit_tiny_of_the_whole_image() {
    let report = same_bits_on_zcu104(include_str!("../sim/architectures/deit_tiny.toml"));
    assert_eq!(report["prediction"]["kind"], "class");
}

#[test]
#[ignore = "minutes: M3ViT-T's 12 blocks with k = 4"]
fn m3vit_t_with_four_experts_a_token() {
    let two = include_str!("../sim/architectures/m3vit_t.toml");
    let four = two.replace("\nk = 2\n", "\nk = 4\n");
    let report = same_bits_on_zcu104(&four);
    // Two more experts for each of 129 tokens in six blocks; an expert has two matrices of 192 x 384.
    let more = 6 * 129 * 2 * (2 * 192 * 384);
    assert_eq!(report["macs"], M3VIT_T_MACS + more, "{report:#}");
}

/// The trained M3ViT-T, compiled for `zcu104`, and its test images; nothing where nobody has it.
fn trained() -> Option<(TempDir, PathBuf, PathBuf)> {
    let model = optional_model("m3vit_t_camvid")?;
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("m3vit_t.moevit");
    let [weights, calibration, images] =
        ["model.safetensors", "calibration", "images"].map(|name| model.join(name));
    let architecture = root("sim/architectures/m3vit_t.toml");
    let arguments = compile_arguments(&weights, &architecture, &calibration, "zcu104", &program);
    moevit(arguments).text();
    Some((folder, program, images))
}

fn stream(program: &Path, images: &Path, tasks: &str, engine: &str, frames: &str) -> Value {
    let (program, images) = (program.display().to_string(), images.display().to_string());
    let arguments = [
        "stream",
        "--program",
        &program,
        "--images",
        &images,
        "--tasks",
        tasks,
        "--frames",
        frames,
        "--engine",
        engine,
        "--json",
    ];
    let started = Instant::now();
    let report = moevit_within(LONG, arguments).json();
    let cycles = |frame: &Value| {
        assert_eq!(frame["equals_reference"], true);
        frame["cycles"].as_u64().unwrap()
    };
    let cycles: Vec<u64> = report["frames"].as_array().unwrap().iter().map(cycles).collect();
    println!(
        "{engine}: {cycles:?} cycles, then {} on average, in {:.1?} with the reference",
        report["steady_cycles"],
        started.elapsed()
    );
    report
}

#[test]
#[ignore = "minutes: eight frames of M3ViT-T in Verilator"]
fn a_trained_m3vit_t_streams_with_alternating_tasks() {
    let Some((_folder, program, images)) = trained() else {
        return;
    };
    build_zcu104();
    let report = stream(&program, &images, "0,1", "verilator", "8");
    let frames = report["frames"].as_array().unwrap();
    assert_eq!(frames.len(), 8);
    for (number, frame) in frames.iter().enumerate() {
        assert_eq!(frame["task"], ["segmentation", "boundary"][number % 2]);
        assert!(
            frame["cycles"].as_u64().unwrap() <= MOST_CYCLES,
            "frame {number}: {frame:#}"
        );
    }
    assert!(
        report["steady_cycles"].as_f64() < report["first_frame_cycles"].as_f64(),
        "{report:#}"
    );
}

#[test]
#[ignore = "minutes: a frame of M3ViT-T in the circuits"]
fn a_trained_m3vit_t_in_the_circuits() {
    let Some((_folder, program, images)) = trained() else {
        return;
    };
    build_zcu104();
    let of = |engine: &str| {
        let report = stream(&program, &images, "0", engine, "1");
        report["frames"][0].clone()
    };
    // The reports hold cycles, bytes read, token hash and prediction.
    assert_eq!(of("circuit"), of("verilator"));
}

#[test]
#[ignore = "a minute: a build of its own in Verilator"]
fn dsp_instances_give_the_references_bits_on_the_demonstration() {
    let compiled = common::demo();
    let program = &compiled.program;
    let mut design = shelled(&program.config).unwrap();
    design.externals.insert("DSP48E2".into(), DSP48E2_MODEL.into());
    let options = Options {
        flags: vec![format!("-D{PRIMITIVE_MACRO}")],
        ..options()
    };
    let ports = program.config.read_ports;
    let device = VerilatorDevice::of_design(&design, ports, &options).unwrap();
    let mut session = Session::new(device, MemoryConfig::default(), ports).unwrap();
    session.load(&program.payload).unwrap();
    let mut machine = Machine::new(&program.config);
    for image in common::demo_images() {
        let packed = compiled.pack(&image).unwrap();
        for task in 0..2 {
            let want = machine.run_program(program, &packed, task).unwrap().result;
            assert_eq!(frame(&mut session, program, &packed, task).unwrap(), want);
        }
    }
}
