//! The blocks of this folder in Rust beside their exported Verilog, the masters with slaves that stall and fail now and then.

use crate::test_slave::{Behaviour, ReadSlave};
use crate::{lock_step, lock_step_with};
use moevit_hw::bus::axi_lite::AxiLite;
use moevit_hw::bus::burst_issuer::BurstIssuer;
use moevit_hw::bus::counters::Counters;
use moevit_hw::bus::fetch::FetchUnit;
use moevit_hw::bus::read_port::ReadPort;
use moevit_hw::bus::register_decoder::RegisterDecoder;
use moevit_hw::bus::register_table::offset;
use moevit_hw::bus::registers::Registers;
use moevit_hw::bus::write_port::WriteUnit;
use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::{Command, Fetch, Operation, Wait, Write, ALL_TASKS};
use moevit_hw::cosim::{Lockstep, Rng, Rule};
use moevit_hw::prelude::*;
use std::collections::VecDeque;

fn config(name: &str, read_ports: usize) -> AccelConfig {
    AccelConfig {
        read_ports,
        weight_words: 64,
        ..AccelConfig::named(name).unwrap()
    }
}

fn set(ports: &mut [Signal<In, Bits<32>>], operation: Operation) {
    let command = Command {
        tasks: ALL_TASKS,
        wait: Wait::NONE,
        operation,
    };
    for (port, word) in ports.iter_mut().zip(command.encode().unwrap()) {
        port.next = u64::from(word).into();
    }
}

/// A few bursts, of one place or of some experts.
fn fetch(rng: &mut Rng) -> Operation {
    let aligned = |rng: &mut Rng, limit| 16 * rng.below(limit) as u32;
    Operation::Fetch(Fetch {
        base: rng.bits(1) as u32,
        experts: rng.bits(1) as u32,
        expert_count: 1 + rng.below(8) as u32,
        offset: aligned(rng, 1 << 20),
        beats: 8 * (1 + rng.below(8) as u32),
        task_stride: aligned(rng, 50),
        expert_stride: aligned(rng, 50),
    })
}

#[test]
fn counters() {
    let rules: [Rule; 1] = [("clear", |rng| u64::from(rng.chance(1)))];
    lock_step("Counters", || Counters::new(5), &rules, &[]);
}

#[test]
fn register_decoder() {
    lock_step("RegisterDecoder", RegisterDecoder::default, &[], &[]);
}

#[test]
fn registers() {
    // CTRL, the interrupts, STATUS and TASK often, so that frames of all tasks start and errors are cleared.
    let address: fn(&mut Rng) -> u64 = |rng| match rng.below(3) {
        0 => {
            let names = ["CTRL", "CTRL", "GIER", "IP_IER", "IP_ISR", "STATUS", "TASK"];
            offset(names[rng.below(7) as usize]).unwrap().into()
        }
        _ => rng.bits(8),
    };
    let rules: [Rule; 5] = [
        ("awaddr", address),
        ("araddr", address),
        ("done", |rng| u64::from(rng.chance(4))),
        ("taken", |rng| u64::from(rng.chance(2))),
        ("error_code", |rng| if rng.chance(90) { 0 } else { rng.below(5) }),
    ];
    // Every answer is OKAY.
    let constant = ["bresp", "rresp"];
    lock_step(
        "Registers",
        || Registers::new(&config("zcu104", 4)),
        &rules,
        &constant,
    );
}

#[test]
fn axi_lite() {
    lock_step("AxiLite", AxiLite::new, &[], &["bresp", "rresp"]);
}

#[test]
fn burst_issuer() {
    for (name, ports) in [("nano", 1), ("nano", 3), ("zcu104", 4)] {
        let config = config(name, ports);
        let rules: [Rule; 4] = [
            ("hold", |rng| u64::from(rng.chance(3))),
            // About as often as a layer is fetched.
            ("routed", |rng| u64::from(rng.below(300) == 0)),
            ("consumed", |rng| u64::from(rng.chance(10))),
            ("collected_final", |rng| u64::from(rng.chance(10))),
        ];
        lock_step_with(
            Lockstep::of("BurstIssuer", || BurstIssuer::new(&config)),
            &rules,
            &[],
            |u, rng, _| set(&mut u.command, fetch(rng)),
        );
    }
}

/// A read slave beside the circuit: it sees a cycle's handshakes when the next one begins.
struct Board {
    slave: ReadSlave,
    address: Option<(u64, u64)>,
    rready: bool,
}

impl Board {
    fn new(seed: u64) -> Self {
        Self {
            slave: ReadSlave::new(Behaviour::IDEAL, seed),
            address: None,
            rready: false,
        }
    }

    /// Ends the cycle before and begins one in which the circuit drives these.
    fn cycle(&mut self, rng: &mut Rng, address: Option<(u64, u64)>, rready: bool) {
        self.slave.edge(self.address, self.rready);
        (self.address, self.rready) = (address, rready);
        if rng.below(700) == 0 {
            self.slave.behaviour = Behaviour {
                latency: 1 + rng.below(30),
                stall: [0, 10, 50, 90][rng.below(4) as usize],
                ..Behaviour::IDEAL
            };
        }
        self.slave.behaviour.error_at = match rng.below(200) {
            0 => self.slave.accepted.last().map(|(at, _)| *at),
            _ => self.slave.behaviour.error_at,
        };
    }
}

