//! Batch normalisation over the channels of `[N, C, ...]` (Ioffe and Szegedy 2015):
//! y = gamma·(x - mean)/sqrt(variance + epsilon) + beta.
//!
//! In training mean and variance (biased) are the batch's own, and the running ones move towards them by `momentum`, the
//! variance unbiased, as in PyTorch; in evaluation they are the running ones.

use super::reduce::lanes_of;
use crate::error::{Error, Result};
use crate::graph::gradients::no_gradient;
use crate::graph::{DType, Evaluation, GradientContext, Init, Mode, Op, Tensor, TensorType};
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
                return graph.apply_one(Evaluating { epsilon }, name, &[self, gamma, beta, mean, variance]);
            }
            let outputs = graph.apply(Training { epsilon }, name, &[self, gamma, beta])?;
            let count = (outer * inner) as f64;
            // The average of squares divides by n; an unbiased estimate divides by n - 1.
            for (batch, running, factor) in [(outputs[1], mean, 1.0), (outputs[2], variance, count / (count - 1.0))] {
                graph.apply(Running { momentum, factor: factor as f32 }, name, &[batch, running])?;
            }
            Ok(outputs[0])
        })
    }
}

/// `[outer, channels, inner]` of `[N, C, ...]`.
fn view(ty: &TensorType) -> Result<[usize; 3]> {
    match (ty.dtype, &ty.shape[..]) {
        (DType::F32, [n, c, rest @ ..]) => Ok([*n, *c, rest.iter().product()]),
        _ => Err(Error::shape(NAME, "an f32 tensor [N, C, ...]", ty)),
    }
}

fn params([outer, channels, inner]: [usize; 3], lanes: usize, epsilon: f32) -> Result<BatchNormParams> {
    Ok(BatchNormParams {
        outer: word(NAME, outer)?,
        channels: word(NAME, channels)?,
        inner: word(NAME, inner)?,
        lanes: word(NAME, lanes)?,
        epsilon,
        ..BatchNormParams::default()
    })
}

fn geometry(ty: &TensorType, epsilon: f32) -> reference::Geometry {
    // The shape rule has seen the type.
    let [batch, channels, inner] = view(ty).unwrap_or_default();
    reference::Geometry { batch, channels, inner, epsilon: f64::from(epsilon) }
}

fn kernel(entry: &'static str) -> Kernel {
    Kernel::new(&SHADER, entry)
}

/// (x, gamma, beta) -> (y, batch mean, batch variance)
#[derive(Debug)]
struct Training {
    epsilon: f32,
}

impl Op for Training {
    fn name(&self) -> &'static str {
        NAME
    }

    fn attributes(&self) -> String {
        format!("training, epsilon {}", self.epsilon)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        let [outer, channels, inner] = view(&inputs[0])?;
        if outer * inner < 2 {
            return Err(Error::shape(NAME, "more than one value a channel when training", &inputs[0]));
        }
        lanes_of(NAME, outer * inner)?;
        Ok(vec![inputs[0].clone(), TensorType::f32(channels), TensorType::f32(channels)])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None; 3]) };
        let inputs = [cx.input(0), cx.output(1), cx.output(2), cx.input(1), dy];
        let op = Gradient { epsilon: self.epsilon, training: true };
        Ok(cx.graph().apply(op, cx.layer(), &inputs)?.into_iter().map(Some).collect())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let g = geometry(&cx.input_types[0], self.epsilon);
        let (y, mean, variance) = reference::forward_training(&g, cx.inputs[0], cx.inputs[1], cx.inputs[2]);
        vec![y, mean, variance]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let format = cx.follow("batch_norm.forward", 0)?;
        let view = format.view(view(&cx.inputs[0])?);
        let [outer, channels, inner] = view;
        let lanes = lanes_of(NAME, outer * inner)?;
        let params = params(view, lanes, self.epsilon)?;
        let partial = cx.scratch(2 * channels * lanes);
        let operands = [Operand::Input(0), Operand::ScratchWrite(partial)];
        cx.dispatch_flat(kernel("statistics"), &params, &operands, channels * lanes)?;
        let operands = [Operand::ScratchRead(partial), Operand::Output(1), Operand::Output(2)];
        cx.dispatch_flat(kernel("merge"), &params, &operands, channels)?;
        let statistics = [Operand::OutputRead(1), Operand::OutputRead(2)];
        lower_forward(cx, &params, statistics)
    }
}

/// x is input 0, gamma and beta are inputs 1 and 2 of both modes.
fn lower_forward(cx: &mut Lowering<'_>, params: &BatchNormParams, [mean, variance]: [Operand; 2]) -> Result<()> {
    let operands = [Operand::Input(0), mean, variance, Operand::Input(1), Operand::Input(2), Operand::Output(0)];
    dispatch_elements(cx, "forward", *params, &operands)
}

