//! Tests of the write unit against a small AXI4 write slave: bytes, bursts, grants, faults.

use super::write_port::WriteUnit;
use crate::config::AccelConfig;
use crate::control::command::{self, Command, Operation, Wait, ALL_TASKS};
use crate::memory::residual::READ_CYCLES;
use crate::testbench::{cycle, settle, Random};
use rust_hdl::prelude::Block;
use std::collections::{HashMap, VecDeque};

const RESULT: u64 = 0x1_ffff_fe00;

/// The value that the residual memory holds at a place.
fn value_at(word: u64, column: u64) -> u64 {
    Random::new(word << 8 | column).next() & 0xffff
}

/// Takes bursts, checks the rules, answers in order.
struct Slave {
    stall: u64,
    random: Random,
    memory: HashMap<u64, u8>,
    /// Bursts accepted: address, beats.
    bursts: Vec<(u64, u64)>,
    filling: VecDeque<(u64, u64)>,
    answers: VecDeque<(u64, u64)>,
    error_at: Option<u64>,
    awready: bool,
    wready: bool,
    response: Option<u64>,
    stalled_address: Option<(u64, u64)>,
    stalled_data: Option<(Vec<u64>, bool)>,
    cycle: u64,
    beat_cycles: Vec<u64>,
}

impl Slave {
    fn new(stall: u64, seed: u64) -> Self {
        Self {
            stall,
            random: Random::new(seed),
            memory: HashMap::new(),
            bursts: vec![],
            filling: VecDeque::new(),
            answers: VecDeque::new(),
            error_at: None,
            awready: false,
            wready: false,
            response: None,
            stalled_address: None,
            stalled_data: None,
            cycle: 0,
            beat_cycles: vec![],
        }
    }

    fn edge(&mut self, address: Option<(u64, u64)>, data: Option<(Vec<u64>, bool)>, bready: bool) {
        assert!(
            self.stalled_address.is_none() || self.stalled_address == address,
            "address changed"
        );
        assert!(
            self.stalled_data.is_none() || self.stalled_data == data,
            "data changed"
        );
        self.stalled_address = address.filter(|_| !self.awready);
        self.stalled_data = data.clone().filter(|_| !self.wready);
        if let Some(burst) = address.filter(|_| self.awready) {
            let (at, beats) = burst;
            assert!(
                at % 16 == 0 && beats <= 16 && at / 4096 == (at + 16 * beats - 1) / 4096,
                "{burst:x?}"
            );
            self.bursts.push(burst);
            self.filling.push_back(burst);
        }
        if let Some((words, last)) = data.filter(|_| self.wready) {
            self.take(&words, last);
        }
        if self.response.is_some() {
            assert!(bready, "a response waits");
            self.response = None;
        }
        self.cycle += 1;
        self.awready = !self.random.percent(self.stall);
        self.wready = !self.random.percent(self.stall);
        if self.answers.front().is_some_and(|(due, _)| *due <= self.cycle) && !self.random.percent(self.stall)
        {
            self.response = self.answers.pop_front().map(|(_, response)| response);
        }
    }

    fn take(&mut self, words: &[u64], last: bool) {
        let burst = self
            .filling
            .front_mut()
            .expect("data without an accepted address");
        for (i, word) in words.iter().enumerate() {
            for b in 0..4 {
                self.memory
                    .insert(burst.0 + 4 * i as u64 + b, (word >> (8 * b)) as u8);
            }
        }
        self.beat_cycles.push(self.cycle);
        *burst = (burst.0 + 16, burst.1 - 1);
        assert_eq!(last, burst.1 == 0, "WLAST");
        if last {
            let burst = self.bursts[self.bursts.len() - self.filling.len()];
            let inside = |at| burst.0 <= at && at < burst.0 + 16 * burst.1;
            let response = if self.error_at.is_some_and(inside) { 2 } else { 0 };
            self.filling.pop_front();
            self.answers.push_back((self.cycle + 12, response));
        }
    }
}

