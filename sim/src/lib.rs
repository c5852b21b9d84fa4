//! moevit simulation.

pub mod golden;
pub mod model;
