//! The compiler: a trained network and calibration images become a program for a configuration.

pub mod calibrate;
mod error;
pub mod fold;
pub mod layout;
pub mod multiplier;
pub mod network;
pub mod place;
pub mod quantise;
pub mod samples;
pub mod scale;
pub mod schedule;
pub mod tile;

pub use error::CompileError;
