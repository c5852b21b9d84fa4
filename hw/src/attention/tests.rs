//! The softmax unit and its cells against `numerics`, with an activation memory that stalls.

use super::reciprocal::Reciprocal;
use super::softmax::{overhead_cycles, SoftmaxUnit};
use crate::config::AccelConfig;
use crate::control::command::{Command, Operation, Softmax, Wait, ALL_TASKS};
use crate::cosim::{settle, tick, Rng};
use crate::numerics::exp2::probability;
use crate::numerics::reciprocal::{reciprocal, Reciprocal as Value};
use rust_hdl::prelude::*;
use std::collections::BTreeMap;

type Bytes = BTreeMap<(usize, usize), Vec<u8>>;

struct Bench {
    uut: SoftmaxUnit,
    config: AccelConfig,
    scores: Vec<Vec<i16>>,
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
        let mut uut = SoftmaxUnit::new(&config);
        uut.connect_all();
        settle(&mut uut).unwrap();
        let scores = vec![vec![0; config.columns]; config.score_words];
        let rng = Rng::new(seed);
        Self {
            uut,
            config,
            scores,
            rng,
            stall,
        }
    }

    fn fill(&mut self, mut score: impl FnMut(&mut Rng) -> i16) {
        for x in self.scores.iter_mut().flatten() {
            *x = score(&mut self.rng);
        }
    }

    fn clock(&mut self) {
        tick(&mut self.uut, |u, level| u.clock.next = level.into()).unwrap();
    }

    fn offer(&mut self, softmax: &Softmax) {
        let command = Command {
            tasks: ALL_TASKS,
            wait: Wait::NONE,
            operation: Operation::Softmax(*softmax),
        };
        for (port, word) in self.uut.command.iter_mut().zip(command.encode().unwrap()) {
            port.next = u64::from(word).into();
        }
        self.uut.command_valid.next = true;
    }

    fn run(&mut self, softmax: &Softmax) -> Outcome {
        let (mut written, mut writes) = (Bytes::new(), 0);
        let mut held: Option<(usize, Vec<bool>)> = None;
        let mut arriving = [0; 2];
        self.offer(softmax);
        for cycles in 1..200_000 {
            let accepted = self.uut.command_ready.val();
            self.uut.write_ready.next = !self.rng.chance(self.stall);
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
            arriving = [self.uut.read_address.val().index(), arriving[0]];
            self.clock();
            if accepted {
                self.uut.command_valid.next = false;
            }
            let word = self.scores.get(arriving[1]);
            for (c, port) in self.uut.read_data.iter_mut().enumerate() {
                port.next = u64::from(word.map_or(0, |w| w[c] as u16)).into();
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

    fn expected(&self, softmax: &Softmax) -> (Bytes, Vec<Value>) {
        let (groups, columns, keys) = (self.config.groups(), self.config.columns, softmax.keys as usize);
        let (mut bytes, mut sums) = (Bytes::new(), vec![]);
        for q in 0..softmax.queries as usize {
            let first = softmax.src_base as usize + q * softmax.src_stride as usize;
            let row: Vec<i16> = self.scores[first..]
                .iter()
                .flatten()
                .take(keys)
                .copied()
                .collect();
            let maximum = i32::from(*row.iter().max().unwrap());
            let p: Vec<u8> = row
                .iter()
                .map(|&s| probability((maximum - i32::from(s)) as u32))
                .collect();
            sums.push(reciprocal(p.iter().map(|&p| u32::from(p)).sum()));
            for (i, chunk) in p.chunks(columns).enumerate() {
                let address = softmax.dst_base as usize + q * softmax.dst_stride as usize + i / groups;
                let mut word: Vec<u8> = chunk.iter().map(|&p| p.wrapping_sub(128)).collect();
                word.resize(columns, 128);
                bytes.insert((address, i % groups), word);
            }
        }
        (bytes, sums)
    }

    fn factor(&mut self, bank: u32, row: usize) -> Value {
        self.uut.factor_bank.next = bank == 1;
        self.uut.factor_row.next = (row as u64).into();
        (0..2).for_each(|_| self.clock());
        Value {
            mantissa: self.uut.factor_mantissa.val().index() as u16,
            exponent: self.uut.factor_exponent.val().index() as u32,
        }
    }

    fn check(&mut self, softmax: &Softmax) -> Outcome {
        let outcome = self.run(softmax);
        let (bytes, sums) = self.expected(softmax);
        assert_eq!(outcome.written, bytes);
        assert_eq!(outcome.writes, bytes.len());
        for (row, want) in sums.iter().enumerate() {
            assert_eq!(self.factor(softmax.sum_bank, row), *want, "row {row}");
        }
        outcome
    }
}

fn command(queries: u32, keys: u32, sum_bank: u32) -> Softmax {
    let words = keys.div_ceil(8);
    Softmax {
        src_base: 3,
        dst_base: 11,
        queries,
        keys,
        src_stride: words + 1,
        dst_stride: words.div_ceil(2) + 2,
        sum_bank,
    }
}

#[test]
fn random_rows_match_numerics_under_back_pressure() {
    let mut compared = 0;
    for (seed, stall) in [(1, 0), (2, 30), (3, 70)] {
        let mut bench = Bench::new(seed, stall);
        for round in 0..12 {
            let amplitude = 1 << (4 + round);
            bench.fill(|rng| rng.between(-amplitude, amplitude - 1) as i16);
            let (queries, keys) = (1 + bench.rng.below(12) as u32, 1 + bench.rng.below(64) as u32);
            compared += 8 * bench.check(&command(queries, keys, round as u32 % 2)).writes;
        }
    }
    assert!(compared > 7_000, "{compared}");
}

#[test]
fn corners_single_key_equal_scores_and_extremes() {
    let mut bench = Bench::new(4, 10);
    for (round, score) in [i16::MIN, i16::MAX, 0, -256].into_iter().enumerate() {
        bench.fill(|_| score);
        bench.check(&command(5, [1, 8, 9, 64][round], 0));
    }
    bench.fill(|rng| if rng.chance(50) { i16::MIN } else { i16::MAX });
    bench.check(&command(9, 33, 1));
    bench.fill(|_| i16::MIN);
    bench.scores[3][2] = i16::MAX;
    let outcome = bench.check(&command(1, 16, 0));
    assert_eq!(
        outcome.written[&(11, 0)],
        [128, 128, 127, 128, 128, 128, 128, 128]
    );
}

#[test]
fn the_banks_keep_their_rows_apart() {
    let mut bench = Bench::new(7, 0);
    bench.fill(|rng| rng.next_u64() as i16);
    bench.check(&command(20, 30, 0));
    let (_, before) = bench.expected(&command(20, 30, 0));
    bench.check(&command(20, 7, 1));
    for (row, want) in before.iter().enumerate() {
        assert_eq!(bench.factor(0, row), *want);
    }
}

#[test]
fn empty_commands_end_without_a_write() {
    let mut bench = Bench::new(5, 0);
    for (queries, keys) in [(0, 8), (3, 0), (0, 0)] {
        let outcome = bench.run(&command(queries, keys, 0));
        assert_eq!((outcome.writes, outcome.cycles < 12), (0, true));
    }
    bench.check(&command(2, 5, 0));
}

#[test]
fn writes_a_word_a_cycle() {
    let mut bench = Bench::new(6, 0);
    bench.fill(|rng| rng.next_u64() as i16);
    for (queries, keys) in [(64, 64), (50, 33), (64, 16), (3, 2_000)] {
        let outcome = bench.run(&command(queries, keys, 0));
        let words = keys.div_ceil(8) as usize;
        assert_eq!(outcome.writes, queries as usize * words);
        let limit = outcome.writes + overhead_cycles(8, words);
        assert!(
            outcome.cycles <= limit,
            "{queries} x {keys}: {} cycles, limit {limit}",
            outcome.cycles
        );
    }
}

#[test]
fn the_reciprocal_cell_gives_every_exponent() {
    let mut cell = Reciprocal::new();
    let mut rng = Rng::new(8);
    let mut want = std::collections::VecDeque::new();
    let mut compared = 0;
    cell.connect_all();
    for round in 0..4_000u32 {
        let x = rng.bits(1 + round as usize % 24) as u32;
        cell.valid.next = true;
        cell.x.next = u64::from(x).into();
        want.push_back(reciprocal(x));
        tick(&mut cell, |c, level| c.clock.next = level.into()).unwrap();
        if cell.done.val() {
            let got = Value {
                mantissa: cell.mantissa.val().index() as u16,
                exponent: cell.exponent.val().index() as u32,
            };
            assert_eq!(Some(got), want.pop_front());
            compared += 1;
        }
    }
    assert!(compared > 3_900);
}
