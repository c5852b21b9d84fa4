//! Whole commands through the feed unit, compared with integer matrix products.

use super::accumulator_column::PLANE_SHIFTS;
use super::bench::Random;
use super::feed_bench::{Bench, CopyWrite, Offer, Pace};
use crate::config::AccelConfig;
use crate::control::command::{Command, Copy, Discard, MatMul, Operation, Wait, ALL_TASKS};
use std::time::Instant;

const LANE_OF_WORD: [usize; 8] = [3, 2, 1, 0, 7, 6, 5, 4];

/// What the commands of a test must produce.
#[derive(Default)]
struct Wanted {
    /// Groups, rows, columns.
    groups: Vec<Vec<Vec<i32>>>,
    parameters: Vec<Vec<u8>>,
    copies: Vec<CopyWrite>,
}

struct Scenario {
    bench: Bench,
    wanted: Wanted,
}

/// Shift code of a plane, and whether its activations are the low ones.
fn plane_of(planes: u32, plane: usize) -> (usize, bool) {
    match (planes, plane) {
        (1, 0) => (1, false),
        (2, 0) => (2, false),
        (2, 1) => (1, false),
        (2, 2) => (1, true),
        (2, 3) => (0, true),
        _ => (0, false),
    }
}

fn encode(operation: Operation) -> [u32; 8] {
    Command {
        tasks: ALL_TASKS,
        wait: Wait::NONE,
        operation,
    }
    .encode()
    .unwrap()
}

impl Scenario {
    fn new(config: &AccelConfig, pace: Pace, seed: u64) -> Self {
        Self {
            bench: Bench::new(config, pace, seed),
            wanted: Wanted::default(),
        }
    }

    fn random_word(&mut self) -> Vec<u8> {
        let random = &mut self.bench.random;
        (0..self.bench.config.weight_word_bytes())
            .map(|_| random.next() as u8)
            .collect()
    }

    /// Queues a MatMul with everything that it consumes, and notes what it must produce.
    fn matmul(&mut self, m: MatMul, expert: usize, in_loop: bool) {
        let rows = if in_loop {
            self.bench.queues[expert].len()
        } else {
            m.tokens as usize
        };
        self.bench.offers.push_back(Offer {
            words: encode(Operation::MatMul(m)),
            expert,
            queue_length: self.bench.queues[expert].len(),
            in_loop,
            groups: m.n_tiles as usize,
            pairs: rows.div_ceil(2),
        });
        let planes = [1, 2, 4][m.planes as usize];
        for n in 0..m.n_tiles as usize {
            if n == 0 || m.hold_parameters == 0 {
                for _ in 0..self.bench.config.parameter_words() {
                    let word = self.random_word();
                    self.wanted.parameters.push(word.clone());
                    self.bench.stream.push_back(word);
                }
            }
            let mut group = vec![vec![0i32; self.bench.config.columns]; rows];
            for plane in 0..planes {
                for k in 0..m.k_tiles as usize {
                    let tile = self.tile(&m, n, k);
                    self.accumulate(&m, expert, plane, k, &tile, &mut group);
                }
            }
            self.wanted.groups.push(group);
        }
    }

    /// The tile's elements by lane and column; a stream tile is pushed to the stream.
    fn tile(&mut self, m: &MatMul, n: usize, k: usize) -> Vec<Vec<i64>> {
        let (r, c) = (self.bench.config.rows, self.bench.config.columns);
        let (base, stride) = (m.kv_base as usize, m.kv_stride as usize);
        let element = |lane: usize, column: usize, bench: &mut Bench| match m.stationary {
            0 if bench.random.chance(20) => *bench.random.pick(&[-127, 127]),
            0 => bench.random.signed(8).max(-127),
            1 => bench.kv_element(base, stride, n * c + column, k * r + lane),
            _ if k * r + lane >= m.kv_tokens as usize => 0,
            _ => bench.kv_element(base, stride, k * r + lane, n * c + column),
        };
        let tile: Vec<Vec<i64>> = (0..r)
            .map(|lane| {
                (0..c)
                    .map(|column| element(lane, column, &mut self.bench))
                    .collect()
            })
            .collect();
        if m.stationary == 0 {
            for lane in LANE_OF_WORD {
                let byte = |i: usize| tile[8 * (i / c) + lane][i % c] as u8;
                self.bench.stream.push_back((0..r / 8 * c).map(byte).collect());
            }
        }
        tile
    }

