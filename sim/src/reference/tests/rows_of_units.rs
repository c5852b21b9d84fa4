//! Norm against real arithmetic and against the row functions.

use moevit_hw::control::command::{Norm, Operation};
use moevit_hw::numerics::layer_norm::{element, row_scale, NormSettings};

use super::build::{Builder, Random};
use super::naive::plane;

fn norm(width: u32, row_words: u32, wide: u32) -> Norm {
    Norm {
        src_base: 5,
        dst_base: 100,
        tokens: 9,
        row_words,
        wide,
        dst_stride: 10,
        width,
        shift: if wide == 1 { 16 } else { 22 },
        inverse_width: ((1u64 << 32) as f64 / f64::from(width)).round() as u32,
        epsilon: 4_096,
        mantissa: 40_000,
    }
}

fn rows(random: &mut Random, op: &Norm) -> Vec<i16> {
    let width = op.width as usize;
    let mut row = |limit: i64| -> Vec<i16> {
        let mut row: Vec<i16> = (0..width).map(|_| random.range(-limit, limit) as i16).collect();
        row.resize(8 * op.row_words as usize, 0);
        row
    };
    (0..op.tokens).flat_map(|t| row(3i64.pow(t) + 1)).collect()
}

#[test]
fn narrow_and_wide_rows() {
    let mut compared = 0;
    for (width, row_words, wide) in [(64, 8, 0), (48, 6, 1), (40, 5, 0), (37, 5, 0), (29, 4, 1)] {
        let op = norm(width, row_words, wide);
        let x = rows(&mut Random::new(width.into()), &op);
        let mut builder = Builder::nano();
        builder.residual(5, &x).push(Operation::Norm(op));
        let (machine, _) = builder.run();
        for (t, row) in x.chunks(8 * row_words as usize).enumerate() {
            for (i, want) in expected(row, &op).into_iter().enumerate() {
                let words = machine.memories().activation.span(100 + 10 * t, 8);
                let high = i64::from(words[i]);
                if wide == 0 {
                    assert_eq!(high, want);
                } else {
                    let low = i64::from(words[16 * row_words as usize / 2 + i]);
                    assert_eq!((high, low), (plane(want, 0), plane(want, 1)));
                }
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 9 * 8 * (8 + 6 + 5 + 5 + 4));
}

/// The row functions, and the real LayerNorm beside them.
fn expected(row: &[i16], op: &Norm) -> Vec<i64> {
    let settings = NormSettings {
        width: op.width,
        inverse_width: op.inverse_width,
        epsilon: op.epsilon,
        mantissa: op.mantissa as u16,
        shift: op.shift,
    };
    let sum: i64 = row.iter().map(|&x| i64::from(x)).sum();
    let squares: i64 = row.iter().map(|&x| i64::from(x).pow(2)).sum();
    let scale = row_scale(sum, squares as u64, &settings);
    let d = f64::from(op.width);
    let variance = squares as f64 / d - (sum as f64 / d).powi(2) + f64::from(op.epsilon) / d / d;
    let unit = f64::from(op.mantissa) / 2f64.powi(op.shift as i32 - 10) / d;
    let limit = if op.wide == 1 {
        (-16_319.0, 16_319.0)
    } else {
        (-128.0, 127.0)
    };
    let check = |&x: &i16| {
        let y = element(x, &scale, op.wide == 1);
        let real = (f64::from(x) - sum as f64 / d) / variance.sqrt() * unit;
        let real = real.clamp(limit.0, limit.1);
        assert!(
            (real - f64::from(y)).abs() < 1.0 + 2e-4 * real.abs(),
            "{x}: {y} for {real}"
        );
        i64::from(y)
    };
    row.iter().map(check).collect()
}
