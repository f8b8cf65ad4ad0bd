//! Quantisation: integers of 8 and 16 bits, which on the device are floats of the same value.

use super::{Call, Operator};
use crate::error::Result;
use crate::graph::{Shape, Tensor};
use crate::onnx::value::Value;
use crate::onnx::{ElementType, quantized};

pub(super) const OPERATORS: &[Operator] = &[
    ("DequantizeLinear", |call| {
        let x = integers(call, 0)?;
        let scale = parameter(call, x, 1)?;
        let y = if call.has(2) { x.subtract(parameter(call, x, 2)?)? } else { x };
        let element = quantized::source(call.node, call.element(1)?)?;
        match element {
            ElementType::F64 => Err(call.node.unsupported("a result of type double")),
            _ => Ok(vec![Value::of(y.multiply(scale)?, element)]),
        }
    }),
    ("DynamicQuantizeLinear", dynamic),
    ("QuantizeLinear", quantize),
];

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
    quantized::bounds(call.node, element).map(|_| x)
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
    match quantized::block(call.node)? {
        None if own.len() == 1 && own[0] == shape[axis] => {
            tensor.reshape([&[shape[axis]][..], &vec![1; shape.len() - axis - 1]].concat())
        }
        Some(block) if own.len() == shape.len() => {
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
    let element = quantized::target(call.node, call.has(2).then(|| call.element(2)).transpose()?)?;
    let [least, greatest] = quantized::bounds(call.node, element)?;
    let precision = quantized::precision(call.node, call.element(1)?)?;
    if precision != ElementType::F32 {
        return Err(call.node.unsupported(format_args!("a division in {precision}")));
    }
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
