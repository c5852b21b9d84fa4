//! moevit's golden model, compiler, integer reference and engines.

pub mod compiler;
pub mod engine;
pub mod golden;
pub mod memory;
pub mod model;
pub mod program;
pub mod reference;
pub mod report;
