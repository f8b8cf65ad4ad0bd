//! Reductions over axes, and the places of extremes.

use super::{Call, Operator};
use crate::error::Result;
use crate::graph::Tensor;
use crate::onnx::ElementType;
use crate::onnx::value::{Computed, Range, Value};
use crate::ops::Axes;

/// What reduces over axes; over none it is a function of single elements.
type Reduce = for<'g> fn(Tensor<'g>, Axes) -> Result<Tensor<'g>>;
/// The range of integers reduced in numbers of so many.
type OfRange = fn(Range, i64) -> Range;

pub(super) const OPERATORS: &[Operator] = &[
    ("ArgMax", |call| place(call, Tensor::argmax)),
    ("ArgMin", |call| place(call, Tensor::argmin)),
    ("ReduceL1", |call| reduce(call, 18, |x, axes| x.l1_norm(axes), None)),
    ("ReduceL2", |call| reduce(call, 18, |x, axes| x.l2_norm(axes), None)),
    ("ReduceLogSum", |call| reduce(call, 18, |x, axes| x.sum(axes)?.log(), None)),
    ("ReduceLogSumExp", |call| reduce(call, 18, |x, axes| x.log_sum_exp(axes), None)),
    ("ReduceMax", |call| reduce(call, 18, |x, axes| x.max(axes), Some(|range, _| range))),
    ("ReduceMean", |call| reduce(call, 18, |x, axes| x.mean(axes), None)),
    ("ReduceMin", |call| reduce(call, 18, |x, axes| x.min(axes), Some(|range, _| range))),
    ("ReduceProd", |call| reduce(call, 18, |x, axes| x.product(axes), None)),
    ("ReduceSum", |call| {
        let times: OfRange = |range, count| range.map(|end| end.saturating_mul(count));
        reduce(call, 13, |x, axes| x.sum(axes), Some(times))
    }),
    ("ReduceSumSquare", |call| reduce(call, 18, |x, axes| x.square()?.sum(axes), None)),
];

/// `inputs_since` is the operator set since which axes are an input.
fn reduce<'g>(
    call: &mut Call<'_, '_, 'g>,
    inputs_since: i64,
    compute: Reduce,
    integers: Option<OfRange>,
) -> Result<Vec<Value<'g>>> {
    let Computed { tensor: x, element, range } = call.number(0)?;
    if element.is_integer() && integers.is_none() {
        return Err(call.node.unsupported(format_args!("{element} on the device")));
    }
    let shape = x.shape();
    let given = match call.node.opset < inputs_since {
        true => call.node.ints("axes")?.map(<[i64]>::to_vec),
        false => call.has(1).then(|| call.ints(1)).transpose()?,
    };
    let axes = call.node.axes(&given.unwrap_or_default(), shape.len())?;
    let none = axes.is_empty() && call.node.flag("noop_with_empty_axes", false)?;
    let axes = if axes.is_empty() && !none { (0..shape.len()).collect() } else { axes };
    let keep = call.node.flag("keepdims", true)?;
    let kept = |(axis, &extent): (usize, &usize)| match axes.contains(&axis) {
        false => Some(extent),
        true => keep.then_some(1),
    };
    let result: Vec<usize> = shape.iter().enumerate().filter_map(kept).collect();
    let count: usize = axes.iter().map(|&axis| shape[axis]).product();
    let y = compute(x, Axes::from(axes.as_slice()).keep());
    let y = call.limited(y)?.reshape(result)?;
    Ok(vec![match (element, integers) {
        (ElementType::Bool, _) => Value::of(y, element),
        (_, Some(of)) if element.is_integer() => call.exact(y, element, of(range, count as i64))?,
        _ => Value::floats(y),
    }])
}

fn place<'g>(
    call: &mut Call<'_, '_, 'g>,
    find: impl FnOnce(Tensor<'g>, usize) -> Result<Tensor<'g>>,
) -> Result<Vec<Value<'g>>> {
    let x = call.number(0)?.tensor;
    let shape = x.shape();
    let axis = call.node.axis(call.node.int("axis")?.unwrap_or(0), shape.len())?;
    let mut result = shape.to_vec();
    match call.node.flag("keepdims", true)? {
        true => result[axis] = 1,
        false => drop(result.remove(axis)),
    }
    let last = shape[axis] as i64 - 1;
    if !call.node.flag("select_last_index", false)? {
        let places = call.limited(find(x, axis))?.reshape(result)?;
        return Ok(vec![Value::integers(places, ElementType::I64, [0, last])]);
    }
    // The first from behind.
    let flipped = call.limited(x.flip(&[axis]))?;
    let places = call.limited(find(flipped, axis))?.reshape(result)?;
    let places = places.convert(crate::graph::DType::F32)?.neg()?.add(last as f32)?;
    Ok(vec![call.exact(places, ElementType::I64, [0, last])?])
}
