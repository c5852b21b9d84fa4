//! What a model is: its architecture, its weights, its images and its metrics.

pub mod architecture;
pub mod checkpoint;
pub mod dataset;
pub mod image;
pub mod metric;
mod synthetic;
pub mod tensor;
pub mod weights;

pub use architecture::Architecture;
pub use dataset::Dataset;
pub use image::{Image, LabelMap};
pub use tensor::Tensor;
pub use weights::Model;
