//! ZFNet (Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", figure 3): AlexNet with smaller
//! and denser first filters.

use super::alexnet::respond;
use crate::error::Result;
use crate::graph::Tensor;
use crate::ops::Pool2d;
use crate::ops::conv2d::Conv2d;

/// The logits `[N, classes]` of images `[N, C, H, W]` of about 224x224: the sizes of the maps are the figure's then, 110, 55,
/// 26, 13 and 6. Contrast is normalised as in AlexNet, since the paper gives no constants of its own.
///
/// # Errors
/// When the images are not f32 of rank 4, are too small, or the graph already has layers of these names.
pub fn zfnet(x: Tensor<'_>, classes: usize) -> Result<Tensor<'_>> {
    let pool = Pool2d::new(3).stride(2).ceil_mode(true);
    let x = x.conv2d("conv1", Conv2d::new(96, 7).stride(2).padding(1))?.relu()?;
    let x = respond(x.max_pool2d(pool)?)?.conv2d("conv2", Conv2d::new(256, 5).stride(2))?.relu()?;
    let x = respond(x.max_pool2d(pool)?)?.conv2d("conv3", Conv2d::new(384, 3).padding(1))?.relu()?;
    let x = x.conv2d("conv4", Conv2d::new(384, 3).padding(1))?.relu()?;
    let x = x.conv2d("conv5", Conv2d::new(256, 3).padding(1))?.relu()?;
    let x = x.max_pool2d(Pool2d::new(3).stride(2))?.adaptive_avg_pool2d(6)?.flatten()?;
    let x = x.dense("fc6", 4096)?.relu()?.dropout(0.5)?;
    x.dense("fc7", 4096)?.relu()?.dropout(0.5)?.dense("fc8", classes)
}
