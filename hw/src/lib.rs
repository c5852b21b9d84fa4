//! moevit's circuits in rust-hdl, their integer arithmetic, and the Verilog exporter.

pub mod array;
pub mod attention;
pub mod bus;
pub mod config;
pub mod control;
pub mod cosim;
pub mod memory;
pub mod norm;
pub mod numerics;
pub mod post;
pub mod primitives;
#[cfg(test)]
mod testbench;
pub mod verilog;
