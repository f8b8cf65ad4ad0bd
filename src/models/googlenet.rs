//! GoogLeNet, or Inception v1 (Szegedy et al. 2015, "Going Deeper with Convolutions", table 1), in torchvision's form and
//! with its parameter names: a batch norm behind every convolution, and 3x3 where the paper has 5x5.

use super::blocks::basic as layer;
use crate::error::Result;
use crate::graph::Tensor;
use crate::ops::Pool2d;
use crate::ops::conv2d::Conv2d;

/// The network. [`GoogLeNet::build`] leaves the auxiliary classifiers out, which only training needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GoogLeNet;

/// Output channels of a module: 1x1; reduction and 3x3; reduction and "5x5"; projection of the pooling.
type Widths = [usize; 6];

impl GoogLeNet {
    /// The logits `[N, classes]` of images `[N, C, H, W]` of any size.
    ///
    /// # Errors
    /// When the images are not f32 of rank 4, are too small, or the graph already has layers of these names.
    pub fn build<'g>(self, x: Tensor<'g>, classes: usize) -> Result<Tensor<'g>> {
        let [_, _, last] = trunk(x)?;
        head(last, classes)
    }

    /// The logits, and those of the two auxiliary classifiers, whose losses the paper adds with a weight of 0.3 while
    /// training.
    ///
    /// # Errors
    /// Those of [`GoogLeNet::build`].
    pub fn build_with_auxiliaries<'g>(self, x: Tensor<'g>, classes: usize) -> Result<(Tensor<'g>, [Tensor<'g>; 2])> {
        let [first, second, last] = trunk(x)?;
        let auxiliaries = [auxiliary(first, "aux1", classes)?, auxiliary(second, "aux2", classes)?];
        Ok((head(last, classes)?, auxiliaries))
    }
}

/// The maps that the first and the second auxiliary classifier see, and the last ones.
fn trunk(x: Tensor<'_>) -> Result<[Tensor<'_>; 3]> {
    let pool = Pool2d::new(3).stride(2).ceil_mode(true);
    let x = layer(x, "conv1", Conv2d::new(64, 7).stride(2).padding(3))?.max_pool2d(pool)?;
    let x = layer(x, "conv2", Conv2d::new(64, 1))?;
    let x = layer(x, "conv3", Conv2d::new(192, 3).padding(1))?.max_pool2d(pool)?;
    let x = inception(x, "inception3a", [64, 96, 128, 16, 32, 32])?;
    let x = inception(x, "inception3b", [128, 128, 192, 32, 96, 64])?.max_pool2d(pool)?;
    let first = inception(x, "inception4a", [192, 96, 208, 16, 48, 64])?;
    let x = inception(first, "inception4b", [160, 112, 224, 24, 64, 64])?;
    let x = inception(x, "inception4c", [128, 128, 256, 24, 64, 64])?;
    let second = inception(x, "inception4d", [112, 144, 288, 32, 64, 64])?;
    let x = inception(second, "inception4e", [256, 160, 320, 32, 128, 128])?;
    let x = x.max_pool2d(Pool2d::new(2).ceil_mode(true))?;
    let x = inception(x, "inception5a", [256, 160, 320, 32, 128, 128])?;
    Ok([first, second, inception(x, "inception5b", [384, 192, 384, 48, 128, 128])?])
}

fn head(x: Tensor<'_>, classes: usize) -> Result<Tensor<'_>> {
    x.global_avg_pool2d()?.flatten()?.dropout(0.2)?.dense("fc", classes)
}

fn auxiliary<'g>(x: Tensor<'g>, name: &str, classes: usize) -> Result<Tensor<'g>> {
    let x = layer(x.adaptive_avg_pool2d(4)?, &format!("{name}.conv"), Conv2d::new(128, 1))?.flatten()?;
    x.dense(&format!("{name}.fc1"), 1024)?.relu()?.dropout(0.7)?.dense(&format!("{name}.fc2"), classes)
}

/// Four views of one place, side by side.
fn inception<'g>(x: Tensor<'g>, name: &str, widths: Widths) -> Result<Tensor<'g>> {
    let [plain, reduce3, width3, reduce5, width5, project] = widths;
    let across = |width| Conv2d::new(width, 3).padding(1);
    let branch1 = layer(x, &format!("{name}.branch1"), Conv2d::new(plain, 1))?;
    let branch2 = layer(x, &format!("{name}.branch2.0"), Conv2d::new(reduce3, 1))?;
    let branch2 = layer(branch2, &format!("{name}.branch2.1"), across(width3))?;
    let branch3 = layer(x, &format!("{name}.branch3.0"), Conv2d::new(reduce5, 1))?;
    let branch3 = layer(branch3, &format!("{name}.branch3.1"), across(width5))?;
    let pooled = x.max_pool2d(Pool2d::new(3).stride(1).padding(1))?;
    let branch4 = layer(pooled, &format!("{name}.branch4.1"), Conv2d::new(project, 1))?;
    x.graph().concat(&[branch1, branch2, branch3, branch4], 1)
}