fn wide(low: Bits<32>, high: Bits<32>) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

#[test]
fn read_port() {
    for (name, constant) in [("nano", &[][..]), ("zcu104", &[])] {
        let mut board = Board::new(1);
        let config = config(name, 1);
        lock_step_with(
            Lockstep::of("ReadPort", || ReadPort::new(&config)),
            &[("reset", |_| 0)],
            constant,
            |u, rng, cycle| {
                if cycle == 0 {
                    board = Board::new(cycle);
                }
                let address = wide(u.araddr_lo.val(), u.araddr_hi.val());
                let address = u.arvalid.val().then(|| (address, u.arlen.val().into()));
                board.cycle(rng, address, u.rready.val());
                // A failed port is reset once nothing is owed to it.
                let idle = !board.slave.owes() && !u.busy.val() && address.is_none();
                u.reset.next = cycle < 2 || idle && u.error.val() && rng.chance(20);
                u.burst_valid.next &= !u.reset.next && !u.error.val();
                u.burst_lo.next = (rng.bits(24) << 8).into();
                u.burst_beats.next = (8 * (1 + rng.bits(1))).into();
                u.arready.next = board.slave.arready;
                let beat = board.slave.beat;
                u.rvalid.next = beat.is_some();
                u.rresp.next = beat.map_or(0, |b| b.response).into();
                u.rlast.next = beat.is_some_and(|b| b.last);
            },
        );
    }
}

/// Routes that are at most one layer ahead of the fetches for experts.
#[derive(Default)]
struct Layers {
    /// Accepted commands that are not done: whether for experts.
    commands: VecDeque<bool>,
    /// Layers fetched, less the layers routed.
    ahead: i64,
    was_held: bool,
}

impl Layers {
    fn cycle(&mut self, u: &mut FetchUnit, rng: &mut Rng) {
        if u.done.val() && self.commands.pop_front() == Some(true) {
            self.ahead += 1;
        }
        u.routed.next = self.ahead >= 0 && rng.chance(5);
        self.ahead -= i64::from(u.routed.next);
        // Whether a command is taken must be known here.
        u.command_valid.next &= !u.hold.next && !self.was_held && !u.reset.next;
        self.was_held = u.hold.next;
        if u.command_valid.next && u.command_ready.val() {
            self.commands.push_back(u.command[2].next & 2 != 0);
        }
        if u.reset.next {
            *self = Self::default();
        }
    }
}

#[test]
fn fetch_unit() {
    for (name, ports) in [("nano", 1), ("nano", 3), ("zcu104", 4)] {
        let config = config(name, ports);
        let (mut boards, mut layers) = (vec![], Layers::default());
        lock_step_with(
            Lockstep::of("FetchUnit", || FetchUnit::new(&config)),
            &[
                ("reset", |_| 0),
                ("flush", |_| 0),
                ("hold", |rng| u64::from(rng.chance(2))),
            ],
            &[],
            |u, rng, cycle| {
                if cycle == 0 {
                    boards = (0..ports as u64).map(Board::new).collect();
                }
                for (p, board) in boards.iter_mut().enumerate() {
                    let address = wide(u.araddr_lo[p].val(), u.araddr_hi[p].val());
                    let address = u.arvalid[p].val().then(|| (address, u.arlen[p].val().into()));
                    board.cycle(rng, address, u.rready[p].val());
                    u.arready[p].next = board.slave.arready;
                    let beat = board.slave.beat;
                    u.rvalid[p].next = beat.is_some();
                    u.rresp[p].next = beat.map_or(0, |b| b.response).into();
                    u.rlast[p].next = beat.is_some_and(|b| b.last);
                }
                let idle = !u.outstanding_any.val() && boards.iter().all(|b| !b.slave.owes());
                u.reset.next = cycle < 2 || idle && u.error.val() && rng.chance(10);
                u.command_valid.next &= !u.reset.next;
                // Bases of whole bursts.
                for base in [&mut u.program_lo, &mut u.image_lo] {
                    base.next = (rng.bits(24) << 8).into();
                }
                set(&mut u.command, fetch(rng));
                layers.cycle(u, rng);
            },
        );
    }
}

#[test]
fn write_unit() {
    let mut owed = 0;
    // What the circuit drove when the cycle before began.
    let mut beat_ends = false;
    lock_step_with(
        Lockstep::of("WriteUnit", || WriteUnit::new(&config("nano", 1))),
        &[("reset", |_| 0), ("hold", |rng| u64::from(rng.chance(3)))],
        &[],
        |u, rng, cycle| {
            owed += u64::from(beat_ends && u.wready.val());
            if cycle == 0 {
                owed = 0;
            }
            let write = Write {
                src_base: rng.bits(16) as u32,
                beats: 1 + rng.below(40) as u32,
                offset: 16 * rng.bits(16) as u32,
            };
            set(&mut u.command, Operation::Write(write));
            u.result_lo.next = (rng.bits(24) << 8).into();
            beat_ends = u.wvalid.val() && u.wlast.val();
            u.bvalid.next = owed > 0 && rng.chance(30);
            owed -= u64::from(u.bvalid.next);
            u.bresp.next = (if rng.below(15) == 0 { 2 } else { 0 }).into();
            u.reset.next = cycle < 2 || u.error.val() && !u.busy.val() && owed == 0 && rng.chance(10);
        },
    );
}
