//! moevit's circuits in rust-hdl, their integer arithmetic, and the Verilog exporter.

pub mod config;
pub mod control;
pub mod memory;
pub mod norm;
pub mod numerics;
pub mod primitives;
