//! Tensors under other shapes and in other orders, joined, cut and repeated.

use super::{Call, Operator};
use crate::error::Result;
use crate::onnx::value::{Computed, Range, Value};
use crate::onnx::{Array, ElementType, shapes};
use crate::{PadMode, Slice};

pub(super) const OPERATORS: &[Operator] = &[
    ("CenterCropPad", centred),
    ("Concat", concat),
    ("Expand", |call| {
        let wanted = naturals(call, call.ints(1)?)?;
        let shape = shapes::broadcast(call.node, &[&call.shape(0)?, &wanted])?;
        moved(call, shape.clone(), |x| x.expand(shape))
    }),
    ("Flatten", |call| reshaped(call, shapes::flattened(call.node, &call.shape(0)?)?)),
    ("Pad", pad),
    ("Reshape", |call| {
        let wanted = call.node.required("shape", call.ints_of("shape", 1)?)?;
        let target = shapes::reshaped(call.node, &call.shape(0)?, &wanted)?;
        reshaped(call, target)
    }),
    ("Shape", |call| Ok(vec![Value::known(Array::integers(shapes::shown(call.node, &call.shape(0)?)?))])),
    ("Size", |call| Ok(vec![Value::known(Array::new(&[], vec![call.shape(0)?.elements() as i64])?)])),
    ("Slice", slice),
    ("Split", split),
    ("Squeeze", |call| {
        let axes = call.ints_of("axes", 1)?;
        reshaped(call, shapes::squeezed(call.node, &call.shape(0)?, axes.as_deref())?)
    }),
    ("Tile", tile),
    ("Transpose", |call| {
        let shape = call.shape(0)?;
        let order = shapes::order(call.node, &shape)?;
        moved(call, order.iter().map(|&axis| shape[axis]).collect(), |x| x.transpose(&order))
    }),
    ("Unsqueeze", |call| {
        let axes = call.node.required("axes", call.ints_of("axes", 1)?)?;
        reshaped(call, shapes::unsqueezed(call.node, &call.shape(0)?, &axes)?)
    }),
];

/// Extents, or numbers of elements.
fn naturals(call: &Call<'_, '_, '_>, values: Vec<i64>) -> Result<Vec<usize>> {
    let natural: Option<Vec<usize>> = values.iter().map(|&value| usize::try_from(value).ok()).collect();
    natural.ok_or_else(|| call.node.wrong(format_args!("expected natural numbers, got {values:?}")))
}

/// The same elements under another shape: nothing is computed.
fn reshaped<'g>(call: &mut Call<'_, '_, 'g>, shape: Vec<usize>) -> Result<Vec<Value<'g>>> {
    let x = call.any(0)?;
    Ok(vec![x.moved(x.tensor.reshape(shape)?)])
}

/// The first input's elements in other places of a result of this shape.
pub(super) fn moved<'g>(
    call: &mut Call<'_, '_, 'g>,
    shape: Vec<usize>,
    how: impl FnOnce(crate::graph::Tensor<'g>) -> Result<crate::graph::Tensor<'g>>,
) -> Result<Vec<Value<'g>>> {
    if shape.contains(&0) {
        return Ok(vec![call.empty(call.element(0)?, &shape)?]);
    }
    let x = call.number(0)?;
    Ok(vec![x.moved(call.limited(how(x.tensor))?)])
}

fn concat<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let rank = call.shape(0)?.len();
    let axis = match call.node.opset < 4 {
        true => call.node.int("axis")?.unwrap_or(1),
        false => call.node.required("axis", call.node.int("axis")?)?,
    };
    let axis = call.node.axis(axis, rank)?;
    let mut parts = Vec::new();
    for index in 0..call.inputs.len() {
        let shape = call.shape(index)?;
        // An empty part adds nothing, and cannot be on the device.
        if shape.len() != rank || shape[axis] != 0 {
            parts.push(call.number(index)?);
        }
    }
    let Some(first) = parts.first().cloned() else { return Err(call.node.unsupported("parts without elements")) };
    let range = parts
        .iter()
        .fold(first.range, |[least, greatest], part| [least.min(part.range[0]), greatest.max(part.range[1])]);
    let tensors: Vec<_> = parts.iter().map(|part| part.tensor).collect();
    let whole = match tensors.as_slice() {
        [one] => *one,
        _ if rank > 6 => return Err(call.node.unsupported(format_args!("{rank} axes"))),
        all => call.graph().concat(all, axis)?,
    };
    Ok(vec![Value::integers(whole, first.element, range)])
}

