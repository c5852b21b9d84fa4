//! What goes wrong while a frame runs on the circuits: each fault ends the frame with its error, and the next frame is right again.

#[path = "support/small.rs"]
mod small;

use moevit_hw::control::command::COMMAND_BYTES;
use moevit_sim::engine::circuit::CircuitDevice;
use moevit_sim::engine::session::{Frame, Session, IMAGE_BASE, PROGRAM_BASE, RESULT_BASE};
use moevit_sim::engine::{Accelerated, Engine};
use moevit_sim::memory::{Faults, MemoryConfig};
use moevit_sim::program::Program;
use moevit_sim::reference::Machine;

/// Cycles within which a frame of this model ends, with or without a fault.
const FRAME_LIMIT_CYCLES: u64 = 60_000;
/// Bytes of a burst; the error register names the burst, not the beat.
const BURST_BYTES: u64 = 256;

/// A small model on the circuits, and what its frame must give.
struct Bench {
    program: Program,
    session: Session<CircuitDevice>,
    image: Vec<u8>,
    want: Vec<u8>,
}

impl Bench {
    fn new(read_ports: usize, stalls: Option<u64>) -> Self {
        let program = small::program(read_ports);
        let image = program.meta.image.pack(&small::image(0)).unwrap();
        let want = Machine::new(&program.config)
            .run_program(&program, &image, 0)
            .unwrap()
            .result;
        let memory = MemoryConfig {
            stalls,
            ..Default::default()
        };
        let mut session = Session::new(CircuitDevice::new(&program.config), memory, read_ports).unwrap();
        session.load(&program.payload).unwrap();
        Self {
            program,
            session,
            image,
            want,
        }
    }

    fn frame(&mut self, limit_cycles: u64) -> anyhow::Result<Vec<u8>> {
        let frame = Frame {
            command_count: self.program.meta.command_count,
            image: &self.image,
            task: 0,
            result_bytes: self.program.meta.result_bytes as usize,
            limit_cycles,
        };
        // Bits of an earlier frame must not count.
        let cleared = vec![0; frame.result_bytes];
        self.session.board().ddr.write(RESULT_BASE, &cleared);
        Ok(self.session.frame(&frame, &mut |_| {})?.result)
    }

    /// The frame must end with an error; returns its sentence.
    fn fails(&mut self, faults: Faults, limit_cycles: u64) -> String {
        self.session.board().set_faults(faults);
        let sentence = self
            .frame(limit_cycles)
            .expect_err("the fault was not noticed")
            .to_string();
        self.session.board().set_faults(Faults::default());
        sentence
    }

    fn is_right_again(&mut self, after: &str) {
        let got = self
            .frame(FRAME_LIMIT_CYCLES)
            .unwrap_or_else(|e| panic!("after {after}: {e:#}"));
        assert_eq!(got, self.want, "after {after}");
    }
}

/// The address in an error's sentence.
fn address(sentence: &str) -> u64 {
    let digits = sentence
        .split("address 0x")
        .nth(1)
        .unwrap_or_else(|| panic!("no address: {sentence}"));
    u64::from_str_radix(digits.trim_end_matches(')'), 16).unwrap()
}

#[test]
fn a_read_error_on_every_port_ends_the_frame_and_the_next_one_is_right() {
    let mut failed = 0;
    for (ports, stalls) in [(1, None), (2, Some(3)), (4, None)] {
        let mut bench = Bench::new(ports, stalls);
        bench.is_right_again("the reset");
        let commands = u64::from(bench.program.meta.command_count) * COMMAND_BYTES as u64;
        // Neighbouring bursts lie on different ports: the first of the commands, the image, the first weights.
        let weights = PROGRAM_BASE + commands.next_multiple_of(BURST_BYTES);
        let mut at = vec![PROGRAM_BASE + 40, IMAGE_BASE + 17];
        at.extend((0..ports as u64).map(|port| weights + port * BURST_BYTES + 100));
        for (index, at) in at.into_iter().enumerate() {
            let faults = Faults {
                read_error: Some(at),
                decode_error: index % 2 == 1,
                ..Default::default()
            };
            let sentence = bench.fails(faults, FRAME_LIMIT_CYCLES);
            names_burst(&sentence, "read", at);
            bench.is_right_again(&sentence);
            failed += 1;
        }
    }
    assert_eq!(failed, 3 * 2 + 1 + 2 + 4);
}

