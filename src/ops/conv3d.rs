//! 3-d convolution (cross-correlation), `[N, C, D, H, W]`, weight `[O, C/groups, KD, KH, KW]`, by the kernels of two
//! dimensions: the slices that a position along the depth sees become channels of one image.
//!
//! x `[N, C, D, H, W]` is unfolded to `[N·D', C·KD, H, W]` (KD times as large), convolved with the weight as
//! `[O, C/groups·KD, KH, KW]`, which is the same memory, and `[N·D', O, H', W']` moved to `[N, O, D', H', W']`. Where a
//! kernel has one tap along two neighbouring axes, they are one axis and nothing is moved.

use super::Padding;
use super::axis_map::PadMode;
use super::conv2d::{Axis, Conv3d, Geometry, Kind, Product, convolve, layer};
use super::unfold::{self, exchange};
use crate::error::Result;
use crate::graph::chain::{Extent, Pointwise};
use crate::graph::{Evaluation, GradientContext, Op, Tensor, TensorType};
use crate::reference::{Checked, binary as reference};
use crate::selftest::OpCase;

const CONV3D: Kind = Kind { names: &["conv3d", "conv3d.grad_input", "conv3d.grad_weight"], transposed: false };

impl<'g> Tensor<'g> {
    /// A convolution layer over volumes `[N, C, D, H, W]`, with the parameters `NAME.weight` `[O, C/groups, KD, KH, KW]` and
    /// `NAME.bias` `[O]`, to `[N, O, D', H', W']`: as [`Tensor::conv2d`] along one more axis (PyTorch's `Conv3d`, ONNX's
    /// `Conv`).
    ///
    /// A copy of the input that is KD times as large is made for a kernel of KD > 1, unless KH = KW = 1.
    ///
    /// # Errors
    /// When the tensor is not f32 `[N, C, D, H, W]`, the groups do not divide the channels, or the kernel does not fit.
    pub fn conv3d(self, name: &str, settings: Conv3d) -> Result<Self> {
        layer(self, &CONV3D, name, settings)
    }

    /// [`Tensor::conv3d`] with any weight `[O, C/groups, KD, KH, KW]` and bias `[O]`. Of `settings`, stride, padding,
    /// dilation and groups count.
    ///
    /// # Errors
    /// As [`Tensor::conv3d`], and when the shapes of weight or bias do not fit.
    pub fn conv3d_with(self, weight: Self, bias: Option<Self>, settings: Conv3d) -> Result<Self> {
        convolve(self, &CONV3D, "", weight, bias, settings)
    }
}

/// A convolution along three axes, transposed or not; the channels are those of the convolution, in and out.
#[derive(Debug)]
pub(super) struct Volume {
    pub(super) batch: usize,
    pub(super) channels: [usize; 2],
    pub(super) groups: usize,
    pub(super) axes: [Axis; 3],
}

impl Volume {
    /// Adds its nodes.
    pub(super) fn convolve<'g>(
        &self,
        kind: &Kind,
        name: &str,
        x: Tensor<'g>,
        weight: Tensor<'g>,
        bias: Option<Tensor<'g>>,
    ) -> Result<Tensor<'g>> {
        let Self { batch, channels: [from, to], groups, axes: [depth, height, width] } = *self;
        let shape = |channels, size: fn(&Axis) -> usize| {
            let [depth, height, width] = [0, 1, 2].map(|axis| size(&self.axes[axis]));
            [batch, channels, depth, height, width]
        };
        let [inputs, outputs] = [shape(from, |axis| axis.input), shape(to, |axis| axis.output)];
        let result = if kind.transposed { inputs } else { outputs };
        let area = |[.., height, width]: [usize; 5]| height.saturating_mul(width);

        // Two axes along which nothing happens are one.
        let plane = match [depth, height, width].map(Axis::is_plain) {
            [_, true, true] => Some([depth, Axis::plain(area(inputs))]),
            [true, true, _] => Some([Axis::plain(depth.input * height.input), width]),
            _ => None,
        };
        if let Some(plane) = plane {
            let product = Product::of_images(kind, Geometry::new(batch, [from, to], groups, plane));
            return product.of_image(name, x, weight, bias)?.reshape(result);
        }

        let slices = batch.saturating_mul(depth.output);
        let taps = depth.kernel;
        let window = unfold::Geometry {
            stride: depth.stride,
            dilation: depth.dilation,
            pad: depth.padding[0],
            positions: depth.output,
            taps,
            ..exchange(batch, from, depth.input, area(inputs))
        };
        let moved = exchange(batch, to, depth.output, area(outputs));
        let geometry = Geometry::new(slices, [from * taps, to], groups, [height, width]);
        let product = Product::of_images(kind, geometry);
        if !kind.transposed {
            let x = x.unfold_windows(name, window, [slices, from * taps, height.input, width.input])?;
            return product.of_image(name, x, weight, bias)?.fold_windows(name, moved, result);
        }
        let x = x.unfold_windows(name, moved, [slices, to, height.output, width.output])?;
        // Where slices overlap, the bias is added to their sum.
        let (inner, outer) = if depth.is_plain() { (bias, None) } else { (None, bias) };
        let y = product.of_image(name, x, weight, inner)?.fold_windows(name, window, result)?;
        match outer {
            Some(bias) => y.graph().apply_one(AddToChannels, name, &[y, bias]),
            None => Ok(y),
        }
    }
}

