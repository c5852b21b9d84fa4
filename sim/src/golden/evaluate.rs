//! Judges the golden model on a test set, images in parallel.

use anyhow::Context;
use rayon::prelude::*;

use super::Golden;
use crate::model::metric::Tally;
use crate::model::Dataset;

impl Golden {
    /// The tally of a task over all images of a test set.
    pub fn evaluate(&self, set: &Dataset, task: usize) -> anyhow::Result<Tally> {
        let architecture = self.architecture();
        let targets = set.targets(architecture, task)?;
        let empty = Tally::new(architecture, task).map_err(anyhow::Error::msg)?;
        let judge = |index: usize| -> anyhow::Result<Tally> {
            let output = self.run(&set.images[index], task, None)?;
            let mut tally = empty.clone();
            tally
                .add(&output.logits, &targets[index], architecture, task)
                .map_err(anyhow::Error::msg)
                .with_context(|| format!("image {index}"))?;
            Ok(tally)
        };
        let tallies: Vec<Tally> = (0..set.images.len())
            .into_par_iter()
            .map(judge)
            .collect::<Result<_, _>>()?;
        tallies.iter().try_fold(empty, |mut sum, tally| {
            sum.merge(tally).map_err(anyhow::Error::msg)?;
            Ok(sum)
        })
    }
}
