//! Which words of which on-chip memory a command reads and writes, taken from the command itself.
//!
//! Rows with the same stride are compared column by column, so heads that interleave do not meet; of other rows the enclosing
//! ranges are compared, which may cost a wait, never a hazard. A command in an expert loop counts with all tokens of the layer, its
//! `tokens` field.

use std::ops::Range;

use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::{MatMul, Operation};

/// Something on the chip that commands share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    Activation,
    Stationary,
    Residual,
    Score,
    /// Sums of the values, in the drain.
    ValueSums,
    /// Reciprocals of the softmax sums, one word a bank.
    Reciprocals,
    /// Gate logits in the router.
    Logits,
    /// Expert queues in the router.
    Queues,
}

/// A range of words that a command reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    pub memory: Memory,
    pub words: Range<usize>,
    /// Words from a row to the next and words of a row; 0 if there are no rows.
    rows: [usize; 2],
    pub write: bool,
}

impl Access {
    fn read(memory: Memory, base: u32, words: usize) -> Self {
        let base = base as usize;
        Self {
            memory,
            words: base..base + words,
            rows: [0; 2],
            write: false,
        }
    }

    fn write(memory: Memory, base: u32, words: usize) -> Self {
        Self {
            write: true,
            ..Self::read(memory, base, words)
        }
    }

    fn in_rows(self, stride: u32, row: usize) -> Self {
        Self {
            rows: [stride as usize, row],
            ..self
        }
    }

    fn meets(&self, other: &Access) -> bool {
        let apart = self.words.end <= other.words.start || other.words.end <= self.words.start;
        self.memory == other.memory && !apart && !self.interleaves(other)
    }

    /// Both have rows of one stride that never share a column.
    fn interleaves(&self, other: &Access) -> bool {
        let ([stride, mine], [other_stride, theirs]) = (self.rows, other.rows);
        if stride != other_stride || mine >= stride || theirs >= stride {
            return false;
        }
        let distance = (other.words.start + stride - self.words.start % stride) % stride;
        mine <= distance && distance + theirs <= stride
    }
}

/// Words from the first of `rows` rows to the end of the last.
fn span(rows: u32, stride: u32, row: usize) -> usize {
    (rows as usize).saturating_sub(1) * stride as usize + row
}

/// A later command must not start before an earlier one has finished: one of them writes what the other one touches.
pub fn conflict(earlier: &[Access], later: &[Access]) -> bool {
    earlier
        .iter()
        .any(|a| later.iter().any(|b| (a.write || b.write) && a.meets(b)))
}

/// A later command reads what an earlier one writes.
pub fn depends(earlier: &[Access], later: &[Access]) -> bool {
    earlier
        .iter()
        .any(|a| later.iter().any(|b| a.write && !b.write && a.meets(b)))
}

/// Everything that a command touches.
pub fn accesses(config: &AccelConfig, operation: &Operation) -> Vec<Access> {
    let (r, c) = (config.rows, config.columns);
    match operation {
        Operation::ExpertLoop(_) => vec![Access::read(Memory::Queues, 0, 1)],
        Operation::Fetch(_) | Operation::Discard(_) | Operation::End(_) => vec![],
        Operation::Copy(x) => {
            let memory = if x.residual == 1 {
                Memory::Residual
            } else {
                Memory::Activation
            };
            vec![Access::write(memory, x.dst_base, x.words as usize)]
        }
        Operation::MatMul(x) => mat_mul(config, x),
        Operation::Norm(x) => {
            let planes = 1 + x.wide as usize;
            let row = planes * (x.row_words as usize).div_ceil(config.groups());
            vec![
                Access::read(
                    Memory::Residual,
                    x.src_base,
                    x.tokens as usize * x.row_words as usize,
                ),
                Access::write(Memory::Activation, x.dst_base, span(x.tokens, x.dst_stride, row)),
            ]
        }
        Operation::Softmax(x) => {
            let keys = x.keys as usize;
            vec![
                Access::read(
                    Memory::Score,
                    x.src_base,
                    span(x.queries, x.src_stride, keys.div_ceil(c)),
                ),
                Access::write(
                    Memory::Activation,
                    x.dst_base,
                    span(x.queries, x.dst_stride, keys.div_ceil(r)),
                ),
                Access::write(Memory::Reciprocals, x.sum_bank, 1),
            ]
        }
        Operation::Route(x) => vec![
            Access::read(Memory::Logits, x.first, (x.tokens - x.first) as usize),
            Access::write(Memory::Queues, 0, 1),
        ],
        Operation::Write(x) => {
            let words = (x.beats as usize * 16).div_ceil(config.residual_word_bytes());
            vec![Access::read(Memory::Residual, x.src_base, words)]
        }
    }
}

