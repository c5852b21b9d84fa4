//! Drives a circuit in process, without rust-hdl's threaded simulation.

use super::error::CosimError;
use crate::circuit::take_loop;
use rust_hdl::prelude::Block;

/// A settled circuit needs a few passes a level of hierarchy; this many mean a loop.
const MAX_PASSES: usize = 10_000;

/// Updates a circuit until nothing changes.
pub fn settle<U: Block>(uut: &mut U) -> Result<(), CosimError> {
    for _ in 0..MAX_PASSES {
        uut.update_all();
        if let Some(block) = take_loop() {
            return Err(CosimError::Loop { block });
        }
        if !uut.has_changed() {
            return Ok(());
        }
    }
    Err(CosimError::Loop {
        block: std::any::type_name::<U>(),
    })
}

/// One clock cycle: settles the inputs, raises the clock, lowers it again.
pub fn tick<U: Block>(uut: &mut U, set_clock: impl Fn(&mut U, bool)) -> Result<(), CosimError> {
    settle(uut)?;
    for level in [true, false] {
        set_clock(uut, level);
        settle(uut)?;
    }
    Ok(())
}
