//! How fast the simulations are: frames of the demonstration on every engine, the compiler and the export. `scripts/bench.sh` runs it.
//!
//! These are speeds of this computer. What the accelerator takes is counted in cycles, and `tests/cycles.rs` holds them.

#[path = "../tests/common/mod.rs"]
mod common;

use common::devices::{frame, session, World};
use criterion::{Criterion, SamplingMode, Throughput};
use moevit_hw::config::AccelConfig;
use moevit_hw::verilog::export_files;
use moevit_sim::memory::MemoryConfig;
use moevit_sim::reference::Machine;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Frames take up to seconds, and ten of them already agree within a few percent.
const SAMPLES: usize = 10;
const MEASURED: Duration = Duration::from_secs(3);
const WARM_UP: Duration = Duration::from_millis(500);

/// A frame in circuits or in Verilog; gives the cycles a second of one frame, for ratios.
fn device(criterion: &mut Criterion, world: World, name: &str) -> f64 {
    let compiled = common::demo();
    let program = &compiled.program;
    let image = compiled.pack(&common::demo_images()[0]).unwrap();
    let mut session = session(world, &program.config, MemoryConfig::default());
    session.load(&program.payload).unwrap();
    let (before, started) = (session.cycles(), Instant::now());
    frame(&mut session, program, &image, 0).unwrap();
    let (cycles, seconds) = (session.cycles() - before, started.elapsed().as_secs_f64());

    let mut group = criterion.benchmark_group("frame");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(cycles));
    group.bench_function(name, |bencher| {
        bencher.iter(|| frame(&mut session, program, &image, 0).unwrap());
    });
    cycles as f64 / seconds
}

/// The same frame without cycles: integers and floating point.
fn models(criterion: &mut Criterion) {
    let compiled = common::demo();
    let image = &common::demo_images()[0];
    let packed = compiled.pack(image).unwrap();
    let mut machine = Machine::new(&compiled.program.config);
    let golden = compiled.require_golden().unwrap();

    let mut group = criterion.benchmark_group("frame");
    group.bench_function("reference", |bencher| {
        bencher.iter(|| machine.run_program(&compiled.program, &packed, 0).unwrap());
    });
    group.bench_function("golden", |bencher| {
        bencher.iter(|| golden.run(image, 0, None).unwrap());
    });
}

/// What a user waits for before the first frame.
fn preparation(criterion: &mut Criterion) {
    let [architecture, weights, calibration] =
        ["architecture.toml", "model.safetensors", "calibration"].map(|name| common::root("demo").join(name));
    let config = AccelConfig::named("nano").unwrap();
    let mut group = criterion.benchmark_group("nano");
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function("compile the demonstration", |bencher| {
        bencher.iter(|| common::compile_files(&architecture, &weights, &calibration, "nano"));
    });
    group.bench_function("export", |bencher| {
        bencher.iter(|| export_files(black_box(&config)).unwrap());
    });
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(SAMPLES)
        .measurement_time(MEASURED)
        .warm_up_time(WARM_UP)
        .configure_from_args();
    let circuit = device(&mut criterion, World::Circuit, "circuit");
    let verilator = device(&mut criterion, World::Verilator, "verilator");
    models(&mut criterion);
    preparation(&mut criterion);
    println!(
        "one frame each: circuit {circuit:.0} cycles/s, verilator {verilator:.0}, {:.1} times as fast",
        verilator / circuit
    );
    criterion.final_summary();
}
