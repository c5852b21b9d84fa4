//! moevit's golden model, compiler, integer reference and engines.

pub mod compiler;
pub mod model;
pub mod program;