/// (x, bias) -> y
#[derive(Debug)]
struct AddToChannels;

impl Op for AddToChannels {
    fn name(&self) -> &'static str {
        "add_to_channels"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        super::expect(self.name(), "a bias", &TensorType::f32(inputs[0].shape[1]), &inputs[1])?;
        Ok(vec![inputs[0].clone()])
    }

    fn pointwise(&self) -> Option<Pointwise> {
        Some(Pointwise { inputs: vec![Extent::Element, Extent::Channel], ..Pointwise::of("add", 2) })
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None; 2]) };
        let bias = if cx.wants(1) { Some(dy.sum_to_channels(cx.layer())?) } else { None };
        Ok(vec![Some(dy), bias])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let shape = &cx.output_types[0].shape;
        let (channels, inner) = (shape[1], shape[2..].iter().product::<usize>());
        let bias: Vec<f64> = (0..cx.inputs[0].len()).map(|index| cx.inputs[1][index / inner % channels]).collect();
        vec![reference::add(cx.inputs[0], &bias)]
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        cx.keeps_examples(true)?;
        let shape = [&[cx.inputs[1].elements()][..], &vec![1; cx.inputs[0].shape.len() - 2]].concat();
        let (x, bias) = (cx.input(0)?, cx.input_as(1, &shape)?);
        cx.finish("Add", &[&x, &bias], &[])
    }
}

/// Name, x `[N, C, D, H, W]`, settings.
type Problem = (&'static str, [usize; 5], Conv3d);

fn problems() -> Vec<Problem> {
    vec![
        ("3x3x3", [1, 2, 5, 6, 7], Conv3d::new(3, 3).padding(1)),
        ("channels in fours", [2, 8, 4, 6, 5], Conv3d::new(12, 3).padding(1)),
        ("two groups", [2, 4, 5, 4, 3], Conv3d::new(6, 2).groups(2)),
        (
            "strides that leave a rest",
            [1, 3, 8, 7, 6],
            Conv3d::new(2, [3, 2, 3]).stride([3, 2, 1]).padding(Padding::Sides([2, 0, 1], [0, 1, 0])),
        ),
        ("dilation", [3, 2, 7, 6, 7], Conv3d::new(3, [2, 3, 2]).dilation([3, 2, 1]).padding([1, 2, 0])),
        (
            "same, one more behind",
            [1, 2, 5, 6, 7],
            Conv3d::new(2, [2, 3, 4]).stride([2, 1, 3]).padding(Padding::SameUpper),
        ),
        ("same, one more before", [1, 2, 6, 5, 7], Conv3d::new(2, [4, 2, 3]).stride(2).padding(Padding::SameLower)),
        ("slices by themselves", [2, 3, 4, 6, 5], Conv3d::new(4, [1, 3, 3]).padding([0, 1, 1])),
        ("along the depth alone", [2, 3, 6, 4, 5], Conv3d::new(4, [3, 1, 1]).padding([1, 0, 0]).stride([2, 1, 1])),
        ("along rows alone", [2, 3, 4, 3, 9], Conv3d::new(4, [1, 1, 3]).stride([1, 1, 2])),
        ("1x1x1", [2, 5, 3, 4, 5], Conv3d::new(3, 1)),
        ("1x1x1 with a stride", [1, 4, 5, 4, 3], Conv3d::new(8, 1).stride(2)),
        ("mirrored", [1, 2, 3, 4, 5], Conv3d::new(2, 3).padding([1, 2, 1]).padding_mode(PadMode::Reflect)),
        ("one slice", [3, 2, 1, 5, 4], Conv3d::new(3, [1, 3, 3])),
    ]
}

pub(crate) fn cases() -> Vec<OpCase> {
    let case = |(name, shape, settings): Problem| {
        OpCase::new(format!("conv3d {name}"), move |cx| {
            let weight = cx.normal("weight", settings.weight(shape[1], false))?;
            let bias = cx.normal("bias", settings.out_channels())?;
            cx.normal("x", shape)?.conv3d_with(weight, Some(bias), settings).map(|y| vec![y])
        })
    };
    let mut cases: Vec<OpCase> = problems().into_iter().map(case).collect();
    cases.push(OpCase::new("conv3d and a relu", |cx| {
        let weight = cx.normal("weight", [5, 3, 3, 3, 3])?;
        let x = cx.normal("x", [1, 3, 4, 5, 6])?;
        Ok(vec![x.conv3d_with(weight, None, Conv3d::new(5, 3).padding(1))?.relu()?])
    }));
    cases
}
