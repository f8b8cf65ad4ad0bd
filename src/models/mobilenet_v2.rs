//! MobileNetV2 (Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", table 2), with torchvision's
//! parameter names.

use super::blocks::{Activation, layer};
use super::{channels, normalized};
use crate::error::Result;
use crate::graph::Tensor;
use crate::ops::batch_norm::BatchNorm;
use crate::ops::conv2d::Conv2d;

/// The logits `[N, classes]` of images `[N, C, H, W]` of any size.
///
/// # Errors
/// When the images are not f32 of rank 4 or the graph already has layers of these names.
pub fn mobilenet_v2(x: Tensor<'_>, classes: usize) -> Result<Tensor<'_>> {
    // Expansion, output channels, repetitions and stride of the first.
    const STAGES: [[usize; 4]; 7] =
        [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];
    let layer = |x, name: &str, settings| layer(x, name, settings, BatchNorm::default(), Activation::Relu6);
    let mut x = layer(x, "features.0", Conv2d::new(32, 3).stride(2).padding(1))?;
    let mut number = 1;
    for [expansion, outputs, repetitions, first] in STAGES {
        for repetition in 0..repetitions {
            let stride = if repetition == 0 { first } else { 1 };
            x = inverted_residual(x, &format!("features.{number}.conv"), expansion, outputs, stride)?;
            number += 1;
        }
    }
    let x = layer(x, &format!("features.{number}"), Conv2d::new(1280, 1))?;
    x.global_avg_pool2d()?.flatten()?.dropout(0.2)?.dense("classifier.1", classes)
}

/// Many channels between few: they are seen through 3x3 one by one, and the sum joins the few without an activation.
fn inverted_residual<'g>(
    x: Tensor<'g>,
    name: &str,
    expansion: usize,
    outputs: usize,
    stride: usize,
) -> Result<Tensor<'g>> {
    let layer = |x, name: &str, settings| layer(x, name, settings, BatchNorm::default(), Activation::Relu6);
    let inputs = channels(x)?;
    let width = inputs * expansion;
    let mut y = x;
    let mut number = 0;
    if expansion > 1 {
        y = layer(y, &format!("{name}.{number}"), Conv2d::new(width, 1))?;
        number += 1;
    }
    let depthwise = Conv2d::new(width, 3).stride(stride).padding(1).groups(width);
    y = layer(y, &format!("{name}.{number}"), depthwise)?;
    number += 1;
    let [convolution, norm] = [number, number + 1].map(|number| format!("{name}.{number}"));
    y = normalized(y, &convolution, &norm, Conv2d::new(outputs, 1), BatchNorm::default())?;
    if stride == 1 && inputs == outputs { y.add(x) } else { Ok(y) }
}
