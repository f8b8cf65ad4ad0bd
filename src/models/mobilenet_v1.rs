//! MobileNet (Howard et al. 2017, "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
//! table 1): every 3x3 convolution is split into one of each channel by itself and a 1x1 one that mixes them.

use super::{channels, normalized};
use crate::error::Result;
use crate::graph::Tensor;
use crate::ops::batch_norm::BatchNorm;
use crate::ops::conv2d::Conv2d;

/// The logits `[N, classes]` of images `[N, C, H, W]` of any size.
///
/// # Errors
/// When the images are not f32 of rank 4 or the graph already has layers of these names.
pub fn mobilenet_v1(x: Tensor<'_>, classes: usize) -> Result<Tensor<'_>> {
    // Output channels and stride of each pair.
    const PAIRS: [(usize, usize); 13] = [
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        (512, 1),
        (512, 1),
        (512, 1),
        (512, 1),
        (512, 1),
        (1024, 2),
        (1024, 1),
    ];
    let layer = |x, name: &str, settings| normalized(x, name, &format!("{name}_bn"), settings, BatchNorm::default());
    let mut x = layer(x, "conv1", Conv2d::new(32, 3).stride(2).padding(1))?.relu()?;
    for (number, (outputs, stride)) in (1..).zip(PAIRS) {
        let width = channels(x)?;
        let depthwise = Conv2d::new(width, 3).stride(stride).padding(1).groups(width);
        x = layer(x, &format!("block{number}.depthwise"), depthwise)?.relu()?;
        x = layer(x, &format!("block{number}.pointwise"), Conv2d::new(outputs, 1))?.relu()?;
    }
    x.global_avg_pool2d()?.flatten()?.dense("fc", classes)
}
