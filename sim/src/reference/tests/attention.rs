//! Key/value memory, softmax and the reciprocal factor: a whole attention head.

use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::{MatMul, Operation, Softmax};
use moevit_hw::numerics::exp2::probability;
use moevit_hw::numerics::reciprocal::reciprocal;

use super::build::{Builder, Random};
use super::naive::{multiply, pack_rows, pack_stream, plane, post, Channel};
use super::products::Product;

const BASE: u32 = 40;

/// Writes `tokens` rows of `n_tiles` words to key/value memory; returns them as a matrix.
fn emit_keys(
    builder: &mut Builder,
    tokens: u32,
    n_tiles: u32,
    stride: u32,
    random: &mut Random,
) -> Vec<Vec<i64>> {
    let op = MatMul {
        tokens,
        k_tiles: 1,
        n_tiles,
        src_stride: 1,
        shift: 18,
        factor_shift: 15,
        dst: 1,
        dst_base: BASE,
        dst_stride: stride,
        write_sums: 1,
        sums_base: 3,
        ..Default::default()
    };
    let product = Product::random(op, &builder.config, random);
    product.emit(builder);
    let clamp = |row: Vec<i64>| row.into_iter().map(|x| x.clamp(-127, 127)).collect();
    product.expected().into_iter().map(clamp).collect()
}

fn transposed(m: &[Vec<i64>]) -> Vec<Vec<i64>> {
    (0..m[0].len())
        .map(|i| m.iter().map(|row| row[i]).collect())
        .collect()
}

#[test]
fn keys_and_values_come_out_of_the_same_words() {
    let mut compared = 0;
    for (name, seed) in [("nano", 1), ("zcu104", 2)] {
        let config = AccelConfig::named(name).unwrap();
        for (tokens, stationary) in [(13, 1), (29, 1), (13, 2), (31, 2)] {
            compared += check_stationary(&config, tokens, stationary, seed);
        }
    }
    assert_eq!(compared, 1_080);
}

/// Random queries times the keys or values of one head of two words, stored with other heads around it.
fn check_stationary(config: &AccelConfig, tokens: usize, stationary: u32, seed: u64) -> usize {
    let mut random = Random::new(seed * 100 + tokens as u64);
    let mut builder = Builder::new(config.clone());
    let groups = config.groups() as u32;
    let kv = emit_keys(&mut builder, tokens as u32, 3 * groups, 3 * groups, &mut random);
    let first = groups as usize * config.columns;
    let head: Vec<Vec<i64>> = kv
        .iter()
        .map(|row| row[first..first + config.rows].to_vec())
        .collect();
    let mut w = if stationary == 1 { transposed(&head) } else { head };
    let (depth, width) = (w.len().next_multiple_of(config.rows), w[0].len());
    w.resize(depth, vec![0; width]);
    let op = MatMul {
        tokens: 6,
        k_tiles: (depth / config.rows) as u32,
        n_tiles: width.div_ceil(config.columns) as u32,
        src_base: 900,
        src_stride: (depth / config.rows) as u32,
        stationary,
        kv_base: BASE + groups,
        kv_stride: 3 * groups,
        kv_tokens: tokens as u32,
        shift: 15,
        factor_shift: 15,
        dst: 2,
        dst_stride: 4,
        ..Default::default()
    };
    let a = random.matrix(6, depth, 127);
    let channels = Channel::plain(width.next_multiple_of(config.columns));
    let stream = pack_stream(&op, &[], &channels, config);
    builder
        .activation(900, &pack_rows(&a, false))
        .fetch(&stream)
        .matmul(op);
    let (machine, _) = builder.run();
    for (t, row) in multiply(&a, &w).iter().enumerate() {
        let got = machine.memories().residual.span(4 * t, op.n_tiles as usize);
        for (got, want) in got.iter().zip(row) {
            assert_eq!(i64::from(*got), (*want).clamp(-32_768, 32_767));
        }
    }
    6 * width
}

