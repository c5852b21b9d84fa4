//! How a circuit is evaluated in process: block by block, and only where something changed.
//!
//! rust-hdl's own derive updates the whole tree until nothing changes any more; a signal then needs a pass for each level of the
//! hierarchy, about thirty passes over every signal of the accelerator in a cycle. The derive of [`crate::prelude`] needs two:
//!
//! ```text
//! rising edge:  block: inputs, kernel --> children (their edge) --> kernel again, outputs
//! then:         block: inputs changed, or the edge was just before ? kernel --> children <--> kernel until nothing changes : nothing
//! falling edge: every clock below falls, nothing else
//! ```
//!
//! * At the edge a block's kernel runs before its children see the edge and once after them. A parent sets the inputs of all its children
//!   before the first of them works, so that every register takes the value of before the edge, whatever the order of fields.
//! * Between edges a block whose inputs keep their values is settled and is skipped with everything below it.
//! * No circuit here works on the falling edge or on the level of a clock, and every block has one clock.
//! * A kernel must not read back an input of its child: it would read the value before the child took the new one.
//!
//! Signals keep their values as rust-hdl keeps them, so that waveforms and probes see what they always see.

use rust_hdl::prelude::*;
use std::cell::Cell;

/// A block settles in a few passes; this many mean a loop without a register.
const MAX_PASSES: usize = 1_000;

/// Something that takes its inputs and works on them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a part of a circuit",
    note = "derive `LogicBlock` from `crate::prelude`, not from rust-hdl's"
)]
pub trait Evaluate {
    /// Takes the inputs and evaluates what depends on them. True when the parent has to look at the outputs again.
    fn evaluate(&mut self) -> bool;

    /// Evaluates what is below until nothing changes. True when an output has changed.
    fn settle(&mut self) -> bool {
        false
    }

    /// The clock falls, here and below.
    fn fall(&mut self) {}

    /// Whether a signal was connected.
    fn is_connected(&self) -> bool {
        true
    }
}

/// A circuit whose inputs can be set by name.
pub trait Inputs {
    /// Gives every input but the clock the value that `source` has for its name and its width in bits; bits beyond are dropped.
    fn set_inputs(&mut self, source: &mut dyn FnMut(&'static str, usize) -> u64);

    /// Sets the clock, if the circuit has one.
    fn set_clock(&mut self, level: bool);
}

/// An input, or a vector of inputs with one name.
pub trait Input {
    fn set(&mut self, name: &'static str, source: &mut dyn FnMut(&'static str, usize) -> u64);
}

impl<const N: usize> Input for Signal<In, Bits<N>> {
    fn set(&mut self, name: &'static str, source: &mut dyn FnMut(&'static str, usize) -> u64) {
        let value = source(name, N);
        self.next = (if N < 64 { value & ((1 << N) - 1) } else { value }).into();
    }
}

impl Input for Signal<In, Bit> {
    fn set(&mut self, name: &'static str, source: &mut dyn FnMut(&'static str, usize) -> u64) {
        self.next = source(name, 1) & 1 == 1;
    }
}

impl<I: Input> Input for Vec<I> {
    fn set(&mut self, name: &'static str, source: &mut dyn FnMut(&'static str, usize) -> u64) {
        self.iter_mut().for_each(|input| input.set(name, source));
    }
}

impl<D: Direction, T: Synth> Evaluate for Signal<D, T> {
    #[inline]
    fn evaluate(&mut self) -> bool {
        self.update_all();
        self.changed
    }

    fn is_connected(&self) -> bool {
        self.connected()
    }
}

/// `count` unconnected signals or empty registers.
pub fn many<T: Default>(count: usize) -> Vec<T> {
    (0..count).map(|_| T::default()).collect()
}

/// rust-hdl's constant, with zero as its default, so that a block with constants can have one too.
pub struct Constant<T: Synth>(rust_hdl::prelude::Constant<T>);

impl<T: Synth> Constant<T> {
    pub fn new(value: T) -> Self {
        Self(rust_hdl::prelude::Constant::new(value))
    }

    #[inline]
    pub fn val(&self) -> T {
        self.0.val()
    }
}

impl<T: Synth> Default for Constant<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: Synth> Logic for Constant<T> {
    fn update(&mut self) {}
}

impl<T: Synth> Block for Constant<T> {
    fn connect_all(&mut self) {}

    fn update_all(&mut self) {}

    fn has_changed(&self) -> bool {
        false
    }

    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        self.0.accept(name, probe);
    }
}

impl<T: Synth> Evaluate for Constant<T> {
    fn evaluate(&mut self) -> bool {
        false
    }
}

impl<T: Synth> Evaluate for DFF<T> {
    #[inline]
    fn evaluate(&mut self) -> bool {
        self.d.update_all();
        self.clock.update_all();
        let edge = self.clock.pos_edge();
        if edge {
            self.q.next = self.d.val();
            self.q.update_all();
        }
        edge
    }

    fn fall(&mut self) {
        self.clock.next = false.into();
        self.clock.update_all();
    }
}

impl<E: Evaluate> Evaluate for Vec<E> {
    #[inline]
    fn evaluate(&mut self) -> bool {
        self.iter_mut().fold(false, |changed, x| changed | x.evaluate())
    }

    fn fall(&mut self) {
        self.iter_mut().for_each(E::fall);
    }

    fn is_connected(&self) -> bool {
        self.first().is_none_or(E::is_connected)
    }
}

thread_local! {
    /// The first block of this thread that did not settle, until somebody asks.
    static LOOP: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// The block that has not settled since the last call, by its type: it holds a loop without a register.
pub fn take_loop() -> Option<&'static str> {
    LOOP.take()
}

/// Counts a block's passes, so that a loop without a register ends in a message.
pub struct Passes {
    block: &'static str,
    left: usize,
}

impl Passes {
    pub fn of<B>() -> Self {
        Self {
            block: std::any::type_name::<B>(),
            left: MAX_PASSES,
        }
    }

    /// Whether another pass makes sense; if not, [`take_loop`] knows the block.
    #[inline]
    pub fn another(&mut self) -> bool {
        self.left -= 1;
        if self.left == 0 {
            LOOP.set(LOOP.get().or(Some(self.block)));
        }
        self.left > 0
    }
}

#[cfg(test)]
mod tests {
    use crate::cosim::{settle, CosimError};
    use crate::prelude::*;

    #[derive(LogicBlock, Default)]
    struct Wire {
        a: Signal<In, Bit>,
        q: Signal<Out, Bit>,
    }

    impl Logic for Wire {
        #[hdl_gen]
        fn update(&mut self) {
            self.q.next = self.a.val();
        }
    }

    /// An inverter whose output is its input.
    #[derive(LogicBlock, Default)]
    struct Ring {
        start: Signal<In, Bit>,
        q: Signal<Out, Bit>,
        wire: Wire,
    }

    impl Logic for Ring {
        #[hdl_gen]
        fn update(&mut self) {
            self.wire.a.next = self.start.val() & !self.wire.q.val();
            self.q.next = self.wire.q.val();
        }
    }

    #[test]
    fn a_loop_without_a_register_ends_in_an_error_that_names_the_block() {
        let mut ring = Ring::default();
        ring.start.connect();
        ring.connect_all();
        assert!(settle(&mut ring).is_ok());
        ring.start.next = true;
        let error = settle(&mut ring).unwrap_err();
        assert!(
            matches!(error, CosimError::Loop { block } if block.ends_with("Ring")),
            "{error}"
        );
    }
}