fn mat_mul(config: &AccelConfig, x: &MatMul) -> Vec<Access> {
    let (k, n) = (x.k_tiles as usize, x.n_tiles as usize);
    let row = if x.planes == 2 { 2 * k } else { k };
    let source = Access::read(Memory::Activation, x.src_base, span(x.tokens, x.src_stride, row))
        .in_rows(x.src_stride, row);
    let mut all = vec![source, destination(config, x)];
    if x.dst == 2 && x.add == 1 {
        all.push(Access {
            write: false,
            ..destination(config, x)
        });
    }
    if x.stationary != 0 {
        let width = if x.stationary == 1 { k * config.groups() } else { n };
        let words = span(x.kv_tokens, x.kv_stride, width);
        let read = Access::read(Memory::Stationary, x.kv_base, words);
        all.push(read.in_rows(x.kv_stride, width));
    }
    if x.write_sums == 1 {
        all.push(Access::write(Memory::ValueSums, x.sums_base, n));
    }
    if x.bias_from_sums == 1 {
        all.push(Access::read(Memory::ValueSums, x.sums_base, n));
    }
    if x.factor == 2 {
        all.push(Access::read(Memory::Reciprocals, x.sum_bank, 1));
    }
    if x.routing != 0 || x.factor == 1 {
        all.push(Access::read(Memory::Queues, 0, 1));
    }
    all
}

fn destination(config: &AccelConfig, x: &MatMul) -> Access {
    let n = x.n_tiles as usize;
    let (memory, row) = match x.dst {
        0 => (Memory::Activation, n.div_ceil(config.groups())),
        1 => (Memory::Stationary, n),
        2 => (Memory::Residual, n),
        3 => (Memory::Score, n),
        _ => (Memory::Logits, 1),
    };
    Access::write(memory, x.dst_base, span(x.tokens, x.dst_stride, row)).in_rows(x.dst_stride, row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use moevit_hw::control::command::{Norm, Softmax};

    fn of(operation: Operation) -> Vec<Access> {
        accesses(&AccelConfig::named("nano").unwrap(), &operation)
    }

    #[test]
    fn a_row_range_ends_with_its_last_row() {
        let norm = Norm {
            src_base: 5,
            dst_base: 100,
            tokens: 3,
            row_words: 8,
            dst_stride: 10,
            ..Default::default()
        };
        assert_eq!(
            of(Operation::Norm(norm)),
            [
                Access::read(Memory::Residual, 5, 24),
                Access::write(Memory::Activation, 100, 24)
            ]
        );
    }

    #[test]
    fn context_reads_all_that_it_needs() {
        let context = MatMul {
            k_tiles: 2,
            n_tiles: 4,
            tokens: 10,
            src_stride: 2,
            stationary: 2,
            kv_base: 50,
            kv_stride: 12,
            kv_tokens: 20,
            bias_from_sums: 1,
            sums_base: 4,
            factor: 2,
            sum_bank: 1,
            dst_base: 200,
            dst_stride: 6,
            ..Default::default()
        };
        let all = of(Operation::MatMul(context));
        assert!(all.contains(&Access::read(Memory::Stationary, 50, 19 * 12 + 4).in_rows(12, 4)));
        assert!(all.contains(&Access::read(Memory::ValueSums, 4, 4)));
        assert!(all.contains(&Access::read(Memory::Reciprocals, 1, 1)));
        assert!(all.contains(&Access::write(Memory::Activation, 200, 9 * 6 + 2).in_rows(6, 2)));
        let softmax = Softmax {
            dst_base: 40,
            queries: 10,
            keys: 20,
            src_stride: 3,
            dst_stride: 2,
            sum_bank: 1,
            ..Default::default()
        };
        assert!(depends(&of(Operation::Softmax(softmax)), &all));
        let other_bank = Softmax {
            sum_bank: 0,
            ..softmax
        };
        assert!(!conflict(&of(Operation::Softmax(other_bank)), &all));
    }

    #[test]
    fn heads_that_interleave_do_not_meet() {
        let words = |base, row| Access::write(Memory::Stationary, base, span(10, 6, row)).in_rows(6, row);
        let whole = Access::read(Memory::Stationary, 100, 60);
        let mut met = 0;
        for (a, b) in (0..6).flat_map(|a| (0..12).map(move |b| (a, b))) {
            for (mine, theirs) in (1..=6).flat_map(|m| (1..=6).map(move |t| (m, t))) {
                let (x, y) = (words(100 + a, mine), words(100 + b, theirs));
                let columns = |first: u32, n| {
                    (0..10).flat_map(move |r| (0..n).map(move |i| first as usize + 6 * r + i))
                };
                let all: Vec<usize> = columns(a, mine).collect();
                let share = columns(b, theirs).any(|word| all.contains(&word));
                assert!(x.meets(&y) || !share, "{a}+{mine} {b}+{theirs}");
                assert!(x.meets(&whole));
                if a as usize + mine <= 6 && (b as usize % 6) + theirs <= 6 {
                    assert_eq!(x.meets(&y), share, "{a}+{mine} {b}+{theirs}");
                    met += 1;
                }
            }
        }
        assert!(met > 500, "{met}");
    }

    #[test]
    fn adding_reads_its_destination() {
        let add = MatMul {
            dst: 2,
            add: 1,
            tokens: 4,
            n_tiles: 3,
            dst_stride: 3,
            dst_base: 9,
            ..Default::default()
        };
        let all = of(Operation::MatMul(add));
        assert!(all.contains(&Access::read(Memory::Residual, 9, 12).in_rows(3, 3)));
        assert!(depends(&all, &all));
    }
}
