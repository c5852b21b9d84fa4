//! Tests of the register block through its AXI4-Lite port.

use super::register_table::{offset, register, version, Access, Reset, COUNTERS, FRAME_REGISTERS, REGISTERS};
use super::registers::Registers;
use crate::config::AccelConfig;
use crate::testbench::{cycle, settle, Random};
use rust_hdl::prelude::Block;

struct Bench {
    unit: Registers,
    random: Random,
    /// Percent of cycles in which the master waits on a channel.
    wait: u64,
    starts: usize,
    resets: usize,
}

impl Bench {
    fn new(wait: u64) -> Self {
        let mut unit = Registers::new(&AccelConfig::named("zcu104").unwrap());
        unit.connect_all();
        unit.reset.next = true;
        unit.idle.next = true;
        cycle(&mut unit, |u| &mut u.clock);
        unit.reset.next = false;
        Self {
            unit,
            random: Random::new(wait + 1),
            wait,
            starts: 0,
            resets: 0,
        }
    }

    fn step(&mut self) {
        settle(&mut self.unit);
        self.starts += usize::from(self.unit.start.val());
        self.resets += usize::from(self.unit.soft_reset.val());
        cycle(&mut self.unit, |u| &mut u.clock);
    }

    fn steps(&mut self, count: usize) {
        (0..count).for_each(|_| self.step());
    }

    fn write_at(&mut self, address: u32, data: u32, strobe: u64) {
        let (mut address_left, mut data_left) = (true, true);
        self.unit.awaddr.next = u64::from(address).into();
        self.unit.wdata.next = u64::from(data).into();
        self.unit.wstrb.next = strobe.into();
        for _ in 0..200 {
            // A valid stays up until it is taken.
            self.unit.awvalid.next =
                address_left && (self.unit.awvalid.next || !self.random.percent(self.wait));
            self.unit.wvalid.next = data_left && (self.unit.wvalid.next || !self.random.percent(self.wait));
            self.unit.bready.next = !self.random.percent(self.wait);
            settle(&mut self.unit);
            address_left &= !(self.unit.awvalid.val() && self.unit.awready.val());
            data_left &= !(self.unit.wvalid.val() && self.unit.wready.val());
            let answered = self.unit.bvalid.val() && self.unit.bready.val();
            assert_eq!(self.unit.bresp.val().index(), 0);
            self.step();
            if answered {
                self.unit.bready.next = false;
                return;
            }
        }
        panic!("no answer to a write at {address:#x}");
    }

    fn read_at(&mut self, address: u32) -> u32 {
        let mut left = true;
        self.unit.araddr.next = u64::from(address).into();
        for _ in 0..200 {
            self.unit.arvalid.next = left && (self.unit.arvalid.next || !self.random.percent(self.wait));
            self.unit.rready.next = !self.random.percent(self.wait);
            settle(&mut self.unit);
            left &= !(self.unit.arvalid.val() && self.unit.arready.val());
            let data =
                (self.unit.rvalid.val() && self.unit.rready.val()).then(|| self.unit.rdata.val().index());
            assert_eq!(self.unit.rresp.val().index(), 0);
            self.step();
            if let Some(data) = data {
                self.unit.rready.next = false;
                return data as u32;
            }
        }
        panic!("no answer to a read at {address:#x}");
    }

    fn write(&mut self, name: &str, data: u32) {
        self.write_at(offset(name).unwrap(), data, 15);
    }

    fn read(&mut self, name: &str) -> u32 {
        self.read_at(offset(name).unwrap())
    }

    /// The chip ends the frame.
    fn finish(&mut self, code: u64) {
        self.unit.error_code.next = code.into();
        self.unit.error_command.next = 77u64.into();
        self.unit.error_lo.next = 0x1234_5600u64.into();
        self.unit.error_hi.next = 9u64.into();
        self.unit.bus_error.next = code == 2 || code == 3;
        self.step();
        // The units are reset before the frame ends.
        self.unit.error_lo.next = 0.into();
        self.unit.error_hi.next = 0.into();
        self.unit.bus_error.next = false;
        self.steps(3);
        self.unit.done.next = true;
        self.step();
        self.unit.done.next = false;
        self.unit.idle.next = true;
        self.steps(3);
    }

