//! Turns a folded linear layer into integer weights, biases and multipliers.
//!
//! ```text
//! acc  = sum w_int * (x_int + zero_point)                     i32
//! y    = (acc + bias) * mantissa / 2^(pre_shift + shift)       in units of `Output::units`
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

use super::linear::Linear;
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

/// What a layer reads.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    pub precision: Precision,
    /// The operand is the integer input plus this.
    pub zero_point: i32,
    /// Of the operand, zero point included.
    pub bound: Bound,
    pub statistics: &'a InputStatistics,
}

/// What a layer's sums become.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Real value of one unit after the first multiplier, for each channel.
    pub units: Vec<f64>,
    /// Second multiplier; its mantissas are ignored by commands that take the factor from elsewhere.
    pub factors: Multipliers,
    pub gelu: bool,
    pub offset: i8,
}

impl Output {
    /// Integers of the given real values, nothing else.
    pub fn direct(units: Vec<f64>) -> Self {
        Self {
            factors: Multipliers::identity(units.len()),
            units,
            gelu: false,
            offset: 0,
        }
    }
}

/// A layer ready for the stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// High plane, and low plane of wide weights.
    pub planes: Vec<Plane>,
    pub parameters: Vec<Parameter>,
    pub settings: PostSettings,
    pub precision: Precision,
}

impl Matrix {
    pub fn inputs(&self) -> usize {
        self.planes[0].inputs
    }

    pub fn outputs(&self) -> usize {
        self.parameters.len()
    }

    /// Planes in the order of the stream's passes.
    pub fn passes(&self) -> Vec<&Plane> {
        (0..self.precision.passes())
            .map(|p| &self.planes[p % self.planes.len()])
            .collect()
    }
}

/// `acc + bias` of every channel must fit this many bits' magnitude after the pre-shift.
const ACCUMULATOR_BITS: i32 = 26;
/// Largest pre-shift of a command.
const PRE_SHIFT_MAX: u32 = 15;
/// Sums stay this far below the accumulator's end.
const SUM_LIMIT: f64 = 0.98 * 2_147_483_648.0;
/// Biases stay below this, so that they leave the accumulator's bits to the sum.
const BIAS_LIMIT: f64 = 16_777_216.0;

