//! Elementary functions, y = f(x), as rows: the function and dy·f', which is taken of y where that loses nothing, so that
//! x need not be kept, else of x.

use std::f32::consts::{FRAC_PI_2, FRAC_PI_4, PI};

use super::binary::{DIVIDE, MULTIPLY};
use super::elementwise::Factor::{Dy, X, Y};
use super::elementwise::Slope::{Of, Zero};
use super::elementwise::{Function, Term};
use crate::error::Result;
use crate::graph::Tensor;
use crate::reference::pointwise as reference;
use crate::selftest::OpCase;

pub(super) static NEG: Function =
    Function::new("neg", "negative", |v| reference::negative(v[0])).slopes(&[Of(&NEG, &[Dy])]);
static ABS: Function = Function::new("abs", "abs_of", |v| reference::abs(v[0])).slopes(&[Of(&ABS_GRAD, &[X(0), Dy])]);
static ABS_GRAD: Function = Function::new("abs.grad_input", "abs_grad", |v| reference::abs_grad(v[0], v[1]));
static SIGN: Function = Function::new("sign", "sign_of", |v| reference::sign(v[0])).slopes(&[Zero]);
static FLOOR: Function = Function::new("floor", "floor_of", |v| reference::floor(v[0])).slopes(&[Zero]);
static CEIL: Function = Function::new("ceil", "ceil_of", |v| reference::ceil(v[0])).slopes(&[Zero]);
static ROUND: Function = Function::new("round", "round_of", |v| reference::round(v[0])).slopes(&[Zero]);
pub(super) static SQUARE: Function =
    Function::new("square", "square", |v| reference::square(v[0])).slopes(&[Of(&SQUARE_GRAD, &[X(0), Dy])]);
static SQUARE_GRAD: Function =
    Function::new("square.grad_input", "square_grad", |v| reference::square_grad(v[0], v[1]));
pub(super) static SQRT: Function =
    Function::new("sqrt", "sqrt_of", |v| reference::sqrt(v[0])).slopes(&[Of(&SQRT_GRAD, &[Y, Dy])]);
static SQRT_GRAD: Function = Function::new("sqrt.grad_input", "sqrt_grad", |v| reference::sqrt_grad(v[0], v[1]));
pub(super) static RECIPROCAL: Function = Function::new("reciprocal", "reciprocal", |v| reference::reciprocal(v[0]))
    .slopes(&[Of(&RECIPROCAL_GRAD, &[Y, Dy])]);
static RECIPROCAL_GRAD: Function =
    Function::new("reciprocal.grad_input", "reciprocal_grad", |v| reference::reciprocal_grad(v[0], v[1]));
static EXP: Function = Function::new("exp", "exp_of", |v| reference::exp(v[0])).slopes(&[Of(&MULTIPLY, &[Dy, Y])]);
static LOG: Function = Function::new("log", "log_of", |v| reference::log(v[0])).slopes(&[Of(&DIVIDE, &[Dy, X(0)])]);
static ERF: Function = Function::new("erf", "erf_of", |v| reference::erf(v[0])).slopes(&[Of(&ERF_GRAD, &[X(0), Dy])]);
static ERF_GRAD: Function = Function::new("erf.grad_input", "erf_grad", |v| reference::erf_grad(v[0], v[1]));
static SIN: Function = Function::new("sin", "sin_of", |v| reference::sin(v[0])).slopes(&[Of(&SIN_GRAD, &[X(0), Dy])]);
static SIN_GRAD: Function = Function::new("sin.grad_input", "sin_grad", |v| reference::sin_grad(v[0], v[1]));
static COS: Function = Function::new("cos", "cos_of", |v| reference::cos(v[0])).slopes(&[Of(&COS_GRAD, &[X(0), Dy])]);
static COS_GRAD: Function = Function::new("cos.grad_input", "cos_grad", |v| reference::cos_grad(v[0], v[1]));

impl<'g> Tensor<'g> {
    /// -x.
    ///
    /// # Errors
    /// When the tensor is not f32.
    #[allow(clippy::should_implement_trait, reason = "an operator could not return an error")]
    pub fn neg(self) -> Result<Self> {
        self.map(&NEG)
    }

