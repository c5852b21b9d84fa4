//! moevit's golden model, compiler, integer reference and engines.

pub mod model;
pub mod program;
