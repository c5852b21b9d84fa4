//! Router, queues, expert loops and both queue routings.

use std::collections::BTreeMap;

use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::{ExpertLoop, Fetch, MatMul, Operation, Route};
use moevit_hw::numerics::exp2::weight;
use moevit_hw::numerics::reciprocal::reciprocal;

use super::build::{Builder, Random};
use super::naive::{layer, multiply, pack_rows, pack_stream, post, round, Channel};
use crate::reference::Routes;

/// Logits of each token as the gate will send them.
struct Gate {
    op: MatMul,
    w: Vec<Vec<i64>>,
    channels: Vec<Channel>,
}

impl Gate {
    /// A gate of two tiles of eight experts that sends `2^shift` times the sums.
    fn new(tokens: usize, w: Vec<Vec<i64>>) -> Self {
        let mut channels = Channel::plain(16);
        channels.iter_mut().for_each(|c| c.factor = 1 << 11);
        Self {
            op: MatMul {
                tokens: tokens as u32,
                k_tiles: 1,
                n_tiles: 2,
                src_stride: 1,
                shift: 15,
                factor_shift: 9,
                dst: 4,
                dst_stride: 1,
                ..Default::default()
            },
            w,
            channels,
        }
    }

    /// Emits operand rows at word 0, the gate and the Route; returns the logits.
    fn emit(&self, builder: &mut Builder, a: &[Vec<i64>], route: Route) -> Vec<Vec<i64>> {
        let stream = pack_stream(&self.op, &self.w, &self.channels, &builder.config);
        builder.activation(0, &pack_rows(a, false)).fetch(&stream);
        builder.matmul(self.op).push(Operation::Route(route));
        layer(&self.op, a, &self.w, &self.channels)
    }
}

/// Expert and score of each choice, the specification by the letter.
fn naive_route(logits: &[i64], route: &Route) -> Vec<(usize, i64)> {
    let all = &logits[..route.experts as usize];
    let maximum = *all.iter().max().unwrap();
    let q = |e: usize| i64::from(weight((maximum - all[e]) as u32));
    let mut chosen: Vec<usize> = Vec::new();
    for _ in 0..route.top_k {
        let free = (0..all.len()).filter(|e| !chosen.contains(e));
        let best = free.fold(None, |best: Option<usize>, e| match best {
            Some(b) if all[b] >= all[e] => Some(b),
            _ => Some(e),
        });
        chosen.extend(best);
    }
    let sum: i64 = match route.renormalise {
        1 => chosen.iter().map(|&e| q(e)).sum(),
        _ => (0..all.len()).map(q).sum(),
    };
    let r = reciprocal(sum as u32);
    let score =
        |e: usize| round(i128::from(q(e)) * i128::from(r.mantissa), r.exponent - 1).min(65_535) as i64;
    chosen.into_iter().map(|e| (e, score(e))).collect()
}

/// Compares one Route with the naive one; returns the choices compared.
fn check_routes(routes: &Routes, logits: &[Vec<i64>], route: &Route) -> usize {
    let mut queues: BTreeMap<usize, Vec<(usize, i64)>> = BTreeMap::new();
    let mut compared = 0;
    for (token, logits) in logits.iter().enumerate() {
        let want = naive_route(logits, route);
        let got: Vec<(usize, i64)> = routes.choices[token]
            .iter()
            .map(|c| (c.expert, c.score.to_bits().into()))
            .collect();
        assert_eq!(got, want, "token {token}");
        compared += want.len();
        for (expert, score) in want {
            queues.entry(expert).or_default().push((token, score));
        }
    }
    for (expert, queue) in routes.queues.iter().enumerate() {
        let got: Vec<(usize, i64)> = queue
            .iter()
            .map(|e| (e.token, e.score.to_bits().into()))
            .collect();
        assert_eq!(
            &got,
            queues.get(&expert).unwrap_or(&Vec::new()),
            "expert {expert}"
        );
    }
    compared
}

fn route(tokens: usize, experts: u32, top_k: u32, renormalise: u32) -> Route {
    Route {
        tokens: tokens as u32,
        experts,
        top_k,
        renormalise,
        ..Default::default()
    }
}