    /// |x|; the derivative at 0 is 0.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn abs(self) -> Result<Self> {
        self.map(&ABS)
    }

    /// -1 for x < 0, 0 for 0, 1 for x > 0. It has no gradient, as its derivative is zero.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn sign(self) -> Result<Self> {
        self.map(&SIGN)
    }

    /// The greatest integer that is not above x. It has no gradient, as its derivative is zero.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn floor(self) -> Result<Self> {
        self.map(&FLOOR)
    }

    /// The least integer that is not below x. It has no gradient, as its derivative is zero.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn ceil(self) -> Result<Self> {
        self.map(&CEIL)
    }

    /// The nearest integer, the even one of two, as ONNX's `Round` and PyTorch's. It has no gradient, as its derivative is
    /// zero.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn round(self) -> Result<Self> {
        self.map(&ROUND)
    }

    /// x²; the derivative is 2x.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn square(self) -> Result<Self> {
        self.map(&SQUARE)
    }

    /// √x for x ≥ 0; the derivative is 1 / 2√x.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn sqrt(self) -> Result<Self> {
        self.map(&SQRT)
    }

    /// 1 / x; the derivative is -1 / x².
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn reciprocal(self) -> Result<Self> {
        self.map(&RECIPROCAL)
    }

    /// eˣ, which is its own derivative.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn exp(self) -> Result<Self> {
        self.map(&EXP)
    }

    /// The natural logarithm of x > 0; the derivative is 1 / x. Near 1, where it is near 0, devices have an absolute
    /// accuracy of about 2⁻²¹ (WGSL, "Accuracy of Built-in Functions").
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn log(self) -> Result<Self> {
        self.map(&LOG)
    }

    /// The error function, erf(x) = 2/√π ∫₀ˣ exp(-t²) dt; the derivative is 2/√π · exp(-x²). To a few ULP, by the
    /// polynomials of Cephes' `erff` and `erfcf` (Moshier 1989).
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn erf(self) -> Result<Self> {
        self.map(&ERF)
    }

    /// The sine of an angle in radians, to a few 2⁻²³ for angles up to 8,192; larger ones are less and less accurate. The
    /// derivative is the cosine.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn sin(self) -> Result<Self> {
        self.map(&SIN)
    }

    /// The cosine of an angle in radians; see [`Tensor::sin`]. The derivative is -sin x.
    ///
    /// # Errors
    /// When the tensor is not f32.
    pub fn cos(self) -> Result<Self> {
        self.map(&COS)
    }

    /// A function of this tensor alone.
    pub(super) fn map(self, function: &'static Function) -> Result<Self> {
        function.of("", &[self.into()])
    }

    /// A function of this tensor and of numbers.
    pub(super) fn map_with(self, function: &'static Function, numbers: &[f32]) -> Result<Self> {
        let terms: Vec<Term<'g>> =
            std::iter::once(self.into()).chain(numbers.iter().map(|&number| number.into())).collect();
        function.of("", &terms)
    }
}

/// A function's cases: values all over its `domain`, and `extremes`, where differences say nothing of the gradient.
pub(super) fn cases_of(
    function: &'static Function,
    numbers: &'static [f32],
    domain: [f32; 2],
    extremes: &[f32],
) -> [OpCase; 2] {
    let [low, high] = domain;
    // A prime count leaves a partial vector; steps of the golden ratio fill an interval evenly.
    let spread = |i: usize| low + (high - low) * ((i as f32 + 0.5) * 0.618_034).fract();
    let (values, extremes): (Vec<f32>, Vec<f32>) = ((0..461).map(spread).collect(), extremes.to_vec());
    let title = match numbers {
        [] => function.name().to_string(),
        numbers => format!("{} {numbers:?}", function.name()),
    };
    let all = OpCase::new(format!("{title} in {low} to {high}"), move |cx| {
        cx.values("x", values.len(), values.clone())?.map_with(function, numbers).map(|y| vec![y])
    });
    let far = OpCase::new(format!("{title} extremes"), move |cx| {
        cx.values("x", extremes.len(), extremes.clone())?.map_with(function, numbers).map(|y| vec![y])
    });
    [all, far.without_differences()]
}

pub(crate) fn cases() -> Vec<OpCase> {
    /// From where on the exponential overflows, or its result is subnormal.
    const EXPONENTS: &[f32] = &[-88.8, -87.3, -20.0, -1e-6, 0.0, 1e-6, 20.0, 88.7];
    const TIES: &[f32] = &[-2.5, -1.5, -0.5, 0.0, 0.5, 1.5, 2.5, 8_388_609.0, -16_777_216.0, 1e30];
    const POSITIVE: &[f32] = &[1e-30, 1e-6, 0.999_999, 1.0, 1.000_001, 2.0, 1e6, 1e30];
    const FINITE: &[f32] = &[-1e15, -7.0, -1e-6, -1e-18, 1e-18, 1e-6, 7.0, 1e15];
    /// Multiples of π/2 and what is near.
    const ANGLES: &[f32] = &[-8191.9, -355.0, -22.0, -PI, -1e-6, 0.0, 1e-20, FRAC_PI_4, FRAC_PI_2, 33.0 * PI, 8192.0];
    const BELL: &[f32] = &[-1e30, -9.3, -4.0, -1.0, -1e-6, 0.0, 1e-20, 0.999_999, 1.0, 2.0, 3.999, 13.0, 1e4];
    let rows: [(&'static Function, [f32; 2], &[f32]); 14] = [
        (&NEG, [-3.0, 3.0], FINITE),
        (&ABS, [-3.0, 3.0], FINITE),
        (&SIGN, [-3.0, 3.0], TIES),
        (&FLOOR, [-3.0, 3.0], TIES),
        (&CEIL, [-3.0, 3.0], TIES),
        (&ROUND, [-3.0, 3.0], TIES),
        (&SQUARE, [-3.0, 3.0], FINITE),
        (&SQRT, [0.01, 9.0], POSITIVE),
        (&RECIPROCAL, [0.1, 4.0], FINITE),
        (&EXP, [-8.0, 8.0], EXPONENTS),
        (&LOG, [0.01, 9.0], POSITIVE),
        (&ERF, [-4.5, 4.5], BELL),
        (&SIN, [-8.0, 8.0], ANGLES),
        (&COS, [-8.0, 8.0], ANGLES),
    ];
    let mut cases: Vec<OpCase> =
        rows.into_iter().flat_map(|(function, domain, extremes)| cases_of(function, &[], domain, extremes)).collect();
    // Large enough to be written over its argument, which nothing needs any more.
    cases.push(OpCase::new("relu over a sum", |cx| {
        let sum = cx.normal("x", [4613])?.add(cx.normal("z", [4613])?)?;
        Ok(vec![sum.mean(..)?, sum.relu()?])
    }));
    cases
}
