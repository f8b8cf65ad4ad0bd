//! Batch normalisation over the channels of `[N, C, ...]` (Ioffe and Szegedy 2015):
//! y = gamma·(x - mean)/sqrt(variance + epsilon) + beta.
//!
//! In training mean and variance (biased) are the batch's own, and the running ones move towards them by `momentum`, the
//! variance unbiased, as in PyTorch; in evaluation they are the running ones.

mod channels_last;
mod evaluation;
mod running;
mod tiles;

use super::reduce::lanes_of;
use crate::error::{Error, Result};
use crate::gpu::DeviceClass;
use crate::graph::chain::{Extent, Pointwise};
use crate::graph::gradients::no_gradient;
use crate::graph::{DType, Evaluation, GradientContext, Init, Mode, Op, Reach, Tensor, TensorType};
use crate::plan::{Kernel, Lowering, Operand, Shader, params, shader, word};
use crate::reference::{Checked, batch_norm as reference};
use crate::selftest::OpCase;

const NAME: &str = "batch_norm";

params! {
    /// `momentum` and `factor` serve `running` alone.
    BatchNormParams {
        outer: u32, channels: u32, inner: u32, lanes: u32, epsilon: f32, momentum: f32, factor: f32,
    }
}
pub(crate) use channels_last::SHADER as CHANNELS_LAST;
use running::Running;
pub(crate) use tiles::SHADER as TILES;
pub(crate) static SHADER: Shader = shader!("batch_norm", BatchNormParams, ["grid", "divide", "channel"]);

/// Settings of a batch norm layer; the default is PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchNorm {
    pub(crate) epsilon: f32,
    pub(crate) momentum: f32,
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self { epsilon: 1e-5, momentum: 0.1 }
    }
}

impl BatchNorm {
    /// What is added to the variance before the root.
    pub fn epsilon(mut self, epsilon: f32) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// The share of the batch in the running statistics.
    pub fn momentum(mut self, momentum: f32) -> Self {
        self.momentum = momentum;
        self
    }
}

impl<'g> Tensor<'g> {
    /// A batch norm layer with the parameters `NAME.weight` (gamma) and `NAME.bias` (beta) and the state
    /// `NAME.running_mean` and `NAME.running_var`. The graph's [`Mode`] decides whose statistics it uses.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 2 or more, epsilon is not positive, momentum is outside 0..=1, a name is taken,
    /// or a training batch has a single value a channel, whose variance means nothing.
    pub fn batch_norm(self, name: &str, settings: BatchNorm) -> Result<Self> {
        let BatchNorm { epsilon, momentum } = settings;
        if !(epsilon > 0.0 && epsilon.is_finite() && (0.0..=1.0).contains(&momentum)) {
            let message = format!("expected epsilon > 0 and momentum in 0..=1, got {epsilon} and {momentum}");
            return Err(Error::argument(format!("{NAME} `{name}`"), message));
        }
        let graph = self.graph();
        let [outer, channels, inner] = view(&self.ty())?;
        graph.whole(|| {
            let gamma = graph.parameter(&format!("{name}.weight"), channels, Init::Ones)?;
            let beta = graph.parameter(&format!("{name}.bias"), channels, Init::Zeros)?;
            let mean = graph.state(&format!("{name}.running_mean"), channels, Init::Zeros)?;
            let variance = graph.state(&format!("{name}.running_var"), channels, Init::Ones)?;
            if graph.mode() == Mode::Evaluation {
                return self.normalized_by_given(name, [mean, variance, gamma, beta], epsilon);
            }
            let batch = graph.apply(Statistics, name, &[self])?;
            let count = (outer * inner) as f64;
            // The average of squares divides by n; an unbiased estimate divides by n - 1.
            let factor = (count / (count - 1.0)) as f32;
            graph.apply(Running { momentum, factor }, name, &[batch[0], batch[1], mean, variance])?;
            graph.apply_one(Standardize { epsilon }, name, &[self, batch[0], batch[1], gamma, beta])
        })
    }
}

impl<'g> Tensor<'g> {
    /// Brings each channel of `[N, C, ...]` to a mean of 0 and a variance of 1, whatever the graph's mode:
    /// (x - mean) / sqrt(variance + epsilon), the variance biased.
    pub(crate) fn standardized(self, epsilon: f32) -> Result<Self> {
        let graph = self.graph();
        let [_, channels, _] = view(&self.ty())?;
        let [ones, zeros] = [graph.constant(1.0, channels)?, graph.constant(0.0, channels)?];
        Ok(self.normalized_by_batch([ones, zeros], epsilon)?[0])
    }