fn split<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let shape = call.shape(0)?;
    let axis = call.node.axis(call.node.int("axis")?.unwrap_or(0), shape.len())?;
    let lengths = shapes::parts(call.node, shape[axis], call.ints_of("split", 1)?.as_deref())?;
    let x = call.number(0)?;
    let lasting: Vec<usize> = lengths.iter().copied().filter(|&length| length > 0).collect();
    let parts = if lasting.len() == 1 { vec![x.tensor] } else { call.limited(x.tensor.split(axis, &lasting))? };
    let mut parts = parts.into_iter();
    let part = |length: usize| match length {
        0 => {
            let mut shape = shape.to_vec();
            shape[axis] = 0;
            call.empty(x.element, &shape)
        }
        _ => parts.next().map(|part| x.moved(part)).ok_or_else(|| call.node.wrong("a part is missing")),
    };
    lengths.into_iter().map(part).collect()
}

fn slice<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let shape = call.shape(0)?;
    let lists = [("starts", 1), ("ends", 2), ("axes", 3), ("steps", 4)];
    let [starts, ends, axes, steps] = lists.map(|(name, index)| call.ints_of(name, index));
    let cuts = shapes::cuts(call.node, shape.len(), [starts?, ends?, axes?, steps?])?;
    let (mut result, mut slices) = (shape.to_vec(), Vec::new());
    for cut in &cuts {
        result[cut.axis] = cut.taken(shape[cut.axis]).1;
        slices.push(Slice::new(cut.axis, cut.start, cut.end).step(cut.step));
    }
    moved(call, result, |x| x.slices(&slices))
}

fn pad<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let (shape, element) = (call.shape(0)?, call.element(0)?);
    let name = if call.node.opset < 2 { "paddings" } else { "pads" };
    let pads = match call.node.opset < 11 {
        true => call.node.ints(name)?.map(<[i64]>::to_vec),
        false => Some(call.ints(1)?),
    };
    let pads = call.node.required(name, pads)?;
    let axes = match call.has(3) {
        true => call.node.axes(&call.ints(3)?, shape.len())?,
        false => (0..shape.len()).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(call.node.wrong(format_args!("pads {pads:?} for {} axes", axes.len())));
    }
    let mut amounts = vec![[0_i64; 2]; shape.len()];
    for (index, &axis) in axes.iter().enumerate() {
        amounts[axis] = [pads[index], pads[axes.len() + index]];
    }
    let (mode, range) = match call.node.text("mode")?.unwrap_or("constant") {
        "constant" => {
            let (value, range) = filling(call, element)?;
            (PadMode::Constant(value), range)
        }
        "reflect" => (PadMode::Reflect, None),
        "edge" => (PadMode::Edge, None),
        "wrap" => (PadMode::Wrap, None),
        other => return Err(call.node.wrong(format_args!("mode `{other}`"))),
    };
    let extent = |(&extent, &[before, behind]): (&usize, &[i64; 2])| {
        let length = i128::from(before) + i128::from(behind) + extent as i128;
        let length = usize::try_from(length).ok().filter(|&length| length <= 1 << 48);
        length.ok_or_else(|| call.node.wrong(format_args!("[{before}, {behind}] at an axis of {extent}")))
    };
    let result = shape.iter().zip(&amounts).map(extent).collect::<Result<Vec<usize>>>()?;
    let padded = moved(call, result, |x| x.pad(&amounts, mode))?;
    Ok(padded.into_iter().map(|value| widened(value, range)).collect())
}