#[test]
fn a_read_error_anywhere_in_the_weights_is_noticed_or_never_read() {
    let mut bench = Bench::new(2, Some(8));
    let bursts = bench.program.payload.len() as u64 / BURST_BYTES;
    let (mut failed, mut unread) = (0, 0);
    for burst in (0..bursts).step_by(bursts as usize / 9) {
        let at = PROGRAM_BASE + burst * BURST_BYTES + 16 * (burst % 16);
        bench.session.board().set_faults(Faults {
            read_error: Some(at),
            ..Default::default()
        });
        match bench.frame(FRAME_LIMIT_CYCLES) {
            // A burst of an expert that nobody chose.
            Ok(result) => {
                assert_eq!(result, bench.want, "fault at {at:#x}");
                unread += 1;
            }
            Err(error) => {
                names_burst(&error.to_string(), "read", at);
                failed += 1;
            }
        }
        bench.session.board().set_faults(Faults::default());
    }
    bench.is_right_again("all faults");
    assert!(
        failed >= 6 && failed + unread >= 9,
        "{failed} noticed, {unread} not read"
    );
}

/// An error's sentence must tell what happened and the burst that holds `at`.
fn names_burst(sentence: &str, what: &str, at: u64) {
    let wanted = format!("the bus answered a {what} with an error");
    assert!(sentence.contains(&wanted), "{wanted}: {sentence}");
    let burst = address(sentence);
    assert!(
        burst <= at && at < burst + BURST_BYTES,
        "fault at {at:#x}: {sentence}"
    );
}

#[test]
fn a_write_error_ends_the_frame_and_the_next_one_is_right() {
    for stalls in [None, Some(5)] {
        let mut bench = Bench::new(1, stalls);
        let bytes = bench.program.meta.result_bytes;
        for (decode_error, at) in [(false, RESULT_BASE), (true, RESULT_BASE + bytes - 1)] {
            let faults = Faults {
                write_error: Some(at),
                decode_error,
                ..Default::default()
            };
            let sentence = bench.fails(faults, FRAME_LIMIT_CYCLES);
            names_burst(&sentence, "write", at);
            bench.is_right_again(&sentence);
        }
    }
}

#[test]
fn a_silent_bus_ends_by_the_watchdog_and_the_next_frame_is_right() {
    let mut bench = Bench::new(1, None);
    for later in [300, 1_000] {
        let silent_from = Some(bench.session.board().cycle() + later);
        let faults = Faults {
            silent_from,
            ..Default::default()
        };
        let sentence = bench.fails(faults, 300_000);
        assert!(
            sentence.contains("no progress for the watchdog's limit"),
            "{sentence}"
        );
        bench.is_right_again(&sentence);
    }
}

#[test]
fn an_illegal_command_is_named_and_the_next_frame_is_right() {
    let mut bench = Bench::new(1, None);
    let count = bench.program.meta.command_count as usize;
    // An opcode that does not exist, and bits that belong to no field.
    type Damage = fn(&mut [u8]);
    let opcode: Damage = |command| command[0] = command[0] & 0xf0 | small::unknown_opcode();
    let fields: Damage = |command| command[8..].fill(0xff);
    let damages = [opcode, fields];
    for (index, damage) in [0, count / 2, count - 1].into_iter().zip(damages.iter().cycle()) {
        let at = index * COMMAND_BYTES;
        let whole = bench.program.payload[at..at + COMMAND_BYTES].to_vec();
        let mut damaged = whole.clone();
        damage(&mut damaged);
        let place = PROGRAM_BASE + at as u64;
        bench.session.board().ddr.write(place, &damaged);
        let sentence = bench.fails(Faults::default(), FRAME_LIMIT_CYCLES);
        let wanted = format!("illegal command (command {index},");
        assert!(sentence.contains(&wanted), "{wanted}: {sentence}");
        bench.session.board().ddr.write(place, &whole);
        bench.is_right_again(&sentence);
    }
}

#[test]
fn the_engine_reports_the_fault() {
    let program = small::program(1);
    let image = program.meta.image.pack(&small::image(0)).unwrap();
    let faults = Faults {
        read_error: Some(IMAGE_BASE),
        ..Default::default()
    };
    let memory = MemoryConfig {
        faults,
        ..Default::default()
    };
    let mut engine = Accelerated::new(CircuitDevice::new(&program.config), &program, memory).unwrap();
    let sentence = engine.run(&image, 0, &mut |_| {}).unwrap_err().to_string();
    assert!(
        sentence.starts_with("the accelerator stopped: the bus answered a read with an error"),
        "{sentence}"
    );
}
