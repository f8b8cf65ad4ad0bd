//! Comparisons and logic, whose results are masks, choices by a mask, and casts.

use super::arithmetic::aligned;
use super::{Call, Operator, mask};
use crate::error::Result;
use crate::graph::Tensor;
use crate::onnx::ElementType;
use crate::onnx::value::{Computed, Value, range_of};
use crate::ops::Term;

pub(super) const OPERATORS: &[Operator] = &[
    ("And", |call| compared(call, |a, b| a.logical_and(b))),
    ("Cast", |call| {
        let to = call.node.required("to", call.node.element("to")?)?;
        cast(call, to)
    }),
    ("CastLike", |call| {
        let to = call.element(1)?;
        cast(call, to)
    }),
    ("Equal", |call| compared(call, |a, b| a.equal(b))),
    ("Greater", |call| compared(call, |a, b| a.greater(b))),
    ("GreaterOrEqual", |call| compared(call, |a, b| a.greater_or_equal(b))),
    ("IsInf", is_infinite),
    ("IsNaN", |call| {
        let x = call.tensor(0)?;
        mask(x.not_equal(x)?)
    }),
    ("Less", |call| compared(call, |a, b| a.less(b))),
    ("LessOrEqual", |call| compared(call, |a, b| a.less_or_equal(b))),
    ("Not", |call| mask(call.tensor(0)?.logical_not()?)),
    ("Or", |call| compared(call, |a, b| a.logical_or(b))),
    ("Where", choose),
    ("Xor", |call| compared(call, |a, b| a.not_equal(b))),
];

/// A number where the input is known and a single finite one, else a tensor.
fn number<'g>(call: &mut Call<'_, '_, 'g>, index: usize, rank: usize) -> Result<Operand<'g>> {
    let element = call.element(index)?;
    if let Some(number) = call.single(index, rank) {
        let range = match element.is_integer() {
            true => [number as i64; 2],
            false => range_of(ElementType::Bool),
        };
        return Ok((Term::Number(number), element, range));
    }
    let Computed { tensor, element, range } = call.number(index)?;
    Ok((Term::Tensor(tensor), element, range))
}

/// An operand with ONNX's type of it and the range of its integers.
type Operand<'g> = (Term<'g>, ElementType, [i64; 2]);

fn compared<'g>(
    call: &mut Call<'_, '_, 'g>,
    compare: impl FnOnce(Tensor<'g>, Term<'g>) -> Result<Tensor<'g>>,
) -> Result<Vec<Value<'g>>> {
    let first = call.number(0)?.tensor;
    let rank = first.shape().len();
    let second = match number(call, 1, rank)? {
        (Term::Tensor(second), ..) => Term::Tensor(aligned(call, rank, second)?),
        (number, ..) => number,
    };
    mask(compare(first, second)?)
}

fn is_infinite<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let x = call.tensor(0)?;
    let negative = call.node.flag("detect_negative", true)?;
    mask(match (negative, call.node.flag("detect_positive", true)?) {
        (true, true) => x.abs()?.greater(f32::MAX)?,
        (true, false) => x.less(f32::MIN)?,
        (false, true) => x.greater(f32::MAX)?,
        (false, false) => call.graph().constant(0.0, x.shape())?,
    })
}

fn choose<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let condition = call.tensor(0)?;
    let rank = condition.shape().len();
    let ((a, element, of_a), (b, _, of_b)) = (number(call, 1, rank)?, number(call, 2, rank)?);
    let chosen = condition.select(a, b)?;
    Ok(vec![Value::integers(chosen, element, [of_a[0].min(of_b[0]), of_a[1].max(of_b[1])])])
}

fn cast<'g>(call: &mut Call<'_, '_, 'g>, to: ElementType) -> Result<Vec<Value<'g>>> {
    let from = call.element(0)?;
    let unsupported = || call.node.unsupported(format_args!("{from} to {to} on the device"));
    if to == ElementType::String {
        return Err(unsupported());
    }
    // Integers of a range that both types have stay what they are.
    if from.is_integer() && to.is_integer() {
        let x = call.any(0)?;
        let [least, greatest] = range_of(to);
        return match x.range[0] >= least && x.range[1] <= greatest {
            true => Ok(vec![Value::integers(x.tensor, to, x.range)]),
            false => Err(call.node.unsupported(format_args!("{from} to {to} on the device"))),
        };
    }
    // What is fed as doubles is rounded as it comes to the device.
    let x = if (from, to) == (ElementType::F64, ElementType::F32) { call.rounded(0)? } else { call.number(0)? };
    let value = match (from, to) {
        (_, ElementType::Bool) if from != to => Value::of(x.tensor.not_equal(0.0)?, to),
        // Towards zero; what the type does not hold is undefined.
        _ if from.is_float() && to.is_integer() => {
            Value::integers(x.tensor.sign()?.multiply(x.tensor.abs()?.floor()?)?, to, range_of(to))
        }
        _ => Value::integers(x.tensor, to, x.range),
    };
    Ok(vec![value])
}