    /// gamma·(x - mean)/sqrt(variance + epsilon) + beta by the batch's own mean and biased variance, and these two, which
    /// have no gradient of their own.
    pub(crate) fn normalized_by_batch(self, affine: [Self; 2], epsilon: f32) -> Result<[Self; 3]> {
        let batch = self.graph().apply(Statistics, "", &[self])?;
        let inputs = [self, batch[0], batch[1], affine[0], affine[1]];
        expect_channels(self, &inputs[1..])?;
        let y = self.graph().apply_one(Standardize { epsilon }, "", &inputs)?;
        Ok([y, batch[0], batch[1]])
    }

    /// The same by a mean and a variance that are given.
    #[cfg(feature = "onnx")]
    pub(crate) fn normalized_by(self, [mean, variance]: [Self; 2], affine: [Self; 2], epsilon: f32) -> Result<Self> {
        let by = [mean, variance, affine[0], affine[1]];
        expect_channels(self, &by)?;
        self.normalized_by_given("", by, epsilon)
    }
}

fn expect_channels(x: Tensor<'_>, by: &[Tensor<'_>]) -> Result<()> {
    let channels = TensorType::f32(view(&x.ty())?[1]);
    by.iter().try_for_each(|tensor| super::expect(NAME, "mean, variance, gamma and beta of", &channels, &tensor.ty()))
}

/// `[outer, channels, inner]` of `[N, C, ...]`.
fn view(ty: &TensorType) -> Result<[usize; 3]> {
    match (ty.dtype, &ty.shape[..]) {
        (DType::F32, [n, c, rest @ ..]) => Ok([*n, *c, rest.iter().product()]),
        _ => Err(Error::shape(NAME, "an f32 tensor [N, C, ...]", ty)),
    }
}

fn params([outer, channels, inner]: [usize; 3], lanes: usize) -> Result<BatchNormParams> {
    Ok(BatchNormParams {
        outer: word(NAME, outer)?,
        channels: word(NAME, channels)?,
        inner: word(NAME, inner)?,
        lanes: word(NAME, lanes)?,
        ..BatchNormParams::default()
    })
}

/// Whether four channels lie together, and the device gains by that.
fn by_fours(cx: &Lowering<'_>, [_, channels, inner]: [usize; 3]) -> bool {
    inner == 1 && channels.is_multiple_of(4) && cx.class() == DeviceClass::Cpu
}

fn geometry(ty: &TensorType, epsilon: f32) -> reference::Geometry {
    // The shape rule has seen the type.
    let [batch, channels, inner] = view(ty).unwrap_or_default();
    reference::Geometry { batch, channels, inner, epsilon: f64::from(epsilon) }
}

fn kernel(entry: &'static str) -> Kernel {
    Kernel::new(&SHADER, entry)
}

/// x -> (mean, biased variance)
#[derive(Debug)]
struct Statistics;

impl Op for Statistics {
    fn name(&self) -> &'static str {
        "batch_norm.statistics"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        let [outer, channels, inner] = view(&inputs[0])?;
        if outer * inner < 2 {
            return Err(Error::shape(NAME, "more than one value a channel when training", &inputs[0]));
        }
        lanes_of(NAME, outer * inner)?;
        Ok(vec![TensorType::f32(channels), TensorType::f32(channels)])
    }

    /// That of the statistics as results: what [`Standardize`] says of x counts what it makes of them.
    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let x = cx.input(0);
        let [outer, _, inner] = view(&x.ty())?;
        let count = (outer * inner) as f32;
        let own = |y: Tensor<'g>| y.reshape([&y.shape()[..], &vec![1; x.shape().len() - 2]].concat());
        let mut gradient = None;
        if let Some(dmean) = cx.cotangent(0) {
            gradient = Some(own(dmean.divide(count)?)?.expand(x.shape())?);
        }
        if let Some(dvariance) = cx.cotangent(1) {
            let from_mean = x.subtract(own(cx.output(0))?)?;
            let dx = from_mean.multiply(own(dvariance.divide(0.5 * count)?)?)?;
            gradient = Some(match gradient {
                Some(gradient) => gradient.add(dx)?,
                None => dx,
            });
        }
        Ok(vec![gradient])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let (mean, variance) = reference::statistics(&geometry(&cx.input_types[0], 0.0), cx.inputs[0]);
        vec![mean, variance]
    }

    fn takes_moments(&self) -> bool {
        true
    }

    fn reach(&self, _: &[TensorType]) -> Reach {
        Reach::Nothing
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        if let Some(moments) = cx.moments {
            let [outer, channels, inner] = view(&cx.inputs[0])?;
            return tiles::lower(cx, moments, channels, outer * inner);
        }
        let format = cx.follow("batch_norm.statistics", 0)?;
        let view = format.view(view(&cx.inputs[0])?);
        let [outer, channels, inner] = view;
        if by_fours(cx, view) {
            let entries = ["statistics", "merge"];
            return channels_last::lower(cx, entries, &[(Operand::Input(0), true)], [outer, channels], 0.0);
        }
        let lanes = lanes_of(NAME, outer * inner)?;
        let params = params(view, lanes)?;
        let partial = cx.scratch(2 * channels * lanes);
        let operands = [Operand::Input(0), Operand::ScratchWrite(partial)];
        cx.dispatch_flat(kernel("statistics"), &params, &operands, channels * lanes)?;
        let operands = [Operand::ScratchRead(partial), Operand::Output(0), Operand::Output(1)];
        cx.dispatch_flat(kernel("merge"), &params, &operands, channels)
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        // Where they are those of what is normalised, its node computes them itself.
        cx.keeps_examples(false)
    }
}

