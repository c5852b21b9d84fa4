//! The blocks of this folder in Rust beside their exported Verilog.

use crate::{lock_step, lock_step_with, nano};
use moevit_hw::array::accumulator::Accumulator;
use moevit_hw::array::accumulator_column::AccumulatorColumn;
use moevit_hw::array::column::Column;
use moevit_hw::array::column_sum::ColumnSum;
use moevit_hw::array::feed::FeedUnit;
use moevit_hw::array::kv_rows::KvRows;
use moevit_hw::array::lane_delay::LaneDelay;
use moevit_hw::array::load_bus::LoadBus;
use moevit_hw::array::loader::Loader;
use moevit_hw::array::mac_pair::{MacPair, Place, DSP48E2_MODEL, PRIMITIVE_MACRO};
use moevit_hw::array::pass_command::PassCommand;
use moevit_hw::array::row_address::RowAddress;
use moevit_hw::array::row_reader::RowReader;
use moevit_hw::array::step_delay::StepDelay;
use moevit_hw::array::stream_word::StreamWord;
use moevit_hw::array::streamer::Streamer;
use moevit_hw::array::systolic_array::SystolicArray;
use moevit_hw::array::tile_scheduler::TileScheduler;
use moevit_hw::array::word_consumer::WordConsumer;
use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::{Command, Copy, Discard, MatMul, Operation, Wait, ALL_TASKS};
use moevit_hw::cosim::{Lockstep, Rng, Rule};
use moevit_hw::prelude::*;
use moevit_hw::verilog::export;
use moevit_hw::verilog::lint::{lint, Setup};

const PLACES: [Place; 4] = [Place::CascadeHead, Place::SegmentHead, Place::Inner, Place::Tail];

#[test]
fn mac_pair() {
    for place in PLACES {
        lock_step("MacPair", || MacPair::new(place), &[], &[]);
    }
}

/// The text with DSP48E2 instances, and a model of that primitive.
const PRIMITIVE: Setup = Setup {
    defines: &[PRIMITIVE_MACRO],
    cells: &[("DSP48E2", DSP48E2_MODEL)],
};

#[test]
fn mac_pair_as_primitive() {
    for place in PLACES {
        let cell = Lockstep::of("MacPair", || MacPair::new(place)).setup(&PRIMITIVE);
        lock_step_with(cell, &[], &[], |_, _, _| ());
    }
}

/// The runs above compare the primitive, not the behaviour beside it: one that adds one too many differs.
#[test]
fn a_wrong_primitive_is_found() {
    let wrong = DSP48E2_MODEL.replace("p <= z + m;", "p <= z + m + 1;");
    assert_ne!(wrong, DSP48E2_MODEL);
    let setup = Setup {
        cells: &[("DSP48E2", &wrong)],
        ..PRIMITIVE
    };
    for place in PLACES {
        let cell = Lockstep::of("MacPair", || MacPair::new(place)).setup(&setup);
        let error = cell.run_random(0..1, 100, &[], |_, _, _| ());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("cascade_out_low"), "{error}");
    }
}

/// All places together, with the cascades of weights and sums between them.
#[test]
fn column_as_primitives() {
    for name in ["nano", "zcu104"] {
        let rows = AccelConfig::named(name).unwrap().rows;
        let column = Lockstep::of("Column", || Column::new(rows)).setup(&PRIMITIVE);
        lock_step_with(column, &[], &[], |_, _, _| ());
    }
}

#[test]
fn column() {
    lock_step("Column", || Column::new(16), &[], &[]);
}

#[test]
fn column_sum() {
    // A cascade's sums fit 36 bits; the word's other bits repeat the sign.
    let rules: [Rule; 1] = [("high", |rng| ((rng.corner_bits(12) << 52) as i64 >> 52) as u64)];
    for cascades in [1, 2, 8] {
        lock_step("ColumnSum", || ColumnSum::new(cascades), &rules, &[]);
    }
}

