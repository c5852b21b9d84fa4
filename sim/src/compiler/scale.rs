//! Chooses scales from calibration samples: the clipping that loses least, not the largest value seen.
//!
//! All searches try a geometric row of steps below the one that would hold everything, round the samples with each, and keep
//! the best. Errors are counted without their mean where the next bias takes the mean back.

use super::quantise::{InputStatistics, SCALE_RANGE};
use super::samples::{mean, mean_square, Columns};

/// Ratio of two neighbouring candidates.
const RATIO: f64 = 0.95;
/// Candidates: down to 0.95^39 = 0.135 of the largest value.
const CANDIDATES: i32 = 40;
/// Samples that are enough to choose a zero point.
const COARSE_SAMPLES: usize = 256;

/// Range of an operand's integers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub least: f64,
    pub most: f64,
}

impl Range {
    /// A byte on the streaming side.
    pub const BYTE: Range = Range {
        least: -128.0,
        most: 127.0,
    };
    /// A byte on the stationary side.
    pub const STATIONARY: Range = Range {
        least: -127.0,
        most: 127.0,
    };

    /// A byte with a zero point.
    pub fn shifted(zero_point: i32) -> Self {
        let zero = f64::from(zero_point);
        Self {
            least: -128.0 - zero,
            most: 127.0 - zero,
        }
    }

    fn round(self, value: f64) -> f64 {
        value.round().clamp(self.least, self.most)
    }
}

/// Mean and mean square of what rounding with a step adds.
fn rounding_error(values: &[f64], step: f64, range: Range) -> (f64, f64) {
    let inverse = 1.0 / step;
    let (mut sum, mut squares) = (0.0, 0.0);
    for &v in values {
        let e = range.round(v * inverse) * step - v;
        sum += e;
        squares += e * e;
    }
    let n = values.len().max(1) as f64;
    (sum / n, squares / n)
}

/// Variance of what rounding with a step adds.
fn variance(values: &[f64], step: f64, range: Range) -> f64 {
    let (mean, square) = rounding_error(values, step, range);
    square - mean * mean
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m: f64, v| m.max(v.abs()))
}

/// The candidate of least cost below a step that holds everything.
fn search(whole: f64, mut cost: impl FnMut(f64) -> f64) -> f64 {
    let mut best = (f64::INFINITY, whole);
    for i in 0..CANDIDATES {
        let step = whole * RATIO.powi(i);
        let found = cost(step);
        if found < best.0 {
            best = (found, step);
        }
    }
    best.1
}

/// One step for all channels, whose errors count with their importance and without their mean.
pub fn tensor_step(columns: &Columns, importance: &[f64], range: Range) -> f64 {
    let most = columns.iter().map(largest).fold(0.0, f64::max);
    if most == 0.0 {
        return 1.0 / range.most;
    }
    let cost = |step: f64| -> f64 {
        let channels = columns.iter().zip(importance);
        channels
            .filter(|(_, weight)| **weight > 0.0)
            .map(|(values, weight)| weight * variance(values, step, range))
            .sum()
    };
    search(most / range.most, cost)
}

/// A step for each channel; channels that never move get the largest one.
pub fn channel_steps(columns: &Columns, range: Range) -> Vec<f64> {
    let one = |values: &[f64]| match largest(values) {
        0.0 => 0.0,
        most => search(most / range.most, |step| rounding_error(values, step, range).1),
    };
    positive(columns.iter().map(one).collect())
}

/// Replaces zero by the largest step, or by one if there is none.
fn positive(mut steps: Vec<f64>) -> Vec<f64> {
    let most = largest(&steps);
    let fill = if most > 0.0 { most } else { 1.0 };
    steps.iter_mut().filter(|s| **s == 0.0).for_each(|s| *s = fill);
    steps
}