/// (x, mean, variance, gamma, beta) -> y, by the mean and the variance of x
#[derive(Debug)]
struct Standardize {
    epsilon: f32,
}

impl Op for Standardize {
    fn name(&self) -> &'static str {
        NAME
    }

    fn attributes(&self) -> String {
        format!("training, epsilon {}", self.epsilon)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        view(&inputs[0]).map(|_| vec![inputs[0].clone()])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let [dx, dgamma, dbeta] = gradients(cx, [0, 1, 2, 3], self.epsilon, true)?;
        Ok(vec![dx, None, None, dgamma, dbeta])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let i = &cx.inputs;
        vec![reference::forward_training(&geometry(&cx.input_types[0], self.epsilon), i[0], i[3], i[4]).0]
    }

    fn pointwise(&self) -> Option<Pointwise> {
        let mut inputs = vec![Extent::Channel; 5];
        inputs[0] = Extent::Element;
        Some(Pointwise { function: "standardize", inputs, constants: vec![self.epsilon] })
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        cx.keeps_examples(false)?;
        let [x, gamma, beta] = [cx.input(0)?, cx.input(3)?, cx.input(4)?];
        match cx.inputs[0].shape.first() {
            Some(1) => cx.finish("InstanceNormalization", &[&x, &gamma, &beta], &[("epsilon", self.epsilon.into())]),
            _ => Err(cx.refused("statistics of a batch: a graph of Mode::Evaluation has running ones")),
        }
    }
}

/// (dx, dgamma, dbeta) of a normalisation whose inputs number `x, mean, variance, gamma` are these; the statistics are not
/// learned. `training` says that they are those of x.
fn gradients<'g>(
    cx: &GradientContext<'g>,
    inputs: [usize; 4],
    epsilon: f32,
    training: bool,
) -> Result<[Option<Tensor<'g>>; 3]> {
    let Some(dy) = cx.cotangent(0) else { return Ok([None; 3]) };
    let (graph, layer) = (cx.graph(), cx.layer());
    let [x, mean, variance, gamma] = inputs.map(|index| cx.input(index));
    let sums = graph.apply(GradientSums { epsilon, training }, layer, &[x, mean, variance, dy])?;
    let dx = match (cx.wants(inputs[0]), training) {
        (false, _) => None,
        (_, true) => {
            let inputs = [x, mean, variance, gamma, sums[0], sums[1], dy];
            let [outer, _, inner] = view(&x.ty())?;
            Some(graph.apply_one(GradInput { epsilon, count: Some(outer * inner) }, layer, &inputs)?)
        }
        (_, false) => Some(graph.apply_one(GradInput { epsilon, count: None }, layer, &[variance, gamma, dy])?),
    };
    Ok([dx, Some(sums[0]), Some(sums[1])])
}

/// (x, mean, variance, dy) -> (dgamma, dbeta)
#[derive(Debug)]
struct GradientSums {
    epsilon: f32,
    training: bool,
}

