//! moevit circuits.

pub mod cosim;
pub mod verilog;