    fn accumulate(
        &self,
        m: &MatMul,
        expert: usize,
        plane: usize,
        k: usize,
        tile: &[Vec<i64>],
        group: &mut [Vec<i32>],
    ) {
        let (shift, low) = plane_of(m.planes, plane);
        let offset = if low { m.k_tiles as usize } else { 0 };
        for (row, sums) in group.iter_mut().enumerate() {
            let source = if m.routing == 1 {
                self.bench.queues[expert][row]
            } else {
                row
            };
            let address = m.src_base as usize + source * m.src_stride as usize + offset + k;
            let word = &self.bench.activation[address];
            for (column, sum) in sums.iter_mut().enumerate() {
                let product: i64 = word
                    .iter()
                    .zip(tile)
                    .map(|(&a, lane)| i64::from(a) * lane[column])
                    .sum();
                *sum = sum.wrapping_add((product << PLANE_SHIFTS[shift]) as i32);
            }
        }
    }

    /// Queues a Copy with its stream words.
    fn copy(&mut self, residual: bool, dst_base: usize, words: usize) {
        let copy = Copy {
            residual: residual.into(),
            dst_base: dst_base as u32,
            words: words as u32,
        };
        self.bench.offers.push_back(Offer {
            words: encode(Operation::Copy(copy)),
            ..Offer::default()
        });
        let config = &self.bench.config;
        let bytes = if residual {
            config.residual_word_bytes()
        } else {
            config.rows
        };
        let stream_words = (words * bytes).div_ceil(config.weight_word_bytes());
        let start = self.bench.stream.len();
        for _ in 0..stream_words {
            let word = self.random_word();
            self.bench.stream.push_back(word);
        }
        let all: Vec<u8> = self.bench.stream.iter().skip(start).flatten().copied().collect();
        for (i, chunk) in all.chunks(bytes).take(words).enumerate() {
            self.wanted.copies.push(CopyWrite {
                residual,
                address: dst_base + i,
                bytes: chunk.to_vec(),
            });
        }
    }

    /// Queues a Discard with its stream words.
    fn discard(&mut self, words: usize) {
        let discard = Discard { words: words as u32 };
        self.bench.offers.push_back(Offer {
            words: encode(Operation::Discard(discard)),
            ..Offer::default()
        });
        for _ in 0..words {
            let word = self.random_word();
            self.bench.stream.push_back(word);
        }
    }

    /// Compares everything that came out; returns the number of sums.
    fn check(&self) -> usize {
        let (bench, wanted) = (&self.bench, &self.wanted);
        assert_eq!(bench.parameters, wanted.parameters);
        assert_eq!(bench.copies, wanted.copies);
        assert_eq!(bench.groups.len(), wanted.groups.len());
        let mut compared = 0;
        for (g, (got, want)) in bench.groups.iter().zip(&wanted.groups).enumerate() {
            for (row, want) in want.iter().enumerate() {
                let sums: Vec<i32> = got[row / 2].iter().map(|pair| pair[row % 2]).collect();
                assert_eq!(&sums, want, "group {g}, row {row}");
                compared += want.len();
            }
        }
        compared
    }
}

/// A legal MatMul of a random shape.
fn random_matmul(config: &AccelConfig, random: &mut Random) -> MatMul {
    let planes = random.below(3) as u32;
    let k_tiles = 1 + random.below(3) as u32;
    let stationary = random.below(3) as u32;
    let sync = u32::from(random.chance(30));
    MatMul {
        src_base: random.below(200) as u32,
        src_stride: k_tiles * (1 + planes / 2) + random.below(4) as u32,
        k_tiles,
        n_tiles: 1 + random.below(3) as u32,
        tokens: *random.pick(&[1, 2, 3, 15, 16, 17, 31, config.max_tokens as u32 / 2]),
        planes,
        routing: random.below(3) as u32,
        stationary,
        sync,
        sync_by_tile: u32::from(stationary == 0 && random.chance(50)) & sync,
        hold_parameters: random.chance(50).into(),
        kv_base: random.below(100) as u32,
        kv_stride: 1 + random.below(6) as u32,
        kv_tokens: random.below(2 * config.rows) as u32,
        ..MatMul::default()
    }
}

fn fill_queues(scenario: &mut Scenario) {
    let tokens = scenario.bench.config.max_tokens;
    for expert in 0..scenario.bench.queues.len() {
        let length = *scenario.bench.random.pick(&[1, 2, 5, 16, 21, tokens / 2]);
        let random = &mut scenario.bench.random;
        scenario.bench.queues[expert] = (0..length).map(|_| random.below(tokens)).collect();
    }
}