#[test]
fn random_logits_route_as_specified() {
    let mut compared = 0;
    for (experts, top_k, renormalise) in [
        (16, 2, 0),
        (16, 4, 1),
        (11, 3, 0),
        (5, 1, 1),
        (1, 1, 0),
        (4, 4, 0),
    ] {
        let mut random = Random::new(u64::from(experts + 7 * top_k));
        let a = random.matrix(40, 16, 127);
        let gate = Gate::new(40, random.matrix(16, 16, 30));
        let mut builder = Builder::nano();
        let route = route(40, experts, top_k, renormalise);
        let logits = gate.emit(&mut builder, &a, route);
        let (_, output) = builder.run();
        assert_eq!((output.routes.len(), output.routes[0].command), (1, 4));
        compared += check_routes(&output.routes[0], &logits, &route);
    }
    assert_eq!(compared, 40 * (2 + 4 + 3 + 1 + 1 + 4));
}

/// Equal logits, all tokens on the same experts, and one expert alone.
#[test]
fn ties_go_to_the_lowest_expert() {
    let mut builder = Builder::nano();
    let a = vec![vec![1; 16]; 7];
    let mut w = vec![vec![0; 16]; 16];
    w[0][3] = 1;
    w[0][9] = 1;
    let route = route(7, 16, 4, 0);
    let logits = Gate::new(7, w).emit(&mut builder, &a, route);
    let (_, output) = builder.run();
    assert_eq!(check_routes(&output.routes[0], &logits, &route), 28);
    let experts: Vec<usize> = output.routes[0].choices[6].iter().map(|c| c.expert).collect();
    assert_eq!(experts, [3, 9, 0, 1]);
    assert_eq!(output.routes[0].queues[3].len(), 7);
    assert!(output.routes[0].queues[2].is_empty());
}

/// A Mixture-of-Experts layer: gather, hidden layer with GELU, scatter-add scaled by the gate scores.
struct Layer {
    experts: usize,
    tokens: usize,
    up: Vec<Vec<Vec<i64>>>,
    down: Vec<Vec<Vec<i64>>>,
    up_channels: Vec<Vec<Channel>>,
    down_channels: Vec<Vec<Channel>>,
}

impl Layer {
    fn random(experts: usize, tokens: usize, random: &mut Random) -> Self {
        let mut matrices = |k, n| (0..experts).map(|_| random.matrix(k, n, 127)).collect();
        let (up, down) = (matrices(16, 32), matrices(32, 16));
        let mut channels = |n| (0..experts).map(|_| Channel::random(random, n)).collect();
        Self {
            experts,
            tokens,
            up,
            down,
            up_channels: channels(32),
            down_channels: channels(16),
        }
    }

    fn up_op() -> MatMul {
        MatMul {
            k_tiles: 1,
            n_tiles: 4,
            src_stride: 1,
            routing: 1,
            gelu: 1,
            shift: 21,
            factor_shift: 20,
            dst_base: 800,
            dst_stride: 2,
            ..Default::default()
        }
    }

    fn down_op() -> MatMul {
        MatMul {
            k_tiles: 2,
            n_tiles: 2,
            src_base: 800,
            src_stride: 2,
            routing: 2,
            factor: 1,
            shift: 20,
            factor_shift: 14,
            dst: 2,
            add: 1,
            dst_base: 10,
            dst_stride: 2,
            ..Default::default()
        }
    }

    /// One Fetch for all experts, then the loop.
    fn emit(&self, builder: &mut Builder) {
        let config = builder.config.clone();
        let mut blocks = Vec::new();
        for e in 0..self.experts {
            let up = pack_stream(&Self::up_op(), &self.up[e], &self.up_channels[e], &config);
            let down = pack_stream(&Self::down_op(), &self.down[e], &self.down_channels[e], &config);
            blocks.push([up, down].concat());
        }
        let beats = blocks[0].len() as u32 / 16;
        let words = (blocks[0].len() / config.weight_word_bytes()) as u32;
        let stride = (blocks[0].len()).next_multiple_of(256);
        blocks.iter_mut().for_each(|b| b.resize(stride, 0));
        let (offset, _) = builder.place(&blocks.concat());
        builder.push(Operation::Fetch(Fetch {
            experts: 1,
            expert_count: self.experts as u32,
            offset,
            beats,
            expert_stride: stride as u32 / 16,
            ..Default::default()
        }));
        builder.push(Operation::ExpertLoop(ExpertLoop {
            experts: self.experts as u32,
            body: 2,
            words,
        }));
        builder.matmul(Self::up_op()).matmul(Self::down_op());
    }