#[test]
fn value_sums_undo_the_offset_of_the_probabilities() {
    let config = AccelConfig::named("nano").unwrap();
    let mut random = Random::new(9);
    let mut builder = Builder::nano();
    let values = emit_keys(&mut builder, 21, 2, 2, &mut random);
    let sums: Vec<i64> = transposed(&values)
        .iter()
        .map(|column| column.iter().sum())
        .collect();
    let probabilities = random.matrix(5, 32, 127);
    let op = MatMul {
        tokens: 5,
        k_tiles: 2,
        n_tiles: 2,
        src_base: 500,
        src_stride: 2,
        stationary: 2,
        kv_base: BASE,
        kv_stride: 2,
        kv_tokens: 21,
        bias_from_sums: 1,
        sums_base: 3,
        shift: 20,
        factor_shift: 15,
        dst: 3,
        dst_stride: 2,
        ..Default::default()
    };
    let channels = Channel::random(&mut random, 16);
    builder.activation(500, &pack_rows(&probabilities, false));
    builder
        .fetch(&pack_stream(&op, &[], &channels, &config))
        .matmul(op);
    let (machine, _) = builder.run();
    assert_eq!(machine.memories().sums.span(3, 2).len(), 16);
    for (c, &sum) in sums.iter().enumerate() {
        assert_eq!(i64::from(machine.memories().sums.span(3, 2)[c]), sum);
    }
    let mut w = values;
    w.resize(32, vec![0; 16]);
    for (t, row) in multiply(&probabilities, &w).iter().enumerate() {
        for (c, &sum) in row.iter().enumerate() {
            let mut channel = channels[c];
            channel.bias += 128 * sums[c];
            let want = post(&op, sum, channel, channel.factor, 15);
            assert_eq!(i64::from(machine.memories().score.span(2 * t, 2)[c]), want);
        }
    }
}

/// Scores come from a product that copies bytes: score = 100 * operand.
#[test]
fn softmax_rows_and_their_reciprocals_scale_the_next_product() {
    let config = AccelConfig::named("nano").unwrap();
    let mut compared = 0;
    for (keys, sum_bank, seed) in [(1, 0, 1), (8, 1, 2), (13, 0, 3), (24, 1, 4)] {
        let mut random = Random::new(seed);
        let (queries, chunks) = (6, 3);
        let scores = MatMul {
            tokens: queries,
            k_tiles: 2,
            n_tiles: chunks,
            src_stride: 2,
            shift: 15,
            factor_shift: 15,
            dst: 3,
            dst_base: 11,
            dst_stride: 4,
            ..Default::default()
        };
        let mut product = Product::random(scores, &config, &mut random);
        product.channels = Channel::plain(24);
        for (i, row) in product.w.iter_mut().enumerate() {
            row.iter_mut()
                .enumerate()
                .for_each(|(j, x)| *x = i64::from(i == j) * 100);
        }
        let mut builder = Builder::nano();
        product.emit(&mut builder);
        builder.push(Operation::Softmax(Softmax {
            src_base: 11,
            dst_base: 700,
            queries,
            keys,
            src_stride: 4,
            dst_stride: 2,
            sum_bank,
        }));
        let k_tiles = keys.div_ceil(16);
        let w = random.matrix(16 * k_tiles as usize, 8, 127);
        let op = MatMul {
            tokens: queries,
            k_tiles,
            n_tiles: 1,
            src_base: 700,
            src_stride: 2,
            factor: 2,
            sum_bank,
            shift: 15,
            factor_shift: 8,
            dst: 2,
            dst_stride: 1,
            ..Default::default()
        };
        let channels = Channel::plain(8);
        builder
            .fetch(&pack_stream(&op, &w, &channels, &config))
            .matmul(op);
        let (machine, _) = builder.run();
        for (q, row) in product.a.iter().enumerate() {
            let row: Vec<i64> = row[..keys as usize].iter().map(|x| 100 * x).collect();
            let maximum = row.iter().copied().max().unwrap();
            let p: Vec<i64> = row
                .iter()
                .map(|s| i64::from(probability((maximum - s) as u32)))
                .collect();
            let r = reciprocal(p.iter().sum::<i64>() as u32);
            let mut bytes: Vec<i64> = p.iter().map(|p| p - 128).collect();
            bytes.resize((keys as usize).next_multiple_of(8), -128);
            let got = &machine.memories().activation.span(700 + 2 * q, 2)[..bytes.len()];
            assert_eq!(got.iter().map(|&x| i64::from(x)).collect::<Vec<_>>(), bytes);
            bytes.resize(w.len(), 0);
            for (c, &sum) in multiply(&[bytes], &w)[0].iter().enumerate() {
                let want = post(&op, sum, channels[c], r.mantissa.into(), 8 + r.exponent);
                assert_eq!(
                    i64::from(machine.memories().residual.span(q, 1)[c]),
                    want.clamp(-32_768, 32_767)
                );
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 4 * 6 * 8);
    assert_eq!(plane(300, 0) * 128 + plane(300, 1), 300);
}
