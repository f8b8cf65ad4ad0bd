//! Average pooling over one to three axes.

use super::window::{Pool, Pool1d, Pool3d, spatial};
use super::windows::Windows;
use super::{Kind, Pooling, names};
use crate::error::Result;
use crate::graph::Tensor;
use crate::ops::avg_pool2d;

impl<'g> Tensor<'g> {
    /// [`Tensor::avg_pool2d`] of sequences `[N, C, L]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 3 or the window does not fit.
    pub fn avg_pool1d(self, window: impl Into<Pool1d>) -> Result<Self> {
        averaged(self, window.into())
    }

    /// [`Tensor::avg_pool2d`] of volumes `[N, C, D, H, W]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 5 or the window does not fit.
    pub fn avg_pool3d(self, window: impl Into<Pool3d>) -> Result<Self> {
        averaged(self, window.into())
    }
}

pub(in crate::ops) fn averaged<'g, const D: usize>(x: Tensor<'g>, window: Pool<D>) -> Result<Tensor<'g>> {
    let window = window.over(&x.ty());
    if D == 3 || window.is_dilated() {
        let kind = Kind::Average { count_include_pad: window.count_include_pad };
        return x.graph().apply_one(Pooling { kind, windows: Windows::Sliding(window) }, "", &[x]);
    }
    // The name in errors is that of what was called.
    let [name, _] = names!("avg_pool")[D - 1];
    window.check_loops(name, 1)?;
    let output = window.output(name, &x.ty())?;
    if D == 2 {
        return avg_pool2d::planes(x, window.widened());
    }
    let ([n, c], [length]) = spatial(name, &x.ty())?;
    avg_pool2d::planes(x.reshape([n, c, 1, length])?, window.widened())?.reshape(output.shape)
}
