//! Functions of one element, y = f(x). The rows of [`Function`] name a pair of WGSL functions that stand side by side in
//! `shaders/common/functions.wgsl`: f, and dy·f' written in terms of y, so that the gradient needs no other tensor.

use crate::error::{Error, Result};
use crate::graph::chain::Pointwise;
use crate::graph::gradients::no_gradient;
use crate::graph::{DType, Evaluation, GradientContext, Op, Tensor, TensorType};
use crate::reference::{Checked, pointwise as reference};
use crate::selftest::OpCase;

/// A pointwise function.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Function {
    Relu,
    LeakyRelu { slope: f32 },
    Sigmoid,
    Tanh,
}

impl Function {
    /// The names of the operation and of its gradient.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::Relu => ["relu", "relu.grad_input"],
            Self::LeakyRelu { .. } => ["leaky_relu", "leaky_relu.grad_input"],
            Self::Sigmoid => ["sigmoid", "sigmoid.grad_input"],
            Self::Tanh => ["tanh", "tanh.grad_input"],
        }
    }

    /// The WGSL functions of the operation, of x, and of its gradient, of y and dy.
    fn functions(self) -> [Pointwise; 2] {
        let constants = match self {
            Self::LeakyRelu { slope } => vec![slope],
            _ => Vec::new(),
        };
        let [forward, gradient] = match self {
            Self::Relu => ["relu", "relu_grad"],
            Self::LeakyRelu { .. } => ["leaky_relu", "leaky_relu_grad"],
            Self::Sigmoid => ["sigmoid", "sigmoid_grad"],
            // WGSL has a `tanh`, which overflows on some drivers.
            Self::Tanh => ["tanh_safe", "tanh_safe_grad"],
        };
        let with = |function, inputs| Pointwise { constants: constants.clone(), ..Pointwise::of(function, inputs) };
        [with(forward, 1), with(gradient, 2)]
    }

    fn forward(self, x: &[f64]) -> Checked {
        match self {
            Self::Relu => reference::relu(x),
            Self::LeakyRelu { slope } => reference::leaky_relu(x, f64::from(slope)),
            Self::Sigmoid => reference::sigmoid(x),
            Self::Tanh => reference::tanh(x),
        }
    }

    fn backward(self, y: &[f64], dy: &[f64]) -> Checked {
        match self {
            Self::Relu => reference::relu_grad(y, dy),
            Self::LeakyRelu { slope } => reference::leaky_relu_grad(y, dy, f64::from(slope)),
            Self::Sigmoid => reference::sigmoid_grad(y, dy),
            Self::Tanh => reference::tanh_grad(y, dy),
        }
    }
}

impl<'g> Tensor<'g> {
    /// max(x, 0); the derivative at 0 is 0.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn relu(self) -> Result<Self> {
        self.pointwise(Function::Relu)
    }

    /// x for x > 0, else slope·x, for a slope in 0..: PyTorch's `LeakyReLU` has 0.01.
    ///
    /// # Errors
    /// When the tensor is not f32, or the slope is negative or not finite.
    pub fn leaky_relu(self, slope: f32) -> Result<Self> {
        if !slope.is_finite() || slope < 0.0 {
            return Err(Error::argument("leaky_relu", format!("expected a slope of at least 0, got {slope}")));
        }
        self.pointwise(Function::LeakyRelu { slope })
    }

    /// 1 / (1 + exp(-x)).
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn sigmoid(self) -> Result<Self> {
        self.pointwise(Function::Sigmoid)
    }

    /// The hyperbolic tangent.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn tanh(self) -> Result<Self> {
        self.pointwise(Function::Tanh)
    }

    fn pointwise(self, function: Function) -> Result<Self> {
        self.graph().apply_one(Forward(function), "", &[self])
    }
}

fn same_type(op: &str, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
    if inputs[0].dtype != DType::F32 {
        return Err(Error::shape(op, "an f32 tensor", &inputs[0]));
    }
    Ok(vec![inputs[0].clone()])
}

#[derive(Debug)]
struct Forward(Function);

impl Op for Forward {
    fn name(&self) -> &'static str {
        self.0.names()[0]
    }

    fn attributes(&self) -> String {
        match self.0 {
            Function::LeakyRelu { slope } => format!("slope {slope}"),
            _ => String::new(),
        }
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        same_type(self.name(), inputs)
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None]) };
        Ok(vec![Some(cx.graph().apply_one(GradInput(self.0), cx.layer(), &[cx.output(0), dy])?)])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        vec![self.0.forward(cx.inputs[0])]
    }

    fn pointwise(&self) -> Option<Pointwise> {
        let [forward, _] = self.0.functions();
        Some(forward)
    }
}

/// (y, dy) -> dx
#[derive(Debug)]
struct GradInput(Function);

impl Op for GradInput {
    fn name(&self) -> &'static str {
        self.0.names()[1]
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        same_type(self.name(), inputs)
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        vec![self.0.backward(cx.inputs[0], cx.inputs[1])]
    }

    fn pointwise(&self) -> Option<Pointwise> {
        let [_, gradient] = self.0.functions();
        Some(gradient)
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let functions = [Function::Relu, Function::LeakyRelu { slope: 0.1 }, Function::Sigmoid, Function::Tanh];
    let mut cases = Vec::new();
    for function in functions {
        let name = function.names()[0];
        // One element, a prime count that leaves a partial vector, and more than 65,535 workgroups of 64 vectors.
        for shape in [vec![1], vec![2, 3, 7, 11], vec![3, 8, 5, 7], vec![67, 251_003]] {
            let large = shape.iter().product::<usize>() > 1 << 20;
            if large && function != Function::Relu {
                continue;
            }
            let title = format!("{name} {shape:?}");
            let case =
                OpCase::new(title, move |cx| cx.normal("x", shape.clone())?.pointwise(function).map(|y| vec![y]));
            // Among millions of values some lie on the kink.
            cases.push(if large { case.without_differences() } else { case });
        }
        let extremes = vec![-1e4, -88.8, -20.0, -1e-6, 1e-6, 20.0, 88.8, 1e4];
        let extremes = OpCase::new(format!("{name} extremes"), move |cx| {
            cx.values("x", [8], extremes.clone())?.pointwise(function).map(|y| vec![y])
        });
        cases.push(extremes.without_differences());
    }
    // Large enough to be written over its argument, which nothing needs any more.
    cases.push(OpCase::new("relu over a sum", |cx| {
        let sum = cx.normal("x", [4613])?.add(cx.normal("z", [4613])?)?;
        Ok(vec![sum.mean()?, sum.relu()?])
    }));
    cases
}
