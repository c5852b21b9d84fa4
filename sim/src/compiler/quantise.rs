//! Turns a folded linear layer into integer weights, biases and multipliers.
//!
//! ```text
//! acc  = sum w_int * (x_int + zero_point)                     i32
//! y    = (acc + bias) * mantissa / 2^(pre_shift + shift)       in units of `Part::units`
//! w    ~= w_int * s,  s = units * mantissa / 2^(pre_shift + shift)
//! bias = (b + W E[x] - s * W_int E[x_int]) / s - zero_point * sum w_int
//! ```
//!
//! The scale `s` of each output channel minimises the squared error of the sum, `sum E[x^2] (w - s w_int)^2`, over a search of
//! clipping ratios. The mantissa is rounded first and `s` follows from it, so that its rounding costs nothing. The bias also
//! takes in what rounding changes on average over the calibration samples.
//!
//! Bounds: `|acc| < 2^31` always (the scale grows until that holds), and `pre_shift` brings `acc + bias` into 27 bits.

use moevit_hw::numerics::{byte_planes, post::PostSettings, WIDE_MAX};

use super::fold::Affine;
use super::multiplier::Multipliers;
use super::tile::{Parameter, Plane};

/// Widths of the operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Bytes by bytes.
    Narrow,
    /// 15-bit weights, bytes.
    WideWeights,
    /// 15 bits both.
    Wide,
}

impl Precision {
    /// Value of the command's `planes` field.
    pub fn planes(self) -> u32 {
        self as u32
    }

    /// Passes over the array for a tile.
    pub fn passes(self) -> usize {
        [1, 2, 4][self as usize]
    }

    fn weight_limit(self) -> f64 {
        match self {
            Precision::Narrow => 127.0,
            Precision::WideWeights | Precision::Wide => WIDE_MAX as f64,
        }
    }
}

/// Largest activation vector that can occur, as a bound on sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Every element's magnitude.
    Element(f64),
    /// The vector's Euclidean norm, as after LayerNorm.
    Euclidean(f64),
}

impl Bound {
    /// Any bytes.
    pub const BYTES: Bound = Bound::Element(128.0);

    /// Largest magnitude of the sum with these weights.
    fn of(self, weights: impl Iterator<Item = f64>) -> f64 {
        match self {
            Bound::Element(most) => most * weights.map(f64::abs).sum::<f64>(),
            Bound::Euclidean(norm) => norm * weights.map(|w| w * w).sum::<f64>().sqrt(),
        }
    }
}

/// What calibration knows about a layer's integer inputs (without the zero point).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InputStatistics {
    /// Mean before rounding and clipping.
    pub mean: Vec<f64>,
    /// Mean after rounding and clipping.
    pub rounded_mean: Vec<f64>,
    /// Mean square.
    pub square: Vec<f64>,
}

impl InputStatistics {
    /// Nothing known: inputs of the same size, mean zero.
    pub fn unknown(inputs: usize) -> Self {
        Self {
            mean: vec![0.0; inputs],
            rounded_mean: vec![0.0; inputs],
            square: vec![1.0; inputs],
        }
    }
}

/// What all layers of one command share: they run with the same settings, each with its own parameters.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    pub precision: Precision,
    /// The operand is the integer input plus this.
    pub zero_point: i32,
    /// Of the operand, zero point included.
    pub bound: Bound,
    pub gelu: bool,
    pub factor_shift: u32,
    /// Zero point of the result.
    pub offset: i8,
}

impl Pass {
    /// Bytes to integers of given units: no GELU, no second factor, no zero points.
    pub fn plain() -> Self {
        Self {
            precision: Precision::Narrow,
            zero_point: 0,
            bound: Bound::BYTES,
            gelu: false,
            factor_shift: 15,
            offset: 0,
        }
    }
}

