//! Numbers of the second half of a block: a dense MLP, or gate and experts.
//!
//! The hidden layer uses the whole byte: GELU is never below -0.17, so that a zero point near -128 leaves the range to the
//! positive side. Every hidden channel has its own step, the second factor of the first product, folded into the rows of the
//! second one. Experts run with the same commands, so that they share shifts and zero point and differ in parameters.
//!
//! Gate logits are Q7.16 in units of log2(e), from 15-bit operands on both sides: choices hang on differences of 1e-4.

use moevit_hw::numerics::exp2::LOGIT_FRACTION_BITS;

use super::norm::NormNumbers;
use super::{absorb_norm, fault, reals, Source};
use crate::compiler::error::CompileError;
use crate::compiler::fold::Affine;
use crate::compiler::layout::MlpLayout;
use crate::compiler::multiplier::Multipliers;
use crate::compiler::quantise::{quantise, InputStatistics, Part, Pass, Precision, Quantised};
use crate::compiler::samples::Columns;
use crate::compiler::scale::{shifted_steps, statistics, Range};
use crate::golden::{ops, Site};
use crate::model::weights::{Block, FeedForward as Weights, Gate, Mlp, Norm};

/// Fraction bits of GELU's input (Q4.11) and output (Q4.15).
const GELU_INPUT_BITS: i32 = 11;
const GELU_OUTPUT_BITS: i32 = 15;
/// Fraction bits of a gate score (Q0.16).
const SCORE_BITS: u32 = 16;
/// Bits below the residual unit that an expert's output keeps until its score has been multiplied.
const EXPERT_EXTRA_BITS: u32 = 4;
/// An expert with fewer samples is judged by all tokens instead.
const FEW_SAMPLES: usize = 64;
/// Tokens that judge it.
const SUBSTITUTES: usize = 512;

/// Numbers of the second half of a block.
#[derive(Clone, Debug)]
pub struct FeedForward {
    /// With experts wide: they read its high plane, the gate all of it.
    pub norm: NormNumbers,
    /// Logits; one matrix a task.
    pub gate: Option<Quantised>,
    /// First product; one matrix an expert.
    pub up: Quantised,
    /// Second product of each chunk of hidden channels.
    pub down: Vec<Quantised>,
}

impl FeedForward {
    pub fn build(source: &Source, index: usize, layout: &MlpLayout) -> Result<Self, CompileError> {
        let block = &source.model().blocks[index];
        let seen = source.calibration.columns(Site::Normalised2, index);
        let (mlps, gates): (Vec<&Mlp>, &[Gate]) = match &block.feed_forward {
            Weights::Dense(mlp) => (vec![mlp], &[]),
            Weights::Moe { experts, gates } => (experts.iter().collect(), gates),
        };
        let hidden = HiddenNumbers::new(source, index, &mlps, &block.norm2).map_err(fault(index, "fc1"))?;
        let (norm, up) = first(source, block, &mlps, &seen, &hidden).map_err(fault(index, "fc1"))?;
        let chunk = |range: &std::ops::Range<usize>| {
            second(source, block, &mlps, &hidden, range.clone(), !gates.is_empty())
                .map_err(fault(index, "fc2"))
        };
        let gate = match gates {
            [] => None,
            gates => Some(logits(gates, &block.norm2, &norm, &seen).map_err(fault(index, "gate"))?),
        };
        Ok(Self {
            norm,
            gate,
            up,
            down: layout.chunks.iter().map(chunk).collect::<Result<_, _>>()?,
        })
    }
}

/// Steps of the hidden layers and what calibration saw of them.
struct HiddenNumbers {
    zero_point: i32,
    /// Mantissas of each MLP's second factor, and the common shift.
    factors: Vec<Vec<u16>>,
    factor_shift: u32,
    /// Exact step of each channel.
    steps: Vec<Vec<f64>>,
    seen: Vec<Columns>,
}

