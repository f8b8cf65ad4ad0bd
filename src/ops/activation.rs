//! Activations, y = f(x), as rows: the function and dy·f', which is taken of y where that loses nothing, so that x need not
//! be kept, else of x.

use super::elementwise::Factor::{Dy, X, Y};
use super::elementwise::Slope::Of;
use super::elementwise::{Function, Slope};
use super::pointwise::cases_of;
use crate::error::{Error, Result};
use crate::graph::{Init, Shape, Tensor};
use crate::reference::activation as reference;
use crate::selftest::OpCase;

static RELU: Function = Function::new("relu", "relu", |v| reference::relu(v[0])).slopes(&[Of(&RELU_GRAD, &[Y, Dy])]);
static RELU_GRAD: Function = Function::new("relu.grad_input", "relu_grad", |v| reference::relu_grad(v[0], v[1]));
static RELU6: Function =
    Function::new("relu6", "relu6", |v| reference::relu6(v[0])).slopes(&[Of(&RELU6_GRAD, &[Y, Dy])]);
static RELU6_GRAD: Function = Function::new("relu6.grad_input", "relu6_grad", |v| reference::relu6_grad(v[0], v[1]));
static CLIP: Function = Function::new("clip", "clip", |v| reference::clip(v[0], v[1][0], v[2][0]))
    .slopes(&[Of(&CLIP_GRAD, &[X(0), Dy, X(1), X(2)])])
    .settings(&["minimum", "maximum"]);
static CLIP_GRAD: Function =
    Function::new("clip.grad_input", "clip_grad", |v| reference::clip_grad(v[0], v[1], v[2][0], v[3][0]));
static LEAKY_RELU: Function = Function::new("leaky_relu", "leaky_relu", |v| reference::leaky_relu(v[0], v[1][0]))
    .slopes(&[Of(&LEAKY_RELU_GRAD, &[Y, Dy, X(1)])])
    .settings(&["slope"]);
static LEAKY_RELU_GRAD: Function =
    Function::new("leaky_relu.grad_input", "leaky_relu_grad", |v| reference::leaky_relu_grad(v[0], v[1], v[2][0]));
static PRELU: Function = Function::new("prelu", "leaky_relu", |v| reference::prelu(v[0], v[1]))
    .slopes(&[Of(&PRELU_GRAD_INPUT, &[X(0), Dy, X(1)]), Of(&PRELU_GRAD_SLOPE, &[X(0), Dy])]);
static PRELU_GRAD_INPUT: Function =
    Function::new("prelu.grad_input", "leaky_relu_grad", |v| reference::prelu_grad_input(v[0], v[1], v[2]));
static PRELU_GRAD_SLOPE: Function =
    Function::new("prelu.grad_slope", "prelu_grad_slope", |v| reference::prelu_grad_slope(v[0], v[1]));
static ELU: Function = like_elu("elu");
static SELU: Function = like_elu("selu");
static CELU: Function = like_elu("celu");
static ELU_GRAD: Function =
    Function::new("elu.grad_input", "elu_grad", |v| reference::elu_grad(v[0], v[1], v[2][0], v[3][0], v[4][0]));
static SIGMOID: Function =
    Function::new("sigmoid", "sigmoid", |v| reference::sigmoid(v[0])).slopes(&[Of(&SIGMOID_GRAD, &[Y, Dy])]);
static SIGMOID_GRAD: Function =
    Function::new("sigmoid.grad_input", "sigmoid_grad", |v| reference::sigmoid_grad(v[0], v[1]));
static HARD_SIGMOID: Function = Function::new("hard_sigmoid", "hard_sigmoid", |v| reference::hard_sigmoid(v[0]))
    .slopes(&[Of(&HARD_SIGMOID_GRAD, &[Y, Dy])]);
static HARD_SIGMOID_GRAD: Function =
    Function::new("hard_sigmoid.grad_input", "hard_sigmoid_grad", |v| reference::hard_sigmoid_grad(v[0], v[1]));
static LOG_SIGMOID: Function = Function::new("log_sigmoid", "log_sigmoid", |v| reference::log_sigmoid(v[0]))
    .slopes(&[Of(&LOG_SIGMOID_GRAD, &[X(0), Dy])]);
static LOG_SIGMOID_GRAD: Function =
    Function::new("log_sigmoid.grad_input", "log_sigmoid_grad", |v| reference::log_sigmoid_grad(v[0], v[1]));
// WGSL has a `tanh`, which overflows on some drivers.
static TANH: Function =
    Function::new("tanh", "tanh_safe", |v| reference::tanh(v[0])).slopes(&[Of(&TANH_GRAD, &[Y, Dy])]);
