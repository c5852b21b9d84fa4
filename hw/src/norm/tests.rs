//! The norm unit against `numerics::layer_norm`, with memories that stall.

use super::layer_norm::{overhead_cycles, NormUnit};
use crate::config::AccelConfig;
use crate::control::command::{Command, Norm, Operation, Wait, ALL_TASKS};
use crate::cosim::{settle, tick, Rng};
use crate::numerics::byte_planes;
use crate::numerics::layer_norm::{element, row_scale, NormSettings};
use rust_hdl::prelude::*;
use std::collections::BTreeMap;

type Bytes = BTreeMap<(usize, usize), Vec<u8>>;

struct Bench {
    uut: NormUnit,
    config: AccelConfig,
    residual: Vec<Vec<i16>>,
    rng: Rng,
    stall: u64,
}

/// What a command wrote, in how many cycles.
struct Outcome {
    written: Bytes,
    writes: usize,
    cycles: usize,
}

impl Bench {
    fn new(seed: u64, stall: u64) -> Self {
        let config = AccelConfig::named("nano").unwrap();
        let mut uut = NormUnit::new(&config);
        uut.connect_all();
        settle(&mut uut).unwrap();
        let residual = vec![vec![0; config.columns]; config.residual_words];
        Self {
            uut,
            config,
            residual,
            rng: Rng::new(seed),
            stall,
        }
    }

    fn fill(&mut self, mut value: impl FnMut(&mut Rng, usize) -> i16) {
        for (address, word) in self.residual.iter_mut().enumerate() {
            word.iter_mut().for_each(|x| *x = value(&mut self.rng, address));
        }
    }

    fn offer(&mut self, norm: &Norm) {
        let command = Command {
            tasks: ALL_TASKS,
            wait: Wait::NONE,
            operation: Operation::Norm(*norm),
        };
        for (port, word) in self.uut.command.iter_mut().zip(command.encode().unwrap()) {
            port.next = u64::from(word).into();
        }
        self.uut.command_valid.next = true;
    }

    /// Offers a command and serves the memories until `done`.
    fn run(&mut self, norm: &Norm) -> Outcome {
        let (mut written, mut writes) = (Bytes::new(), 0);
        let mut held: Option<(usize, Vec<bool>)> = None;
        let mut arriving = [None, None];
        self.offer(norm);
        for cycles in 1..200_000 {
            let accepted = self.uut.command_ready.val();
            self.uut.read_ready.next = !self.rng.chance(self.stall);
            self.uut.write_ready.next = !self.rng.chance(self.stall);
            let granted = self.uut.read_valid.val() && self.uut.read_ready.next;
            let address = self.uut.read_address.val().index();
            let groups: Vec<bool> = self.uut.write_valid.iter().map(|v| v.val()).collect();
            let target = self.uut.write_address.val().index();
            if let Some(before) = held.take() {
                assert_eq!(before, (target, groups.clone()), "a stalled write moved");
            }
            match (groups.iter().position(|&v| v), self.uut.write_ready.next) {
                (Some(group), true) => {
                    let bytes = self.uut.write_data.iter().map(|b| b.val().index() as u8);
                    written.insert((target, group), bytes.collect());
                    writes += 1;
                }
                (Some(_), false) => held = Some((target, groups)),
                _ => {}
            }
            arriving = [granted.then_some(address), arriving[0]];
            tick(&mut self.uut, |u, level| u.clock.next = level.into()).unwrap();
            if accepted {
                self.uut.command_valid.next = false;
            }
            for c in 0..self.config.columns {
                let x = arriving[1].map_or(0x5a5a, |a: usize| self.residual[a][c] as u16);
                self.uut.read_data[c].next = u64::from(x).into();
            }
            if self.uut.done.val() {
                return Outcome {
                    written,
                    writes,
                    cycles,
                };
            }
        }
        panic!("no end");
    }

