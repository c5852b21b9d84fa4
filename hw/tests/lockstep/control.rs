//! The blocks of this folder in Rust beside their exported Verilog; the sequencer has its run in its tests.

use crate::{lock_step, lock_step_with};
use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::{masks, Operation};
use moevit_hw::control::command_check::CommandCheck;
use moevit_hw::control::program_memory::ProgramMemory;
use moevit_hw::control::scoreboard::Scoreboard;
use moevit_hw::control::watchdog::Watchdog;
use moevit_hw::cosim::{Lockstep, Rng, Rule};

#[test]
fn watchdog() {
    let rules: [Rule; 3] = [
        ("limit", |rng| if rng.chance(95) { 9 } else { rng.below(4) }),
        ("busy", |rng| u64::from(rng.chance(97))),
        ("progress", |rng| u64::from(rng.chance(8))),
    ];
    lock_step("Watchdog", Watchdog::default, &rules, &[]);
}

#[test]
fn scoreboard() {
    // More ends than starts as well as the other way round: the counters wrap like their Verilog's.
    let rules: [Rule; 3] = [
        ("go", |rng| u64::from(rng.chance(20))),
        ("unit_done", |rng| u64::from(rng.chance(10))),
        ("reset", |rng| u64::from(rng.chance(2))),
    ];
    lock_step("Scoreboard", Scoreboard::new, &rules, &[]);
}

#[test]
fn program_memory() {
    for (name, commands) in [("nano", 12), ("zcu104", 10)] {
        let config = AccelConfig {
            program_commands: commands,
            ..AccelConfig::named(name).unwrap()
        };
        let rules: [Rule; 2] = [
            ("restart", |rng| u64::from(rng.chance(2))),
            ("index", |rng| rng.below(14)),
        ];
        lock_step("ProgramMemory", || ProgramMemory::new(&config), &rules, &[]);
    }
}

/// Random fields of a random opcode, mostly nothing beside them, and zero often enough to break a rule.
fn words(rng: &mut Rng) -> [u64; 8] {
    let (opcode, _, fields) = Operation::TABLE[rng.below(Operation::TABLE.len() as u64) as usize];
    let masks = masks(fields);
    let mut words: [u64; 8] = std::array::from_fn(|i| {
        let noise = if rng.chance(30) {
            0
        } else {
            rng.bits(32) << (4 * rng.below(2))
        };
        noise & u64::from(masks[i])
    });
    if rng.chance(90) {
        words[0] = words[0] & !15 | u64::from(opcode);
    }
    if rng.chance(10) {
        words[rng.below(8) as usize] ^= 1 << rng.below(32);
    }
    words
}

#[test]
fn command_check() {
    for name in ["nano", "zcu104"] {
        let config = AccelConfig::named(name).unwrap();
        let mut legal = 0;
        lock_step_with(
            Lockstep::of("CommandCheck", || CommandCheck::new(&config)),
            &[],
            &[],
            |u, rng, _| {
                legal += u64::from(u.legal.val());
                let words = words(rng);
                for (port, word) in u.command.iter_mut().zip(words) {
                    port.next = (word & 0xffff_ffff).into();
                }
            },
        );
        assert!(
            (20_000..90_000).contains(&legal),
            "{name}: {legal} of 100,000 were legal"
        );
    }
}
