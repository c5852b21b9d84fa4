//! What a file with a circuit imports: rust-hdl's prelude, with the `LogicBlock` and the `Constant` that [`crate::circuit`] explains.

pub use crate::circuit::Constant;
pub use moevit_derive::LogicBlock;
pub use rust_hdl::prelude::*;
