//! Transposed convolution along one to three axes, weight `[C, O/groups, KH, KW]`: what a convolution's gradient of its input
//! is, and so computed by the kernels of that gradient.
//!
//! y[n, o, iy·stride + ky·dilation - pad, ...] is the sum of x[n,c,iy,ix]·w[c,o,ky,kx] over what comes there, and bias[o].
//! Its gradient of x is a convolution, and that of the weight the convolution's, with x and dy in each other's place.

use super::Padding;
use super::conv2d::{Conv1d, Conv2d, Conv3d, Kind, convolve, layer};
use crate::error::Result;
use crate::graph::Tensor;
use crate::selftest::OpCase;

const TRANSPOSE1D: Kind = Kind {
    names: &["conv_transpose1d.grad_input", "conv_transpose1d", "conv_transpose1d.grad_weight"],
    transposed: true,
};
const TRANSPOSE2D: Kind = Kind {
    names: &["conv_transpose2d.grad_input", "conv_transpose2d", "conv_transpose2d.grad_weight"],
    transposed: true,
};
const TRANSPOSE3D: Kind = Kind {
    names: &["conv_transpose3d.grad_input", "conv_transpose3d", "conv_transpose3d.grad_weight"],
    transposed: true,
};

impl<'g> Tensor<'g> {
    /// A transposed convolution layer over sequences `[N, C, L]`, with the parameters `NAME.weight` `[C, O/groups, K]` and
    /// `NAME.bias` `[O]`: [`Tensor::conv_transpose2d`] of images of one row.
    ///
    /// # Errors
    /// As [`Tensor::conv_transpose2d`], of f32 `[N, C, L]`.
    pub fn conv_transpose1d(self, name: &str, settings: Conv1d) -> Result<Self> {
        layer(self, &TRANSPOSE1D, name, settings)
    }

    /// [`Tensor::conv_transpose1d`] with any weight `[C, O/groups, K]` and bias `[O]`. Of `settings`, stride, padding,
    /// dilation, output padding and groups count.
    ///
    /// # Errors
    /// As [`Tensor::conv_transpose1d`], and when the shapes of weight or bias do not fit.
    pub fn conv_transpose1d_with(self, weight: Self, bias: Option<Self>, settings: Conv1d) -> Result<Self> {
        convolve(self, &TRANSPOSE1D, "", weight, bias, settings)
    }

    /// A transposed convolution layer over images `[N, C, H, W]`, with the parameters `NAME.weight` `[C, O/groups, KH, KW]`
    /// and `NAME.bias` `[O]`, to `[N, O, H', W']` (PyTorch's `ConvTranspose2d`, ONNX's `ConvTranspose`): each
    /// `x[n,c,iy,ix]` adds its product with `w[c,o,ky,kx]` to
    /// `y[n, o, iy·stride + ky·dilation - top, ix·stride + kx·dilation - left]`, where
    /// H' = stride·(H - 1) + dilation·(KH - 1) + 1 + output padding - top - bottom, and W' likewise.
    ///
    /// It is the gradient of [`Tensor::conv2d`] of the same settings by its input, and leads from that one's output size to
    /// its input size where the output padding says which.
    ///
    /// # Errors
    /// When the tensor is not f32 `[N, C, H, W]`, the groups do not divide the channels, the output padding is not less than
    /// the stride, or nothing is left within the padding.
    pub fn conv_transpose2d(self, name: &str, settings: Conv2d) -> Result<Self> {
        layer(self, &TRANSPOSE2D, name, settings)
    }

    /// [`Tensor::conv_transpose2d`] with any weight `[C, O/groups, KH, KW]` and bias `[O]`. Of `settings`, stride, padding,
    /// dilation, output padding and groups count.
    ///
    /// # Errors
    /// As [`Tensor::conv_transpose2d`], and when the shapes of weight or bias do not fit.
    pub fn conv_transpose2d_with(self, weight: Self, bias: Option<Self>, settings: Conv2d) -> Result<Self> {
        convolve(self, &TRANSPOSE2D, "", weight, bias, settings)
    }

    /// A transposed convolution layer over volumes `[N, C, D, H, W]`, with the parameters `NAME.weight`
    /// `[C, O/groups, KD, KH, KW]` and `NAME.bias` `[O]`: as [`Tensor::conv_transpose2d`] along one more axis.
    ///
    /// Between, the output is there KD times for a kernel of KD > 1, unless KH = KW = 1.
    ///
    /// # Errors
    /// As [`Tensor::conv_transpose2d`], of f32 `[N, C, D, H, W]`.
    pub fn conv_transpose3d(self, name: &str, settings: Conv3d) -> Result<Self> {
        layer(self, &TRANSPOSE3D, name, settings)
    }

    /// [`Tensor::conv_transpose3d`] with any weight `[C, O/groups, KD, KH, KW]` and bias `[O]`. Of `settings`, stride,
    /// padding, dilation, output padding and groups count.
    ///
    /// # Errors
    /// As [`Tensor::conv_transpose3d`], and when the shapes of weight or bias do not fit.
    pub fn conv_transpose3d_with(self, weight: Self, bias: Option<Self>, settings: Conv3d) -> Result<Self> {
        convolve(self, &TRANSPOSE3D, "", weight, bias, settings)
    }
}

