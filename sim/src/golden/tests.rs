//! The golden model against a second, naive implementation that shares no code with it.

use super::*;
use crate::model::architecture::{Gates, Scoring};
use crate::model::weights::{Linear, Mlp};

fn architecture(scoring: Scoring, gates: Gates, layer_scale: bool) -> Architecture {
    let text = r#"
        name = "small"
        naming = "m3vit"
        [image]
        height = 6
        width = 9
        channels = 3
        patch = 3
        mean = [0.4, 0.5, 0.6]
        std = [0.2, 0.25, 0.3]
        [encoder]
        dim = 12
        depth = 4
        heads = 3
        mlp_hidden = 20
        [moe]
        blocks = [1, 2]
        experts = 5
        k = 2
        expert_hidden = 7
        scoring = "softmax"
        gates = "per_task"
        [[tasks]]
        name = "class"
        head = { kind = "classification", classes = 4 }
        [[tasks]]
        name = "dense"
        head = { kind = "dense", cells = 3, classes = 2 }
        [[tasks]]
        name = "features"
        head = { kind = "features" }
    "#;
    let mut architecture = Architecture::parse(text, "small").unwrap();
    architecture.encoder.layer_scale = layer_scale;
    let moe = architecture.moe.as_mut().unwrap();
    (moe.scoring, moe.gates) = (scoring, gates);
    architecture
}

fn image(seed: u32) -> Image {
    let pixels =
        (0..6 * 9 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed * 97) >> 13) as u8);
    Image {
        height: 6,
        width: 9,
        channels: 3,
        pixels: pixels.collect(),
    }
}

type Rows = Vec<Vec<f64>>;

/// Everything in `f64` and in loops over single values.
struct Naive<'a> {
    a: &'a Architecture,
    m: &'a Model,
    task: usize,
}

