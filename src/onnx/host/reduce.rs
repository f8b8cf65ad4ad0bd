//! Reductions over axes. Floats are summed in 64 bits and rounded once, integers in 128.

use ndarray::{ArrayD, Axis, Dimension, IxDyn};

use super::arithmetic::{add, maximum, minimum, multiply};
use super::{Call, Operator, one};
use crate::error::Result;
use crate::onnx::Array;
use crate::onnx::array::{with_numbers, with_variants};
use crate::onnx::element::{Number, Numeric};

pub(super) const OPERATORS: &[Operator] = &[
    ("LogSoftmax", |call| softmax(call, |value, sum| value - sum.ln())),
    ("ReduceL1", |call| reduce(call, |v| fold(&absolute(v), 0, add))),
    ("ReduceL2", |call| reduce(call, |v| root(fold(&squares(v), 0, add)))),
    ("ReduceLogSum", |call| reduce(call, |v| float(fold(v, 0, add), f64::ln))),
    ("ReduceLogSumExp", |call| reduce(call, log_sum_exp)),
    ("ReduceMax", |call| extreme(call, maximum, f64::NEG_INFINITY, |least, _| least)),
    ("ReduceMean", |call| reduce(call, mean)),
    ("ReduceMin", |call| extreme(call, minimum, f64::INFINITY, |_, greatest| greatest)),
    ("ReduceProd", |call| reduce(call, |v| fold(v, 1, multiply))),
    ("ReduceSum", |call| reduce(call, |v| fold(v, 0, add))),
    ("ReduceSumSquare", |call| reduce(call, |v| fold(&squares(v), 0, add))),
    ("Softmax", |call| softmax(call, |value, sum| value.exp() / sum)),
];

fn fold(values: &[Number], start: i128, f: fn(Number, Number) -> Number) -> Number {
    values.iter().copied().fold(Number::Integer(start), f)
}

fn absolute(values: &[Number]) -> Vec<Number> {
    let of = |&value: &Number| match value {
        Number::Float(value) => Number::Float(value.abs()),
        Number::Integer(value) => Number::Integer(value.wrapping_abs()),
    };
    values.iter().map(of).collect()
}

fn squares(values: &[Number]) -> Vec<Number> {
    values.iter().map(|&value| multiply(value, value)).collect()
}

fn float(value: Number, f: impl Fn(f64) -> f64) -> Number {
    Number::Float(f(value.float()))
}

fn root(value: Number) -> Number {
    float(value, f64::sqrt)
}

/// Of integers without the fraction; of none of them 0.
fn mean(values: &[Number]) -> Number {
    match fold(values, 0, add) {
        Number::Integer(sum) if !values.is_empty() => Number::Integer(sum / values.len() as i128),
        sum => float(sum, |sum| sum / values.len() as f64),
    }
}

/// The largest is taken out, so that nothing overflows; an infinite one is what remains.
fn log_sum_exp(values: &[Number]) -> Number {
    let largest = values.iter().map(|value| value.float()).fold(f64::NEG_INFINITY, f64::max);
    let shift = if largest.is_finite() { largest } else { 0.0 };
    let sum: f64 = values.iter().map(|value| (value.float() - shift).exp()).sum();
    Number::Float(shift + sum.ln())
}

/// The axes that are reduced; `None` where the tensor is to be left as it is.
fn axes(call: &Call<'_>, rank: usize) -> Result<Option<Vec<usize>>> {
    let axes = call.ints_of("axes", 1)?.unwrap_or_default();
    match axes.is_empty() {
        true if call.node.flag("noop_with_empty_axes", false)? => Ok(None),
        true => Ok(Some((0..rank).collect())),
        false => call.node.axes(&axes, rank).map(Some),
    }
}

/// Largest and smallest also of truth values; of nothing they are the least and the greatest that the type has.
fn extreme(
    call: &Call<'_>,
    f: fn(Number, Number) -> Number,
    of_none: f64,
    pick: fn(i128, i128) -> i128,
) -> Result<Vec<Array>> {
    let x = call.input(0)?;
    let none = match x.element_type().range() {
        Some([least, greatest]) => Number::Integer(pick(least, greatest)),
        None => Number::Float(of_none),
    };
    let of = |values: &[Number]| values.iter().copied().reduce(f).unwrap_or(none);
    match x {
        Array::Bool(array) => {
            let numbers = array.mapv(u8::from);
            let reduced = along(call, &numbers, of)?;
            one(reduced.mapv(|value| value != 0))
        }
        _ => with_numbers!(x, array => one(along(call, array, of)?), _ => call.refuse(x)),
    }
}

