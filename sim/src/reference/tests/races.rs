//! The race check: exact waits pass, each weaker one is refused with the word and the unit that it should wait for.

use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::{Copy, Fetch, MatMul, Norm, Operation, Route, Softmax, Unit, Wait, Write};

use super::build::{Builder, Random};
use super::products::Product;

fn product(dst: u32, dst_base: u32) -> Product {
    let (dst_base, dst_stride) = if dst == 4 { (0, 1) } else { (dst_base, 2) };
    let op = MatMul {
        tokens: 8,
        k_tiles: 2,
        n_tiles: 2,
        src_stride: 2,
        dst,
        dst_base,
        dst_stride,
        shift: 15,
        factor_shift: 15,
        ..Default::default()
    };
    Product::random(op, &AccelConfig::named("nano").unwrap(), &mut Random::new(4))
}

/// A product, then `operation` with a wait.
fn after_product(dst: u32, wait: Wait, operation: Operation) -> String {
    let mut builder = Builder::nano();
    product(dst, 100).emit(&mut builder);
    builder.wait = wait;
    builder.push(operation);
    builder.refusal()
}

fn array(outstanding: u32) -> Wait {
    Wait::NONE.until(Unit::Array, outstanding)
}

fn norm() -> Operation {
    Operation::Norm(Norm {
        src_base: 100,
        dst_base: 300,
        tokens: 8,
        row_words: 2,
        dst_stride: 1,
        width: 16,
        inverse_width: 1 << 28,
        epsilon: 1,
        mantissa: 40_000,
        shift: 20,
        wide: 0,
    })
}

#[test]
fn readers_wait_for_the_array() {
    let softmax = Operation::Softmax(Softmax {
        src_base: 100,
        dst_base: 300,
        queries: 8,
        keys: 16,
        src_stride: 2,
        dst_stride: 1,
        sum_bank: 0,
    });
    let route = Operation::Route(Route {
        tokens: 8,
        experts: 16,
        top_k: 2,
        renormalise: 0,
        ..Default::default()
    });
    let write = Operation::Write(Write {
        src_base: 100,
        beats: 16,
        offset: 0,
    });
    for (dst, operation, memory) in [
        (2, norm(), "residual"),
        (3, softmax, "score"),
        (4, route, "logit"),
        (2, write, "residual"),
    ] {
        assert_eq!(after_product(dst, array(0), operation), "accepted");
        let got = after_product(dst, array(1), operation);
        let want = format!("of the {memory} memory without waiting for the array command 2 that writes it");
        assert!(got.contains(&want) && got.contains("reads word"), "{got}");
        assert_eq!(after_product(dst, Wait::NONE, operation), got);
    }
}

#[test]
fn array_commands_wait_for_each_other_by_sync() {
    for (sync, want) in [
        (1, "accepted"),
        (0, "reads word 100 of the activation memory without waiting"),
    ] {
        let mut builder = Builder::nano();
        product(0, 100).emit(&mut builder);
        let second = MatMul {
            src_base: 100,
            k_tiles: 1,
            ..product(2, 0).op
        };
        let stream = super::naive::pack_stream(
            &second,
            &product(2, 0).w,
            &product(2, 0).channels,
            &builder.config,
        );
        builder.wait = Wait::NONE;
        builder.fetch(&stream);
        builder.push(Operation::MatMul(MatMul { sync, ..second }));
        let got = builder.refusal();
        assert!(got.contains(want), "{got}");
    }
}

