//! The norm unit: LayerNorm of residual rows into activation memory.

use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::Norm;
use moevit_hw::numerics::byte_planes;
use moevit_hw::numerics::layer_norm::{element, row_scale, NormSettings};

use super::error::Fault;
use super::memory::Memories;
use super::work::Work;

/// Normalises every row.
pub fn run(op: &Norm, config: &AccelConfig, memories: &mut Memories) -> Result<Work, Fault> {
    let mut work = Work::default();
    for row in 0..op.tokens as usize {
        let values = normalised(op, row, memories)?;
        let limit = |&&y: &&i32| match op.wide {
            1 => y.abs() == moevit_hw::numerics::WIDE_MAX as i32,
            _ => y == 127 || y == -128,
        };
        work.outputs += values.len() as u64;
        work.saturated += values.iter().filter(limit).count() as u64;
        store(op, config, row, &values, memories);
    }
    Ok(work)
}

/// The elements of a row, before they are split into bytes.
fn normalised(op: &Norm, row: usize, memories: &Memories) -> Result<Vec<i32>, Fault> {
    let words = op.row_words as usize;
    let x = memories.residual.span(op.src_base as usize + row * words, words);
    check_padding(&x[op.width as usize..], row, op.width as usize)?;
    let sum = x.iter().map(|&x| i64::from(x)).sum();
    let squares = x.iter().map(|&x| (i64::from(x) * i64::from(x)) as u64).sum();
    let scale = row_scale(sum, squares, &settings(op));
    Ok(x.iter().map(|&x| element(x, &scale, op.wide == 1)).collect())
}

fn settings(op: &Norm) -> NormSettings {
    NormSettings {
        width: op.width,
        inverse_width: op.inverse_width,
        epsilon: op.epsilon,
        mantissa: op.mantissa as u16,
        shift: op.shift,
    }
}

/// The circuit sums whole words, so channels beyond the width must add nothing.
fn check_padding(padding: &[i16], row: usize, width: usize) -> Result<(), Fault> {
    match padding.iter().position(|&x| x != 0) {
        None => Ok(()),
        Some(i) => Err(Fault::Padding {
            row,
            channel: width + i,
            value: padding[i],
        }),
    }
}

fn store(op: &Norm, config: &AccelConfig, row: usize, values: &[i32], memories: &mut Memories) {
    let word = op.dst_base as usize + row * op.dst_stride as usize;
    let activation = &mut memories.activation;
    let high = activation.chunk_mut(word, 0, values.len());
    if op.wide == 0 {
        high.iter_mut().zip(values).for_each(|(y, &x)| *y = x as i8);
        return;
    }
    high.iter_mut()
        .zip(values)
        .for_each(|(y, &x)| *y = byte_planes(x).0);
    let plane = word + op.row_words as usize / config.groups();
    let low = activation.chunk_mut(plane, 0, values.len());
    low.iter_mut()
        .zip(values)
        .for_each(|(y, &x)| *y = byte_planes(x).1);
}
