//! AlexNet (Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural Networks") in the form of
//! Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks": one tower, no response
//! normalisation, 64 filters in the first layer. That is torchvision's, and so are the parameters' names.

use crate::error::Result;
use crate::graph::Tensor;
use crate::ops::Pool2d;
use crate::ops::conv2d::Conv2d;

/// The network of 2012 itself: convolutions in the two groups that two devices computed, with response normalisation. The
/// logits `[N, classes]` of images `[N, C, H, W]` of about 227x227, from which the paper's sizes follow.
///
/// # Errors
/// When the images are not f32 of rank 4, are too small, or the graph already has layers of these names.
pub fn alexnet_2012(x: Tensor<'_>, classes: usize) -> Result<Tensor<'_>> {
    let pool = Pool2d::new(3).stride(2);
    let x = respond(x.conv2d("conv1", Conv2d::new(96, 11).stride(4))?.relu()?)?.max_pool2d(pool)?;
    let x = x.conv2d("conv2", Conv2d::new(256, 5).padding(2).groups(2))?.relu()?;
    let x = respond(x)?.max_pool2d(pool)?;
    let x = x.conv2d("conv3", Conv2d::new(384, 3).padding(1))?.relu()?;
    let x = x.conv2d("conv4", Conv2d::new(384, 3).padding(1).groups(2))?.relu()?;
    let x = x.conv2d("conv5", Conv2d::new(256, 3).padding(1).groups(2))?.relu()?.max_pool2d(pool)?;
    let x = x.adaptive_avg_pool2d(6)?.flatten()?;
    let x = x.dense("fc6", 4096)?.relu()?.dropout(0.5)?;
    x.dense("fc7", 4096)?.relu()?.dropout(0.5)?.dense("fc8", classes)
}

/// The paper's response normalisation, over five maps with k = 2, alpha = 1e-4 of the sum and beta = 0.75.
pub(super) fn respond(x: Tensor<'_>) -> Result<Tensor<'_>> {
    x.local_response_norm(5, 5.0 * 1e-4, 0.75, 2.0)
}

/// The logits `[N, classes]` of images `[N, C, H, W]` of at least 63x63.
///
/// # Errors
/// When the images are not f32 of rank 4, are too small, or the graph already has layers of these names.
pub fn alexnet(x: Tensor<'_>, classes: usize) -> Result<Tensor<'_>> {
    let pool = Pool2d::new(3).stride(2);
    let x = x.conv2d("features.0", Conv2d::new(64, 11).stride(4).padding(2))?.relu()?.max_pool2d(pool)?;
    let x = x.conv2d("features.3", Conv2d::new(192, 5).padding(2))?.relu()?.max_pool2d(pool)?;
    let x = x.conv2d("features.6", Conv2d::new(384, 3).padding(1))?.relu()?;
    let x = x.conv2d("features.8", Conv2d::new(256, 3).padding(1))?.relu()?;
    let x = x.conv2d("features.10", Conv2d::new(256, 3).padding(1))?.relu()?.max_pool2d(pool)?;
    let x = x.adaptive_avg_pool2d(6)?.flatten()?.dropout(0.5)?;
    let x = x.dense("classifier.1", 4096)?.relu()?.dropout(0.5)?;
    x.dense("classifier.4", 4096)?.relu()?.dense("classifier.6", classes)
}