impl Naive<'_> {
    fn linear(&self, x: &[f64], l: &Linear) -> Vec<f64> {
        let row = |o: usize| {
            let weights = l.weight.data[o * x.len()..(o + 1) * x.len()].iter();
            f64::from(l.bias[o]) + weights.zip(x).map(|(&w, v)| f64::from(w) * v).sum::<f64>()
        };
        (0..l.bias.len()).map(row).collect()
    }

    fn norm(&self, x: &[f64], n: &Norm) -> Vec<f64> {
        let count = x.len() as f64;
        let mean = x.iter().sum::<f64>() / count;
        let variance = x.iter().map(|v| v * v).sum::<f64>() / count - mean * mean;
        let sigma = (variance + f64::from(self.a.encoder.norm_eps)).sqrt();
        let affine = n.gamma.iter().zip(&n.beta);
        x.iter()
            .zip(affine)
            .map(|(v, (&g, &b))| (v - mean) / sigma * f64::from(g) + f64::from(b))
            .collect()
    }

    fn mlp(&self, x: &[f64], mlp: &Mlp) -> Vec<f64> {
        let gelu = |v: &f64| v * 0.5 * libm::erfc(-v / 2f64.sqrt());
        self.linear(
            &self.linear(x, &mlp.up).iter().map(gelu).collect::<Vec<_>>(),
            &mlp.down,
        )
    }

    fn embed(&self, image: &Image) -> Rows {
        let (d, s) = (self.a.encoder.dim, &self.a.image);
        let position = |token: usize, c: usize| f64::from(self.m.pos_embed.data[token * d + c]);
        let mut x = vec![(0..d)
            .map(|c| f64::from(self.m.class_token[c]) + position(0, c))
            .collect()];
        for top in (0..s.height).step_by(s.patch) {
            for left in (0..s.width).step_by(s.patch) {
                let mut patch = Vec::new();
                for channel in 0..3 {
                    for (row, column) in (0..9).map(|i| (i / 3, i % 3)) {
                        let at = ((top + row) * s.width + left + column) * 3 + channel;
                        let pixel = f64::from(image.pixels[at]) / 255.0;
                        patch.push((pixel - f64::from(s.mean[channel])) / f64::from(s.std[channel]));
                    }
                }
                let (token, y) = (x.len(), self.linear(&patch, &self.m.patch_embed));
                x.push((0..d).map(|c| y[c] + position(token, c)).collect());
            }
        }
        x
    }

    fn attention(&self, y: &Rows, block: &crate::model::weights::Block) -> Rows {
        let (d, heads) = (self.a.encoder.dim, self.a.encoder.heads);
        let size = d / heads;
        let qkv: Rows = y.iter().map(|row| self.linear(row, &block.qkv)).collect();
        let attend = |token: usize| {
            let mut context = vec![0.0; d];
            for head in 0..heads {
                let part = |row: usize, which: usize, c: usize| qkv[row][which * d + head * size + c];
                let score = |other: usize| {
                    (0..size)
                        .map(|c| part(token, 0, c) * part(other, 1, c))
                        .sum::<f64>()
                        / (size as f64).sqrt()
                };
                let weights: Vec<f64> = (0..y.len()).map(|other| score(other).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for c in 0..size {
                    context[head * size + c] = (0..y.len())
                        .map(|other| weights[other] / sum * part(other, 2, c))
                        .sum();
                }
            }
            self.linear(&context, &block.proj)
        };
        (0..y.len()).map(attend).collect()
    }

    /// The experts of a token and their scores, by repeated search for the largest.
    fn gate(&self, y: &[f64], gate: &crate::model::weights::Gate) -> Vec<(usize, f64)> {
        let moe = self.a.moe.as_ref().unwrap();
        let logit = |e: usize| {
            let column = (0..y.len()).map(|c| y[c] * f64::from(gate.weight.data[c * moe.experts + e]));
            f64::from(gate.bias[e]) + column.sum::<f64>()
        };
        let probability: Vec<f64> = (0..moe.experts).map(|e| logit(e).exp()).collect();
        let mut chosen: Vec<usize> = Vec::new();
        for _ in 0..moe.k {
            let left = (0..moe.experts).filter(|e| !chosen.contains(e));
            let best = left.fold(None, |best: Option<usize>, e| match best {
                Some(b) if probability[b] >= probability[e] => Some(b),
                _ => Some(e),
            });
            chosen.push(best.unwrap());
        }
        let sum: f64 = match moe.scoring {
            Scoring::Softmax => probability.iter().sum(),
            Scoring::Renormalised => chosen.iter().map(|&e| probability[e]).sum(),
        };
        chosen.into_iter().map(|e| (e, probability[e] / sum)).collect()
    }

    fn feed_forward(&self, y: &[f64], block: &crate::model::weights::Block) -> Vec<f64> {
        match &block.feed_forward {
            FeedForward::Dense(mlp) => self.mlp(y, mlp),
            FeedForward::Moe { experts, gates } => {
                let mut sum = vec![0.0; y.len()];
                for (expert, score) in self.gate(y, &gates[self.task]) {
                    let z = self.mlp(y, &experts[expert]);
                    sum.iter_mut().zip(z).for_each(|(s, v)| *s += score * v);
                }
                sum
            }
        }
    }

    fn tokens(&self, image: &Image) -> Rows {
        let mut x = self.embed(image);
        let add = |x: &mut Rows, y: Rows, scale: &Option<Vec<f32>>| {
            for (row, add) in x.iter_mut().zip(y) {
                for (c, v) in add.into_iter().enumerate() {
                    row[c] += v * scale.as_ref().map_or(1.0, |s| f64::from(s[c]));
                }
            }
        };
        for block in &self.m.blocks {
            let y: Rows = x.iter().map(|row| self.norm(row, &block.norm1)).collect();
            add(&mut x, self.attention(&y, block), &block.ls1);
            let y = x
                .iter()
                .map(|row| self.feed_forward(&self.norm(row, &block.norm2), block))
                .collect();
            add(&mut x, y, &block.ls2);
        }
        x
    }

    fn logits(&self, tokens: &Rows) -> Rows {
        let head = &self.m.heads[self.task];
        let rows = [&tokens[..1], &tokens[1..], &tokens[..]][self.task];
        let normed = rows.iter().map(|row| self.norm(row, &head.norm));
        normed
            .map(|row| {
                head.proj
                    .as_ref()
                    .map_or_else(|| row.clone(), |p| self.linear(&row, p))
            })
            .collect()
    }
}

