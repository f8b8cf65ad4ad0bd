//! Sums over a view `[outer, channels, inner]`: y[c] = scale·Σ x[o,c,i], and back: dx[o,c,i] = scale·dy[c].
//!
//! Global average pooling, means and bias gradients are all this one reduction.

use super::{MAX_ITERATIONS, Pool2d, avg_pool2d, image};
use crate::error::{Error, Result};
use crate::graph::gradients::no_gradient;
use crate::graph::{DType, Evaluation, GradientContext, Op, Shape, Tensor, TensorType};
use crate::plan::{Format, Kernel, Lowering, Operand, Shader, params, shader, word};
use crate::reference::Checked;
pub(super) use crate::reference::reduce as reference;
use crate::selftest::OpCase;

params! {
    ReduceParams { outer: u32, channels: u32, inner: u32, lanes: u32, scale: f32 }
}
const NAME: &str = "reduce";
const GLOBAL: &str = "global_avg_pool2d";
const TO_CHANNELS: &str = "sum_to_channels";
pub(crate) static SHADER: Shader = shader!("reduce", ReduceParams, ["grid", "divide", "channel"]);

impl<'g> Tensor<'g> {
    /// The mean of each plane: `[N, C, H, W]` to `[N, C, 1, 1]`, as PyTorch's `AdaptiveAvgPool2d(1)`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 4.
    pub fn global_avg_pool2d(self) -> Result<Self> {
        let [n, c, h, w] = image(GLOBAL, &self.ty())?;
        let view = [1, n * c, h * w];
        let op = ChannelSum { name: GLOBAL, view, mean: true, output: [n, c, 1, 1].into() };
        self.graph().apply_one(op, "", &[self])
    }

    /// The mean of all elements, as a tensor of one.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn mean(self) -> Result<Self> {
        let view = [1, 1, self.shape().elements()];
        self.graph().apply_one(ChannelSum { name: "mean", view, mean: true, output: 1.into() }, "", &[self])
    }

    /// The sum over all axes but axis 1: the gradient of a bias.
    pub(crate) fn sum_to_channels(self, layer: &str) -> Result<Self> {
        let shape = self.shape();
        let view = [shape[0], shape[1], shape[2..].iter().product()];
        let op = ChannelSum { name: TO_CHANNELS, view, mean: false, output: shape[1].into() };
        self.graph().apply_one(op, layer, &[self])
    }
}

#[derive(Debug, Clone)]
struct ChannelSum {
    name: &'static str,
    view: [usize; 3],
    /// Divide by the number of elements summed.
    mean: bool,
    output: Shape,
}

impl ChannelSum {
    fn scale(&self) -> f64 {
        if self.mean { 1.0 / (self.view[0] * self.view[2]) as f64 } else { 1.0 }
    }
}

fn params([outer, channels, inner]: [usize; 3], lanes: usize, scale: f64) -> Result<ReduceParams> {
    Ok(ReduceParams {
        outer: word(NAME, outer)?,
        channels: word(NAME, channels)?,
        inner: word(NAME, inner)?,
        lanes: word(NAME, lanes)?,
        scale: scale as f32,
    })
}

/// The pooling window that is the whole image.
fn whole(x: &TensorType) -> Pool2d {
    Pool2d::rectangle(x.shape[2], x.shape[3])
}

/// Whether one invocation can go over that window.
fn is_window(x: &TensorType) -> bool {
    x.shape[2].saturating_mul(x.shape[3] + 2) <= MAX_ITERATIONS
}

/// Sums operand `x` over outer and inner into operand `y`, in one dispatch or two.
pub(super) fn lower_sum(cx: &mut Lowering<'_>, view: [usize; 3], scale: f64, [x, y]: [Operand; 2]) -> Result<()> {
    let [outer, channels, inner] = view;
    let lanes = lanes_of(NAME, outer * inner)?;
    let params = params(view, lanes, scale)?;
    let partial_sums = Kernel::new(&SHADER, "partial_sums");
    if lanes == 1 {
        return cx.dispatch_flat(partial_sums, &params, &[x, y], channels);
    }
    let partial = cx.scratch(channels * lanes);
    cx.dispatch_flat(partial_sums, &params, &[x, Operand::ScratchWrite(partial)], channels * lanes)?;
    let operands = [Operand::ScratchRead(partial), y];
    cx.dispatch_flat(Kernel::new(&SHADER, "finish"), &params, &operands, channels)
}