/// Quantises a layer whose input scales are folded into its weights; the layer's real outputs stay as they are.
pub fn quantise(layer: &Linear, input: &Input, output: &Output) -> Result<Matrix, String> {
    let scales = weight_scales(layer, input);
    let ratios: Vec<f64> = scales.iter().zip(&output.units).map(|(s, u)| s / u).collect();
    let multipliers = Multipliers::fit(&ratios)?;
    let (mut weights, mut biases) = (Vec::with_capacity(layer.weights.len()), Vec::new());
    let mut most = 0f64;
    for (channel, units) in output.units.iter().enumerate() {
        let scale = multipliers.ratio(channel) * units;
        let row = round_row(layer.row(channel), scale, input.precision);
        let bias = rounded_bias(layer, channel, &row, scale, input);
        let sum = input.bound.of(row.iter().map(|&w| w.into()));
        most = most.max(sum + bias.abs());
        if sum > 2_147_483_647.0 || bias.abs() > 2_147_483_647.0 {
            return Err(format!("the sums of channel {channel} do not fit 32 bits"));
        }
        biases.push(bias as i32);
        weights.extend(row);
    }
    let pre_shift = pre_shift(most, &multipliers)?;
    let settings = PostSettings {
        pre_shift,
        shift: multipliers.shift - pre_shift,
        gelu: output.gelu,
        factor_shift: output.factors.shift,
        offset: output.offset,
    };
    let parameters = (0..biases.len()).map(|c| Parameter {
        bias: biases[c],
        mantissa: multipliers.mantissas[c],
        factor: output.factors.mantissas[c],
    });
    Ok(Matrix {
        parameters: parameters.collect(),
        planes: split_planes(weights, layer.inputs, input.precision),
        settings,
        precision: input.precision,
    })
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
fn weight_scales(layer: &Linear, input: &Input) -> Vec<f64> {
    let limit = input.precision.weight_limit();
    let best = |channel: usize| best_scale(layer.row(channel), &input.statistics.square, limit);
    let scales: Vec<f64> = (0..layer.outputs()).map(best).collect();
    let largest = scales.iter().copied().fold(0.0, f64::max);
    let floor = if largest > 0.0 {
        largest / 16_384.0
    } else {
        1.0 / 127.0
    };
    let legal = |(channel, scale): (usize, f64)| {
        let sum = input.bound.of(layer.row(channel).iter().copied()) / SUM_LIMIT;
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
fn rounded_bias(layer: &Linear, channel: usize, row: &[i32], scale: f64, input: &Input) -> f64 {
    let mut real = layer.bias[channel];
    let mut sum = 0.0;
    for (i, (&rounded, exact)) in row.iter().zip(layer.row(channel)).enumerate() {
        real += exact * input.statistics.mean[i]
            - scale * f64::from(rounded) * input.statistics.rounded_mean[i];
        sum += f64::from(rounded);
    }
    (real / scale - f64::from(input.zero_point) * sum).round()
}

fn split_planes(weights: Vec<i32>, inputs: usize, precision: Precision) -> Vec<Plane> {
    if precision == Precision::Narrow {
        let weights = weights.into_iter().map(|w| w as i8).collect();
        return vec![Plane { inputs, weights }];
    }
    let (high, low) = weights.into_iter().map(byte_planes).unzip();
    vec![Plane { inputs, weights: high }, Plane { inputs, weights: low }]
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

    fn layer(random: &mut Random, inputs: usize, outputs: usize, size: f64) -> Linear {
        let weights = (0..inputs * outputs).map(|_| random.unit() * size).collect();
        let bias = (0..outputs).map(|_| random.unit() * size * 40.0).collect();
        Linear {
            inputs,
            weights,
            bias,
        }
    }

    /// The accelerator's sum and post-processing of one channel.
    fn run(matrix: &Matrix, channel: usize, operand: &[i32]) -> i32 {
        let at = |p: usize, i: usize| i64::from(matrix.planes[p].weights[channel * matrix.inputs() + i]);
        let weight = |i: usize| match matrix.precision {
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
        post(acc, p.bias.into(), p.mantissa, p.factor, &matrix.settings)
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
        let statistics = InputStatistics::unknown(96);
        let bound = match precision {
            Precision::Wide => Bound::Element(16_319.0),
            _ => Bound::BYTES,
        };
        let input = Input {
            precision,
            zero_point,
            bound,
            statistics: &statistics,
        };
        let matrix = quantise(&layer, &input, &Output::direct(vec![units; 24])).unwrap();
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
        assert!((plain.1 - shifted.1).abs() < 0.05 * plain.1, "{plain:?} {shifted:?}");
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
        let layer = Linear {
            inputs: 192,
            weights,
            bias: vec![0.0],
        };
        let statistics = InputStatistics::unknown(192);
        let input = Input {
            precision: Precision::Wide,
            zero_point: 0,
            bound: Bound::Element(16_319.0),
            statistics: &statistics,
        };
        let matrix = quantise(&layer, &input, &Output::direct(vec![8.0])).unwrap();
        let z = run(&matrix, 0, &vec![16_319; 192]);
        assert!((f64::from(z) - 16_319.0 * 24.0).abs() < 400.0, "{z}");
        let euclidean = Input {
            bound: Bound::Euclidean(16_400.0),
            ..input
        };
        let finer = quantise(&layer, &euclidean, &Output::direct(vec![8.0])).unwrap();
        assert!(finer.planes[0].weights[0] > 4 * matrix.planes[0].weights[0]);
    }

    #[test]
    fn gelu_and_zero_point_follow_the_second_scale() {
        let mut random = Random(3);
        let layer = layer(&mut random, 64, 16, 0.002);
        let statistics = InputStatistics::unknown(64);
        let input = Input {
            precision: Precision::WideWeights,
            zero_point: 0,
            bound: Bound::BYTES,
            statistics: &statistics,
        };
        let steps: Vec<f64> = (0..16).map(|c| 0.004 + 0.001 * f64::from(c)).collect();
        let factors =
            Multipliers::fit(&steps.iter().map(|s| 2f64.powi(-15) / s).collect::<Vec<_>>()).unwrap();
        let output = Output {
            units: vec![2f64.powi(-11); 16],
            factors,
            gelu: true,
            offset: -100,
        };
        let matrix = quantise(&layer, &input, &output).unwrap();
        let mut compared = 0;
        for _ in 0..20 {
            let x: Vec<i32> = (0..64).map(|_| (random.unit() * 127.0) as i32).collect();
            let exact = layer.apply(&x.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
            for (channel, &e) in exact.iter().enumerate() {
                let gelu = e * 0.5 * erfc(-e / std::f64::consts::SQRT_2);
                let want = gelu / steps[channel] - 100.0;
                let got = f64::from(run(&matrix, channel, &x));
                assert!((got - want).abs() < 0.9, "{channel}: {got} against {want}");
                compared += 1;
            }
        }
        assert_eq!(compared, 320);
    }

    /// Complementary error function by the trapezoidal rule.
    fn erfc(x: f64) -> f64 {
        let steps = 4_000;
        let (from, to) = (x.min(8.0), 8.0);
        let h = (to - from) / f64::from(steps);
        let f = |t: f64| (-t * t).exp();
        let inner: f64 = (1..steps).map(|i| f(from + h * f64::from(i))).sum();
        (inner + 0.5 * (f(from) + f(to))) * h * 2.0 / std::f64::consts::PI.sqrt()
    }
}
