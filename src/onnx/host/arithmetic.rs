//! Arithmetic with NumPy's broadcasting. Floats are computed in 64 bits and rounded once, integers in 128 of which the type
//! keeps the low ones.

use ndarray::ArrayD;

use super::{Call, Operator, mapped, one};
use crate::error::Result;
use crate::onnx::Array;
use crate::onnx::array::with_numbers;
use crate::onnx::element::{Number, Numeric};

pub(super) const OPERATORS: &[Operator] = &[
    ("Abs", |call| map(call, |v| either(v, f64::abs, i128::wrapping_abs))),
    ("Add", |call| binary(call, add)),
    ("Ceil", |call| map(call, |v| float(v, f64::ceil))),
    ("Clip", clip),
    ("Cos", |call| map(call, |v| float(v, f64::cos))),
    ("Acos", |call| map(call, |v| float(v, f64::acos))),
    ("Acosh", |call| map(call, |v| float(v, f64::acosh))),
    ("Asin", |call| map(call, |v| float(v, f64::asin))),
    ("Asinh", |call| map(call, |v| float(v, f64::asinh))),
    ("Atan", |call| map(call, |v| float(v, f64::atan))),
    ("Atanh", |call| map(call, |v| float(v, f64::atanh))),
    ("Cosh", |call| map(call, |v| float(v, f64::cosh))),
    ("Div", divide),
    ("Erf", |call| map(call, |v| float(v, crate::reference::pointwise::error_function))),
    ("Exp", |call| map(call, |v| float(v, f64::exp))),
    ("Floor", |call| map(call, |v| float(v, f64::floor))),
    ("Log", |call| map(call, |v| float(v, f64::ln))),
    ("Max", |call| variadic(call, maximum)),
    ("Mean", mean),
    ("Min", |call| variadic(call, minimum)),
    ("Mod", modulo),
    ("Mul", |call| binary(call, multiply)),
    ("Neg", |call| map(call, |v| either(v, |v| -v, i128::wrapping_neg))),
    ("Pow", power),
    ("Reciprocal", |call| map(call, |v| float(v, f64::recip))),
    ("Relu", |call| map(call, |v| maximum(v, Number::Integer(0)))),
    ("Round", |call| map(call, |v| float(v, f64::round_ties_even))),
    ("Sigmoid", |call| map(call, |v| float(v, |v| 1.0 / (1.0 + (-v).exp())))),
    ("Sign", |call| map(call, |v| either(v, sign, i128::signum))),
    ("Sin", |call| map(call, |v| float(v, f64::sin))),
    ("Sinh", |call| map(call, |v| float(v, f64::sinh))),
    ("Sqrt", |call| map(call, |v| float(v, f64::sqrt))),
    ("Sub", |call| binary(call, subtract)),
    ("Sum", |call| variadic(call, add)),
    ("Tan", |call| map(call, |v| float(v, f64::tan))),
    ("Tanh", |call| map(call, |v| float(v, f64::tanh))),
];

/// A float by one function, an integer by another.
fn either(value: Number, of_float: impl Fn(f64) -> f64, of_integer: impl Fn(i128) -> i128) -> Number {
    match value {
        Number::Float(value) => Number::Float(of_float(value)),
        Number::Integer(value) => Number::Integer(of_integer(value)),
    }
}

/// A function that ONNX has for floats alone; integers go there and back.
fn float(value: Number, of_float: impl Fn(f64) -> f64) -> Number {
    Number::Float(of_float(value.float()))
}

/// Two floats by one function, two integers by another.
fn both(a: Number, b: Number, of_floats: impl Fn(f64, f64) -> f64, of_integers: impl Fn(i128, i128) -> i128) -> Number {
    match (a, b) {
        (Number::Integer(a), Number::Integer(b)) => Number::Integer(of_integers(a, b)),
        _ => Number::Float(of_floats(a.float(), b.float())),
    }
}

pub(super) fn add(a: Number, b: Number) -> Number {
    both(a, b, |a, b| a + b, i128::wrapping_add)
}

fn subtract(a: Number, b: Number) -> Number {
    both(a, b, |a, b| a - b, i128::wrapping_sub)
}

pub(super) fn multiply(a: Number, b: Number) -> Number {
    both(a, b, |a, b| a * b, i128::wrapping_mul)
}

/// The greater, and not-a-number where either is.
pub(super) fn maximum(a: Number, b: Number) -> Number {
    both(a, b, |a, b| if a.is_nan() || a > b { a } else { b }, i128::max)
}

/// The smaller, and not-a-number where either is.
pub(super) fn minimum(a: Number, b: Number) -> Number {
    both(a, b, |a, b| if a.is_nan() || a < b { a } else { b }, i128::min)
}

/// As NumPy's: of zero it is zero.
fn sign(value: f64) -> f64 {
    if value > 0.0 {
        1.0
    } else if value < 0.0 {
        -1.0
    } else {
        value
    }
}

fn map(call: &Call<'_>, f: fn(Number) -> Number) -> Result<Vec<Array>> {
    let x = call.input(0)?;
    with_numbers!(x, array => mapped(array, f), _ => call.refuse(x))
}

/// A function of two arrays of one type.
fn binary(call: &Call<'_>, f: fn(Number, Number) -> Number) -> Result<Vec<Array>> {
    let x = call.input(0)?;
    with_numbers!(x, array => one(zipped(call, array, call.like(array, 1)?, f)?), _ => call.refuse(x))
}

