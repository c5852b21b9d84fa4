//! MatMul from the weight stream: planes, shapes, destinations, post-processing.

use moevit_hw::control::command::MatMul;

use super::build::{Builder, Random};
use super::naive::{layer, pack_rows, pack_stream, Channel};
use crate::reference::{Machine, RunOutput};
use moevit_hw::config::AccelConfig;

/// A product with random operands.
pub struct Product {
    pub op: MatMul,
    pub a: Vec<Vec<i64>>,
    pub w: Vec<Vec<i64>>,
    pub channels: Vec<Channel>,
}

impl Product {
    pub fn random(op: MatMul, config: &AccelConfig, random: &mut Random) -> Self {
        let (k, n) = (
            op.k_tiles as usize * config.rows,
            op.n_tiles as usize * config.columns,
        );
        let limit = |wide| if wide { 16_319 } else { 127 };
        Self {
            op,
            a: random.matrix(op.tokens as usize, k, limit(op.planes == 2)),
            w: random.matrix(k, n, limit(op.planes > 0)),
            channels: Channel::random(random, n),
        }
    }

    /// Operand rows at word 0, the stream, the command.
    pub fn emit(&self, builder: &mut Builder) {
        let stream = pack_stream(&self.op, &self.w, &self.channels, &builder.config);
        let rows = pack_rows(&self.a, self.op.planes == 2);
        builder.activation(0, &rows).fetch(&stream).matmul(self.op);
    }

    pub fn expected(&self) -> Vec<Vec<i64>> {
        layer(&self.op, &self.a, &self.w, &self.channels)
    }
}

fn shape(tokens: u32, k_tiles: u32, n_tiles: u32) -> MatMul {
    MatMul {
        tokens,
        k_tiles,
        n_tiles,
        src_stride: k_tiles,
        shift: 22,
        factor_shift: 15,
        ..Default::default()
    }
}

fn run(op: MatMul, config: &AccelConfig, seed: u64) -> (Vec<Vec<i64>>, Machine, RunOutput) {
    let product = Product::random(op, config, &mut Random::new(seed));
    let mut builder = Builder::new(config.clone());
    product.emit(&mut builder);
    let (machine, output) = builder.run();
    (product.expected(), machine, output)
}

/// Compares activation rows behind `base` with clamped results; returns how many were compared.
fn check_activation(
    machine: &Machine,
    config: &AccelConfig,
    base: usize,
    stride: usize,
    want: &[Vec<i64>],
) -> usize {
    for (t, row) in want.iter().enumerate() {
        let first = (base + t * stride) * config.rows;
        let got = &machine.memories().activation.data()[first..first + row.len()];
        for (n, (&got, &want)) in got.iter().zip(row).enumerate() {
            assert_eq!(i64::from(got), want.clamp(-128, 127), "token {t} channel {n}");
        }
    }
    want.len() * want[0].len()
}

#[test]
fn bytes_by_bytes_of_many_shapes_on_both_configurations() {
    let mut compared = 0;
    for (seed, name) in [(1, "nano"), (2, "zcu104")] {
        let config = AccelConfig::named(name).unwrap();
        for (tokens, k_tiles, n_tiles) in [(1, 1, 1), (2, 3, 2), (7, 2, 5), (33, 1, 4), (16, 6, 3)] {
            let op = MatMul {
                dst_base: 512,
                dst_stride: 9,
                ..shape(tokens, k_tiles, n_tiles)
            };
            let (want, machine, output) = run(op, &config, seed + u64::from(tokens));
            compared += check_activation(&machine, &config, 512, 9, &want);
            let macs = u64::from(tokens * k_tiles * n_tiles) * (config.rows * config.columns) as u64;
            assert_eq!(output.total().macs, macs);
        }
    }
    assert_eq!(compared, 220 * (8 + 32));
}

