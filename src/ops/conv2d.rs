//! 2-d convolution (cross-correlation), NCHW, weight `[O, C/groups, KH, KW]`:
//! y[n,o,oy,ox] = bias[o] + Σ x[n, c, oy·stride + ky·dilation - pad, ...]·w[o,c,ky,kx] over c of o's group, ky and kx.
//!
//! Three variants of each direction share bindings and parameters: `naive` is the readable rung, `tiled` goes through
//! workgroup memory, `blocked` keeps a tile in registers without a barrier, for adapters that run on a CPU.

use super::{MAX_ITERATIONS, image};
use crate::error::{Error, Result};
use crate::gpu::DeviceClass;
use crate::graph::gradients::no_gradient;
use crate::graph::{Evaluation, GradientContext, Init, Op, Tensor, TensorType};
use crate::plan::{Candidate, Kernel, Lowering, Operand, Shader, params, shader, word};
use crate::reference::{Checked, conv2d as reference};

mod cases;
pub(crate) use cases::cases;

const NAME: &str = "conv2d";

params! {
    ConvParams {
        batch: u32, in_channels: u32, in_height: u32, in_width: u32, out_channels: u32, out_height: u32,
        out_width: u32, kernel_height: u32, kernel_width: u32, stride_height: u32, stride_width: u32, pad_top: u32,
        pad_left: u32, dilation_height: u32, dilation_width: u32, groups: u32, splits: u32,
    }
}
pub(crate) static NAIVE: Shader = shader!("conv2d", ConvParams, ["grid", "conv2d"]);
pub(crate) static TILED: Shader = shader!("conv2d_tiled", ConvParams, ["grid", "conv2d"]);
pub(crate) static BLOCKED: Shader = shader!("conv2d_blocked", ConvParams, ["grid", "conv2d"]);

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
        let weight =
            graph.parameter(&format!("{name}.weight"), [out_channels, channels / window.groups, kh, kw], init)?;
        let bias = match bias {
            true => Some(graph.parameter(&format!("{name}.bias"), out_channels, Init::Zeros)?),
            false => None,
        };
        self.convolve(name, weight, bias, window)
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

/// A convolution with all its sizes: what the kernels and the reference are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    batch: usize,
    channels: [usize; 2],
    input: [usize; 2],
    output: [usize; 2],
    kernel: [usize; 2],
    window: Window,
}

impl Geometry {
    /// A 1x1 convolution of images of one row; with one pixel, a dense layer.
    pub(super) fn pointwise(batch: usize, inputs: usize, outputs: usize, pixels: usize) -> Self {
        let size = [1, pixels];
        let channels = [inputs, outputs];
        Self { batch, channels, input: size, output: size, kernel: [1; 2], window: Window::default() }
    }

    fn new(x: &TensorType, weight: &TensorType, window: Window) -> Result<Self> {
        let [batch, channels, height, width] = image(NAME, x)?;
        let [out_channels, per_group, kernel_height, kernel_width] = image(NAME, weight)?;
        let Window { stride, padding, dilation, groups } = window;
        if stride.contains(&0) || dilation.contains(&0) || groups == 0 {
            return Err(Error::argument(NAME, "stride, dilation and groups must be at least 1"));
        }
        if channels != per_group * groups || out_channels % groups != 0 {
            let expected = format!("a weight [O, {channels}/{groups}, KH, KW] with O divisible by {groups}");
            return Err(Error::shape(NAME, expected, weight));
        }
        let kernel = [kernel_height, kernel_width];
        let out = |axis: usize, input: usize| {
            let padded = input.saturating_add(padding[axis]).saturating_add(padding[axis + 2]);
            let reach = dilation[axis].saturating_mul(kernel[axis] - 1).saturating_add(1);
            match padded.checked_sub(reach) {
                Some(free) => Ok(free / stride[axis] + 1),
                None => {
                    let expected = format!("at least {reach} rows and columns with padding {padding:?}");
                    Err(Error::shape(NAME, expected, x))
                }
            }
        };
        let output = [out(0, height)?, out(1, width)?];
        Ok(Self { batch, channels: [channels, out_channels], input: [height, width], output, kernel, window })
    }

    /// Channels of one group, in and out.
    fn group(&self) -> [usize; 2] {
        self.channels.map(|channels| channels / self.window.groups)
    }

    /// Elements of one output channel's weights.
    fn taps(&self) -> usize {
        self.group()[0] * self.kernel[0] * self.kernel[1]
    }

    fn pixels(&self, size: [usize; 2]) -> usize {
        self.batch * size[0] * size[1]
    }