/// The zero point of least error, and a step for each channel; each entry of `groups` has its own channels and importances.
///
/// One shift serves the factors of all groups. A nearly dead channel would set it and leave the others no bits, so that no step
/// is smaller than a share of the largest: such a channel rounds to zero, which is what it is beside the others.
pub fn shifted_steps(groups: &[(Columns, Vec<f64>)]) -> (Vec<Vec<f64>>, i32) {
    const BELOW_ZERO: [i32; 9] = [3, 5, 8, 12, 17, 24, 34, 48, 66];
    let coarse: Vec<(Columns, &Vec<f64>)> = groups
        .iter()
        .map(|(columns, importance)| (columns.thinned(COARSE_SAMPLES), importance))
        .collect();
    let cost = |zero_point: i32| -> f64 {
        let range = Range::shifted(zero_point);
        let channel = |(values, weight): (&[f64], &f64)| {
            let step = shifted_step(values, range);
            weight * variance(values, step, range)
        };
        let group = |(columns, importance): &(Columns, &Vec<f64>)| -> f64 {
            columns.iter().zip(importance.iter()).map(channel).sum()
        };
        coarse.iter().map(group).sum()
    };
    let costs = BELOW_ZERO.map(|below| (cost(below - 128), below - 128));
    let best = costs.iter().fold(
        (f64::INFINITY, -120),
        |best, &next| if next.0 < best.0 { next } else { best },
    );
    let range = Range::shifted(best.1);
    let steps = |(columns, _): &(Columns, Vec<f64>)| -> Vec<f64> {
        columns.iter().map(|values| shifted_step(values, range)).collect()
    };
    let steps: Vec<Vec<f64>> = groups.iter().map(steps).collect();
    let least = largest(&steps.concat()) / SCALE_RANGE;
    let legal = |steps: Vec<f64>| positive(steps).into_iter().map(|s| s.max(least)).collect();
    (steps.into_iter().map(legal).collect(), best.1)
}

/// The step of least variance for a channel; zero if it never moves.
fn shifted_step(values: &[f64], range: Range) -> f64 {
    let above = values.iter().fold(0.0, |m: f64, v| m.max(v / range.most));
    let whole = values.iter().fold(above, |m: f64, v| m.max(v / range.least));
    if whole == 0.0 {
        return 0.0;
    }
    search(whole, |step| variance(values, step, range))
}

/// Steps of queries and keys of one head.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreSteps {
    pub query: Vec<f64>,
    pub key: Vec<f64>,
    /// Product of the two, the same for every channel.
    pub product: f64,
}

/// Balances each channel's steps of queries and keys, whose product must be one number for the head.
///
/// An error of a query counts with the keys' mean square and the other way round.
pub fn score_steps(query: &Columns, key: &Columns) -> ScoreSteps {
    let channels: Vec<Pair> = query
        .iter()
        .zip(key.iter())
        .map(|(q, k)| Pair::new(q, k))
        .collect();
    let whole = channels.iter().map(|p| p.whole()).fold(0.0, f64::max);
    let whole = if whole > 0.0 { whole } else { 1.0 };
    let cost = |product: f64| {
        channels
            .iter()
            .map(|p| p.cost(p.query_step(product), product))
            .sum()
    };
    let product = search(whole, cost);
    let steps: Vec<f64> = channels.iter().map(|p| p.query_step(product)).collect();
    ScoreSteps {
        key: steps.iter().map(|q| product / q).collect(),
        query: steps,
        product,
    }
}

/// A channel of queries and keys.
struct Pair<'a> {
    query: &'a [f64],
    key: &'a [f64],
    query_square: f64,
    key_square: f64,
    query_most: f64,
    key_most: f64,
}

impl<'a> Pair<'a> {
    fn new(query: &'a [f64], key: &'a [f64]) -> Self {
        Self {
            query,
            key,
            query_square: mean_square(query),
            key_square: mean_square(key),
            query_most: largest(query) / 127.0,
            key_most: largest(key) / 127.0,
        }
    }

    /// Product of the steps that hold everything.
    fn whole(&self) -> f64 {
        self.query_most * self.key_most
    }

    /// The query's step: equal shares of the score's error where nothing is clipped, else both sides clipped alike.
    fn query_step(&self, product: f64) -> f64 {
        let whole = self.whole();
        if whole == 0.0 {
            return product.sqrt();
        }
        if product < whole {
            return self.query_most * (product / whole).sqrt();
        }
        let equal = product.sqrt() * (self.query_square / self.key_square).powf(0.25);
        // At equality rounding may put the bounds in the wrong order.
        equal.max(self.query_most).min(product / self.key_most)
    }

    fn cost(&self, query_step: f64, product: f64) -> f64 {
        let query = rounding_error(self.query, query_step, Range::BYTE).1;
        let key = rounding_error(self.key, product / query_step, Range::STATIONARY).1;
        query * self.key_square + key * self.query_square
    }
}

