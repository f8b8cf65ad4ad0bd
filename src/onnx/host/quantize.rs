//! Floats as bytes and back: q = saturate(round(x / scale) + zero point), halves to the even.

use ndarray::{ArrayD, IxDyn};

use super::create::named;
use super::{Call, Operator, one, whole};
use crate::error::Result;
use crate::onnx::element::Number;
use crate::onnx::{Array, ElementType};

pub(super) const OPERATORS: &[Operator] =
    &[("DequantizeLinear", dequantize), ("DynamicQuantizeLinear", dynamic), ("QuantizeLinear", quantize)];

/// The least and the greatest integer of a type that floats are quantised to.
fn bounds(call: &Call<'_>, ty: ElementType) -> Result<[f64; 2]> {
    let range = ty.quantised_range().map(|range| range.map(|bound| bound as f64));
    range.ok_or_else(|| call.node.unsupported(format_args!("quantisation to {ty}")))
}

/// An input as floats, spread over the first along the axis, or over blocks of it.
fn spread(call: &Call<'_>, index: usize) -> Result<Vec<f64>> {
    let x = call.input(0)?;
    let array = call.input(index)?;
    let numbers: Vec<f64> = call.numbers(index)?.into_iter().map(Number::float).collect();
    let shape = x.shape();
    if call.node.int("block_size")?.unwrap_or(0) != 0 {
        return Err(call.node.unsupported("blocks of an axis"));
    }
    match array.shape() {
        [] | [1] => Ok(vec![numbers.first().copied().unwrap_or_default(); x.len()]),
        [count] => {
            let axis = call.axis(1, shape.len())?;
            if *count != shape[axis] {
                return Err(call.node.wrong(format_args!("input {index}: {count} values for axis {axis} of {x}")));
            }
            let inner: usize = shape[axis + 1..].iter().product();
            Ok((0..x.len()).map(|place| numbers[place / inner.max(1) % count]).collect())
        }
        other => Err(call.node.wrong(format_args!("input {index}: {other:?} for {x}"))),
    }
}

/// The zero points, zeros where there are none.
fn zeros(call: &Call<'_>) -> Result<Vec<f64>> {
    if call.get(2).is_some() { spread(call, 2) } else { Ok(vec![0.0; call.input(0)?.len()]) }
}

fn quantize(call: &Call<'_>) -> Result<Vec<Array>> {
    let x = call.input(0)?;
    let named = named(call, "output_dtype")?;
    let ty = call.get(2).map(Array::element_type).or(named).unwrap_or(ElementType::U8);
    let [least, greatest] = bounds(call, ty)?;
    let (scales, zeros) = (spread(call, 1)?, zeros(call)?);
    // In the precision that the device, and every other runtime, divides in.
    let single = x.element_type() != ElementType::F64;
    let numbers = call.numbers(0)?;
    let quantized = numbers.iter().zip(scales.iter().zip(&zeros)).map(|(x, (&scale, &zero))| {
        let ratio = if single { f64::from(x.float() as f32 / scale as f32) } else { x.float() / scale };
        Number::Float((ratio.round_ties_even() + zero).clamp(least, greatest))
    });
    let array = Array::new::<f64>(x.shape(), quantized.map(Number::float).collect())?;
    array.cast(ty).map(|array| vec![array]).ok_or_else(|| call.node.unsupported(format_args!("{ty}")))
}

fn dequantize(call: &Call<'_>) -> Result<Vec<Array>> {
    let x = call.input(0)?;
    let ty = named(call, "output_dtype")?.unwrap_or(call.input(1)?.element_type());
    if !x.element_type().is_integer() || !ty.is_float() {
        return Err(call.node.unsupported(format_args!("{x} by a scale of {ty}")));
    }
    let (scales, zeros) = (spread(call, 1)?, zeros(call)?);
    let numbers = call.numbers(0)?;
    let floats = numbers.iter().zip(scales.iter().zip(&zeros)).map(|(x, (scale, zero))| (x.float() - zero) * scale);
    let array = Array::new::<f64>(x.shape(), floats.collect())?;
    array.cast(ty).map(|array| vec![array]).ok_or_else(|| call.node.unsupported(format_args!("{ty}")))
}

/// To unsigned bytes by a scale and zero point of the values' own range, which is to include 0.
fn dynamic(call: &Call<'_>) -> Result<Vec<Array>> {
    let x = call.of::<f32>(0)?;
    let (least, greatest) = x.iter().fold((0.0_f32, 0.0_f32), |(least, greatest), &v| (least.min(v), greatest.max(v)));
    let scale = (greatest - least) / 255.0;
    let zero = if scale > 0.0 { (-least / scale).round_ties_even().clamp(0.0, 255.0) } else { 0.0 };
    let byte = |&v: &f32| match scale > 0.0 {
        true => ((v / scale).round_ties_even() + zero).clamp(0.0, 255.0) as u8,
        false => zero as u8,
    };
    let scalar = IxDyn(&[]);
    Ok(vec![
        one(x.map(byte))?.remove(0),
        whole(ArrayD::from_elem(scalar.clone(), scale)),
        whole(ArrayD::from_elem(scalar, zero as u8)),
    ])
}