#[test]
fn planes_make_15_bit_products() {
    let config = AccelConfig::named("nano").unwrap();
    let mut compared = 0;
    for (planes, k_tiles, pre_shift) in [(1, 1, 0), (1, 5, 3), (2, 1, 4), (2, 3, 8), (2, 2, 15)] {
        let op = MatMul {
            planes,
            pre_shift,
            src_stride: k_tiles * planes,
            shift: 30,
            dst: 2,
            dst_stride: 3,
            dst_base: 7,
            ..shape(9, k_tiles, 3)
        };
        let (want, machine, _) = run(op, &config, u64::from(10 * planes + k_tiles));
        for (t, row) in want.iter().enumerate() {
            let got = machine.memories().residual.span(7 + 3 * t, 3);
            for (got, want) in got.iter().zip(row) {
                assert_eq!(i64::from(*got), (*want).clamp(-32_768, 32_767));
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 5 * 9 * 24);
}

#[test]
fn accumulators_wrap_at_32_bits() {
    let config = AccelConfig::named("nano").unwrap();
    let op = MatMul {
        planes: 2,
        src_stride: 4,
        dst: 3,
        dst_stride: 1,
        pre_shift: 8,
        ..shape(3, 2, 1)
    };
    let mut product = Product::random(op, &config, &mut Random::new(3));
    product.a.iter_mut().flatten().for_each(|x| *x = 16_319);
    product.w.iter_mut().flatten().for_each(|x| *x = 16_000);
    let sum: i64 = 32 * 16_319 * 16_000;
    assert!(sum > i64::from(i32::MAX));
    let mut builder = Builder::nano();
    product.emit(&mut builder);
    let (machine, _) = builder.run();
    for (got, want) in machine
        .memories()
        .score
        .span(0, 1)
        .iter()
        .zip(&product.expected()[0])
    {
        assert_eq!(i64::from(*got), (*want).clamp(-32_768, 32_767));
    }
}

#[test]
fn gelu_offset_and_held_parameters() {
    let config = AccelConfig::named("nano").unwrap();
    let op = MatMul {
        gelu: 1,
        offset: (-100i32 as u32) & 255,
        hold_parameters: 1,
        shift: 16,
        factor_shift: 20,
        dst_base: 300,
        dst_stride: 4,
        ..shape(20, 2, 4)
    };
    let mut product = Product::random(op, &config, &mut Random::new(5));
    let held: Vec<Channel> = product.channels[..8].to_vec();
    product.channels = held.repeat(4);
    let mut builder = Builder::nano();
    product.emit(&mut builder);
    let (machine, output) = builder.run();
    let compared = check_activation(&machine, &config, 300, 4, &product.expected());
    assert_eq!(compared, 20 * 32);
    let stream = output.work.last().map(|_| output.work[3].stream_bytes).unwrap();
    assert_eq!(stream, 64 + 4 * 2 * 128, "one parameter block for four tiles");
}

#[test]
fn residual_results_replace_or_add_and_saturations_are_counted() {
    let config = AccelConfig::named("nano").unwrap();
    for add in [0, 1] {
        let op = MatMul {
            dst: 2,
            add,
            shift: 15,
            dst_stride: 2,
            ..shape(11, 1, 2)
        };
        let mut random = Random::new(7 + u64::from(add));
        let product = Product::random(op, &config, &mut random);
        let old: Vec<i16> = (0..11 * 16)
            .map(|_| random.range(-32_768, 32_767) as i16)
            .collect();
        let mut builder = Builder::nano();
        builder.residual(0, &old);
        product.emit(&mut builder);
        let (machine, output) = builder.write(0, 22).run();
        let mut cut = 0;
        let got = machine.memories().residual.span(0, 22);
        for ((got, old), want) in got.iter().zip(&old).zip(product.expected().concat()) {
            let exact = want + i64::from(add) * i64::from(*old);
            assert_eq!(i64::from(*got), exact.clamp(-32_768, 32_767));
            cut += u64::from(exact != i64::from(*got));
        }
        assert!(cut > 10);
        assert_eq!((output.total().saturated, output.total().outputs), (cut, 176));
        let bytes: Vec<u8> = got.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(output.result, bytes);
    }
}
