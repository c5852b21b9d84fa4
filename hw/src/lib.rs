//! moevit's circuits in rust-hdl, their integer arithmetic, and the Verilog exporter.

// The derive macro names this crate, also from inside.
extern crate self as moevit_hw;

pub mod activity;
pub mod array;
pub mod attention;
pub mod bus;
pub mod circuit;
pub mod config;
pub mod control;
pub mod cosim;
pub mod memory;
pub mod moe;
pub mod norm;
pub mod numerics;
pub mod post;
pub mod prelude;
pub mod primitives;
#[cfg(test)]
mod testbench;
pub mod top;
pub mod verilog;
