//! The integer reference: what a program means, bit for bit, without time.
//!
//! [`Machine`] interprets the payload of a program command by command. It uses the arithmetic of `moevit_hw::numerics`, consumes
//! the weight stream in the order of the circuit, and keeps every memory in the circuit's layout, so that its memories may be
//! compared with a simulated circuit's. It refuses what the circuit would silently do wrong: addresses behind a memory's end, a
//! stream that runs dry or is not used up, weights of -128.
//!
//! ```text
//!  payload, image --fetch--> stream --operand--> matmul --store--> activation | key/value | residual | score | logits
//!                               |                   ^                   |          |         |         |
//!                               +---copy----------- | ------------------+          |         |       router -> queues
//!                                                   +-- norm, softmax <--- residual, score <-+-- write --> result
//! ```
//!
//! Waits have no meaning here; [`hazards`] checks on request that they order every access.

mod decode;
mod error;
mod fetch;
mod footprint;
pub mod hazards;
mod legal;
mod machine;
mod matmul;
pub mod memory;
mod norm;
mod occupancy;
mod operand;
mod router;
mod rows;
mod softmax;
mod store;
mod stream;
#[cfg(test)]
mod tests;
mod work;

pub use error::{Fault, MachineError};
pub use machine::{Job, Machine, Observer, RunOutput};
pub use memory::Memories;
pub use occupancy::occupancy;
pub use router::{Choice, Routes};
pub use rows::QueueEntry;
pub use work::Work;
