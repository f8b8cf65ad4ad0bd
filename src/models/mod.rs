//! Networks made of the graph's operations.

mod lenet5;
mod resnet;

pub use lenet5::lenet5;
pub use resnet::ResNet;

use crate::error::Result;
use crate::graph::Tensor;

/// A classifier that can be asked for by name.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    /// Its name on the command line.
    pub name: &'static str,
    /// The image size it takes: height and width.
    pub image_size: [usize; 2],
    /// From images `[N, C, H, W]` and the number of classes to logits `[N, classes]`.
    pub build: for<'g> fn(Tensor<'g>, usize) -> Result<Tensor<'g>>,
}

/// Every model.
pub const MODELS: &[Model] = &[Model { name: "lenet5", image_size: [28, 28], build: lenet5 }];
