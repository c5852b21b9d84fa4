//! Random weights for any architecture: for tests and for measuring networks whose trained weights are not at hand.
//!
//! Linear layers are uniform with the variance of a fresh network (limit sqrt(3 / inputs)), so that activations keep
//! their size from block to block; gammas lie around one. The same seed always gives the same model.

use std::convert::Infallible;

use super::architecture::Architecture;
use super::tensor::Tensor;
use super::weights::Model;

impl Model {
    /// A model of random weights.
    pub fn synthetic(architecture: &Architecture, seed: u64) -> Self {
        let mut random = SplitMix(seed);
        let built = Self::build::<Infallible>(architecture, &mut |name, shape| {
            let (centre, limit) = spread(name, shape);
            let len = shape.iter().product();
            let data = (0..len).map(|_| centre + limit * random.signed_unit()).collect();
            Ok(Tensor::new(shape, data))
        });
        match built {
            Ok(model) => model,
            Err(never) => match never {},
        }
    }
}

/// Mean and half width of a tensor's values.
fn spread(name: &str, shape: &[usize]) -> (f32, f32) {
    if name.contains("norm") && name.ends_with("weight") || name.ends_with("gamma") {
        return (1.0, 0.3);
    }
    if name.ends_with("w_gate") {
        return (0.0, (3.0 / shape[0] as f32).sqrt());
    }
    if name == "patch_embed.proj.weight" {
        return (0.0, (3.0 / shape[1..].iter().product::<usize>() as f32).sqrt());
    }
    if name.ends_with("weight") {
        return (0.0, (3.0 / shape[shape.len() - 1] as f32).sqrt());
    }
    (0.0, 0.2)
}

/// Vigna's SplitMix64 generator.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in -1..1.
    fn signed_unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::architecture::{Gates, Naming};
    use super::*;
    use std::collections::BTreeMap;

    fn architecture(text: &str) -> Architecture {
        Architecture::parse(text, "test").unwrap()
    }

    fn names(architecture: &Architecture) -> BTreeMap<String, Vec<usize>> {
        let mut names = BTreeMap::new();
        Model::build::<Infallible>(architecture, &mut |name, shape| {
            assert!(
                names.insert(name.to_string(), shape.to_vec()).is_none(),
                "{name} is asked for twice"
            );
            Ok(Tensor::zeros(shape))
        })
        .unwrap();
        names
    }

    #[test]
    fn m3vit_names_and_parameters() {
        let a = architecture(include_str!("../../architectures/m3vit_t.toml"));
        let names = names(&a);
        assert_eq!(names["blocks.1.mlp.experts.htoh4.weight"], [16, 384, 192]);
        assert_eq!(names["blocks.11.mlp.gate.1.w_gate"], [192, 16]);
        assert_eq!(names["heads.1.proj.weight"], [16, 192]);
        let parameters: usize = names.values().map(|shape| shape.iter().product::<usize>()).sum();
        assert_eq!(parameters, 18_024_592);
    }

    #[test]
    fn shared_and_conditioned_gates_have_one_matrix() {
        let mut a = architecture(include_str!("../../architectures/m3vit_t.toml"));
        a.moe.as_mut().unwrap().gates = Gates::Shared;
        assert!(names(&a).contains_key("blocks.1.mlp.gate.w_gate"));
        assert!(!names(&a).keys().any(|name| name.contains("task_bias")));
        a.moe.as_mut().unwrap().gates = Gates::TaskConditioned;
        assert_eq!(names(&a)["blocks.3.mlp.gate.task_bias"], [2, 16]);
    }

    #[test]
    fn timm_names_have_layer_scale_and_one_head() {
        let a = architecture(include_str!("../../architectures/vit_s14.toml"));
        let list = names(&a);
        assert!(list.contains_key("blocks.0.ls1.gamma") && list.contains_key("norm.weight"));
        assert!(!list.contains_key("head.weight"), "features have no linear layer");
        let deit = names(&architecture(include_str!("../../architectures/deit_tiny.toml")));
        assert_eq!(deit["head.weight"], [1000, 192]);
        assert_eq!(
            deit.values().map(|s| s.iter().product::<usize>()).sum::<usize>(),
            5_717_416
        );
        assert_eq!(a.naming, Naming::Timm);
    }

    #[test]
    fn the_seed_decides_the_model() {
        let a = architecture(include_str!("../../architectures/deit_tiny.toml"));
        let model = Model::synthetic(&a, 1);
        assert_eq!(model, Model::synthetic(&a, 1));
        assert_ne!(model, Model::synthetic(&a, 2));
        assert!(model.blocks[0].qkv.weight.abs_max() < (3.0f32 / 192.0).sqrt() + 1e-6);
    }
}
