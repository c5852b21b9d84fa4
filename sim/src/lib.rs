//! moevit simulation.

pub mod report;
