//! Quantisation: integers of 8 and 16 bits, which on the device are floats of the same value.

use super::{Call, Operator};
use crate::error::Result;
use crate::graph::{Shape, Tensor};
use crate::onnx::ElementType;
use crate::onnx::value::{Computed, Value};

pub(super) const OPERATORS: &[Operator] = &[
    ("DequantizeLinear", |call| {
        let x = integers(call, 0)?;
        let scale = parameter(call, x, 1)?;
        let y = if call.has(2) { x.subtract(parameter(call, x, 2)?)? } else { x };
        Ok(vec![Value::floats(y.multiply(scale)?)])
    }),
    ("DynamicQuantizeLinear", dynamic),
    ("QuantizeLinear", quantize),
];

/// The least and the greatest integer of a type that floats are quantised to.
fn range(call: &Call<'_, '_, '_>, element: ElementType) -> Result<[f32; 2]> {
    let range = element.quantised_range().map(|range| range.map(|bound| bound as f32));
    range.ok_or_else(|| call.node.unsupported(format_args!("quantisation to {element}")))
}

/// Integers as floats. Those of 32 bits, as biases are, lose what a conversion to single precision loses, which is what the
/// operator does with them first.
fn integers<'g>(call: &mut Call<'_, '_, 'g>, index: usize) -> Result<Tensor<'g>> {
    if let Some(Some(Value::Known(constant))) = call.inputs.get(index)
        && constant.array.element_type() == ElementType::I32
        && let Some(floats) = constant.array.cast(ElementType::F32)
    {
        return call.constant(floats);
    }
    let (x, element) = call.numbers(index)?;
    range(call, element).map(|_| x)
}

/// A scale or a zero point under a shape that broadcasts to that of `x`: one for all, one for each index of an axis, or, from
/// operator set 21 on, one for each block along an axis.
fn parameter<'g>(call: &mut Call<'_, '_, 'g>, x: Tensor<'g>, index: usize) -> Result<Tensor<'g>> {
    let (tensor, shape) = (if index == 1 { call.tensor(1)? } else { integers(call, index)? }, x.shape());
    let own = tensor.shape();
    if own.elements() == 1 {
        return tensor.reshape(Shape::default());
    }
    let axis = call.node.axis(call.node.int("axis")?.unwrap_or(1), shape.len())?;
    let wrong = || call.node.wrong(format_args!("input {index}: {own} does not fit {shape} along axis {axis}"));
    match call.node.int("block_size")?.unwrap_or(0) {
        0 if own.len() == 1 && own[0] == shape[axis] => {
            tensor.reshape([&[shape[axis]][..], &vec![1; shape.len() - axis - 1]].concat())
        }
        block if block > 0 && own.len() == shape.len() => {
            let block = usize::try_from(block).map_err(|_| wrong())?;
            if own[axis] != shape[axis].div_ceil(block) {
                return Err(wrong());
            }
            // What is picked is named on the host.
            if shape[axis] > 1 << 24 {
                return Err(call.node.unsupported(format_args!("blocks along an axis of {}", shape[axis])));
            }
            let blocks: Vec<usize> = (0..shape[axis]).map(|place| place / block).collect();
            tensor.index_select(axis, &blocks)
        }
        _ => Err(wrong()),
    }
}

/// round(x / scale) + zero point, halves to even, as near as the type has it.
fn quantize<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let x = call.tensor(0)?;
    let element = match (call.inputs.get(2), call.node.int("output_dtype")?.unwrap_or(0)) {
        (Some(Some(Value::Known(constant))), _) => constant.array.element_type(),
        (Some(Some(Value::Device(Computed { element, .. }))), _) => *element,
        (Some(Some(_)), _) => return Err(call.node.unsupported("its zero point is not on the device")),
        (_, 0) => ElementType::U8,
        (_, code) => {
            let element = i32::try_from(code).ok().and_then(ElementType::from_code);
            element.ok_or_else(|| call.node.unsupported(format_args!("quantisation to type {code}")))?
        }
    };
    let [least, greatest] = range(call, element)?;
    let scale = parameter(call, x, 1)?;
    let y = x.divide(scale)?.round()?;
    let y = if call.has(2) { y.add(parameter(call, x, 2)?)? } else { y };
    Ok(vec![Value::of(y.clip(least, greatest)?, element)])
}

/// Quantisation to 8 bits of the range that the values have, 0 among them.
fn dynamic<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let x = call.tensor(0)?;
    let (high, low) = (x.max(..)?.maximum(0.0)?, x.min(..)?.minimum(0.0)?);
    let range = high.subtract(low)?.reshape(Shape::default())?;
    // Zeros alone have any scale.
    let scale = range.greater(0.0)?.select(range.divide(255.0)?, 1.0)?;
    let zero = low.reshape(Shape::default())?.neg()?.divide(scale)?.round()?.clip(0.0, 255.0)?;
    let y = x.divide(scale)?.round()?.add(zero)?.clip(0.0, 255.0)?;
    Ok(vec![Value::of(y, ElementType::U8), Value::floats(scale), Value::of(zero, ElementType::U8)])
}
