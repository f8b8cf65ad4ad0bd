//! Convolution (cross-correlation) in one and two dimensions, NCHW, weight `[O, C/groups, KH, KW]`:
//! y[n,o,oy,ox] = bias[o] + Σ x[n, c, oy·stride + ky·dilation - pad, ...]·w[o,c,ky,kx] over c of o's group, ky and kx.
//!
//! Each product of two of x, w and y is one direction of one operation (`product`): a convolution, its gradients, their
//! gradients, transposed convolutions and matrix products. A sequence is an image of one row.
//!
//! The variants of each direction share bindings and parameters: `naive` is the readable rung, `tiled` goes through
//! workgroup memory, with operands in single or half precision, and `cooperative` multiplies them there as cooperative
//! matrices; `pointwise` is either for 1x1 kernels, and `stem` is for images of few channels. For adapters that run on a
//! CPU, `blocked` keeps a tile in registers without a barrier, `packed` does so with operands that were copied into the
//! order of their use, and `channels_last` gives a tile to a subgroup. `winograd` and, for GPUs, `winograd_planar` save
//! multiplications of 3x3 kernels. Depthwise convolutions have kernels of their own (`depthwise`), and so have others in
//! groups (`grouped`).

use crate::error::Result;
use crate::graph::Tensor;
use crate::plan::{Shader, params, shader};

mod cases;
mod channels_last;
mod cut;
mod depthwise;
#[cfg(feature = "onnx")]
mod export;
mod geometry;
mod grouped;
mod kernels;
mod layer;
mod packed;
mod product;
mod settings;
mod stem;
mod tiled;
mod winograd;
mod winograd_planar;

pub(crate) use cases::cases;
pub(super) use geometry::Geometry;
pub(super) use kernels::Direction;
pub(super) use layer::{Kind, convolve, layer};
pub(super) use product::{LONGEST_BATCH, Of, Product};
pub(super) use settings::Axis;
pub use settings::{Conv, Conv1d, Conv2d, Conv3d};
pub(crate) use tiled::is_half;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use tiled::{COOPERATIVE, is_cooperative};

const NAME: &str = "conv2d";
const CONV1D: Kind = Kind { names: &["conv1d", "conv1d.grad_input", "conv1d.grad_weight"], transposed: false };
const CONV2D: Kind = Kind { names: &[NAME, "conv2d.grad_input", "conv2d.grad_weight"], transposed: false };

params! {
    ConvParams {
        batch: u32, in_channels: u32, in_height: u32, in_width: u32, out_channels: u32, out_height: u32,
        out_width: u32, kernel_height: u32, kernel_width: u32, stride_height: u32, stride_width: u32, pad_top: u32,
        pad_left: u32, dilation_height: u32, dilation_width: u32, groups: u32, splits: u32,
    }
}
pub(crate) static NAIVE: Shader = shader!("conv2d", ConvParams, ["grid", "conv2d"]);
pub(crate) static TILED: Shader = shader!(
    "conv2d_tiled",
    ConvParams,
    ["enable", "grid", "divide", "conv2d", "phases", "tile", "moments", "cooperative"],
    chain
);
pub(crate) static POINTWISE: Shader = shader!(
    "conv2d_pointwise",
    ConvParams,
    ["enable", "grid", "divide", "conv2d", "tile", "moments", "cooperative"],
    chain
);
pub(crate) static STEM: Shader =
    shader!("conv2d_stem", ConvParams, ["grid", "divide", "conv2d", "tile", "moments"], chain);
pub(crate) static TILED_WEIGHT: Shader =
    shader!("conv2d_tiled_weight", ConvParams, ["enable", "grid", "divide", "conv2d", "tile", "cooperative"], chain);
pub(crate) static BLOCKED: Shader = shader!("conv2d_blocked", ConvParams, ["grid", "conv2d"]);
pub(crate) static PACK: Shader =
    shader!("conv2d_pack", ConvParams, ["grid", "divide", "conv2d", "texture", "read", "packed"]);
pub(crate) static PACKED_WEIGHT: Shader =
    shader!("conv2d_packed_weight", ConvParams, ["grid", "conv2d", "texture", "read", "packed"]);
pub(crate) static CHANNELS_LAST: Shader =
    shader!("conv2d_channels_last", ConvParams, ["grid", "conv2d", "texture", "phases", "walk", "read"], chain);
