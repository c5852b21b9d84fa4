//! LayerNorm: row statistics, the row's scale, and the normalised elements.

pub mod element_lanes;
pub mod layer_norm;
pub mod row_scale;
pub mod row_statistics;

#[cfg(test)]
mod tests;
