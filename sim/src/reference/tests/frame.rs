//! A whole frame of the size of M3ViT-T on the product's configuration, with random weights.

use std::time::Instant;

use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::{Copy, ExpertLoop, Fetch, MatMul, Norm, Operation, Route, Softmax};

use super::build::{Builder, Random};
use crate::reference::RunOutput;

const TOKENS: u32 = 129;
const EXPERTS: u32 = 16;
/// Words of a token of 192 channels.
const WORDS: u32 = 6;
/// Activation words: normalised tokens, queries, probabilities, context, hidden layer.
const NORMAL: u32 = 0;
const QUERY: u32 = 800;
const PROBABILITY: u32 = 1_600;
const CONTEXT: u32 = 2_300;
const HIDDEN: u32 = 3_200;
/// Key/value words of the values.
const VALUE: u32 = TOKENS * WORDS;

struct Frame {
    builder: Builder,
    random: Random,
}

impl Frame {
    fn new() -> Self {
        Self {
            builder: Builder::new(AccelConfig::named("zcu104").unwrap()),
            random: Random::new(2_024),
        }
    }

    /// Stream of a MatMul with random weights and gentle parameters.
    fn stream(&mut self, op: &MatMul) -> Vec<u8> {
        let passes = [1, 2, 4][op.planes as usize];
        let mut out = Vec::new();
        for _ in 0..op.n_tiles {
            for _ in 0..32 {
                out.extend((self.random.range(-500, 500) as i32).to_le_bytes());
                out.extend([0, 0x80, 0, 0x80]);
            }
            if op.stationary == 0 {
                let weights = passes * op.k_tiles * 32 * 32;
                out.extend((0..weights).map(|_| self.random.range(-127, 127) as u8));
            }
        }
        out
    }

    fn product(&mut self, op: MatMul) {
        let stream = self.stream(&op);
        self.builder.fetch(&stream).matmul(op);
    }

    fn norm(&mut self, wide: u32) {
        self.builder.push(Operation::Norm(Norm {
            src_base: 0,
            dst_base: if wide == 1 { HIDDEN } else { NORMAL },
            tokens: TOKENS,
            row_words: WORDS,
            wide,
            dst_stride: WORDS * (1 + wide),
            width: 192,
            shift: if wide == 1 { 18 } else { 24 },
            inverse_width: 22_369_621,
            epsilon: 100,
            mantissa: 44_040,
        }));
    }

    fn patches(&mut self) {
        self.builder.image = (0..128 * 768).map(|_| self.random.range(0, 255) as u8).collect();
        self.builder.residual(0, &vec![100; 129 * 192]);
        self.builder.push(Operation::Fetch(Fetch {
            base: 1,
            beats: 128 * 768 / 16,
            ..Default::default()
        }));
        self.builder.push(Operation::Copy(Copy {
            residual: 0,
            dst_base: HIDDEN,
            words: 128 * 24,
        }));
        self.product(MatMul {
            tokens: 128,
            src_base: HIDDEN,
            dst_base: WORDS,
            ..to_residual(24)
        });
    }

    fn attention(&mut self) {
        self.norm(0);
        let project = layer(6, 6);
        self.product(MatMul {
            dst_base: QUERY,
            ..project
        });
        self.product(MatMul { dst: 1, ..project });
        self.product(MatMul {
            dst: 1,
            dst_base: VALUE,
            write_sums: 1,
            ..project
        });
        for head in 0..3 {
            self.head(head);
        }
        self.product(MatMul {
            src_base: CONTEXT,
            ..to_residual(6)
        });
    }

    fn head(&mut self, head: u32) {
        let read = MatMul {
            kv_stride: WORDS,
            kv_tokens: TOKENS,
            ..layer(2, 5)
        };
        self.product(MatMul {
            src_base: QUERY + 2 * head,
            src_stride: WORDS,
            stationary: 1,
            kv_base: 2 * head,
            dst: 3,
            dst_stride: 5,
            ..read
        });
        self.builder.push(Operation::Softmax(Softmax {
            src_base: 0,
            dst_base: PROBABILITY,
            queries: TOKENS,
            keys: TOKENS,
            src_stride: 5,
            dst_stride: 5,
            sum_bank: head & 1,
        }));
        self.product(MatMul {
            src_base: PROBABILITY,
            src_stride: 5,
            k_tiles: 5,
            n_tiles: 2,
            stationary: 2,
            kv_base: VALUE + 2 * head,
            bias_from_sums: 1,
            sums_base: 2 * head,
            factor: 2,
            factor_shift: 15,
            sum_bank: head & 1,
            shift: 15,
            dst_base: CONTEXT + 2 * head,
            ..read
        });
    }