struct Bench {
    unit: WriteUnit,
    slave: Slave,
    random: Random,
    /// Percent of cycles in which the residual memory grants.
    grants: u64,
    reads: VecDeque<Option<u64>>,
    done: usize,
    cycles: u64,
}

impl Bench {
    fn new(columns: usize, stall: u64, grants: u64) -> Self {
        let mut config = AccelConfig::named("zcu104").unwrap();
        (config.columns, config.rows) = (columns, 32.max(columns));
        config.validate().unwrap();
        let mut unit = WriteUnit::new(&config);
        unit.connect_all();
        unit.result_lo.next = (RESULT & 0xffff_ffff).into();
        unit.result_hi.next = (RESULT >> 32).into();
        unit.reset.next = true;
        cycle(&mut unit, |u| &mut u.clock);
        unit.reset.next = false;
        Self {
            unit,
            slave: Slave::new(stall, stall + columns as u64),
            random: Random::new(grants),
            grants,
            reads: VecDeque::from([None; READ_CYCLES]),
            done: 0,
            cycles: 0,
        }
    }

    fn step(&mut self) {
        let unit = &mut self.unit;
        unit.awready.next = self.slave.awready;
        unit.wready.next = self.slave.wready;
        unit.bvalid.next = self.slave.response.is_some();
        unit.bresp.next = self.slave.response.unwrap_or(0).into();
        unit.read_ready.next = self.random.percent(self.grants);
        let word = self.reads.pop_front().flatten();
        for (column, lane) in unit.read_data.iter_mut().enumerate() {
            lane.next = word.map_or(0xdead, |word| value_at(word, column as u64)).into();
        }
        settle(unit);
        self.done += usize::from(unit.done.val());
        let granted = unit.read_valid.val() && unit.read_ready.val();
        self.reads
            .push_back(granted.then(|| unit.read_address.val().into()));
        let address = u64::from(unit.awaddr_hi.val()) << 32 | u64::from(unit.awaddr_lo.val());
        let beats = u64::from(unit.awlen.val()) + 1;
        let words = unit.wdata.iter().map(|w| w.val().into()).collect();
        self.slave.edge(
            unit.awvalid.val().then_some((address, beats)),
            unit.wvalid.val().then_some((words, unit.wlast.val())),
            unit.bready.val(),
        );
        cycle(unit, |u| &mut u.clock);
        self.cycles += 1;
    }

    fn run_until(&mut self, what: &str, mut reached: impl FnMut(&Self) -> bool) {
        let limit = self.cycles + 30_000;
        while !reached(self) {
            self.step();
            assert!(self.cycles < limit, "{what} never came");
        }
    }

    fn send(&mut self, write: command::Write) {
        let operation = Operation::Write(write);
        let words = Command {
            tasks: ALL_TASKS,
            wait: Wait::NONE,
            operation,
        }
        .encode()
        .unwrap();
        for (signal, word) in self.unit.command.iter_mut().zip(words) {
            signal.next = u64::from(word).into();
        }
        self.unit.command_valid.next = true;
        settle(&mut self.unit);
        while !self.unit.command_ready.val() {
            self.step();
        }
        self.step();
        self.unit.command_valid.next = false;
    }

    /// Compares the bytes of a finished command; returns how many.
    fn check(&self, write: command::Write) -> usize {
        let columns = self.unit.read_data.len() as u64;
        let bytes = 16 * u64::from(write.beats);
        for i in 0..bytes {
            let (word, inside) = (u64::from(write.src_base) + i / (2 * columns), i % (2 * columns));
            let want = (value_at(word & 0xffff, inside / 2) >> (8 * (inside % 2))) as u8;
            let at = RESULT + 16 * u64::from(write.offset) + i;
            assert_eq!(self.slave.memory.get(&at), Some(&want), "byte {i} of {write:?}");
        }
        bytes as usize
    }
}

