//! The report's figures: what the probe sees agrees with the accelerator's own counters, and the model with the simulation.

mod common;

use moevit_hw::activity::Array;
use moevit_hw::control::command::Unit;
use moevit_sim::engine::Cycles;
use moevit_sim::memory::{MemoryConfig, BEAT_BYTES};
use moevit_sim::report::layers::{kind, layers};
use moevit_sim::report::simulate::{predict, simulate};
use moevit_sim::report::timeline::Timeline;

/// Largest error of the model's cycles of a frame.
const MODEL_ERROR: f64 = 0.03;

#[test]
fn probe_counters_and_model_agree_on_the_demonstration() {
    let compiled = common::demo();
    let memory = MemoryConfig::default();
    let image = &common::demo_images()[0];
    for task in 0..2 {
        let (frame, timeline) = simulate(&compiled, image, task, &memory, &mut |_| {}).unwrap();
        let counted = frame.cycles.unwrap();
        check_counters(&timeline, &counted);
        let rows = layers(&compiled, task, &timeline, kind).unwrap();
        assert_eq!(rows.iter().map(|row| row.cycles).sum::<u64>(), timeline.cycles);
        assert_eq!(
            rows.iter().map(|row| row.macs).sum::<u64>(),
            compiled.macs(task).unwrap()
        );
        let modelled = predict(&compiled, image, task, &memory).unwrap();
        let error = modelled.cycles as f64 / timeline.cycles as f64 - 1.0;
        assert!(
            error.abs() <= MODEL_ERROR,
            "task {task}: the model is {:.1} % off",
            100.0 * error
        );
    }
}

/// The probe looks at the same frame as the counters, from one or two cycles beside them.
fn check_counters(timeline: &Timeline, counted: &Cycles) {
    let near = |what: &str, found: u64, expected: u64, by: u64| {
        assert!(
            found.abs_diff(expected) <= by,
            "{what}: {found}, but the counter says {expected}"
        );
    };
    near("cycles", timeline.cycles, counted.total, 2);
    near(
        "streaming",
        timeline.array_cycles(Array::Streams),
        counted.streaming,
        0,
    );
    for unit in Unit::ALL {
        // A span ends with the unit's pulse, the counter a cycle later; commands that follow each other at once hide that.
        let expected = counted.by_unit[unit.name()];
        near(unit.name(), timeline.busy(unit), expected, 64);
    }
    let beats: u64 = timeline.bins.iter().map(|bin| bin.beats).sum();
    let bytes = BEAT_BYTES * beats;
    // The first cycles of the program's fetch lie before the probe's first cycle with the counters' clock.
    near("bytes", bytes, counted.bytes_read.iter().sum(), 1_024);
}