/// Random commands of every kind at a pace; returns the number of compared sums.
fn random_commands(config: &AccelConfig, pace: Pace, commands: usize, seed: u64) -> usize {
    let mut scenario = Scenario::new(config, pace, seed);
    fill_queues(&mut scenario);
    for _ in 0..commands {
        if scenario.bench.random.chance(15) {
            let (residual, words) = (scenario.bench.random.chance(50), scenario.bench.random.below(12));
            let dst = scenario.bench.random.below(500);
            scenario.copy(residual, dst, words);
            continue;
        }
        if scenario.bench.random.chance(10) {
            let words = 1 + scenario.bench.random.below(40);
            scenario.discard(words);
            continue;
        }
        let mut m = random_matmul(config, &mut scenario.bench.random);
        let expert = scenario.bench.random.below(config.max_experts);
        let in_loop = m.routing != 0 && scenario.bench.random.chance(80);
        m.tokens = m.tokens.min(if m.routing == 0 {
            u32::MAX
        } else {
            scenario.bench.queues[expert].len() as u32
        });
        scenario.matmul(m, expert, in_loop);
    }
    scenario.bench.run();
    assert_eq!(scenario.bench.commands_done, commands);
    scenario.check()
}

fn nano() -> AccelConfig {
    AccelConfig::named("nano").unwrap()
}

#[test]
fn random_commands_match_at_full_pace() {
    let compared = random_commands(&nano(), Pace::FULL, 150, 1);
    assert!(compared >= 20_000, "{compared}");
}

#[test]
fn random_commands_match_under_random_stalls() {
    let slow = [
        Pace {
            stream: 30,
            commands: 20,
            parameters: 30,
            copies: 30,
            drain: 90,
        },
        Pace {
            stream: 95,
            commands: 90,
            parameters: 50,
            copies: 50,
            drain: 10,
        },
        Pace {
            stream: 70,
            commands: 60,
            parameters: 80,
            copies: 80,
            drain: 60,
        },
    ];
    for (seed, pace) in slow.into_iter().enumerate() {
        let compared = random_commands(&nano(), pace, 60, 10 + seed as u64);
        assert!(compared >= 7_000, "{compared}");
    }
}

#[test]
fn other_sizes_match() {
    for (rows, columns, commands) in [(32, 32, 12), (16, 16, 25), (64, 16, 12)] {
        let config = AccelConfig {
            rows,
            columns,
            max_tokens: 64,
            accumulator_pairs: 32,
            ..AccelConfig::named("zcu104").unwrap()
        };
        config.validate().unwrap();
        let compared = random_commands(
            &config,
            Pace {
                stream: 80,
                ..Pace::FULL
            },
            commands,
            3,
        );
        assert!(compared >= 2_000, "{rows} x {columns}: {compared}");
    }
}

#[test]
fn the_program_comes_before_the_commands() {
    let mut scenario = Scenario::new(
        &nano(),
        Pace {
            stream: 60,
            ..Pace::FULL
        },
        5,
    );
    let program: Vec<Vec<u8>> = (0..40).map(|_| scenario.random_word()).collect();
    scenario.bench.stream.extend(program.iter().cloned());
    scenario.bench.feed.start.next = true;
    scenario.bench.feed.program_load.next = 40u64.into();
    scenario.bench.cycle();
    scenario.matmul(
        MatMul {
            src_stride: 1,
            k_tiles: 1,
            n_tiles: 2,
            tokens: 9,
            ..MatMul::default()
        },
        0,
        false,
    );
    scenario.bench.run();
    assert_eq!(scenario.bench.program, program);
    assert_eq!(scenario.bench.programs_loaded, 1);
    assert_eq!(scenario.check(), 2 * 9 * 8);
}

/// Runs back-to-back commands without stalls; returns the idle cycles between the first and the last step, and the steps.
fn bubbles(m: MatMul, commands: usize) -> (usize, usize) {
    let mut scenario = Scenario::new(&nano(), Pace::FULL, 6);
    for _ in 0..commands {
        scenario.matmul(m, 0, false);
    }
    scenario.bench.run();
    let sums = commands * (m.n_tiles * m.tokens) as usize * nano().columns;
    assert_eq!(scenario.check(), sums);
    let bench = &scenario.bench;
    (bench.last_busy + 1 - bench.first_busy - bench.busy, bench.busy)
}

