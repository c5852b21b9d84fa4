//! Adds the Fetch commands and lays out the payload behind the commands.
//!
//! Steps that consume the stream one after the other and in the same way share a Fetch: between two routings one Fetch brings
//! everything up to the next gate. The weight buffer is a FIFO in consumption order, so a Fetch stands as early as possible:
//! directly behind its predecessor. That of the experts runs ahead of their routing.
//!
//! No deadlock: the Fetch queue holds `queue_commands`. A Fetch that is this many places behind another one stands behind the
//! first consumer of that one's successor, so whatever the sequencer waits for at a full queue is consumed by commands that it
//! has dispatched before.
//!
//! Every part begins at a multiple of 256 bytes from the program base and is a whole number of stream words.

use std::ops::Range;

use moevit_hw::config::{AccelConfig, BEAT_BYTES, BURST_BYTES};
use moevit_hw::control::command::{Fetch, Operation, COMMAND_BYTES};

use super::{Step, Stream};

/// Steps with one Fetch.
struct Group {
    /// Consuming steps.
    steps: Vec<usize>,
    /// Where in the list of steps the Fetch is inserted.
    position: usize,
}

/// Adds the Fetch commands; returns the new list and the payload behind the commands, which begins at
/// [`payload_offset`] for the new list's length.
pub fn insert(config: &AccelConfig, steps: Vec<Step>) -> (Vec<Step>, Vec<u8>) {
    let groups = place_groups(config, &steps);
    let offset = payload_offset(steps.len() + groups.len());
    let mut data = Vec::new();
    let fetches: Vec<Step> = groups
        .iter()
        .map(|g| fetch(&steps, g, offset, &mut data))
        .collect();
    let mut out = Vec::with_capacity(steps.len() + groups.len());
    let mut pending = groups.iter().zip(fetches).peekable();
    for (index, step) in steps.into_iter().enumerate() {
        while let Some((_, fetch)) = pending.next_if(|(group, _)| group.position == index) {
            out.push(fetch);
        }
        out.push(step);
    }
    (out, data)
}

/// First byte behind this many commands.
pub fn payload_offset(commands: usize) -> usize {
    (commands * COMMAND_BYTES).next_multiple_of(BURST_BYTES)
}

fn place_groups(config: &AccelConfig, steps: &[Step]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for index in (0..steps.len()).filter(|&i| steps[i].stream != Stream::Nothing) {
        match groups.last_mut() {
            Some(group) if joins(&steps[group.steps[0]], &steps[index]) => group.steps.push(index),
            _ => groups.push(Group {
                steps: vec![index],
                position: 0,
            }),
        }
    }
    for g in 0..groups.len() {
        let earliest = match g.checked_sub(1) {
            Some(previous) => groups[previous].position,
            None => 0,
        };
        let room = match (g + 1).checked_sub(config.queue_commands) {
            Some(served) => groups[served].steps[0] + 1,
            None => 0,
        };
        let first = groups[g].steps[0];
        let behind = loop_end(steps, earliest.max(room));
        groups[g].position = behind.min(loop_start(steps, first));
    }
    groups
}

/// Both steps can share a Fetch.
fn joins(first: &Step, next: &Step) -> bool {
    let alike = std::mem::discriminant(&first.stream) == std::mem::discriminant(&next.stream);
    alike && first.tasks == next.tasks && first.in_loop == next.in_loop
}

/// Index of the ExpertLoop whose body holds the step; the step itself outside of loops.
fn loop_start(steps: &[Step], step: usize) -> usize {
    (0..=step).rev().find(|&i| !steps[i].in_loop).unwrap_or(0)
}

/// First place from `position` on that splits no loop's body from its ExpertLoop.
fn loop_end(steps: &[Step], position: usize) -> usize {
    let outside = |i: &usize| steps.get(*i).is_none_or(|step| !step.in_loop);
    (position..=steps.len()).find(outside).unwrap_or(position)
}

/// The Fetch of a group; appends its bytes.
fn fetch(steps: &[Step], group: &Group, offset: usize, data: &mut Vec<u8>) -> Step {
    let members = || group.steps.iter().map(|&i| &steps[i]);
    let first = &steps[group.steps[0]];
    let mut fetch = Fetch {
        offset: beats(offset + data.len()),
        ..Default::default()
    };
    match &first.stream {
        Stream::Image(bytes) => {
            fetch = Fetch {
                base: 1,
                offset: 0,
                beats: beats(*bytes),
                ..Default::default()
            };
        }
        Stream::PerTask(parts) => {
            let range = append(members(), parts.len(), data);
            fetch.beats = beats(range.0.len());
            fetch.task_stride = beats(range.1);
        }
        Stream::PerExpert(parts) => {
            let range = append(members(), parts.len(), data);
            fetch.beats = beats(range.0.len());
            fetch.expert_stride = beats(range.1);
            fetch.experts = 1;
            fetch.expert_count = parts.len() as u32;
        }
        Stream::Common(_) | Stream::Nothing => fetch.beats = beats(append(members(), 1, data).0.len()),
    }
    let last = &steps[*group.steps.last().unwrap_or(&0)];
    let layer = if first.layer == last.layer {
        format!("{} weights", first.layer)
    } else {
        format!("{} to {} weights", first.layer, last.layer)
    };
    Step {
        tasks: first.tasks,
        ..Step::new(layer, Operation::Fetch(fetch))
    }
}