    /// Residual rows after the layer: experts in ascending order, saturating at each.
    fn apply(&self, a: &[Vec<i64>], routes: &Routes, x: &mut [Vec<i64>]) -> usize {
        let (mut ran, down) = (0, Self::down_op());
        for e in 0..self.experts {
            for entry in &routes.queues[e] {
                let hidden = layer(
                    &Self::up_op(),
                    &[a[entry.token].clone()],
                    &self.up[e],
                    &self.up_channels[e],
                );
                let hidden = hidden[0].iter().map(|h| (*h).clamp(-128, 127)).collect();
                let sums = &multiply(&[hidden], &self.down[e])[0];
                for (c, &sum) in sums.iter().enumerate() {
                    let score = entry.score.to_bits().into();
                    let z = post(&down, sum, self.down_channels[e][c], score, down.factor_shift);
                    let y = &mut x[entry.token][c];
                    *y = (*y + z).clamp(-32_768, 32_767);
                }
                ran += 1;
            }
        }
        assert_eq!(x.len(), self.tokens);
        ran
    }
}

/// Runs a layer with a gate; returns the number of expert rows and of non-empty experts.
fn check_layer(w: Vec<Vec<i64>>, a: Vec<Vec<i64>>, route: Route, seed: u64) -> (usize, usize) {
    let config = AccelConfig::named("nano").unwrap();
    let mut random = Random::new(seed);
    let layer = Layer::random(route.experts as usize, a.len(), &mut random);
    let mut x = random.matrix(a.len(), 16, 30_000);
    let mut builder = Builder::new(config);
    let values: Vec<i16> = x.concat().iter().map(|&x| x as i16).collect();
    builder.residual(10, &values);
    Gate::new(a.len(), w).emit(&mut builder, &a, route);
    layer.emit(&mut builder);
    let (machine, output) = builder.run();
    let ran = layer.apply(&a, &output.routes[0], &mut x);
    let got = machine.memories().residual.span(10, 2 * a.len());
    for (i, (&got, want)) in got.iter().zip(x.concat()).enumerate() {
        assert_eq!(i64::from(got), want, "token {} channel {}", i / 16, i % 16);
    }
    let nonempty = output.routes[0].queues.iter().filter(|q| !q.is_empty()).count();
    let executions = output.work[output.work.len() - 2].executions;
    assert_eq!(executions, nonempty as u64);
    (ran, nonempty)
}

#[test]
fn a_layer_of_random_choices() {
    let mut random = Random::new(31);
    let (a, w) = (random.matrix(30, 16, 127), random.matrix(16, 16, 20));
    let (ran, nonempty) = check_layer(w, a, route(30, 16, 2, 0), 1);
    assert_eq!(ran, 60);
    assert!(nonempty > 8, "{nonempty}");
}

#[test]
fn all_tokens_on_one_expert_leave_the_others_out() {
    let mut w = vec![vec![0; 16]; 16];
    w[0][5] = 9;
    let mut a = Random::new(8).matrix(12, 16, 127);
    a.iter_mut().for_each(|row| row[0] = row[0].abs() + 1);
    assert_eq!(check_layer(w, a, route(12, 16, 1, 1), 2), (12, 1));
}

#[test]
fn four_experts_a_token_renormalised() {
    let mut random = Random::new(77);
    let (a, w) = (random.matrix(9, 16, 127), random.matrix(16, 16, 3));
    let (ran, _) = check_layer(w, a, route(9, 6, 4, 1), 3);
    assert_eq!(ran, 36);
}
