//! Sums over a view `[groups, outer, channels, inner]`: y[g,c] = scale·Σ x[g,o,c,i], and back: dx[g,o,c,i] = scale·dy[g,c].
//!
//! Sums and means over any axes, global average pooling and bias gradients are all this one reduction.

use super::axes::{Axes, Reduced};
use super::chain::dispatch_finished;
use super::{MAX_ITERATIONS, float};
use crate::error::{Error, Result};
use crate::gpu::DeviceClass;
use crate::graph::chain::Chain;
use crate::graph::gradients::no_gradient;
use crate::graph::{DType, Evaluation, GradientContext, Op, Shape, Tensor, TensorType};
use crate::plan::{Candidate, Format, Kernel, Lowering, Operand, Shader, params, shader, word};
use crate::reference::Checked;
pub(super) use crate::reference::reduce as reference;
use crate::selftest::OpCase;

params! {
    ReduceParams { groups: u32, outer: u32, channels: u32, inner: u32, lanes: u32, scale: f32 }
}
const NAME: &str = "reduce";
pub(super) const GLOBAL: &str = "global_avg_pool2d";
const TO_CHANNELS: &str = "sum_to_channels";
const TO_SHAPE: &str = "expand.grad_input";
pub(crate) static SHADER: Shader =
    shader!("reduce", ReduceParams, ["grid", "divide", "channel", "texture", "read", "epilogue"], chain);

impl<'g> Tensor<'g> {
    /// The sums over axes.
    ///
    /// # Errors
    /// When the tensor is not f32, has no such axes, or a sum is of more elements than two passes can add.
    pub fn sum(self, axes: impl Into<Axes>) -> Result<Self> {
        self.sum_over("sum", &axes.into(), false)
    }

    /// The means over axes: `x.mean(..)` is that of all elements.
    ///
    /// # Errors
    /// Those of [`Tensor::sum`].
    pub fn mean(self, axes: impl Into<Axes>) -> Result<Self> {
        let axes = axes.into();
        // Images are pooled in whatever format they have.
        if let [n, c, h, w] = self.shape()[..]
            && h * w > 1
            && *axes.of("mean", &self.shape())?.output == [n, c, 1, 1]
        {
            return self.global_avg_pool2d();
        }
        self.sum_over("mean", &axes, true)
    }

    /// Σ|x| over axes: ONNX's `ReduceL1`.
    ///
    /// # Errors
    /// Those of [`Tensor::sum`].
    pub fn l1_norm(self, axes: impl Into<Axes>) -> Result<Self> {
        self.abs()?.sum(axes)
    }

    /// √Σx² over axes, in units of the largest element, so that squares neither overflow nor vanish; its gradient at 0 is 0.
    /// Of an infinite element the norm is infinite, and the gradient of finite ones beside it is 0. ONNX's `ReduceL2`.
    ///
    /// # Errors
    /// Those of [`Tensor::sum`].
    pub fn l2_norm(self, axes: impl Into<Axes>) -> Result<Self> {
        let axes = axes.into();
        // In units of the largest element, so that the sum is at least 1 unless all are 0 or subnormal. A unit of at most 1e30
        // keeps what is counted in it finite, also times a gradient.
        let unit = self.abs()?.max(axes.clone().keep())?.minimum(1e30)?.detach()?;
        let unit = unit.maximum(f32::MIN_POSITIVE)?;
        let squares = self.divide(unit)?.square()?.sum(axes)?;
        let size = unit.reshape(squares.shape())?;
        // Chosen before the root, whose derivative at 0 is infinite, and behind it.
        let there = squares.not_equal(0.0)?;
        there.select(there.select(squares, 1.0)?.sqrt()?.multiply(size)?, 0.0)
    }

    fn sum_over(self, name: &'static str, axes: &Axes, mean: bool) -> Result<Self> {
        float(name, &self.ty())?;
        self.add_up(name, "", axes.of(name, &self.shape())?, mean)
    }

    /// The sums over what expanding a tensor of this shape to the tensor's own copies.
    pub(super) fn sum_to(self, layer: &str, shape: &Shape) -> Result<Self> {
        let own = self.shape();
        // A view of the same shape would be one more tensor, and row-major.
        if own == *shape {
            return Ok(self);
        }
        let missing = own.len() - shape.len();
        let copied = |&axis: &usize| axis < missing || own[axis] != shape[axis - missing];
        let axes: Vec<usize> = (0..own.len()).filter(copied).collect();
        let reduced = Axes::from(&axes[..]).of(TO_SHAPE, &own)?;
        self.add_up(TO_SHAPE, layer, Reduced { output: shape.clone(), ..reduced }, false)
    }

