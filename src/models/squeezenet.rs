//! SqueezeNet (Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
//! table 1) and its lighter release 1.1, with torchvision's parameter names.

use crate::error::Result;
use crate::graph::Tensor;
use crate::ops::Pool2d;
use crate::ops::conv2d::Conv2d;

/// Which release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqueezeNet {
    /// The paper's.
    V1_0,
    /// Smaller first filters and earlier poolings: 2.4 times less arithmetic.
    V1_1,
}

/// A layer between the first convolution and the classifier.
enum Layer {
    Pool,
    /// Channels of the squeezing convolution, and of each of the two that expand.
    Fire(usize, usize),
}

impl SqueezeNet {
    /// The logits `[N, classes]` of images `[N, C, H, W]` of any size.
    ///
    /// # Errors
    /// When the images are not f32 of rank 4, are too small, or the graph already has layers of these names.
    pub fn build<'g>(self, x: Tensor<'g>, classes: usize) -> Result<Tensor<'g>> {
        use Layer::{Fire, Pool};
        let (stem, layers) = match self {
            Self::V1_0 => {
                let layers = [
                    Pool,
                    Fire(16, 64),
                    Fire(16, 64),
                    Fire(32, 128),
                    Pool,
                    Fire(32, 128),
                    Fire(48, 192),
                    Fire(48, 192),
                    Fire(64, 256),
                    Pool,
                    Fire(64, 256),
                ];
                (Conv2d::new(96, 7), layers)
            }
            Self::V1_1 => {
                let layers = [
                    Pool,
                    Fire(16, 64),
                    Fire(16, 64),
                    Pool,
                    Fire(32, 128),
                    Fire(32, 128),
                    Pool,
                    Fire(48, 192),
                    Fire(48, 192),
                    Fire(64, 256),
                    Fire(64, 256),
                ];
                (Conv2d::new(64, 3), layers)
            }
        };
        let mut x = x.conv2d("features.0", stem.stride(2))?.relu()?;
        // Number 1 is the activation.
        for (number, layer) in (2..).zip(layers) {
            x = match layer {
                Pool => x.max_pool2d(Pool2d::new(3).stride(2).ceil_mode(true))?,
                Fire(squeeze, expand) => fire(x, &format!("features.{number}"), squeeze, expand)?,
            };
        }
        x.dropout(0.5)?.conv2d("classifier.1", Conv2d::new(classes, 1))?.relu()?.global_avg_pool2d()?.flatten()
    }
}

/// Few channels, then many again, half of them seen through 3x3.
fn fire<'g>(x: Tensor<'g>, name: &str, squeeze: usize, expand: usize) -> Result<Tensor<'g>> {
    let x = x.conv2d(&format!("{name}.squeeze"), Conv2d::new(squeeze, 1))?.relu()?;
    let small = x.conv2d(&format!("{name}.expand1x1"), Conv2d::new(expand, 1))?.relu()?;
    let large = x.conv2d(&format!("{name}.expand3x3"), Conv2d::new(expand, 3).padding(1))?.relu()?;
    x.graph().concat(&[small, large], 1)
}