#[test]
fn lane_delay() {
    lock_step(
        "LaneDelay",
        || LaneDelay::<8>::new("Delays", vec![1, 3, 2, 7, 1]),
        &[],
        &[],
    );
}

#[test]
fn step_delay() {
    for (token, sum) in [(5, 19), (7, 27)] {
        lock_step("StepDelay", || StepDelay::new(token, sum), &[], &[]);
    }
}

#[test]
fn systolic_array() {
    lock_step("SystolicArray", || SystolicArray::new(&nano()), &[], &[]);
}

#[test]
fn accumulator_column() {
    // Few pairs, so that reads meet what was written; 40 pairs wrap at 64.
    let pair: fn(&mut Rng) -> u64 = |rng| 24 + rng.below(16);
    let rules: [Rule; 3] = [("read_pair_0", pair), ("read_pair_1", pair), ("write_pair", pair)];
    for pairs in [32, 40] {
        lock_step("AccumulatorColumn", || AccumulatorColumn::new(pairs), &rules, &[]);
    }
}

#[test]
fn accumulator() {
    let pair: fn(&mut Rng) -> u64 = |rng| rng.below(12);
    let rules: [Rule; 3] = [("read_pair", pair), ("write_pair", pair), ("drain_pair", pair)];
    lock_step("Accumulator", || Accumulator::new(&nano()), &rules, &[]);
}

#[test]
fn load_bus() {
    for (name, constant) in [("nano", &[][..]), ("zcu104", &[])] {
        let config = AccelConfig::named(name).unwrap();
        let rules: [Rule; 1] = [("segment", |rng| rng.below(9))];
        lock_step("LoadBus", || LoadBus::new(&config), &rules, constant);
    }
}

#[test]
fn row_address() {
    lock_step("RowAddress", RowAddress::default, &[], &[]);
}

#[test]
fn row_reader() {
    lock_step("RowReader", RowReader::new, &[], &[]);
}

#[test]
fn stream_word() {
    for name in ["nano", "zcu104"] {
        let config = AccelConfig::named(name).unwrap();
        lock_step("StreamWord", || StreamWord::new(&config), &[], &[]);
    }
}

/// Chunks of one size in a longer word, of two sizes, and of the whole word.
#[test]
fn stream_words_of_all_shapes_are_clean() {
    for (rows, columns) in [(64, 32), (32, 32), (32, 8), (16, 8)] {
        let config = AccelConfig {
            rows,
            columns,
            ..nano()
        };
        let mut word = StreamWord::new(&config);
        word.connect_all();
        let report = lint(&export("StreamWord", &word).unwrap()).unwrap();
        assert!(
            report.is_clean() && report.missing.is_empty(),
            "{rows} x {columns}:\n{report}"
        );
    }
}

#[test]
fn pass_command() {
    let rules: [Rule; 1] = [("accept", |rng| u64::from(rng.chance(20)))];
    lock_step("PassCommand", || PassCommand::new(2), &rules, &[]);
}

#[test]
fn tile_scheduler() {
    let rules: [Rule; 2] = [
        ("stream_level", |rng| rng.below(12)),
        ("pass_start", |rng| u64::from(rng.chance(15))),
    ];
    lock_step("TileScheduler", TileScheduler::new, &rules, &[]);
}

#[test]
fn kv_rows() {
    for name in ["nano", "zcu104"] {
        let config = AccelConfig::named(name).unwrap();
        let rules: [Rule; 3] = [
            ("start", |rng| u64::from(rng.chance(3))),
            ("tokens", |rng| rng.below(200)),
            ("lane_base", |rng| 32 * rng.below(4)),
        ];
        lock_step("KvRows", || KvRows::new(&config), &rules, &[]);
    }
}

#[test]
fn word_consumer() {
    let rules: [Rule; 2] = [
        ("start", |rng| u64::from(rng.chance(5))),
        ("count", |rng| rng.below(12)),
    ];
    lock_step("WordConsumer", || WordConsumer::new(&nano()), &rules, &[]);
}