/// The number of values compared.
fn assert_close(found: &Tensor, expected: &Rows) -> usize {
    assert_eq!(
        (found.rows(), found.columns()),
        (expected.len(), expected[0].len())
    );
    for (f, e) in found.data.iter().zip(expected.iter().flatten()) {
        assert!(
            (f64::from(*f) - e).abs() < 2e-5 * e.abs().max(1.0),
            "found {f}, expected {e}"
        );
    }
    found.data.len()
}

#[test]
fn every_variant_agrees_with_the_naive_implementation() {
    let mut compared = 0;
    for scoring in [Scoring::Softmax, Scoring::Renormalised] {
        for gates in [Gates::PerTask, Gates::Shared, Gates::TaskConditioned] {
            for layer_scale in [false, true] {
                let a = architecture(scoring, gates, layer_scale);
                let model = Model::synthetic(&a, 5);
                let golden = Golden::new(&a, &model).unwrap();
                for task in 0..3 {
                    let image = image(task as u32);
                    let naive = Naive {
                        a: &a,
                        m: &model,
                        task,
                    };
                    let tokens = naive.tokens(&image);
                    let output = golden.run(&image, task, None).unwrap();
                    compared += assert_close(&output.tokens, &tokens);
                    compared += assert_close(&output.logits, &naive.logits(&tokens));
                }
            }
        }
    }
    assert_eq!(compared, 12 * (3 * 7 * 12 + 4 + 6 * 18 + 7 * 12));
}

#[test]
fn the_task_changes_the_routes_only_where_it_should() {
    for (gates, same) in [
        (Gates::PerTask, false),
        (Gates::Shared, true),
        (Gates::TaskConditioned, false),
    ] {
        let a = architecture(Scoring::Softmax, gates, false);
        let golden = Golden::new(&a, &Model::synthetic(&a, 3)).unwrap();
        let routes = [0, 1].map(|task| golden.run(&image(1), task, None).unwrap().routes);
        assert_eq!(routes[0] == routes[1], same, "{gates:?}");
        assert_eq!(
            routes[0].blocks.iter().map(|b| b.block).collect::<Vec<_>>(),
            [1, 2]
        );
    }
}

#[test]
fn replaying_its_own_routes_changes_nothing() {
    let a = architecture(Scoring::Renormalised, Gates::PerTask, false);
    let golden = Golden::new(&a, &Model::synthetic(&a, 9)).unwrap();
    let free = golden.run(&image(2), 1, None).unwrap();
    assert_eq!(golden.run(&image(2), 1, Some(&free.routes)).unwrap(), free);
}

#[test]
fn replaying_other_routes_uses_them_with_new_scores() {
    let a = architecture(Scoring::Softmax, Gates::PerTask, false);
    let golden = Golden::new(&a, &Model::synthetic(&a, 9)).unwrap();
    let free = golden.run(&image(2), 1, None).unwrap();
    let mut routes = free.routes.clone();
    let used: Vec<_> = routes.blocks[0].tokens[3]
        .iter()
        .map(|choice| choice.expert)
        .collect();
    let other = (0..5).find(|expert| !used.contains(expert)).unwrap();
    routes.blocks[0].tokens[3][1] = Choice {
        expert: other,
        score: 123.0,
    };
    let replayed = golden.run(&image(2), 1, Some(&routes)).unwrap();
    let choices = &replayed.routes.blocks[0].tokens[3];
    assert_eq!([choices[0].expert, choices[1].expert], [used[0], other]);
    assert!(
        choices[1].score < free.routes.blocks[0].tokens[3][1].score,
        "the given score is not used"
    );
    assert_ne!(replayed.tokens, free.tokens);
    assert_eq!(free.routes.differences(&replayed.routes).0, 1);
}

