//! Three worlds, one result: integer reference, circuit and exported Verilog give the same bytes.
//!
//! A failing network names its seed; `MOEVIT_SEED=n cargo test --test worlds` runs only that one.

mod common;

use common::devices::{frame, session, World};
use common::networks::{Routing, Sample};
use common::{demo, demo_images};
use moevit_hw::config::AccelConfig;
use moevit_sim::engine::compare::distance;
use moevit_sim::memory::MemoryConfig;
use moevit_sim::model::architecture::{Head, Scoring};
use moevit_sim::reference::Machine;
use std::collections::BTreeSet;

/// Random networks of the quick test.
const NETWORKS: u64 = 24;
/// Bounds on the cosine of integers and golden model, over all frames; seen are 0.926 and 0.996.
const COSINE_MIN: f64 = 0.9;
const COSINE_MEDIAN: f64 = 0.99;

fn stalled(seed: u64) -> MemoryConfig {
    MemoryConfig {
        stalls: Some(seed),
        first_beat_cycles: (seed * 37 % 150) as u32,
        ..MemoryConfig::default()
    }
}

/// Runs the demonstration's images in a world, both tasks, and compares every byte; returns frames and bytes compared.
fn demonstration(world: World, memory: MemoryConfig, images: usize) -> (usize, usize) {
    let compiled = demo();
    let program = &compiled.program;
    let mut machine = Machine::new(&program.config).with_hazard_checks();
    let mut session = session(world, &program.config, memory.clone());
    session.load(&program.payload).unwrap();
    let (mut frames, mut bytes) = (0, 0);
    for (index, image) in demo_images().iter().take(images).enumerate() {
        let packed = compiled.pack(image).unwrap();
        for task in 0..2 {
            let want = machine.run_program(program, &packed, task).unwrap().result;
            let got = frame(&mut session, program, &packed, task)
                .unwrap_or_else(|e| panic!("{world:?}, image {index}, task {task}, {memory:?}: {e}"));
            let different = want.iter().zip(&got).filter(|(a, b)| a != b).count();
            assert!(
                different == 0 && want.len() == got.len(),
                "{world:?}, image {index}, task {task}, {memory:?}: {different} of {} bytes",
                want.len()
            );
            frames += 1;
            bytes += want.len();
        }
    }
    (frames, bytes)
}

#[test]
fn the_verilog_gives_the_references_bits_on_the_demonstration() {
    let mut total = (0, 0);
    for memory in [MemoryConfig::default(), stalled(1), stalled(2)] {
        let (frames, bytes) = demonstration(World::Verilator, memory, 8);
        total = (total.0 + frames, total.1 + bytes);
    }
    println!("{} frames, {} bytes", total.0, total.1);
    assert!(total.0 >= 48 && total.1 >= 300_000, "{total:?}");
}

#[test]
fn the_circuit_gives_the_references_bits_on_the_demonstration() {
    let mut total = 0;
    for memory in [MemoryConfig::default(), stalled(3)] {
        total += demonstration(World::Circuit, memory, 8).0;
    }
    assert_eq!(total, 32);
}

/// What the networks of a run have shown.
#[derive(Debug, Default)]
struct Coverage {
    networks: usize,
    frames: usize,
    bytes: usize,
    k: BTreeSet<usize>,
    experts: BTreeSet<usize>,
    tokens: BTreeSet<usize>,
    odd_tokens: usize,
    even_tokens: usize,
    dense: usize,
    renormalised: usize,
    class_heads: usize,
    dense_heads: usize,
    /// Frames in which all tokens chose the same experts, and others stayed without any.
    one_queue: usize,
    /// Neighbouring choices of a token with equal scores; the lower expert came first.
    ties: usize,
    stalled: usize,
    /// Of the reference's tokens and the golden model's, for each frame.
    cosines: Vec<f64>,
}

/// Runs both tasks of a network in the reference and the given worlds.
fn compare_worlds(sample: &Sample, worlds: &[World], seen: &mut Coverage) {
    let (seed, program) = (sample.seed, &sample.program);
    let memory = match seed % 3 {
        0 => MemoryConfig::default(),
        _ => stalled(seed),
    };
    let mut machine = Machine::new(&program.config).with_hazard_checks();
    let mut wanted = Vec::new();
    for task in 0..2 {
        let output = machine
            .run_program(program, &sample.packed, task)
            .unwrap_or_else(|e| panic!("seed {seed}, task {task}: {e}"));
        seen.choices(sample, &output.routes);
        seen.quality(sample, task, &output.result);
        wanted.push(output.result);
    }
    for &world in worlds {
        let mut session = session(world, &program.config, memory.clone());
        session.load(&program.payload).unwrap();
        for (task, want) in wanted.iter().enumerate() {
            let got = frame(&mut session, program, &sample.packed, task).unwrap_or_else(|e| {
                panic!(
                    "seed {seed}, {world:?}, task {task}: {e}\n{:?}",
                    sample.architecture
                )
            });
            let different = want.iter().zip(&got).filter(|(a, b)| a != b).count();
            assert!(
                different == 0 && want.len() == got.len(),
                "seed {seed}, {world:?}, task {task}: {different} of {} bytes differ\n{:?}",
                want.len(),
                sample.architecture
            );
            seen.frames += 1;
            seen.bytes += want.len();
        }
    }
    seen.network(sample, memory.stalls.is_some());
}

