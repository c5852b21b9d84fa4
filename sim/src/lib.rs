//! moevit simulation.

pub mod memory;
pub mod report;
pub mod model;
//! moevit's golden model, compiler, integer reference and engines.

pub mod program;