/// A layer whose input scales are folded into its weights.
#[derive(Clone, Debug)]
pub struct Part {
    pub layer: Affine,
    pub statistics: InputStatistics,
    /// Real value of one unit after the first multiplier, for each output.
    pub units: Vec<f64>,
    /// Mantissas of the second multiplier; commands that take their factor from elsewhere ignore them.
    pub factors: Vec<u16>,
}

impl Part {
    /// No second factor.
    pub fn plain(layer: Affine, statistics: InputStatistics, units: Vec<f64>) -> Self {
        let factors = Multipliers::identity(units.len()).mantissas;
        Self {
            layer,
            statistics,
            units,
            factors,
        }
    }
}

/// A layer ready for the stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// High plane, and low plane of wide weights.
    pub planes: Vec<Plane>,
    pub parameters: Vec<Parameter>,
}

impl Matrix {
    pub fn inputs(&self) -> usize {
        self.planes[0].inputs
    }

    pub fn outputs(&self) -> usize {
        self.parameters.len()
    }

    /// Planes in the order of the stream's passes.
    pub fn passes(&self, precision: Precision) -> Vec<&Plane> {
        (0..precision.passes())
            .map(|p| &self.planes[p % self.planes.len()])
            .collect()
    }
}

/// Layers of one command, and the command's settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantised {
    pub matrices: Vec<Matrix>,
    pub settings: PostSettings,
    pub precision: Precision,
    pub zero_point: i32,
}

/// `acc + bias` of every channel must fit this many bits' magnitude after the pre-shift.
const ACCUMULATOR_BITS: i32 = 26;
/// Largest pre-shift of a command.
const PRE_SHIFT_MAX: u32 = 15;
/// Sums stay this far below the accumulator's end.
const SUM_LIMIT: f64 = 0.98 * 2_147_483_648.0;
/// Biases stay below this, so that they leave the accumulator's bits to the sum.
const BIAS_LIMIT: f64 = 16_777_216.0;
/// Largest to smallest scale of channels that share a shift, so that the smallest mantissa keeps some bits.
pub(super) const SCALE_RANGE: f64 = 4_096.0;

/// Quantises the layers of a command; the layers' real outputs stay as they are.
pub fn quantise(parts: &[Part], pass: &Pass) -> Result<Quantised, String> {
    let ratio = |part: &Part| {
        let scales = weight_scales(part, pass);
        scales
            .into_iter()
            .zip(&part.units)
            .map(|(s, u)| s / u)
            .collect::<Vec<_>>()
    };
    let ratios: Vec<f64> = parts.iter().flat_map(ratio).collect();
    let multipliers = Multipliers::fit(&ratios)?;
    let (mut matrices, mut most, mut first) = (Vec::new(), 0f64, 0);
    for part in parts {
        let (matrix, sum) = round_part(part, pass, &multipliers, first)?;
        first += matrix.outputs();
        most = most.max(sum);
        matrices.push(matrix);
    }
    let pre_shift = pre_shift(most, &multipliers)?;
    let settings = PostSettings {
        pre_shift,
        shift: multipliers.shift - pre_shift,
        gelu: pass.gelu,
        factor_shift: pass.factor_shift,
        offset: pass.offset,
    };
    Ok(Quantised {
        matrices,
        settings,
        precision: pass.precision,
        zero_point: pass.zero_point,
    })
}

/// One layer, whose multipliers begin at `first`, and the largest sum that it can give.
fn round_part(
    part: &Part,
    pass: &Pass,
    multipliers: &Multipliers,
    first: usize,
) -> Result<(Matrix, f64), String> {
    let inputs = part.layer.inputs;
    let mut weights = Vec::with_capacity(part.layer.weights.len());
    let (mut parameters, mut most) = (Vec::new(), 0f64);
    for (channel, units) in part.units.iter().enumerate() {
        let scale = multipliers.ratio(first + channel) * units;
        let row = round_row(part.layer.row(channel), scale, pass.precision);
        let bias = rounded_bias(part, channel, &row, scale, pass.zero_point);
        let sum = pass.bound.of(row.iter().map(|&w| w.into()));
        if sum.max(bias.abs()) > f64::from(i32::MAX) {
            return Err(format!("the sums of channel {channel} do not fit 32 bits"));
        }
        most = most.max(sum + bias.abs());
        parameters.push(Parameter {
            bias: bias as i32,
            mantissa: multipliers.mantissas[first + channel],
            factor: part.factors[channel],
        });
        weights.extend(row);
    }
    let planes = split_planes(weights, inputs, pass.precision);
    Ok((Matrix { planes, parameters }, most))
}