/// Into how many partial sums to cut a sum of `length`: none for a short one, else about as many as each then has
/// elements, so that neither stage is long. `None` when even that exceeds what one invocation may do.
pub(crate) fn lanes(length: usize) -> Option<usize> {
    /// Up to here a second dispatch costs more than the parallelism gains.
    const SHORT: usize = 256;
    let lanes = if length <= SHORT { 1 } else { length.isqrt().next_power_of_two() };
    (length.div_ceil(lanes) <= MAX_ITERATIONS && lanes <= MAX_ITERATIONS).then_some(lanes)
}

/// [`lanes`], or the error that the sum is too long.
pub(crate) fn lanes_of(op: &str, length: usize) -> Result<usize> {
    lanes(length).ok_or_else(|| Error::argument(op, format!("a sum of {length} elements is too long")))
}

impl Op for ChannelSum {
    fn name(&self) -> &'static str {
        self.name
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        if inputs[0].dtype != DType::F32 {
            return Err(Error::shape(self.name, "an f32 tensor", &inputs[0]));
        }
        Ok(vec![TensorType::f32(self.output.clone())])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None]) };
        let op = ChannelBroadcast { sum: self.clone(), x: cx.input(0).ty() };
        Ok(vec![Some(cx.graph().apply_one(op, cx.layer(), &[dy])?)])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let [outer, channels, inner] = self.view;
        vec![reference::channel_sum(outer, channels, inner, cx.inputs[0], self.scale())]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        if self.name == GLOBAL && is_window(&cx.inputs[0]) && cx.follow(GLOBAL, 0)? == Format::ChannelsLast {
            let x = cx.inputs[0].clone();
            return avg_pool2d::lower(cx, &whole(&x), "forward", &x, Format::ChannelsLast);
        }
        // A channel's elements are a view of either format; those of a plane are not.
        let format = if self.name == TO_CHANNELS { cx.follow(TO_CHANNELS, 0)? } else { Format::Planar };
        lower_sum(cx, format.view(self.view), self.scale(), [Operand::Input(0), Operand::Output(0)])
    }
}

/// dy -> dx
#[derive(Debug)]
struct ChannelBroadcast {
    sum: ChannelSum,
    x: TensorType,
}

impl Op for ChannelBroadcast {
    fn name(&self) -> &'static str {
        "broadcast"
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![self.x.clone()])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let [outer, channels, inner] = self.sum.view;
        vec![reference::channel_broadcast(outer, channels, inner, cx.inputs[0], self.sum.scale())]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let pooled = self.sum.name == GLOBAL && is_window(&self.x);
        if pooled && cx.originate("global_avg_pool2d.grad_input")? == Format::ChannelsLast {
            return avg_pool2d::lower(cx, &whole(&self.x), "grad_input", &self.x, Format::ChannelsLast);
        }
        let params = params(self.sum.view, 1, self.sum.scale())?;
        let operands = [Operand::Input(0), Operand::Output(0)];
        cx.dispatch_flat(Kernel::new(&SHADER, "broadcast"), &params, &operands, self.x.elements())
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let pooled = [[2, 3, 7, 5], [1, 1, 1, 1], [1, 67, 16, 17], [1, 2, 263, 257], [3, 12, 5, 7], [1, 4, 263, 257]].map(
        |shape: [usize; 4]| {
            OpCase::new(format!("global_avg_pool2d {shape:?}"), move |cx| {
                cx.normal("x", shape)?.global_avg_pool2d().map(|y| vec![y])
            })
        },
    );
    let means = [1, 255, 257, 70_001].map(|count: usize| {
        OpCase::new(format!("mean [{count}]"), move |cx| cx.normal("x", [count])?.mean().map(|y| vec![y]))
    });
    // The bias gradients of the convolutions and dense layers are the third use.
    let shapes = [vec![3, 5, 31], vec![64, 10, 1], vec![2, 67, 300], vec![2, 12, 7, 5]];
    let sums = shapes.map(|shape| {
        OpCase::new(format!("sum_to_channels {shape:?}"), move |cx| {
            cx.normal("x", shape.clone())?.sum_to_channels("").map(|y| vec![y])
        })
    });
    pooled.into_iter().chain(means).chain(sums).collect()
}
