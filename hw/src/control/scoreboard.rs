//! Counts what each unit has outstanding, and says which command may start.
//!
//! A command's wait fields hold, for each of the six units, how many earlier commands may still be outstanding there when it
//! starts (0 to 6; 7 does not wait). Units finish in order, so that a counter a unit is the whole scoreboard.
//!
//! * `go` with `issued` counts a command of each marked unit from the next cycle but one on: nobody looks before the next command
//!   is read, and no unit is that fast. `unit_done` takes one back in its own cycle. At most 255 of a unit.
//! * `wait_over` is registered: it tells what was true of `waits` in the cycle before.
//! * `quiet` and `others_quiet` (all units, all but fetch) have held for two cycles, so that a command on its way is seen.
//!
//! ```text
//! go, issued --> [counted] --+--> [outstanding] x 6 --+--> busy, fetch_quiet
//! unit_done -----------------+                        +--> <= waits --> [wait_over]
//!                                                     +--> == 0 --> [and before] --> quiet, others_quiet
//! ```

use crate::prelude::*;

/// Units with a wait field, in the order of [`super::command::Unit`]; fetch is the first.
pub const UNITS: usize = 6;

/// The scoreboard; see the module.
#[derive(LogicBlock, Default)]
pub struct Scoreboard {
    pub clock: Signal<In, Clock>,
    /// Nothing is outstanding any more.
    pub reset: Signal<In, Bit>,
    /// A command leaves for the units in `issued`.
    pub go: Signal<In, Bit>,
    pub issued: Signal<In, Bits<6>>,
    /// One command finished: fetch, array, norm, softmax, router, write.
    pub unit_done: Vec<Signal<In, Bit>>,
    /// Three bits a unit, from bit 0 on.
    pub waits: Signal<In, Bits<32>>,
    pub wait_over: Signal<Out, Bit>,
    pub busy: Vec<Signal<Out, Bit>>,
    pub fetch_quiet: Signal<Out, Bit>,
    pub others_quiet: Signal<Out, Bit>,
    pub quiet: Signal<Out, Bit>,
    outstanding: Vec<DFF<Bits<8>>>,
    counted: DFF<Bits<6>>,
    fields: Signal<Local, Bits<32>>,
    wait_now: Signal<Local, Bit>,
    waited: DFF<Bit>,
    others_now: Signal<Local, Bit>,
    fetch_now: Signal<Local, Bit>,
    others_before: DFF<Bit>,
    all_before: DFF<Bit>,
}

impl Scoreboard {
    /// The block, unconnected.
    pub fn new() -> Self {
        Self {
            unit_done: many(UNITS),
            busy: many(UNITS),
            outstanding: many(UNITS),
            ..Self::default()
        }
    }
}

impl Logic for Scoreboard {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, counted, waited, others_before, all_before);
        self.counted.d.next = 0.into();
        if self.go.val() {
            self.counted.d.next = self.issued.val();
        }
        for u in 0..6 {
            self.outstanding[u].clock.next = self.clock.val();
            self.outstanding[u].d.next = self.outstanding[u].q.val();
            if self.counted.q.val().get_bit(u) & !self.unit_done[u].val() {
                self.outstanding[u].d.next = self.outstanding[u].q.val() + 1;
            } else if !self.counted.q.val().get_bit(u) & self.unit_done[u].val() {
                self.outstanding[u].d.next = self.outstanding[u].q.val() - 1;
            }
            self.busy[u].next = self.outstanding[u].q.val() != 0;
        }

        // May the command start?
        self.fields.next = self.waits.val();
        self.wait_now.next = true;
        for u in 0..6 {
            self.wait_now.next = self.wait_now.val()
                & ((self.fields.val().get_bits::<3>(0) == 7)
                    | (bit_cast::<8, 3>(self.fields.val().get_bits::<3>(0)) >= self.outstanding[u].q.val()));
            self.fields.next = self.fields.val() >> 3;
        }
        self.waited.d.next = self.wait_now.val();
        self.wait_over.next = self.waited.q.val();

        // Has everything finished?
        self.fetch_now.next = self.outstanding[0].q.val() == 0;
        self.others_now.next = true;
        for u in 1..6 {
            self.others_now.next = self.others_now.val() & (self.outstanding[u].q.val() == 0);
        }
        self.others_before.d.next = self.others_now.val();
        self.all_before.d.next = self.others_now.val() & self.fetch_now.val();
        self.fetch_quiet.next = self.fetch_now.val();
        self.others_quiet.next = self.others_before.q.val() & self.others_now.val();
        self.quiet.next = self.all_before.q.val() & self.others_now.val() & self.fetch_now.val();

        if self.reset.val() {
            self.counted.d.next = 0.into();
            for u in 0..6 {
                self.outstanding[u].d.next = 0.into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::{tick, Rng};

    /// Units whose bit is set.
    fn marked(mask: u64) -> impl Iterator<Item = usize> {
        (0..UNITS).filter(move |u| mask >> u & 1 == 1)
    }

    #[test]
    fn a_command_starts_when_few_enough_are_outstanding() {
        let (mut uut, mut rng) = (Scoreboard::new(), Rng::new(5));
        uut.connect_all();
        let (mut outstanding, mut coming) = ([0u64; UNITS], 0);
        let mut may_start = [0; 2];
        for _ in 0..20_000 {
            let (issued, waits) = (rng.bits(6), rng.bits(18));
            let field = |u: usize| waits >> (3 * u) & 7;
            let may = (0..UNITS).all(|u| field(u) == 7 || field(u) >= outstanding[u]);
            uut.go.next = rng.chance(30) && marked(issued).all(|u| outstanding[u] < 9);
            uut.issued.next = issued.into();
            uut.waits.next = waits.into();
            for u in 0..UNITS {
                uut.unit_done[u].next = outstanding[u] > 0 && rng.chance(25);
                outstanding[u] -= u64::from(uut.unit_done[u].next);
            }
            marked(coming).for_each(|u| outstanding[u] += 1);
            coming = issued * u64::from(uut.go.next);
            tick(&mut uut, |u, level| u.clock.next = level.into()).unwrap();
            assert_eq!(uut.wait_over.val(), may);
            may_start[usize::from(may)] += 1;
            for u in 0..UNITS {
                assert_eq!(uut.busy[u].val(), outstanding[u] > 0, "unit {u}");
            }
        }
        assert!(may_start.iter().all(|&n| n > 500), "{may_start:?}");
    }

    #[test]
    fn quiet_sees_a_command_on_its_way() {
        let mut uut = Scoreboard::new();
        uut.connect_all();
        let mut step = |issued: u64, done: Option<usize>| {
            uut.go.next = issued != 0;
            uut.issued.next = issued.into();
            (0..UNITS).for_each(|u| uut.unit_done[u].next = done == Some(u));
            tick(&mut uut, |u, level| u.clock.next = level.into()).unwrap();
            (uut.fetch_quiet.val(), uut.others_quiet.val(), uut.quiet.val())
        };
        step(0, None);
        assert_eq!(step(0, None), (true, true, true));
        step(0b000_001, None);
        assert_eq!(step(0, None), (false, true, false));
        step(0b000_010, Some(0));
        assert_eq!(step(0, None), (true, false, false));
        step(0, Some(1));
        assert_eq!(step(0, None), (true, true, true));
    }
}