#[test]
fn every_byte_arrives_for_every_width_and_stall_pattern() {
    let mut compared = 0;
    for columns in [8, 16, 32] {
        for (stall, grants) in [(0, 100), (60, 100), (0, 20), (50, 50)] {
            let mut bench = Bench::new(columns, stall, grants);
            for (i, beats) in [1, 16, 17, 33, 100, 4].into_iter().enumerate() {
                let write = command::Write {
                    src_base: 7 + 31 * i as u32,
                    beats,
                    offset: 5 * i as u32 + 3,
                };
                bench.slave.memory.clear();
                bench.send(write);
                bench.run_until("the end", |b| b.done == i + 1);
                compared += bench.check(write);
                assert_eq!(
                    bench.slave.memory.len(),
                    16 * beats as usize,
                    "bytes beyond the command"
                );
            }
        }
    }
    assert_eq!(compared, 3 * 4 * 16 * (1 + 16 + 17 + 33 + 100 + 4));
}

#[test]
fn bursts_end_at_256_byte_boundaries_and_keep_the_rate() {
    // A word is four beats, so that the queue fills faster than it empties.
    let mut bench = Bench::new(32, 0, 100);
    bench.send(command::Write {
        src_base: 0,
        beats: 40,
        offset: 27,
    });
    bench.run_until("the end", |b| b.done == 1);
    // The result base is 256-byte aligned and crosses 4 GB 512 bytes later.
    let at = |beat: u64| RESULT + 16 * beat;
    assert_eq!(
        bench.slave.bursts,
        [(at(27), 5), (at(32), 16), (at(48), 16), (at(64), 3)]
    );
    let (first, last) = (bench.slave.beat_cycles[0], bench.slave.beat_cycles[39]);
    assert_eq!(
        last - first,
        39,
        "one beat a cycle: {:?}",
        bench.slave.beat_cycles
    );
}

#[test]
fn an_error_stops_new_bursts_and_keeps_the_address() {
    for (beat, burst) in [(0, 0), (20, 16), (47, 32)] {
        let mut bench = Bench::new(8, 30, 80);
        bench.slave.error_at = Some(RESULT + 16 * beat);
        bench.send(command::Write {
            src_base: 0,
            beats: 400,
            offset: 0,
        });
        bench.run_until("the error", |b| b.unit.error.val());
        let address = u64::from(bench.unit.error_hi.val()) << 32 | u64::from(bench.unit.error_lo.val());
        assert_eq!(address, RESULT + 16 * burst);
        let issued = bench.slave.bursts.len() + usize::from(bench.unit.awvalid.val());
        bench.run_until("the drain", |b| !b.unit.busy.val());
        for _ in 0..50 {
            bench.step();
        }
        assert_eq!((bench.slave.bursts.len(), bench.done), (issued, 0));
        bench.unit.reset.next = true;
        bench.step();
        bench.unit.reset.next = false;
        bench.slave.error_at = None;
        let write = command::Write {
            src_base: 3,
            beats: 20,
            offset: 64,
        };
        bench.send(write);
        bench.run_until("the next command", |b| b.done == 1);
        assert_eq!(bench.check(write), 320);
    }
}

#[test]
fn hold_completes_what_was_issued_and_nothing_more() {
    let mut bench = Bench::new(32, 20, 100);
    let write = command::Write {
        src_base: 9,
        beats: 200,
        offset: 0,
    };
    bench.send(write);
    bench.run_until("some beats", |b| b.slave.beat_cycles.len() > 40);
    bench.unit.hold.next = true;
    bench.run_until("quiet", |b| !b.unit.busy.val());
    let beats = bench.slave.beat_cycles.len();
    for _ in 0..100 {
        bench.step();
    }
    assert_eq!(bench.slave.beat_cycles.len(), beats);
    bench.unit.hold.next = false;
    bench.run_until("the end", |b| b.done == 1);
    assert_eq!(bench.check(write), 3_200);
}
