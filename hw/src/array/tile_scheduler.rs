//! Decides when the next tile loads: one tile is ahead of the running pass, not more.
//!
//! * A stream tile waits until eight words are there ([`stream_level`](TileScheduler) counts the word being popped), then pops them one a
//!   cycle without looking back. [`timing`] says how long after the start of a pass it may be decided.
//! * A key/value tile only waits until the pass that is to take the tile before it has started.
//! * `tile_ready`: the next pass may start. It rises in the cycle after the decision (key/value tiles: after `rows_loaded`) and falls
//!   with `pass_start`.
//!
//! ```text
//! cycle           c    c+1   c+2  ...  c+8
//! stream_tile     *                     * (the next one at the earliest)
//! pop                  w0    w1   ...  w7
//! half                 0     0    ...  1
//! ```

use super::timing;
use crate::prelude::*;

/// The scheduler; see the module.
#[derive(LogicBlock, Default)]
pub struct TileScheduler {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// The next tile comes from the stream, or from key/value memory.
    pub stream_turn: Signal<In, Bit>,
    pub kv_turn: Signal<In, Bit>,
    pub stream_level: Signal<In, Bits<16>>,
    pub pass_start: Signal<In, Bit>,
    pub rows_loaded: Signal<In, Bit>,
    /// The tile is decided in this cycle.
    pub stream_tile: Signal<Out, Bit>,
    pub kv_tile: Signal<Out, Bit>,
    /// A word of the tile is popped in this cycle, for which half of every bus.
    pub pop: Signal<Out, Bit>,
    pub half: Signal<Out, Bit>,
    pub tile_ready: Signal<Out, Bit>,
    /// A tile waits only for words.
    pub starved: Signal<Out, Bit>,
    popping: DFF<Bit>,
    pops_left: DFF<Bits<3>>,
    /// `pops_left` is not 0.
    pops: DFF<Bit>,
    /// A tile is loaded, or being loaded, that no pass has taken.
    slot_taken: DFF<Bit>,
    loaded: DFF<Bit>,
    /// Cycles since a pass has started, up to the number that a stream tile waits for.
    age: DFF<Bits<4>>,
    could_load: Signal<Local, Bit>,
    words_there: Signal<Local, Bit>,
    go_stream: Signal<Local, Bit>,
    go_kv: Signal<Local, Bit>,
    age_enough: Constant<Bits<4>>,
}

impl TileScheduler {
    pub fn new() -> Self {
        // The start of a pass is seen one cycle after its decision.
        let age_enough = timing::STREAM_AFTER_PASS_CYCLES as u64 - 1;
        Self {
            age_enough: Constant::new(age_enough.into()),
            ..Self::default()
        }
    }
}

impl Logic for TileScheduler {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, popping, pops_left, pops, slot_taken, loaded, age);
        if self.age.q.val() != self.age_enough.val() {
            self.age.d.next = self.age.q.val() + 1;
        }
        if self.pass_start.val() {
            self.age.d.next = 1.into();
            self.slot_taken.d.next = false;
            self.loaded.d.next = false;
        }
        self.could_load.next = self.stream_turn.val()
            & !self.slot_taken.q.val()
            & (self.age.q.val() == self.age_enough.val())
            & !self.pops.q.val();
        self.words_there.next =
            (self.stream_level.val() > 8) | ((self.stream_level.val() == 8) & !self.popping.q.val());
        self.go_stream.next = self.could_load.val() & self.words_there.val();
        self.go_kv.next = self.kv_turn.val() & !self.slot_taken.q.val();
        self.popping.d.next = self.go_stream.val() | self.pops.q.val();
        self.pops.d.next = self.pops_left.q.val() > 1;
        if self.pops.q.val() {
            self.pops_left.d.next = self.pops_left.q.val() - 1;
        }
        if self.go_stream.val() {
            self.pops_left.d.next = 7.into();
            self.pops.d.next = true;
            self.slot_taken.d.next = true;
            self.loaded.d.next = true;
        }
        if self.go_kv.val() {
            self.slot_taken.d.next = true;
        }
        if self.rows_loaded.val() {
            self.loaded.d.next = true;
        }
        self.stream_tile.next = self.go_stream.val();
        self.kv_tile.next = self.go_kv.val();
        self.pop.next = self.popping.q.val();
        self.half.next = self.pops_left.q.val() < 4;
        self.tile_ready.next = self.loaded.q.val();
        self.starved.next = self.could_load.val() & !self.words_there.val();
        if self.reset.val() {
            self.popping.d.next = false;
            self.pops_left.d.next = 0.into();
            self.pops.d.next = false;
            self.slot_taken.d.next = false;
            self.loaded.d.next = false;
        }
    }
}
