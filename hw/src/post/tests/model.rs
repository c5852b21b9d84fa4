//! Random array commands and what the drain unit must write for them.

use crate::config::AccelConfig;
use crate::control::command::{Command, Copy, MatMul, Operation, Wait, ALL_TASKS};
use crate::cosim::Rng;
use crate::numerics::post::{add_residual, post, to_16, to_activation, to_stationary, PostSettings};
use crate::numerics::reciprocal::Reciprocal;
use std::collections::VecDeque;

/// A write as it must appear at the unit's ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Word, or token for the router.
    pub address: u32,
    /// Activation: group. Key/value: rotation. Router: tile.
    pub place: u32,
    pub data: Vec<i32>,
}

/// Destinations, in the order of the `dst` field.
pub const DESTINATIONS: usize = 5;

/// One group of sums, row by row.
pub struct Group {
    pub sums: Vec<Vec<i32>>,
    /// Earliest number of drained commands at which the array may fill it.
    pub after_commands: usize,
}

/// What the sequencer says beside a command.
#[derive(Clone, Copy, Default)]
pub struct Stage {
    pub expert: u32,
    pub queue_length: u32,
    pub in_loop: bool,
}

/// A command with what the sequencer gives beside it.
pub struct Issue {
    pub words: [u32; 8],
    pub stage: Stage,
    pub is_copy: bool,
    /// Writes of all commands up to this one.
    pub writes_before_end: usize,
}

/// Parameters of a channel.
#[derive(Clone, Copy)]
struct Channel {
    bias: i32,
    mantissa: u16,
    factor: u16,
}

impl Channel {
    fn random(sum_bits: u64, rng: &mut Rng) -> Self {
        Self {
            bias: (rng.corner_bits(32) as i32) >> (32 - sum_bits),
            mantissa: rng.corner_bits(16) as u16,
            factor: rng.corner_bits(16) as u16,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.bias.to_le_bytes().to_vec();
        bytes.extend(self.mantissa.to_le_bytes());
        bytes.extend(self.factor.to_le_bytes());
        bytes
    }
}

/// Everything around the unit, and all that it must do.
pub struct Program {
    pub commands: VecDeque<Issue>,
    pub parameters: VecDeque<u8>,
    pub groups: VecDeque<Group>,
    pub expected: [VecDeque<Write>; DESTINATIONS],
    /// Token and score of every queue entry.
    pub queues: Vec<Vec<(u32, u16)>>,
    pub factors: [Vec<Reciprocal>; 2],
    pub residual: Vec<Vec<i16>>,
    /// Residual memory as it is after all commands.
    final_residual: Vec<Vec<i16>>,
    value_sums: Vec<Vec<i32>>,
    columns: usize,
    groups_per_word: u32,
    max_tokens: u64,
    writes: usize,
    count: usize,
}

/// Which fields a program may draw.
#[derive(Clone, Copy)]
pub struct Limits {
    pub commands: usize,
    pub most_tokens: u64,
    pub most_tiles: u64,
}

impl Program {
    pub fn random(config: &AccelConfig, limits: Limits, rng: &mut Rng) -> Self {
        let mut program = Self::surroundings(config, rng);
        for _ in 0..limits.commands {
            if rng.chance(4) {
                program.push_copy();
            } else {
                program.push_matmul(limits, rng);
            }
        }
        program
    }

    /// Queues with distinct tokens, factors and memories, all rng.
    pub fn surroundings(config: &AccelConfig, rng: &mut Rng) -> Self {
        let (c, tokens) = (config.columns, config.max_tokens);
        let residual: Vec<Vec<i16>> = (0..65_536)
            .map(|_| (0..c).map(|_| rng.corner_bits(16) as i16).collect())
            .collect();
        let reciprocal = |rng: &mut Rng| Reciprocal {
            mantissa: rng.bits(16) as u16 | 0x8000,
            exponent: rng.below(25) as u32,
        };
        Self {
            commands: VecDeque::new(),
            parameters: VecDeque::new(),
            groups: VecDeque::new(),
            expected: Default::default(),
            queues: (0..32).map(|_| shuffled(tokens, rng)).collect(),
            factors: [0, 1].map(|_| (0..tokens).map(|_| reciprocal(rng)).collect()),
            final_residual: residual.clone(),
            residual,
            value_sums: vec![vec![0; c]; 256],
            columns: c,
            groups_per_word: config.groups() as u32,
            max_tokens: tokens as u64,
            writes: 0,
            count: 0,
        }
    }

