//! Inception v3 (Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", table 1), with
//! torchvision's parameter names.

use super::blocks::basic as layer;
use crate::error::Result;
use crate::graph::Tensor;
use crate::ops::Pool2d;
use crate::ops::conv2d::Conv2d;

/// The network. [`InceptionV3::build`] leaves the auxiliary classifier out, which only training needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InceptionV3;

impl InceptionV3 {
    /// The logits `[N, classes]` of images `[N, C, H, W]` of at least 75x75.
    ///
    /// # Errors
    /// When the images are not f32 of rank 4, are too small, or the graph already has layers of these names.
    pub fn build<'g>(self, x: Tensor<'g>, classes: usize) -> Result<Tensor<'g>> {
        let [_, last] = trunk(x)?;
        head(last, classes)
    }

    /// The logits, and those of the auxiliary classifier, whose loss torchvision adds with a weight of 0.4 while training.
    /// Images must be at least 299x299 or so: the classifier sees the maps through 5x5 twice.
    ///
    /// # Errors
    /// Those of [`InceptionV3::build`].
    pub fn build_with_auxiliary<'g>(self, x: Tensor<'g>, classes: usize) -> Result<(Tensor<'g>, Tensor<'g>)> {
        let [middle, last] = trunk(x)?;
        Ok((head(last, classes)?, auxiliary(middle, classes)?))
    }
}

/// The maps that the auxiliary classifier sees, and the last ones.
fn trunk(x: Tensor<'_>) -> Result<[Tensor<'_>; 2]> {
    let x = layer(x, "Conv2d_1a_3x3", Conv2d::new(32, 3).stride(2))?;
    let x = layer(x, "Conv2d_2a_3x3", Conv2d::new(32, 3))?;
    let x = layer(x, "Conv2d_2b_3x3", Conv2d::new(64, 3).padding(1))?.max_pool2d(halving())?;
    let x = layer(x, "Conv2d_3b_1x1", Conv2d::new(80, 1))?;
    let mut x = layer(x, "Conv2d_4a_3x3", Conv2d::new(192, 3))?.max_pool2d(halving())?;
    for (name, pooled) in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)] {
        x = small(x, name, pooled)?;
    }
    x = reduce_small(x, "Mixed_6a")?;
    for (name, width) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
        x = middle(x, name, width)?;
    }
    let last = reduce_middle(x, "Mixed_7a")?;
    Ok([x, large(large(last, "Mixed_7b")?, "Mixed_7c")?])
}

fn head(x: Tensor<'_>, classes: usize) -> Result<Tensor<'_>> {
    x.global_avg_pool2d()?.flatten()?.dropout(0.5)?.dense("fc", classes)
}

fn auxiliary(x: Tensor<'_>, classes: usize) -> Result<Tensor<'_>> {
    let x = layer(x.avg_pool2d(Pool2d::new(5).stride(3))?, "AuxLogits.conv0", Conv2d::new(128, 1))?;
    let x = layer(x, "AuxLogits.conv1", Conv2d::new(768, 5))?;
    x.global_avg_pool2d()?.flatten()?.dense("AuxLogits.fc", classes)
}

/// Figure 5: 5x5 and two 3x3 beside a pooling, at 35x35.
fn small<'g>(x: Tensor<'g>, name: &str, pooled: usize) -> Result<Tensor<'g>> {
    let plain = branch(x, name, &[("branch1x1", Conv2d::new(64, 1))])?;
    let five = [("branch5x5_1", Conv2d::new(48, 1)), ("branch5x5_2", Conv2d::new(64, 5).padding(2))];
    let double = [
        ("branch3x3dbl_1", Conv2d::new(64, 1)),
        ("branch3x3dbl_2", Conv2d::new(96, 3).padding(1)),
        ("branch3x3dbl_3", Conv2d::new(96, 3).padding(1)),
    ];
    let pool = branch(averaged(x)?, name, &[("branch_pool", Conv2d::new(pooled, 1))])?;
    x.graph().concat(&[plain, branch(x, name, &five)?, branch(x, name, &double)?, pool], 1)
}

