//! Runs the golden model over the calibration images and tasks and keeps samples of every value that gets a scale.

use std::collections::HashMap;

use rayon::prelude::*;

use super::error::CompileError;
use super::samples::{Columns, Samples};
use crate::golden::{Golden, Site};
use crate::model::Image;

/// Rows that are kept of each place.
pub const SAMPLE_ROWS: usize = 2_048;

/// A place in the network; heads of different tasks are different places.
type Place = (Site, usize, usize);

/// Samples of all places.
#[derive(Clone, Debug, Default)]
pub struct Calibration {
    places: HashMap<Place, Samples>,
    residual_most: f64,
    images: usize,
}

/// What one run showed, in order.
type Shown = Vec<(Place, usize, Vec<f32>)>;

impl Calibration {
    /// Runs every image for every task.
    pub fn run(golden: &Golden, images: &[Image]) -> Result<Self, CompileError> {
        if images.is_empty() {
            return Err(CompileError::Calibration("there is no image".into()));
        }
        let tasks = golden.architecture().tasks.len();
        let runs: Vec<(&Image, usize)> = images
            .iter()
            .flat_map(|image| (0..tasks).map(move |task| (image, task)))
            .collect();
        let mut all = Self {
            images: images.len(),
            ..Self::default()
        };
        // A few runs at a time: what they show is large, and the samples are drawn in a fixed order.
        for some in runs.chunks(rayon::current_num_threads()) {
            let shown: Result<Vec<Shown>, CompileError> = some
                .par_iter()
                .map(|(image, task)| observe(golden, image, *task))
                .collect();
            shown?.into_iter().flatten().for_each(|entry| all.add(entry));
        }
        Ok(all)
    }

    fn add(&mut self, (place, channels, values): (Place, usize, Vec<f32>)) {
        if let Site::Residual(_) = place.0 {
            let most = values.iter().fold(0.0, |m: f32, v| m.max(v.abs()));
            self.residual_most = self.residual_most.max(most.into());
            return;
        }
        self.places
            .entry(place)
            .or_insert_with(|| Samples::new(channels, SAMPLE_ROWS))
            .add(&values);
    }

    /// Largest magnitude of the residual stream.
    pub fn residual_most(&self) -> f64 {
        self.residual_most
    }

    /// Images that were run.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Samples of a place; an expert that nobody chose has none.
    pub fn samples(&self, site: Site, block: usize) -> Option<&Samples> {
        self.places.get(&(site, block, 0))
    }

    /// Samples of a place, by channel; none for an expert that nobody chose.
    pub fn columns(&self, site: Site, block: usize) -> Columns {
        self.samples(site, block)
            .map_or_else(Columns::default, Samples::columns)
    }

    /// Samples in front of a task's head.
    pub fn head(&self, depth: usize, task: usize) -> Columns {
        self.places
            .get(&(Site::HeadNormalised, depth, task))
            .map_or_else(Columns::default, Samples::columns)
    }
}

fn observe(golden: &Golden, image: &Image, task: usize) -> Result<Shown, CompileError> {
    let mut shown = Shown::new();
    let mut observer = |site: Site, block: usize, values: &[f32], channels: usize| {
        if is_kept(site) {
            let task = if site == Site::HeadNormalised { task } else { 0 };
            shown.push(((site, block, task), channels, values.to_vec()));
        }
    };
    golden
        .run_observed(image, task, None, &mut observer)
        .map_err(|e| CompileError::Calibration(e.to_string()))?;
    Ok(shown)
}

fn is_kept(site: Site) -> bool {
    matches!(
        site,
        Site::Normalised1
            | Site::Normalised2
            | Site::HeadNormalised
            | Site::Query
            | Site::Key
            | Site::Value
            | Site::Context
            | Site::Activation { .. }
            | Site::Residual(_)
    )
}