fn beats(bytes: usize) -> u32 {
    (bytes / BEAT_BYTES) as u32
}

/// Appends `parts` parts of all members, each one aligned; returns the first part's range and the parts' distance.
fn append<'a>(
    members: impl Iterator<Item = &'a Step> + Clone,
    parts: usize,
    data: &mut Vec<u8>,
) -> (Range<usize>, usize) {
    let start = data.len();
    let mut first = start..start;
    for part in 0..parts {
        for member in members.clone() {
            match &member.stream {
                Stream::Common(bytes) => data.extend(bytes),
                Stream::PerTask(all) | Stream::PerExpert(all) => data.extend(&all[part]),
                Stream::Image(_) | Stream::Nothing => {}
            }
        }
        if part == 0 {
            first = start..data.len();
        }
        data.resize(data.len().next_multiple_of(BURST_BYTES), 0);
    }
    (first, (data.len() - start) / parts.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use moevit_hw::control::command::{ExpertLoop, MatMul, Route, Unit};

    fn config() -> AccelConfig {
        AccelConfig::named("nano").unwrap()
    }

    fn product(stream: Stream) -> Step {
        Step::new("product", Operation::MatMul(MatMul::default())).stream(stream)
    }

    fn fetches(steps: &[Step]) -> Vec<(usize, Fetch)> {
        let all = steps.iter().enumerate();
        all.filter_map(|(i, s)| match s.operation {
            Operation::Fetch(f) => Some((i, f)),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn neighbours_share_a_fetch_and_all_run_ahead() {
        let loop_step = Step::new(
            "experts",
            Operation::ExpertLoop(ExpertLoop {
                experts: 3,
                body: 2,
                words: 20,
            }),
        );
        let part = |byte: u8, len: usize| Stream::PerExpert((0..3).map(|e| vec![byte + e; len]).collect());
        let steps = vec![
            product(Stream::Image(512)),
            product(Stream::Common(vec![1; 32])),
            product(Stream::Common(vec![2; 16])),
            product(Stream::PerTask(vec![vec![3; 48], vec![4; 48]])),
            Step::new("route", Operation::Route(Route::default())),
            loop_step,
            product(part(10, 160)).in_loop(),
            product(part(20, 160)).in_loop(),
            product(Stream::Common(vec![5; 64])),
        ];
        let (steps, data) = insert(&config(), steps);
        let found = fetches(&steps);
        let places: Vec<usize> = found.iter().map(|(i, _)| *i).collect();
        assert_eq!(places, [0, 1, 2, 3, 4]);
        let base = payload_offset(14) as u32 / 16;
        let [image, common, gate, experts, rest] = std::array::from_fn(|i| found[i].1);
        assert_eq!((image.base, image.beats, image.offset), (1, 32, 0));
        assert_eq!((common.offset, common.beats), (base, 3));
        assert_eq!((gate.offset, gate.beats, gate.task_stride), (base + 16, 3, 16));
        assert_eq!((experts.offset, experts.beats), (base + 48, 20));
        assert_eq!(
            (experts.expert_stride, experts.expert_count, experts.experts),
            (32, 3, 1)
        );
        assert_eq!((rest.offset, rest.beats), (base + 48 + 96, 4));
        assert_eq!(data.len(), 256 + 512 + 3 * 512 + 256);
        assert_eq!(data[..48], [[1u8; 32].as_slice(), &[2; 16]].concat());
        assert_eq!(
            (data[256 + 256], data[768 + 512], data[768 + 512 + 160]),
            (4, 11, 21)
        );
    }

    #[test]
    fn the_fetch_queue_never_fills_before_its_consumers_and_no_fetch_splits_a_loop() {
        let many = (0..40).flat_map(|i| {
            let mut common = product(Stream::Common(vec![0; 16]));
            common.tasks = 1 << (i % 2);
            let parts = Stream::PerExpert(vec![vec![0; 16]; 3]);
            if i % 5 == 0 {
                let experts = Step::new("experts", Operation::ExpertLoop(ExpertLoop::default()));
                let body = product(parts).in_loop();
                vec![experts, body.clone(), body]
            } else {
                vec![common]
            }
        });
        let (steps, _) = insert(&config(), many.collect());
        let mut ahead = 0i32;
        for (i, step) in steps.iter().enumerate() {
            if matches!(step.operation, Operation::ExpertLoop(_)) {
                assert!(steps[i + 1].in_loop && steps[i + 2].in_loop);
            }
            let consumed = if step.in_loop { 0 } else { -1 };
            ahead += if step.unit() == Some(Unit::Fetch) {
                1
            } else {
                consumed
            };
            assert!(
                (0..config().queue_commands as i32).contains(&ahead),
                "{ahead} fetches without a consumer"
            );
        }
        assert_eq!((steps.len(), ahead), (80 + 2 * 8, 0));
    }
}