    fn start(&mut self) {
        self.write("CTRL", 1);
        self.steps(3);
        self.unit.idle.next = false;
        self.step();
    }
}

#[test]
fn every_register_has_its_value_after_reset() {
    let config = AccelConfig::named("zcu104").unwrap();
    let mut bench = Bench::new(30);
    for r in REGISTERS {
        let want = match (r.reset, r.name) {
            (Reset::Value(value), _) => value,
            (_, "VERSION") => version(),
            (_, "CONFIG_HASH") => config.hash(),
            _ => 0x0004_2020,
        };
        assert_eq!(bench.read_at(r.offset), want, "{}", r.name);
    }
}

#[test]
fn random_writes_change_exactly_what_the_table_says() {
    for wait in [0, 40, 85] {
        let mut bench = Bench::new(wait);
        let mut model: Vec<u32> = REGISTERS.iter().map(|r| bench.read_at(r.offset)).collect();
        let mut random = Random::new(wait);
        for _ in 0..400 {
            let (address, data, strobe) = (
                4 * random.below(64) as u32 + random.below(4) as u32,
                random.next() as u32,
                random.below(16),
            );
            let plain = REGISTERS.iter().position(|r| r.offset == address & !3);
            let special =
                plain.is_some_and(|i| matches!(REGISTERS[i].name, "CTRL" | "CONTROL2" | "IP_ISR" | "STATUS"));
            if special {
                continue;
            }
            bench.write_at(address, data, strobe);
            if let Some(i) = plain.filter(|&i| REGISTERS[i].access == Access::ReadWrite) {
                let bytes = (0..4)
                    .filter(|b| strobe >> b & 1 == 1)
                    .fold(0, |m, b| m | 0xff << (8 * b));
                model[i] = (model[i] & !bytes | data & bytes) & REGISTERS[i].mask();
            }
        }
        for (r, want) in REGISTERS.iter().zip(model) {
            assert_eq!(bench.read_at(r.offset), want, "{}", r.name);
        }
        assert_eq!(
            (bench.read_at(0x10), bench.read_at(0xf0), bench.starts),
            (0, 0, 0)
        );
    }
}

#[test]
fn a_frame_starts_when_idle_and_ends_with_done_and_interrupt() {
    let mut bench = Bench::new(0);
    (bench.unit.idle.next, bench.starts) = (false, 0);
    bench.write("GIER", 1);
    bench.write("IP_IER", 3);
    bench.write("CTRL", 1);
    bench.steps(20);
    assert_eq!((bench.starts, bench.read("CTRL")), (0, 1), "waits for the chip");
    bench.unit.idle.next = true;
    bench.steps(3);
    bench.unit.idle.next = false;
    bench.write("CTRL", 1);
    bench.steps(20);
    assert_eq!(
        (bench.starts, bench.read("CTRL") & 6),
        (1, 0),
        "a start while running waits"
    );
    assert_eq!(bench.read("CTRL") & 1, 1);
    assert!(bench.unit.waiting.val());
    bench.write("IP_ISR", 2);
    bench.steps(2);
    assert!(!bench.unit.interrupt.val(), "taken, not ended");
    bench.finish(0);
    assert_eq!(bench.starts, 2, "follows on the idle chip where it was not taken");
    bench.unit.idle.next = false;
    bench.finish(0);
    assert!(bench.unit.interrupt.val());
    assert_eq!((bench.read("IP_ISR"), bench.read("STATUS")), (3, 0));
    assert_eq!(
        (bench.read("CTRL"), bench.read("CTRL")),
        (14, 4),
        "done and ready clear on read"
    );
    bench.write("IP_ISR", 1);
    assert_eq!(bench.read("IP_ISR"), 2);
    bench.write("IP_ISR", 2);
    bench.steps(2);
    assert!(!bench.unit.interrupt.val());
    bench.write("IP_ISR", 1);
    assert_eq!(bench.read("IP_ISR"), 1, "toggles, as HLS does");
}

