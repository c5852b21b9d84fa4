//! The drain unit: accumulated sums to results in their memories.

pub mod command_register;
pub mod destination;
pub mod drain;
pub mod drainer;
pub mod lane_settings;
mod line;
pub mod parameter_memory;
pub mod parameters;
pub mod pending;
pub mod post_lane;
pub mod store;
pub mod store_lane;
#[cfg(test)]
mod tests;
pub mod value_sums;
