//! Which words of which memories a command reads and writes: one description for range checks and for race checks.

use moevit_hw::config::{AccelConfig, BEAT_BYTES};
use moevit_hw::control::command::{Copy, MatMul, Norm, Operation, Route, Softmax, Write};

use super::error::Fault;
use super::legal::dst;
use super::memory::SUM_WORDS;
use super::rows::Rows;

/// A memory, as far as addresses are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Activation,
    Stationary,
    Residual,
    Score,
    Sums,
    Logits,
    Reciprocals,
    Queues,
}

impl Place {
    /// All memories, in the order of their numbers.
    pub const ALL: [Place; 8] = [
        Place::Activation,
        Place::Stationary,
        Place::Residual,
        Place::Score,
        Place::Sums,
        Place::Logits,
        Place::Reciprocals,
        Place::Queues,
    ];

    /// Name in messages.
    pub fn name(self) -> &'static str {
        [
            "activation",
            "key/value",
            "residual",
            "score",
            "value-sum",
            "logit",
            "reciprocal",
            "queue",
        ][self as usize]
    }

    /// Words of the memory.
    pub fn words(self, config: &AccelConfig) -> usize {
        match self {
            Place::Activation => config.activation_words,
            Place::Stationary => config.stationary_words,
            Place::Residual => config.residual_words,
            Place::Score => config.score_words,
            Place::Sums => SUM_WORDS,
            Place::Logits => config.max_tokens,
            Place::Reciprocals => 2 * config.max_tokens,
            Place::Queues => 1,
        }
    }
}

/// `words` words at `base + row * stride` for each row.
#[derive(Clone, Debug)]
pub struct Span {
    pub place: Place,
    /// The command's field that the address comes from.
    pub field: &'static str,
    pub base: usize,
    pub stride: usize,
    pub words: usize,
    pub rows: Vec<usize>,
}

impl Span {
    fn new(place: Place, field: &'static str, base: u32, words: usize) -> Self {
        Self {
            place,
            field,
            base: base as usize,
            stride: 0,
            words,
            rows: vec![0],
        }
    }

    fn per_row(mut self, stride: u32, rows: Vec<usize>) -> Self {
        self.stride = stride as usize;
        self.rows = rows;
        self
    }

    /// Every address of the span.
    pub fn addresses(&self) -> impl Iterator<Item = usize> + '_ {
        let first = |&row: &usize| self.base + row * self.stride;
        self.rows
            .iter()
            .map(first)
            .flat_map(|first| first..first + self.words)
    }

    fn check(&self, config: &AccelConfig) -> Result<(), Fault> {
        let Some(row) = self.rows.iter().max() else {
            return Ok(());
        };
        let (last, words) = (
            self.base + row * self.stride + self.words - 1,
            self.place.words(config),
        );
        if last >= words {
            return Err(Fault::Address {
                field: self.field,
                memory: self.place.name(),
                last,
                words,
            });
        }
        Ok(())
    }
}

/// The words that a command touches.
#[derive(Clone, Debug, Default)]
pub struct Footprint {
    pub reads: Vec<Span>,
    pub writes: Vec<Span>,
    /// Words read and written by the same circuit, one after the other.
    pub updates: Vec<Span>,
}

impl Footprint {
    /// The footprint of a command; `rows` are those of a MatMul.
    pub fn of(operation: &Operation, rows: &Rows, config: &AccelConfig) -> Self {
        match operation {
            Operation::Copy(op) => copy(op),
            Operation::MatMul(op) => matmul(op, rows, config),
            Operation::Norm(op) => norm(op, config),
            Operation::Softmax(op) => softmax(op, config),
            Operation::Route(op) => route(op),
            Operation::Write(op) => write(op, config),
            Operation::ExpertLoop(_) => reads(vec![queues()]),
            Operation::Fetch(_) | Operation::Discard(_) | Operation::End(_) => Self::default(),
        }
    }

    /// Refuses a command that leaves a memory.
    pub fn check(&self, config: &AccelConfig) -> Result<(), Fault> {
        let spans = self.reads.iter().chain(&self.writes).chain(&self.updates);
        spans.into_iter().try_for_each(|span| span.check(config))
    }
}

fn reads(reads: Vec<Span>) -> Footprint {
    Footprint {
        reads,
        ..Default::default()
    }
}

fn queues() -> Span {
    Span::new(Place::Queues, "experts", 0, 1)
}

fn all(rows: u32) -> Vec<usize> {
    (0..rows as usize).collect()
}