    fn add_up(self, name: &'static str, layer: &str, mut reduced: Reduced, mean: bool) -> Result<Self> {
        let mut x = self;
        while let Some(view) = reduced.next_view() {
            let results = view[0] * view[2];
            let last = results == reduced.output.elements();
            let output = if last { reduced.output.clone() } else { results.into() };
            x = x.apply_sum(name, layer, view, mean, output)?;
        }
        x.reshape(reduced.output)
    }

    /// The sum over all axes but axis 1: the gradient of a bias.
    pub(crate) fn sum_to_channels(self, layer: &str) -> Result<Self> {
        let shape = self.shape();
        let view = [1, shape[0], shape[1], shape[2..].iter().product()];
        self.apply_sum(TO_CHANNELS, layer, view, false, shape[1].into())
    }

    /// The sums or means over outer and inner of a view `[groups, outer, channels, inner]`.
    pub(super) fn apply_sum(
        self,
        name: &'static str,
        layer: &str,
        view: [usize; 4],
        mean: bool,
        output: Shape,
    ) -> Result<Self> {
        self.graph().apply_one(ChannelSum { name, view, mean, output }, layer, &[self])
    }
}

#[derive(Debug, Clone)]
struct ChannelSum {
    name: &'static str,
    /// `[groups, outer, channels, inner]`
    view: [usize; 4],
    /// Divide by the number of elements summed.
    mean: bool,
    output: Shape,
}

impl ChannelSum {
    /// The view `[groups, outer, channels, inner]` of an image in this format. `None` of other tensors, and where the sums go
    /// over other axes than all, all but the channels, or those of the planes.
    fn view_of_image(&self, format: Format, x: &TensorType) -> Option<[usize; 4]> {
        let &[n, c, h, w] = &x.shape[..] else { return None };
        let [outer, channels, inner] = format.view([n, c, h * w]);
        match (self.view, format) {
            ([1, 1, 1, _], _) => Some(self.view),
            (view, _) if view == [1, n, c, h * w] => Some([1, outer, channels, inner]),
            (view, Format::ChannelsLast) if view == [1, 1, n * c, h * w] => Some([n, h * w, c, 1]),
            (view, _) if view == [1, 1, n * c, h * w] => Some(view),
            _ => None,
        }
    }

    /// How many elements make one result.
    fn count(&self) -> usize {
        self.view[1] * self.view[3]
    }

    fn scale(&self) -> f64 {
        if self.mean { 1.0 / self.count() as f64 } else { 1.0 }
    }
}

/// How a view `[groups, outer, channels, inner]` is gone over.
#[derive(Debug, Clone, Copy)]
struct Form {
    name: &'static str,
    /// The view in units of what one access reads.
    view: [usize; 4],
}

impl Form {
    /// Chooses one for a kernel.
    fn choose(cx: &mut Lowering<'_>, kernel: &str, [groups, outer, channels, inner]: [usize; 4]) -> Result<Self> {
        let not = |message: &str, legal: bool| (!legal).then(|| message.to_string());
        let last = not("only where fours of channels lie together", inner == 1 && channels.is_multiple_of(4));
        let planes = not("only where a channel's elements lie together in fours", inner.is_multiple_of(4));
        let mut candidates = vec![
            Candidate::unless("channels", last),
            Candidate::unless("planes", planes),
            Candidate::unless("elements", None),
        ];
        // A GPU reads single elements of neighbours at once, and has the more invocations.
        if cx.class() != DeviceClass::Cpu {
            candidates.rotate_right(1);
        }
        let name = cx.choose(kernel, candidates)?;
        let view = match name {
            "channels" => [groups, outer, channels / 4, 1],
            "planes" => [groups, outer, channels, inner / 4],
            _ => [groups, outer, channels, inner],
        };
        Ok(Self { name, view })
    }

