//! Attention beside the array: softmax of score rows, and the key/value memory.

pub mod exp_lanes;
pub mod reciprocal;
pub mod row_maximum;
pub mod row_sum;
pub mod softmax;
pub mod stationary_memory;

#[cfg(test)]
mod tests;
