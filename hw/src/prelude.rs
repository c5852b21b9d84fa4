//! What a file with a circuit imports: rust-hdl's prelude, with the `LogicBlock`, the `Constant` and the vectors that [`crate::circuit`] explains.

pub use crate::circuit::{many, Constant};
pub use moevit_derive::LogicBlock;
pub use rust_hdl::prelude::*;