    fn params(self, lanes: usize, scale: f64) -> Result<ReduceParams> {
        let [groups, outer, channels, inner] = self.view;
        Ok(ReduceParams {
            groups: word(NAME, groups)?,
            outer: word(NAME, outer)?,
            channels: word(NAME, channels)?,
            inner: word(NAME, inner)?,
            lanes: word(NAME, lanes)?,
            scale: scale as f32,
        })
    }

    fn kernel(self, entry: &'static str, textured: bool) -> Kernel {
        Kernel::new(&SHADER, entry)
            .variant(self.name)
            .template("entry", entry)
            .template("form", self.name)
            .template("texture", u8::from(textured))
    }
}

/// Sums operand `x`, a view `[groups, outer, channels, inner]`, over outer and inner into operand `y`, in one dispatch or
/// two.
pub(super) fn lower_sum(cx: &mut Lowering<'_>, view: [usize; 4], scale: f64, [x, y]: [Operand; 2]) -> Result<()> {
    let form = Form::choose(cx, "reduce.partial_sums", view)?;
    let textured = cx.choose_textures(NAME, view.iter().product())?;
    let x = if textured { x.textured() } else { x };
    let [groups, outer, channels, inner] = form.view;
    let (length, results) = (outer * inner, groups * channels);
    let lanes = match cx.class() {
        DeviceClass::Cpu => busy_lanes(length, results),
        _ => lanes_of(NAME, length)?,
    };
    let params = form.params(lanes, scale)?;
    // Only what is broadcast has an epilogue.
    let nothing = Chain::default();
    let partial_sums = form.kernel("partial_sums", textured).chain(&nothing, &[]);
    if lanes == 1 {
        return cx.dispatch_flat(partial_sums, &params, &[x, y], results);
    }
    let width = if form.name == "channels" { 4 } else { 1 };
    let partial = cx.scratch(results * lanes * width);
    cx.dispatch_flat(partial_sums, &params, &[x, Operand::ScratchWrite(partial)], results * lanes)?;
    let operands = [Operand::ScratchRead(partial), y];
    cx.dispatch_flat(form.kernel("finish", false).chain(&nothing, &[]), &params, &operands, results)
}