    fn dense(&mut self) {
        self.norm(0);
        self.product(MatMul {
            gelu: 1,
            dst_base: HIDDEN,
            dst_stride: 24,
            factor_shift: 17,
            ..layer(6, 24)
        });
        self.product(MatMul {
            src_base: HIDDEN,
            ..to_residual(24)
        });
    }

    fn experts(&mut self) {
        self.norm(0);
        self.norm(1);
        self.product(MatMul {
            src_base: HIDDEN,
            src_stride: 12,
            planes: 2,
            pre_shift: 8,
            shift: 15,
            dst: 4,
            dst_stride: 1,
            ..layer(6, 1)
        });
        self.builder.push(Operation::Route(Route {
            tokens: TOKENS,
            experts: EXPERTS,
            top_k: 2,
            renormalise: 0,
            ..Default::default()
        }));
        let up = MatMul {
            routing: 1,
            gelu: 1,
            dst_base: HIDDEN,
            dst_stride: 12,
            factor_shift: 17,
            ..layer(6, 12)
        };
        let down = MatMul {
            routing: 2,
            factor: 1,
            src_base: HIDDEN,
            factor_shift: 16,
            ..to_residual(12)
        };
        let block: Vec<u8> = (0..EXPERTS)
            .flat_map(|_| [self.stream(&up), self.stream(&down)].concat())
            .collect();
        let (offset, beats) = self.builder.place(&block);
        self.builder.push(Operation::Fetch(Fetch {
            experts: 1,
            expert_count: EXPERTS,
            offset,
            beats: beats / EXPERTS,
            expert_stride: beats / EXPERTS,
            ..Default::default()
        }));
        // The loop consumes while the fetch fills the buffer.
        self.builder.wait = self
            .builder
            .wait
            .until(moevit_hw::control::command::Unit::Fetch, 1);
        self.builder.push(Operation::ExpertLoop(ExpertLoop {
            experts: EXPERTS,
            body: 2,
            words: beats / EXPERTS * 16 / self.builder.config.weight_word_bytes() as u32,
        }));
        self.builder.matmul(up).matmul(down);
        self.builder.wait = super::build::CAREFUL;
    }
}

/// Products of all tokens whose results are bytes of moderate size.
fn layer(k_tiles: u32, n_tiles: u32) -> MatMul {
    MatMul {
        tokens: TOKENS,
        k_tiles,
        n_tiles,
        src_base: NORMAL,
        src_stride: k_tiles,
        shift: 22,
        factor_shift: 15,
        dst_stride: WORDS,
        ..Default::default()
    }
}

fn to_residual(k_tiles: u32) -> MatMul {
    MatMul {
        dst: 2,
        add: 1,
        ..layer(k_tiles, WORDS)
    }
}

fn work_of(builder: &Builder, output: &RunOutput, operation: &str) -> u64 {
    let named = builder.commands.iter().zip(&output.work);
    let wanted = named.filter(|(command, _)| format!("{:?}", command.operation).starts_with(operation));
    wanted.map(|(_, work)| work.stream_bytes).sum()
}

#[test]
fn a_frame_does_all_of_its_work() {
    let mut frame = Frame::new();
    frame.patches();
    for block in 0..12 {
        frame.attention();
        if block % 2 == 0 {
            frame.dense();
        } else {
            frame.experts();
        }
    }
    frame.builder.write(0, (TOKENS * WORDS) as usize);
    let (mut machine, output) = frame.builder.run();
    let payload = frame.builder.payload();
    let start = Instant::now();
    let again = machine
        .run(&payload, frame.builder.commands.len(), &frame.builder.image, 0)
        .unwrap();
    println!("{:?} a frame, {:?}", start.elapsed(), output.total());
    assert_eq!(again, output);
    assert!(output.total().macs > 783_000_000);
    let fetched: u64 = work_of(&frame.builder, &output, "Fetch");
    assert!(fetched > 17_000_000);
    assert_eq!(
        output.total().stream_bytes,
        2 * fetched,
        "fetched once, consumed once"
    );
    let values: Vec<u8> = output.result.chunks(2).map(|b| b[0]).collect();
    let distinct = (0..=255u8).filter(|b| values.contains(b)).count();
    assert!(distinct > 250, "the result is not noise: {distinct}");
    let busy: usize = output
        .routes
        .iter()
        .map(|r| r.queues.iter().filter(|q| q.len() > 1).count())
        .sum();
    assert!(busy > 6 * 10, "{busy}");
}
