//! What surrounds the drain unit in a test: array, stream, queues, softmax and residual memory, cycle by cycle.

use super::model::{Group, Issue, Program, Write, DESTINATIONS};
use crate::config::AccelConfig;
use crate::cosim::Rng;
use crate::numerics::reciprocal::Reciprocal;
use crate::post::drain::{DrainUnit, WRITE_SETTLE_CYCLES};
use rust_hdl::prelude::*;
use std::collections::{HashSet, VecDeque};

/// How eagerly the surroundings act, in percent of the cycles.
#[derive(Clone, Copy)]
pub struct Eagerness {
    pub commands: u64,
    pub parameters: u64,
    pub groups: u64,
}

impl Eagerness {
    pub const FULL: Self = Self {
        commands: 100,
        parameters: 100,
        groups: 100,
    };
}

/// What two memory stages hold.
#[derive(Clone)]
struct Answers {
    sums: [Vec<i32>; 2],
    entry: (u32, u16),
    factor: Reciprocal,
    residual: Vec<i16>,
}

/// The bench; call [`Bench::step`] once a cycle, before the rising edge.
pub struct Bench {
    program: Program,
    eagerness: Eagerness,
    columns: usize,
    accumulators: [Vec<Vec<i32>>; 2],
    filled: usize,
    freed: usize,
    copies: usize,
    /// Commands that the unit has taken, and drained.
    taken: VecDeque<Issue>,
    pub drained: usize,
    stages: VecDeque<Answers>,
    recent_writes: VecDeque<usize>,
    /// Cycle of every write, all destinations.
    pub write_cycles: Vec<usize>,
    pub compared: [usize; DESTINATIONS],
    /// Writes whose lanes are mostly different, hence neither saturated nor zero.
    pub varied: usize,
    /// Cycles in which `command_drained` pulsed.
    pub drained_cycles: Vec<usize>,
    cycle: usize,
}

impl Bench {
    pub fn new(config: &AccelConfig, program: Program, eagerness: Eagerness) -> Self {
        let columns = config.columns;
        let idle = Answers {
            sums: [vec![0; columns], vec![0; columns]],
            entry: (0, 0),
            factor: Reciprocal::default(),
            residual: vec![0; columns],
        };
        Self {
            program,
            eagerness,
            columns,
            accumulators: [vec![], vec![]],
            filled: 0,
            freed: 0,
            copies: 0,
            taken: VecDeque::new(),
            drained: 0,
            stages: VecDeque::from(vec![idle.clone(), idle]),
            recent_writes: VecDeque::from(vec![0; WRITE_SETTLE_CYCLES + 1]),
            write_cycles: vec![],
            compared: [0; DESTINATIONS],
            varied: 0,
            drained_cycles: vec![],
            cycle: 0,
        }
    }

    pub fn cycle(&self) -> usize {
        self.cycle
    }

    /// All commands taken and drained, every expected write seen.
    pub fn done(&self) -> bool {
        self.program.commands.is_empty()
            && self.taken.is_empty()
            && self.program.expected.iter().all(VecDeque::is_empty)
    }

    /// Looks at the outputs of this cycle and sets its inputs.
    pub fn step(&mut self, unit: &mut DrainUnit, rng: &mut Rng) {
        self.cycle += 1;
        if self.cycle == 1 {
            return; // The outputs have not settled yet.
        }
        self.watch_writes(unit);
        self.watch_drained(unit);
        self.answer(unit, rng);
        self.fill(unit, rng);
        self.copy(unit, rng);
        self.send_command(unit, rng);
        self.send_parameters(unit, rng);
    }

    fn watch_writes(&mut self, unit: &DrainUnit) {
        for (dst, write) in writes(unit) {
            let want = self.program.expected[dst].pop_front();
            assert_eq!(
                Some(&write),
                want.as_ref(),
                "destination {dst}, cycle {}",
                self.cycle
            );
            self.compared[dst] += 1;
            self.varied += usize::from(varies(&write.data));
            self.write_cycles.push(self.cycle);
        }
        if unit.residual_write.val() {
            let address = unit.residual_address.val().index();
            let data = unit
                .residual_write_data
                .iter()
                .map(|d| d.val().index() as u16 as i16);
            self.program.residual[address] = data.collect();
        }
        self.recent_writes.push_front(self.write_cycles.len());
        self.recent_writes.truncate(WRITE_SETTLE_CYCLES + 1);
    }

    fn watch_drained(&mut self, unit: &DrainUnit) {
        if unit.command_drained.val() {
            let command = self.taken.pop_front().expect("a command was taken");
            let settled = self.recent_writes[WRITE_SETTLE_CYCLES];
            assert!(
                settled >= command.writes_before_end,
                "drained before its writes, cycle {}",
                self.cycle
            );
            self.drained += 1;
            self.drained_cycles.push(self.cycle);
        }
    }

    /// Memories of two cycles: what was asked in this cycle is sampled at its end.
    fn answer(&mut self, unit: &mut DrainUnit, rng: &mut Rng) {
        let now = self.stages.pop_front().expect("two stages");
        for c in 0..self.columns {
            unit.sum_0[c].next = u64::from(now.sums[0][c] as u32).into();
            unit.sum_1[c].next = u64::from(now.sums[1][c] as u32).into();
            unit.residual_data[c].next = u64::from(now.residual[c] as u16).into();
        }
        unit.lookup_token.next = u64::from(now.entry.0).into();
        unit.lookup_score.next = u64::from(now.entry.1).into();
        unit.factor_mantissa.next = u64::from(now.factor.mantissa).into();
        unit.factor_exponent.next = u64::from(now.factor.exponent).into();
        self.stages.push_back(self.look_up(unit, rng));
    }

