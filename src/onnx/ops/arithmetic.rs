//! Arithmetic of single elements, with NumPy's broadcasting. Integers are computed in f32, where their ranges tell that this
//! is exact; else the host does it.

use super::{Call, Operator, one};
use crate::error::Result;
use crate::graph::Tensor;
use crate::onnx::shapes;
use crate::onnx::value::{Computed, Range, Value};
use crate::ops::Term;

/// A row of a function of floats.
macro_rules! function {
    ($name:literal, $x:ident => $body:expr) => {
        ($name, |call| {
            let $x = call.tensor(0)?;
            one($body?)
        })
    };
}

pub(super) const OPERATORS: &[Operator] = &[
    ("Abs", |call| unary(call, Tensor::abs, |[a, b]| [0.max(a).max(b.saturating_neg()), b.max(a.saturating_neg())])),
    ("Add", |call| binary(call, &ADD)),
    function!("Ceil", x => x.ceil()),
    function!("Cos", x => x.cos()),
    function!("Cosh", x => cosh(x)),
    ("Div", |call| binary(call, &DIVIDE)),
    function!("Erf", x => x.erf()),
    function!("Exp", x => x.exp()),
    function!("Floor", x => x.floor()),
    function!("Log", x => x.log()),
    ("Max", |call| all(call, &MAXIMUM)),
    ("Mean", |call| {
        let [sum] = <[Value<'_>; 1]>::try_from(all(call, &ADD)?).map_err(|_| call.node.wrong("no inputs"))?;
        match sum {
            Value::Device(Computed { tensor, element, .. }) if element.is_float() => {
                one(tensor.divide(call.inputs.len() as f32)?)
            }
            _ => Err(call.node.unsupported("a mean of integers")),
        }
    }),
    ("Min", |call| all(call, &MINIMUM)),
    ("Mul", |call| binary(call, &MULTIPLY)),
    ("Neg", |call| unary(call, Tensor::neg, |[a, b]| [b.saturating_neg(), a.saturating_neg()])),
    ("Pow", pow),
    function!("Reciprocal", x => x.reciprocal()),
    function!("Round", x => x.round()),
    ("Sign", |call| unary(call, Tensor::sign, |[a, b]| [a.signum(), b.signum()])),
    function!("Sin", x => x.sin()),
    function!("Sinh", x => x.tanh()?.multiply(cosh(x)?)),
    function!("Sqrt", x => x.sqrt()),
    ("Sub", |call| binary(call, &SUBTRACT)),
    ("Sum", |call| all(call, &ADD)),
    function!("Tan", x => x.sin()?.divide(x.cos()?)),
];

/// A function of two numbers, of floats and of integers.
pub(super) struct Binary {
    compute: for<'g> fn(Tensor<'g>, Term<'g>) -> Result<Tensor<'g>>,
    /// What becomes of the ranges of two integers; `None` where the function is not exact in floats.
    range: Option<fn(Range, Range) -> Range>,
    commutes: bool,
}

static ADD: Binary = Binary {
    compute: |a, b| a.add(b),
    range: Some(|a, b| [a[0].saturating_add(b[0]), a[1].saturating_add(b[1])]),
    commutes: true,
};
static SUBTRACT: Binary = Binary {
    compute: |a, b| a.subtract(b),
    range: Some(|a, b| [a[0].saturating_sub(b[1]), a[1].saturating_sub(b[0])]),
    commutes: false,
};
static MULTIPLY: Binary = Binary { compute: |a, b| a.multiply(b), range: Some(product), commutes: true };
static DIVIDE: Binary = Binary { compute: |a, b| a.divide(b), range: None, commutes: false };
static MAXIMUM: Binary =
    Binary { compute: |a, b| a.maximum(b), range: Some(|a, b| [a[0].max(b[0]), a[1].max(b[1])]), commutes: true };
static MINIMUM: Binary =
    Binary { compute: |a, b| a.minimum(b), range: Some(|a, b| [a[0].min(b[0]), a[1].min(b[1])]), commutes: true };

/// Of the products of two ranges.
pub(super) fn product(a: Range, b: Range) -> Range {
    let products = [a[0], a[1]].map(|a| [a.saturating_mul(b[0]), a.saturating_mul(b[1])]);
    let [[first, second], [third, fourth]] = products;
    [first.min(second).min(third).min(fourth), first.max(second).max(third).max(fourth)]
}

/// (eˣ + e⁻ˣ) / 2
fn cosh(x: Tensor<'_>) -> Result<Tensor<'_>> {
    let half = x.abs()?.multiply(0.5)?.exp()?;
    // As a square of roots, so that it overflows where the result does and not before; what e⁻ˣ adds is small there.
    half.multiply(half.multiply(0.5)?)?.add(x.abs()?.neg()?.exp()?.multiply(0.5)?)
}

fn unary<'g>(
    call: &mut Call<'_, '_, 'g>,
    compute: impl FnOnce(Tensor<'g>) -> Result<Tensor<'g>>,
    range: impl FnOnce(Range) -> Range,
) -> Result<Vec<Value<'g>>> {
    let x = call.number(0)?;
    let y = compute(x.tensor)?;
    match x.element.is_integer() {
        true => Ok(vec![call.exact(y, x.element, range(x.range))?]),
        false => one(y),
    }
}

/// The second tensor under the shape that older operator sets give it.
pub(super) fn aligned<'g>(call: &Call<'_, '_, 'g>, first: usize, second: Tensor<'g>) -> Result<Tensor<'g>> {
    let shape = shapes::aligned(call.node, first, &second.shape())?;
    if second.shape()[..] == shape[..] { Ok(second) } else { second.reshape(shape) }
}

fn binary<'g>(call: &mut Call<'_, '_, 'g>, function: &Binary) -> Result<Vec<Value<'g>>> {
    if call.element(0)?.is_integer() {
        return all(call, function);
    }
    // A number stands on the right, where it is part of the kernel.
    let [a, b] = match function.commutes && call.literal(0).is_some_and(|array| array.len() == 1) {
        true if call.node.opset >= 7 => [1, 0],
        _ => [0, 1],
    };
    let first = call.tensor(a)?;
    let second = match call.term(b, a)? {
        Term::Tensor(second) => Term::Tensor(aligned(call, first.shape().len(), second)?),
        number => number,
    };
    one((function.compute)(first, second)?)
}

/// A function of all inputs, taken one after the other.
fn all<'g>(call: &mut Call<'_, '_, 'g>, function: &Binary) -> Result<Vec<Value<'g>>> {
    let Computed { mut tensor, element, mut range } = call.number(0)?;
    if element.is_integer() && function.range.is_none() {
        return Err(call.node.unsupported(format_args!("{element} on the device")));
    }
    for index in 1..call.inputs.len() {
        let next = call.number(index)?;
        let second = aligned(call, tensor.shape().len(), next.tensor)?;
        tensor = (function.compute)(tensor, second.into())?;
        if let (true, Some(of)) = (element.is_integer(), function.range) {
            range = of(range, next.range);
            call.exact(tensor, element, range)?;
        }
    }
    match element.is_integer() {
        true => Ok(vec![call.exact(tensor, element, range)?]),
        false => one(tensor),
    }
}

fn pow<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let base = call.tensor(0)?;
    let exponent = match call.single(1, base.shape().len()) {
        Some(number) => Term::Number(number),
        None => {
            let exponent = call.number(1)?.tensor;
            Term::Tensor(aligned(call, base.shape().len(), exponent)?)
        }
    };
    one(base.pow(exponent)?)
}
