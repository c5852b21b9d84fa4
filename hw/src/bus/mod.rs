//! The accelerator's side of AXI: read masters for the weight stream, write master for results, control registers.

pub mod axi_lite;
pub mod burst_issuer;
pub mod counters;
pub mod fetch;
#[cfg(test)]
mod fetch_tests;
pub mod read_port;
pub mod register_decoder;
pub mod register_table;
pub mod registers;
#[cfg(test)]
mod registers_tests;
#[cfg(test)]
mod test_slave;
pub mod write_port;
#[cfg(test)]
mod write_port_tests;
