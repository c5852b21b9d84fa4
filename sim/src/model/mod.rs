//! What a model is: its architecture, its weights, its images and its metrics.

pub mod architecture;
