//! On-chip memories with their arbitration, and the streams that read and write them.

pub mod activation;
pub mod lanes;
pub mod queue;
pub mod residual;
pub mod row_buffer;
pub mod weight_buffer;
pub mod write_stream;
