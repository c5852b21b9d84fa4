//! The softmax unit: score rows to `p - 128` bytes in activation memory, and the reciprocals of the rows' sums.

use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::Softmax;
use moevit_hw::numerics::exp2::probability;
use moevit_hw::numerics::reciprocal::reciprocal;

use super::memory::Memories;
use super::work::Work;

/// Every row of a head.
pub fn run(op: &Softmax, config: &AccelConfig, memories: &mut Memories) -> Work {
    let queries = op.queries as usize;
    for query in 0..queries {
        let (bytes, sum) = row(op, config, query, memories);
        let word = op.dst_base as usize + query * op.dst_stride as usize;
        let to = memories.activation.chunk_mut(word, 0, bytes.len());
        to.copy_from_slice(&bytes);
        memories.reciprocals[op.sum_bank as usize][query] = reciprocal(sum);
    }
    Work {
        outputs: (queries * op.keys as usize) as u64,
        ..Default::default()
    }
}

/// Bytes of whole chunks, probability 0 beyond the keys, and the sum of the probabilities.
fn row(op: &Softmax, config: &AccelConfig, query: usize, memories: &Memories) -> (Vec<i8>, u32) {
    let keys = op.keys as usize;
    let chunks = keys.div_ceil(config.columns);
    let word = op.src_base as usize + query * op.src_stride as usize;
    let scores = &memories.score.span(word, chunks)[..keys];
    let maximum = i32::from(scores.iter().copied().max().unwrap_or(0));
    let p = |&score: &i16| probability((maximum - i32::from(score)) as u32);
    let probabilities: Vec<u8> = scores.iter().map(p).collect();
    let mut bytes = vec![-128i8; chunks * config.columns];
    bytes
        .iter_mut()
        .zip(&probabilities)
        .for_each(|(y, &p)| *y = (i32::from(p) - 128) as i8);
    (bytes, probabilities.iter().map(|&p| u32::from(p)).sum())
}
