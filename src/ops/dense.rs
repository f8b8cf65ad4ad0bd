//! Dense (fully connected) layers: y = x·Wᵀ + b for x `[N, in]` and W `[out, in]`.
//!
//! The product is a convolution of 1x1 images, its gradients too: one operation with the convolution's kernels.

use super::conv2d::{Direction, Geometry, LONGEST_BATCH, Of, Product};
use super::matrix;
use crate::error::{Error, Result};
use crate::graph::{Init, Tensor, TensorType};
use crate::selftest::OpCase;

const NAME: &str = "dense";
const NAMES: &[&str; 3] = &[NAME, "dense.grad_input", "dense.grad_weight"];

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
        let what = if name.is_empty() { NAME.to_string() } else { format!("{NAME} `{name}`") };
        let types = [self.ty(), weight.ty()];
        let [batch, inputs] = matrix(&what, &types[0], "[N, inputs]")?;
        let [outputs, columns] = matrix(&what, &types[1], "[outputs, inputs]")?;
        if columns != inputs {
            return Err(Error::shape(what, format!("a weight [outputs, {inputs}]"), &types[1]));
        }
        let geometry = Geometry::pointwise(batch, inputs, outputs, 1);
        let [x, w] = types;
        let types = [x, w, TensorType::f32([batch, outputs])];
        let product = Product { names: NAMES, geometry, types, direction: Direction::Forward, of: Of::Rows };
        product.of_views(name, [self, weight], bias)
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let mut cases: Vec<OpCase> =
        [[64, 400, 120], [1, 1, 1], [3, 67, 10], [3, 67, 12], [7, 131, 257], [5, 1100, 9], [LONGEST_BATCH + 1, 3, 2]]
            .into_iter()
            .map(|[batch, inputs, outputs]| {
                OpCase::new(format!("dense [{batch}, {inputs}] to {outputs}"), move |cx| {
                    let (weight, bias) = (cx.normal("weight", [outputs, inputs])?, cx.normal("bias", [outputs])?);
                    cx.normal("x", [batch, inputs])?.dense_with(weight, Some(bias)).map(|y| vec![y])
                })
            })
            .collect();
    // The gradients of a layer, whose own gradients the case then checks.
    cases.push(OpCase::new("dense and its gradients", |cx| {
        let (x, weight) = (cx.normal("x", [6, 8])?, cx.normal("weight", [12, 8])?);
        let y = x.dense_with(weight, None)?;
        let gradients = cx.graph().gradients_of(&[(y, cx.normal("dy", y.shape())?)], &[x, weight])?;
        Ok(gradients.into_iter().flatten().collect())
    }));
    cases
}
