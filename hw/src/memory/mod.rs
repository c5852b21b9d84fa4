//! On-chip memories with their arbitration.

pub mod activation;
pub mod queue;
pub mod residual;
pub mod weight_buffer;
