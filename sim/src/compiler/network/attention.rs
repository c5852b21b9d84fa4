//! Attention's numbers: queries, keys, values, scores, context, projection.
//!
//! Exact rewritings that make room before anything is rounded:
//!
//! * A constant added to every key adds the same number to all scores of a query, which softmax ignores: keys lose their mean
//!   (and with it their bias).
//! * Attention averages values with weights that sum to one, so a constant taken from every value comes back in the
//!   projection's bias: values lose the mean of the context.
//! * A channel may carry a query's scale times a key's scale in any split: each channel is balanced.
//! * Scales of values and context differ by channel; the projection's weights take them in.
//!
//! `score * log2(e) / sqrt(head size)` leaves the array in Q7.8, ready for base-2 exponentials.

use moevit_hw::numerics::exp2::SCORE_FRACTION_BITS;
use moevit_hw::numerics::post::PostSettings;

use super::norm::NormNumbers;
use super::{absorb_norm, fault, Source};
use crate::compiler::error::CompileError;
use crate::compiler::fold::Affine;
use crate::compiler::multiplier::Multipliers;
use crate::compiler::quantise::{quantise, InputStatistics, Part, Pass, Quantised};
use crate::compiler::samples::Columns;
use crate::compiler::scale::{channel_steps, score_steps, statistics, Range, ScoreSteps};
use crate::compiler::tile::Parameter;
use crate::golden::Site;
use crate::model::weights::Block;

/// Largest token count times 2^extra that keeps a context sum in 24 bits: 2^23 / (128 * 255).
const CONTEXT_ROOM: f64 = 257.0;
/// Fraction bits of a reciprocal's mantissa.
const RECIPROCAL_BITS: i32 = 15;

/// Numbers of a block's attention.
#[derive(Clone, Debug)]
pub struct Attention {
    pub norm: NormNumbers,
    pub query: Quantised,
    pub key: Quantised,
    pub value: Quantised,
    /// Parameter and settings of each head's scores.
    pub scores: Vec<(Parameter, PostSettings)>,
    /// Parameters of all context channels.
    pub context: Vec<Parameter>,
    pub context_settings: PostSettings,
    pub projection: Quantised,
}

impl Attention {
    pub fn build(source: &Source, index: usize) -> Result<Self, CompileError> {
        let block = &source.model().blocks[index];
        let seen = Seen::new(source, index);
        let layer = absorb_norm(&Affine::of(&block.qkv), &block.norm1);
        let norm = source.norm.narrow(&seen.normalised, &layer.importance());
        let layer = layer.scale_inputs(&vec![norm.step; source.width()]);
        let inputs = norm.statistics(&seen.normalised);
        let heads = source.golden.architecture().encoder.heads;
        let scores: Vec<ScoreSteps> = (0..heads)
            .map(|head| seen.scores(head, source.width() / heads))
            .collect();
        let steps = |of: fn(&ScoreSteps) -> &Vec<f64>| {
            scores.iter().flat_map(|s| of(s).clone()).collect::<Vec<f64>>()
        };
        let values = ValueNumbers::new(&seen, source.tokens());
        let parts = split(layer, &seen, &values.shift);
        let [query, key, value] = [
            (parts[0].clone(), steps(|s| &s.query), "query"),
            (parts[1].clone(), steps(|s| &s.key), "key"),
            (parts[2].clone(), values.steps.clone(), "value"),
        ]
        .map(|(layer, units, what)| {
            quantise(&[Part::plain(layer, inputs.clone(), units)], &Pass::plain()).map_err(fault(index, what))
        });
        let head_size = source.width() / heads;
        let score = |s: &ScoreSteps| score_parameter(s.product, head_size).map_err(fault(index, "scores"));
        let (context, context_settings) = values.parameters();
        Ok(Self {
            norm,
            query: query?,
            key: key?,
            value: value?,
            scores: scores.iter().map(score).collect::<Result<_, _>>()?,
            projection: projection(source, block, &seen, &values).map_err(fault(index, "projection"))?,
            context,
            context_settings,
        })
    }
}

/// Samples of a block's attention.
struct Seen {
    normalised: Columns,
    query: Columns,
    /// Without their mean.
    key: Columns,
    key_mean: Vec<f64>,
    value: Columns,
    context: Columns,
}

