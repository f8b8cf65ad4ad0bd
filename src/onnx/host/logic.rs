//! Comparisons, truth values, bits, and the choice by them.

use ndarray::{ArrayD, Zip};

use super::{Call, Operator, mapped, one};
use crate::error::Result;
use crate::onnx::Array;
use crate::onnx::array::{with_array, with_numbers};
use crate::onnx::element::{Element, Number, Numeric};

pub(super) const OPERATORS: &[Operator] = &[
    ("And", |call| logic(call, |a, b| a && b)),
    ("BitShift", shift),
    ("BitwiseAnd", |call| bits(call, |a, b| a & b)),
    ("BitwiseNot", not_bits),
    ("BitwiseOr", |call| bits(call, |a, b| a | b)),
    ("BitwiseXor", |call| bits(call, |a, b| a ^ b)),
    ("Equal", equal),
    ("Greater", |call| compare(call, |a, b| a > b, |a, b| a > b)),
    ("GreaterOrEqual", |call| compare(call, |a, b| a >= b, |a, b| a >= b)),
    ("IsInf", infinite),
    ("IsNaN", |call| test(call, f64::is_nan)),
    ("Less", |call| compare(call, |a, b| a < b, |a, b| a < b)),
    ("LessOrEqual", |call| compare(call, |a, b| a <= b, |a, b| a <= b)),
    ("Not", |call| one(call.of::<bool>(0)?.mapv(|v| !v))),
    ("Or", |call| logic(call, |a, b| a || b)),
    ("Where", choose),
    ("Xor", |call| logic(call, |a, b| a != b)),
];

fn logic(call: &Call<'_>, f: fn(bool, bool) -> bool) -> Result<Vec<Array>> {
    one(call.zip(call.of::<bool>(0)?, call.of::<bool>(1)?, |&a, &b| f(a, b))?)
}

fn equal(call: &Call<'_>) -> Result<Vec<Array>> {
    let x = call.input(0)?;
    with_array!(x, array => one(call.zip(array, call.like(array, 1)?, |a, b| a == b)?))
}

fn compare(
    call: &Call<'_>,
    of_floats: fn(f64, f64) -> bool,
    of_integers: fn(i128, i128) -> bool,
) -> Result<Vec<Array>> {
    let order = |a: Number, b: Number| match (a, b) {
        (Number::Integer(a), Number::Integer(b)) => of_integers(a, b),
        _ => of_floats(a.float(), b.float()),
    };
    let x = call.input(0)?;
    with_numbers!(
        x,
        array => one(call.zip(array, call.like(array, 1)?, |&a, &b| order(a.into(), b.into()))?),
        _ => call.refuse(x)
    )
}

fn test(call: &Call<'_>, holds: impl Fn(f64) -> bool) -> Result<Vec<Array>> {
    let x = call.input(0)?;
    let of = |number: Number| match number {
        Number::Float(value) => holds(value),
        Number::Integer(_) => false,
    };
    with_numbers!(x, array => one(array.mapv(|v| of(v.into()))), _ => call.refuse(x))
}

fn infinite(call: &Call<'_>) -> Result<Vec<Array>> {
    let (negative, positive) = (call.node.flag("detect_negative", true)?, call.node.flag("detect_positive", true)?);
    test(call, |v| v.is_infinite() && if v < 0.0 { negative } else { positive })
}

/// Integers bit by bit.
fn bits(call: &Call<'_>, f: fn(i128, i128) -> i128) -> Result<Vec<Array>> {
    fn of<T: Numeric>(call: &Call<'_>, x: &ArrayD<T>, f: fn(i128, i128) -> i128) -> Result<Vec<Array>> {
        let both = |&a: &T, &b: &T| -> T {
            match (a.into(), b.into()) {
                (Number::Integer(a), Number::Integer(b)) => Number::Integer(f(a, b)).into(),
                (a, _) => a.into(),
            }
        };
        one(call.zip(x, call.like(x, 1)?, both)?)
    }
    let x = integers(call)?;
    with_numbers!(x, array => of(call, array, f), _ => call.refuse(x))
}

fn integers<'c>(call: &Call<'c>) -> Result<&'c Array> {
    let x = call.input(0)?;
    match x.element_type().is_integer() {
        true => Ok(x),
        false => Err(call.node.wrong(format_args!("expected integers, got {x}"))),
    }
}

fn not_bits(call: &Call<'_>) -> Result<Vec<Array>> {
    let x = integers(call)?;
    let not = |value: Number| match value {
        Number::Integer(value) => Number::Integer(!value),
        float => float,
    };
    with_numbers!(x, array => mapped(array, not), _ => call.refuse(x))
}

/// What is shifted out is gone; by as many bits as there are, or more, nothing is left.
fn shift(call: &Call<'_>) -> Result<Vec<Array>> {
    let direction = call.node.required("direction", call.node.text("direction")?)?;
    match direction {
        "LEFT" => bits(call, |a, b| if (0..64).contains(&b) { a << b } else { 0 }),
        "RIGHT" => bits(call, |a, b| if (0..64).contains(&b) { a >> b } else { 0 }),
        other => Err(call.node.wrong(format_args!("attribute `direction`: `{other}`"))),
    }
}

fn choose(call: &Call<'_>) -> Result<Vec<Array>> {
    fn of<T: Element>(call: &Call<'_>, mask: &ArrayD<bool>, x: &ArrayD<T>, y: &ArrayD<T>) -> Result<Vec<Array>> {
        let shape = call.broadcast(&[mask.shape(), x.shape(), y.shape()])?;
        let (mask, x, y) = (call.spread(mask, &shape)?, call.spread(x, &shape)?, call.spread(y, &shape)?);
        one(Zip::from(mask).and(x).and(y).map_collect(|&mask, x, y| if mask { x.clone() } else { y.clone() }))
    }
    let (mask, x) = (call.of::<bool>(0)?, call.input(1)?);
    with_array!(x, array => of(call, mask, array, call.like(array, 2)?))
}