fn copy(op: &Copy) -> Footprint {
    let place = [Place::Activation, Place::Residual][op.residual as usize];
    Footprint {
        writes: vec![Span::new(place, "dst_base", op.dst_base, op.words as usize)],
        ..Default::default()
    }
}

fn matmul(op: &MatMul, rows: &Rows, config: &AccelConfig) -> Footprint {
    let k_words = op.k_tiles as usize * (1 + usize::from(op.planes == 2));
    let operand = Span::new(Place::Activation, "src_base", op.src_base, k_words);
    let mut footprint = reads(vec![operand.per_row(op.src_stride, rows.source.clone())]);
    footprint.reads.extend(stationary(op, config));
    let n_tiles = op.n_tiles as usize;
    if op.bias_from_sums == 1 {
        let sums = Span::new(Place::Sums, "sums_base", op.sums_base, n_tiles);
        footprint.reads.push(sums);
    }
    if op.factor == 2 {
        let base = op.sum_bank * config.max_tokens as u32;
        let all = Span::new(Place::Reciprocals, "sum_bank", base, 1);
        footprint
            .reads
            .push(all.per_row(1, (0..rows.source.len()).collect()));
    }
    if rows.queued {
        footprint.reads.push(queues());
    }
    if op.write_sums == 1 {
        let sums = Span::new(Place::Sums, "sums_base", op.sums_base, n_tiles);
        footprint.writes.push(sums);
    }
    let result = destination(op, rows, config);
    if op.add == 1 {
        footprint.updates.push(result);
    } else {
        footprint.writes.push(result);
    }
    footprint
}

/// Words of real tokens; keys of columns beyond `kv_tokens` may be anything.
fn stationary(op: &MatMul, config: &AccelConfig) -> Option<Span> {
    let (k, n) = (op.k_tiles as usize, op.n_tiles as usize);
    let (words, most) = match op.stationary {
        1 => (k * config.groups(), n * config.columns),
        2 => (n, k * config.rows),
        _ => return None,
    };
    let tokens = (0..most.min(op.kv_tokens as usize)).collect();
    Some(Span::new(Place::Stationary, "kv_base", op.kv_base, words).per_row(op.kv_stride, tokens))
}

fn destination(op: &MatMul, rows: &Rows, config: &AccelConfig) -> Span {
    let n_tiles = op.n_tiles as usize;
    let (place, words) = match op.dst {
        dst::ACTIVATION => (Place::Activation, n_tiles.div_ceil(config.groups())),
        dst::STATIONARY => (Place::Stationary, n_tiles),
        dst::RESIDUAL => (Place::Residual, n_tiles),
        dst::SCORE => (Place::Score, n_tiles),
        _ => (Place::Logits, 1),
    };
    Span::new(place, "dst_base", op.dst_base, words).per_row(op.dst_stride, rows.destination.clone())
}

fn norm(op: &Norm, config: &AccelConfig) -> Footprint {
    let row_words = op.row_words as usize;
    let words = row_words.div_ceil(config.groups()) * (1 + op.wide as usize);
    let source = Span::new(Place::Residual, "src_base", op.src_base, row_words);
    let result = Span::new(Place::Activation, "dst_base", op.dst_base, words);
    Footprint {
        reads: vec![source.per_row(op.row_words, all(op.tokens))],
        writes: vec![result.per_row(op.dst_stride, all(op.tokens))],
        ..Default::default()
    }
}

fn softmax(op: &Softmax, config: &AccelConfig) -> Footprint {
    let chunks = (op.keys as usize).div_ceil(config.columns);
    let source = Span::new(Place::Score, "src_base", op.src_base, chunks);
    let words = chunks.div_ceil(config.groups());
    let result = Span::new(Place::Activation, "dst_base", op.dst_base, words);
    let base = op.sum_bank * config.max_tokens as u32;
    let sums = Span::new(Place::Reciprocals, "sum_bank", base, 1);
    Footprint {
        reads: vec![source.per_row(op.src_stride, all(op.queries))],
        writes: vec![
            result.per_row(op.dst_stride, all(op.queries)),
            sums.per_row(1, all(op.queries)),
        ],
        ..Default::default()
    }
}

fn route(op: &Route) -> Footprint {
    Footprint {
        reads: vec![Span::new(Place::Logits, "tokens", 0, 1)
            .per_row(1, (op.first..op.tokens).map(|t| t as usize).collect())],
        writes: vec![queues()],
        ..Default::default()
    }
}

fn write(op: &Write, config: &AccelConfig) -> Footprint {
    let words = (op.beats as usize * BEAT_BYTES).div_ceil(config.residual_word_bytes());
    reads(vec![Span::new(Place::Residual, "src_base", op.src_base, words)])
}
