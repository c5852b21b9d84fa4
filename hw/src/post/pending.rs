//! Counter of events that wait: `add` counts up, `take` down, `any` says that there is one. At most 127 may wait.
//!
//! An event is seen in the cycle after its `add`. `take` without a waiting event is not allowed. `any` is a register, and the count
//! follows a cycle later, so that nothing behind `take` adds.

use crate::prelude::*;

/// The counter; see the module.
#[derive(LogicBlock, Default)]
pub struct Pending {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub add: Signal<In, Bit>,
    pub take: Signal<In, Bit>,
    pub any: Signal<Out, Bit>,
    some: DFF<Bit>,
    /// The count is to go up, down.
    up: DFF<Bit>,
    down: DFF<Bit>,
    count: DFF<Bits<7>>,
    only_one: Signal<Local, Bit>,
}

impl Logic for Pending {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, some, up, down, count);
        self.up.d.next = self.add.val() & !self.take.val();
        self.down.d.next = self.take.val() & !self.add.val();
        if self.up.q.val() {
            self.count.d.next = self.count.q.val() + 1;
        } else if self.down.q.val() {
            self.count.d.next = self.count.q.val() - 1;
        }
        self.only_one.next = self.count.q.val() == 1;
        if self.up.q.val() {
            self.only_one.next = self.count.q.val() == 0;
        } else if self.down.q.val() {
            self.only_one.next = self.count.q.val() == 2;
        }
        self.some.d.next = self.add.val() | (self.some.q.val() & !(self.take.val() & self.only_one.val()));
        self.any.next = self.some.q.val();
        if self.reset.val() {
            self.some.d.next = false;
            self.up.d.next = false;
            self.down.d.next = false;
            self.count.d.next = 0.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::{Lockstep, Rng};
    use crate::testbench::{cycle, settle};

    #[test]
    fn counts_what_waits() {
        let mut pending = Pending::default();
        pending.connect_all();
        let mut rng = Rng::new(4);
        let (mut waiting, mut both, mut most) = (0usize, 0usize, 0usize);
        for step in 0..20_000 {
            let fill = [80, 20][step / 500 % 2];
            let (add, take) = (waiting < 127 && rng.chance(fill), waiting > 0 && rng.chance(50));
            pending.add.next = add;
            pending.take.next = take;
            pending.reset.next = step % 1_000 == 999;
            settle(&mut pending);
            assert_eq!(pending.any.val(), waiting > 0, "step {step}");
            waiting = if step % 1_000 == 999 {
                0
            } else {
                waiting + usize::from(add) - usize::from(take)
            };
            both += usize::from(add && take);
            most = most.max(waiting);
            cycle(&mut pending, |u| &mut u.clock);
        }
        assert!(both > 2_000 && most == 127, "{both} {most}");
    }

    #[test]
    fn verilog_agrees() {
        let report = Lockstep::new("Pending", Pending::default, |u, level| {
            u.clock.next = level.into()
        })
        .run(0..4, 25_000, |u, rng, cycle| {
            u.reset.next = cycle % 500 == 499;
            u.add.next = rng.chance(50);
            u.take.next = rng.chance(50);
        })
        .unwrap();
        assert!(report.cycles >= 100_000 && report.comparisons >= 200_000);
    }
}
