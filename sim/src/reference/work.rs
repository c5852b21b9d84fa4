//! What a command has done.

/// Counts of one command, summed over the repetitions of an expert loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Times that the command ran; 0 if it is not for the task or no expert has a token.
    pub executions: u64,
    /// Multiply-accumulates of real rows on the array, padding of tiles included.
    pub macs: u64,
    /// Bytes put into the weight stream (Fetch) or taken out of it (Copy, MatMul).
    pub stream_bytes: u64,
    /// Results written.
    pub outputs: u64,
    /// Results that were cut to the range of their destination; of a Norm, those at the ends of the range.
    pub saturated: u64,
}

impl Work {
    /// Of the results, how many were cut.
    pub fn saturated_share(&self) -> f64 {
        self.saturated as f64 / self.outputs.max(1) as f64
    }

    /// Work that only moves bytes of the stream.
    pub(super) fn streamed(stream_bytes: u64) -> Self {
        Self {
            stream_bytes,
            ..Default::default()
        }
    }
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.executions += other.executions;
        self.macs += other.macs;
        self.stream_bytes += other.stream_bytes;
        self.outputs += other.outputs;
        self.saturated += other.saturated;
    }
}

impl std::iter::Sum for Work {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, work| {
            sum += work;
            sum
        })
    }
}