/// Four groups become the two words of a row: a reader by tile may begin before the last two are stored, but only if it reads
/// them in that order.
#[test]
fn a_tile_waits_for_the_groups_of_its_own_words() {
    let config = AccelConfig::named("nano").unwrap();
    let random = |op, seed| Product::random(op, &config, &mut Random::new(seed));
    for (writers, src_base, want) in [
        ([(300, 2), (100, 4)], 100, "accepted"),
        (
            [(300, 2), (100, 4)],
            101,
            "reads word 101 of the activation memory without waiting",
        ),
        ([(100, 2), (101, 2)], 100, "accepted"),
        (
            [(101, 2), (100, 2)],
            100,
            "reads word 100 of the activation memory without waiting",
        ),
    ] {
        let mut builder = Builder::nano();
        for (dst_base, n_tiles) in writers {
            let writer = MatMul {
                n_tiles,
                ..product(0, dst_base).op
            };
            random(writer, 5).emit(&mut builder);
        }
        let reader = MatMul {
            src_base,
            sync_by_tile: 1,
            ..product(2, 0).op
        };
        let reader = random(reader, 6);
        builder.wait = Wait::NONE;
        builder.fetch(&super::naive::pack_stream(
            &reader.op,
            &reader.w,
            &reader.channels,
            &config,
        ));
        builder.push(Operation::MatMul(MatMul { sync: 1, ..reader.op }));
        let got = builder.refusal();
        assert!(got.contains(want), "{writers:?} {src_base}: {got}");
    }
}

/// Nobody may overwrite what another unit still reads, nor the command what it reads itself.
#[test]
fn writers_wait_for_readers() {
    for (wait, want) in [
        (Wait([0, 0, 0, 7, 7, 7]), "accepted"),
        (
            Wait([0, 0, 7, 7, 7, 7]),
            "writes word 100 of the residual memory without waiting for the norm command 1 that reads it",
        ),
    ] {
        let mut builder = Builder::nano();
        product(2, 100).emit(&mut builder);
        builder.push(norm());
        builder.wait = wait;
        builder.fetch(&[0; 16]).push(Operation::Copy(Copy {
            residual: 1,
            dst_base: 100,
            words: 1,
        }));
        let got = builder.refusal();
        assert!(got.contains(want), "{got}");
    }
    let mut builder = Builder::nano();
    product(0, 6).emit(&mut builder);
    let got = builder.refusal();
    assert!(
        got.contains("writes word 6 of the activation memory")
            && got.contains("array command 2 that reads it"),
        "{got}"
    );
}

#[test]
fn words_that_nobody_wrote_are_refused() {
    let mut builder = Builder::nano();
    product(0, 100).emit(&mut builder);
    let last = builder.commands.last_mut().unwrap();
    if let Operation::MatMul(op) = &mut last.operation {
        op.src_base = 1;
    }
    let got = builder.refusal();
    assert!(
        got.contains("reads word 16 of the activation memory, which nothing has written"),
        "{got}"
    );
}

/// The nano weight buffer holds 32 KB; two fetches of 20 KB cannot both be waited for.
#[test]
fn waiting_for_more_than_the_buffer_holds_is_refused() {
    let fetch = |beats| {
        Operation::Fetch(Fetch {
            offset: 1024,
            beats,
            ..Default::default()
        })
    };
    let copy = Operation::Copy(Copy {
        residual: 0,
        dst_base: 0,
        words: 1_280,
    });
    for (outstanding, want) in [
        (1, "accepted"),
        (
            0,
            "waits for fetches of 40960 unconsumed bytes, but the weight buffer has 32512",
        ),
    ] {
        let mut builder = Builder::nano();
        builder.place(&[1; 20_480]);
        builder.wait = Wait::NONE;
        builder.push(fetch(1_280)).push(fetch(1_280));
        builder.wait = Wait::NONE.until(Unit::Fetch, outstanding);
        builder.push(copy).push(copy);
        let got = builder.refusal();
        assert!(got.contains(want), "{got}");
    }
    let mut builder = Builder::nano();
    builder.place(&[1; 20_480]);
    builder.wait = Wait::NONE;
    for _ in 0..12 {
        builder.push(fetch(1_024));
    }
    let got = builder.refusal();
    assert!(
        got.contains("command 9 (Fetch): waits for fetches of 32768"),
        "{got}"
    );
}
