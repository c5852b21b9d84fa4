//! moevit simulation.

pub mod memory;
pub mod report;
pub mod model;
