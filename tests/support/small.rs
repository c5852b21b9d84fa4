//! A small model with experts, whose frame takes few cycles.
#![allow(dead_code)] // Every test takes only a part.

use moevit_hw::config::AccelConfig;
use moevit_hw::control::command::Operation;
use moevit_sim::compiler::{compile, Options};
use moevit_sim::model::{Architecture, Image, Model};
use moevit_sim::program::Program;

/// Its architecture file.
pub const ARCHITECTURE: &str = r#"
name = "small"
naming = "m3vit"

[image]
height = 8
width = 8
channels = 1
patch = 4
mean = [0.5]
std = [0.5]

[encoder]
dim = 32
depth = 2
heads = 2
mlp_hidden = 16
norm_eps = 1e-6

[moe]
blocks = "odd"
experts = 4
k = 2
expert_hidden = 16
scoring = "softmax"
gates = "per_task"

[[tasks]]
name = "class"
head = { kind = "classification", classes = 3 }
metric = { kind = "accuracy" }
"#;

/// One of its images.
pub fn image(seed: usize) -> Image {
    Image {
        height: 8,
        width: 8,
        channels: 1,
        pixels: (0..64).map(|i| (i * i * 37 + seed * 91) as u8).collect(),
    }
}

/// The model with random weights, compiled for `nano` with this many read ports.
pub fn program(read_ports: usize) -> Program {
    let architecture = Architecture::parse(ARCHITECTURE, "small").unwrap();
    let model = Model::synthetic(&architecture, 7);
    let images: Vec<Image> = (0..4).map(image).collect();
    let config = AccelConfig {
        read_ports,
        ..AccelConfig::named("nano").unwrap()
    };
    compile(&config, &architecture, &model, &images, &Options::default()).unwrap()
}

/// An opcode that no operation has.
pub fn unknown_opcode() -> u8 {
    let used = |opcode: &u32| Operation::TABLE.iter().any(|row| row.0 == *opcode);
    (1..16).find(|opcode| !used(opcode)).unwrap() as u8
}