#[test]
fn a_frame_that_waits_is_taken_and_gets_its_result_pointer_when_the_older_one_ends() {
    let mut bench = Bench::new(0);
    bench.write("GIER", 1);
    bench.write("IP_IER", 2);
    let frame = |bench: &mut Bench, number: u32| {
        bench.write("IMAGE_LO", number << 8);
        bench.write("RESULT_LO", number << 16);
        bench.write("TASK", number);
    };
    let outputs = |b: &Bench| {
        [
            b.unit.image_lo.val().index() >> 8,
            b.unit.result_lo.val().index() >> 16,
            b.unit.task_number.val().index(),
        ]
    };
    frame(&mut bench, 1);
    bench.start();
    bench.steps(2);
    assert!(bench.unit.interrupt.val(), "taken at once on an idle chip");
    bench.write("IP_ISR", 2);
    for number in 2..5 {
        frame(&mut bench, number);
        assert!(!bench.unit.waiting.val());
        bench.write("CTRL", 1);
        bench.steps(3);
        let older = number as usize - 1;
        assert!(bench.unit.waiting.val() && !bench.unit.interrupt.val());
        assert_eq!(outputs(&bench), [older; 3]);
        bench.unit.taken.next = true;
        bench.step();
        bench.unit.taken.next = false;
        bench.steps(3);
        assert!(bench.unit.interrupt.val() && !bench.unit.waiting.val());
        let number = number as usize;
        assert_eq!(outputs(&bench), [number, older, number]);
        bench.write("IP_ISR", 2);
        // The host may go on before the older frame has ended.
        bench.write("RESULT_LO", 0);
        bench.unit.done.next = true;
        bench.step();
        bench.unit.done.next = false;
        bench.steps(3);
        assert_eq!(outputs(&bench), [number; 3]);
        assert_eq!(bench.read("CTRL"), 10, "done and ready, not idle");
        assert_eq!(bench.read("FRAMES"), older as u32);
    }
    // Another program waits for an idle chip.
    bench.write("PROGRAM_LO", 0x4000);
    bench.write("CTRL", 1);
    bench.steps(5);
    assert!(!bench.unit.waiting.val());
    let starts = bench.starts;
    bench.finish(0);
    assert_eq!((bench.starts, bench.read("FRAMES")), (starts + 1, 0));
}

#[test]
fn an_error_ends_the_frames_that_wait_too() {
    for taken in [false, true] {
        let mut bench = Bench::new(0);
        bench.start();
        bench.write("CTRL", 1);
        bench.steps(3);
        bench.unit.taken.next = taken;
        bench.step();
        bench.unit.taken.next = false;
        bench.finish(4);
        bench.steps(10);
        assert_eq!(
            (bench.starts, bench.read("STATUS"), bench.read("FRAMES")),
            (1, 0x41, 0)
        );
        assert_eq!(bench.read("CTRL") & 5, 4, "idle, nothing waits");
    }
}

#[test]
fn pointers_are_latched_by_the_start() {
    let mut bench = Bench::new(20);
    for (i, name) in FRAME_REGISTERS.iter().enumerate() {
        bench.write(name, 0x1010_1111 * (i as u32 + 1));
    }
    let outputs = |b: &Bench| {
        let u = &b.unit;
        [
            u.program_lo.val().index(),
            u.program_hi.val().index(),
            u.image_lo.val().index(),
            u.image_hi.val().index(),
            u.result_lo.val().index(),
            u.result_hi.val().index(),
            u.commands.val().index(),
            u.task_number.val().index(),
            u.watchdog.val().index(),
        ]
    };
    assert_eq!(outputs(&bench), [0; 9]);
    bench.start();
    let want: Vec<usize> = FRAME_REGISTERS
        .iter()
        .enumerate()
        .map(|(i, name)| ((0x1010_1111 * (i as u32 + 1)) & register(name).unwrap().mask()) as usize)
        .collect();
    assert_eq!(outputs(&bench).to_vec(), want);
    for name in FRAME_REGISTERS {
        bench.write(name, u32::MAX);
    }
    assert_eq!(
        outputs(&bench).to_vec(),
        want,
        "writes while busy are for the next frame"
    );
    bench.finish(0);
    bench.start();
    assert!(outputs(&bench)
        .iter()
        .zip(want)
        .all(|(now, before)| *now != before));
}