impl HiddenNumbers {
    fn new(source: &Source, index: usize, mlps: &[&Mlp], norm: &Norm) -> Result<Self, String> {
        let groups: Vec<(Columns, Vec<f64>)> = mlps
            .iter()
            .enumerate()
            .map(|(e, mlp)| {
                let expert = (source.model().blocks[index].feed_forward.is_moe()).then_some(e);
                let down = Affine::of(&mlp.down);
                (
                    hidden_samples(source, index, expert, mlp, norm),
                    down.importance(),
                )
            })
            .collect();
        let (wanted, zero_point) = shifted_steps(&groups);
        let unit = 2f64.powi(-GELU_OUTPUT_BITS);
        let ratios: Vec<f64> = wanted.iter().flatten().map(|step| unit / step).collect();
        let multipliers = Multipliers::fit(&ratios)?;
        let hidden = wanted[0].len();
        let exact: Vec<f64> = (0..ratios.len()).map(|c| unit / multipliers.ratio(c)).collect();
        Ok(Self {
            zero_point,
            factors: multipliers
                .mantissas
                .chunks(hidden)
                .map(<[u16]>::to_vec)
                .collect(),
            factor_shift: multipliers.shift,
            steps: exact.chunks(hidden).map(<[f64]>::to_vec).collect(),
            seen: groups.into_iter().map(|(columns, _)| columns).collect(),
        })
    }
}

/// What an MLP's hidden layer holds; an expert that hardly anybody chose is shown other experts' tokens.
fn hidden_samples(source: &Source, index: usize, expert: Option<usize>, mlp: &Mlp, norm: &Norm) -> Columns {
    let site = Site::Activation { expert };
    let count = source.calibration.samples(site, index).map_or(0, |s| s.count());
    if count >= FEW_SAMPLES {
        return source.calibration.columns(site, index);
    }
    let Some(tokens) = source.calibration.samples(Site::Normalised2, index) else {
        return Columns::default();
    };
    let layer = absorb_norm(&Affine::of(&mlp.up), norm);
    let rows: Vec<Vec<f64>> = (0..tokens.count().min(SUBSTITUTES))
        .map(|row| layer.apply(&reals(tokens.row(row))))
        .collect();
    let channel = |c: usize| rows.iter().map(|row| ops::gelu(row[c] as f32).into()).collect();
    Columns::new((0..layer.outputs()).map(channel))
}

fn first(
    source: &Source,
    block: &Block,
    mlps: &[&Mlp],
    seen: &Columns,
    hidden: &HiddenNumbers,
) -> Result<(NormNumbers, Quantised), String> {
    let layers: Vec<Affine> = mlps
        .iter()
        .map(|mlp| absorb_norm(&Affine::of(&mlp.up), &block.norm2))
        .collect();
    let mut importance = vec![0.0; source.width()];
    for layer in &layers {
        importance
            .iter_mut()
            .zip(layer.importance())
            .for_each(|(sum, i)| *sum += i);
    }
    let norm = if block.feed_forward.is_moe() {
        source.norm.wide(seen)
    } else {
        source.norm.narrow(seen, &importance)
    };
    let inputs = norm.byte_statistics(seen);
    let part = |(layer, factors): (Affine, &Vec<u16>)| Part {
        units: vec![2f64.powi(-GELU_INPUT_BITS); layer.outputs()],
        layer: layer.scale_inputs(&vec![norm.byte_step(); source.width()]),
        statistics: inputs.clone(),
        factors: factors.clone(),
    };
    let parts: Vec<Part> = layers.into_iter().zip(&hidden.factors).map(part).collect();
    let pass = Pass {
        gelu: true,
        factor_shift: hidden.factor_shift,
        offset: hidden.zero_point as i8,
        ..Pass::plain()
    };
    Ok((norm, quantise(&parts, &pass)?))
}

