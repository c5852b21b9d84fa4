//! moevit simulation.

pub mod model;
