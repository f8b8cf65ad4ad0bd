//! Arithmetic of two tensors, or of a tensor and a number, as rows. Shapes broadcast by NumPy's rules, which are ONNX's
//! too; the gradient of what was repeated is a sum.

use super::elementwise::Factor::{Dy, X, Y};
use super::elementwise::Slope::{Of, One};
use super::elementwise::{Function, Term};
use super::pointwise::{NEG, RECIPROCAL, SQRT, SQUARE};
use crate::error::Result;
use crate::graph::Tensor;
use crate::reference::binary as reference;
use crate::selftest::{CaseBuilder, OpCase};

static ADD: Function = Function::new("add", "add", |v| reference::add(v[0], v[1])).slopes(&[One, One]);
static SUBTRACT: Function =
    Function::new("subtract", "subtract", |v| reference::subtract(v[0], v[1])).slopes(&[One, Of(&NEG, &[Dy])]);
pub(super) static MULTIPLY: Function = Function::new("multiply", "multiply", |v| reference::multiply(v[0], v[1]))
    .slopes(&[Of(&MULTIPLY, &[Dy, X(1)]), Of(&MULTIPLY, &[Dy, X(0)])]);
pub(super) static DIVIDE: Function = Function::new("divide", "divide", |v| reference::divide(v[0], v[1]))
    .slopes(&[Of(&DIVIDE, &[Dy, X(1)]), Of(&DIVIDE_GRAD, &[X(1), Y, Dy])]);
static DIVIDE_GRAD: Function =
    Function::new("divide.grad_divisor", "divide_grad", |v| reference::divide_grad(v[0], v[1], v[2]));
static MINIMUM: Function = Function::new("minimum", "minimum", |v| reference::minimum(v[0], v[1]))
    .slopes(&[Of(&MINIMUM_GRAD, &[X(0), Dy, X(1)]), Of(&MINIMUM_GRAD, &[X(1), Dy, X(0)])]);
static MINIMUM_GRAD: Function =
    Function::new("minimum.grad_input", "minimum_grad", |v| reference::minimum_grad(v[0], v[1], v[2]));
static MAXIMUM: Function = Function::new("maximum", "maximum", |v| reference::maximum(v[0], v[1]))
    .slopes(&[Of(&MAXIMUM_GRAD, &[X(0), Dy, X(1)]), Of(&MAXIMUM_GRAD, &[X(1), Dy, X(0)])]);
static MAXIMUM_GRAD: Function =
    Function::new("maximum.grad_input", "maximum_grad", |v| reference::maximum_grad(v[0], v[1], v[2]));
static POWER: Function = Function::new("pow", "power", |v| reference::power(v[0], v[1]))
    .slopes(&[Of(&POWER_GRAD_BASE, &[X(0), Dy, X(1)]), Of(&POWER_GRAD_EXPONENT, &[X(0), Y, Dy])]);
static POWER_GRAD_BASE: Function =
    Function::new("pow.grad_base", "power_grad_base", |v| reference::power_grad_base(v[0], v[1], v[2]));
static POWER_GRAD_EXPONENT: Function =
    Function::new("pow.grad_exponent", "power_grad_exponent", |v| reference::power_grad_exponent(v[0], v[1], v[2]));

impl<'g> Tensor<'g> {
    /// a + b. `b` is a tensor, whose shape and the tensor's own broadcast by NumPy's rules, or a number.
    ///
    /// # Errors
    /// When a tensor is not f32, the shapes do not broadcast, or the number is not finite.
    #[allow(clippy::should_implement_trait, reason = "an operator could not return an error")]
    pub fn add(self, b: impl Into<Term<'g>>) -> Result<Self> {
        self.with(&ADD, b)
    }

    /// a - b; see [`Tensor::add`].
    ///
    /// # Errors
    /// See [`Tensor::add`].
    pub fn subtract(self, b: impl Into<Term<'g>>) -> Result<Self> {
        self.with(&SUBTRACT, b)
    }