    fn params(&self, splits: usize) -> Result<ConvParams> {
        let word = |size| word(NAME, size);
        let Window { stride, padding, dilation, groups } = self.window;
        Ok(ConvParams {
            batch: word(self.batch)?,
            in_channels: word(self.channels[0])?,
            in_height: word(self.input[0])?,
            in_width: word(self.input[1])?,
            out_channels: word(self.channels[1])?,
            out_height: word(self.output[0])?,
            out_width: word(self.output[1])?,
            kernel_height: word(self.kernel[0])?,
            kernel_width: word(self.kernel[1])?,
            stride_height: word(stride[0])?,
            stride_width: word(stride[1])?,
            pad_top: word(padding[0])?,
            pad_left: word(padding[1])?,
            dilation_height: word(dilation[0])?,
            dilation_width: word(dilation[1])?,
            groups: word(groups)?,
            splits: word(splits)?,
        })
    }

    fn reference(&self) -> reference::Geometry {
        let Window { stride, padding, dilation, groups } = self.window;
        reference::Geometry {
            batch: self.batch,
            in_channels: self.channels[0],
            in_height: self.input[0],
            in_width: self.input[1],
            out_channels: self.channels[1],
            groups,
            kernel: self.kernel,
            stride,
            padding,
            dilation,
        }
    }
}

/// One of the three products that a convolution and its gradients are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    GradInput,
    GradWeight,
}

impl Direction {
    fn entry(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::GradInput => "grad_input",
            Self::GradWeight => "grad_weight",
        }
    }
}

/// Rows (channels) and columns (pixels or taps) of a `blocked` invocation's tile, and its workgroup.
const BLOCK: [usize; 2] = [8, 16];
const BLOCKED_WORKGROUP: usize = 16;
/// Side of a `tiled` workgroup's tile.
const TILE: usize = 64;

/// How one variant computes one direction.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// Workgroups.
    workgroups: usize,
    /// Slices of the sum (weight gradient only).
    splits: usize,
    /// Loop iterations of one invocation.
    iterations: usize,
}

fn layout(g: &Geometry, direction: Direction, variant: &str) -> Layout {
    let [per_group_in, per_group_out] = g.group();
    let groups = g.window.groups;
    let [kh, kw] = g.kernel;
    // The product's rows within a group, columns, and what is summed over.
    let (rows, columns) = match direction {
        Direction::Forward => (per_group_out, g.pixels(g.output)),
        Direction::GradInput => (per_group_in, g.pixels(g.input)),
        Direction::GradWeight => (per_group_out, g.taps()),
    };
    // Pixels of dx that a stride sees at one phase share their taps: tiled kernels take the phases one after the other.
    let [sh, sw] = g.window.stride;
    let phase = g.pixels([g.input[0].div_ceil(sh), g.input[1].div_ceil(sw)]);
    let inner = if direction == Direction::Forward { per_group_in } else { per_group_out };
    // Work items of a slice, invocations of a workgroup, the length that is cut into slices, and an invocation's loop
    // iterations for each unit of it.
    let block = rows.div_ceil(BLOCK[0]) * groups;
    let tile = rows.div_ceil(TILE) * groups;
    let (items, workgroup, axis, each) = match (variant, direction) {
        ("naive", Direction::GradWeight) => (rows * columns * groups, 64, g.pixels(g.output), 1),
        ("naive", _) => (rows * columns * groups, 64, 1, inner * (1 + kh * (1 + kw))),
        ("blocked", Direction::GradWeight) => {
            let items = block * columns.div_ceil(BLOCK[1]);
            (items, BLOCKED_WORKGROUP, g.batch * g.output[0], 1 + g.output[1])
        }
        ("blocked", Direction::GradInput) => {
            (block * (phase * sh * sw).div_ceil(BLOCK[1]), BLOCKED_WORKGROUP, 1, kh * (1 + kw * (1 + inner)))
        }
        ("blocked", Direction::Forward) => {
            (block * columns.div_ceil(BLOCK[1]), BLOCKED_WORKGROUP, 1, kh * (1 + kw * (1 + inner)))
        }
        // A slab of 16 terms takes a few loops.
        (_, Direction::GradWeight) => (tile * columns.div_ceil(TILE), 1, g.pixels(g.output).div_ceil(16), 5),
        (_, direction) => {
            let columns =
                if direction == Direction::Forward { columns.div_ceil(TILE) } else { sh * sw * phase.div_ceil(TILE) };
            (tile * columns, 1, 1, 5 * (inner * kh * kw).div_ceil(16) + 2 * (kh + kw))
        }
    };
    // Enough slices to keep the device busy, each long enough to be worth its place among the partial sums, and none
    // longer than one invocation may run.
    let (busy, shortest) = match variant {
        "naive" => (4096, 512),
        "blocked" => (128, 256),
        _ => (256, 64),
    };
    let wanted = (busy / items.max(1)).min(axis * each / shortest);
    let legal = (axis * each).div_ceil(MAX_ITERATIONS * 9 / 10);
    let splits = if axis == 1 { 1 } else { wanted.max(legal).clamp(1, axis) };
    Layout { workgroups: (splits * items).div_ceil(workgroup), splits, iterations: axis.div_ceil(splits) * each }
}

