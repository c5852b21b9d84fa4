//! The report's figures: what the probe sees agrees with the accelerator's own counters, and the model with the simulation.

mod common;

use moevit_hw::activity::Array;
use moevit_sim::engine::Cycles;
use moevit_sim::memory::MemoryConfig;
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
        assert_eq!(rows.iter().map(|row| row.macs).sum::<u64>(), compiled.macs(task).unwrap());
        let modelled = predict(&compiled, image, task, &memory).unwrap();
        let model_rows = layers(&compiled, task, &modelled, kind).unwrap();
        for row in &rows {
            let model = model_rows.iter().find(|m| m.name == row.name);
            println!("{:20} {:7} {:7} {:?}\n   {:?}\n   {:?}", row.name, row.cycles, model.map_or(0, |m| m.cycles), row.units, row.array, model.map(|m|&m.array));
            println!("   {:?}", model.map(|m|&m.units));
        }
        let error = modelled.cycles as f64 / timeline.cycles as f64 - 1.0;
        println!("task {task}: {} cycles, model {} ({:+.2} %)", timeline.cycles, modelled.cycles, 100.0 * error);
        assert!(error.abs() <= MODEL_ERROR, "task {task}: the model is {:.1} % off", 100.0 * error);
    }
}

fn check_counters(timeline: &Timeline, counted: &Cycles) {
    assert!(timeline.cycles.abs_diff(counted.total) <= 2, "{} {}", timeline.cycles, counted.total);
    let streaming = timeline.array_cycles(Array::Streams);
    println!("streams {streaming} {} pads {}", counted.streaming, timeline.array_cycles(Array::Pads));
    let beats: u64 = timeline.bins.iter().map(|bin| bin.beats).sum();
    println!("beats {} {}", 16 * beats, counted.bytes_read.iter().sum::<u64>());
    for unit in moevit_hw::control::command::Unit::ALL {
        println!("{} {} {}", unit.name(), timeline.busy(unit), counted.by_unit[unit.name()]);
    }
}
