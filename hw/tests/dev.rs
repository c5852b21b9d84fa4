#![allow(unused_imports, dead_code)]
use moevit_hw::{array, circuit, config, control, cosim, memory, moe, prelude, primitives};
#[path = "../src/testbench.rs"]
mod testbench;
mod bus {
    pub use moevit_hw::bus::*;
    #[path = "/work/wt/blocks/hw/src/bus/test_slave.rs"]
    pub mod test_slave;
}
#[path = "../src/array/lockstep.rs"]
mod array_;
#[path = "../src/bus/lockstep.rs"]
mod bus_;
#[path = "../src/control/lockstep.rs"]
mod control_;
#[path = "../src/memory/lockstep.rs"]
mod memory_;
#[path = "../src/moe/lockstep.rs"]
mod moe_;
#[path = "../src/primitives/lockstep.rs"]
mod primitives_;