/// Adds the dispatches of one direction. `operands` are the inputs of the entry point, then the output.
pub(super) fn lower(cx: &mut Lowering<'_>, g: &Geometry, direction: Direction, operands: &[Operand]) -> Result<()> {
    let refusal = |variant: &str| {
        let Layout { iterations, splits, .. } = layout(g, direction, variant);
        (iterations > MAX_ITERATIONS || splits > MAX_ITERATIONS)
            .then(|| format!("{iterations} iterations in one invocation are too many"))
    };
    let candidate = |variant: &'static str| Candidate::unless(variant, refusal(variant));
    // A tile of 64 channels is mostly empty where a group has few.
    let narrow = g.group().iter().all(|&channels| channels < TILE / 8) && g.window.groups > 1;
    let order = match cx.class() {
        DeviceClass::Cpu if narrow => ["naive", "blocked", "tiled"],
        DeviceClass::Cpu => ["blocked", "tiled", "naive"],
        DeviceClass::Gpu if narrow => ["naive", "blocked", "tiled"],
        DeviceClass::Gpu => ["tiled", "blocked", "naive"],
    };
    let entry = direction.entry();
    let variant = cx.choose(&format!("{NAME}.{entry}"), order.map(candidate).to_vec())?;
    let Layout { workgroups, splits, .. } = layout(g, direction, variant);
    let params = g.params(splits)?;
    let kernel = match variant {
        "naive" => Kernel::new(&NAIVE, entry).constant("WORKGROUP", 64.0),
        "blocked" => Kernel::new(&BLOCKED, entry)
            .template("rows", BLOCK[0])
            .template("columns", BLOCK[1])
            .constant("WORKGROUP", BLOCKED_WORKGROUP as f64),
        _ => Kernel::new(&TILED, entry),
    };
    let kernel = kernel.variant(variant);
    if direction == Direction::Forward {
        // Bindings are fixed: without a bias, the weight stands in its place.
        let (inputs, y) = operands.split_at(operands.len() - 1);
        let bias = inputs.get(2).copied();
        let operands = [inputs[0], inputs[1], bias.unwrap_or(inputs[1]), y[0]];
        return cx.dispatch(kernel.flag("HAS_BIAS", bias.is_some()), &params, &operands, workgroups);
    }
    if splits == 1 {
        return cx.dispatch(kernel, &params, operands, workgroups);
    }
    let (inputs, dw) = operands.split_at(2);
    let count = g.channels[1] * g.taps();
    let partial = cx.scratch(splits * count);
    cx.dispatch(kernel, &params, &[inputs[0], inputs[1], Operand::ScratchWrite(partial)], workgroups)?;
    let sum = Kernel::new(&NAIVE, "sum_partials");
    cx.dispatch_flat(sum, &params, &[Operand::ScratchRead(partial), dw[0]], count)
}

/// (x, weight, bias?) -> y
#[derive(Debug)]
struct Forward(Window);

impl Op for Forward {
    fn name(&self) -> &'static str {
        NAME
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
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None; cx.count()]) };
        let (x, weight) = (cx.input(0), cx.input(1));
        let geometry = Geometry::new(&x.ty(), &weight.ty(), self.0)?;
        let gradient = |direction, output: Tensor<'g>, inputs: [Tensor<'g>; 2]| {
            let op = Gradient { geometry, direction, output: output.ty() };
            cx.graph().apply_one(op, cx.layer(), &inputs).map(Some)
        };
        let mut gradients = vec![None; cx.count()];
        // The weight's gradient first: independent of the input's, and the sooner done the sooner dy's memory is free.
        if cx.wants(1) {
            gradients[1] = gradient(Direction::GradWeight, weight, [x, dy])?;
        }
        if cx.count() > 2 && cx.wants(2) {
            gradients[2] = Some(dy.sum_to_channels(cx.layer())?);
        }
        if cx.wants(0) {
            gradients[0] = gradient(Direction::GradInput, x, [weight, dy])?;
        }
        Ok(gradients)
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        // The shape rule has seen these types.
        let Ok(g) = Geometry::new(&cx.input_types[0], &cx.input_types[1], self.0) else { return Vec::new() };
        vec![reference::forward(&g.reference(), cx.inputs[0], cx.inputs[1], cx.inputs.get(2).copied())]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let g = Geometry::new(&cx.inputs[0], &cx.inputs[1], self.0)?;
        let mut operands: Vec<Operand> = (0..cx.inputs.len()).map(Operand::Input).collect();
        operands.push(Operand::Output(0));
        lower(cx, &g, Direction::Forward, &operands)
    }
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
        vec![match self.direction {
            Direction::GradWeight => reference::grad_weight(&g, cx.inputs[0], cx.inputs[1]),
            _ => reference::grad_input(&g, cx.inputs[0], cx.inputs[1]),
        }]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let operands = [Operand::Input(0), Operand::Input(1), Operand::Output(0)];
        lower(cx, &self.geometry, self.direction, &operands)
    }
}