    fn expected(&self, norm: &Norm) -> Bytes {
        let settings = NormSettings {
            width: norm.width,
            inverse_width: norm.inverse_width,
            epsilon: norm.epsilon,
            mantissa: norm.mantissa as u16,
            shift: norm.shift,
        };
        let (groups, words) = (self.config.groups(), norm.row_words as usize);
        let mut bytes = Bytes::new();
        for t in 0..norm.tokens as usize {
            let first = norm.src_base as usize + t * words;
            let row = &self.residual[first..first + words];
            let all = || row.iter().flatten().map(|&x| i64::from(x));
            let scale = row_scale(all().sum(), all().map(|x| (x * x) as u64).sum(), &settings);
            for (i, word) in row.iter().enumerate() {
                let address = norm.dst_base as usize + t * norm.dst_stride as usize + i / groups;
                let lane = |x: &i16| element(*x, &scale, norm.wide == 1);
                if norm.wide == 1 {
                    let high = word.iter().map(|x| byte_planes(lane(x)).0 as u8).collect();
                    let low = word.iter().map(|x| byte_planes(lane(x)).1 as u8).collect();
                    bytes.insert((address, i % groups), high);
                    bytes.insert((address + words / groups, i % groups), low);
                } else {
                    bytes.insert(
                        (address, i % groups),
                        word.iter().map(|x| lane(x) as u8).collect(),
                    );
                }
            }
        }
        bytes
    }

    fn check(&mut self, norm: &Norm) -> Outcome {
        let outcome = self.run(norm);
        let want = self.expected(norm);
        assert_eq!(outcome.written, want);
        assert_eq!(outcome.writes, want.len());
        outcome
    }
}

fn command(tokens: u32, row_words: u32, wide: bool) -> Norm {
    let width = 8 * row_words;
    Norm {
        src_base: 5,
        dst_base: 40,
        tokens,
        row_words,
        wide: u32::from(wide),
        dst_stride: 2 * row_words + 1,
        width,
        shift: 18 + if wide { 0 } else { 7 },
        inverse_width: ((1u64 << 32) / u64::from(width)) as u32,
        epsilon: 100,
        mantissa: 40_000,
    }
}

#[test]
fn random_rows_match_numerics_under_back_pressure() {
    let mut compared = 0;
    for (seed, stall) in [(1, 0), (2, 30), (3, 70)] {
        let mut bench = Bench::new(seed, stall);
        for round in 0..12 {
            let amplitude = 1 << (3 + round);
            bench.fill(|rng, _| rng.between(-amplitude, amplitude - 1) as i16);
            let (tokens, words) = (1 + bench.rng.below(9) as u32, 2 + 2 * bench.rng.below(6) as u32);
            let norm = command(tokens, words, round % 2 == 1);
            compared += 8 * bench.check(&norm).writes;
        }
    }
    assert!(compared > 10_000, "{compared}");
}

#[test]
fn constant_extreme_and_single_word_rows() {
    let mut bench = Bench::new(4, 10);
    bench.fill(|_, address| [i16::MIN, i16::MAX, 0, -1][address / 8 % 4]);
    for (tokens, words) in [(4, 8), (40, 1), (7, 4), (1, 100)] {
        let outcome = bench.check(&command(tokens, words, false));
        assert!(outcome.writes as u32 == tokens * words);
    }
    bench.fill(|rng, _| if rng.chance(50) { i16::MIN } else { i16::MAX });
    bench.check(&command(6, 8, true));
}

#[test]
fn empty_commands_end_without_a_write() {
    let mut bench = Bench::new(5, 0);
    for (tokens, words) in [(0, 8), (3, 0)] {
        let outcome = bench.run(&Norm {
            tokens,
            row_words: words,
            ..command(1, 1, false)
        });
        assert_eq!((outcome.writes, outcome.cycles < 10), (0, true));
    }
}

#[test]
fn writes_a_word_a_cycle() {
    let mut bench = Bench::new(6, 0);
    bench.fill(|rng, _| rng.next_u64() as i16);
    for (tokens, words, wide) in [
        (64, 6, false),
        (64, 8, false),
        (40, 8, true),
        (64, 3, false),
        (6, 100, false),
    ] {
        let outcome = bench.check(&command(tokens, words, wide));
        let limit = outcome.writes + overhead_cycles(8, words as usize);
        assert!(
            outcome.cycles <= limit,
            "{tokens} rows of {words} words: {} cycles, limit {limit}",
            outcome.cycles
        );
    }
}