impl Coverage {
    fn network(&mut self, sample: &Sample, stalled: bool) {
        let a = &sample.architecture;
        self.networks += 1;
        self.stalled += usize::from(stalled);
        self.tokens.insert(a.tokens());
        self.odd_tokens += a.tokens() % 2;
        self.even_tokens += 1 - a.tokens() % 2;
        match &a.moe {
            None => self.dense += 1,
            Some(moe) => {
                self.k.insert(moe.k);
                self.experts.insert(moe.experts);
                self.renormalised += usize::from(moe.scoring == Scoring::Renormalised);
            }
        }
        for task in &a.tasks {
            match task.head {
                Head::Classification { .. } => self.class_heads += 1,
                _ => self.dense_heads += 1,
            }
        }
    }

    /// Fails when the networks left out a kind.
    fn suffices(&self) {
        assert!(
            self.networks >= 20 && self.frames >= 96 && self.bytes >= 80_000,
            "{self:?}"
        );
        assert!(self.k.iter().eq(&[1, 2, 4]), "{self:?}");
        assert!(
            self.experts.first() == Some(&1) && self.experts.last() == Some(&16),
            "{self:?}"
        );
        assert!(self.odd_tokens >= 6 && self.even_tokens >= 6, "{self:?}");
        assert!(
            self.dense >= 5 && self.renormalised >= 5 && self.stalled >= 12,
            "{self:?}"
        );
        assert!(self.class_heads >= 4 && self.dense_heads >= 4, "{self:?}");
        assert!(self.one_queue >= 6 && self.ties >= 20, "{self:?}");
        let mut cosines = self.cosines.clone();
        cosines.sort_by(f64::total_cmp);
        assert!(
            cosines.iter().all(|&c| c >= COSINE_MIN) && cosines[cosines.len() / 2] >= COSINE_MEDIAN,
            "{cosines:?}"
        );
    }

    /// The routing that the sample promises must have happened.
    fn choices(&mut self, sample: &Sample, routes: &[moevit_sim::reference::Routes]) {
        for layer in routes {
            let sets: BTreeSet<Vec<usize>> = layer
                .choices
                .iter()
                .map(|token| token.iter().map(|choice| choice.expert).collect())
                .collect();
            match sample.routing {
                Routing::OneQueue => {
                    assert_eq!(sets.len(), 1, "seed {}: {sets:?}", sample.seed);
                    self.one_queue += 1;
                }
                Routing::Ties => {
                    for pair in layer.choices.iter().flat_map(|token| token.windows(2)) {
                        if pair[0].score == pair[1].score {
                            assert!(pair[0].expert < pair[1].expert, "seed {}: {pair:?}", sample.seed);
                            self.ties += 1;
                        }
                    }
                }
                Routing::Dense | Routing::Free => {}
            }
        }
    }

    /// The integers must still be the network. Golden chooses for itself, so that a tie may send a token elsewhere.
    fn quality(&mut self, sample: &Sample, task: usize, result: &[u8]) {
        let golden = sample.golden.run(&sample.image, task, None).unwrap();
        let tokens = sample.program.meta.tokens.reals(result).unwrap();
        let cosine = distance(&tokens, &golden.tokens.data, golden.tokens.columns()).cosine;
        self.cosines.push(cosine);
    }
}

fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("MOEVIT_SEED") {
        Ok(seed) => vec![seed.parse().expect("MOEVIT_SEED is a number")],
        Err(_) => (0..count).collect(),
    }
}

#[test]
fn random_networks_agree_in_three_worlds() {
    let config = AccelConfig::named("nano").unwrap();
    let mut seen = Coverage::default();
    for seed in seeds(NETWORKS) {
        let sample = Sample::new(seed, &config);
        compare_worlds(&sample, &[World::Circuit, World::Verilator], &mut seen);
    }
    println!("{seen:?}");
    if std::env::var_os("MOEVIT_SEED").is_none() {
        seen.suffices();
    }
}
