//! A whole frame of the demonstration: circuit against reference, bit for bit.

use moevit_hw::config::AccelConfig;
use moevit_sim::compiler::{compile, Options};
use moevit_sim::engine::circuit::CircuitDevice;
use moevit_sim::engine::session::{Frame, Session};
use moevit_sim::memory::MemoryConfig;
use moevit_sim::model::{image::list_png, Architecture, Image, Model};
use moevit_sim::program::Program;
use moevit_sim::reference::Machine;
use std::path::Path;

fn demo() -> (Program, Vec<Vec<u8>>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
    let architecture = Architecture::load(folder.join("architecture.toml")).unwrap();
    let model = Model::load(folder.join("model.safetensors"), &architecture).unwrap();
    let load = |name: &str| -> Vec<Image> {
        list_png(folder.join(name))
            .unwrap()
            .iter()
            .map(|path| Image::load(path, 1).unwrap())
            .collect()
    };
    let config = AccelConfig::named("nano").unwrap();
    let program = compile(
        &config,
        &architecture,
        &model,
        &load("calibration"),
        &Options::default(),
    )
    .unwrap();
    let images = load("images")
        .iter()
        .map(|image| program.meta.image.pack(image).unwrap())
        .collect();
    (program, images)
}

#[test]
fn the_circuit_gives_the_references_bits() {
    let (program, images) = demo();
    let mut machine = Machine::new(&program.config).with_hazard_checks();
    let mut session = Session::new(CircuitDevice::new(&program.config), MemoryConfig::default(), 1).unwrap();
    session.load(&program.payload).unwrap();
    let mut compared = 0;
    for task in 0..2 {
        let want = machine.run_program(&program, &images[0], task).unwrap();
        let frame = Frame {
            command_count: program.meta.command_count,
            image: &images[0],
            task: task as u32,
            result_bytes: program.meta.result_bytes as usize,
            limit_cycles: 2_000_000,
        };
        let started = std::time::Instant::now();
        let got = session.frame(&frame, &mut |_| {}).unwrap();
        println!("task {task}: {} cycles in {:?}", got.cycles, started.elapsed());
        for name in [
            "CYCLES",
            "STREAMING",
            "STALL_STREAM",
            "STALL_BANK",
            "STALL_SYNC",
            "STALL_FULL",
        ] {
            println!("  {name} {:?}", session.read(name).ok());
        }
        println!("  macs {:?}", want.total());
        let different = want
            .result
            .iter()
            .zip(&got.result)
            .filter(|(a, b)| a != b)
            .count();
        assert_eq!(want.result.len(), got.result.len());
        assert_eq!(different, 0, "of {} bytes", want.result.len());
        compared += want.result.len();
    }
    assert!(compared > 10_000, "{compared}");
}