static TANH_GRAD: Function = Function::new("tanh.grad_input", "tanh_safe_grad", |v| reference::tanh_grad(v[0], v[1]));
static SILU: Function = Function::new("silu", "silu", |v| reference::silu(v[0])).slopes(&[Of(&SILU_GRAD, &[X(0), Dy])]);
static SILU_GRAD: Function = Function::new("silu.grad_input", "silu_grad", |v| reference::silu_grad(v[0], v[1]));
static HARD_SWISH: Function = Function::new("hard_swish", "hard_swish", |v| reference::hard_swish(v[0]))
    .slopes(&[Of(&HARD_SWISH_GRAD, &[X(0), Dy])]);
static HARD_SWISH_GRAD: Function =
    Function::new("hard_swish.grad_input", "hard_swish_grad", |v| reference::hard_swish_grad(v[0], v[1]));
static MISH: Function = Function::new("mish", "mish", |v| reference::mish(v[0])).slopes(&[Of(&MISH_GRAD, &[X(0), Dy])]);
static MISH_GRAD: Function = Function::new("mish.grad_input", "mish_grad", |v| reference::mish_grad(v[0], v[1]));
static SOFTPLUS: Function = Function::new("softplus", "softplus", |v| reference::softplus(v[0], v[1][0], v[2][0]))
    .slopes(&[Of(&SOFTPLUS_GRAD, &[X(0), Dy, X(1), X(2)])])
    .settings(&["beta", "threshold"]);
static SOFTPLUS_GRAD: Function =
    Function::new("softplus.grad_input", "softplus_grad", |v| reference::softplus_grad(v[0], v[1], v[2][0], v[3][0]));
static SOFTSIGN: Function =
    Function::new("softsign", "softsign", |v| reference::softsign(v[0])).slopes(&[Of(&SOFTSIGN_GRAD, &[X(0), Dy])]);
static SOFTSIGN_GRAD: Function =
    Function::new("softsign.grad_input", "softsign_grad", |v| reference::softsign_grad(v[0], v[1]));
static GELU: Function = Function::new("gelu", "gelu", |v| reference::gelu(v[0])).slopes(&[Of(&GELU_GRAD, &[X(0), Dy])]);
static GELU_GRAD: Function = Function::new("gelu.grad_input", "gelu_grad", |v| reference::gelu_grad(v[0], v[1]));
static GELU_TANH: Function =
    Function::new("gelu_tanh", "gelu_tanh", |v| reference::gelu_tanh(v[0])).slopes(&[Of(&GELU_TANH_GRAD, &[X(0), Dy])]);
static GELU_TANH_GRAD: Function =
    Function::new("gelu_tanh.grad_input", "gelu_tanh_grad", |v| reference::gelu_tanh_grad(v[0], v[1]));

/// One function with different numbers.
const fn like_elu(name: &'static str) -> Function {
    const SLOPE: &[Slope] = &[Of(&ELU_GRAD, &[Y, Dy, X(1), X(2), X(3)])];
    const SETTINGS: &[&str] = &["scale", "alpha", "rate"];
    Function::new(name, "elu", |v| reference::elu(v[0], v[1][0], v[2][0], v[3][0])).slopes(SLOPE).settings(SETTINGS)
}

/// Klambauer et al. 2017, "Self-Normalizing Neural Networks": the scale, and its product with their alpha, 1.6732632.
const SELF_NORMALIZING: [f32; 3] = [1.050_701, 1.758_099_3, 1.0];