    fn push_copy(&mut self) {
        self.push_command(Operation::Copy(Copy::default()), Stage::default());
    }

    fn push_command(&mut self, operation: Operation, stage: Stage) {
        let command = Command {
            tasks: ALL_TASKS,
            wait: Wait::NONE,
            operation,
        };
        self.commands.push_back(Issue {
            words: command.encode().expect("the fields are in range"),
            stage,
            is_copy: matches!(operation, Operation::Copy(_)),
            writes_before_end: self.writes,
        });
        self.count += 1;
    }

    fn push_matmul(&mut self, limits: Limits, rng: &mut Rng) {
        let sum_bits = 3 + rng.below(30);
        let mut m = self.random_matmul(limits, rng);
        if rng.chance(80) {
            scale_sensibly(&mut m, sum_bits as u32, rng);
        }
        let stage = Stage {
            expert: rng.below(32) as u32,
            queue_length: rng.below(limits.most_tokens.min(self.max_tokens) + 1) as u32,
            in_loop: rng.chance(30),
        };
        self.matmul(m, stage, sum_bits, rng);
    }

    fn random_matmul(&self, limits: Limits, rng: &mut Rng) -> MatMul {
        let n_tiles = 1 + rng.below(limits.most_tiles) as u32;
        let dst = rng.below(DESTINATIONS as u64) as u32;
        // Words of a command are distinct in the residual memory, and those of neighbouring commands too.
        let (dst_base, dst_stride) = match dst {
            2 => (
                (self.count % 8 * 8_192) as u32 + rng.bits(12) as u32,
                n_tiles + rng.below(8) as u32,
            ),
            _ => (rng.bits(16) as u32, rng.bits(10) as u32),
        };
        MatMul {
            n_tiles,
            tokens: rng.below(limits.most_tokens.min(self.max_tokens) + 1) as u32,
            routing: rng.below(3) as u32,
            hold_parameters: rng.below(2) as u32,
            sums_base: rng.bits(8) as u32,
            dst_base,
            dst_stride,
            dst,
            add: rng.below(2) as u32,
            gelu: rng.below(2) as u32,
            bias_from_sums: u32::from(rng.chance(25)),
            shift: rng.below(48) as u32,
            factor_shift: rng.below(48) as u32,
            pre_shift: rng.below(16) as u32,
            offset: rng.bits(8) as u32,
            factor: rng.below(3) as u32,
            write_sums: rng.below(2) as u32,
            sum_bank: rng.below(2) as u32,
            ..Default::default()
        }
    }

    /// Adds a command, its parameters and sums, and what it writes.
    pub fn matmul(&mut self, m: MatMul, stage: Stage, sum_bits: u64, rng: &mut Rng) {
        let rows = if stage.in_loop {
            stage.queue_length
        } else {
            m.tokens
        };
        let mut channels = vec![];
        for n in 0..m.n_tiles {
            if n == 0 || m.hold_parameters == 0 {
                channels = (0..self.columns)
                    .map(|_| Channel::random(sum_bits, rng))
                    .collect();
                self.parameters.extend(channels.iter().flat_map(Channel::bytes));
            }
            let sums: Vec<Vec<i32>> = (0..rows)
                .map(|_| {
                    (0..self.columns)
                        .map(|_| rng.corner_bits(32) as i32 >> (32 - sum_bits))
                        .collect()
                })
                .collect();
            self.group(&m, n, stage.expert, &channels, &sums);
            let after_commands = if m.bias_from_sums == 1 { self.count } else { 0 };
            self.groups.push_back(Group { sums, after_commands });
        }
        self.push_command(Operation::MatMul(m), stage);
    }

