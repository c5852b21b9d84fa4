//! The array unit: tokens times tiles of columns, post-processed and stored.
//!
//! Tiles of columns are independent, so they run on all processors; results are stored in the order of the circuit.

use std::borrow::Cow;

use moevit_hw::config::{AccelConfig, PARAMETER_BYTES};
use moevit_hw::control::command::MatMul;
use moevit_hw::numerics::post::{post, PostSettings, SHIFT_MAX};
use rayon::prelude::*;

use super::error::Fault;
use super::memory::Memories;
use super::operand::{dot, Columns, Streaming};
use super::rows::Rows;
use super::store::store;
use super::stream::Stream;
use super::work::Work;

/// What the stream brings for one tile of columns.
struct TileStream<'a> {
    parameters: Cow<'a, [u8]>,
    /// Weights of every pass.
    weights: Cow<'a, [u8]>,
}

/// Second factor of a row, if it is not the channel's.
#[derive(Clone, Copy, Debug)]
struct RowFactor {
    mantissa: u16,
    shift: u32,
}

/// Operands of a command that all tiles share.
struct Operands<'a> {
    op: &'a MatMul,
    config: &'a AccelConfig,
    memories: &'a Memories,
    planes: Vec<Streaming>,
    factors: Option<Vec<RowFactor>>,
}

/// Runs a MatMul command.
pub fn run(
    op: &MatMul,
    rows: &Rows,
    config: &AccelConfig,
    memories: &mut Memories,
    stream: &mut Stream,
) -> Result<Work, Fault> {
    let before = stream.held();
    let tiles = take_tiles(op, config, stream)?;
    let operands = Operands {
        op,
        config,
        memories,
        planes: (0..1 + usize::from(op.planes == 2))
            .map(|plane| Streaming::gather(op, rows, plane, config, &memories.activation))
            .collect(),
        factors: row_factors(op, rows, memories)?,
    };
    let results: Vec<Vec<i32>> = (0..tiles.len())
        .into_par_iter()
        .map(|n| {
            operands.tile(
                n,
                &tiles[n].weights,
                &tiles[if op.hold_parameters == 1 { 0 } else { n }].parameters,
            )
        })
        .collect::<Result<_, Fault>>()?;
    let mut work = Work {
        macs: (rows.count() * config.rows * config.columns * passes(op).len()) as u64
            * u64::from(op.k_tiles)
            * u64::from(op.n_tiles),
        stream_bytes: (before - stream.held()) as u64,
        ..Default::default()
    };
    clear_sums(op, config, memories);
    for (n, results) in results.iter().enumerate() {
        work.outputs += results.len() as u64;
        work.saturated += store(op, config, n, &rows.destination, results, memories);
    }
    Ok(work)
}

/// Streaming plane and shift of each pass over the depth.
fn passes(op: &MatMul) -> &'static [(usize, u32)] {
    match op.planes {
        0 => &[(0, 0)],
        1 => &[(0, 7), (0, 0)],
        _ => &[(0, 14), (0, 7), (1, 7), (1, 0)],
    }
}

/// Consumes parameters and weights in the order of the tiles.
fn take_tiles<'a>(
    op: &MatMul,
    config: &AccelConfig,
    stream: &mut Stream<'a>,
) -> Result<Vec<TileStream<'a>>, Fault> {
    let parameter_bytes = config.parameter_words() * config.weight_word_bytes();
    let tile_bytes = config.rows * config.columns;
    let weight_bytes = match op.stationary {
        0 => passes(op).len() * op.k_tiles as usize * tile_bytes,
        _ => 0,
    };
    (0..op.n_tiles)
        .map(|n| {
            let own = n == 0 || op.hold_parameters == 0;
            Ok(TileStream {
                parameters: stream.take(if own { parameter_bytes } else { 0 })?,
                weights: stream.take(weight_bytes)?,
            })
        })
        .collect()
}