/// From 35x35 to 17x17.
fn reduce_small<'g>(x: Tensor<'g>, name: &str) -> Result<Tensor<'g>> {
    let single = [("branch3x3", Conv2d::new(384, 3).stride(2))];
    let double = [
        ("branch3x3dbl_1", Conv2d::new(64, 1)),
        ("branch3x3dbl_2", Conv2d::new(96, 3).padding(1)),
        ("branch3x3dbl_3", Conv2d::new(96, 3).stride(2)),
    ];
    x.graph().concat(&[branch(x, name, &single)?, branch(x, name, &double)?, x.max_pool2d(halving())?], 1)
}

/// Figure 6: 7x7 as rows and columns, at 17x17.
fn middle<'g>(x: Tensor<'g>, name: &str, width: usize) -> Result<Tensor<'g>> {
    let plain = branch(x, name, &[("branch1x1", Conv2d::new(192, 1))])?;
    let seven =
        [("branch7x7_1", Conv2d::new(width, 1)), ("branch7x7_2", row(width, 7)), ("branch7x7_3", column(192, 7))];
    let double = [
        ("branch7x7dbl_1", Conv2d::new(width, 1)),
        ("branch7x7dbl_2", column(width, 7)),
        ("branch7x7dbl_3", row(width, 7)),
        ("branch7x7dbl_4", column(width, 7)),
        ("branch7x7dbl_5", row(192, 7)),
    ];
    let pool = branch(averaged(x)?, name, &[("branch_pool", Conv2d::new(192, 1))])?;
    x.graph().concat(&[plain, branch(x, name, &seven)?, branch(x, name, &double)?, pool], 1)
}

/// From 17x17 to 8x8.
fn reduce_middle<'g>(x: Tensor<'g>, name: &str) -> Result<Tensor<'g>> {
    let three = [("branch3x3_1", Conv2d::new(192, 1)), ("branch3x3_2", Conv2d::new(320, 3).stride(2))];
    let seven = [
        ("branch7x7x3_1", Conv2d::new(192, 1)),
        ("branch7x7x3_2", row(192, 7)),
        ("branch7x7x3_3", column(192, 7)),
        ("branch7x7x3_4", Conv2d::new(192, 3).stride(2)),
    ];
    x.graph().concat(&[branch(x, name, &three)?, branch(x, name, &seven)?, x.max_pool2d(halving())?], 1)
}

/// Figure 7: rows and columns side by side, at 8x8.
fn large<'g>(x: Tensor<'g>, name: &str) -> Result<Tensor<'g>> {
    let graph = x.graph();
    let plain = branch(x, name, &[("branch1x1", Conv2d::new(320, 1))])?;
    let split = |x: Tensor<'g>, across: &'static str, down: &'static str| {
        graph.concat(&[branch(x, name, &[(across, row(384, 3))])?, branch(x, name, &[(down, column(384, 3))])?], 1)
    };
    let three = branch(x, name, &[("branch3x3_1", Conv2d::new(384, 1))])?;
    let three = split(three, "branch3x3_2a", "branch3x3_2b")?;
    let double = [("branch3x3dbl_1", Conv2d::new(448, 1)), ("branch3x3dbl_2", Conv2d::new(384, 3).padding(1))];
    let double = split(branch(x, name, &double)?, "branch3x3dbl_3a", "branch3x3dbl_3b")?;
    let pool = branch(averaged(x)?, name, &[("branch_pool", Conv2d::new(192, 1))])?;
    graph.concat(&[plain, three, double, pool], 1)
}

/// Convolutions one after the other.
fn branch<'g>(x: Tensor<'g>, module: &str, layers: &[(&str, Conv2d)]) -> Result<Tensor<'g>> {
    layers.iter().try_fold(x, |x, (name, settings)| layer(x, &format!("{module}.{name}"), *settings))
}

/// `length` taps in a row.
fn row(width: usize, length: usize) -> Conv2d {
    Conv2d::new(width, [1, length]).padding([0, length / 2])
}

/// `length` taps in a column.
fn column(width: usize, length: usize) -> Conv2d {
    Conv2d::new(width, [length, 1]).padding([length / 2, 0])
}

fn halving() -> Pool2d {
    Pool2d::new(3).stride(2)
}

fn averaged(x: Tensor<'_>) -> Result<Tensor<'_>> {
    x.avg_pool2d(Pool2d::new(3).stride(1).padding(1))
}