/// Dispatches an entry point that goes over all elements, a few in each invocation, so that what is the same for a whole
/// channel is computed once for all of them.
fn dispatch_elements(
    cx: &mut Lowering<'_>,
    entry: &'static str,
    params: BatchNormParams,
    operands: &[Operand],
) -> Result<()> {
    const EACH: usize = 16;
    let length = params.outer as usize * params.inner as usize;
    let lanes = length.div_ceil(EACH);
    let params = BatchNormParams { lanes: word(NAME, lanes)?, ..params };
    cx.dispatch_flat(kernel(entry), &params, operands, params.channels as usize * lanes)
}

/// (x, gamma, beta, running mean, running variance) -> y
#[derive(Debug)]
struct Evaluating {
    epsilon: f32,
}

impl Op for Evaluating {
    fn name(&self) -> &'static str {
        NAME
    }

    fn attributes(&self) -> String {
        format!("evaluation, epsilon {}", self.epsilon)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        view(&inputs[0]).map(|_| vec![inputs[0].clone()])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None; 5]) };
        let inputs = [cx.input(0), cx.input(3), cx.input(4), cx.input(1), dy];
        let op = Gradient { epsilon: self.epsilon, training: false };
        let gradients = cx.graph().apply(op, cx.layer(), &inputs)?;
        // The running statistics are not learned.
        Ok(gradients.into_iter().map(Some).chain([None, None]).collect())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let g = geometry(&cx.input_types[0], self.epsilon);
        let i = &cx.inputs;
        vec![reference::forward(&g, i[0], i[3], i[4], i[1], i[2])]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let format = cx.follow("batch_norm.forward", 0)?;
        let params = params(format.view(view(&cx.inputs[0])?), 1, self.epsilon)?;
        lower_forward(cx, &params, [Operand::Input(3), Operand::Input(4)])
    }
}

/// (x, mean, variance, gamma, dy) -> (dx, dgamma, dbeta)
#[derive(Debug)]
struct Gradient {
    epsilon: f32,
    /// Mean and variance depend on x.
    training: bool,
}

impl Op for Gradient {
    fn name(&self) -> &'static str {
        "batch_norm.gradient"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        let [outer, channels, inner] = view(&inputs[0])?;
        lanes_of(NAME, outer * inner)?;
        Ok(vec![inputs[0].clone(), TensorType::f32(channels), TensorType::f32(channels)])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let g = geometry(&cx.input_types[0], self.epsilon);
        let i = &cx.inputs;
        let gradient = if self.training { reference::grad_training } else { reference::grad_evaluation };
        let (dx, dgamma, dbeta) = gradient(&g, i[0], i[1], i[2], i[3], i[4]);
        vec![dx, dgamma, dbeta]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let format = cx.follow("batch_norm.gradient", 0)?;
        let view = format.view(view(&cx.inputs[0])?);
        let [outer, channels, inner] = view;
        let lanes = lanes_of(NAME, outer * inner)?;
        let params = params(view, lanes, self.epsilon)?;
        let partial = cx.scratch(2 * channels * lanes);
        let [x_in, mean, variance, gamma, dy] = [0, 1, 2, 3, 4].map(Operand::Input);
        let operands = [x_in, mean, variance, dy, Operand::ScratchWrite(partial)];
        cx.dispatch_flat(kernel("grad_partial"), &params, &operands, channels * lanes)?;
        let operands = [Operand::ScratchRead(partial), Operand::Output(1), Operand::Output(2)];
        cx.dispatch_flat(kernel("grad_merge"), &params, &operands, channels)?;
        if self.training {
            let (dgamma, dbeta) = (Operand::OutputRead(1), Operand::OutputRead(2));
            let operands = [x_in, mean, variance, gamma, dgamma, dbeta, dy, Operand::Output(0)];
            dispatch_elements(cx, "grad_input_training", params, &operands)
        } else {
            let operands = [variance, gamma, dy, Operand::Output(0)];
            dispatch_elements(cx, "grad_input_evaluation", params, &operands)
        }
    }
}

/// (batch statistic, running statistic): running = (1 - momentum)·running + momentum·factor·batch
#[derive(Debug)]
struct Running {
    momentum: f32,
    factor: f32,
}

impl Op for Running {
    fn name(&self) -> &'static str {
        "batch_norm.running"
    }

    fn attributes(&self) -> String {
        format!("momentum {}", self.momentum)
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(Vec::new())
    }

    fn mutates(&self) -> Vec<usize> {
        vec![1]
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None, None])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let batch = cx.checked(0);
        vec![reference::running(cx.inputs[1], &batch, f64::from(self.momentum), f64::from(self.factor))]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let channels = cx.inputs[1].elements();
        let params = BatchNormParams {
            channels: word(NAME, channels)?,
            momentum: self.momentum,
            factor: self.factor,
            ..BatchNormParams::default()
        };
        cx.dispatch_flat(kernel("running"), &params, &[Operand::Input(0), Operand::Modify(1)], channels)
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
    // A mean of 1e4 beside a deviation of 1: the sum of squares minus the square of the sum would have no digit left.
    cases.push(
        OpCase::new("batch_norm of a large mean", |cx| {
            cx.shifted("x", [3, 2, 17, 19], 1e4)?.batch_norm("bn", BatchNorm::default()).map(|y| vec![y])
        })
        .mode(Mode::Training),
    );
    cases
}
