//! Residual networks (He et al. 2016, "Deep Residual Learning for Image Recognition", table 1), with the stride of a
//! bottleneck on its 3x3 convolution, as torchvision has them, and ResNeXt (Xie et al. 2017, "Aggregated Residual
//! Transformations for Deep Neural Networks", table 1), whose 3x3 convolutions have groups. With torchvision's parameter
//! names.

use super::normalized;
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::ops::Pool2d;
use crate::ops::batch_norm::BatchNorm;
use crate::ops::conv2d::Conv2d;

/// A residual network's shape. The default stem, a 7x7 convolution of stride 2 and a max pooling of stride 2, is made for
/// images of 224x224.
///
/// ```
/// use omma::models::ResNet;
/// use omma::{Graph, Mode};
///
/// let graph = Graph::new(Mode::Evaluation);
/// let images = graph.input("images", [1, 3, 224, 224])?;
/// let logits = ResNet::new(18)?.build(images, 1000)?;
/// assert_eq!(logits.shape().to_string(), "[1, 1000]");
/// assert_eq!(graph.parameter_count(), 11_689_512);
/// # Ok::<(), omma::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResNet {
    /// Blocks of each of the four stages.
    blocks: [usize; 4],
    /// Blocks of three convolutions, 1x1, 3x3 and 1x1, instead of two 3x3.
    bottleneck: bool,
    /// Groups of the 3x3 convolutions, and the channels of each in the first stage.
    groups: usize,
    group_width: usize,
    small: bool,
}

impl ResNet {
    /// The network of 18, 34, 50, 101 or 152 layers.
    ///
    /// # Errors
    /// When there is none of that depth.
    pub fn new(layers: usize) -> Result<Self> {
        let (blocks, bottleneck) = match layers {
            18 => ([2, 2, 2, 2], false),
            34 => ([3, 4, 6, 3], false),
            50 => ([3, 4, 6, 3], true),
            101 => ([3, 4, 23, 3], true),
            152 => ([3, 8, 36, 3], true),
            _ => return Err(Error::argument("resnet", format!("18, 34, 50, 101 or 152 layers, not {layers}"))),
        };
        Ok(Self { blocks, bottleneck, groups: 1, group_width: 64, small: false })
    }

    /// ResNeXt-50 (32x4d): ResNet-50 with 32 groups of 4 channels and more.
    pub fn resnext50() -> Self {
        Self { blocks: [3, 4, 6, 3], bottleneck: true, groups: 32, group_width: 4, small: false }
    }

    /// A stem for images of about 32x32, as the paper's section 4.2 has it: a 3x3 convolution of stride 1, no pooling.
    pub fn small_images(mut self) -> Self {
        self.small = true;
        self
    }

    /// The logits `[N, classes]` of images `[N, C, H, W]` of any size.
    ///
    /// # Errors
    /// When the images are not f32 of rank 4 or the graph already has layers of these names.
    pub fn build<'g>(&self, x: Tensor<'g>, classes: usize) -> Result<Tensor<'g>> {
        const WIDTHS: [usize; 4] = [64, 128, 256, 512];
        let stem = if self.small { Conv2d::new(64, 3).padding(1) } else { Conv2d::new(64, 7).stride(2).padding(3) };
        let mut x = normalized(x, "conv1", "bn1", stem, BatchNorm::default())?.relu()?;
        if !self.small {
            x = x.max_pool2d(Pool2d::new(3).stride(2).padding(1))?;
        }
        for (stage, (&blocks, width)) in (1..).zip(self.blocks.iter().zip(WIDTHS)) {
            for block in 0..blocks {
                let stride = if block == 0 && stage > 1 { 2 } else { 1 };
                x = self.block(x, &format!("layer{stage}.{block}"), width, stride)?;
            }
        }
        x.global_avg_pool2d()?.flatten()?.dense("fc", classes)
    }

    /// Convolutions around which x is added, scaled down by a convolution of its own where the shapes differ.
    fn block<'g>(&self, x: Tensor<'g>, name: &str, width: usize, stride: usize) -> Result<Tensor<'g>> {
        const EXPANSION: usize = 4;
        let outputs = if self.bottleneck { EXPANSION * width } else { width };
        let width = width * self.groups * self.group_width / 64;
        let across = |stride: usize| Conv2d::new(width, 3).stride(stride).padding(1).groups(self.groups);
        let convolutions = match self.bottleneck {
            true => vec![Conv2d::new(width, 1), across(stride), Conv2d::new(outputs, 1)],
            false => vec![across(stride), across(1)],
        };
        let (plain, last) = (BatchNorm::default(), convolutions.len());
        let mut y = x;
        for (number, settings) in (1..).zip(convolutions) {
            y = normalized(y, &format!("{name}.conv{number}"), &format!("{name}.bn{number}"), settings, plain)?;
            if number < last {
                y = y.relu()?;
            }
        }
        let skip = match x.shape()[1] == outputs && stride == 1 {
            true => x,
            false => {
                let settings = Conv2d::new(outputs, 1).stride(stride);
                normalized(x, &format!("{name}.downsample.0"), &format!("{name}.downsample.1"), settings, plain)?
            }
        };
        y.add(skip)?.relu()
    }
}
