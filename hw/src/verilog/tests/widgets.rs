//! Circuits that others wrote, in lock-step: rust-hdl's own widgets.

use crate::cosim::{Lockstep, Options, Rng};
use rust_hdl::prelude::*;

fn agree<U: Block>(
    name: &str,
    build: impl Fn() -> U,
    set_clock: impl Fn(&mut U, bool),
    minimum: u64,
    stimulus: impl FnMut(&mut U, &mut Rng, u64),
) {
    // rust-hdl's RAM has no initial value, so it agrees only from zero.
    let options = Options {
        random_start: false,
        ..Options::default()
    };
    let report = Lockstep::new(name, build, set_clock)
        .options(options)
        .run(0..3, 4_000, stimulus)
        .unwrap();
    assert_eq!(report.cycles, 12_000);
    assert!(report.comparisons >= minimum * 24_000, "{report:?}");
}

#[test]
fn synchronous_fifo() {
    type Fifo = SynchronousFIFO<Bits<12>, 4, 5, 3>;
    agree(
        "SyncFifo",
        Fifo::default,
        |u, level| u.clock.next = level.into(),
        7,
        |u, rng, cycle| {
            let filling = cycle % 200 < 100;
            u.write.next = !u.full.val() && rng.chance(if filling { 80 } else { 30 });
            u.read.next = !u.empty.val() && rng.chance(if filling { 30 } else { 80 });
            u.data_in.next = rng.bits(12).into();
        },
    );
}

#[test]
fn spi_master() {
    let config = SPIConfig {
        clock_speed: 128,
        cs_off: true,
        mosi_off: false,
        speed_hz: 8,
        cpha: true,
        cpol: false,
    };
    let build = move || SPIMaster::<32>::new(config);
    agree(
        "SpiMaster",
        build,
        |u, level| u.clock.next = level.into(),
        6,
        |u, rng, _| {
            // Rust panics for a bit index of 32 and more.
            u.bits_outbound.next = rng.below(31).into();
            u.data_outbound.next = rng.bits(32).into();
            u.start_send.next = rng.chance(10);
            u.continued_transaction.next = rng.chance(50);
            u.wires.miso.next = rng.chance(50);
        },
    );
}

#[test]
fn filter_with_signed_multiplier_and_memories() {
    type Filter = MultiplyAccumulateSymmetricFiniteImpulseResponseFilter<3>;
    let build = || Filter::new(&[-300, 20000, 7, -1, 7, 20000, -300]);
    agree(
        "Filter",
        build,
        |u, level| u.clock.next = level.into(),
        3,
        |u, rng, _| {
            u.strobe_in.next = !u.busy.val() && rng.chance(60);
            u.data_in.next = rng.between(-8000, 8000).into();
        },
    );
}

#[test]
fn widths_converted_by_fifos() {
    agree(
        "Expander",
        || FIFOExpanderN::<4, 16>::new(WordOrder::MostSignificantFirst),
        |u, level| u.clock.next = level.into(),
        3,
        |u, rng, _| {
            u.data_in.next = rng.bits(4).into();
            u.empty.next = rng.chance(40);
            u.full.next = rng.chance(40);
        },
    );
    agree(
        "Reducer",
        || FIFOReducerN::<16, 4>::new(WordOrder::LeastSignificantFirst),
        |u, level| u.clock.next = level.into(),
        3,
        |u, rng, _| {
            u.data_in.next = rng.bits(16).into();
            u.empty.next = rng.chance(40);
            u.full.next = rng.chance(40);
        },
    );
}
