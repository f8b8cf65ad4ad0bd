//! Dense (fully connected) layers: y = x·Wᵀ + b for x `[N, in]` and W `[out, in]`.
//!
//! The product is a convolution of 1x1 images and runs the convolution's kernels.

use super::conv2d::{Direction, Geometry, lower, prefers_channels_last};
use super::matrix;
use crate::error::{Error, Result};
use crate::graph::gradients::no_gradient;
use crate::graph::{Evaluation, GradientContext, Init, Op, Reach, Tensor, TensorType};
use crate::plan::{Lowering, Operand};
use crate::reference::{Checked, dense as reference};
use crate::selftest::OpCase;

const NAME: &str = "dense";
/// Longer sums of a weight gradient are cut into slices.
const LONGEST_BATCH: usize = 16_384;

/// A dense layer's settings, as PyTorch's `Linear`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dense {
    outputs: usize,
    bias: bool,
    init: Init,
}

impl Dense {
    /// `outputs` neurons with bias and He-normal weights.
    pub fn new(outputs: usize) -> Self {
        Self { outputs, bias: true, init: Init::HeNormal }
    }

    /// Leaves the bias out.
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

/// A number stands for a layer of so many outputs.
impl From<usize> for Dense {
    fn from(outputs: usize) -> Self {
        Self::new(outputs)
    }
}

impl<'g> Tensor<'g> {
    /// A dense layer with the parameters `NAME.weight` `[outputs, inputs]` and `NAME.bias`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 2 (see [`Tensor::flatten`]) or a name is taken.
    pub fn dense(self, name: &str, settings: impl Into<Dense>) -> Result<Self> {
        let Dense { outputs, bias, init } = settings.into();
        let [_, inputs] = matrix(&format!("{NAME} `{name}`"), &self.ty(), "[N, inputs]")?;
        let graph = self.graph();
        graph.whole(|| {
            let weight = graph.parameter(&format!("{name}.weight"), [outputs, inputs], init)?;
            let bias = match bias {
                true => Some(graph.parameter(&format!("{name}.bias"), outputs, Init::Zeros)?),
                false => None,
            };
            self.connect(name, weight, bias)
        })
    }

    /// A dense layer with any weight `[outputs, inputs]` and bias `[outputs]`.
    ///
    /// # Errors
    /// When a shape does not fit.
    pub fn dense_with(self, weight: Self, bias: Option<Self>) -> Result<Self> {
        self.connect("", weight, bias)
    }

    fn connect(self, name: &str, weight: Self, bias: Option<Self>) -> Result<Self> {
        let inputs: Vec<Self> = [self, weight].into_iter().chain(bias).collect();
        self.graph().apply_one(Forward, name, &inputs)
    }
}

/// `[batch, inputs, outputs]`
fn sizes(x: &TensorType, weight: &TensorType) -> Result<[usize; 3]> {
    let [batch, inputs] = matrix(NAME, x, "[N, inputs]")?;
    let [outputs, columns] = matrix(NAME, weight, "[outputs, inputs]")?;
    if columns != inputs {
        return Err(Error::shape(NAME, format!("a weight [outputs, {inputs}]"), weight));
    }
    Ok([batch, inputs, outputs])
}

fn flops([batch, inputs, outputs]: [usize; 3]) -> u64 {
    2 * batch as u64 * inputs as u64 * outputs as u64
}

/// (x, weight, bias?) -> y
#[derive(Debug)]
struct Forward;

impl Op for Forward {
    fn name(&self) -> &'static str {
        NAME
    }

    fn reach(&self, _: &[TensorType]) -> Reach {
        Reach::Whole
    }