/// Integers among which others have come.
fn widened(value: Value<'_>, range: Option<Range>) -> Value<'_> {
    match (value, range) {
        (Value::Device(Computed { tensor, element, range: own }), Some([least, greatest])) => {
            Value::integers(tensor, element, [own[0].min(least), own[1].max(greatest)])
        }
        (value, _) => value,
    }
}

/// Axes that are cut or filled with zeros at both ends, half a number the more behind, so that they have these extents.
fn centred<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let mut result = call.shape(0)?.to_vec();
    let wanted = naturals(call, call.ints(1)?)?;
    let axes = match call.node.ints("axes")? {
        Some(axes) => call.node.axes(axes, result.len())?,
        None => (0..result.len()).collect(),
    };
    if axes.len() != wanted.len() {
        return Err(call.node.wrong(format_args!("{wanted:?} for {} axes", axes.len())));
    }
    let mut amounts = vec![[0; 2]; result.len()];
    for (&axis, &extent) in axes.iter().zip(&wanted) {
        let too_long = |_| call.node.wrong(format_args!("an axis of {extent}"));
        let more = i64::try_from(extent).map_err(too_long)? - i64::try_from(result[axis]).map_err(too_long)?;
        // Towards zero, cut or filled.
        let before = more / 2;
        amounts[axis] = [before, more - before];
        result[axis] = extent;
    }
    let padded = moved(call, result, |x| x.pad(&amounts, PadMode::Constant(0.0)))?;
    Ok(padded.into_iter().map(|value| widened(value, Some([0, 0]))).collect())
}

/// What a tensor is padded with, and where it is an integer its range.
fn filling(call: &Call<'_, '_, '_>, element: ElementType) -> Result<(f32, Option<Range>)> {
    if call.node.opset < 11 {
        return Ok((call.node.float("value")?.unwrap_or(0.0), None));
    }
    if !call.has(2) {
        return Ok((0.0, Some([0, 0])));
    }
    let array = call.known(2)?;
    let wrong = || call.node.wrong(format_args!("a value {array} for {element}"));
    if array.element_type() != element || array.len() != 1 {
        return Err(wrong());
    }
    match element.is_integer() {
        false => Ok((array.to_f32().and_then(|values| values.first().copied()).ok_or_else(wrong)?, None)),
        true => {
            let value = call.ints(2)?.first().copied().ok_or_else(wrong)?;
            match value.unsigned_abs() <= crate::onnx::value::EXACT as u64 {
                true => Ok((value as f32, Some([value, value]))),
                false => Err(call.node.unsupported(format_args!("a value of {value} on the device"))),
            }
        }
    }
}

fn tile<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let shape = call.shape(0)?;
    let repeats = match call.node.opset < 6 {
        true => {
            // They have the type of the data there.
            let whole = |index: usize| Ok(call.known(index)?.cast(ElementType::I64).and_then(|array| array.to_i64()));
            let first = |values: Option<Vec<i64>>| values.and_then(|values| values.first().copied()).unwrap_or(0);
            let (tiles, axis) = (first(whole(1)?), first(whole(2)?));
            let mut repeats = vec![1; shape.len()];
            repeats[call.node.axis(axis, shape.len())?] = tiles;
            repeats
        }
        false => call.ints(1)?,
    };
    let repeats = naturals(call, repeats)?;
    if repeats.len() != shape.len() {
        return Err(call.node.wrong(format_args!("repeats {repeats:?} for {shape}")));
    }
    let extent = |(&extent, &times): (&usize, &usize)| extent.checked_mul(times);
    let result: Option<Vec<usize>> = shape.iter().zip(&repeats).map(extent).collect();
    let result = result.ok_or_else(|| call.node.wrong(format_args!("repeats {repeats:?} for {shape}")))?;
    moved(call, result, |x| x.tile(&repeats))
}
