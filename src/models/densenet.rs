//! Densely connected networks (Huang et al. 2017, "Densely Connected Convolutional Networks", table 1): every layer sees
//! the maps of all before it in its block. With torchvision's parameter names.

use super::normalized;
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::ops::Pool2d;
use crate::ops::batch_norm::BatchNorm;
use crate::ops::conv2d::Conv2d;

/// A dense network's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DenseNet {
    /// Layers of each of the four blocks.
    blocks: [usize; 4],
}

/// Maps that each layer adds.
const GROWTH: usize = 32;

impl DenseNet {
    /// The network of 121, 169 or 201 layers.
    ///
    /// # Errors
    /// When there is none of that depth.
    pub fn new(layers: usize) -> Result<Self> {
        let blocks = match layers {
            121 => [6, 12, 24, 16],
            169 => [6, 12, 32, 32],
            201 => [6, 12, 48, 32],
            _ => return Err(Error::argument("densenet", format!("expected 121, 169 or 201 layers, got {layers}"))),
        };
        Ok(Self { blocks })
    }

    /// The logits `[N, classes]` of images `[N, C, H, W]` of any size.
    ///
    /// # Errors
    /// When the images are not f32 of rank 4, are too small, or the graph already has layers of these names.
    pub fn build<'g>(&self, x: Tensor<'g>, classes: usize) -> Result<Tensor<'g>> {
        let stem = Conv2d::new(2 * GROWTH, 7).stride(2).padding(3);
        let x = normalized(x, "features.conv0", "features.norm0", stem, BatchNorm::default())?.relu()?;
        let mut x = x.max_pool2d(Pool2d::new(3).stride(2).padding(1))?;
        for (number, layers) in (1..).zip(self.blocks) {
            for layer in 1..=layers {
                let new = dense_layer(x, &format!("features.denseblock{number}.denselayer{layer}"))?;
                x = x.graph().concat(&[x, new], 1)?;
            }
            if number < self.blocks.len() {
                let name = format!("features.transition{number}");
                let half = Conv2d::new(super::channels(x)? / 2, 1).without_bias();
                x = x.batch_norm(&format!("{name}.norm"), BatchNorm::default())?.relu()?;
                x = x.conv2d(&format!("{name}.conv"), half)?.avg_pool2d(2)?;
            }
        }
        let x = x.batch_norm("features.norm5", BatchNorm::default())?.relu()?;
        x.global_avg_pool2d()?.flatten()?.dense("classifier", classes)
    }
}

/// The new maps: a 1x1 convolution brings the many channels down before the 3x3 one.
fn dense_layer<'g>(x: Tensor<'g>, name: &str) -> Result<Tensor<'g>> {
    let x = x.batch_norm(&format!("{name}.norm1"), BatchNorm::default())?.relu()?;
    let [convolution, norm] = ["conv1", "norm2"].map(|layer| format!("{name}.{layer}"));
    let x = normalized(x, &convolution, &norm, Conv2d::new(4 * GROWTH, 1), BatchNorm::default())?.relu()?;
    x.conv2d(&format!("{name}.conv2"), Conv2d::new(GROWTH, 3).padding(1).without_bias())
}
