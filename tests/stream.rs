//! Frames through the frame queue: right, at a higher rate than one by one, and with tasks that change at no cost.

mod common;

use common::devices::{frame, session, AnyDevice, World, LIMIT_CYCLES};
use moevit_sim::engine::session::{Frame, FrameResult, Session, IMAGE_BASE};
use moevit_sim::engine::Compiled;
use moevit_sim::memory::{Faults, MemoryConfig};
use moevit_sim::reference::Machine;

/// Bytes of the program's commands, which a queued frame does not read again.
fn command_bytes(compiled: &Compiled) -> u64 {
    u64::from(compiled.program.meta.command_count.next_multiple_of(8)) * 32
}

fn open(world: World, compiled: &Compiled, stalls: Option<u64>) -> Session<AnyDevice> {
    let memory = MemoryConfig {
        stalls,
        ..MemoryConfig::default()
    };
    let mut session = session(world, &compiled.program.config, memory);
    session.load(&compiled.program.payload).unwrap();
    session
}

/// Streams (image, task) pairs; every byte that the reference writes must be there.
fn stream(
    session: &mut Session<AnyDevice>,
    compiled: &Compiled,
    frames: &[(usize, usize)],
) -> Vec<FrameResult> {
    let program = &compiled.program;
    let images = common::demo_images();
    let packed: Vec<Vec<u8>> = frames
        .iter()
        .map(|(image, _)| compiled.pack(&images[*image]).unwrap())
        .collect();
    let queued: Vec<Frame> = frames
        .iter()
        .zip(&packed)
        .map(|((_, task), image)| Frame {
            command_count: program.meta.command_count,
            image,
            task: *task as u32,
            result_bytes: program.meta.result_bytes as usize,
            limit_cycles: LIMIT_CYCLES,
        })
        .collect();
    let results = session.stream(&queued, &mut |_| {}).unwrap();
    let mut machine = Machine::new(&program.config);
    for (i, ((_, task), result)) in frames.iter().zip(&results).enumerate() {
        let want = machine.run_program(program, &packed[i], *task).unwrap();
        let meta = &program.meta;
        let places = [Some(&meta.tokens), meta.tasks[*task].head.as_ref()];
        for place in places.into_iter().flatten() {
            assert_eq!(
                place.integers(&result.result).unwrap(),
                place.integers(&want.result).unwrap(),
                "frame {i}"
            );
        }
    }
    assert_eq!(results.len(), frames.len());
    results
}

#[test]
fn a_queued_frame_is_faster_and_a_switch_of_tasks_costs_neither_cycles_nor_bytes() {
    let compiled = common::demo();
    let run =
        |frames: &[(usize, usize)]| stream(&mut open(World::Verilator, &compiled, None), &compiled, frames);
    let zeros = run(&[(0, 0), (1, 0), (2, 0), (3, 0)]);
    let ones = run(&[(0, 1), (1, 1), (2, 1), (3, 1)]);
    let mixed = [
        run(&[(0, 0), (1, 1), (2, 0), (3, 1)]),
        run(&[(0, 1), (1, 0), (2, 1), (3, 0)]),
    ];
    for i in 0..4 {
        let same = [zeros[i].cycles, ones[i].cycles];
        assert_eq!(mixed[0][i].cycles, same[i % 2], "frame {i}");
        assert_eq!(mixed[1][i].cycles, same[1 - i % 2], "frame {i}");
    }
    let bytes = |frames: &[FrameResult]| frames.iter().flat_map(|f| &f.bytes_read).sum::<u64>();
    assert_eq!(bytes(&mixed[0]) + bytes(&mixed[1]), bytes(&zeros) + bytes(&ones));

    // The same four frames one by one.
    let images = common::demo_images();
    let mut session = open(World::Verilator, &compiled, None);
    let before: u64 = session.board().bytes_read().iter().sum();
    let mut cycles = vec![];
    for image in &images[..4] {
        let packed = compiled.pack(image).unwrap();
        frame(&mut session, &compiled.program, &packed, 0).unwrap();
        cycles.push(u64::from(session.read("CYCLES").unwrap()));
        assert_eq!(session.read("FRAMES").unwrap(), 1);
    }
    let read = session.board().bytes_read().iter().sum::<u64>() - before;
    assert_eq!(
        read - bytes(&zeros),
        3 * command_bytes(&compiled),
        "commands are read once"
    );
    println!(
        "one by one {cycles:?}, queued {:?}",
        zeros.iter().map(|f| f.cycles).collect::<Vec<_>>()
    );
    for i in 1..4 {
        assert!(
            zeros[i].cycles + 400 < cycles[i],
            "frame {i}: {} and {}",
            zeros[i].cycles,
            cycles[i]
        );
    }
}

#[test]
fn stalls_and_verilog_change_no_bit() {
    let compiled = common::demo();
    let all = [(4, 1), (5, 0), (6, 0), (7, 1), (0, 1)];
    for (world, stalls) in [
        (World::Circuit, Some(1)),
        (World::Verilator, None),
        (World::Verilator, Some(2)),
    ] {
        // The circuit takes seconds a frame.
        let frames = if world == World::Circuit {
            &all[..3]
        } else {
            &all[..]
        };
        let mut session = open(world, &compiled, stalls);
        stream(&mut session, &compiled, frames);
        let ended = session.read("FRAMES").unwrap() as usize;
        assert_eq!(ended, frames.len(), "the chip was never idle");
        assert_eq!(session.read("CTRL").unwrap() & 5, 4, "now it is");
        stream(&mut session, &compiled, &frames[..1]);
    }
}

#[test]
fn an_error_in_the_queue_ends_it_and_says_how_far_it_came() {
    let compiled = common::demo();
    let program = &compiled.program;
    let packed = compiled.pack(&common::demo_images()[0]).unwrap();
    let frame = || Frame {
        command_count: program.meta.command_count,
        image: &packed,
        task: 0,
        result_bytes: program.meta.result_bytes as usize,
        limit_cycles: LIMIT_CYCLES,
    };
    let mut session = open(World::Verilator, &compiled, None);
    // The images of frames that are in flight together have addresses of their own.
    session.board().set_faults(Faults {
        read_error: Some(IMAGE_BASE + 0x0200_0000),
        ..Default::default()
    });
    let queue = [frame(), frame(), frame(), frame()];
    let error = session.stream(&queue, &mut |_| {}).unwrap_err();
    let sentence = format!("{error:#}");
    assert!(
        sentence.contains("of 4: the accelerator stopped") && sentence.contains("read"),
        "{sentence}"
    );
    // The third frame's image is read before the second has ended, so that the error ends both.
    assert_eq!(session.read("FRAMES").unwrap(), 1);
    session.board().set_faults(Faults::default());
    stream(&mut session, &compiled, &[(0, 0), (1, 1), (2, 0)]);
}