    /// a · b; see [`Tensor::add`].
    ///
    /// # Errors
    /// See [`Tensor::add`].
    pub fn multiply(self, b: impl Into<Term<'g>>) -> Result<Self> {
        self.with(&MULTIPLY, b)
    }

    /// a / b; see [`Tensor::add`].
    ///
    /// # Errors
    /// See [`Tensor::add`].
    pub fn divide(self, b: impl Into<Term<'g>>) -> Result<Self> {
        self.with(&DIVIDE, b)
    }

    /// The lesser of a and b, not-a-number where either is; see [`Tensor::add`]. Where they are equal, both have half of
    /// the gradient, as in PyTorch.
    ///
    /// # Errors
    /// See [`Tensor::add`].
    pub fn minimum(self, b: impl Into<Term<'g>>) -> Result<Self> {
        self.with(&MINIMUM, b)
    }

    /// The greater of a and b, not-a-number where either is; see [`Tensor::add`]. Where they are equal, both have half of
    /// the gradient, as in PyTorch.
    ///
    /// # Errors
    /// See [`Tensor::add`].
    pub fn maximum(self, b: impl Into<Term<'g>>) -> Result<Self> {
        self.with(&MAXIMUM, b)
    }

    /// aᵇ; see [`Tensor::add`]. A negative a has powers of whole b alone, and a⁰ is 1. The derivative by a is b·aᵇ⁻¹, that
    /// by b is aᵇ·ln a, and 0 where a is not positive.
    ///
    /// # Errors
    /// See [`Tensor::add`].
    pub fn pow(self, b: impl Into<Term<'g>>) -> Result<Self> {
        match b.into() {
            Term::Number(2.0) => self.map(&SQUARE),
            Term::Number(0.5) => self.map(&SQRT),
            Term::Number(-1.0) => self.map(&RECIPROCAL),
            b => self.with(&POWER, b),
        }
    }

    /// A function of this tensor and another term.
    pub(super) fn with(self, function: &'static Function, b: impl Into<Term<'g>>) -> Result<Self> {
        function.of("", &[self.into(), b.into()])
    }
}

/// What a case takes as its second term, called `b`, for results of a shape.
type Second = for<'g> fn(&CaseBuilder<'g>, &'static [usize]) -> Result<Tensor<'g>>;

