//! Values that calibration saw at one place: a bounded random choice of rows, and the extremes of all of them.

/// Rows of values.
#[derive(Clone, Debug)]
pub struct Samples {
    channels: usize,
    limit: usize,
    seen: usize,
    random: u64,
    /// Kept rows, row-major while they are collected.
    rows: Vec<f32>,
    /// Largest magnitude of all rows.
    most: f32,
}

impl Samples {
    /// Keeps at most `limit` rows.
    pub fn new(channels: usize, limit: usize) -> Self {
        Self {
            channels,
            limit,
            seen: 0,
            random: 0x9e37_79b9_7f4a_7c15,
            rows: Vec::new(),
            most: 0.0,
        }
    }

    /// Adds whole rows; every row seen so far is equally likely to be kept.
    pub fn add(&mut self, values: &[f32]) {
        for row in values.chunks_exact(self.channels) {
            self.most = row.iter().fold(self.most, |m, v| m.max(v.abs()));
            if self.seen < self.limit {
                self.rows.extend(row);
            } else {
                let place = self.draw(self.seen + 1);
                if place < self.limit {
                    self.rows[place * self.channels..][..self.channels].copy_from_slice(row);
                }
            }
            self.seen += 1;
        }
    }

    /// Xorshift; below `end`.
    fn draw(&mut self, end: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % end as u64) as usize
    }

    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Kept rows.
    pub fn count(&self) -> usize {
        self.rows.len() / self.channels.max(1)
    }

    /// Largest magnitude of all rows, kept or not.
    pub fn most(&self) -> f64 {
        self.most.into()
    }

    /// A kept row.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.rows[row * self.channels..][..self.channels]
    }

    /// Values of each channel, in f64 and together.
    pub fn columns(&self) -> Columns {
        let mut values = vec![0.0; self.rows.len()];
        let count = self.count();
        for (r, row) in self.rows.chunks_exact(self.channels).enumerate() {
            for (c, &v) in row.iter().enumerate() {
                values[c * count + r] = v.into();
            }
        }
        Columns { count, values }
    }
}

/// Samples by channel.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    count: usize,
    values: Vec<f64>,
}

impl Columns {
    /// From the values of each channel, equally many.
    pub fn new(channels: impl IntoIterator<Item = Vec<f64>>) -> Self {
        let mut columns = Self::default();
        for channel in channels {
            columns.count = channel.len();
            columns.values.extend(channel);
        }
        columns
    }

    pub fn channels(&self) -> usize {
        self.values.len().checked_div(self.count).unwrap_or(0)
    }

    pub fn channel(&self, channel: usize) -> &[f64] {
        &self.values[channel * self.count..][..self.count]
    }

    pub fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.count.max(1))
    }

    /// The channels of a range.
    pub fn select(&self, range: std::ops::Range<usize>) -> Self {
        let values = self.values[range.start * self.count..range.end * self.count].to_vec();
        Self {
            count: self.count,
            values,
        }
    }

    pub fn means(&self) -> Vec<f64> {
        self.iter().map(mean).collect()
    }

    /// Adds a constant to each channel.
    pub fn shifted(mut self, offsets: &[f64]) -> Self {
        for (channel, offset) in self.values.chunks_exact_mut(self.count.max(1)).zip(offsets) {
            channel.iter_mut().for_each(|v| *v += offset);
        }
        self
    }

    /// About `count` of the samples, evenly chosen.
    pub fn thinned(&self, count: usize) -> Self {
        let step = self.count.div_ceil(count.max(1)).max(1);
        Self::new(self.iter().map(|c| c.iter().step_by(step).copied().collect()))
    }
}

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

pub fn mean_square(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_reservoir_keeps_a_fair_choice() {
        let mut samples = Samples::new(2, 400);
        for i in 0..10_000 {
            samples.add(&[i as f32, -2.0 * i as f32]);
        }
        assert_eq!(
            (samples.count(), samples.channels(), samples.most()),
            (400, 2, 19_998.0)
        );
        let columns = samples.columns();
        assert!((mean(columns.channel(0)) - 5_000.0).abs() < 600.0);
        for row in 0..400 {
            assert_eq!(samples.row(row)[1], -2.0 * samples.row(row)[0]);
            assert_eq!(columns.channel(1)[row], f64::from(samples.row(row)[1]));
        }
    }

    #[test]
    fn columns_shift_select_and_thin() {
        let columns = Columns::new([vec![1.0, 2.0, 3.0, 4.0], vec![5.0, 6.0, 7.0, 8.0]]);
        let shifted = columns.clone().shifted(&[1.0, -1.0]);
        assert_eq!(shifted.means(), [3.5, 5.5]);
        assert_eq!(columns.select(1..2).channel(0), [5.0, 6.0, 7.0, 8.0]);
        assert_eq!(columns.thinned(2).channel(1), [5.0, 7.0]);
        assert_eq!((columns.channels(), Columns::default().channels()), (2, 0));
        assert_eq!(mean_square(&[3.0, 4.0]), 12.5);
    }
}