impl Seen {
    fn new(source: &Source, block: usize) -> Self {
        let columns = |site| source.calibration.columns(site, block);
        let key = columns(Site::Key);
        let key_mean = key.means();
        Self {
            normalised: columns(Site::Normalised1),
            query: columns(Site::Query),
            key: key.shifted(&negative(&key_mean)),
            key_mean,
            value: columns(Site::Value),
            context: columns(Site::Context),
        }
    }

    fn scores(&self, head: usize, size: usize) -> ScoreSteps {
        let range = head * size..(head + 1) * size;
        score_steps(&self.query.select(range.clone()), &self.key.select(range))
    }
}

fn negative(values: &[f64]) -> Vec<f64> {
    values.iter().map(|v| -v).collect()
}

/// Queries, keys without their mean, values without the context's mean.
fn split(layer: Affine, seen: &Seen, value_shift: &[f64]) -> [Affine; 3] {
    let width = layer.inputs;
    let part = |i: usize| layer.select_outputs(i * width..(i + 1) * width);
    [
        part(0),
        part(1).shift_outputs(&negative(&seen.key_mean)),
        part(2).shift_outputs(&negative(value_shift)),
    ]
}

fn score_parameter(product: f64, head_size: usize) -> Result<(Parameter, PostSettings), String> {
    let unit = 2f64.powi(-(SCORE_FRACTION_BITS as i32));
    let ratio = product * std::f64::consts::LOG2_E / (head_size as f64).sqrt() / unit;
    let (first, second) = (Multipliers::fit(&[ratio])?, Multipliers::identity(1));
    let parameter = Parameter {
        bias: 0,
        mantissa: first.mantissas[0],
        factor: second.mantissas[0],
    };
    let settings = PostSettings {
        shift: first.shift,
        factor_shift: second.shift,
        ..Default::default()
    };
    Ok((parameter, settings))
}

/// Scales of values and context.
///
/// `y = sum(p v) * mantissa / 2^shift` is the context in steps, times the sum of `p`, times `2^extra`; the reciprocal of the
/// sum and a shift by `extra` more follow.
struct ValueNumbers {
    /// Taken from each value channel.
    shift: Vec<f64>,
    /// Step of each value channel, and of each context channel.
    steps: Vec<f64>,
    context: Vec<f64>,
    multipliers: Multipliers,
    extra: i32,
}

impl ValueNumbers {
    fn new(seen: &Seen, tokens: usize) -> Self {
        let shift = seen.context.means();
        let steps = channel_steps(&seen.value.clone().shifted(&negative(&shift)), Range::STATIONARY);
        let wanted = channel_steps(&seen.context.clone().shifted(&negative(&shift)), Range::BYTE);
        let extra = (CONTEXT_ROOM / tokens as f64).log2().floor() as i32;
        // An average is never larger than what it averages; the step of a silent context could be anything.
        let ratio = |(value, context): (&f64, &f64)| (value / context).clamp(1.0, 256.0) * 2f64.powi(extra);
        let ratios: Vec<f64> = steps.iter().zip(&wanted).map(ratio).collect();
        let multipliers = Multipliers::fit(&ratios).expect("ratios lie between one and 256");
        let exact = |(c, step): (usize, &f64)| step * 2f64.powi(extra) / multipliers.ratio(c);
        Self {
            context: steps.iter().enumerate().map(exact).collect(),
            shift,
            steps,
            multipliers,
            extra,
        }
    }

    fn parameters(&self) -> (Vec<Parameter>, PostSettings) {
        let parameter = |&mantissa: &u16| Parameter {
            bias: 0,
            mantissa,
            factor: 0,
        };
        let settings = PostSettings {
            shift: self.multipliers.shift,
            factor_shift: (RECIPROCAL_BITS + self.extra).max(0) as u32,
            ..Default::default()
        };
        (
            self.multipliers.mantissas.iter().map(parameter).collect(),
            settings,
        )
    }
}

fn projection(
    source: &Source,
    block: &Block,
    seen: &Seen,
    values: &ValueNumbers,
) -> Result<Quantised, String> {
    let mut layer = Affine::of(&block.proj);
    if let Some(scale) = &block.ls1 {
        layer = layer.scale_outputs(&super::reals(scale));
    }
    let layer = layer.absorb_affine(&values.context, &values.shift);
    let inputs: InputStatistics = statistics(
        &seen.context.clone().shifted(&negative(&values.shift)),
        &values.context,
        Range::BYTE,
    );
    let units = vec![source.residual_step; layer.outputs()];
    quantise(&[Part::plain(layer, inputs, units)], &Pass::plain())
}
