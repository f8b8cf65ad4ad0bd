//! 2-d convolution (cross-correlation), NCHW, weight `[O, C/groups, KH, KW]`:
//! y[n,o,oy,ox] = bias[o] + Σ x[n, c, oy·stride + ky·dilation - pad, ...]·w[o,c,ky,kx] over c of o's group, ky and kx.
//!
//! The variants of each direction share bindings and parameters: `naive` is the readable rung, `tiled` goes through
//! workgroup memory, with operands in single or half precision, and `cooperative` multiplies them there as cooperative
//! matrices; `pointwise` is either for 1x1 kernels, and `stem` is for images of few channels. For adapters that run on a
//! CPU, `blocked` keeps a tile in registers without a barrier, `packed` does so with operands that were copied into the
//! order of their use, and `channels_last` gives a tile to a subgroup. `winograd` saves multiplications of 3x3 kernels.
//! Depthwise convolutions have kernels of their own (`depthwise`).

use super::image;
use crate::error::{Error, Result};
use crate::graph::gradients::no_gradient;
use crate::graph::{Evaluation, GradientContext, Init, Op, Tensor, TensorType};
use crate::plan::{Lowering, Operand, Shader, params, shader};
use crate::reference::{Checked, conv2d as reference};

mod cases;
mod channels_last;
mod depthwise;
mod geometry;
mod kernels;
mod packed;
mod stem;
mod tiled;
mod winograd;

pub(crate) use cases::cases;
pub(super) use channels_last::preferred as prefers_channels_last;
pub(super) use geometry::Geometry;
pub(super) use kernels::{Direction, lower};
pub(crate) use tiled::is_half;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use tiled::{COOPERATIVE, is_cooperative};

const NAME: &str = "conv2d";

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
    ["enable", "grid", "divide", "conv2d", "phases", "functions", "chain", "tile", "moments", "cooperative"]
);
pub(crate) static POINTWISE: Shader = shader!(
    "conv2d_pointwise",
    ConvParams,
    ["enable", "grid", "divide", "conv2d", "functions", "chain", "tile", "moments", "cooperative"]
);
pub(crate) static STEM: Shader =
    shader!("conv2d_stem", ConvParams, ["grid", "divide", "conv2d", "functions", "chain", "tile", "moments"]);
pub(crate) static TILED_WEIGHT: Shader = shader!(
    "conv2d_tiled_weight",
    ConvParams,
    ["enable", "grid", "divide", "conv2d", "functions", "chain", "tile", "cooperative"]
);
pub(crate) static BLOCKED: Shader = shader!("conv2d_blocked", ConvParams, ["grid", "conv2d"]);
pub(crate) static PACK: Shader =
    shader!("conv2d_pack", ConvParams, ["grid", "divide", "conv2d", "texture", "read", "packed"]);
pub(crate) static PACKED_WEIGHT: Shader =
    shader!("conv2d_packed_weight", ConvParams, ["grid", "conv2d", "texture", "read", "packed"]);
pub(crate) static CHANNELS_LAST: Shader = shader!(
    "conv2d_channels_last",
    ConvParams,
    ["grid", "conv2d", "texture", "phases", "walk", "read", "functions", "chain"]
);
pub(crate) static CHANNELS_LAST_WEIGHT: Shader =
    shader!("conv2d_channels_last_weight", ConvParams, ["grid", "divide", "conv2d", "texture", "read"]);
pub(crate) static DEPTHWISE: Shader =
    shader!("conv2d_depthwise", ConvParams, ["grid", "divide", "conv2d", "texture", "read", "functions", "chain"]);
pub(crate) static DEPTHWISE_WEIGHT: Shader =
    shader!("conv2d_depthwise_weight", ConvParams, ["grid", "divide", "conv2d", "texture", "read", "tree"]);
pub(crate) static PACKED: Shader =
    shader!("conv2d_packed", ConvParams, ["grid", "conv2d", "texture", "read", "packed"]);

pub(crate) static WINOGRAD: Shader =
    shader!("conv2d_winograd", winograd::WinogradParams, ["grid", "divide", "texture", "read", "functions", "chain"]);
pub(crate) static WINOGRAD_PRODUCT: Shader =
    shader!("conv2d_winograd_product", winograd::ProductParams, ["grid", "texture", "read"]);