impl<'g> Tensor<'g> {
    /// max(x, 0); the derivative at 0 is 0.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn relu(self) -> Result<Self> {
        self.map(&RELU)
    }

    /// min(max(x, 0), 6) (Howard et al. 2017, "MobileNets"); the derivative at 0 and 6 is 0, as PyTorch's `ReLU6`.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn relu6(self) -> Result<Self> {
        self.map(&RELU6)
    }

    /// min(max(x, minimum), maximum), as ONNX's `Clip` and PyTorch's `clamp`; the derivative at the bounds is 1. For one
    /// bound see [`Tensor::minimum`] and [`Tensor::maximum`].
    ///
    /// # Errors
    /// When the tensor is not f32, or the bounds are not finite or not in order.
    pub fn clip(self, minimum: f32, maximum: f32) -> Result<Self> {
        if !(minimum.is_finite() && maximum.is_finite() && minimum <= maximum) {
            let message = format!("expected finite bounds in order, got {minimum} and {maximum}");
            return Err(Error::argument(CLIP.name(), message));
        }
        self.map_with(&CLIP, &[minimum, maximum])
    }

    /// x for x > 0, else slope·x, for a slope in 0..: PyTorch's `LeakyReLU` has 0.01.
    ///
    /// # Errors
    /// When the tensor is not f32, or the slope is negative or not finite.
    pub fn leaky_relu(self, slope: f32) -> Result<Self> {
        if !slope.is_finite() || slope < 0.0 {
            return Err(Error::argument(LEAKY_RELU.name(), format!("expected a slope of at least 0, got {slope}")));
        }
        self.map_with(&LEAKY_RELU, &[slope])
    }

    /// x for x > 0, else slope·x with learned slopes (He et al. 2015, "Delving Deep into Rectifiers"): the parameter
    /// `NAME.weight` has `slopes` of them, one for each channel (axis 1) or a single one, which start at 0.25 as PyTorch's
    /// `PReLU`.
    ///
    /// # Errors
    /// When the tensor is not f32, has neither 1 nor `slopes` channels, or the name is taken.
    pub fn prelu(self, name: &str, slopes: usize) -> Result<Self> {
        let (ty, graph) = (self.ty(), self.graph());
        if slopes != 1 && ty.shape.get(1) != Some(&slopes) {
            return Err(Error::shape(format!("prelu `{name}`"), format!("1 or {slopes} channels in axis 1"), ty));
        }
        graph.whole(|| {
            let weight = graph.parameter(&format!("{name}.weight"), slopes, Init::Constant(0.25))?;
            let mut shape = vec![1; ty.shape.len().saturating_sub(1).max(1)];
            shape[0] = slopes;
            PRELU.of(name, &[self.into(), weight.reshape(Shape::from(shape))?.into()])
        })
    }

    /// [`Tensor::prelu`] with any slope, of a shape that broadcasts to the tensor's, as ONNX's `PRelu`.
    ///
    /// # Errors
    /// When a tensor is not f32 or the slope does not broadcast.
    pub fn prelu_with(self, slope: Self) -> Result<Self> {
        let y = PRELU.of("", &[self.into(), slope.into()])?;
        match y.shape() == self.shape() {
            true => Ok(y),
            false => {
                Err(Error::shape(PRELU.name(), format!("a slope that broadcasts to {}", self.shape()), slope.ty()))
            }
        }
    }

    /// x for x > 0, else alpha·(eˣ - 1) (Clevert et al. 2015); 1 is the usual alpha.
    ///
    /// # Errors
    /// When the tensor is not f32, or alpha is negative or not finite.
    pub fn elu(self, alpha: f32) -> Result<Self> {
        if !alpha.is_finite() || alpha < 0.0 {
            return Err(Error::argument(ELU.name(), format!("expected an alpha of at least 0, got {alpha}")));
        }
        self.map_with(&ELU, &[1.0, alpha, 1.0])
    }

    /// scale·x for x > 0, else scale·alpha·(eˣ - 1), for the scale 1.0507 and alpha 1.6733 of Klambauer et al. 2017.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn selu(self) -> Result<Self> {
        self.map_with(&SELU, &SELF_NORMALIZING)
    }

    /// x for x > 0, else alpha·(exp(x/alpha) - 1) (Barron 2017); 1 is the usual alpha.
    ///
    /// # Errors
    /// When the tensor is not f32, or alpha is not positive, or it or its inverse is not finite.
    pub fn celu(self, alpha: f32) -> Result<Self> {
        if !(alpha > 0.0 && alpha.is_finite() && alpha.recip().is_finite()) {
            return Err(Error::argument(CELU.name(), format!("expected an alpha above 0, got {alpha}")));
        }
        self.map_with(&CELU, &[1.0, alpha, alpha.recip()])
    }

    /// x·Φ(x), where Φ(x) = (1 + erf(x/√2))/2 is the normal distribution's function (Hendrycks and Gimpel 2016).
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn gelu(self) -> Result<Self> {
        self.map(&GELU)
    }

    /// x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2, the approximation of [`Tensor::gelu`] in the same paper, which some
    /// networks were trained with.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn gelu_tanh(self) -> Result<Self> {
        self.map(&GELU_TANH)
    }

    /// 1 / (1 + exp(-x)).
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn sigmoid(self) -> Result<Self> {
        self.map(&SIGMOID)
    }

    /// min(max(x/6 + 1/2, 0), 1), as PyTorch's `Hardsigmoid` (Howard et al. 2019, "Searching for MobileNetV3"). ONNX's
    /// has a slope of its own: `x.multiply(0.2)?.add(0.5)?.clip(0.0, 1.0)?`.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn hard_sigmoid(self) -> Result<Self> {
        self.map(&HARD_SIGMOID)
    }

    /// ln(1 / (1 + exp(-x))).
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn log_sigmoid(self) -> Result<Self> {
        self.map(&LOG_SIGMOID)
    }

    /// The hyperbolic tangent.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn tanh(self) -> Result<Self> {
        self.map(&TANH)
    }

    /// x·sigmoid(x), also called swish (Elfwing et al. 2017; Ramachandran et al. 2017).
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn silu(self) -> Result<Self> {
        self.map(&SILU)
    }

    /// x·[`hard_sigmoid`](Tensor::hard_sigmoid)(x) (Howard et al. 2019).
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn hard_swish(self) -> Result<Self> {
        self.map(&HARD_SWISH)
    }

    /// x·tanh(ln(1 + eˣ)) (Misra 2019).
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn mish(self) -> Result<Self> {
        self.map(&MISH)
    }

    /// ln(1 + exp(beta·x))/beta, and x where beta·x is above the threshold: PyTorch's `Softplus` has 1 and 20, ONNX's 1 and
    /// no threshold, which is the same in single precision.
    ///
    /// # Errors
    /// When the tensor is not f32, beta is not positive, or one of both is not finite.
    pub fn softplus(self, beta: f32, threshold: f32) -> Result<Self> {
        if !(beta > 0.0 && beta.is_finite() && threshold.is_finite()) {
            let message = format!("expected beta > 0 and a threshold, got {beta} and {threshold}");
            return Err(Error::argument(SOFTPLUS.name(), message));
        }
        self.map_with(&SOFTPLUS, &[beta, threshold])
    }

    /// x / (1 + |x|).
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn softsign(self) -> Result<Self> {
        self.map(&SOFTSIGN)
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    /// Where exponentials underflow or would overflow, products of them cancel, and what is near 0.
    const BELOW: &[f32] =
        &[-1e30, -1e4, -88.8, -45.0, -20.0, -13.0, -9.5, -6.0, -1.5, -1.0, -0.5, -1e-3, -1e-6, -1e-30];
    const ABOVE: &[f32] = &[1e-6, 1e-3, 1.4, 6.5, 20.0, 88.8, 1e4, 1e30];
    let far = [BELOW, ABOVE].concat();
    let rows: [(&'static Function, &'static [f32]); 22] = [
        (&RELU, &[]),
        (&RELU6, &[]),
        (&CLIP, &[-1.5, 0.75]),
        (&LEAKY_RELU, &[0.1]),
        (&ELU, &[1.0, 1.0, 1.0]),
        (&ELU, &[1.0, 0.7, 1.0]),
        (&SELU, &SELF_NORMALIZING),
        (&CELU, &[1.0, 2.0, 0.5]),
        (&SIGMOID, &[]),
        (&HARD_SIGMOID, &[]),
        (&LOG_SIGMOID, &[]),
        (&TANH, &[]),
        (&SILU, &[]),
        (&HARD_SWISH, &[]),
        (&MISH, &[]),
        (&SOFTPLUS, &[1.0, 20.0]),
        (&SOFTPLUS, &[2.5, 3.0]),
        (&SOFTSIGN, &[]),
        (&GELU, &[]),
        (&GELU_TANH, &[]),
        (&PRELU, &[-0.2]),
        (&PRELU, &[0.25]),
    ];
    let mut cases: Vec<OpCase> =
        rows.into_iter().flat_map(|(function, numbers)| cases_of(function, numbers, [-8.0, 8.0], &far)).collect();
    for (shape, slopes) in [([2, 3, 7, 11], 3), ([3, 8, 5, 7], 8), ([3, 8, 5, 7], 1)] {
        let case = OpCase::new(format!("prelu {shape:?} of {slopes}"), move |cx| {
            cx.normal("x", shape)?.prelu("act", slopes).map(|y| vec![y])
        });
        cases.push(case.randomize_parameters());
    }
    // One element, fours of channels, and more than 65,535 workgroups of 64 vectors.
    for shape in [vec![1], vec![3, 8, 5, 7], vec![67, 251_003]] {
        let large = shape.iter().product::<usize>() > 1 << 20;
        let title = format!("relu {shape:?}");
        let case = OpCase::new(title, move |cx| cx.normal("x", shape.clone())?.relu().map(|y| vec![y]));
        // Among millions of values some lie on the kink.
        cases.push(if large { case.without_differences() } else { case });
    }
    cases
}
