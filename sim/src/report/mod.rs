//! What a design costs and where its cycles go.
//!
//! ```text
//!  simulated circuit --Activity--> Recorder --+
//!                                             +--> Timeline --> layers, pictures
//!  program, queue lengths --> model ----------+
//!  exported Verilog --Yosys--> area
//! ```

pub mod area;
pub mod document;
pub mod layers;
pub mod model;
pub mod pictures;
pub mod recorder;
pub mod simulate;
pub mod timeline;
