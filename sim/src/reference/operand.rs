//! The two operands of a matrix product as dense matrices: rows of activations, columns of weights.
//!
//! Columns are stored contiguously over the whole depth, so that a result is one dot product that the compiler vectorises.

use moevit_hw::config::{AccelConfig, LOAD_LANES};
use moevit_hw::control::command::MatMul;

use super::error::Fault;
use super::memory::Memory;
use super::rows::Rows;

/// Lane of a load bus that word `w` of a tile holds: each segment of four loads from its end.
pub const LANE_OF_WORD: [usize; LOAD_LANES] = [3, 2, 1, 0, 7, 6, 5, 4];

/// Rows of one plane of the streaming operand, `depth` values each.
#[derive(Clone, Debug)]
pub struct Streaming {
    depth: usize,
    data: Vec<i16>,
}

impl Streaming {
    /// Plane `plane` of the rows that a command streams.
    pub fn gather(
        op: &MatMul,
        rows: &Rows,
        plane: usize,
        config: &AccelConfig,
        activation: &Memory<i8>,
    ) -> Self {
        let words = op.k_tiles as usize;
        let base = op.src_base as usize + plane * words;
        let word = |&row: &usize| base + row * op.src_stride as usize;
        let rows = rows.source.iter().map(|row| activation.span(word(row), words));
        Self {
            depth: words * config.rows,
            data: rows.flatten().map(|&x| i16::from(x)).collect(),
        }
    }

    /// The rows.
    pub fn rows(&self) -> impl Iterator<Item = &[i16]> {
        self.data.chunks_exact(self.depth)
    }
}

/// One tile of columns of the stationary operand, over the whole depth.
#[derive(Clone, Debug)]
pub struct Columns {
    depth: usize,
    data: Vec<i16>,
}

impl Columns {
    fn zeros(depth: usize, columns: usize) -> Self {
        Self {
            depth,
            data: vec![0; depth * columns],
        }
    }

    /// The columns, each `depth` values.
    pub fn columns(&self) -> impl Iterator<Item = &[i16]> {
        self.data.chunks_exact(self.depth)
    }

    /// Unpacks tiles of the weight stream; `tile` names the columns in messages.
    #[inline(never)]
    pub fn from_stream(bytes: &[u8], tile: usize, config: &AccelConfig) -> Result<Self, Fault> {
        if bytes.contains(&0x80) {
            return Err(Fault::Weight { tile });
        }
        let (lanes, columns) = (config.rows, config.columns);
        let mut out = Self::zeros(bytes.len() / columns, columns);
        for (index, row) in bytes.chunks_exact(columns).enumerate() {
            let (segment, within) = (index / lanes * lanes, index % lanes);
            let (word, bus) = (within / (lanes / LOAD_LANES), within % (lanes / LOAD_LANES));
            let lane = segment + bus * LOAD_LANES + LANE_OF_WORD[word];
            for (column, &byte) in row.iter().enumerate() {
                out.data[column * out.depth + lane] = i16::from(byte as i8);
            }
        }
        Ok(out)
    }

    /// Reads tile `tile` of columns from key/value memory, by keys or by values.
    pub fn from_memory(op: &MatMul, tile: usize, config: &AccelConfig, stationary: &Memory<i8>) -> Self {
        let depth = op.k_tiles as usize * config.rows;
        let mut out = Self::zeros(depth, config.columns);
        let (base, stride) = (op.kv_base as usize, op.kv_stride as usize);
        for (i, value) in out.data.iter_mut().enumerate() {
            let (lane, column) = (i % depth, tile * config.columns + i / depth);
            let (token, channel) = if op.stationary == 1 {
                (column, lane)
            } else {
                (lane, column)
            };
            if op.stationary == 1 || token < op.kv_tokens as usize {
                let word = base + token * stride + channel / config.columns;
                *value = i16::from(stationary.rotated(word, channel, token));
            }
        }
        out
    }
}

/// Values that [`dot`] takes at once; every depth is a multiple.
const STEP: usize = 16;

/// `sum a * b`: bytes by bytes over any depth stay far from the limits of 32 bits.
///
/// Products are added in neighbouring pairs, with wrapping adds: the form that compilers turn into one instruction for eight.
#[inline]
pub fn dot(a: &[i16], b: &[i16]) -> i32 {
    let mut sums = [0i32; STEP / 2];
    for (a, b) in a.chunks_exact(STEP).zip(b.chunks_exact(STEP)) {
        for (i, sum) in sums.iter_mut().enumerate() {
            let product = |j: usize| i32::from(a[j]) * i32::from(b[j]);
            *sum = sum.wrapping_add(product(2 * i).wrapping_add(product(2 * i + 1)));
        }
    }
    sums.iter().fold(0, |all, &sum| all.wrapping_add(sum))
}