    fn look_up(&self, unit: &DrainUnit, rng: &mut Rng) -> Answers {
        let bank = &self.accumulators[usize::from(unit.drain_bank.val())];
        let row = 2 * unit.drain_pair.val().index();
        let sums = [row, row + 1].map(|row| match bank.get(row) {
            Some(sums) => sums.clone(),
            None => (0..self.columns).map(|_| rng.bits(32) as i32).collect(),
        });
        let position = unit.lookup_position.val().index();
        let queue = &self.program.queues[unit.lookup_expert.val().index()];
        let factors = &self.program.factors[usize::from(unit.factor_bank.val())];
        let residual = match unit.residual_read.val() {
            true => self.program.residual[unit.residual_read_address.val().index()].clone(),
            false => (0..self.columns).map(|_| rng.bits(16) as i16).collect(),
        };
        Answers {
            sums,
            entry: queue
                .get(position)
                .copied()
                .unwrap_or((rng.bits(11) as u32, rng.bits(16) as u16)),
            factor: factors
                .get(unit.factor_row.val().index())
                .copied()
                .unwrap_or_default(),
            residual,
        }
    }

    /// The array fills a free accumulator bank; the freed one may change at once.
    fn fill(&mut self, unit: &mut DrainUnit, rng: &mut Rng) {
        self.freed += usize::from(unit.group_drained.val());
        assert!(self.freed <= self.filled, "a bank was freed twice");
        let ready = |group: &Group| group.after_commands <= self.drained;
        let fills = self.filled - self.freed < 2
            && self.program.groups.front().is_some_and(ready)
            && rng.chance(self.eagerness.groups);
        unit.group_filled.next = fills;
        if fills {
            let group = self.program.groups.pop_front().expect("looked at above");
            self.accumulators[self.filled % 2] = group.sums;
            self.filled += 1;
        }
    }

    /// A Copy runs once everything before it has drained.
    fn copy(&mut self, unit: &mut DrainUnit, rng: &mut Rng) {
        let waits = self.taken.front().is_some_and(|command| command.is_copy) && self.copies == self.drained;
        unit.copy_done.next = waits && rng.chance(30);
        self.copies = match unit.copy_done.next {
            true => self.drained + 1,
            false => self.copies.max(self.drained),
        };
    }

    fn send_command(&mut self, unit: &mut DrainUnit, rng: &mut Rng) {
        let offered = !self.program.commands.is_empty() && rng.chance(self.eagerness.commands);
        unit.command_valid.next = offered;
        if let Some(command) = self.program.commands.front() {
            for (port, &word) in unit.command.iter_mut().zip(&command.words) {
                port.next = u64::from(word).into();
            }
            unit.expert.next = u64::from(command.stage.expert).into();
            unit.queue_length.next = u64::from(command.stage.queue_length).into();
            unit.in_loop.next = command.stage.in_loop;
        }
        if offered && unit.command_ready.val() {
            self.taken.extend(self.program.commands.pop_front());
        }
    }

    fn send_parameters(&mut self, unit: &mut DrainUnit, rng: &mut Rng) {
        let bytes = unit.parameter_data.len();
        let offered = !self.program.parameters.is_empty() && rng.chance(self.eagerness.parameters);
        unit.parameter_valid.next = offered;
        for (port, &byte) in unit.parameter_data.iter_mut().zip(&self.program.parameters) {
            port.next = u64::from(byte).into();
        }
        if offered && unit.parameter_ready.val() {
            self.program.parameters.drain(..bytes);
        }
    }
}

fn varies(data: &[i32]) -> bool {
    data.iter().collect::<HashSet<_>>().len() > data.len() / 2
}

fn signed<const N: usize>(ports: &[Signal<Out, Bits<N>>]) -> Vec<i32> {
    let extend = |x: usize| (x as u32) << (32 - N);
    ports
        .iter()
        .map(|port| extend(port.val().index()) as i32 >> (32 - N))
        .collect()
}

/// What the unit writes in this cycle, with its destination.
fn writes(unit: &DrainUnit) -> Vec<(usize, Write)> {
    let mut all = vec![];
    let mut push = |dst: usize, address: usize, place: usize, data: Vec<i32>| {
        all.push((
            dst,
            Write {
                address: address as u32,
                place: place as u32,
                data,
            },
        ));
    };
    for (group, write) in unit.activation_write.iter().enumerate() {
        if write.val() {
            push(
                0,
                unit.activation_address.val().index(),
                group,
                signed(&unit.activation_data),
            );
        }
    }
    if unit.kv_write.val() {
        push(
            1,
            unit.kv_address.val().index(),
            unit.kv_rotate.val().index(),
            signed(&unit.kv_data),
        );
    }
    if unit.residual_write.val() {
        push(
            2,
            unit.residual_address.val().index(),
            0,
            signed(&unit.residual_write_data),
        );
    }
    if unit.score_write.val() {
        push(3, unit.score_address.val().index(), 0, signed(&unit.score_data));
    }
    if unit.logit_write.val() {
        push(
            4,
            unit.logit_token.val().index(),
            unit.logit_tile.val().index(),
            signed(&unit.logit_data),
        );
    }
    all
}
