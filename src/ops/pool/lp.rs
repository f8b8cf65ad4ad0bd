//! Lp pooling: the p-norm of each window.

use super::window::{Pool, Pool1d, Pool2d, Pool3d};
use super::windows::Windows;
use super::{Kind, Pooling, names};
use crate::error::{Error, Result};
use crate::graph::Tensor;

impl<'g> Tensor<'g> {
    /// [`Tensor::lp_pool2d`] of sequences `[N, C, L]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 3, the window does not fit, or p is less than 1 or not finite.
    pub fn lp_pool1d(self, p: f32, window: impl Into<Pool1d>) -> Result<Self> {
        normed(self, p, window.into())
    }

    /// (Σ|x|^p)^(1/p) over windows of `[N, C, H, W]`, ONNX's `LpPool`; PyTorch's `LPPool2d` sums x^p with its sign, which is
    /// the same for even p and for x >= 0. Padding adds nothing. Large values do not overflow, and the gradient, dy times
    /// sign(x)·(|x|/y)^(p - 1), is 0 where y is 0.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 4, the window does not fit, or p is less than 1 or not finite.
    pub fn lp_pool2d(self, p: f32, window: impl Into<Pool2d>) -> Result<Self> {
        normed(self, p, window.into())
    }

    /// [`Tensor::lp_pool2d`] of volumes `[N, C, D, H, W]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 5, the window does not fit, or p is less than 1 or not finite.
    pub fn lp_pool3d(self, p: f32, window: impl Into<Pool3d>) -> Result<Self> {
        normed(self, p, window.into())
    }
}

pub(super) fn normed<'g, const D: usize>(x: Tensor<'g>, p: f32, window: Pool<D>) -> Result<Tensor<'g>> {
    let [name, _] = names!("lp_pool")[D - 1];
    check(name, p)?;
    x.graph().apply_one(Pooling { kind: Kind::Lp(p), windows: Windows::Sliding(window.over(&x.ty())) }, "", &[x])
}

pub(super) fn check(op: &str, p: f32) -> Result<()> {
    if p.is_finite() && p >= 1.0 {
        return Ok(());
    }
    Err(Error::argument(op, format!("expected a finite p of at least 1, got {p}")))
}
