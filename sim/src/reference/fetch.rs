//! The fetch unit, the Copy, Discard and Write commands: everything that moves bytes unchanged.

use std::ops::Range;

use moevit_hw::config::{AccelConfig, BEAT_BYTES, BURST_BYTES};
use moevit_hw::control::command::{Copy, Discard, Fetch, Write};

use super::error::Fault;
use super::memory::{Memories, Memory};
use super::stream::Stream;

/// What a frame reads: the board's memory behind the two bases.
#[derive(Clone, Copy, Debug)]
pub struct Board<'a> {
    pub payload: &'a [u8],
    pub image: &'a [u8],
    pub task: usize,
}

/// Appends what a Fetch reads to the stream, with the bytes of every expert; returns the bytes.
pub fn fetch<'a>(op: &Fetch, board: &Board<'a>, stream: &mut Stream<'a>) -> Result<u64, Fault> {
    let experts = if op.experts == 1 { op.expert_count } else { 1 };
    for expert in 0..experts as usize {
        stream.push(burst(op, board, expert)?);
    }
    Ok(u64::from(experts) * u64::from(op.beats) * BEAT_BYTES as u64)
}

/// The bytes that one Fetch reads for one expert.
fn burst<'a>(op: &Fetch, board: &Board<'a>, expert: usize) -> Result<&'a [u8], Fault> {
    let (buffer, bytes) = [("payload", board.payload), ("image", board.image)][op.base as usize];
    let task = board.task as u64 * u64::from(op.task_stride);
    let beat = u64::from(op.offset) + task + expert as u64 * u64::from(op.expert_stride);
    if beat % (BURST_BYTES / BEAT_BYTES) as u64 != 0 {
        let expected = "a multiple of 16 beats with its strides";
        return Err(Fault::field("offset", beat, expected));
    }
    let range = inside(beat, op.beats, bytes.len() as u64, buffer)?;
    Ok(&bytes[range])
}

/// The bytes of some beats, if the buffer has them.
fn inside(beat: u64, beats: u32, bytes: u64, buffer: &'static str) -> Result<Range<usize>, Fault> {
    let end = (beat + u64::from(beats)) * BEAT_BYTES as u64;
    if end > bytes {
        return Err(Fault::Buffer { buffer, end, bytes });
    }
    Ok((beat * BEAT_BYTES as u64) as usize..end as usize)
}

/// Moves stream words into a memory; returns the bytes consumed.
pub fn copy(
    op: &Copy,
    config: &AccelConfig,
    memories: &mut Memories,
    stream: &mut Stream,
) -> Result<u64, Fault> {
    let (base, words) = (op.dst_base as usize, op.words as usize);
    let word_bytes = [config.rows, config.residual_word_bytes()][op.residual as usize];
    let used = words * word_bytes;
    let bytes = stream.take(used.next_multiple_of(config.weight_word_bytes()))?;
    if op.residual == 0 {
        let to = memories.activation.span_mut(base, words);
        to.iter_mut().zip(&bytes[..used]).for_each(|(y, &x)| *y = x as i8);
    } else {
        let to = memories.residual.span_mut(base, words);
        let values = bytes[..used].chunks_exact(2);
        to.iter_mut()
            .zip(values)
            .for_each(|(y, x)| *y = i16::from_le_bytes([x[0], x[1]]));
    }
    Ok(bytes.len() as u64)
}

/// Drops stream words; returns the bytes.
pub fn discard(op: &Discard, config: &AccelConfig, stream: &mut Stream) -> Result<u64, Fault> {
    let bytes = stream.take(op.words as usize * config.weight_word_bytes())?;
    Ok(bytes.len() as u64)
}

/// Writes residual words to the result buffer, which grows up to `most` bytes.
pub fn write(
    op: &Write,
    config: &AccelConfig,
    residual: &Memory<i16>,
    result: &mut Vec<u8>,
    most: usize,
) -> Result<(), Fault> {
    let range = inside(u64::from(op.offset), op.beats, most as u64, "result buffer")?;
    let words = range.len().div_ceil(config.residual_word_bytes());
    let bytes = residual
        .span(op.src_base as usize, words)
        .iter()
        .flat_map(|x| x.to_le_bytes());
    if result.len() < range.end {
        result.resize(range.end, 0);
    }
    result[range].iter_mut().zip(bytes).for_each(|(y, x)| *y = x);
    Ok(())
}