#[test]
fn passes_follow_each_other_without_a_bubble() {
    let base = MatMul {
        src_stride: 6,
        k_tiles: 6,
        n_tiles: 4,
        tokens: 16,
        hold_parameters: 1,
        ..MatMul::default()
    };
    // Passes of eight steps have no time to spare: every block of parameters costs its words and a cycle.
    let block = nano().parameter_words() + 1;
    assert_eq!(bubbles(base, 1), (0, 4 * 6 * 8));
    assert_eq!(bubbles(base, 4), (3 * block, 4 * 4 * 6 * 8));
    assert_eq!(
        bubbles(
            MatMul {
                hold_parameters: 0,
                ..base
            },
            1
        ),
        (3 * block, 4 * 6 * 8)
    );
    // Longer ones hide it.
    assert_eq!(
        bubbles(
            MatMul {
                tokens: 26,
                hold_parameters: 0,
                ..base
            },
            4
        ),
        (0, 4 * 4 * 6 * 13)
    );
    let wide = MatMul {
        tokens: 64,
        planes: 2,
        src_stride: 12,
        hold_parameters: 0,
        ..base
    };
    assert_eq!(bubbles(wide, 2), (0, 2 * 4 * 4 * 6 * 32));
    // A key/value tile loads in R cycles.
    let keys = MatMul {
        tokens: 64,
        stationary: 1,
        kv_stride: 2,
        hold_parameters: 0,
        ..base
    };
    assert_eq!(bubbles(keys, 4), (0, 4 * 4 * 6 * 32));
}

/// Eight groups of one command are the four activation words of a row that the next one reads tile by tile.
#[test]
fn a_pass_by_tile_waits_only_for_its_own_words() {
    let config = nano();
    let pace = Pace {
        drain: 10,
        ..Pace::FULL
    };
    let mut scenario = Scenario::new(&config, pace, 10);
    let (k_tiles, source) = (4, 1_000);
    let writer = MatMul {
        src_stride: 2,
        k_tiles: 2,
        n_tiles: k_tiles * config.groups() as u32,
        tokens: 40,
        ..MatMul::default()
    };
    let reader = MatMul {
        src_base: source as u32,
        src_stride: k_tiles,
        k_tiles,
        n_tiles: 2,
        tokens: 40,
        sync: 1,
        sync_by_tile: 1,
        ..MatMul::default()
    };
    scenario.matmul(writer, 0, false);
    scenario.matmul(reader, 0, false);
    scenario.bench.run();
    assert_eq!(scenario.check(), (8 + 2) * 40 * 8);
    for k in 0..k_tiles as usize {
        let first = |&&(_, address): &&(usize, usize)| address >= source && (address - source) % 4 == k;
        let (stored, _) = scenario.bench.reads_at.iter().find(first).unwrap();
        assert!(
            *stored >= config.groups() * (k + 1),
            "tile {k} after {stored} groups"
        );
        // Not all of them: only the accumulator banks keep the first pass back.
        assert!(k > 0 || *stored < 8, "tile {k} after {stored} groups");
    }
}

#[test]
fn stalls_are_reported_by_cause() {
    let m = MatMul {
        src_stride: 2,
        k_tiles: 2,
        n_tiles: 4,
        tokens: 40,
        sync: 1,
        ..MatMul::default()
    };
    let stalls = |pace: Pace| {
        let mut scenario = Scenario::new(&nano(), pace, 8);
        (0..4).for_each(|_| scenario.matmul(m, 0, false));
        scenario.bench.run();
        assert_eq!(scenario.check(), 4 * 4 * 40 * 8);
        scenario.bench.stalls
    };
    let [stream, _, _] = stalls(Pace {
        stream: 10,
        ..Pace::FULL
    });
    let [_, bank, sync] = stalls(Pace {
        drain: 10,
        ..Pace::FULL
    });
    assert!(stream > 500 && bank > 500 && sync > 500, "{stream} {bank} {sync}");
}

/// Speed of the in-process simulation; prints it, and only guards against an accident of an order of magnitude.
#[test]
fn simulates_at_a_usable_speed() {
    let mut scenario = Scenario::new(&nano(), Pace::FULL, 9);
    scenario.matmul(
        MatMul {
            src_stride: 8,
            k_tiles: 8,
            n_tiles: 6,
            tokens: 64,
            ..MatMul::default()
        },
        0,
        false,
    );
    let clock = Instant::now();
    scenario.bench.run();
    let speed = scenario.bench.cycles as f64 / clock.elapsed().as_secs_f64();
    println!("feed unit, nano: {speed:.0} cycles/s");
    assert_eq!(scenario.check(), 6 * 64 * 8);
    assert!(speed > 500.0, "{speed:.0} cycles/s");
}
