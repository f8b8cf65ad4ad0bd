//! ShuffleNet (Zhang et al. 2018, "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices",
//! table 1) and ShuffleNet V2 (Ma et al. 2018, "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design",
//! table 5), the second with torchvision's parameter names.

use super::{channels, normalized};
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::ops::Pool2d;
use crate::ops::batch_norm::BatchNorm;
use crate::ops::conv2d::Conv2d;

/// Units of the three stages, of both networks.
const UNITS: [usize; 3] = [4, 8, 4];

/// The first network, at its full width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShuffleNetV1 {
    groups: usize,
    /// Output channels of the first stage; each further one has twice as many.
    width: usize,
}

impl ShuffleNetV1 {
    /// With 1, 2, 3, 4 or 8 groups in its 1x1 convolutions.
    ///
    /// # Errors
    /// When the paper has no such number.
    pub fn new(groups: usize) -> Result<Self> {
        let width = match groups {
            1 => 144,
            2 => 200,
            3 => 240,
            4 => 272,
            8 => 384,
            _ => return Err(Error::argument("shufflenet", format!("expected 1, 2, 3, 4 or 8 groups, got {groups}"))),
        };
        Ok(Self { groups, width })
    }

    /// The logits `[N, classes]` of images `[N, C, H, W]` of any size.
    ///
    /// # Errors
    /// When the images are not f32 of rank 4, are too small, or the graph already has layers of these names.
    pub fn build<'g>(&self, x: Tensor<'g>, classes: usize) -> Result<Tensor<'g>> {
        let x = layer(x, "conv1", "bn1", Conv2d::new(24, 3).stride(2).padding(1))?.relu()?;
        let mut x = x.max_pool2d(Pool2d::new(3).stride(2).padding(1))?;
        let mut width = self.width;
        for (stage, units) in (2..).zip(UNITS) {
            for unit in 0..units {
                x = self.unit(x, &format!("stage{stage}.{unit}"), width, unit == 0)?;
            }
            width *= 2;
        }
        x.global_avg_pool2d()?.flatten()?.dense("fc", classes)
    }

    /// A residual unit; the first of a stage halves the image and has x's average beside it instead of adding x.
    fn unit<'g>(&self, x: Tensor<'g>, name: &str, width: usize, first: bool) -> Result<Tensor<'g>> {
        let inputs = channels(x)?;
        let outputs = if first { width - inputs } else { width };
        let middle = width / 4;
        // Of so few channels as the stem has, the paper makes no groups.
        let groups = if inputs == 24 { 1 } else { self.groups };
        let named = |number: usize| (format!("{name}.conv{number}"), format!("{name}.bn{number}"));
        let layer = |x: Tensor<'g>, number: usize, settings: Conv2d| {
            let (convolution, norm) = named(number);
            layer(x, &convolution, &norm, settings)
        };
        let y = layer(x, 1, Conv2d::new(middle, 1).groups(groups))?.relu()?.channel_shuffle(groups)?;
        let stride = if first { 2 } else { 1 };
        let y = layer(y, 2, Conv2d::new(middle, 3).stride(stride).padding(1).groups(middle))?;
        let y = layer(y, 3, Conv2d::new(outputs, 1).groups(self.groups))?;
        if first {
            let x = x.avg_pool2d(Pool2d::new(3).stride(2).padding(1))?;
            return x.graph().concat(&[x, y], 1)?.relu();
        }
        y.add(x)?.relu()
    }
}

/// The logits `[N, classes]` of images `[N, C, H, W]` of any size, by ShuffleNet V2 at its full width.
///
/// # Errors
/// When the images are not f32 of rank 4, are too small, or the graph already has layers of these names.
pub fn shufflenet_v2(x: Tensor<'_>, classes: usize) -> Result<Tensor<'_>> {
    let x = layer(x, "conv1.0", "conv1.1", Conv2d::new(24, 3).stride(2).padding(1))?.relu()?;
    let mut x = x.max_pool2d(Pool2d::new(3).stride(2).padding(1))?;
    for ((stage, units), width) in (2..).zip(UNITS).zip([116, 232, 464]) {
        for unit in 0..units {
            x = unit_v2(x, &format!("stage{stage}.{unit}"), width / 2, unit == 0)?;
        }
    }
    let x = layer(x, "conv5.0", "conv5.1", Conv2d::new(1024, 1))?.relu()?;
    x.global_avg_pool2d()?.flatten()?.dense("fc", classes)
}

/// Half of the channels pass as they are; the first unit of a stage halves the image and computes both halves of all.
fn unit_v2<'g>(x: Tensor<'g>, name: &str, half: usize, first: bool) -> Result<Tensor<'g>> {
    let stride = if first { 2 } else { 1 };
    let depthwise = |channels: usize| Conv2d::new(channels, 3).stride(stride).padding(1).groups(channels);
    let layer = |x: Tensor<'g>, branch: usize, number: usize, settings: Conv2d| {
        layer(x, &format!("{name}.branch{branch}.{number}"), &format!("{name}.branch{branch}.{}", number + 1), settings)
    };
    let (left, right) = match first {
        true => {
            let left = layer(x, 1, 0, depthwise(channels(x)?))?;
            (layer(left, 1, 2, Conv2d::new(half, 1))?.relu()?, x)
        }
        false => (x.slice(1, 0, half as i64, 1)?, x.slice(1, half as i64, 2 * half as i64, 1)?),
    };
    let right = layer(right, 2, 0, Conv2d::new(half, 1))?.relu()?;
    let right = layer(right, 2, 3, depthwise(half))?;
    let right = layer(right, 2, 5, Conv2d::new(half, 1))?.relu()?;
    x.graph().concat(&[left, right], 1)?.channel_shuffle(2)
}

fn layer<'g>(x: Tensor<'g>, convolution: &str, norm: &str, settings: Conv2d) -> Result<Tensor<'g>> {
    normalized(x, convolution, norm, settings, BatchNorm::default())
}