/// A convolution layer's settings, as PyTorch's `Conv2d` with the padding of each side by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv2d {
    out_channels: usize,
    kernel: [usize; 2],
    window: Window,
    bias: bool,
    init: Init,
}

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

impl Conv2d {
    /// `out_channels` filters with a square kernel, stride 1, no padding, with bias, He-normal weights.
    pub fn new(out_channels: usize, kernel: usize) -> Self {
        Self::rectangle(out_channels, kernel, kernel)
    }

    /// A kernel of `height` by `width`.
    pub fn rectangle(out_channels: usize, height: usize, width: usize) -> Self {
        let window = Window::default();
        Self { out_channels, kernel: [height, width], window, bias: true, init: Init::HeNormal }
    }

    /// The step of the kernel on both axes.
    pub fn stride(self, stride: usize) -> Self {
        self.strides(stride, stride)
    }

    /// The step of the kernel, down and across.
    pub fn strides(mut self, height: usize, width: usize) -> Self {
        self.window.stride = [height, width];
        self
    }

    /// Zeros around the image, the same on all sides.
    pub fn padding(self, padding: usize) -> Self {
        self.paddings(padding, padding, padding, padding)
    }

    /// Zeros around the image, side by side.
    pub fn paddings(mut self, top: usize, left: usize, bottom: usize, right: usize) -> Self {
        self.window.padding = [top, left, bottom, right];
        self
    }

    /// The distance between a kernel's taps on both axes.
    pub fn dilation(mut self, dilation: usize) -> Self {
        self.window.dilation = [dilation; 2];
        self
    }

    /// Splits channels into groups that do not mix; as many groups as input channels make it depthwise.
    pub fn groups(mut self, groups: usize) -> Self {
        self.window.groups = groups;
        self
    }

    /// Leaves the bias out, as before a batch norm.
    pub fn without_bias(mut self) -> Self {
        self.bias = false;
        self
    }

    /// How the weights start.
    pub fn init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }
}

impl<'g> Tensor<'g> {
    /// A convolution layer with the parameters `NAME.weight` and `NAME.bias`.
    ///
    /// # Errors
    /// When the tensor is not f32 `[N, C, H, W]`, the groups do not divide the channels, or the kernel does not fit.
    pub fn conv2d(self, name: &str, settings: Conv2d) -> Result<Self> {
        let graph = self.graph();
        let Conv2d { out_channels, kernel: [kh, kw], window, bias, init } = settings;
        let [_, channels, ..] = image(&format!("{NAME} `{name}`"), &self.ty())?;
        if window.groups == 0 || channels % window.groups != 0 || out_channels % window.groups != 0 {
            let message = format!("{} groups do not divide {channels} and {out_channels} channels", window.groups);
            return Err(Error::argument(format!("{NAME} `{name}`"), message));
        }
        graph.whole(|| {
            let shape = [out_channels, channels / window.groups, kh, kw];
            let weight = graph.parameter(&format!("{name}.weight"), shape, init)?;
            let bias = match bias {
                true => Some(graph.parameter(&format!("{name}.bias"), out_channels, Init::Zeros)?),
                false => None,
            };
            self.convolve(name, weight, bias, window)
        })
    }

    /// A convolution with any weight `[O, C/groups, KH, KW]` and bias `[O]`, such as a shared parameter or a fixed
    /// filter. Of `settings`, stride, padding, dilation and groups count.
    ///
    /// # Errors
    /// As [`Tensor::conv2d`], and when the shapes of weight or bias do not fit.
    pub fn conv2d_with(self, weight: Self, bias: Option<Self>, settings: Conv2d) -> Result<Self> {
        self.convolve("", weight, bias, settings.window)
    }

    fn convolve(self, name: &str, weight: Self, bias: Option<Self>, window: Window) -> Result<Self> {
        let inputs: Vec<Self> = [self, weight].into_iter().chain(bias).collect();
        self.graph().apply_one(Forward(window), name, &inputs)
    }
}

/// (x, weight, bias?) -> y
#[derive(Debug)]
struct Forward(Window);