#[test]
fn an_error_is_kept_refuses_a_start_and_clears() {
    let mut bench = Bench::new(10);
    for code in 1..=4u32 {
        bench.start();
        bench.finish(code.into());
        assert_eq!(bench.read("STATUS"), 1 | code << 4);
        assert_eq!(bench.read("ERROR_COMMAND"), 77);
        assert_eq!(
            (bench.read("ERROR_ADDRESS_LO"), bench.read("ERROR_ADDRESS_HI")),
            if code == 2 || code == 3 {
                (0x1234_5600, 9)
            } else {
                (0, 0)
            }
        );
        assert_eq!(bench.read("CTRL"), 14);
        let starts = bench.starts;
        bench.write("CTRL", 1);
        bench.steps(10);
        assert_eq!(
            (bench.starts, bench.read("CTRL")),
            (starts, 14),
            "refused with done"
        );
        bench.write("STATUS", 1);
        assert_eq!(bench.read("STATUS"), 0);
    }
    bench.start();
    assert_eq!((bench.starts, bench.read("STATUS")), (5, 0x100));
}

#[test]
fn counters_count_their_event_during_the_frame_only() {
    let mut bench = Bench::new(0);
    let mut checked = 0;
    // The last one counts the frames themselves.
    let frames = COUNTERS.len() - 1;
    for event in 1..frames {
        let set = |b: &mut Bench, on: bool| {
            let u = &mut b.unit;
            match event {
                1 => u.streaming.next = on,
                2 => u.stall_stream.next = on,
                3 => u.stall_bank.next = on,
                4 => u.stall_sync.next = on,
                5 => u.stall_full.next = on,
                6 => u.skipped.next = on,
                7 => u.beat_out.next = on,
                8..=11 => u.beats_in[event - 8].next = on,
                _ => u.busy[event - 12].next = on,
            }
        };
        set(&mut bench, true);
        bench.steps(5);
        set(&mut bench, false);
        bench.start();
        set(&mut bench, true);
        bench.steps(10 + event);
        set(&mut bench, false);
        bench.finish(0);
        set(&mut bench, true);
        bench.steps(5);
        set(&mut bench, false);
        for (i, name) in COUNTERS.iter().enumerate().skip(1) {
            let want = match i {
                _ if i == event => 10 + event as u32,
                _ if i == frames => 1,
                _ => 0,
            };
            assert_eq!(bench.read(name), want, "{name} while event {event} happens");
            checked += 1;
        }
        let cycles = bench.read("CYCLES");
        assert!(
            (10 + event as u32..40 + event as u32).contains(&cycles),
            "{cycles}"
        );
    }
    assert_eq!(checked, 17 * 18);
}

#[test]
fn soft_reset_drops_the_frame_and_quiesce_is_a_level() {
    let mut bench = Bench::new(0);
    bench.start();
    bench.write("CONTROL2", 2);
    bench.steps(2);
    assert!(bench.unit.quiesce.val());
    assert_eq!((bench.read("CONTROL2"), bench.resets), (2, 0));
    bench.write("CONTROL2", 1);
    bench.steps(3);
    assert!(!bench.unit.quiesce.val());
    assert_eq!((bench.resets, bench.read("CONTROL2")), (1, 0));
    bench.finish(2);
    assert_eq!(
        (bench.read("CTRL"), bench.read("STATUS")),
        (12, 0),
        "idle and ready, no done, no error"
    );
    bench.start();
    assert_eq!(bench.starts, 2);
}

#[test]
fn reset_at_any_time_gives_the_table_back() {
    let mut random = Random::new(8);
    for _ in 0..30 {
        let mut bench = Bench::new(30);
        bench.write("GIER", 1);
        bench.write("IMAGE_LO", u32::MAX);
        bench.start();
        bench.steps(random.below(20) as usize);
        if random.percent(50) {
            bench.finish(random.below(5));
        }
        bench.unit.idle.next = true;
        bench.unit.reset.next = true;
        bench.steps(1 + random.below(5) as usize);
        bench.unit.reset.next = false;
        for r in REGISTERS.iter().filter(|r| r.reset != Reset::Configuration) {
            assert_eq!(Reset::Value(bench.read_at(r.offset)), r.reset, "{}", r.name);
        }
    }
}