pub(crate) fn cases() -> Vec<OpCase> {
    fn normal<'g>(cx: &CaseBuilder<'g>, shape: &'static [usize]) -> Result<Tensor<'g>> {
        cx.normal("b", shape)
    }
    /// Neither 0, which is no divisor, nor of two signs, nor whole.
    fn positive<'g>(cx: &CaseBuilder<'g>, shape: &'static [usize]) -> Result<Tensor<'g>> {
        let count: usize = shape.iter().product();
        cx.values("b", shape, (0..count).map(|i| 0.3 + 2.5 * (i as f32 * 0.618_034).fract()).collect())
    }
    let rows: [(&'static Function, Second); 6] = [
        (&ADD, normal),
        (&SUBTRACT, normal),
        (&MULTIPLY, normal),
        (&DIVIDE, positive),
        (&MINIMUM, normal),
        (&MAXIMUM, normal),
    ];
    // Of one shape; one value a channel in each of a kernel's forms; one value; and what has to be expanded.
    let shapes: [(&[usize], &[usize]); 10] = [
        (&[5, 7, 3], &[5, 7, 3]),
        (&[2, 12, 3, 5], &[2, 12, 3, 5]),
        (&[2, 12, 3, 5], &[12, 1, 1]),
        (&[2, 3, 4, 5], &[1, 3, 1, 1]),
        (&[2, 67, 1, 13], &[67, 1, 1]),
        (&[9, 8], &[8]),
        (&[2, 8, 3, 5], &[1]),
        (&[7], &[]),
        (&[2, 8, 5, 3], &[2, 8, 1, 1]),
        (&[2, 1, 5, 3], &[7, 1, 3]),
    ];
    let mut cases = Vec::new();
    for (function, second) in rows {
        for (index, (left, right)) in shapes.into_iter().enumerate() {
            // The functions share their way to an operand: two of them go all of it.
            if index > 3 && ![&ADD, &DIVIDE].iter().any(|whole| std::ptr::eq(*whole, function)) {
                continue;
            }
            let title = format!("{} {left:?} and {right:?}", function.name());
            cases.push(OpCase::new(title, move |cx| {
                cx.normal("a", left)?.with(function, second(cx, right)?).map(|y| vec![y])
            }));
        }
        let title = format!("{} of a number", function.name());
        cases.push(OpCase::new(title, move |cx| cx.normal("a", [3, 67])?.with(function, 0.7).map(|y| vec![y])));
    }
    cases.push(OpCase::new("multiply by itself", |cx| {
        let x = cx.normal("x", [2, 12, 3, 5])?;
        x.multiply(x).map(|y| vec![y])
    }));
    // The first term is the smaller one.
    cases.push(OpCase::new("subtract [4, 1] and [3, 4, 5]", |cx| {
        cx.normal("a", [4, 1])?.subtract(cx.normal("b", [3, 4, 5])?).map(|y| vec![y])
    }));
    cases.push(OpCase::new("maximum of equals", |cx| {
        let values = |shift: usize| (0..60).map(|i| ((i + shift) % 3) as f32).collect();
        let (a, b) = (cx.values("a", 60, values(0))?, cx.values("b", 60, values(1))?);
        let same = cx.values("c", 60, values(0))?;
        Ok(vec![a.maximum(b)?, a.maximum(same)?, a.minimum(same)?])
    }));
    let last = cases.pop().map(OpCase::without_differences);
    cases.extend(last);
    cases.extend(powers());
    cases
}

fn powers() -> Vec<OpCase> {
    let positive = |count: usize| (0..count).map(|i| 0.05 + 4.0 * (i as f32 * 0.618_034).fract()).collect();
    let whole = |count: usize| (0..count).map(|i| (i % 9) as f32 - 4.0).collect();
    let mut cases = vec![
        OpCase::new("pow [3, 8, 5] and [8, 1]", move |cx| {
            cx.values("a", [3, 8, 5], positive(120))?.pow(cx.normal("b", [8, 1])?).map(|y| vec![y])
        }),
        // Negative bases, whole exponents, of which the gradient is none.
        OpCase::new("pow of negative bases", move |cx| {
            let b = cx.values("b", 63, whole(63))?.round()?;
            cx.normal("a", 63)?.pow(b).map(|y| vec![y])
        }),
        OpCase::new("pow extremes", |cx| {
            let a = vec![0.0, 0.0, 1.0, 1e-30, 1e30, 1.000_001, 0.999_999, -2.0, -3.0, 1e4, 1e-4, 2.0];
            let b = vec![0.0, 2.0, 1e6, 1.2, 1.2, 1e5, 1e5, 3.0, 4.0, 9.0, 9.0, -126.0];
            cx.values("a", 12, a)?.pow(cx.values("b", 12, b)?).map(|y| vec![y])
        })
        .without_differences(),
        OpCase::new("pow of what is infinite, 0 or no number", |cx| {
            let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1.0, -1.0, 2.0, -0.5];
            let exponents =
                [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, 1.0, -1.0, 3.0, -3.0, 2.0, -2.0, 0.5, -0.5];
            let a = values.into_iter().flat_map(|a| [a; 12]).collect();
            let b = values.into_iter().flat_map(|_| exponents).collect();
            cx.values("a", 108, a)?.pow(cx.values("b", 108, b)?).map(|y| vec![y])
        })
        .without_differences(),
    ];
    cases.extend([2.0, 0.5, -1.0, 3.0, 2.2, 0.0].map(|exponent: f32| {
        OpCase::new(format!("pow {exponent}"), move |cx| {
            cx.values("a", 61, (0..61).map(|i| 0.1 + 0.05 * i as f32).collect())?.pow(exponent).map(|y| vec![y])
        })
    }));
    cases
}
