//! The router unit against a plain reference, for every kind of load.

use super::queues::LOOKUP_CYCLES;
use super::router::{command_cycles, RouterUnit};
use super::score::gate_score;
use crate::config::{AccelConfig, MAX_TOP_K};
use crate::control::command::{Command, Operation, Route, Wait, ALL_TASKS};
use crate::cosim::{settle, tick, Rng};
use crate::numerics::exp2::weight;
use crate::numerics::reciprocal::reciprocal;
use rust_hdl::prelude::*;

type Queues = Vec<Vec<(usize, usize)>>;

fn config(columns: usize, experts: usize) -> AccelConfig {
    let mut config = AccelConfig::named("nano").unwrap();
    (config.rows, config.columns, config.max_experts) = (columns.max(16), columns, experts);
    config
}

/// Queues of (token, score) as the specification has them.
fn expected(logits: &[Vec<i32>], route: &Route) -> Queues {
    let mut queues = vec![vec![]; 32];
    for (token, row) in logits.iter().enumerate().take(route.tokens as usize) {
        let row = &row[..route.experts as usize];
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by_key(|&e| (-row[e], e));
        let chosen = &order[..(route.top_k as usize).min(MAX_TOP_K).min(row.len())];
        let q = |e: usize| weight((row[order[0]] - row[e]) as u32);
        let all: Vec<usize> = (0..row.len()).collect();
        let summed = if route.renormalise == 1 { chosen } else { &all };
        let r = reciprocal(summed.iter().map(|&e| u32::from(q(e))).sum());
        for &e in chosen {
            let score = gate_score(q(e), r.mantissa, r.exponent);
            queues[e].push((token, usize::from(score)));
        }
    }
    queues
}

struct Bench {
    uut: RouterUnit,
    columns: usize,
    experts: usize,
}

impl Bench {
    fn new(config: &AccelConfig) -> Self {
        let mut uut = RouterUnit::new(config);
        uut.connect_all();
        settle(&mut uut).unwrap();
        Self {
            uut,
            columns: config.columns,
            experts: config.max_experts,
        }
    }

    fn clock(&mut self) {
        tick(&mut self.uut, |u, level| u.clock.next = level.into()).unwrap();
    }

    fn write(&mut self, logits: &[Vec<i32>]) {
        for (token, row) in logits.iter().enumerate() {
            for (tile, word) in row.chunks(self.columns).enumerate() {
                self.uut.logit_write.next = true;
                self.uut.logit_token.next = (token as u64).into();
                self.uut.logit_tile.next = (tile as u64).into();
                for (port, &x) in self.uut.logit_data.iter_mut().zip(word) {
                    port.next = u64::from(x as u32 & 0xff_ffff).into();
                }
                self.clock();
            }
        }
        self.uut.logit_write.next = false;
    }

    fn route(&mut self, route: &Route) -> usize {
        let command = Command {
            tasks: ALL_TASKS,
            wait: Wait::NONE,
            operation: Operation::Route(*route),
        };
        for (port, word) in self.uut.command.iter_mut().zip(command.encode().unwrap()) {
            port.next = u64::from(word).into();
        }
        self.uut.command_valid.next = true;
        while !self.uut.command_ready.val() {
            self.clock();
        }
        for cycles in 1..100_000 {
            self.clock();
            self.uut.command_valid.next = false;
            if self.uut.done.val() {
                return cycles;
            }
        }
        panic!("no end");
    }

    fn look_up(&mut self) {
        (0..LOOKUP_CYCLES).for_each(|_| self.clock());
    }

    /// Reads everything back by every lookup.
    fn queues(&mut self) -> Queues {
        let mut queues = vec![vec![]; 32];
        for (expert, queue) in queues.iter_mut().enumerate().take(self.experts) {
            self.uut.count_expert.next = (expert as u64).into();
            self.look_up();
            let count = self.uut.count.val().index();
            assert_eq!(count != 0, self.uut.nonempty.val().get_bit(expert));
            for position in 0..count {
                self.uut.drain_lookup_expert.next = (expert as u64).into();
                self.uut.drain_lookup_position.next = (position as u64).into();
                self.uut.feed_lookup_expert.next = (expert as u64).into();
                self.uut.feed_lookup_pair.next = (position as u64 / 2).into();
                self.look_up();
                let token = self.uut.drain_lookup_token.val().index();
                let pair = [
                    self.uut.feed_lookup_token_0.val().index(),
                    self.uut.feed_lookup_token_1.val().index(),
                ];
                assert_eq!(pair[position % 2], token);
                queue.push((token, self.uut.drain_lookup_score.val().index()));
            }
        }
        queues
    }