/// Smallest shift that brings the largest biased sum into 27 bits.
fn pre_shift(most: f64, multipliers: &Multipliers) -> Result<u32, String> {
    let needed = (most.max(1.0).log2().floor() as i32 + 1 - ACCUMULATOR_BITS).max(0) as u32;
    if needed > PRE_SHIFT_MAX || needed > multipliers.shift {
        return Err(format!(
            "sums of up to {most:e} leave no room for the multiplier's shift"
        ));
    }
    Ok(needed)
}

/// Scale of each output channel's weights.
fn weight_scales(part: &Part, pass: &Pass) -> Vec<f64> {
    let layer = &part.layer;
    let limit = pass.precision.weight_limit();
    let best = |channel: usize| best_scale(layer.row(channel), &part.statistics.square, limit);
    let scales: Vec<f64> = (0..layer.outputs()).map(best).collect();
    let largest = scales.iter().copied().fold(0.0, f64::max);
    let floor = if largest > 0.0 {
        largest / SCALE_RANGE
    } else {
        1.0 / 127.0
    };
    let legal = |(channel, scale): (usize, f64)| {
        let sum = pass.bound.of(layer.row(channel).iter().copied()) / SUM_LIMIT;
        let bias = layer.bias[channel].abs() / BIAS_LIMIT;
        scale.max(floor).max(sum).max(bias)
    };
    scales.into_iter().enumerate().map(legal).collect()
}

/// The clipping scale of least squared error, weighted by the inputs' mean squares; zero for a row of zeros.
fn best_scale(row: &[f64], squares: &[f64], limit: f64) -> f64 {
    const STEPS: usize = 16;
    const SMALLEST: f64 = 0.7;
    let most = row.iter().fold(0.0, |m: f64, w| m.max(w.abs()));
    if most == 0.0 || limit > 127.0 {
        return most / limit;
    }
    let error = |scale: f64| -> f64 {
        let one = |(w, m): (&f64, &f64)| {
            let rounded = (w / scale).round().clamp(-limit, limit) * scale;
            m * (w - rounded) * (w - rounded)
        };
        row.iter().zip(squares).map(one).sum()
    };
    let candidates =
        (0..STEPS).map(|i| most / limit * (1.0 - (1.0 - SMALLEST) * i as f64 / (STEPS - 1) as f64));
    candidates
        .map(|scale| (error(scale), scale))
        .fold((f64::INFINITY, most / limit), |best, next| {
            if next.0 < best.0 {
                next
            } else {
                best
            }
        })
        .1
}

fn round_row(row: &[f64], scale: f64, precision: Precision) -> Vec<i32> {
    let limit = precision.weight_limit();
    row.iter()
        .map(|w| (w / scale).round().clamp(-limit, limit) as i32)
        .collect()
}

/// Bias in accumulator units: the layer's own, the mean of the rounding errors, the zero point.
fn rounded_bias(part: &Part, channel: usize, row: &[i32], scale: f64, zero_point: i32) -> f64 {
    let (mut real, mut sum) = (part.layer.bias[channel], 0.0);
    for (i, (&rounded, exact)) in row.iter().zip(part.layer.row(channel)).enumerate() {
        let rounded = f64::from(rounded);
        real += exact * part.statistics.mean[i] - scale * rounded * part.statistics.rounded_mean[i];
        sum += rounded;
    }
    (real / scale - f64::from(zero_point) * sum).round()
}