    /// All writes of one group.
    fn group(&mut self, m: &MatMul, n: u32, expert: u32, channels: &[Channel], sums: &[Vec<i32>]) {
        let sums_word = ((m.sums_base + n) % 256) as usize;
        let mut totals = vec![0i32; self.columns];
        for (row, sums) in sums.iter().enumerate() {
            let entry = self.queues[expert as usize][row];
            let token = if m.routing == 2 { entry.0 } else { row as u32 };
            let z = self.results(m, channels, sums, sums_word, row, entry.1);
            let write = self.write(m, n, token, &z);
            totals
                .iter_mut()
                .zip(&write.data)
                .for_each(|(total, byte)| *total += byte);
            self.expected[m.dst as usize].push_back(write);
            self.writes += 1;
        }
        if m.dst == 1 && m.write_sums == 1 {
            self.value_sums[sums_word] = totals;
        }
    }

    fn results(
        &self,
        m: &MatMul,
        channels: &[Channel],
        sums: &[i32],
        word: usize,
        row: usize,
        score: u16,
    ) -> Vec<i32> {
        let reciprocal = self.factors[m.sum_bank as usize][row];
        let exponent = if m.factor == 2 { reciprocal.exponent } else { 0 };
        let settings = PostSettings {
            pre_shift: m.pre_shift,
            shift: m.shift,
            gelu: m.gelu == 1,
            factor_shift: (m.factor_shift + exponent).min(63),
            offset: m.offset as u8 as i8,
        };
        let one = |c: usize| {
            let values = if m.bias_from_sums == 1 {
                self.value_sums[word][c]
            } else {
                0
            };
            let bias = i64::from(channels[c].bias) + 128 * i64::from(values);
            let factor = [channels[c].factor, score, reciprocal.mantissa][m.factor as usize];
            post(sums[c], bias, channels[c].mantissa, factor, &settings)
        };
        (0..self.columns).map(one).collect()
    }

    fn write(&mut self, m: &MatMul, n: u32, token: u32, z: &[i32]) -> Write {
        let groups = if m.dst == 0 { self.groups_per_word } else { 1 };
        let address = (m.dst_base + token * m.dst_stride + n / groups) & 0xffff;
        let all = |f: fn(i32) -> i32| z.iter().map(|&z| f(z)).collect::<Vec<_>>();
        let (address, place, data) = match m.dst {
            0 => (address, n % groups, all(|z| to_activation(z).into())),
            1 => (
                address,
                token % self.columns as u32,
                all(|z| to_stationary(z).into()),
            ),
            2 => (address, 0, self.update_residual(address, m.add == 1, z)),
            3 => (address, 0, all(|z| to_16(z).into())),
            _ => ((m.dst_base + token * m.dst_stride) & 0x7ff, n % 16, z.to_vec()),
        };
        Write { address, place, data }
    }

    fn update_residual(&mut self, address: u32, add: bool, z: &[i32]) -> Vec<i32> {
        let word = &mut self.final_residual[address as usize];
        for (value, &z) in word.iter_mut().zip(z) {
            *value = if add { add_residual(*value, z) } else { to_16(z) };
        }
        word.iter().map(|&value| value.into()).collect()
    }
}

/// Shifts that bring sums of `sum_bits` into the range of the destination, so that few results saturate.
fn scale_sensibly(m: &mut MatMul, sum_bits: u32, rng: &mut Rng) {
    m.pre_shift = rng.below(u64::from(sum_bits.min(16))) as u32;
    let y_bits = 12 + rng.below(5) as u32;
    m.shift = (sum_bits - m.pre_shift).min(27) + 16 - y_bits.min(16);
    let g_bits = if m.gelu == 1 { y_bits + 4 } else { y_bits };
    let z_bits = [8, 8, 16, 16, 22][m.dst as usize] - rng.below(3) as u32;
    let average_exponent = if m.factor == 2 { 12 } else { 0 };
    m.factor_shift = (g_bits + 16).saturating_sub(z_bits + average_exponent);
}

fn shuffled(tokens: usize, rng: &mut Rng) -> Vec<(u32, u16)> {
    let mut entries: Vec<(u32, u16)> = (0..tokens as u32).map(|t| (t, rng.bits(16) as u16)).collect();
    for i in (1..tokens).rev() {
        entries.swap(i, rng.below(i as u64 + 1) as usize);
    }
    entries
}