    fn filter(&self) -> Option<usize> {
        Some(1)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        let [batch, _, outputs] = sizes(&inputs[0], &inputs[1])?;
        if let Some(bias) = inputs.get(2) {
            super::expect(NAME, "a bias", &TensorType::f32(outputs), bias)?;
        }
        Ok(vec![TensorType::f32([batch, outputs])])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let mut gradients = vec![None; cx.count()];
        let Some(dy) = cx.cotangent(0) else { return Ok(gradients) };
        let (x, weight) = (cx.input(0), cx.input(1));
        let sizes = sizes(&x.ty(), &weight.ty())?;
        let apply = |direction, output: TensorType, inputs: [Tensor<'g>; 2]| {
            cx.graph().apply_one(Gradient { sizes, direction, output }, cx.layer(), &inputs).map(Some)
        };
        // The weight's gradient first: independent of the input's, and the sooner done the sooner dy's memory is free.
        if cx.wants(1) {
            gradients[1] = apply(Direction::GradWeight, weight.ty(), [x, dy])?;
        }
        if cx.count() > 2 && cx.wants(2) {
            gradients[2] = Some(dy.sum_to_channels(cx.layer())?);
        }
        if cx.wants(0) {
            gradients[0] = apply(Direction::GradInput, x.ty(), [weight, dy])?;
        }
        Ok(gradients)
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let [batch, inputs, outputs] = sizes(&cx.input_types[0], &cx.input_types[1]).unwrap_or_default();
        let bias = cx.inputs.get(2).copied();
        vec![reference::forward(batch, inputs, outputs, cx.inputs[0], cx.inputs[1], bias)]
    }

    fn flops(&self, inputs: &[TensorType], _: &[TensorType]) -> u64 {
        sizes(&inputs[0], &inputs[1]).map_or(0, flops)
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let [batch, inputs, outputs] = sizes(&cx.inputs[0], &cx.inputs[1])?;
        let mut operands: Vec<Operand> = (0..cx.own_inputs()).map(Operand::Input).collect();
        operands.push(Operand::Output(0));
        lower(cx, &Geometry::pointwise(batch, inputs, outputs, 1), Direction::Forward, &operands)
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

/// (weight, dy) -> dx, or (x, dy) -> dweight
#[derive(Debug)]
struct Gradient {
    sizes: [usize; 3],
    direction: Direction,
    output: TensorType,
}

impl Op for Gradient {
    fn name(&self) -> &'static str {
        match self.direction {
            Direction::GradWeight => "dense.grad_weight",
            _ => "dense.grad_input",
        }
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![self.output.clone()])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let [batch, inputs, outputs] = self.sizes;
        vec![match self.direction {
            Direction::GradWeight => reference::grad_weight(batch, inputs, outputs, cx.inputs[0], cx.inputs[1]),
            _ => reference::grad_input(batch, inputs, outputs, cx.inputs[0], cx.inputs[1]),
        }]
    }

    fn flops(&self, _: &[TensorType], _: &[TensorType]) -> u64 {
        flops(self.sizes)
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let [batch, inputs, outputs] = self.sizes;
        let operands = [Operand::Input(0), Operand::Input(1), Operand::Output(0)];
        let pixels = Geometry::pointwise(batch, inputs, outputs, 1);
        let direct = prefers_channels_last(cx, &pixels, self.direction);
        if self.direction == Direction::GradWeight && batch <= LONGEST_BATCH && !direct {
            // dW = dyᵀ·x is also the input gradient of a 1x1 convolution from `outputs` to `batch` channels over `inputs`
            // pixels whose weight is dy: the same kernel as everywhere else, and no partial sums.
            let geometry = Geometry::pointwise(1, outputs, batch, inputs);
            let operands = [Operand::Input(1), Operand::Input(0), Operand::Output(0)];
            return lower(cx, &geometry, Direction::GradInput, &operands);
        }
        lower(cx, &pixels, self.direction, &operands)
    }

    fn takes_epilogue(&self) -> bool {
        self.direction == Direction::GradInput
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    [[64, 400, 120], [1, 1, 1], [3, 67, 10], [7, 131, 257], [5, 1100, 9], [LONGEST_BATCH + 1, 3, 2]]
        .into_iter()
        .map(|[batch, inputs, outputs]| {
            OpCase::new(format!("dense [{batch}, {inputs}] to {outputs}"), move |cx| {
                let (weight, bias) = (cx.normal("weight", [outputs, inputs])?, cx.normal("bias", [outputs])?);
                cx.normal("x", [batch, inputs])?.dense_with(weight, Some(bias)).map(|y| vec![y])
            })
        })
        .collect()
}