/// Gate scores or reciprocals of the softmax sums.
fn row_factors(op: &MatMul, rows: &Rows, memories: &Memories) -> Result<Option<Vec<RowFactor>>, Fault> {
    let factor = |row: usize| match op.factor {
        1 => RowFactor {
            mantissa: rows.scores[row].to_bits(),
            shift: op.factor_shift,
        },
        _ => {
            let inverse = memories.reciprocals[op.sum_bank as usize][row];
            RowFactor {
                mantissa: inverse.mantissa,
                shift: op.factor_shift + inverse.exponent,
            }
        }
    };
    if op.factor == 0 {
        return Ok(None);
    }
    let factors: Vec<RowFactor> = (0..rows.count()).map(factor).collect();
    match factors.iter().position(|f| f.shift > SHIFT_MAX) {
        None => Ok(Some(factors)),
        Some(row) => Err(Fault::RowShift {
            row,
            shift: factors[row].shift,
            most: SHIFT_MAX,
        }),
    }
}

fn clear_sums(op: &MatMul, config: &AccelConfig, memories: &mut Memories) {
    if op.write_sums == 1 {
        let words = op.n_tiles as usize;
        memories
            .sums
            .chunk_mut(op.sums_base as usize, 0, words * config.columns)
            .fill(0);
    }
}

impl Operands<'_> {
    /// The results of tile `n`, token after token.
    fn tile(&self, n: usize, weights: &[u8], parameters: &[u8]) -> Result<Vec<i32>, Fault> {
        let mut sums = self.accumulate(n, weights)?;
        self.post_process(n, parameters, &mut sums);
        Ok(sums)
    }

    fn accumulate(&self, n: usize, weights: &[u8]) -> Result<Vec<i32>, Fault> {
        let passes = passes(self.op);
        let columns = self.config.columns;
        let rows = self.planes[0].rows().count();
        let mut sums = vec![0i32; rows * columns];
        for (pass, &(plane, shift)) in passes.iter().enumerate() {
            let stationary = match self.op.stationary {
                0 => {
                    let bytes = weights.len() / passes.len();
                    Columns::from_stream(&weights[pass * bytes..(pass + 1) * bytes], n, self.config)?
                }
                _ => Columns::from_memory(self.op, n, self.config, &self.memories.stationary),
            };
            for (row, sums) in self.planes[plane].rows().zip(sums.chunks_exact_mut(columns)) {
                for (column, sum) in stationary.columns().zip(sums) {
                    *sum = sum.wrapping_add(dot(row, column) << shift);
                }
            }
        }
        Ok(sums)
    }

    fn post_process(&self, n: usize, parameters: &[u8], sums: &mut [i32]) {
        let columns = self.config.columns;
        for (c, block) in parameters.chunks_exact(PARAMETER_BYTES).take(columns).enumerate() {
            let bias = i64::from(i32::from_le_bytes([block[0], block[1], block[2], block[3]]))
                + self.value_bias(n, c);
            let mantissa = u16::from_le_bytes([block[4], block[5]]);
            let factor = RowFactor {
                mantissa: u16::from_le_bytes([block[6], block[7]]),
                shift: self.op.factor_shift,
            };
            for (row, sum) in sums.iter_mut().skip(c).step_by(columns).enumerate() {
                let factor = self.factors.as_ref().map_or(factor, |factors| factors[row]);
                *sum = post(
                    *sum,
                    bias,
                    mantissa,
                    factor.mantissa,
                    &self.settings(factor.shift),
                );
            }
        }
    }

    /// What undoes the offset of 128 in the probabilities.
    fn value_bias(&self, n: usize, c: usize) -> i64 {
        match self.op.bias_from_sums {
            1 => 128 * i64::from(self.memories.sums.span(self.op.sums_base as usize + n, 1)[c]),
            _ => 0,
        }
    }

    fn settings(&self, factor_shift: u32) -> PostSettings {
        PostSettings {
            pre_shift: self.op.pre_shift,
            shift: self.op.shift,
            gelu: self.op.gelu == 1,
            factor_shift,
            offset: self.op.offset as u8 as i8,
        }
    }
}