/// Into how many partial sums a CPU cuts each of so many sums of `length`: as many as keep a few cores busy, unless all
/// of it is done sooner than a second dispatch begins. [`lanes_of`] has allowed the length.
fn busy_lanes(length: usize, results: usize) -> usize {
    const BUSY: usize = 256;
    const SHORT: usize = 1 << 14;
    let busy = if length * results <= SHORT { 1 } else { BUSY.div_ceil(results) };
    busy.max(length.div_ceil(MAX_ITERATIONS * 9 / 10)).min(length)
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
        lanes_of(self.name, self.count())?;
        Ok(vec![TensorType::f32(self.output.clone())])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None]) };
        let op = ChannelBroadcast { sum: self.clone(), x: cx.input(0).ty() };
        Ok(vec![Some(cx.graph().apply_one(op, cx.layer(), &[dy])?)])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        vec![match cx.computed[0] {
            Some(x) => reference::channel_sum_of(self.view, x, self.scale()),
            None => reference::channel_sum(self.view, cx.inputs[0], self.scale()),
        }]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let x = cx.inputs[0].clone();
        let view = match self.view_of_image(Format::Planar, &x) {
            Some(planar) => {
                let format = cx.follow(self.name, 0)?;
                self.view_of_image(format, &x).unwrap_or(planar)
            }
            None => self.view,
        };
        lower_sum(cx, view, self.scale(), [Operand::Input(0), Operand::Output(0)])
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        crate::onnx::sum(cx, self.name, self.view, self.mean)
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
        vec![reference::channel_broadcast(self.sum.view, cx.inputs[0], self.sum.scale())]
    }

    fn takes_epilogue(&self) -> bool {
        true
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let format = match self.sum.name {
            GLOBAL => cx.originate("global_avg_pool2d.grad_input")?,
            _ => Format::Planar,
        };
        let view = self.sum.view_of_image(format, &self.x).unwrap_or(self.sum.view);
        let form = Form::choose(cx, "reduce.broadcast", view)?;
        let params = form.params(1, self.sum.scale())?;
        let textured = cx.choose_textures("reduce.broadcast", cx.inputs[0].elements())?;
        let mut operands = [Operand::Input(0), Operand::Output(0)];
        if textured {
            cx.through_textures(&mut operands[..1], 0);
        }
        let kernel = form.kernel("broadcast", textured);
        dispatch_finished(cx, kernel, &params, &operands, (format, textured), form.view.iter().product())
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let pooled =
        [[2, 3, 7, 5], [1, 1, 1, 1], [1, 67, 16, 17], [1, 2, 263, 257], [3, 12, 5, 7], [1, 4, 263, 257], [2, 64, 8, 6]]
            .map(|shape: [usize; 4]| {
                OpCase::new(format!("global_avg_pool2d {shape:?}"), move |cx| {
                    cx.normal("x", shape)?.global_avg_pool2d().map(|y| vec![y])
                })
            });
    let line = OpCase::new("global_avg_pool1d [2, 3, 701]", |cx| {
        cx.normal("x", [2, 3, 701])?.global_avg_pool1d().map(|y| vec![y])
    });
    let volume = OpCase::new("global_avg_pool3d [2, 5, 7, 9, 11]", |cx| {
        cx.normal("x", [2, 5, 7, 9, 11])?.global_avg_pool3d().map(|y| vec![y])
    });
    // The gradient of what comes before is computed with that of the means.
    let of_relu = [[2, 3, 7, 5], [1, 4, 8, 9], [3, 12, 5, 7], [2, 64, 8, 6]].map(|shape: [usize; 4]| {
        OpCase::new(format!("global_avg_pool2d {shape:?} of a relu"), move |cx| {
            cx.normal("x", shape)?.relu()?.global_avg_pool2d().map(|y| vec![y])
        })
    });
    let means = [1, 255, 257, 4100, 70_001].map(|count: usize| {
        OpCase::new(format!("mean [{count}]"), move |cx| cx.normal("x", [count])?.mean(..).map(|y| vec![y]))
    });
    // The bias gradients of the convolutions and dense layers are the third use.
    let shapes = [
        vec![3, 5, 31],
        vec![64, 10, 1],
        vec![2, 67, 300],
        vec![2, 12, 7, 5],
        vec![3, 16, 40, 5],
        vec![700, 12],
        vec![4, 64, 2, 2],
        vec![9, 40, 20, 10],
    ];
    let sums = shapes.map(|shape| {
        OpCase::new(format!("sum_to_channels {shape:?}"), move |cx| {
            cx.normal("x", shape.clone())?.sum_to_channels("").map(|y| vec![y])
        })
    });
    // Every pattern of reduced and kept axes, and one that takes two passes.
    let axes: [(&[usize], &[usize]); 7] = [
        (&[5, 31], &[1]),
        (&[5, 31], &[0]),
        (&[3, 5, 7], &[1]),
        (&[3, 5, 7], &[0, 2]),
        (&[2, 3, 4, 300], &[1, 3]),
        (&[4, 300, 8], &[1]),
        (&[2, 3, 4, 5, 6], &[0, 2, 4]),
    ];
    let over = axes.map(|(shape, axes)| {
        OpCase::new(format!("mean over {axes:?} of {shape:?}"), move |cx| {
            let x = cx.normal("x", shape)?;
            Ok(vec![x.mean(axes)?, x.sum(Axes::from(axes).keep())?])
        })
    });
    let norms = [
        OpCase::new("norms of [3, 5, 7]", |cx| {
            let x = cx.normal("x", [3, 5, 7])?;
            Ok(vec![x.l1_norm([0, 2])?, x.l2_norm(1)?, x.l2_norm(Axes::from(..).keep())?])
        }),
        OpCase::new("norms that one element makes", |cx| {
            let x = cx.values("x", [3, 3], vec![3.0, 0.0, 0.0, 1e-4, -2.0, 1e-4, 0.0, 0.0, -0.5])?;
            Ok(vec![x.l2_norm(1)?, x.reshape([9, 1])?.slice(0, 4, 5, 1)?.l2_norm(1)?])
        }),
        // Squares that overflow and underflow, and a row of zeros.
        OpCase::new("norms of extremes", |cx| {
            let x = cx.values("x", [3, 3], vec![3e30, -4e30, 0.0, 3e-30, 4e-30, 0.0, 0.0, 0.0, 0.0])?;
            Ok(vec![x.l2_norm(1)?])
        })
        .without_differences(),
    ];
    pooled.into_iter().chain(of_relu).chain([line, volume]).chain(means).chain(sums).chain(over).chain(norms).collect()
}