fn second(
    source: &Source,
    block: &Block,
    mlps: &[&Mlp],
    hidden: &HiddenNumbers,
    range: std::ops::Range<usize>,
    scored: bool,
) -> Result<Quantised, String> {
    let extra = if scored { EXPERT_EXTRA_BITS } else { 0 };
    let part = |(e, mlp): (usize, &&Mlp)| {
        let mut layer = Affine::of(&mlp.down);
        if let Some(scale) = &block.ls2 {
            layer = layer.scale_outputs(&reals(scale));
        }
        let steps = &hidden.steps[e][range.clone()];
        let layer = layer.select_inputs(range.clone()).scale_inputs(steps);
        let inputs = hidden_statistics(&hidden.seen[e].select(range.clone()), steps, hidden.zero_point);
        let units = vec![source.residual_step / f64::from(1u32 << extra); layer.outputs()];
        Part::plain(layer, inputs, units)
    };
    let parts: Vec<Part> = mlps.iter().enumerate().map(part).collect();
    let plain = Pass::plain();
    let pass = Pass {
        zero_point: hidden.zero_point,
        factor_shift: if scored {
            SCORE_BITS + extra
        } else {
            plain.factor_shift
        },
        ..plain
    };
    quantise(&parts, &pass)
}

fn hidden_statistics(seen: &Columns, steps: &[f64], zero_point: i32) -> InputStatistics {
    statistics(seen, steps, Range::shifted(zero_point))
}

fn logits(gates: &[Gate], norm2: &Norm, norm: &NormNumbers, seen: &Columns) -> Result<Quantised, String> {
    let inputs = norm.statistics(seen);
    let unit = 2f64.powi(-(LOGIT_FRACTION_BITS as i32)) / std::f64::consts::LOG2_E;
    let part = |gate: &Gate| {
        let mut layer = Affine::transposed(gate.bias.len(), &gate.weight.data);
        layer.bias = reals(&gate.bias);
        let layer = absorb_norm(&layer, norm2).scale_inputs(&vec![norm.step; norm.width]);
        let units = vec![unit; layer.outputs()];
        Part::plain(layer, inputs.clone(), units)
    };
    let parts: Vec<Part> = gates.iter().map(part).collect();
    let pass = Pass {
        precision: Precision::Wide,
        bound: norm.bound(),
        ..Pass::plain()
    };
    quantise(&parts, &pass)
}

impl Weights {
    fn is_moe(&self) -> bool {
        matches!(self, Weights::Moe { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::{compile, Options};
    use crate::engine::judge::judge;
    use crate::engine::{Compiled, Computer, Runner};
    use crate::golden::Golden;
    use crate::model::{Architecture, Image, Model};
    use moevit_hw::config::AccelConfig;
    use std::sync::Arc;

    /// How near the integers of a random network are to its golden model when hidden unit 5 of every dense MLP, and of an
    /// expert of the other blocks, has no weights but this bias.
    fn cosine(bias: Option<f32>) -> f64 {
        let text = include_str!("../../../../demo/architecture.toml");
        let architecture = Architecture::parse(text, "demo").unwrap();
        let mut model = Model::synthetic(&architecture, 3);
        for block in &mut model.blocks {
            let up = match &mut block.feed_forward {
                Weights::Dense(mlp) => &mut mlp.up,
                Weights::Moe { experts, .. } => &mut experts[2].up,
            };
            if let Some(bias) = bias {
                let inputs = up.weight.columns();
                up.weight.data[5 * inputs..6 * inputs].fill(0.0);
                up.bias[5] = bias;
            }
        }
        let images: Vec<Image> = (0..4)
            .map(|seed| Image::noise(&architecture.image, seed))
            .collect();
        let config = AccelConfig::named("nano").unwrap();
        let program = compile(&config, &architecture, &model, &images, &Options::default()).unwrap();
        let golden = Golden::new(&architecture, &model).unwrap();
        let mut runner = Runner::new(Arc::new(Compiled::new(program).unwrap()), Computer::Reference);
        let frame = runner.frame(&images[0], 0, &mut |_| ()).unwrap();
        let judgement = judge(&golden, &images[0], 0, &frame).unwrap();
        judgement.same_routes.tokens.cosine
    }

    #[test]
    fn a_nearly_dead_hidden_unit_costs_nothing() {
        let plain = cosine(None);
        // GELU of them: from far below the range of the multipliers to small values that they hold.
        for bias in [1e-12, 1e-8, 1e-6, -5.0, 0.0] {
            let found = cosine(Some(bias));
            println!("{bias}: {found} beside {plain}");
            assert!(found > plain - 1e-4, "{bias}: {found} beside {plain}");
        }
    }
}
