//! moevit's golden model, compiler, integer reference and engines.

pub mod program;
pub mod reference;
