//! Every kind of damage is refused with a sentence, and nothing panics.

use moevit_hw::control::command::{End, Operation, Wait, ALL_TASKS};
use proptest::prelude::*;

use super::*;
use crate::model::Image;

fn sample(golden: bool) -> Program {
    let end = Command {
        tasks: ALL_TASKS,
        wait: Wait::NONE,
        operation: Operation::End(End {}),
    };
    let mut payload: Vec<u8> = end
        .encode()
        .unwrap()
        .iter()
        .flat_map(|w| w.to_le_bytes())
        .collect();
    payload.resize(256, 0);
    payload.extend((0..64u8).map(|i| i.wrapping_mul(37)));
    let tensor = Tensor {
        offset: 32,
        tokens: 2,
        outputs: 3,
        stride: 16,
        scales: vec![0.1, 1.0 / 3.0, 7.0e-5],
    };
    let meta = Meta {
        model: serde_json::json!({"name": "tiny", "dim": 16, "eps": 1e-6}),
        command_count: 1,
        image: ImageLayout {
            channels: 1,
            height: 4,
            width: 4,
            patch: 2,
            patch_stride: 16,
            bytes: 64,
        },
        residual_fraction_bits: 9,
        result_bytes: 64,
        tokens: Tensor {
            offset: 0,
            scales: vec![0.5],
            ..tensor.clone()
        },
        tasks: vec![Task {
            name: "segmentation".into(),
            head: Some(tensor),
        }],
        labels: vec![Label {
            layer: "end".into(),
            macs: 0,
        }],
    };
    Program {
        config: AccelConfig::named("nano").unwrap(),
        meta,
        payload,
        golden: golden.then(|| Golden {
            checkpoint: vec![7; 100],
            calibration: serde_json::json!({"images": 4}),
        }),
    }
}

fn message(bytes: &[u8]) -> String {
    Program::from_bytes(bytes).unwrap_err().to_string()
}

/// Repairs the header's CRC after a change, so that the check behind it is reached.
fn reseal(bytes: &mut [u8]) {
    let at = 64 + 24 * bytes[48] as usize;
    let crc = crc32fast::hash(&bytes[..at]);
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn a_program_survives_the_file() {
    let folder = tempfile::tempdir().unwrap();
    for golden in [false, true] {
        let (program, path) = (sample(golden), folder.path().join("tiny.moevit"));
        program.write(&path).unwrap();
        assert_eq!(Program::read(&path).unwrap(), program);
    }
    let missing = Program::read(&folder.path().join("none.moevit"))
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("none.moevit") && missing.contains("cannot be read"),
        "{missing}"
    );
}

#[test]
fn every_flipped_bit_is_refused() {
    let good = sample(true).to_bytes().unwrap();
    let mut refused = 0;
    for bit in 0..8 * good.len() {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        refused += usize::from(Program::from_bytes(&bytes).is_err());
    }
    assert_eq!(refused, 8 * good.len());
    assert!(refused > 8_000);
}

