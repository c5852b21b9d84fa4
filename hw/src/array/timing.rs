//! Latencies between the blocks of the feed unit, and what follows from them.
//!
//! A pass (all token pairs against one tile) starts with the streamer's decision in cycle `s`; the loader decides in cycle `c` to load
//! the tile of the next pass, which is decided in `s'`. With
//!
//! ```text
//! T  = s + STEP_CYCLES              the first step is at the array's token port
//! x0 = c + STREAM_LOAD_CYCLES       the first word of a tile is at the array's load port (kv tiles: KV_LOAD_CYCLES)
//! ```
//!
//! a load must not overtake the swap of the running pass and must be complete before the next one:
//!
//! ```text
//! half 0 (lanes 0..4 of a bus):  T + 4 - slack <= word <= T' - slack
//! half 1 (lanes 4..8 of a bus):  T + 8 - slack <= word <= T' + 4 - slack
//! ```
//!
//! where `slack` is how much longer the load path inside the array is than its token path. Eight words need a pass of eight steps:
//!
//! ```text
//! cycle      s       s+7     s+8 = s'
//! steps      0 1 2 3 4 5 6 7 0 1 2 ...
//! loader                     c
//!                    c: decision; s' = c + 1
//! ```

use super::{column_sum, mac_pair, row_address, systolic_array};
use crate::attention::stationary_memory::KV_READ_CYCLES;
use crate::config::{AccelConfig, CASCADE_LANES, LOAD_LANES};
use crate::primitives::ram;

/// Fewest cycles of a pass: a tile loads in as many.
pub const PASS_CYCLES_MIN: usize = LOAD_LANES;

/// From the streamer's decision to the operands' row numbers: the issue register beside the queue lookup.
pub const LOOKUP_CYCLES: usize = ram::LATENCY_CYCLES;
/// From the streamer's decision to the array's token port.
pub const STEP_CYCLES: usize = LOOKUP_CYCLES + row_address::LATENCY_CYCLES + ram::LATENCY_CYCLES;
/// From the loader's decision to the first stream word at the array's load port: ready, and both load bus registers.
pub const STREAM_LOAD_CYCLES: usize = 3;
/// From a key/value row's number to its data.
pub const KV_ROW_CYCLES: usize = row_address::LATENCY_CYCLES + KV_READ_CYCLES;
/// From the loader's decision to the first key/value row at the array's load port: row counter and load bus register around the read.
pub const KV_LOAD_CYCLES: usize = 1 + KV_ROW_CYCLES + 1;

const SLACK: usize = systolic_array::LOAD_CYCLES - systolic_array::TOKEN_CYCLES;
const SEGMENT_LANES: usize = LOAD_LANES / 2;

/// Fewest cycles from a pass's decision to the loader's decision for the next stream tile.
pub const STREAM_AFTER_PASS_CYCLES: usize = STEP_CYCLES + SEGMENT_LANES - SLACK - STREAM_LOAD_CYCLES;
/// Fewest cycles from a pass's decision to the loader's decision for the next key/value tile: the pass must have taken its own tile.
pub const KV_AFTER_PASS_CYCLES: usize = 2;

/// Fewest cycles from the loader's decision for a key/value tile of `rows` lanes to the decision of its pass.
///
/// The last row is the second half of the last bus, so the bound is that of its half 0, four cycles earlier. A stream tile that follows
/// uses the same buses on a shorter path and must not meet the last row there either.
pub fn pass_after_kv_cycles(rows: usize) -> usize {
    let last_word = KV_LOAD_CYCLES + rows - 1;
    let loaded = last_word - SEGMENT_LANES + SLACK - STEP_CYCLES;
    let bus_free = last_word + 1 - (STREAM_AFTER_PASS_CYCLES + STREAM_LOAD_CYCLES);
    loaded.max(bus_free)
}

/// Cycles from the array's token port to the columns' sums.
pub fn array_cycles(config: &AccelConfig) -> usize {
    systolic_array::TOKEN_CYCLES
        + (CASCADE_LANES - 1) * mac_pair::CASCADE_CYCLES
        + mac_pair::TOKEN_CYCLES
        + column_sum::latency_cycles(config.rows / CASCADE_LANES)
}

// A pass may be decided in the cycle after its stream tile was: that must not be too early, and eight cycles must suffice.
const _: () = {
    assert!(STREAM_LOAD_CYCLES + SEGMENT_LANES - 1 + SLACK <= STEP_CYCLES + 1);
    assert!(STREAM_AFTER_PASS_CYCLES < PASS_CYCLES_MIN);
    assert!(SEGMENT_LANES + STEP_CYCLES <= KV_AFTER_PASS_CYCLES + KV_LOAD_CYCLES + SLACK);
};
