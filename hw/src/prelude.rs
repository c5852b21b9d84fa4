//! What a file with a circuit imports: rust-hdl's prelude, with the `LogicBlock` that [`crate::circuit`] explains.

pub use moevit_derive::LogicBlock;
pub use rust_hdl::prelude::*;
