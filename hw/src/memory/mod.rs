//! On-chip memories with their arbitration.

pub mod activation;
pub mod residual;
