//! The array and what feeds it, in the order in which a tile and then a token passes.
//!
//! ```text
//! stream --> loader --tiles--> systolic_array --sums--> accumulator --> drain
//!               |                    ^
//! kv memory ----+     streamer --token pairs
//! ```

pub mod accumulator;
pub mod accumulator_column;
pub mod column;
pub mod column_sum;
pub mod feed;
pub mod kv_rows;
pub mod lane_delay;
pub mod load_bus;
pub mod loader;
pub mod mac_pair;
pub mod pass_command;
pub mod row_address;
pub mod row_reader;
pub mod step_delay;
pub mod stream_word;
pub mod streamer;
pub mod systolic_array;
pub mod tile_scheduler;
pub mod timing;
pub mod word_consumer;

#[cfg(test)]
mod bench;
#[cfg(test)]
mod feed_bench;
#[cfg(test)]
mod feed_test;

use rust_hdl::prelude::*;

/// The low `N` bits of a two's complement number.
#[inline]
pub(crate) fn to_bits<const N: usize>(x: i64) -> Bits<N> {
    (x as u64 & ((1u64 << N) - 1)).into()
}

/// `N` bits as a two's complement number.
#[inline]
pub(crate) fn from_bits<const N: usize>(x: Bits<N>) -> i64 {
    let raw: u64 = x.into();
    ((raw << (64 - N)) as i64) >> (64 - N)
}