fn split_planes(weights: Vec<i32>, inputs: usize, precision: Precision) -> Vec<Plane> {
    if precision == Precision::Narrow {
        let weights = weights.into_iter().map(|w| w as i8).collect();
        return vec![Plane { inputs, weights }];
    }
    let (high, low) = weights.into_iter().map(byte_planes).unzip();
    vec![
        Plane {
            inputs,
            weights: high,
        },
        Plane { inputs, weights: low },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use moevit_hw::numerics::post::post;

    struct Random(u64);

    impl Random {
        fn unit(&mut self) -> f64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        }
    }

    fn layer(random: &mut Random, inputs: usize, outputs: usize, size: f64) -> Affine {
        let weights = (0..inputs * outputs).map(|_| random.unit() * size).collect();
        let bias = (0..outputs).map(|_| random.unit() * size * 40.0).collect();
        Affine {
            inputs,
            weights,
            bias,
        }
    }

    fn part(layer: &Affine, units: f64) -> Part {
        let statistics = InputStatistics::unknown(layer.inputs);
        Part::plain(layer.clone(), statistics, vec![units; layer.outputs()])
    }

    /// The accelerator's sum and post-processing of one channel.
    fn run(layer: &Quantised, channel: usize, operand: &[i32]) -> i32 {
        let matrix = &layer.matrices[0];
        let at = |p: usize, i: usize| i64::from(matrix.planes[p].weights[channel * matrix.inputs() + i]);
        let weight = |i: usize| match layer.precision {
            Precision::Narrow => at(0, i),
            _ => 128 * at(0, i) + at(1, i),
        };
        let acc: i64 = operand
            .iter()
            .enumerate()
            .map(|(i, &x)| i64::from(x) * weight(i))
            .sum();
        let acc = i32::try_from(acc).expect("the sum fits the accumulator");
        let p = matrix.parameters[channel];
        post(acc, p.bias.into(), p.mantissa, p.factor, &layer.settings)
    }

    /// Largest and mean square error in output units over random inputs.
    fn errors(precision: Precision, zero_point: i32, size: f64, units: f64) -> (f64, f64) {
        let mut random = Random(7);
        let layer = layer(&mut random, 96, 24, size);
        let reach = if precision == Precision::Wide {
            1_100.0
        } else {
            100.0
        };
        let bound = match precision {
            Precision::Wide => Bound::Element(16_319.0),
            _ => Bound::BYTES,
        };
        let pass = Pass {
            precision,
            zero_point,
            bound,
            ..Pass::plain()
        };
        let matrix = quantise(&[part(&layer, units)], &pass).unwrap();
        let (mut worst, mut square, mut count) = (0f64, 0f64, 0f64);
        for _ in 0..50 {
            let x: Vec<i32> = (0..96).map(|_| (random.unit() * reach) as i32).collect();
            let exact = layer.apply(&x.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
            let operand: Vec<i32> = x.iter().map(|v| v + zero_point).collect();
            for (channel, exact) in exact.iter().enumerate() {
                let error = f64::from(run(&matrix, channel, &operand)) - exact / units;
                worst = worst.max(error.abs());
                square += error * error;
                count += 1.0;
            }
        }
        (worst, square / count)
    }

    #[test]
    fn narrow_products_have_the_error_of_rounded_weights() {
        // 96 weights rounded to 1/127, inputs of up to 100: a standard deviation of about 58 * 0.29 * sqrt(96) / 127.
        let (_, square) = errors(Precision::Narrow, 0, 1.0, 1.0);
        assert!((0.5..4.0).contains(&square.sqrt()), "{square}");
    }

    #[test]
    fn zero_points_change_nothing() {
        let (plain, shifted) = (
            errors(Precision::Narrow, 0, 0.01, 0.05),
            errors(Precision::Narrow, -20, 0.01, 0.05),
        );
        assert!(
            (plain.1 - shifted.1).abs() < 0.05 * plain.1,
            "{plain:?} {shifted:?}"
        );
    }

    #[test]
    fn wide_weights_leave_little_more_than_the_output_rounding() {
        for (precision, units) in [(Precision::WideWeights, 0.02), (Precision::Wide, 0.2)] {
            let (worst, square) = errors(precision, 0, 0.02, units);
            assert!(worst < 1.2 && square < 0.12, "{precision:?} {worst} {square}");
        }
    }

    #[test]
    fn sums_that_could_overflow_get_a_larger_scale() {
        let weights = vec![1.0; 192];
        let layer = Affine {
            inputs: 192,
            weights,
            bias: vec![0.0],
        };
        let pass = Pass {
            precision: Precision::Wide,
            bound: Bound::Element(16_319.0),
            ..Pass::plain()
        };
        let matrix = quantise(&[part(&layer, 8.0)], &pass).unwrap();
        let z = run(&matrix, 0, &vec![16_319; 192]);
        assert!((f64::from(z) - 16_319.0 * 24.0).abs() < 400.0, "{z}");
        let euclidean = Pass {
            bound: Bound::Euclidean(16_400.0),
            ..pass
        };
        let finer = quantise(&[part(&layer, 8.0)], &euclidean).unwrap();
        let high = |q: &Quantised| q.matrices[0].planes[0].weights[0];
        assert!(high(&finer) > 4 * high(&matrix));
    }

    #[test]
    fn gelu_and_zero_point_follow_the_second_scale() {
        let mut random = Random(3);
        let layer = layer(&mut random, 64, 16, 0.002);
        let steps: Vec<f64> = (0..16).map(|c| 0.004 + 0.001 * f64::from(c)).collect();
        let factors =
            Multipliers::fit(&steps.iter().map(|s| 2f64.powi(-15) / s).collect::<Vec<_>>()).unwrap();
        let pass = Pass {
            precision: Precision::WideWeights,
            gelu: true,
            factor_shift: factors.shift,
            offset: -100,
            ..Pass::plain()
        };
        let gelu = Part {
            factors: factors.mantissas,
            ..part(&layer, 2f64.powi(-11))
        };
        let matrix = quantise(&[gelu], &pass).unwrap();
        let mut compared = 0;
        for _ in 0..20 {
            let x: Vec<i32> = (0..64).map(|_| (random.unit() * 127.0) as i32).collect();
            let exact = layer.apply(&x.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
            for (channel, &e) in exact.iter().enumerate() {
                let gelu = e * 0.5 * libm::erfc(-e / std::f64::consts::SQRT_2);
                let want = gelu / steps[channel] - 100.0;
                let got = f64::from(run(&matrix, channel, &x));
                assert!((got - want).abs() < 0.9, "{channel}: {got} against {want}");
                compared += 1;
            }
        }
        assert_eq!(compared, 320);
    }

    #[test]
    fn layers_of_a_command_share_their_shifts() {
        let mut random = Random(11);
        let (a, b) = (layer(&mut random, 32, 8, 1.0), layer(&mut random, 32, 8, 0.05));
        let both = quantise(&[part(&a, 0.5), part(&b, 0.5)], &Pass::plain()).unwrap();
        let alone = quantise(&[part(&b, 0.5)], &Pass::plain()).unwrap();
        assert!(both.settings.shift < alone.settings.shift);
        let x: Vec<f64> = (0..32).map(|_| (random.unit() * 100.0).round()).collect();
        let operand: Vec<i32> = x.iter().map(|&v| v as i32).collect();
        for (matrix, layer) in both.matrices.iter().zip([&a, &b]) {
            let one = Quantised {
                matrices: vec![matrix.clone()],
                ..both.clone()
            };
            for (channel, exact) in layer.apply(&x).iter().enumerate() {
                let got = f64::from(run(&one, channel, &operand));
                assert!(
                    (got - exact / 0.5).abs() < 0.7 + 0.01 * 600.0 * layer.weights[0].abs().max(0.1),
                    "{got} {exact}"
                );
            }
        }
    }
}
