//! Random small networks: every family member that a small configuration holds, from one seed each.

use moevit_hw::config::AccelConfig;
use moevit_sim::compiler::{compile, Options};
use moevit_sim::golden::Golden;
use moevit_sim::model::architecture::{
    EncoderSpec, Gates, Head, ImageSpec, MoeBlocks, MoeRule, MoeSpec, Naming, Scoring, TaskSpec,
};
use moevit_sim::model::weights::FeedForward;
use moevit_sim::model::{Architecture, Image, Model};
use moevit_sim::program::Program;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// What the gates of a network do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Routing {
    /// No experts at all.
    Dense,
    /// As the random weights will.
    Free,
    /// Every token wants the same k experts.
    OneQueue,
    /// Experts in groups with equal logits: the lowest index must win.
    Ties,
}

impl Routing {
    pub const ALL: [Routing; 4] = [Routing::Dense, Routing::Free, Routing::OneQueue, Routing::Ties];
}

/// A network with a program and an image.
pub struct Sample {
    pub seed: u64,
    pub routing: Routing,
    pub architecture: Architecture,
    pub golden: Golden,
    pub program: Program,
    pub image: Image,
    pub packed: Vec<u8>,
}

/// Gate bias that no random logit outweighs.
const ALWAYS: f32 = 60.0;

impl Sample {
    /// The network of a seed on a configuration; the seed's last digits choose routing and k, so that neighbours differ.
    pub fn new(seed: u64, config: &AccelConfig) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let routing = Routing::ALL[seed as usize % 4];
        let architecture = architecture(seed, routing, config, &mut rng);
        architecture
            .validate()
            .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let mut model = Model::synthetic(&architecture, seed);
        bend_gates(&mut model, routing, &mut rng);
        let images: Vec<Image> = (0..5).map(|_| noise(&architecture.image, &mut rng)).collect();
        let program = compile(config, &architecture, &model, &images[1..], &Options::default())
            .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let image = images[0].clone();
        Self {
            seed,
            routing,
            golden: Golden::new(&architecture, &model).unwrap(),
            packed: program.meta.image.pack(&image).unwrap(),
            image,
            architecture,
            program,
        }
    }

    pub fn k(&self) -> usize {
        self.architecture.moe.as_ref().map_or(0, |moe| moe.k)
    }
}

fn pick<T: Copy>(rng: &mut SmallRng, from: &[T]) -> T {
    from[rng.random_range(0..from.len())]
}

fn architecture(seed: u64, routing: Routing, config: &AccelConfig, rng: &mut SmallRng) -> Architecture {
    let patch = pick(rng, &[2, 4]);
    let (grid_rows, grid_columns) = (rng.random_range(1..=4), rng.random_range(1..=5));
    let channels = pick(rng, &[1, 3]);
    let head_size = config.rows
        * if config.rows == 16 {
            rng.random_range(1..=2)
        } else {
            1
        };
    let heads = rng.random_range(1..=2);
    let depth = rng.random_range(1..=2);
    Architecture {
        name: format!("random_{seed}"),
        naming: Naming::M3vit,
        image: ImageSpec {
            height: patch * grid_rows,
            width: patch * grid_columns,
            channels,
            patch,
            mean: vec![0.45; channels],
            std: vec![0.25; channels],
        },
        encoder: EncoderSpec {
            dim: heads * head_size,
            depth,
            heads,
            mlp_hidden: rng.random_range(5..=90),
            norm_eps: 1e-6,
            layer_scale: false,
        },
        moe: (routing != Routing::Dense).then(|| experts(seed, depth, config, rng)),
        tasks: tasks(patch, rng),
    }
}

fn experts(seed: u64, depth: usize, config: &AccelConfig, rng: &mut SmallRng) -> MoeSpec {
    // Another digit of the seed than the routing's, so that all pairs occur.
    let k = [1, 2, 4][seed as usize / 4 % 3];
    let rule = if depth > 1 {
        pick(rng, &[MoeRule::Odd, MoeRule::All])
    } else {
        MoeRule::All
    };
    MoeSpec {
        blocks: MoeBlocks::Rule(rule),
        experts: match (seed % 12, rng.random_range(k..=config.max_experts.min(16))) {
            (1, _) => k, // one expert and k = 1: the fewest
            (11, _) => config.max_experts.min(16),
            (_, experts) => experts,
        },
        k,
        expert_hidden: rng.random_range(3..=50),
        scoring: pick(rng, &[Scoring::Softmax, Scoring::Renormalised]),
        gates: pick(rng, &[Gates::PerTask, Gates::Shared, Gates::TaskConditioned]),
    }
}

fn tasks(patch: usize, rng: &mut SmallRng) -> Vec<TaskSpec> {
    let mut head = || match rng.random_range(0..3) {
        0 => Head::Classification {
            classes: rng.random_range(2..=20),
        },
        1 => Head::Dense {
            cells: pick(rng, &[1, 2, patch]),
            classes: rng.random_range(1..=3),
        },
        _ => Head::Features,
    };
    (0..2)
        .map(|task| TaskSpec {
            name: format!("task_{task}"),
            head: head(),
            metric: None,
        })
        .collect()
}

/// Makes the gates do what the routing says.
fn bend_gates(model: &mut Model, routing: Routing, rng: &mut SmallRng) {
    for block in &mut model.blocks {
        let FeedForward::Moe { experts, gates } = &mut block.feed_forward else {
            continue;
        };
        let count = experts.len();
        match routing {
            Routing::Dense | Routing::Free => {}
            Routing::OneQueue => {
                // One order of the experts for all tokens, far enough apart.
                let first = rng.random_range(0..count);
                for gate in gates {
                    for (expert, bias) in gate.bias.iter_mut().enumerate() {
                        *bias = -ALWAYS * ((expert + count - first) % count) as f32 / count as f32;
                    }
                    gate.weight.data.iter_mut().for_each(|w| *w *= 1e-3);
                }
            }
            Routing::Ties => {
                let group = rng.random_range(2..=count.max(2));
                for gate in gates {
                    for row in gate.weight.data.chunks_exact_mut(count) {
                        for expert in 0..count {
                            row[expert] = row[expert / group * group];
                        }
                    }
                    for expert in 0..count {
                        gate.bias[expert] = gate.bias[expert / group * group];
                    }
                }
            }
        }
    }
}

fn noise(spec: &ImageSpec, rng: &mut SmallRng) -> Image {
    let bytes = spec.height * spec.width * spec.channels;
    Image {
        height: spec.height,
        width: spec.width,
        channels: spec.channels,
        pixels: (0..bytes).map(|_| rng.random()).collect(),
    }
}
