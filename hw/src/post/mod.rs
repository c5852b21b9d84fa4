//! The drain unit: accumulated sums to results in their memories.

mod line;
pub mod post_lane;
#[cfg(test)]
mod testing;
