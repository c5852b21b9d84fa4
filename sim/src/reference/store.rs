//! Where the results of a tile of columns go.

use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::MatMul;
use moevit_hw::numerics::post::{add_residual, to_16, to_activation, to_stationary};

use super::legal::dst;
use super::memory::Memories;

/// Stores the results of tile `n`, token after token; returns how many were cut to their range.
pub fn store(
    op: &MatMul,
    config: &AccelConfig,
    n: usize,
    tokens: &[usize],
    results: &[i32],
    memories: &mut Memories,
) -> u64 {
    let columns = config.columns;
    let base = |token: usize| op.dst_base as usize + token * op.dst_stride as usize;
    let mut saturated = 0;
    for (&token, z) in tokens.iter().zip(results.chunks_exact(columns)) {
        saturated += match op.dst {
            dst::ACTIVATION => {
                let to = memories.activation.chunk_mut(base(token), n, columns);
                place(z, to, |z, _| to_activation(z))
            }
            dst::STATIONARY => store_stationary(op, base(token) + n, token, n, z, memories),
            dst::RESIDUAL => {
                let to = memories.residual.span_mut(base(token) + n, 1);
                store_residual(op.add == 1, z, to)
            }
            dst::SCORE => place(z, memories.score.span_mut(base(token) + n, 1), |z, _| to_16(z)),
            _ => {
                memories
                    .logits
                    .chunk_mut(base(token), n, columns)
                    .copy_from_slice(z);
                0
            }
        };
    }
    saturated
}

/// Converts a word of results; counts those that changed.
fn place<T: Copy + Into<i32>>(z: &[i32], to: &mut [T], convert: impl Fn(i32, T) -> T) -> u64 {
    let mut cut = 0;
    for (y, &z) in to.iter_mut().zip(z) {
        *y = convert(z, *y);
        cut += u64::from((*y).into() != z);
    }
    cut
}

fn store_residual(add: bool, z: &[i32], to: &mut [i16]) -> u64 {
    if !add {
        return place(z, to, |z, _| to_16(z));
    }
    let mut cut = 0;
    for (y, &z) in to.iter_mut().zip(z) {
        let exact = i32::from(*y) + z;
        *y = add_residual(*y, z);
        cut += u64::from(i32::from(*y) != exact);
    }
    cut
}

fn store_stationary(
    op: &MatMul,
    word: usize,
    token: usize,
    n: usize,
    z: &[i32],
    memories: &mut Memories,
) -> u64 {
    let mut bytes = vec![0i8; z.len()];
    let cut = place(z, &mut bytes, |z, _| to_stationary(z));
    memories.stationary.write_rotated(word, token, &bytes);
    if op.write_sums == 1 {
        let sums = memories.sums.span_mut(op.sums_base as usize + n, 1);
        sums.iter_mut()
            .zip(&bytes)
            .for_each(|(sum, &byte)| *sum += i32::from(byte));
    }
    cut
}