    /// Routes and compares; returns how many entries were compared.
    fn check(&mut self, logits: &[Vec<i32>], route: &Route) -> usize {
        self.write(logits);
        let cycles = self.route(route);
        let limit = command_cycles(route.tokens as usize, route.experts as usize);
        assert!(cycles <= limit, "{cycles} cycles, limit {limit}: {route:?}");
        let want = expected(logits, route);
        assert_eq!(self.queues(), want, "{route:?}");
        want.iter().map(Vec::len).sum()
    }
}

fn rows(tokens: usize, experts: usize, mut logit: impl FnMut(usize, usize) -> i32) -> Vec<Vec<i32>> {
    (0..tokens)
        .map(|t| (0..experts).map(|e| logit(t, e)).collect())
        .collect()
}

fn route(tokens: usize, experts: usize, top_k: u32, renormalise: u32) -> Route {
    Route {
        tokens: tokens as u32,
        experts: experts as u32,
        top_k,
        renormalise,
        ..Default::default()
    }
}

#[test]
fn random_logits_of_every_spread() {
    let (mut compared, mut rng) = (0, Rng::new(1));
    for (columns, most) in [(8, 16), (4, 32), (16, 12), (8, 5), (16, 1)] {
        let mut bench = Bench::new(&config(columns, most));
        for round in 0..10 {
            let (tokens, experts) = (1 + rng.below(40) as usize, 1 + rng.below(most as u64) as usize);
            let spread = 1 << (6 + 2 * (round % 9));
            let logits = rows(tokens, experts, |_, _| rng.between(-spread, spread - 1) as i32);
            let command = route(tokens, experts, 1 + rng.below(4) as u32, round as u32 % 2);
            compared += bench.check(&logits, &command);
        }
    }
    assert!(compared > 1_500, "{compared}");
}

/// Two Routes of a layer fill the queues of one; only the second says that the layer is routed.
#[test]
fn a_layer_may_be_routed_in_parts() {
    let mut rng = Rng::new(9);
    for first in [2, 10, 30] {
        let mut bench = Bench::new(&config(8, 16));
        let logits = rows(33, 16, |_, _| rng.between(-5_000, 5_000) as i32);
        let whole = route(33, 16, 2, 0);
        bench.check(&rows(20, 16, |t, e| (t * e) as i32), &route(20, 16, 4, 0));
        bench.write(&logits);
        let part = Route {
            tokens: first,
            more: 1,
            ..whole
        };
        bench.route(&part);
        assert!(!bench.uut.routed.val());
        assert_eq!(bench.queues(), expected(&logits, &part));
        bench.route(&Route { first, ..whole });
        assert!(bench.uut.routed.val());
        assert_eq!(bench.queues(), expected(&logits, &whole));
    }
}

#[test]
fn any_load_comes_to_an_end() {
    let mut bench = Bench::new(&config(8, 16));
    let one = rows(64, 16, |_, e| if e == 9 { 100_000 } else { 0 });
    assert_eq!(bench.check(&one, &route(64, 16, 1, 0)), 64);
    let ties = rows(64, 16, |_, _| -7);
    assert_eq!(bench.check(&ties, &route(64, 16, 4, 1)), 256);
    let extremes = rows(20, 16, |t, e| {
        if (t + e) % 2 == 0 {
            -(1 << 23)
        } else {
            (1 << 23) - 1
        }
    });
    assert_eq!(bench.check(&extremes, &route(20, 16, 2, 0)), 40);
    assert_eq!(bench.check(&ties, &route(1, 16, 2, 0)), 2);
    assert_eq!(bench.check(&ties, &route(64, 1, 1, 0)), 64);
    assert_eq!(bench.check(&ties, &route(64, 3, 3, 0)), 192);
    assert_eq!(
        bench.check(&ties, &route(64, 2, 4, 0)),
        128,
        "more ranks than experts"
    );
    assert_eq!(
        bench.check(&ties, &route(10, 16, 7, 0)),
        40,
        "more than four ranks"
    );
}

#[test]
fn empty_commands_leave_empty_queues() {
    let mut bench = Bench::new(&config(8, 16));
    let logits = rows(4, 16, |t, e| (t * e) as i32);
    for (tokens, experts, top_k) in [(0, 16, 2), (4, 0, 2), (4, 16, 0)] {
        bench.check(&logits, &route(4, 16, 2, 0));
        let cycles = bench.route(&route(tokens, experts, top_k, 0));
        assert!(cycles < 10, "{cycles}");
        assert_eq!(
            (bench.uut.nonempty.val().index(), bench.queues().concat().len()),
            (0, 0)
        );
    }
}
