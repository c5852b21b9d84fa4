//! Tests of the fetch unit against test slaves: order, striping, credits, rate, faults.

use super::fetch::{FetchUnit, LATENCY_CYCLES};
use super::test_slave::{byte_at, Behaviour, ReadSlave};
use crate::config::AccelConfig;
use crate::control::command::{self, Command, Operation, Wait, ALL_TASKS};
use crate::testbench::{cycle, settle, Random};

const PROGRAM: u64 = 0xffff_f000;
const IMAGE: u64 = 0x12_3456_7800;
/// Experts with a token.
const NONEMPTY: u32 = 0x8000_4a52;

fn config(base: &str, ports: usize) -> AccelConfig {
    let mut config = AccelConfig::named(base).unwrap();
    config.read_ports = ports;
    config.weight_words = if base == "nano" { 1024 } else { 320 };
    config.outstanding_bursts = 4;
    config
}

struct Bench {
    unit: FetchUnit,
    slaves: Vec<ReadSlave>,
    random: Random,
    /// Percent of cycles in which the reader takes a word.
    appetite: u64,
    received: Vec<u8>,
    done: usize,
    skipped: usize,
    tickets: Vec<bool>,
    cycles: u64,
}

impl Bench {
    fn new(config: &AccelConfig, behaviour: Behaviour, seed: u64) -> Self {
        let mut unit = FetchUnit::new(config);
        unit.connect_all();
        let slaves = (0..config.read_ports as u64)
            .map(|p| ReadSlave::new(behaviour, seed + p))
            .collect();
        let mut bench = Self {
            unit,
            slaves,
            random: Random::new(seed ^ 99),
            appetite: 100,
            received: vec![],
            done: 0,
            skipped: 0,
            tickets: vec![],
            cycles: 0,
        };
        bench.unit.program_lo.next = PROGRAM.into();
        bench.unit.image_lo.next = (IMAGE & 0xffff_ffff).into();
        bench.unit.image_hi.next = (IMAGE >> 32).into();
        bench.unit.reset.next = true;
        cycle(&mut bench.unit, |u| &mut u.clock);
        bench.unit.reset.next = false;
        bench
    }

    fn drive_ports(&mut self) {
        for (p, slave) in self.slaves.iter().enumerate() {
            let beat = slave.beat.unwrap_or_default();
            self.unit.arready[p].next = slave.arready;
            self.unit.rvalid[p].next = slave.beat.is_some();
            self.unit.rresp[p].next = beat.response.into();
            self.unit.rlast[p].next = beat.last;
            for i in 0..4u64 {
                let word = (0..4).fold(0, |w, b| {
                    w | u64::from(byte_at(beat.address + 4 * i + b)) << (8 * b)
                });
                self.unit.rdata[4 * p + i as usize].next = word.into();
            }
        }
    }

    fn step(&mut self) {
        self.drive_ports();
        self.unit.stream_ready.next = self.random.percent(self.appetite);
        self.unit.ticket_ready.next = self.random.percent(self.appetite);
        settle(&mut self.unit);
        if self.unit.ticket_valid.val() && self.unit.ticket_ready.val() {
            self.tickets.push(self.unit.ticket_fetched.val());
        }
        self.done += usize::from(self.unit.done.val());
        self.skipped += usize::from(self.unit.skipped.val());
        if self.unit.stream_valid.val() && self.unit.stream_ready.val() {
            self.received
                .extend(self.unit.stream_data.iter().map(|b| b.val().index() as u8));
        }
        for (p, slave) in self.slaves.iter_mut().enumerate() {
            let word = |s: &Signal32| u64::from(s.val());
            let address = word(&self.unit.araddr_hi[p]) << 32 | word(&self.unit.araddr_lo[p]);
            let length: u64 = self.unit.arlen[p].val().into();
            slave.edge(
                self.unit.arvalid[p].val().then_some((address, length)),
                self.unit.rready[p].val(),
            );
        }
        cycle(&mut self.unit, |u| &mut u.clock);
        self.cycles += 1;
    }