#[test]
fn wrong_inputs_are_refused_with_a_sentence() {
    let a = architecture(Scoring::Softmax, Gates::PerTask, false);
    let model = Model::synthetic(&a, 1);
    let golden = Golden::new(&a, &model).unwrap();
    let refused = |result: Result<GoldenOutput, GoldenError>| result.unwrap_err().to_string();
    assert!(refused(golden.run(&image(0), 3, None)).contains("task 3 does not exist"));
    let grey = Image {
        height: 6,
        width: 9,
        channels: 1,
        pixels: vec![0; 54],
    };
    assert!(refused(golden.run(&grey, 0, None)).contains("takes (6, 9, 3)"));
    let routes = golden.run(&image(0), 0, None).unwrap().routes;
    let with = |change: fn(&mut Routes)| {
        let mut routes = routes.clone();
        change(&mut routes);
        refused(golden.run(&image(0), 0, Some(&routes)))
    };
    assert!(with(|r| r.blocks.truncate(1)).contains("name the blocks [1], not [1, 2]"));
    assert!(with(|r| r.blocks[1].tokens.truncate(3)).contains("routes for 3 tokens, not 7"));
    assert!(with(|r| r.blocks[1].tokens[4].truncate(1)).contains("token 4 of block 2 must name 2 different"));
    assert!(with(|r| r.blocks[0].tokens[0][0].expert = 5).contains("different experts below 5"));
    let mut short = model.clone();
    short.blocks.truncate(3);
    let error = Golden::new(&a, &short).unwrap_err().to_string();
    assert!(error.contains("number of blocks: expected 4, found 3"), "{error}");
}

#[test]
fn the_observer_sees_every_site() {
    let a = architecture(Scoring::Softmax, Gates::PerTask, false);
    let golden = Golden::new(&a, &Model::synthetic(&a, 1)).unwrap();
    let mut seen = std::collections::BTreeMap::new();
    let mut served = 0;
    let mut observer = |site: Site, block: usize, values: &[f32], channels: usize| {
        assert!(values.len() % channels == 0 && values.iter().all(|v| v.is_finite()));
        if let (Site::Hidden { expert: Some(_) }, 1) = (site, block) {
            served += values.len() / channels;
        }
        assert!(seen
            .insert((site, block), (values.len() / channels, channels))
            .is_none());
    };
    let output = golden.run_observed(&image(4), 0, None, &mut observer).unwrap();
    assert_eq!(seen[&(Site::PatchInput, 0)], (6, 27));
    for (site, block, size) in [
        (Site::Normalised1, 3, (7, 12)),
        (Site::Key, 0, (7, 12)),
        (Site::Scores { head: 2 }, 1, (7, 7)),
        (Site::Context, 2, (7, 12)),
        (Site::GateLogits, 2, (7, 5)),
        (Site::Activation { expert: None }, 0, (7, 20)),
        (Site::Residual(Stage::Embedding), 0, (7, 12)),
        (Site::Residual(Stage::FeedForward), 3, (7, 12)),
        (Site::HeadNorm, 4, (1, 12)),
    ] {
        assert_eq!(seen[&(site, block)], size, "{site:?}");
    }
    assert_eq!(served, 14, "every token is served by two experts");
    assert!(!seen.contains_key(&(Site::GateLogits, 0)));
    assert_eq!(
        golden.run(&image(4), 0, None).unwrap(),
        output,
        "observing changes nothing"
    );
}
