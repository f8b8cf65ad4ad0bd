//! Adaptive max and average pooling: as many windows as are asked for, over whatever there is.

use super::average::averaged;
use super::max::{general, pooled, with_indices};
use super::window::{Pool, spatial};
use super::windows::Windows;
use super::{global, names};
use crate::error::Result;
use crate::graph::Tensor;
use crate::ops::axis_map::shared_out;
use crate::ops::{Axes, PerAxis};

impl<'g> Tensor<'g> {
    /// [`Tensor::adaptive_avg_pool2d`] of sequences: `[N, C, L]` to `[N, C, size]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 3 or the size is 0.
    pub fn adaptive_avg_pool1d(self, size: impl Into<PerAxis<1>>) -> Result<Self> {
        mean(self, size.into().0)
    }

    /// The mean over as many windows as asked for along each axis, PyTorch's `AdaptiveAvgPool2d`: `[N, C, H, W]` to
    /// `[N, C, size]`. Window i of an axis goes from floor(i·in/out) up to ceil((i + 1)·in/out); neighbours share cells
    /// where out does not divide in. Where it does on all axes, this is [`Tensor::avg_pool2d`].
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 4 or a size is 0.
    pub fn adaptive_avg_pool2d(self, size: impl Into<PerAxis<2>>) -> Result<Self> {
        mean(self, size.into().0)
    }

    /// [`Tensor::adaptive_avg_pool2d`] of volumes: `[N, C, D, H, W]` to `[N, C, size]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 5 or a size is 0.
    pub fn adaptive_avg_pool3d(self, size: impl Into<PerAxis<3>>) -> Result<Self> {
        mean(self, size.into().0)
    }

    /// [`Tensor::adaptive_max_pool2d`] of sequences: `[N, C, L]` to `[N, C, size]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 3, the size is 0, or a window is too large for one invocation.
    pub fn adaptive_max_pool1d(self, size: impl Into<PerAxis<1>>) -> Result<Self> {
        adapted(self, size.into().0)
    }

    /// The maximum over as many windows as asked for along each axis, PyTorch's `AdaptiveMaxPool2d`: `[N, C, H, W]` to
    /// `[N, C, size]`. Window i of an axis goes from floor(i·in/out) up to ceil((i + 1)·in/out); neighbours share cells
    /// where out does not divide in. Where it does on all axes, this is [`Tensor::max_pool2d`].
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 4, a size is 0, or a window is too large for one invocation.
    pub fn adaptive_max_pool2d(self, size: impl Into<PerAxis<2>>) -> Result<Self> {
        adapted(self, size.into().0)
    }

    /// [`Tensor::adaptive_max_pool2d`] of volumes: `[N, C, D, H, W]` to `[N, C, size]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 5, a size is 0, or a window is too large for one invocation.
    pub fn adaptive_max_pool3d(self, size: impl Into<PerAxis<3>>) -> Result<Self> {
        adapted(self, size.into().0)
    }

    /// [`Tensor::adaptive_max_pool1d`] and, as u32, where in its sequence each maximum stands.
    ///
    /// # Errors
    /// See [`Tensor::adaptive_max_pool1d`].
    pub fn adaptive_max_pool1d_with_indices(self, size: impl Into<PerAxis<1>>) -> Result<[Self; 2]> {
        with_indices(self, Windows::Adaptive(size.into().0))
    }

    /// [`Tensor::adaptive_max_pool2d`] and, as u32, where in its plane each maximum stands: row·W + column.
    ///
    /// # Errors
    /// See [`Tensor::adaptive_max_pool2d`].
    pub fn adaptive_max_pool2d_with_indices(self, size: impl Into<PerAxis<2>>) -> Result<[Self; 2]> {
        with_indices(self, Windows::Adaptive(size.into().0))
    }

    /// [`Tensor::adaptive_max_pool3d`] and, as u32, where in its volume each maximum stands: (layer·H + row)·W + column.
    ///
    /// # Errors
    /// See [`Tensor::adaptive_max_pool3d`].
    pub fn adaptive_max_pool3d_with_indices(self, size: impl Into<PerAxis<3>>) -> Result<[Self; 2]> {
        with_indices(self, Windows::Adaptive(size.into().0))
    }
}

fn adapted<'g, const D: usize>(x: Tensor<'g>, size: [usize; D]) -> Result<Tensor<'g>> {
    let [name, _] = names!("adaptive_max_pool")[D - 1];
    let (_, input) = spatial::<D>(name, &x.ty())?;
    if size == [1; D] {
        return global::largest::<D>(name, x);
    }
    let Some(window) = equal(input, size) else { return Ok(general(x, Windows::Adaptive(size))?[0]) };
    window.check_loops(name, 1)?;
    Ok(pooled(x, window)?[0])
}

fn mean<'g, const D: usize>(x: Tensor<'g>, size: [usize; D]) -> Result<Tensor<'g>> {
    let [name, _] = names!("adaptive_avg_pool")[D - 1];
    let (_, input) = spatial::<D>(name, &x.ty())?;
    let axes: [usize; D] = std::array::from_fn(|axis| axis + 2);
    if size == [1; D] {
        return x.mean(Axes::from(axes).keep());
    }
    if size == input {
        return Ok(x);
    }
    match equal(input, size).filter(|window| window.check_loops(name, 1).is_ok()) {
        Some(window) => averaged(x, window),
        None => shared_out(name, x, &axes, &size),
    }
}

/// The window that makes just so many without sharing a cell, if there is one.
fn equal<const D: usize>(input: [usize; D], size: [usize; D]) -> Option<Pool<D>> {
    let divides = input.iter().zip(size).all(|(input, size)| size > 0 && input.is_multiple_of(size));
    divides.then(|| Pool::new(std::array::from_fn(|axis| input[axis] / size[axis])))
}