impl Op for GradientSums {
    fn name(&self) -> &'static str {
        "batch_norm.grad_parameters"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        let [outer, channels, inner] = view(&inputs[0])?;
        lanes_of(NAME, outer * inner)?;
        Ok(vec![TensorType::f32(channels), TensorType::f32(channels)])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let g = geometry(&cx.input_types[0], self.epsilon);
        let (i, ones) = (&cx.inputs, vec![1.0; g.channels]);
        let gradient = if self.training { reference::grad_training } else { reference::grad_evaluation };
        // Neither sum depends on gamma.
        let (_, dgamma, dbeta) = gradient(&g, i[0], i[1], i[2], &ones, i[3]);
        vec![dgamma, dbeta]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let format = cx.follow("batch_norm.grad_parameters", 0)?;
        let view = format.view(view(&cx.inputs[0])?);
        let [outer, channels, inner] = view;
        if by_fours(cx, view) {
            let [x, mean, variance, dy] = [0, 1, 2, 3].map(Operand::Input);
            let reads = [(x, true), (mean, false), (variance, false), (dy, true)];
            return channels_last::lower(cx, ["grad_sums", "grad_merge"], &reads, [outer, channels], self.epsilon);
        }
        let lanes = lanes_of(NAME, outer * inner)?;
        let params = BatchNormParams { epsilon: self.epsilon, ..params(view, lanes)? };
        let partial = cx.scratch(2 * channels * lanes);
        let [x, mean, variance, dy] = [0, 1, 2, 3].map(Operand::Input);
        let operands = [x, mean, variance, dy, Operand::ScratchWrite(partial)];
        cx.dispatch_flat(kernel("grad_partial"), &params, &operands, channels * lanes)?;
        let operands = [Operand::ScratchRead(partial), Operand::Output(0), Operand::Output(1)];
        cx.dispatch_flat(kernel("grad_merge"), &params, &operands, channels)
    }
}

/// (x, mean, variance, gamma, dgamma, dbeta, dy) -> dx in training, (variance, gamma, dy) -> dx in evaluation
#[derive(Debug)]
struct GradInput {
    epsilon: f32,
    /// In training, elements of a channel.
    count: Option<usize>,
}

impl Op for GradInput {
    fn name(&self) -> &'static str {
        "batch_norm.grad_input"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![inputs[inputs.len() - 1].clone()])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let (i, dy) = (&cx.inputs, cx.inputs.len() - 1);
        let g = geometry(&cx.input_types[dy], self.epsilon);
        let (dx, _, _) = match self.count {
            Some(_) => reference::grad_training(&g, i[0], i[1], i[2], i[3], i[dy]),
            // Without x, of which only the other two make use.
            None => reference::grad_evaluation(&g, i[dy], &vec![0.0; g.channels], i[0], i[1], i[dy]),
        };
        vec![dx]
    }

    fn pointwise(&self) -> Option<Pointwise> {
        use Extent::{Channel, Element};
        Some(match self.count {
            Some(count) => Pointwise {
                function: "standardize_grad",
                inputs: vec![Element, Channel, Channel, Channel, Channel, Channel, Element],
                constants: vec![self.epsilon, count as f32],
            },
            None => Pointwise {
                function: "scale_grad",
                inputs: vec![Channel, Channel, Element],
                constants: vec![self.epsilon],
            },
        })
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let mut cases = Vec::new();
    for shape in
        [vec![4, 3, 5, 7], vec![2, 1, 1, 1], vec![3, 67, 2, 3], vec![2, 2, 131, 129], vec![64, 5], vec![3, 8, 5, 7]]
    {
        for mode in [Mode::Training, Mode::Evaluation] {
            let shape = shape.clone();
            let case = OpCase::new(format!("batch_norm {shape:?} {mode:?}"), move |cx| {
                let settings = BatchNorm::default().momentum(0.3);
                cx.normal("x", shape.clone())?.batch_norm("bn", settings).map(|y| vec![y])
            });
            cases.push(case.mode(mode).randomize_parameters());
        }
    }
    // Large enough that the gradient of its input is written over that of its result, in every form of the kernel.
    for shape in [vec![4, 6, 16, 12], vec![4, 6, 15, 13], vec![70, 64]] {
        let case = OpCase::new(format!("batch_norm {shape:?} and a sigmoid"), move |cx| {
            cx.normal("x", shape.clone())?.batch_norm("bn", BatchNorm::default())?.sigmoid().map(|y| vec![y])
        });
        cases.push(case.mode(Mode::Training).randomize_parameters());
    }
    // A mean of 1e4 beside a deviation of 1: the sum of squares minus the square of the sum would have no digit left.
    cases.push(
        OpCase::new("batch_norm of a large mean", |cx| {
            cx.shifted("x", [3, 2, 17, 19], 1e4)?.batch_norm("bn", BatchNorm::default()).map(|y| vec![y])
        })
        .mode(Mode::Training),
    );
    cases.extend(tiles::cases());
    cases.extend(evaluation::cases());
    cases
}
