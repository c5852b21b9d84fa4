//! The specification's formulas in the plainest form: whole matrices, wide integers, no tiles.

use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::MatMul;
use moevit_hw::numerics::gelu::gelu;

use super::build::Random;

/// Post-processing of a channel.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    pub bias: i64,
    pub mantissa: i64,
    pub factor: i64,
}

impl Channel {
    pub fn random(random: &mut Random, count: usize) -> Vec<Self> {
        let mut one = || Self {
            bias: random.range(-20_000, 20_000),
            mantissa: random.range(1, 65_535),
            factor: random.range(1, 65_535),
        };
        (0..count).map(|_| one()).collect()
    }

    /// Passes sums through: `mantissa / 2^15 = 1`, `factor / 2^15 = 1`.
    pub fn plain(count: usize) -> Vec<Self> {
        let one = Self {
            bias: 0,
            mantissa: 32_768,
            factor: 32_768,
        };
        vec![one; count]
    }
}

/// `floor(x / 2^shift + 1/2)`.
pub fn round(x: i128, shift: u32) -> i128 {
    (2 * x + (1 << shift)).div_euclid(2 << shift)
}

fn saturate(x: i128, bits: u32) -> i128 {
    x.max(-(1 << (bits - 1))).min((1 << (bits - 1)) - 1)
}

/// One result from the exact sum of products; `factor` and `factor_shift` are the row's or the channel's.
pub fn post(op: &MatMul, sum: i64, channel: Channel, factor: i64, factor_shift: u32) -> i64 {
    let acc = i128::from(sum as i32);
    let v = saturate(round(acc + i128::from(channel.bias), op.pre_shift), 27);
    let y = saturate(round(v * i128::from(channel.mantissa), op.shift), 24);
    let g = match op.gelu {
        1 => i128::from(gelu(saturate(y, 16) as i16)),
        _ => y,
    };
    let offset = i128::from(op.offset as u8 as i8);
    saturate(round(g * i128::from(factor), factor_shift) + offset, 24) as i64
}

/// `a * w` over whole rows and columns.
pub fn multiply(a: &[Vec<i64>], w: &[Vec<i64>]) -> Vec<Vec<i64>> {
    let column = |row: &[i64], n: usize| row.iter().zip(w).map(|(&x, k)| x * k[n]).sum();
    a.iter()
        .map(|row| (0..w[0].len()).map(|n| column(row, n)).collect())
        .collect()
}

/// `a * w` post-processed by channel.
pub fn layer(op: &MatMul, a: &[Vec<i64>], w: &[Vec<i64>], channels: &[Channel]) -> Vec<Vec<i64>> {
    let row = |sums: Vec<i64>| {
        sums.iter()
            .zip(channels)
            .map(|(&sum, &c)| post(op, sum, c, c.factor, op.factor_shift))
            .collect()
    };
    multiply(a, w).into_iter().map(row).collect()
}

/// High and low plane of a 15-bit value: `x = 128 * high + low`, `low` in `-64..=63`.
pub fn plane(x: i64, plane: usize) -> i64 {
    let low = (x + 64).rem_euclid(128) - 64;
    [(x - low) / 128, low][plane]
}

/// Activation words of rows: plane after plane within a row.
pub fn pack_rows(a: &[Vec<i64>], wide: bool) -> Vec<i8> {
    let row = |row: &Vec<i64>| -> Vec<i8> {
        if !wide {
            return row.iter().map(|&x| x as i8).collect();
        }
        let split = |p| row.iter().map(move |&x| plane(x, p) as i8);
        split(0).chain(split(1)).collect()
    };
    a.iter().flat_map(row).collect()
}

/// The stream of a MatMul: for each tile of columns parameters, then the weights of every pass.
pub fn pack_stream(op: &MatMul, w: &[Vec<i64>], channels: &[Channel], config: &AccelConfig) -> Vec<u8> {
    let mut out = Vec::new();
    for n in 0..op.n_tiles as usize {
        if n == 0 || op.hold_parameters == 0 {
            let first = n * config.columns;
            out.extend(pack_parameters(&channels[first..first + config.columns], config));
        }
        if op.stationary == 0 {
            out.extend(pack_tiles(op, w, n, config));
        }
    }
    out
}

fn pack_parameters(channels: &[Channel], config: &AccelConfig) -> Vec<u8> {
    let mut out = Vec::new();
    for c in channels {
        out.extend((c.bias as i32).to_le_bytes());
        out.extend((c.mantissa as u16).to_le_bytes());
        out.extend((c.factor as u16).to_le_bytes());
    }
    out.resize(config.parameter_words() * config.weight_word_bytes(), 0x55);
    out
}

fn pack_tiles(op: &MatMul, w: &[Vec<i64>], n: usize, config: &AccelConfig) -> Vec<u8> {
    let passes: &[usize] = [&[9][..], &[0, 1], &[0, 1, 0, 1]][op.planes as usize];
    let (r, c) = (config.rows, config.columns);
    let mut out = Vec::new();
    for &pass in passes {
        for k in 0..op.k_tiles as usize {
            for word in 0..8 {
                for byte in 0..r / 8 * c {
                    let lane = 8 * (byte / c) + [3, 2, 1, 0, 7, 6, 5, 4][word];
                    let value = w[k * r + lane][n * c + byte % c];
                    out.push(if pass == 9 { value } else { plane(value, pass) } as u8);
                }
            }
        }
    }
    out
}
