//! moevit's circuits in rust-hdl, their integer arithmetic, and the Verilog exporter.

pub mod array;
pub mod config;
pub mod control;
pub mod memory;
pub mod numerics;
pub mod primitives;