fn reduce(call: &Call<'_>, f: impl Fn(&[Number]) -> Number) -> Result<Vec<Array>> {
    let x = call.input(0)?;
    with_numbers!(x, array => one(along(call, array, f)?), _ => call.refuse(x))
}

fn along<T: Numeric>(call: &Call<'_>, x: &ArrayD<T>, f: impl Fn(&[Number]) -> Number) -> Result<ArrayD<T>> {
    let rank = x.ndim();
    let keep = call.node.flag("keepdims", true)?;
    let Some(axes) = axes(call, rank)? else {
        // Nothing is joined, but each element is still what the function makes of one.
        return Ok(x.mapv(|value| f(&[value.into()]).into()));
    };
    let kept: Vec<usize> = (0..rank).filter(|axis| !axes.contains(axis)).collect();
    let order: Vec<usize> = kept.iter().chain(&axes).copied().collect();
    let outer: Vec<usize> = kept.iter().map(|&axis| x.shape()[axis]).collect();
    let inner: usize = axes.iter().map(|&axis| x.shape()[axis]).product();
    let count: usize = call.limit(&outer)?;
    let count = if outer.contains(&0) { 0 } else { count };
    let turned = x.view().permuted_axes(IxDyn(&order));
    let elements: Vec<Number> = turned.iter().map(|&value| value.into()).collect();
    let slice = |index: usize| f(elements.get(index * inner..(index + 1) * inner).unwrap_or_default()).into();
    let shape: Vec<usize> = match keep {
        true => (0..rank).map(|axis| if axes.contains(&axis) { 1 } else { x.shape()[axis] }).collect(),
        false => outer,
    };
    let reduced = ArrayD::from_shape_vec(IxDyn(&shape), (0..count).map(slice).collect());
    reduced.map_err(|error| call.node.wrong(error))
}

/// A function of each float less the largest of its line and the sum of their exponentials. A line lies along an axis; before
/// operator set 13 it is all that lies behind the axes before that one.
fn softmax(call: &Call<'_>, f: fn(f64, f64) -> f64) -> Result<Vec<Array>> {
    fn of<T: Numeric>(call: &Call<'_>, x: &ArrayD<T>, f: fn(f64, f64) -> f64) -> Result<Vec<Array>> {
        let whole = call.node.opset < 13;
        let axis = call.axis(if whole { 1 } else { -1 }, x.ndim())?;
        let line = |line: &[T]| -> Vec<f64> {
            let floats: Vec<f64> = line.iter().map(|&value| value.into().float()).collect();
            let largest = floats.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = floats.iter().map(|value| (value - largest).exp()).sum();
            floats.iter().map(|value| f(value - largest, sum)).collect()
        };
        let shape = x.shape();
        let rows = [shape[..axis].iter().product(), shape[axis..].iter().product()];
        let y = match whole {
            true => call.shaped(&lines(call, &call.shaped(x, &rows)?, 1, rows[1], line)?, shape)?,
            false => lines(call, x, axis, shape[axis], line)?,
        };
        one(y.mapv(|value| T::from(Number::Float(value))))
    }
    let x = call.input(0)?;
    with_variants!([F32 F64 F16 Bf16] x, array => of(call, array, f), _ => call.refuse(x))
}

/// Each line of an array along an axis becomes another, of this length.
pub(super) fn lines<T: Clone, U: Clone + Default>(
    call: &Call<'_>,
    x: &ArrayD<T>,
    axis: usize,
    length: usize,
    f: impl Fn(&[T]) -> Vec<U>,
) -> Result<ArrayD<U>> {
    let mut shape = x.raw_dim();
    shape[axis] = length;
    call.limit(shape.slice())?;
    let mut result = ArrayD::default(shape);
    for (from, mut to) in x.lanes(Axis(axis)).into_iter().zip(result.lanes_mut(Axis(axis))) {
        let line: Vec<T> = from.iter().cloned().collect();
        to.iter_mut().zip(f(&line)).for_each(|(to, value)| *to = value);
    }
    Ok(result)
}
