//! Co-simulation: exported Verilog, compiled by Verilator and loaded into this process.
//!
//! - [`VerilatedModel`] builds and runs a model of any Verilog text;
//! - [`Lockstep`] runs a circuit in Rust and its exported Verilog side by side and compares every
//!   output in every cycle;
//! - [`settle`] and [`tick`] drive a circuit in process.
//!
//! Verilator comes from the Python environment that `MOEVIT_TOOLS` names, else from `.tools` in the
//! workspace, else from `PATH`. Built models are kept in `.cache/verilator` in the workspace, or
//! below `MOEVIT_CACHE`, under the hash of all that went into them.

mod build;
mod drive;
mod error;
mod lockstep;
mod model;
mod ports;
mod random;
mod rng;
mod shim;
mod tools;

pub use drive::{settle, tick};
pub use error::CosimError;
pub use lockstep::{Lockstep, Report};
pub use model::{Options, VerilatedModel};
pub use ports::{read_ports, PortValues};
pub use random::{RandomInputs, Rule};
pub use rng::Rng;
pub use tools::{tool, workspace_root, Tools};