fn zipped<T: Numeric>(
    call: &Call<'_>,
    a: &ArrayD<T>,
    b: &ArrayD<T>,
    f: impl Fn(Number, Number) -> Number,
) -> Result<ArrayD<T>> {
    call.zip(a, b, |&a, &b| f(a.into(), b.into()).into())
}

/// A function of any number of arrays of one type, from the first on.
fn variadic(call: &Call<'_>, f: fn(Number, Number) -> Number) -> Result<Vec<Array>> {
    fn of<T: Numeric>(call: &Call<'_>, first: &ArrayD<T>, f: fn(Number, Number) -> Number) -> Result<ArrayD<T>> {
        (1..call.inputs.len()).try_fold(first.clone(), |sum, index| zipped(call, &sum, call.like(first, index)?, f))
    }
    let x = call.input(0)?;
    with_numbers!(x, array => one(of(call, array, f)?), _ => call.refuse(x))
}

fn mean(call: &Call<'_>) -> Result<Vec<Array>> {
    let count = call.inputs.len() as f64;
    let sums = variadic(call, add)?;
    let share =
        |sum: &Array| with_numbers!(sum, array => mapped(array, |v| float(v, |v| v / count)), _ => call.refuse(sum));
    sums.first().map_or_else(|| Ok(Vec::new()), share)
}

/// Refuses a zero among the divisors of integers.
fn no_zero(call: &Call<'_>) -> Result<()> {
    let divisors = call.input(1)?;
    match divisors.element_type().is_integer() && call.numbers(1)?.contains(&Number::Integer(0)) {
        true => Err(call.node.wrong("integers divided by 0")),
        false => Ok(()),
    }
}

/// Integers are divided towards zero.
fn divide(call: &Call<'_>) -> Result<Vec<Array>> {
    no_zero(call)?;
    binary(call, |a, b| both(a, b, |a, b| a / b, |a, b| a.checked_div(b).unwrap_or(0)))
}

/// The remainder with the sign of the divisor as Python's, or with that of the dividend as C's `fmod`.
fn modulo(call: &Call<'_>) -> Result<Vec<Array>> {
    no_zero(call)?;
    match call.node.flag("fmod", false)? {
        true => binary(call, |a, b| both(a, b, |a, b| a % b, |a, b| a.checked_rem(b).unwrap_or(0))),
        false => binary(call, |a, b| {
            let of_floats = |a: f64, b: f64| a - (a / b).floor() * b;
            both(a, b, of_floats, |a, b| a.checked_rem(b).map_or(0, |rest| (rest + b).checked_rem(b).unwrap_or(0)))
        }),
    }
}

/// The exponent may be of another type than the base, which is the result's.
fn power(call: &Call<'_>) -> Result<Vec<Array>> {
    fn of<T: Numeric, U: Numeric>(call: &Call<'_>, x: &ArrayD<T>, y: &ArrayD<U>) -> Result<Vec<Array>> {
        let raise = |x: &T, y: &U| -> T {
            match ((*x).into(), (*y).into()) {
                (Number::Integer(base), Number::Integer(exponent)) if exponent >= 0 => {
                    Number::Integer(raised(base, exponent)).into()
                }
                // As a float a large odd exponent is even: the sign is found without it.
                (Number::Float(base), Number::Integer(exponent)) if base < 0.0 && exponent & 1 == 1 => {
                    Number::Float(-(-base).powf(exponent as f64)).into()
                }
                (base, exponent) => Number::Float(base.float().powf(exponent.float())).into(),
            }
        };
        one(call.zip(x, y, raise)?)
    }
    let (x, y) = (call.input(0)?, call.input(1)?);
    if [x, y].iter().all(|array| array.element_type().is_integer())
        && call.numbers(0)?.contains(&Number::Integer(0))
        && call.numbers(1)?.iter().any(|exponent| exponent.float() < 0.0)
    {
        return Err(call.node.wrong("integers with a 0 among them to negative powers"));
    }
    with_numbers!(x, x => with_numbers!(y, exponent => of(call, x, exponent), _ => call.refuse(y)), _ => call.refuse(x))
}

/// The low bits of a power.
fn raised(mut base: i128, mut exponent: i128) -> i128 {
    let mut product = 1_i128;
    while exponent > 0 {
        if exponent & 1 == 1 {
            product = product.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        exponent >>= 1;
    }
    product
}

/// The lower bound first: where it is the greater of the two, the upper one holds.
fn clip(call: &Call<'_>) -> Result<Vec<Array>> {
    let x = call.input(0)?;
    let bound = |name: &str, index: usize| -> Result<Option<Number>> {
        match (call.node.opset < 11, call.get(index)) {
            (true, _) => Ok(call.node.float(name)?.map(|bound| Number::Float(bound.into()))),
            (false, None) => Ok(None),
            (false, Some(_)) => Ok(call.numbers(index)?.first().copied()),
        }
    };
    let (low, high) = (bound("min", 1)?, bound("max", 2)?);
    let cut = |value: Number| {
        let value = low.map_or(value, |low| maximum(value, low));
        high.map_or(value, |high| minimum(value, high))
    };
    with_numbers!(x, array => mapped(array, cut), _ => call.refuse(x))
}
