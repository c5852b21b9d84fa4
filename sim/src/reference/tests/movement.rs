//! Fetch, Copy and Write; tasks; memories between frames.

use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::{Copy, End, Fetch, Operation, Write, ALL_TASKS};

use super::build::{Builder, Random};
use crate::reference::{Job, Machine};

#[test]
fn words_land_where_the_copy_says_with_partial_stream_words() {
    let config = AccelConfig::named("zcu104").unwrap();
    let mut random = Random::new(1);
    let bytes: Vec<i8> = (0..5 * 32).map(|_| random.range(-128, 127) as i8).collect();
    let values: Vec<i16> = (0..3 * 32)
        .map(|_| random.range(-32_768, 32_767) as i16)
        .collect();
    let mut builder = Builder::new(config);
    let (machine, output) = builder
        .activation(8_187, &bytes)
        .residual(4_093, &values)
        .write(4_093, 3)
        .run();
    assert_eq!(machine.memories().activation.span(8_187, 5), bytes);
    assert_eq!(machine.memories().residual.span(4_093, 3), values);
    let written: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(output.result, written);
    assert_eq!(
        output.work[1].stream_bytes, 256,
        "5 x 32 bytes are two words of 128"
    );
}

#[test]
fn the_image_comes_from_its_own_base() {
    let mut builder = Builder::nano();
    builder.image = (0..=255).collect();
    builder.push(Operation::Fetch(Fetch {
        base: 1,
        beats: 16,
        ..Default::default()
    }));
    builder.push(Operation::Copy(Copy {
        residual: 0,
        dst_base: 2,
        words: 16,
    }));
    let (machine, _) = builder.run();
    let want: Vec<i8> = (0..=255u8).map(|x| x as i8).collect();
    assert_eq!(machine.memories().activation.span(2, 16), want);
}

#[test]
fn a_write_leaves_a_gap_of_zeros_and_may_end_inside_a_word() {
    let config = AccelConfig::named("zcu104").unwrap();
    let values: Vec<i16> = (1..=32).collect();
    let mut builder = Builder::new(config);
    builder.residual(0, &values);
    let (_, output) = builder
        .push(Operation::Write(Write {
            src_base: 0,
            beats: 3,
            offset: 2,
        }))
        .run();
    assert_eq!(output.result.len(), 80);
    assert_eq!(output.result[..32], [0; 32]);
    let got: Vec<i16> = output.result[32..]
        .chunks(2)
        .map(|b| i16::from_le_bytes([b[0], b[1]]))
        .collect();
    assert_eq!(got, values[..24]);
}

/// Task t runs the commands whose bit t is set, and a Fetch moves by its task stride.
#[test]
fn tasks_select_commands_and_data() {
    let mut builder = Builder::nano();
    let blocks: Vec<u8> = (0..3u8).flat_map(|task| vec![task + 1; 256]).collect();
    let (offset, _) = builder.place(&blocks);
    for (tasks, dst_base) in [(ALL_TASKS, 0), (0b010, 20), (0b101, 40)] {
        builder.tasks = tasks;
        builder.push(Operation::Fetch(Fetch {
            offset,
            beats: 1,
            task_stride: 16,
            ..Default::default()
        }));
        builder.push(Operation::Copy(Copy {
            residual: 0,
            dst_base,
            words: 1,
        }));
    }
    let mut seen = Vec::new();
    for task in 0..3 {
        let (machine, output) = builder.clone().try_run(task).unwrap();
        let word = |a| machine.memories().activation.span(a, 1)[15];
        seen.push((word(0), word(20), word(40)));
        let ran: u64 = output.work.iter().map(|w| w.executions).sum();
        assert_eq!(ran, 5);
    }
    assert_eq!(seen, [(1, 0, 1), (2, 2, 0), (3, 0, 3)]);
}

#[test]
fn memories_keep_their_contents_and_results_their_values() {
    let config = AccelConfig::named("nano").unwrap();
    let mut first = Builder::nano();
    first.activation(0, &[3; 16]).residual(0, &[-5; 8]);
    let mut second = Builder::nano();
    second.write(0, 1);
    let mut machine = Machine::new(&config);
    for (builder, bytes) in [(&mut first, 0), (&mut second, 16)] {
        builder.push(Operation::End(End {}));
        let output = machine
            .run(&builder.payload(), builder.commands.len(), &[], 0)
            .unwrap();
        assert_eq!(output.result.len(), bytes);
    }
    assert_eq!(machine.memories().residual.span(0, 1), [-5; 8]);
    assert_eq!(machine.memories().activation.span(0, 1), [3; 16]);
}

#[test]
fn an_observer_sees_every_command() {
    let mut builder = Builder::nano();
    builder.activation(0, &[3; 16]).write(0, 1);
    builder.push(Operation::End(End {}));
    let job = Job {
        payload: &builder.payload(),
        command_count: builder.commands.len(),
        image: &[],
        task: 0,
        result_bytes_max: 16,
    };
    let mut seen = Vec::new();
    let mut machine = Machine::new(&builder.config);
    machine
        .run_observed(&job, &mut |index, expert, machine| {
            seen.push((index, expert, machine.memories().activation.span(0, 1)[0]));
        })
        .unwrap();
    assert_eq!(seen, [(0, None, 0), (1, None, 3), (2, None, 3)]);
}
