//! The whole accelerator in Rust beside its exported Verilog: every pin of every cycle, in frames that end well and in frames that do not.

mod common;
#[path = "support/small.rs"]
mod small;

use anyhow::{ensure, Result};
use common::devices::verilator;
use moevit_hw::config::BURST_BYTES;
use moevit_hw::control::command::COMMAND_BYTES;
use moevit_sim::engine::circuit::CircuitDevice;
use moevit_sim::engine::device::{Device, DeviceInputs, DeviceOutputs};
use moevit_sim::engine::session::{Frame, Session, PROGRAM_BASE, RESULT_BASE};
use moevit_sim::engine::verilator::VerilatorDevice;
use moevit_sim::memory::{Faults, MemoryConfig};
use moevit_sim::program::Program;
use moevit_sim::reference::Machine;
use std::cell::Cell;
use std::rc::Rc;

/// Cycles that must be compared in all runs together.
const LEAST_CYCLES: u64 = 100_000;
const FRAME_LIMIT_CYCLES: u64 = 60_000;

/// Circuit and Verilog with the same inputs; an error when they differ.
struct Both {
    circuit: CircuitDevice,
    verilog: VerilatorDevice,
    other: DeviceOutputs,
    compared: Rc<Cell<u64>>,
}

impl Device for Both {
    fn cycle(&mut self, inputs: &DeviceInputs, outputs: &mut DeviceOutputs) -> Result<()> {
        self.circuit.cycle(inputs, outputs)?;
        self.other.board.clone_from(&outputs.board);
        self.verilog.cycle(inputs, &mut self.other)?;
        let cycle = self.compared.get();
        ensure!(
            outputs.interrupt == self.other.interrupt
                && outputs.lite == self.other.lite
                && outputs.board == self.other.board,
            "cycle {cycle}: the circuit drives {outputs:?}, its Verilog {:?}",
            self.other
        );
        self.compared.set(cycle + 1);
        Ok(())
    }
}

/// Runs frames through the frame queue; the results must be the reference's.
fn stream(session: &mut Session<Both>, program: &Program, images: std::ops::Range<usize>) {
    let image = |number| program.meta.image.pack(&small::image(number)).unwrap();
    let images: Vec<Vec<u8>> = images.map(image).collect();
    let frames: Vec<Frame> = images.iter().map(|image| whole_frame(program, image)).collect();
    let got = session.stream(&frames, &mut |_| {}).unwrap();
    assert_eq!(got.len(), images.len());
    for (image, got) in images.iter().zip(got) {
        let mut machine = Machine::new(&program.config);
        assert_eq!(got.result, machine.run_program(program, image, 0).unwrap().result);
    }
}

fn whole_frame<'a>(program: &Program, image: &'a [u8]) -> Frame<'a> {
    Frame {
        command_count: program.meta.command_count,
        image,
        task: 0,
        result_bytes: program.meta.result_bytes as usize,
        limit_cycles: FRAME_LIMIT_CYCLES,
    }
}

/// Runs a frame; the result must be the reference's, or the error must be the wanted one.
fn frame(session: &mut Session<Both>, program: &Program, image: usize, wanted_error: Option<&str>) {
    let image = program.meta.image.pack(&small::image(image)).unwrap();
    let frame = whole_frame(program, &image);
    session
        .board()
        .ddr
        .write(RESULT_BASE, &vec![0; frame.result_bytes]);
    let got = session.frame(&frame, &mut |_| {});
    match wanted_error {
        None => {
            let mut machine = Machine::new(&program.config);
            let want = machine.run_program(program, &image, 0).unwrap();
            assert_eq!(got.unwrap().result, want.result);
        }
        Some(wanted) => {
            let sentence = got.unwrap_err().to_string();
            assert!(sentence.contains(wanted), "{wanted}: {sentence}");
        }
    }
}

#[test]
fn every_pin_in_every_cycle() {
    let program = small::program(1);
    let compared = Rc::new(Cell::new(0));
    let mut frames = 0;
    let commands = u64::from(program.meta.command_count) * COMMAND_BYTES as u64;
    for seed in 0.. {
        let both = Both {
            circuit: CircuitDevice::new(&program.config),
            verilog: verilator(&program.config),
            other: DeviceOutputs::default(),
            compared: compared.clone(),
        };
        let memory = MemoryConfig {
            stalls: (seed > 0).then_some(seed),
            ..Default::default()
        };
        let mut session = Session::new(both, memory, program.config.read_ports).unwrap();
        session.load(&program.payload).unwrap();
        frame(&mut session, &program, 2 * seed as usize, None);

        session.board().set_faults(Faults {
            // The first weights behind the commands: every frame fetches them.
            read_error: Some(PROGRAM_BASE + commands.next_multiple_of(BURST_BYTES as u64) + 512 * seed),
            ..Default::default()
        });
        frame(&mut session, &program, 0, Some("answered a read with an error"));
        session.board().set_faults(Faults {
            write_error: Some(RESULT_BASE),
            ..Default::default()
        });
        frame(&mut session, &program, 0, Some("answered a write with an error"));
        session.board().set_faults(Faults::default());

        let at = COMMAND_BYTES * (3 + 2 * seed as usize);
        session
            .board()
            .ddr
            .write(PROGRAM_BASE + at as u64, &[small::unknown_opcode()]);
        frame(&mut session, &program, 0, Some("illegal command"));
        session.board().ddr.write(PROGRAM_BASE, &program.payload);
        frame(&mut session, &program, 2 * seed as usize + 1, None);
        stream(&mut session, &program, 0..3);
        frames += 8;
        if compared.get() >= LEAST_CYCLES {
            break;
        }
        assert!(seed < 20, "frames of too few cycles");
    }
    println!("{frames} frames, {} cycles", compared.get());
}
