//! Floats as bytes and back: q = saturate(round(x / scale) + zero point), halves to the even.

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};

use super::{Call, Operator, one, whole};
use crate::error::Result;
use crate::onnx::element::Number;
use crate::onnx::{Array, ElementType, quantized};

pub(super) const OPERATORS: &[Operator] =
    &[("DequantizeLinear", dequantize), ("DynamicQuantizeLinear", dynamic), ("QuantizeLinear", quantize)];

/// An input as floats, spread over the first along the axis, or over blocks of it.
fn spread(call: &Call<'_>, index: usize) -> Result<Vec<f64>> {
    let x = call.input(0)?;
    let array = call.input(index)?;
    let numbers: Vec<f64> = call.numbers(index)?.into_iter().map(Number::float).collect();
    let shape = x.shape();
    if let &[number] = numbers.as_slice() {
        return Ok(vec![number; x.len()]);
    }
    let axis = call.axis(1, shape.len())?;
    let wrong = || call.node.wrong(format_args!("input {index}: {array} for axis {axis} of {x}"));
    let (size, inner) = (shape[axis].max(1), shape[axis + 1..].iter().product::<usize>().max(1));
    let Some(block) = quantized::block(call.node)? else {
        return match array.shape() == [shape[axis]] {
            true => Ok((0..x.len()).map(|place| numbers[place / inner % size]).collect()),
            false => Err(wrong()),
        };
    };
    let mut expected = shape.to_vec();
    expected[axis] = shape[axis].div_ceil(block);
    match array.shape() == expected {
        true => Ok((0..x.len())
            .map(|place| {
                let (outer, at) = (place / inner / size, place / inner % size);
                numbers[(outer * expected[axis] + at / block) * inner + place % inner]
            })
            .collect()),
        false => Err(wrong()),
    }
}

/// The zero points, zeros where there are none.
fn zeros(call: &Call<'_>) -> Result<Vec<f64>> {
    if call.get(2).is_some() { spread(call, 2) } else { Ok(vec![0.0; call.input(0)?.len()]) }
}

fn quantize(call: &Call<'_>) -> Result<Vec<Array>> {
    let x = call.input(0)?;
    let ty = quantized::target(call.node, call.get(2).map(Array::element_type))?;
    let [least, greatest] = quantized::bounds(call.node, ty)?.map(f64::from);
    let precision = quantized::precision(call.node, call.input(1)?.element_type())?;
    let (scales, zeros) = (spread(call, 1)?, zeros(call)?);
    let divided = |x: f64, scale: f64| {
        let [x, scale] = [x, scale].map(|value| rounded(value, precision));
        rounded(x / scale, precision)
    };
    let numbers = call.numbers(0)?;
    let quantized = numbers.iter().zip(scales.iter().zip(&zeros));
    let quantized = quantized
        .map(|(x, (&scale, &zero))| (divided(x.float(), scale).round_ties_even() + zero).clamp(least, greatest));
    let array = Array::new::<f64>(x.shape(), quantized.collect())?;
    array.cast(ty).map(|array| vec![array]).ok_or_else(|| call.node.unsupported(format_args!("{ty}")))
}

/// As near as a type of floats has it. A quotient that is rounded to doubles before is none the worse: they have more than
/// twice the digits of the others (Figueroa 1995).
fn rounded(value: f64, ty: ElementType) -> f64 {
    match ty {
        ElementType::F32 => f64::from(value as f32),
        ElementType::F16 => f16::from(Number::Float(value)).into(),
        ElementType::Bf16 => bf16::from(Number::Float(value)).into(),
        _ => value,
    }
}

fn dequantize(call: &Call<'_>) -> Result<Vec<Array>> {
    let x = call.input(0)?;
    let ty = quantized::source(call.node, call.input(1)?.element_type())?;
    if !x.element_type().is_integer() {
        return Err(call.node.wrong(format_args!("expected integers, got {x}")));
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