pub(crate) static CHANNELS_LAST_WEIGHT: Shader =
    shader!("conv2d_channels_last_weight", ConvParams, ["grid", "divide", "conv2d", "texture", "read"]);
pub(crate) static DEPTHWISE: Shader =
    shader!("conv2d_depthwise", ConvParams, ["grid", "divide", "conv2d", "texture", "read"], chain);
pub(crate) static DEPTHWISE_WEIGHT: Shader =
    shader!("conv2d_depthwise_weight", ConvParams, ["grid", "divide", "conv2d", "texture", "read", "tree"]);
pub(crate) static GROUPED: Shader =
    shader!("conv2d_grouped", ConvParams, ["grid", "divide", "conv2d", "texture", "phases", "walk", "read"], chain);
pub(crate) static PACKED: Shader =
    shader!("conv2d_packed", ConvParams, ["grid", "conv2d", "texture", "read", "packed"]);

pub(crate) static WINOGRAD: Shader =
    shader!("conv2d_winograd", winograd::WinogradParams, ["grid", "divide", "transforms", "texture", "read"], chain);
pub(crate) static WINOGRAD_PRODUCT: Shader =
    shader!("conv2d_winograd_product", winograd::ProductParams, ["grid", "texture", "read", "winograd"]);
pub(crate) static WINOGRAD_WEIGHT: Shader =
    shader!("conv2d_winograd_weight", winograd::ProductParams, ["grid", "texture", "read", "winograd"]);

/// How a kernel moves over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    stride: [usize; 2],
    /// Top, left, bottom, right.
    padding: [usize; 4],
    dilation: [usize; 2],
    groups: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self { stride: [1; 2], padding: [0; 4], dilation: [1; 2], groups: 1 }
    }
}

impl<'g> Tensor<'g> {
    /// A convolution layer over sequences `[N, C, L]`, with the parameters `NAME.weight` `[O, C/groups, K]` and `NAME.bias`
    /// `[O]`: [`Tensor::conv2d`] of images of one row, to `[N, O, L']`.
    ///
    /// # Errors
    /// When the tensor is not f32 `[N, C, L]`, the groups do not divide the channels, or the kernel does not fit.
    pub fn conv1d(self, name: &str, settings: Conv1d) -> Result<Self> {
        layer(self, &CONV1D, name, settings)
    }

    /// [`Tensor::conv1d`] with any weight `[O, C/groups, K]` and bias `[O]`. Of `settings`, stride, padding, dilation and
    /// groups count.
    ///
    /// # Errors
    /// As [`Tensor::conv1d`], and when the shapes of weight or bias do not fit.
    pub fn conv1d_with(self, weight: Self, bias: Option<Self>, settings: Conv1d) -> Result<Self> {
        convolve(self, &CONV1D, "", weight, bias, settings)
    }

    /// A convolution layer over images `[N, C, H, W]`, with the parameters `NAME.weight` `[O, C/groups, KH, KW]` and
    /// `NAME.bias` `[O]`, to `[N, O, H', W']` (a cross-correlation, as PyTorch's `Conv2d` and ONNX's `Conv`):
    /// `y[n,o,oy,ox] = bias[o] + Σ x[n, c, oy·stride + ky·dilation - top, ox·stride + kx·dilation - left]·w[o,c,ky,kx]`,
    /// where H' = floor((H + top + bottom - dilation·(KH - 1) - 1) / stride) + 1, and W' likewise.
    ///
    /// # Errors
    /// When the tensor is not f32 `[N, C, H, W]`, the groups do not divide the channels, or the kernel does not fit.
    pub fn conv2d(self, name: &str, settings: Conv2d) -> Result<Self> {
        layer(self, &CONV2D, name, settings)
    }

    /// A convolution with any weight `[O, C/groups, KH, KW]` and bias `[O]`, such as a shared parameter or a fixed
    /// filter. Of `settings`, stride, padding, dilation and groups count.
    ///
    /// # Errors
    /// As [`Tensor::conv2d`], and when the shapes of weight or bias do not fit.
    pub fn conv2d_with(self, weight: Self, bias: Option<Self>, settings: Conv2d) -> Result<Self> {
        convolve(self, &CONV2D, "", weight, bias, settings)
    }
}
