//! Every illegal program is refused with a sentence that names the command and the field.

use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::{
    Copy, Discard, End, ExpertLoop, Fetch, MatMul, Norm, Operation, Route, Softmax, Write, COMMAND_BYTES,
};

use super::build::{Builder, Random};
use super::products::Product;
use crate::reference::{Machine, MachineError};

/// A legal product of 8 tokens, 2 x 2 tiles.
pub fn legal() -> MatMul {
    MatMul {
        tokens: 8,
        k_tiles: 2,
        n_tiles: 2,
        src_stride: 2,
        dst_base: 200,
        dst_stride: 1,
        shift: 15,
        factor_shift: 15,
        ..Default::default()
    }
}

fn matmul(change: fn(&mut MatMul)) -> String {
    let mut builder = Builder::nano();
    Product::random(legal(), &builder.config, &mut Random::new(1)).emit(&mut builder);
    let last = builder.commands.last_mut().unwrap();
    let Operation::MatMul(op) = &mut last.operation else {
        unreachable!()
    };
    change(op);
    builder.refusal()
}

#[test]
fn every_illegal_field_of_a_matmul_is_named() {
    type Case = (&'static str, fn(&mut MatMul));
    let cases: [Case; 28] = [
        ("k_tiles is 0", |m| m.k_tiles = 0),
        ("n_tiles is 0", |m| m.n_tiles = 0),
        ("tokens is 0, but must be 1 to 64", |m| m.tokens = 0),
        ("tokens is 65", |m| m.tokens = 65),
        ("planes is 3", |m| m.planes = 3),
        ("routing is 1, but must be 0 outside", |m| m.routing = 1),
        ("routing is 3", |m| m.routing = 3),
        ("stationary is 3", |m| m.stationary = 3),
        ("planes is 1, but must be 0 with", |m| {
            (m.planes, m.stationary) = (1, 1)
        }),
        ("kv_tokens is 0", |m| m.stationary = 2),
        ("kv_tokens is 70", |m| (m.stationary, m.kv_tokens) = (1, 70)),
        ("dst is 5", |m| m.dst = 5),
        ("add is 1", |m| m.add = 1),
        ("write_sums is 1", |m| m.write_sums = 1),
        ("bias_from_sums is 1", |m| {
            (m.dst, m.write_sums, m.bias_from_sums) = (1, 1, 1)
        }),
        ("sums_base is 255, but must be 0 to 254", |m| {
            (m.bias_from_sums, m.sums_base) = (1, 255)
        }),
        ("n_tiles is 300", |m| (m.bias_from_sums, m.n_tiles) = (1, 300)),
        ("n_tiles is 3, but must be 1 to 2", |m| {
            (m.dst, m.n_tiles) = (4, 3)
        }),
        ("factor is 1", |m| m.factor = 1),
        ("factor is 3", |m| m.factor = 3),
        ("shift is 48", |m| m.shift = 48),
        ("factor_shift is 48", |m| m.factor_shift = 48),
        (
            "src_base reaches word 2049 of the activation memory, which has 2048",
            |m| m.src_base = 2_034,
        ),
        ("dst_base reaches word 2048 of the activation", |m| {
            m.dst_base = 2_041
        }),
        ("dst_base reaches word 2048 of the key/value", |m| {
            (m.dst, m.dst_base) = (1, 2_040)
        }),
        ("dst_base reaches word 1024 of the residual", |m| {
            (m.dst, m.dst_base) = (2, 1_016)
        }),
        ("dst_base reaches word 1024 of the score", |m| {
            (m.dst, m.dst_base) = (3, 1_016)
        }),
        ("kv_base reaches word 2051 of the key/value", |m| {
            (m.stationary, m.kv_tokens, m.kv_base, m.kv_stride) = (2, 8, 2_043, 1)
        }),
    ];
    for (want, change) in cases {
        let got = matmul(change);
        assert!(
            got.contains(want) && got.starts_with("command 3 (MatMul)"),
            "{want}: {got}"
        );
    }
    assert_eq!(matmul(|_| ()), "accepted");
}

#[test]
fn the_stream_must_fit_exactly() {
    let less = matmul(|m| m.n_tiles = 3);
    assert!(
        less.contains("the weight stream holds 0 bytes, but 64 are consumed"),
        "{less}"
    );
    let more = matmul(|m| m.n_tiles = 1);
    assert!(
        more.starts_with("command 4 (End): 320 bytes of the weight stream"),
        "{more}"
    );
    let mut builder = Builder::nano();
    builder.push(Operation::Copy(Copy {
        words: 3,
        ..Default::default()
    }));
    let got = builder.refusal();
    assert!(
        got.starts_with("command 0 (Copy): the weight stream holds 0 bytes, but 48"),
        "{got}"
    );
}

#[test]
fn the_weight_that_the_array_cannot_multiply_is_refused() {
    let mut builder = Builder::nano();
    let mut product = Product::random(legal(), &builder.config, &mut Random::new(1));
    product.w[17][9] = -128;
    product.emit(&mut builder);
    let got = builder.refusal();
    assert_eq!(
        got,
        "command 3 (MatMul): weight -128 in tile of columns 1: the array multiplies -127 to 127 only"
    );
}

fn refusals(cases: &[(&str, Operation)]) {
    for (want, operation) in cases {
        let mut builder = Builder::nano();
        let values: Vec<i16> = (0..512).map(|i| i * 13 % 701 - 300).collect();
        builder.residual(0, &values).push(*operation);
        let got = builder.refusal();
        assert!(
            got.contains(want) && got.starts_with("command 2 ("),
            "{want}: {got}"
        );
    }
}

#[test]
fn illegal_fetches_copies_and_writes() {
    let fetch = Fetch {
        offset: 1024,
        beats: 4,
        ..Default::default()
    };
    refusals(&[
        ("beats is 0", Operation::Fetch(Fetch { beats: 0, ..fetch })),
        (
            "offset is 1025, but must be a multiple of 16",
            Operation::Fetch(Fetch {
                offset: 1025,
                ..fetch
            }),
        ),
        (
            "offset reaches byte 68719476736 of the payload",
            Operation::Fetch(Fetch {
                offset: 0xffff_fff0,
                beats: 16,
                ..fetch
            }),
        ),
        (
            "of the image, which has 0",
            Operation::Fetch(Fetch { base: 1, ..fetch }),
        ),
        (
            "expert_count is 17",
            Operation::Fetch(Fetch {
                experts: 1,
                expert_count: 17,
                ..fetch
            }),
        ),
        ("words is 0", Operation::Copy(Copy::default())),
        (
            "dst_base reaches word 2048",
            Operation::Copy(Copy {
                dst_base: 2_000,
                words: 49,
                residual: 0,
            }),
        ),
        ("beats is 0", Operation::Write(Write::default())),
        (
            "src_base reaches word 1024",
            Operation::Write(Write {
                src_base: 1_023,
                beats: 2,
                offset: 0,
            }),
        ),
        (
            "of the result buffer",
            Operation::Write(Write {
                src_base: 0,
                beats: 2,
                offset: u32::MAX,
            }),
        ),
    ]);
    let mut wide = Builder::new(AccelConfig::named("zcu104").unwrap());
    wide.push(Operation::Fetch(Fetch {
        offset: 1024,
        beats: 9,
        ..fetch
    }));
    let got = wide.refusal();
    assert!(
        got.contains("beats is 9, but must be a positive multiple of 8"),
        "{got}"
    );
}

#[test]
fn illegal_norms_softmaxes_and_routes() {
    let norm = Norm {
        tokens: 4,
        row_words: 4,
        width: 32,
        inverse_width: 1 << 27,
        mantissa: 40_000,
        shift: 20,
        dst_stride: 4,
        epsilon: 1,
        ..Default::default()
    };
    let softmax = Softmax {
        queries: 4,
        keys: 9,
        src_stride: 2,
        dst_stride: 1,
        ..Default::default()
    };
    let route = Route {
        tokens: 4,
        experts: 8,
        top_k: 2,
        ..Default::default()
    };
    refusals(&[
        ("tokens is 0", Operation::Norm(Norm { tokens: 0, ..norm })),
        ("row_words is 0", Operation::Norm(Norm { row_words: 0, ..norm })),
        (
            "width is 33, but must be 2 to 32",
            Operation::Norm(Norm { width: 33, ..norm }),
        ),
        (
            "row_words is 3, but must be a multiple of 2",
            Operation::Norm(Norm {
                row_words: 3,
                width: 24,
                wide: 1,
                ..norm
            }),
        ),
        (
            "inverse_width is 134217728, but must be 138547332",
            Operation::Norm(Norm { width: 31, ..norm }),
        ),
        ("shift is 37", Operation::Norm(Norm { shift: 37, ..norm })),
        (
            "channel 31 of row 0 is 103",
            Operation::Norm(Norm {
                width: 31,
                inverse_width: 138_547_332,
                ..norm
            }),
        ),
        (
            "src_base reaches word 1024",
            Operation::Norm(Norm {
                src_base: 1_009,
                ..norm
            }),
        ),
        (
            "queries is 65",
            Operation::Softmax(Softmax {
                queries: 65,
                ..softmax
            }),
        ),
        ("keys is 0", Operation::Softmax(Softmax { keys: 0, ..softmax })),
        (
            "src_base reaches word 1030 of the score",
            Operation::Softmax(Softmax {
                src_base: 1_023,
                ..softmax
            }),
        ),
        (
            "reads word 0 of the score memory, which nothing",
            Operation::Softmax(softmax),
        ),
        ("tokens is 65", Operation::Route(Route { tokens: 65, ..route })),
        ("experts is 17", Operation::Route(Route { experts: 17, ..route })),
        (
            "top_k is 5, but must be 1 to 4",
            Operation::Route(Route { top_k: 5, ..route }),
        ),
        (
            "top_k is 2, but must be 1 to 1",
            Operation::Route(Route { experts: 1, ..route }),
        ),
        (
            "first is 3, but must be even",
            Operation::Route(Route { first: 3, ..route }),
        ),
        (
            "first is 4, but must be 0 to 3",
            Operation::Route(Route { first: 4, ..route }),
        ),
        ("reads word 0 of the logit memory", Operation::Route(route)),
        (
            "experts is 0",
            Operation::ExpertLoop(ExpertLoop {
                experts: 0,
                body: 1,
                words: 1,
            }),
        ),
        (
            "body is 0",
            Operation::ExpertLoop(ExpertLoop {
                experts: 4,
                body: 0,
                words: 1,
            }),
        ),
        (
            "body is 5, but must be 1 to 4",
            Operation::ExpertLoop(ExpertLoop {
                experts: 4,
                body: 5,
                words: 1,
            }),
        ),
        (
            "words is 0",
            Operation::ExpertLoop(ExpertLoop {
                experts: 4,
                body: 1,
                words: 0,
            }),
        ),
        ("words is 0", Operation::Discard(Discard::default())),
        (
            "the weight stream holds 0 bytes, but 48",
            Operation::Discard(Discard { words: 3 }),
        ),
        (
            "body is 3, but must be 1 to 1",
            Operation::ExpertLoop(ExpertLoop {
                experts: 4,
                body: 3,
                words: 1,
            }),
        ),
        (
            "body is 1, but must be followed by as many MatMul",
            Operation::ExpertLoop(ExpertLoop {
                experts: 4,
                body: 1,
                words: 1,
            }),
        ),
    ]);
}

#[test]
fn a_loop_needs_a_route_of_as_many_experts_and_its_own_tasks() {
    let config = AccelConfig::named("nano").unwrap();
    let body = ExpertLoop {
        experts: 4,
        body: 1,
        words: 1,
    };
    let mut builder = Builder::nano();
    builder.push(Operation::ExpertLoop(body));
    builder.tasks = 1;
    builder.matmul(legal());
    let got = builder.refusal();
    assert!(got.contains("command 0 (ExpertLoop): tasks is 255"), "{got}");

    for (route, want) in [
        (None, "no Route before it"),
        (Some(8), "experts is 4, but must be 8"),
    ] {
        let mut builder = Builder::nano();
        Product::random(
            MatMul {
                dst: 4,
                dst_base: 0,
                dst_stride: 1,
                ..legal()
            },
            &config,
            &mut Random::new(1),
        )
        .emit(&mut builder);
        if let Some(experts) = route {
            builder.push(Operation::Route(Route {
                tokens: 8,
                experts,
                top_k: 1,
                ..Default::default()
            }));
        }
        builder
            .push(Operation::ExpertLoop(body))
            .matmul(legal())
            .push(Operation::End(End {}));
        let run = Machine::new(&config).run(&builder.payload(), builder.commands.len(), &[], 0);
        let got = run.unwrap_err().to_string();
        assert!(
            got.contains("(ExpertLoop)") && got.contains(want),
            "{want}: {got}"
        );
    }
}

#[test]
fn a_second_shift_that_grows_too_large_is_refused() {
    let op = MatMul {
        factor: 2,
        factor_shift: 47,
        ..legal()
    };
    let config = AccelConfig::named("nano").unwrap();
    let mut builder = Builder::nano();
    Product::random(MatMul { dst: 3, ..legal() }, &config, &mut Random::new(1)).emit(&mut builder);
    builder.push(Operation::Softmax(Softmax {
        src_base: 200,
        dst_base: 400,
        queries: 8,
        keys: 8,
        src_stride: 1,
        dst_stride: 1,
        sum_bank: 0,
    }));
    Product::random(op, &config, &mut Random::new(2)).emit(&mut builder);
    let got = builder.refusal();
    assert!(
        got.contains("row 0 needs a right shift of") && got.contains("ends at 47"),
        "{got}"
    );
}

#[test]
fn broken_programs_as_a_whole() {
    let config = AccelConfig::named("nano").unwrap();
    let mut builder = Builder::nano();
    builder.activation(0, &[1; 16]);
    let (payload, mut machine) = (builder.payload(), Machine::new(&config));
    let mut fails = |payload: &[u8], count, task| machine.run(payload, count, &[], task).unwrap_err();
    assert_eq!(fails(&payload, 2, 3), MachineError::NoEnd(3));
    assert_eq!(fails(&payload, 2, 8), MachineError::Task(8));
    assert!(fails(&payload, 0, 0).to_string().contains("counts 0 commands"));
    assert!(fails(&payload, 257, 0).to_string().contains("program memory 256"));
    assert!(fails(&payload[..40], 2, 0)
        .to_string()
        .contains("must have 1 to 1"));
    let mut strange = payload.clone();
    strange[COMMAND_BYTES] = 10;
    let message = fails(&strange, 2, 0).to_string();
    assert_eq!(message, "command 1 (undecoded): opcode 10 does not exist");
    strange[COMMAND_BYTES] = 2;
    strange[COMMAND_BYTES + 31] = 1;
    let message = fails(&strange, 2, 0).to_string();
    assert!(message.contains("Copy: word 7 has bits 0x01000000"), "{message}");
}