/// A Copy, a Discard or a MatMul of a few tiles and tokens.
fn command(rng: &mut Rng) -> [u32; 8] {
    let bits = |rng: &mut Rng, width| rng.bits(width) as u32;
    let few = |rng: &mut Rng, limit| 1 + rng.below(limit) as u32;
    let operation = match rng.below(6) {
        1 => Operation::Discard(Discard { words: few(rng, 6) }),
        0 => Operation::Copy(Copy {
            residual: bits(rng, 1),
            dst_base: bits(rng, 16),
            words: few(rng, 6),
        }),
        _ => Operation::MatMul(MatMul {
            src_base: bits(rng, 16),
            src_stride: bits(rng, 8),
            k_tiles: few(rng, 3),
            n_tiles: few(rng, 3),
            tokens: few(rng, 12),
            planes: rng.below(3) as u32,
            routing: rng.below(3) as u32,
            stationary: rng.below(3) as u32,
            sync: u32::from(rng.chance(25)),
            hold_parameters: bits(rng, 1),
            kv_base: bits(rng, 16),
            kv_stride: bits(rng, 8),
            kv_tokens: rng.below(40) as u32,
            ..Default::default()
        }),
    };
    let command = Command {
        tasks: ALL_TASKS,
        wait: Wait::NONE,
        operation,
    };
    command.encode().unwrap()
}

fn set(ports: &mut [Signal<In, Bits<32>>], words: [u32; 8]) {
    for (port, word) in ports.iter_mut().zip(words) {
        port.next = u64::from(word).into();
    }
}

#[test]
fn loader() {
    let rules: [Rule; 4] = [
        ("start", |rng| u64::from(rng.chance(2))),
        ("program_load", |rng| rng.below(12)),
        ("stream_level", |rng| rng.below(16)),
        ("pass_start", |rng| u64::from(rng.chance(8))),
    ];
    let mut accepted = 0;
    lock_step_with(
        Lockstep::of("Loader", || Loader::new(&nano())),
        &rules,
        &[],
        |u, rng, _| {
            set(&mut u.command, command(rng));
            u.accept.next = u.ready.val() && !u.start.next && rng.chance(50);
            // Mostly nothing is left to wait for.
            let tag = rng.bits(8);
            u.tag.next = tag.into();
            u.drained.next = (if rng.chance(60) { accepted } else { tag }).into();
            if u.accept.next {
                accepted = tag;
            }
        },
    );
}

#[test]
fn streamer() {
    let rules: [Rule; 1] = [("group_drained", |rng| u64::from(rng.chance(6)))];
    let mut accepted = 0;
    lock_step_with(
        Lockstep::of("Streamer", || Streamer::new(2)),
        &rules,
        &[],
        |u, rng, _| {
            set(&mut u.command, command(rng));
            u.queue_length.next = (1 + rng.below(20)).into();
            u.accept.next = u.ready.val() && rng.chance(30);
            let tag = rng.bits(8);
            u.tag.next = tag.into();
            u.drained.next = (if rng.chance(60) { accepted } else { tag }).into();
            if u.accept.next {
                accepted = tag;
            }
        },
    );
}

#[test]
fn feed_unit() {
    let rules: [Rule; 7] = [
        ("reset", |rng| u64::from(rng.below(3_000) == 0)),
        ("start", |rng| u64::from(rng.chance(8))),
        ("program_load", |rng| rng.below(12)),
        ("stream_level", |rng| rng.below(16)),
        ("group_drained", |rng| u64::from(rng.chance(25))),
        // So often that the count soon equals what a Copy waits for.
        ("command_drained", |rng| u64::from(rng.chance(90))),
        ("drain_pair", |rng| rng.below(12)),
    ];
    lock_step_with(
        Lockstep::of("FeedUnit", || FeedUnit::new(&nano())),
        &rules,
        // A copy waits until the count of drained commands meets its own: seldom, with random pulses.
        &["copy_residual"],
        |u, rng, _| {
            set(&mut u.command, command(rng));
            u.queue_length.next = (1 + rng.below(20)).into();
        },
    );
}
