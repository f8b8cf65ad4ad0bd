//! EfficientNet-B0 (Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", table 1),
//! with torchvision's parameter names.

use super::blocks::{Activation, Inverted, branch, layer};
use super::channels;
use crate::error::Result;
use crate::graph::{Mode, Tensor};
use crate::ops::batch_norm::BatchNorm;
use crate::ops::conv2d::Conv2d;

/// Expansion, kernel, stride of the first, output channels and repetitions.
const STAGES: [[usize; 5]; 7] = [
    [1, 3, 1, 16, 1],
    [6, 3, 2, 24, 2],
    [6, 5, 2, 40, 2],
    [6, 3, 2, 80, 3],
    [6, 5, 1, 112, 3],
    [6, 5, 2, 192, 4],
    [6, 3, 1, 320, 1],
];

/// The share of examples that the last block leaves out in training; the blocks before it leave out fewer.
const STOCHASTIC_DEPTH: f32 = 0.2;

/// The logits `[N, classes]` of images `[N, C, H, W]` of any size. In training, blocks are left out at random for single
/// examples (Huang et al. 2016, "Deep Networks with Stochastic Depth").
///
/// # Errors
/// When the images are not f32 of rank 4 or the graph already has layers of these names.
pub fn efficientnet_b0(x: Tensor<'_>, classes: usize) -> Result<Tensor<'_>> {
    let batch_norm = BatchNorm::default();
    let total: usize = STAGES.iter().map(|[.., repetitions]| repetitions).sum();
    let stem = Conv2d::new(32, 3).stride(2).padding(1);
    let mut x = layer(x, "features.0", stem, batch_norm, Activation::Silu)?;
    let mut number = 0;
    for (stage, [expansion, kernel, first, outputs, repetitions]) in (1..).zip(STAGES) {
        for repetition in 0..repetitions {
            let inputs = channels(x)?;
            let block = Inverted {
                kernel,
                width: expansion * inputs,
                outputs,
                stride: if repetition == 0 { first } else { 1 },
                squeezed: Some((inputs / 4).max(1)),
                activation: Activation::Silu,
                gate: Activation::Sigmoid,
                batch_norm,
            };
            let (y, skip) = branch(x, &format!("features.{stage}.{repetition}"), &block)?;
            x = match skip {
                Some(x) => thinned(y, STOCHASTIC_DEPTH * number as f32 / total as f32)?.add(x)?,
                None => y,
            };
            number += 1;
        }
    }
    let x = layer(x, "features.8", Conv2d::new(1280, 1), batch_norm, Activation::Silu)?;
    x.global_avg_pool2d()?.flatten()?.dropout(0.2)?.dense("classifier.1", classes)
}

/// Zeros for a share of the examples, the others scaled up.
fn thinned(x: Tensor<'_>, share: f32) -> Result<Tensor<'_>> {
    if share == 0.0 || x.graph().mode() == Mode::Evaluation {
        return Ok(x);
    }
    x.multiply(x.graph().constant(1.0, [x.shape()[0], 1, 1, 1])?.dropout(share)?)
}