#[test]
fn every_truncation_and_every_extension_is_refused() {
    let good = sample(true).to_bytes().unwrap();
    for length in 0..good.len() {
        assert!(Program::from_bytes(&good[..length]).is_err(), "{length}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert!(message(&longer).contains("file length"));
    assert!(message(&good[..20]).contains("header is cut off: needs 64 bytes, but the file has 20"));
    assert!(message(&good[..70]).contains("section table is cut off"));
}

#[test]
fn messages_name_the_field_and_both_values() {
    type Case = (&'static str, fn(&mut Vec<u8>));
    let cases: [Case; 10] = [
        ("magic is", |b| b[0] = b'X'),
        ("format version is 9", |b| b[8] = 9),
        ("configuration hash is", |b| b[12] ^= 1),
        ("configuration name is mano", |b| b[16] = b'm'),
        ("number of sections is 200", |b| b[48] = 200),
        ("reserved header word is 1", |b| b[52] = 1),
        ("unknown kind 77", |b| b[64] = 77),
        ("section meta occurs twice", |b| b[64 + 24] = 2),
        ("offset of section meta is", |b| b[64 + 8] ^= 1),
        ("length of section meta is 18446744073709551615", |b| {
            b[64 + 16..64 + 24].fill(255)
        }),
    ];
    for (want, change) in cases {
        let mut bytes = sample(false).to_bytes().unwrap();
        change(&mut bytes);
        if bytes[48] < 17 {
            reseal(&mut bytes);
        }
        let got = message(&bytes);
        assert!(got.contains(want), "{want}: {got}");
    }
}

#[test]
fn a_damaged_section_is_named() {
    let good = sample(true).to_bytes().unwrap();
    for index in 0..4usize {
        let entry = 64 + 24 * index;
        let offset = u64::from_le_bytes(good[entry + 8..entry + 16].try_into().unwrap()) as usize;
        let mut bytes = good.clone();
        bytes[offset + 5] ^= 0x10;
        let name = ["meta", "payload", "calibration", "checkpoint"][index];
        assert!(message(&bytes).contains(&format!("{name} has CRC-32")), "{name}");
    }
}

#[test]
fn parts_that_disagree_are_refused_on_both_sides() {
    type Case = (&'static str, fn(&mut Program));
    let cases: [Case; 12] = [
        ("number of commands is 300", |p| p.meta.command_count = 300),
        ("number of labels is 0", |p| p.meta.labels.clear()),
        ("number of tasks is 0", |p| p.meta.tasks.clear()),
        ("payload bytes is 100", |p| p.payload.truncate(100)),
        ("result bytes is 65", |p| p.meta.result_bytes = 65),
        ("end of the tokens", |p| p.meta.tokens.offset = u64::MAX),
        ("end of the head of task 'segmentation'", |p| {
            p.meta.tasks[0].head.as_mut().unwrap().tokens = 3
        }),
        ("stride of the tokens is 4", |p| p.meta.tokens.stride = 4),
        ("number of scales of the tokens is 2", |p| {
            p.meta.tokens.scales = vec![1.0; 2]
        }),
        ("patch side is 3", |p| p.meta.image.patch = 3),
        ("image bytes is 63", |p| p.meta.image.bytes = 63),
        ("command 0: opcode 10 does not exist", |p| p.payload[0] = 10),
    ];
    for (want, change) in cases {
        let mut program = sample(false);
        change(&mut program);
        let got = program.to_bytes().unwrap_err().to_string();
        assert!(got.contains(want), "{want}: {got}");
    }
}

#[test]
fn a_long_name_and_half_a_golden_section_are_refused() {
    let mut program = sample(true);
    program.config.name = "n".repeat(33);
    assert!(program
        .to_bytes()
        .unwrap_err()
        .to_string()
        .contains("1 to 32 letters"));
    let good = sample(true).to_bytes().unwrap();
    let container = Container::from_bytes(&good).unwrap();
    for (dropped, name) in [(0, "meta"), (1, "payload"), (2, "calibration"), (3, "checkpoint")] {
        let mut sections = container.sections.clone();
        sections.remove(dropped);
        let partial = Container {
            config_hash: container.config_hash,
            config_name: container.config_name.clone(),
            sections,
        };
        let got = message(&partial.to_bytes().unwrap());
        assert!(got.contains(&format!("section {name} is missing")), "{got}");
    }
}

#[test]
fn an_image_is_cut_into_patches() {
    let layout = sample(false).meta.image;
    let mut image = Image {
        height: 4,
        width: 4,
        channels: 1,
        pixels: (128..144).collect(),
    };
    let bytes = layout.pack(&image).unwrap();
    assert_eq!(bytes[..5], [0, 1, 4, 5, 0]);
    assert_eq!(bytes[16..20], [2, 3, 6, 7]);
    assert_eq!(bytes[48..52], [10, 11, 14, 15]);
    image.pixels.pop();
    let short = layout.pack(&image).unwrap_err().to_string();
    assert!(
        short.contains("number of pixel values is 15, but must be 16"),
        "{short}"
    );
    image.width = 5;
    let wide = layout.pack(&image).unwrap_err().to_string();
    assert!(wide.contains("is (4, 5, 1), but must be (4, 4, 1)"), "{wide}");
}

#[test]
fn a_patch_holds_a_channel_after_the_other() {
    let layout = ImageLayout {
        channels: 3,
        patch_stride: 12,
        bytes: 64,
        ..sample(false).meta.image
    };
    let image = Image {
        height: 4,
        width: 4,
        channels: 3,
        pixels: (128..176).collect(),
    };
    let bytes = layout.pack(&image).unwrap();
    assert_eq!(bytes[..12], [0, 3, 12, 15, 1, 4, 13, 16, 2, 5, 14, 17]);
    assert_eq!(bytes[36..40], [30, 33, 42, 45]);
    assert_eq!(bytes[48..], [0; 16]);
}

#[test]
fn a_tensor_is_read_with_its_scales() {
    let tensor = sample(false).meta.tasks[0].head.clone().unwrap();
    let mut result = vec![0u8; 64];
    result[32..34].copy_from_slice(&(-10i16).to_le_bytes());
    result[50..52].copy_from_slice(&300i16.to_le_bytes());
    assert_eq!(tensor.integers(&result).unwrap(), [-10, 0, 0, 0, 300, 0]);
    assert_eq!(tensor.reals(&result).unwrap(), [-1.0, 0.0, 0.0, 0.0, 100.0, 0.0]);
    assert!(tensor.reals(&result[..40]).is_err());
}

proptest! {
    #[test]
    fn random_damage_never_panics(seed in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..20)) {
        let good = sample(true).to_bytes().unwrap();
        let mut bytes = good.clone();
        for (at, value) in seed {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        prop_assert_eq!(Program::from_bytes(&bytes).is_ok(), bytes == good);
    }

    #[test]
    fn random_bytes_are_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), valid in any::<bool>()) {
        if valid && bytes.len() >= 64 {
            bytes[..8].copy_from_slice(&format::MAGIC);
            bytes[8..12].copy_from_slice(&format::FORMAT_VERSION.to_le_bytes());
            bytes[48..52].copy_from_slice(&[2, 0, 0, 0]);
            if bytes.len() > 64 + 52 {
                reseal(&mut bytes);
            }
        }
        prop_assert!(Program::from_bytes(&bytes).is_err());
    }
}