impl Op for Forward {
    fn name(&self) -> &'static str {
        NAME
    }

    fn filter(&self) -> Option<usize> {
        (self.0.groups == 1).then_some(1)
    }

    fn attributes(&self) -> String {
        let Window { stride, padding, dilation, groups } = self.0;
        format!("stride {stride:?}, padding {padding:?}, dilation {dilation:?}, groups {groups}")
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        let g = Geometry::new(&inputs[0], &inputs[1], self.0)?;
        if let Some(bias) = inputs.get(2) {
            super::expect(NAME, "a bias", &TensorType::f32(g.channels[1]), bias)?;
        }
        Ok(vec![TensorType::f32([g.batch, g.channels[1], g.output[0], g.output[1]])])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let geometry = Geometry::new(&cx.input(0).ty(), &cx.input(1).ty(), self.0)?;
        gradients(cx, |direction, output| Gradient { geometry, direction, output })
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        // The shape rule has seen these types.
        let Ok(g) = Geometry::new(&cx.input_types[0], &cx.input_types[1], self.0) else { return Vec::new() };
        let g = g.reference();
        let mut y = reference::forward(&g, cx.inputs[0], cx.inputs[1], cx.inputs.get(2).copied());
        if cx.computed_by(winograd::VARIANT) {
            reference::widen_to_winograd(&g, cx.inputs[0], cx.inputs[1], false, &mut y);
        }
        vec![y]
    }

    fn flops(&self, inputs: &[TensorType], _: &[TensorType]) -> u64 {
        Geometry::new(&inputs[0], &inputs[1], self.0).map_or(0, |g| g.flops())
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let g = Geometry::new(&cx.inputs[0], &cx.inputs[1], self.0)?;
        let mut operands: Vec<Operand> = (0..cx.own_inputs()).map(Operand::Input).collect();
        operands.push(Operand::Output(0));
        lower(cx, &g, Direction::Forward, &operands)
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

/// Cotangents of (x, weight, bias?), for convolutions and dense layers: `op` makes the operation that computes the gradient
/// of one direction, given the gradient's type.
pub(super) fn gradients<'g, G: Op>(
    cx: &GradientContext<'g>,
    op: impl Fn(Direction, TensorType) -> G,
) -> Result<Vec<Option<Tensor<'g>>>> {
    let mut gradients = vec![None; cx.count()];
    let Some(dy) = cx.cotangent(0) else { return Ok(gradients) };
    let (x, weight) = (cx.input(0), cx.input(1));
    let apply = |op, inputs: [Tensor<'g>; 2]| cx.graph().apply_one(op, cx.layer(), &inputs).map(Some);
    // The weight's gradient first: independent of the input's, and the sooner done the sooner dy's memory is free.
    if cx.wants(1) {
        gradients[1] = apply(op(Direction::GradWeight, weight.ty()), [x, dy])?;
    }
    if cx.count() > 2 && cx.wants(2) {
        gradients[2] = Some(dy.sum_to_channels(cx.layer())?);
    }
    if cx.wants(0) {
        gradients[0] = apply(op(Direction::GradInput, x.ty()), [weight, dy])?;
    }
    Ok(gradients)
}

/// (weight, dy) -> dx, or (x, dy) -> dweight
#[derive(Debug)]
struct Gradient {
    geometry: Geometry,
    direction: Direction,
    output: TensorType,
}

impl Op for Gradient {
    fn name(&self) -> &'static str {
        match self.direction {
            Direction::GradWeight => "conv2d.grad_weight",
            _ => "conv2d.grad_input",
        }
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![self.output.clone()])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let g = self.geometry.reference();
        let [first, second] = [cx.inputs[0], cx.inputs[1]];
        if self.direction == Direction::GradWeight {
            return vec![reference::grad_weight(&g, first, second)];
        }
        let mut dx = reference::grad_input(&g, first, second);
        if cx.computed_by(winograd::VARIANT) {
            reference::widen_to_winograd(&g, second, first, true, &mut dx);
        }
        vec![dx]
    }

    fn flops(&self, _: &[TensorType], _: &[TensorType]) -> u64 {
        self.geometry.flops()
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let operands = [Operand::Input(0), Operand::Input(1), Operand::Output(0)];
        lower(cx, &self.geometry, self.direction, &operands)
    }

    fn takes_epilogue(&self) -> bool {
        self.direction == Direction::GradInput
    }
}