/// Name, x `[N, C, ...]`, settings.
type Problem<const R: usize, S> = (&'static str, [usize; R], S);

fn sequences() -> Vec<Problem<3, Conv1d>> {
    vec![
        ("plain", [1, 2, 7], Conv1d::new(3, 4)),
        ("stride and output padding", [3, 4, 9], Conv1d::new(6, 5).groups(2).stride(3).padding(2).output_padding(2)),
    ]
}

fn images() -> Vec<Problem<4, Conv2d>> {
    vec![
        ("plain", [1, 2, 3, 4], Conv2d::new(3, 3)),
        ("twice as large", [3, 4, 5, 7], Conv2d::new(3, 4).stride(2).padding(1)),
        ("stride and output padding", [2, 3, 5, 4], Conv2d::new(5, 3).stride([2, 3]).padding(1).output_padding([1, 2])),
        ("stride beyond the kernel", [1, 3, 4, 3], Conv2d::new(2, 2).stride(3)),
        ("dilation", [1, 2, 5, 6], Conv2d::new(3, [2, 3]).stride([1, 2]).dilation([3, 2]).padding([1, 0])),
        ("each side's own padding", [1, 2, 6, 5], Conv2d::new(3, 3).padding(Padding::Sides([2, 0], [1, 3]))),
        ("more padding than kernel", [2, 3, 7, 8], Conv2d::new(2, 2).padding(3)),
        ("two groups", [1, 4, 5, 4], Conv2d::new(6, 3).groups(2).stride(2)),
        ("depthwise", [2, 8, 9, 7], Conv2d::new(8, 3).groups(8).stride(2).padding(1).output_padding(1)),
        ("depthwise with a multiplier", [1, 3, 6, 5], Conv2d::new(6, 3).groups(3).padding(1)),
        ("same, one more behind", [1, 2, 4, 5], Conv2d::new(3, [4, 3]).stride([3, 2]).padding(Padding::SameUpper)),
        ("same, one more before", [1, 2, 4, 5], Conv2d::new(3, [4, 2]).stride([1, 3]).padding(Padding::SameLower)),
        ("channels in fours", [2, 8, 6, 5], Conv2d::new(12, 3).stride(2).padding(1).output_padding(1)),
        ("channels in fours, 3x3", [1, 36, 9, 14], Conv2d::new(36, 3).padding(1)),
        ("from a single pixel", [3, 5, 1, 1], Conv2d::new(4, 4)),
        ("fours to three channels", [2, 16, 7, 6], Conv2d::new(3, 4).stride(2).padding(1)),
    ]
}

fn volumes() -> Vec<Problem<5, Conv3d>> {
    vec![
        ("twice as large", [1, 2, 3, 2, 4], Conv3d::new(3, 2).stride(2)),
        (
            "stride and output padding",
            [2, 4, 3, 4, 3],
            Conv3d::new(2, [3, 3, 2]).groups(2).stride([2, 1, 3]).padding([1, 1, 0]).output_padding([1, 0, 2]),
        ),
        ("slices by themselves", [2, 3, 3, 4, 5], Conv3d::new(4, [1, 3, 3]).padding([0, 1, 1])),
        ("along the depth alone", [2, 3, 4, 3, 2], Conv3d::new(4, [3, 1, 1]).stride([2, 1, 1])),
    ]
}

pub(crate) fn cases() -> Vec<OpCase> {
    let mut cases = Vec::new();
    for (name, shape, settings) in sequences() {
        cases.push(OpCase::new(format!("conv_transpose1d {name}"), move |cx| {
            let weight = cx.normal("weight", settings.weight(shape[1], true))?;
            let bias = cx.normal("bias", settings.out_channels())?;
            cx.normal("x", shape)?.conv_transpose1d_with(weight, Some(bias), settings).map(|y| vec![y])
        }));
    }
    for (name, shape, settings) in images() {
        cases.push(OpCase::new(format!("conv_transpose2d {name}"), move |cx| {
            let weight = cx.normal("weight", settings.weight(shape[1], true))?;
            let bias = cx.normal("bias", settings.out_channels())?;
            cx.normal("x", shape)?.conv_transpose2d_with(weight, Some(bias), settings).map(|y| vec![y])
        }));
    }
    for (name, shape, settings) in volumes() {
        cases.push(OpCase::new(format!("conv_transpose3d {name}"), move |cx| {
            let weight = cx.normal("weight", settings.weight(shape[1], true))?;
            let bias = cx.normal("bias", settings.out_channels())?;
            cx.normal("x", shape)?.conv_transpose3d_with(weight, Some(bias), settings).map(|y| vec![y])
        }));
    }
    // Filters of parameters may lie in an order of their own.
    for channels in [4, 6] {
        let case = OpCase::new(format!("conv_transpose2d layer, {channels} channels"), move |cx| {
            let settings = Conv2d::new(8, 3).stride(2).padding(1).output_padding(1);
            cx.normal("x", [2, channels, 5, 6])?.conv_transpose2d("up", settings).map(|y| vec![y])
        });
        cases.push(case.randomize_parameters().in_single_precision());
    }
    for channels in [3, 8] {
        cases.push(OpCase::new(format!("conv_transpose2d and a relu, {channels} channels"), move |cx| {
            let settings = Conv2d::new(channels, 3).stride(2);
            let weight = cx.normal("weight", settings.weight(4, true))?;
            let bias = cx.normal("bias", channels)?;
            Ok(vec![cx.normal("x", [2, 4, 5, 6])?.conv_transpose2d_with(weight, Some(bias), settings)?.relu()?])
        }));
    }
    cases
}