    fn send(&mut self, fetch: command::Fetch) {
        let operation = Operation::Fetch(fetch);
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

    /// A Route finishes.
    fn route(&mut self, nonempty: u32) {
        self.unit.nonempty.next = u64::from(nonempty).into();
        self.unit.routed.next = true;
        self.step();
        self.unit.routed.next = false;
    }

    fn run_until(&mut self, what: &str, mut reached: impl FnMut(&Self) -> bool) {
        let limit = self.cycles + 60_000;
        while !reached(self) {
            self.step();
            assert!(
                self.cycles < limit,
                "{what} never came; {} bytes received",
                self.received.len()
            );
        }
    }
}

type Signal32 = rust_hdl::prelude::Signal<rust_hdl::prelude::Out, rust_hdl::prelude::Bits<32>>;
use rust_hdl::prelude::Block;

fn bytes(address: u64, beats: u32) -> impl Iterator<Item = u8> {
    (address..address + 16 * u64::from(beats)).map(byte_at)
}

/// Random commands; returns the bytes compared.
fn random_commands(base: &str, ports: usize, stall: u64, appetite: u64, seed: u64) -> usize {
    let config = config(base, ports);
    let behaviour = Behaviour {
        latency: 20,
        stall,
        ..Behaviour::IDEAL
    };
    let mut bench = Bench::new(&config, behaviour, seed);
    bench.appetite = appetite;
    bench.unit.task_number.next = 3u64.into();
    let (mut random, mut expected, word_beats) =
        (Random::new(seed), vec![], config.weight_word_bytes() as u64 / 16);
    let mut tickets = vec![];
    let commands = 14;
    for _ in 0..commands {
        let fetch = command::Fetch {
            base: random.below(2) as u32,
            experts: random.below(2) as u32,
            expert_count: 1 + random.below(32) as u32,
            offset: 16 * random.below(1 << 20) as u32,
            beats: (word_beats * (1 + random.below(20))) as u32,
            task_stride: 16 * random.below(1000) as u32,
            expert_stride: 16 * random.below(1000) as u32,
        };
        let base = if fetch.base == 1 { IMAGE } else { PROGRAM };
        // Routed before its Fetch, so every decision is known.
        if fetch.experts == 1 {
            bench.run_until("the earlier commands", |b| b.unit.command_ready.val());
            bench.route(NONEMPTY);
            tickets.extend((0..fetch.expert_count).map(|e| NONEMPTY >> e & 1 == 1));
        }
        let chosen = |e: &u32| fetch.experts == 0 || NONEMPTY >> e & 1 == 1;
        for e in (0..if fetch.experts == 1 { fetch.expert_count } else { 1 }).filter(chosen) {
            let at = fetch.offset + 3 * fetch.task_stride + e * fetch.expert_stride;
            expected.extend(bytes(base + 16 * u64::from(at), fetch.beats));
        }
        bench.send(fetch);
    }
    bench.run_until("the stream", |b| {
        b.received.len() >= expected.len() && b.done >= commands
    });
    for _ in 0..50 {
        bench.step();
    }
    assert!(bench.received == expected, "the stream differs");
    assert_eq!(bench.tickets, tickets);
    assert_eq!(bench.done, commands);
    assert!(!bench.unit.outstanding_any.val() && !bench.unit.error.val());
    for slave in &bench.slaves {
        assert!(
            slave.most_outstanding <= config.outstanding_bursts,
            "{}",
            slave.most_outstanding
        );
    }
    expected.len()
}

#[test]
fn the_stream_is_in_order_for_every_port_count_and_stall_pattern() {
    let mut compared = 0;
    for (base, ports) in [
        ("nano", 1),
        ("nano", 2),
        ("nano", 3),
        ("nano", 4),
        ("zcu104", 1),
        ("zcu104", 2),
        ("zcu104", 3),
        ("zcu104", 4),
    ] {
        for (stall, appetite) in [(0, 100), (60, 100), (0, 15), (40, 50)] {
            compared += random_commands(base, ports, stall, appetite, 11 * stall + ports as u64);
        }
    }
    assert!(compared > 500_000, "{compared}");
}

#[test]
fn bursts_go_round_robin_and_the_last_one_is_short() {
    let mut bench = Bench::new(&config("zcu104", 4), Behaviour::IDEAL, 1);
    bench.send(command::Fetch {
        beats: 16 * 5 + 8,
        ..Default::default()
    });
    bench.run_until("the end", |b| b.done == 1);
    let accepted: Vec<_> = bench.slaves.iter().map(|s| s.accepted.clone()).collect();
    let at = |i: u64| PROGRAM + 256 * i;
    assert_eq!(accepted[0], [(at(0), 16), (at(4), 16)]);
    assert_eq!(accepted[1], [(at(1), 16), (at(5), 8)]);
    assert_eq!(accepted[2], [(at(2), 16)]);
    assert_eq!(accepted[3], [(at(3), 16)]);
}

#[test]
fn all_ports_run_at_one_beat_a_cycle() {
    for ports in 1..=4 {
        let behaviour = Behaviour {
            latency: 30,
            ..Behaviour::IDEAL
        };
        let mut bench = Bench::new(&config("zcu104", ports), behaviour, 1);
        bench.send(command::Fetch {
            beats: 16 * 400,
            ..Default::default()
        });
        bench.run_until("the end", |b| b.received.len() == 256 * 400);
        let ideal = 16 * 400 / ports as u64;
        assert!(
            bench.cycles < ideal + 70,
            "{ports} ports: {} cycles, ideal {ideal}",
            bench.cycles
        );
    }
}

#[test]
fn a_word_takes_the_stated_latency() {
    let mut bench = Bench::new(
        &config("nano", 1),
        Behaviour {
            latency: 25,
            ..Behaviour::IDEAL
        },
        1,
    );
    bench.send(command::Fetch {
        beats: 1,
        ..Default::default()
    });
    bench.run_until("the beat", |b| b.slaves[0].beat.is_some());
    let beat = bench.cycles;
    bench.run_until("the word", |b| b.unit.stream_valid.val());
    assert_eq!(bench.cycles - beat, LATENCY_CYCLES as u64);
}

#[test]
fn a_full_buffer_stops_the_bursts_without_stalling_the_bus() {
    let config = config("nano", 2);
    let mut bench = Bench::new(&config, Behaviour::IDEAL, 1);
    bench.appetite = 0;
    bench.send(command::Fetch {
        beats: 4096,
        ..Default::default()
    });
    let mut stalled = 0;
    for _ in 0..4_000 {
        bench.step();
        stalled += usize::from(bench.unit.stall_full.val());
        assert!(bench.slaves.iter().all(|s| s.beat.is_none()) || bench.unit.rready.iter().any(|r| r.val()));
    }
    let issued: u64 = bench
        .slaves
        .iter()
        .flat_map(|s| &s.accepted)
        .map(|(_, beats)| beats)
        .sum();
    assert_eq!(issued as usize, config.weight_words, "issues exactly what fits");
    assert_eq!(bench.unit.stream_level.val().index(), config.weight_words);
    assert!(stalled > 1_000 && !bench.unit.outstanding_any.val());
    bench.appetite = 100;
    bench.run_until("the rest", |b| b.done == 1 && b.received.len() == 4096 * 16);
    assert!(bench.received.iter().copied().eq(bytes(PROGRAM, 4096)));
}

#[test]
fn nobody_chose_any_expert() {
    let mut bench = Bench::new(
        &config("nano", 2),
        Behaviour {
            latency: 40,
            ..Behaviour::IDEAL
        },
        1,
    );
    bench.send(command::Fetch {
        beats: 64,
        ..Default::default()
    });
    bench.route(0);
    bench.send(experts(16));
    bench.run_until("both ends", |b| b.done == 2 && b.received.len() == 64 * 16);
    assert_eq!((bench.skipped, bench.tickets.len()), (16, 16));
    assert!(!bench.tickets.contains(&true));
}

fn experts(expert_count: u32) -> command::Fetch {
    command::Fetch {
        experts: 1,
        expert_count,
        beats: 64,
        expert_stride: 64,
        ..Default::default()
    }
}

/// The layer's Route finishes while its experts are fetched: all of them so far, then only the chosen ones; the next layer's
/// fetch begins before its Route again.
#[test]
fn experts_run_ahead_of_their_routing() {
    for wait in [0, 60, 150, 280] {
        let behaviour = Behaviour {
            latency: 10,
            ..Behaviour::IDEAL
        };
        let mut bench = Bench::new(&config("nano", 2), behaviour, wait);
        bench.send(experts(16));
        bench.send(experts(16));
        for _ in 0..wait {
            bench.step();
        }
        let before = bench.tickets.len();
        assert!(bench.tickets.iter().all(|&fetched| fetched));
        bench.route(NONEMPTY);
        bench.run_until("the second layer", |b| b.tickets.len() >= 16 + 3);
        let second = bench.tickets.len();
        bench.route(1 << 15);
        bench.run_until("the end", |b| b.done == 2);
        bench.run_until("the tickets", |b| b.tickets.len() == 32);
        let known = |e: usize| e > before + 1; // A decision may be under way.
        for (e, &fetched) in bench.tickets[..16].iter().enumerate() {
            assert!(fetched || NONEMPTY >> e & 1 == 0, "expert {e} was chosen");
            assert!(
                !(fetched && known(e)) || NONEMPTY >> e & 1 == 1,
                "expert {e} after {wait}"
            );
        }
        assert!(bench.tickets[16..second].iter().all(|&fetched| fetched));
        assert!(second < 28, "the second Route came too late");
        assert!(bench.tickets[31] && !bench.tickets[second + 2..31].contains(&true));
        let fetched = bench.tickets.iter().filter(|&&fetched| fetched).count();
        assert_eq!(bench.skipped, 32 - fetched);
        bench.run_until("the stream", |b| b.received.len() == fetched * 1024);
        let want = (0..32).filter(|&e| bench.tickets[e]);
        let want: Vec<u8> = want
            .flat_map(|e| bytes(PROGRAM + 1024 * (e as u64 % 16), 64))
            .collect();
        assert!(bench.received == want);
    }
}

#[test]
fn an_error_stops_new_bursts_drains_and_clears() {
    let (config, mut checked) = (config("nano", 4), 0);
    for (seed, beat) in [0u64, 7, 15, 16, 100, 511].into_iter().enumerate() {
        let behaviour = Behaviour {
            latency: 10,
            stall: 20,
            error_at: Some(PROGRAM + 16 * beat),
            silent: false,
        };
        let mut bench = Bench::new(&config, behaviour, seed as u64);
        bench.send(command::Fetch {
            beats: 2048,
            ..Default::default()
        });
        bench.run_until("the error", |b| b.unit.error.val());
        let burst = PROGRAM + 256 * (beat / 16);
        assert_eq!(u64::from(bench.unit.error_lo.val()), burst & 0xffff_ffff);
        assert_eq!(u64::from(bench.unit.error_hi.val()), burst >> 32);
        let on_the_way = |b: &Bench| b.slaves.iter().map(|s| s.accepted.len()).sum::<usize>();
        let waiting = bench.unit.arvalid.iter().filter(|v| v.val()).count();
        let before = on_the_way(&bench) + waiting;
        bench.run_until("the drain", |b| !b.unit.outstanding_any.val());
        assert_eq!(on_the_way(&bench), before, "issued after the error");
        assert!(bench.slaves.iter().all(|s| !s.owes()));
        bench.unit.flush.next = true;
        bench.step();
        bench.unit.flush.next = false;
        assert!(!bench.unit.error.val() && bench.unit.stream_level.val().index() == 0);
        bench.slaves.iter_mut().for_each(|s| s.behaviour.error_at = None);
        (bench.received, bench.done) = (vec![], 0);
        bench.send(command::Fetch {
            base: 1,
            beats: 64,
            ..Default::default()
        });
        bench.run_until("the next stream", |b| b.done == 1 && b.received.len() == 1024);
        assert!(bench.received.iter().copied().eq(bytes(IMAGE, 64)));
        checked += 1;
    }
    assert_eq!(checked, 6);
}

#[test]
fn hold_pauses_the_bus_and_a_silent_slave_hangs_nothing_else() {
    let mut bench = Bench::new(
        &config("nano", 2),
        Behaviour {
            latency: 5,
            ..Behaviour::IDEAL
        },
        1,
    );
    bench.send(command::Fetch {
        beats: 1024,
        ..Default::default()
    });
    for _ in 0..100 {
        bench.step();
    }
    bench.unit.hold.next = true;
    bench.run_until("quiet", |b| !b.unit.outstanding_any.val());
    for _ in 0..100 {
        bench.step();
        assert!(!bench.unit.outstanding_any.val());
    }
    bench.unit.hold.next = false;
    bench.run_until("the rest", |b| b.done == 1);
    bench.slaves.iter_mut().for_each(|s| s.behaviour.silent = true);
    bench.send(command::Fetch {
        beats: 1024,
        ..Default::default()
    });
    for _ in 0..500 {
        bench.step();
    }
    assert!(bench.unit.outstanding_any.val() && bench.done == 1);
}
