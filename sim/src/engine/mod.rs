//! What computes a frame: golden model, integer reference, circuits, Verilog.
pub mod circuit;
pub mod compare;
pub mod device;
pub mod session;