/// What calibration knows about a layer's integer inputs.
pub fn statistics(columns: &Columns, steps: &[f64], range: Range) -> InputStatistics {
    let mut all = InputStatistics::default();
    for (values, step) in columns.iter().zip(steps) {
        let rounded: Vec<f64> = values.iter().map(|v| range.round(v / step)).collect();
        all.mean.push(mean(values) / step);
        all.rounded_mean.push(mean(&rounded));
        all.square.push(mean_square(&rounded).max(1e-6));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiler::multiplier::Multipliers;

    /// Roughly normal values from sums of a low-discrepancy sequence.
    fn normal(count: usize, size: f64, seed: f64) -> Vec<f64> {
        let term =
            |i: usize, k: usize| (i as f64 * 0.754_877_666 + k as f64 * 0.569_840_29 + seed).fract() - 0.5;
        let one = |i: usize| (0..12).map(|k| term(i * 12 + k, k)).sum::<f64>() * size;
        (0..count).map(one).collect()
    }

    #[test]
    fn a_lonely_outlier_is_clipped() {
        let nibble = Range {
            least: -8.0,
            most: 7.0,
        };
        let mut values = normal(2_000, 1.0, 0.1);
        values[7] = 9.0;
        let step = channel_steps(&Columns::new([values]), nibble)[0];
        assert!(step < 0.7 * 9.0 / 7.0, "{step}");
    }

    #[test]
    fn a_constant_outlier_channel_costs_nothing_because_its_mean_comes_back() {
        let columns = Columns::new([normal(500, 1.0, 0.2), vec![-13.0; 500]]);
        let step = tensor_step(&columns, &[1.0, 1.0], Range::BYTE);
        assert!(step < 5.0 / 127.0, "{step}");
        let stats = statistics(&columns, &[step; 2], Range::BYTE);
        assert!((stats.mean[1] * step + 13.0).abs() < 1e-9 && stats.rounded_mean[1] == -128.0);
    }

    #[test]
    fn the_zero_point_uses_the_whole_byte() {
        let gelu = |x: f64| x * 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
        let channel = |size, seed| normal(600, size, seed).into_iter().map(gelu).collect::<Vec<_>>();
        let columns = Columns::new([channel(1.0, 0.1), channel(2.0, 0.7)]);
        let (steps, zero) = shifted_steps(&[(columns.clone(), vec![1.0; 2])]);
        for (values, step) in columns.iter().zip(&steps[0]) {
            let error = variance(values, *step, Range::shifted(zero));
            let symmetric = search(largest(values) / 127.0, |s| variance(values, s, Range::BYTE));
            let plain = variance(values, symmetric, Range::BYTE);
            assert!(error < 0.75 * plain, "{error} {plain}");
        }
        assert!((-125..-90).contains(&zero), "{zero}");
    }

    #[test]
    fn queries_and_keys_share_one_product() {
        let query = Columns::new((0..4).map(|c| normal(400, 0.5 + f64::from(c), 0.1 * f64::from(c))));
        let key = Columns::new((0..4).map(|c| normal(400, 4.0 - f64::from(c), 0.3 * f64::from(c))));
        let steps = score_steps(&query, &key);
        for c in 0..4 {
            assert!((steps.query[c] * steps.key[c] / steps.product - 1.0).abs() < 1e-12);
            let (q, k) = (largest(query.channel(c)), largest(key.channel(c)));
            assert!(
                steps.query[c] * 127.0 > 0.5 * q && steps.key[c] * 127.0 > 0.5 * k,
                "{c}"
            );
        }
    }

    #[test]
    fn a_nearly_dead_channel_leaves_the_others_their_factors() {
        let gelu = |x: f64| x * 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
        let live = |seed| normal(600, 1.0, seed).into_iter().map(gelu).collect::<Vec<_>>();
        let weights = vec![1.0; 2];
        let wanted = shifted_steps(&[(Columns::new([live(0.1), live(0.7)]), weights.clone())]).0[0][0];
        // Beside it in its own MLP, and in another expert.
        for size in [1e-12, 1e-8, 1e-6, 1e-4] {
            let dead = normal(600, size, 0.3);
            let groups = [
                (Columns::new([live(0.1), dead.clone()]), weights.clone()),
                (Columns::new([dead, live(0.7)]), weights.clone()),
            ];
            let (steps, _) = shifted_steps(&groups);
            let steps = steps.concat();
            let ratios: Vec<f64> = steps.iter().map(|step| 2f64.powi(-15) / step).collect();
            let factors = Multipliers::fit(&ratios).unwrap();
            for channel in [0, 3] {
                let step = 2f64.powi(-15) / factors.ratio(channel);
                assert!((0.5..2.0).contains(&(step / wanted)), "{size}: {step} {wanted}");
                assert!(factors.mantissas[channel] >= 8, "{size}: {factors:?}");
            }
        }
    }

    #[test]
    fn silent_channels_get_a_step() {
        let columns = Columns::new([vec![0.0; 10], normal(10, 1.0, 0.4)]);
        let steps = channel_steps(&columns, Range::STATIONARY);
        assert_eq!(steps[0], steps[1]);
        assert!(channel_steps(&Columns::new([vec![0.0; 3]]), Range::BYTE)[0] > 0.0);
        let scores = score_steps(&columns, &columns);
        assert!(scores
            .query
            .iter()
            .chain(&scores.key)
            .all(|s| s.is_finite() && *s > 0.0));
    }
}
