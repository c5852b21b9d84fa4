//! The exact cycles of the demonstration's frames, and that switching tasks costs none.
//!
//! Cycles are a property of circuits and schedule, not of the machine that simulates them: a growth is a regression. When a change
//! saves cycles, lower the numbers here.

mod common;

use common::devices::{frame, session, World};
use moevit_sim::memory::MemoryConfig;

/// Register CYCLES of the first test image's frames, by task.
const CYCLES: [u64; 2] = [46_580, 46_945];

#[test]
fn the_demonstration_takes_no_more_cycles_and_a_switch_of_tasks_none() {
    let compiled = common::demo();
    let program = &compiled.program;
    let image = compiled.pack(&common::demo_images()[0]).unwrap();
    let mut session = session(World::Circuit, &program.config, MemoryConfig::default());
    session.load(&program.payload).unwrap();
    let mut frames = vec![];
    for task in [0, 0, 1, 1, 0, 1] {
        let before = session.board().bytes_read();
        frame(&mut session, program, &image, task).unwrap();
        let cycles = u64::from(session.read("CYCLES").unwrap());
        let after = session.board().bytes_read();
        let read: Vec<u64> = after
            .iter()
            .zip(before)
            .map(|(after, before)| after - before)
            .collect();
        frames.push((task, cycles, read));
    }
    for (i, found) in frames.iter().enumerate() {
        let first = frames.iter().find(|frame| frame.0 == found.0).unwrap();
        assert_eq!(found, first, "frame {i} differs from the task's first one");
    }
    let found = [frames[0].1, frames[2].1];
    assert!(
        (0..2).all(|task| found[task] <= CYCLES[task]),
        "{found:?} cycles, but {CYCLES:?} before"
    );
    assert_eq!(found, CYCLES, "fewer cycles than before: lower the numbers");
}
