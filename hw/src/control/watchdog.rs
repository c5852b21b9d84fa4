//! Counts cycles without progress while the accelerator is busy.
//!
//! `expired` rises when `limit` cycles have passed since the last `progress`, and stays until `busy` falls. A limit of 0 never
//! expires. Latency: one cycle.
//!
//! ```text
//! busy, progress --> [count] == limit --> [expired]
//! ```

use crate::prelude::*;

/// The watchdog; see the module.
#[derive(LogicBlock, Default)]
pub struct Watchdog {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub busy: Signal<In, Bit>,
    pub progress: Signal<In, Bit>,
    pub limit: Signal<In, Bits<32>>,
    pub expired: Signal<Out, Bit>,
    count: DFF<Bits<32>>,
    fired: DFF<Bit>,
}

impl Logic for Watchdog {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, count, fired);
        self.expired.next = self.fired.q.val();
        if !self.busy.val() {
            self.fired.d.next = false;
            self.count.d.next = 0.into();
        } else if self.progress.val() {
            self.count.d.next = 0.into();
        } else if (self.count.q.val() == self.limit.val()) & (self.limit.val() != 0) {
            self.fired.d.next = true;
        } else {
            self.count.d.next = self.count.q.val() + 1;
        }
        if self.reset.val() {
            self.fired.d.next = false;
            self.count.d.next = 0.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(dog: &mut Watchdog) {
        for level in [true, false] {
            dog.clock.next = level.into();
            while {
                dog.update_all();
                dog.has_changed()
            } {}
        }
    }

    #[test]
    fn expires_after_the_limit_and_never_before() {
        let mut dog = Watchdog::default();
        dog.busy.next = true;
        dog.limit.next = 20u64.into();
        for round in 0..5 {
            dog.progress.next = true;
            tick(&mut dog);
            dog.progress.next = false;
            for _ in 0..19 {
                tick(&mut dog);
                assert!(!dog.expired.val(), "round {round}");
            }
        }
        (0..2).for_each(|_| tick(&mut dog));
        assert!(dog.expired.val());
        dog.busy.next = false;
        tick(&mut dog);
        assert!(!dog.expired.val());
    }

    #[test]
    fn a_limit_of_zero_never_expires() {
        let mut dog = Watchdog::default();
        dog.busy.next = true;
        (0..1_000).for_each(|_| tick(&mut dog));
        assert!(!dog.expired.val());
    }
}
