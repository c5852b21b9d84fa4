//! The accelerator's side of AXI: read masters for the weight stream, write master for results, control registers.
