//! Global pooling: one value of each plane or volume.
//!
//! A maximum or a norm of all is that of the rows' maxima or norms, so that no invocation goes over more than a row, and
//! windows keep the format of images. The global average is a sum over planes (`reduce.rs`).

use super::lp::{check, normed};
use super::max::pooled;
use super::window::{Pool2d, spatial};
use crate::error::Result;
use crate::graph::Tensor;
use crate::ops::reduce::GLOBAL;

impl<'g> Tensor<'g> {
    /// The mean of each plane: `[N, C, H, W]` to `[N, C, 1, 1]`, as PyTorch's `AdaptiveAvgPool2d(1)`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 4.
    pub fn global_avg_pool2d(self) -> Result<Self> {
        self.volume_mean::<2>(GLOBAL)
    }

    /// The mean of each sequence: `[N, C, L]` to `[N, C, 1]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 3.
    pub fn global_avg_pool1d(self) -> Result<Self> {
        self.volume_mean::<1>("global_avg_pool1d")
    }

    /// The mean of each volume: `[N, C, D, H, W]` to `[N, C, 1, 1, 1]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 5.
    pub fn global_avg_pool3d(self) -> Result<Self> {
        self.volume_mean::<3>("global_avg_pool3d")
    }

    /// The mean over the last D axes.
    fn volume_mean<const D: usize>(self, name: &'static str) -> Result<Self> {
        let ([n, c], extents) = spatial::<D>(name, &self.ty())?;
        let view = [1, 1, n * c, extents.iter().product()];
        let output = [&[n, c][..], &[1; D]].concat().into();
        self.apply_sum(name, "", view, true, output)
    }

    /// The maximum of each sequence: `[N, C, L]` to `[N, C, 1]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 3.
    pub fn global_max_pool1d(self) -> Result<Self> {
        largest::<1>("global_max_pool1d", self)
    }

    /// The maximum of each plane: `[N, C, H, W]` to `[N, C, 1, 1]`, ONNX's `GlobalMaxPool`. The first of equals has the
    /// gradient, and not-a-number wins, as in [`Tensor::max_pool2d`].
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 4.
    pub fn global_max_pool2d(self) -> Result<Self> {
        largest::<2>("global_max_pool2d", self)
    }

    /// The maximum of each volume: `[N, C, D, H, W]` to `[N, C, 1, 1, 1]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 5.
    pub fn global_max_pool3d(self) -> Result<Self> {
        largest::<3>("global_max_pool3d", self)
    }

    /// The p-norm of each sequence: `[N, C, L]` to `[N, C, 1]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 3, or p is less than 1 or not finite.
    pub fn global_lp_pool1d(self, p: f32) -> Result<Self> {
        norm::<1>("global_lp_pool1d", self, p)
    }

    /// The p-norm of each plane, (Σ|x|^p)^(1/p): `[N, C, H, W]` to `[N, C, 1, 1]`, ONNX's `GlobalLpPool`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 4, or p is less than 1 or not finite.
    pub fn global_lp_pool2d(self, p: f32) -> Result<Self> {
        norm::<2>("global_lp_pool2d", self, p)
    }

    /// The p-norm of each volume: `[N, C, D, H, W]` to `[N, C, 1, 1, 1]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 5, or p is less than 1 or not finite.
    pub fn global_lp_pool3d(self, p: f32) -> Result<Self> {
        norm::<3>("global_lp_pool3d", self, p)
    }
}

pub(super) fn largest<'g, const D: usize>(op: &str, x: Tensor<'g>) -> Result<Tensor<'g>> {
    in_stages::<D>(op, x, |x, window| Ok(pooled(x, window)?[0]))
}

fn norm<'g, const D: usize>(op: &str, x: Tensor<'g>, p: f32) -> Result<Tensor<'g>> {
    check(op, p)?;
    in_stages::<D>(op, x, |x, window| normed(x, p, window))
}

/// Pools by windows of a few cells until one value of each volume is left.
fn in_stages<'g, const D: usize>(
    op: &str,
    x: Tensor<'g>,
    pool: impl Fn(Tensor<'g>, Pool2d) -> Result<Tensor<'g>>,
) -> Result<Tensor<'g>> {
    /// Cells of a window, at most: enough that few stages do, and few enough that none is long.
    const MOST: usize = 256;
    let ([n, c], extents) = spatial::<D>(op, &x.ty())?;
    let width = extents[D - 1];
    let rows = extents[..D - 1].iter().product();
    x.graph().whole(|| {
        let mut left = [rows, width];
        let mut y = if D == 2 { x } else { x.reshape([n, c, rows, width])? };
        loop {
            let kernel = match left {
                [rows, width] if rows * width <= MOST => [rows, width],
                [rows, 1] => [rows.min(MOST), 1],
                [_, width] => [1, width.min(MOST)],
            };
            y = pool(y, Pool2d::new(kernel).ceil_mode(true))?;
            left = [left[0].div_ceil(kernel[0]), left[1].div_ceil(kernel[1])];
            if left == [1, 1] {
                return if D == 2 { Ok(y) } else { y.reshape([&[n, c][..], &[1; D]].concat()) };
            }
        }
    })
}
