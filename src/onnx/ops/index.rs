//! Elements by their numbers: gathered, scattered, one-hot, the largest ones, and sums of all before.

use super::movement::moved;
use super::{Call, Operator};
use crate::error::Result;
use crate::graph::{DType, Tensor};
use crate::onnx::value::{Computed, EXACT, Value};
use crate::onnx::{Array, ElementType};
use crate::ops::Term;

pub(super) const OPERATORS: &[Operator] = &[
    ("CumSum", cumulative_sum),
    ("Gather", gather),
    ("GatherElements", gather_elements),
    ("GatherND", gather_nd),
    ("OneHot", one_hot),
    ("Scatter", scatter_elements),
    ("ScatterElements", scatter_elements),
    ("ScatterND", scatter_nd),
    ("TopK", top_k),
    ("Trilu", trilu),
];

/// Most elements that are picked by a table of the host's.
const MOST_PICKED: usize = 1 << 22;

/// Indices that are known at load, those from the end counted from the front.
fn known(call: &Call<'_, '_, '_>, index: usize, extent: usize) -> Result<Vec<usize>> {
    let place = |index: i64| {
        let counted = if index < 0 { index.saturating_add(extent as i64) } else { index };
        let place = usize::try_from(counted).ok().filter(|&place| place < extent);
        place.ok_or_else(|| call.node.wrong(format_args!("index {index} of an axis of {extent}")))
    };
    call.ints(index)?.into_iter().map(place).collect()
}

/// Indices on the device, those from the end counted from the front. One out of range stays so.
fn indices<'g>(call: &mut Call<'_, '_, 'g>, index: usize, extent: usize) -> Result<Tensor<'g>> {
    let Computed { range, .. } = call.any(index)?;
    if range[0] >= 0 {
        return call.integers(index);
    }
    if extent as i64 > EXACT {
        return Err(call.node.unsupported(format_args!("indices from the end of an axis of {extent}")));
    }
    let tensor = call.number(index)?.tensor;
    tensor.add(tensor.less(0.0)?.multiply(extent as f32)?)?.convert(DType::U32)
}

fn gather<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let (shape, places) = (call.shape(0)?, call.shape(1)?);
    let axis = call.node.axis(call.node.int("axis")?.unwrap_or(0), shape.len())?;
    let extent = shape[axis];
    let result = [&shape[..axis], &places, &shape[axis + 1..]].concat();
    if call.literal(1).is_none() {
        let data = call.number(0)?;
        let indices = indices(call, 1, extent)?;
        return Ok(vec![data.moved(call.limited(data.tensor.gather(indices, axis))?)]);
    }
    let picked = known(call, 1, extent)?;
    moved(call, result.clone(), |x| pick(x, axis, &picked)?.reshape(result))
}

/// The elements of an axis with these numbers: a slice where they are evenly spaced.
fn pick<'g>(x: Tensor<'g>, axis: usize, picked: &[usize]) -> Result<Tensor<'g>> {
    let (first, last) = match picked {
        [first, .., last] => (*first as i64, *last as i64),
        [one] => (*one as i64, *one as i64),
        [] => (0, 0),
    };
    let step = picked.get(1).map_or(1, |&second| second as i64 - first);
    let even = picked.windows(2).all(|pair| pair[1] as i64 - pair[0] as i64 == step);
    if even && step != 0 && x.shape().len() <= 6 {
        // Behind the last; before the first element, where that is reached backwards.
        let end = if step > 0 {
            last + 1
        } else if last == 0 {
            i64::MIN
        } else {
            last - 1
        };
        return x.slice(axis, first, end, step);
    }
    x.index_select(axis, picked)
}

fn gather_elements<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let (shape, places) = (call.shape(0)?, call.shape(1)?);
    let axis = call.node.axis(call.node.int("axis")?.unwrap_or(0), shape.len())?;
    let fits = places.len() == shape.len() && (0..shape.len()).all(|n| n == axis || places[n] <= shape[n]);
    if !fits {
        return Err(call.node.wrong(format_args!("indices {places} for {shape} along axis {axis}")));
    }
    if call.literal(1).is_some() {
        known(call, 1, shape[axis])?;
    }
    let result = places.to_vec();
    if result.contains(&0) {
        return Ok(vec![call.empty(call.element(0)?, &result)?]);
    }
    let indices = indices(call, 1, shape[axis])?;
    moved(call, result, |x| {
        // Other axes may be shorter than those of the data.
        let cut: Vec<crate::Slice> = (0..shape.len())
            .filter(|&n| n != axis && places[n] < shape[n])
            .map(|n| crate::Slice::new(n, 0, places[n] as i64))
            .collect();
        let x = if cut.is_empty() { x } else { x.slices(&cut)? };
        x.take_along_axis(indices, axis)
    })
}

/// The places in a tensor's leading axes that the rows of an array of indices name, behind `batch` axes that both have.
fn rows(call: &Call<'_, '_, '_>, shape: &[usize], index: usize, batch: usize) -> Result<(Vec<usize>, usize)> {
    let array = call.known(index)?;
    let of = array.shape();
    let width = of.last().copied().unwrap_or(0);
    let wrong = || call.node.wrong(format_args!("indices {array} for {shape:?} behind {batch} axes"));
    let depth = batch.checked_add(width).filter(|&depth| depth <= shape.len()).ok_or_else(wrong)?;
    if of.len() <= batch || of[..batch] != shape[..batch] || width == 0 {
        return Err(wrong());
    }
    let integers = call.ints(index)?;
    let each: usize = of[batch..of.len() - 1].iter().product();
    let place = |(number, row): (usize, &[i64])| {
        let mut axes = row.iter().zip(&shape[batch..depth]);
        axes.try_fold(number / each.max(1), |place, (&index, &extent)| {
            let counted = if index < 0 { index.saturating_add(extent as i64) } else { index };
            let counted = usize::try_from(counted).ok().filter(|&counted| counted < extent);
            Some(place * extent + counted?)
        })
        .ok_or_else(|| call.node.wrong(format_args!("the index {row:?} of {shape:?}")))
    };
    let places = integers.chunks(width).enumerate().map(place).collect::<Result<_>>()?;
    Ok((places, depth))
}

fn gather_nd<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let (shape, places) = (call.shape(0)?, call.shape(1)?);
    let batch = usize::try_from(call.node.int("batch_dims")?.unwrap_or(0)).unwrap_or(usize::MAX);
    let (picked, depth) = rows(call, &shape, 1, batch)?;
    let result = [&places[..places.len() - 1], &shape[depth..]].concat();
    let view = [shape[..depth].iter().product(), shape[depth..].iter().product::<usize>()];
    moved(call, result.clone(), |x| pick(x.reshape(view)?, 0, &picked)?.reshape(result))
}

/// The data with updates in some places: for every element of the result the number of one of the data, or behind all of
/// those of one of the updates.
fn scattered<'g>(
    call: &mut Call<'_, '_, 'g>,
    targets: impl Iterator<Item = usize>,
    row: usize,
) -> Result<Vec<Value<'g>>> {
    if !matches!(call.node.text("reduction")?.unwrap_or("none"), "none") {
        return Err(call.node.unsupported("a reduction of what is scattered"));
    }
    let (data, updates) = (call.number(0)?, call.number(2)?);
    let shape = data.tensor.shape();
    let count = shape.elements() / row;
    if count > MOST_PICKED {
        return Err(call.node.unsupported(format_args!("scattering into {shape}")));
    }
    let mut picked: Vec<usize> = (0..count).collect();
    let mut number = count;
    for target in targets {
        picked[target] = number;
        number += 1;
    }
    if (number - count) * row != updates.tensor.shape().elements() {
        return Err(call.node.wrong(format_args!("updates {} for as many indices", updates.tensor.shape())));
    }
    let (flat, more) = (data.tensor.reshape([count, row])?, updates.tensor.reshape([number - count, row])?);
    let all = call.graph().concat(&[flat, more], 0)?;
    let range = [data.range[0].min(updates.range[0]), data.range[1].max(updates.range[1])];
    let result = call.limited(all.index_select(0, &picked))?.reshape(shape)?;
    Ok(vec![Value::integers(result, data.element, range)])
}

fn scatter_nd<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let shape = call.shape(0)?;
    let (targets, depth) = rows(call, &shape, 1, 0)?;
    scattered(call, targets.into_iter(), shape[depth..].iter().product())
}

fn scatter_elements<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let (shape, places) = (call.shape(0)?, call.shape(1)?);
    let axis = call.node.axis(call.node.int("axis")?.unwrap_or(0), shape.len())?;
    let indices = known(call, 1, shape[axis])?;
    let fits = places.len() == shape.len() && (0..shape.len()).all(|n| n == axis || places[n] <= shape[n]);
    if !fits || call.shape(2)? != places {
        return Err(call.node.wrong(format_args!("indices {places} for {shape} along axis {axis}")));
    }
    let target = |(number, index): (usize, usize)| {
        let (mut rest, mut place, mut stride) = (number, 0, 1);
        for n in (0..shape.len()).rev() {
            let own = rest % places[n];
            rest /= places[n];
            place += stride * if n == axis { index } else { own };
            stride *= shape[n];
        }
        place
    };
    scattered(call, indices.into_iter().enumerate().map(target), 1)
}

fn one_hot<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let rank = call.shape(0)?.len();
    let depth = match call.known(1)?.cast(ElementType::I64) {
        Some(Array::I64(depth)) => depth.first().copied(),
        _ => None,
    };
    let depth = depth.and_then(|depth| usize::try_from(depth).ok()).filter(|&depth| depth > 0);
    let depth = depth.ok_or_else(|| call.node.wrong("expected a depth of at least 1"))?;
    let axis = call.node.axis(call.node.int("axis")?.unwrap_or(-1), rank + 1)?;
    let indices = match call.element(0)?.is_float() {
        true => {
            let tensor = call.tensor(0)?;
            tensor.add(tensor.less(0.0)?.multiply(depth as f32)?)?.convert(DType::U32)?
        }
        false => indices(call, 0, depth)?,
    };
    let mut mask = call.limited(indices.one_hot(depth))?;
    if axis < rank {
        let mut order: Vec<usize> = (0..rank).collect();
        order.insert(axis, rank);
        mask = call.limited(mask.transpose(&order))?;
    }
    let values = call.number(2)?;
    if values.tensor.shape()[..] != [2] {
        return Err(call.node.wrong(format_args!("values {}: expected two", values.tensor.shape())));
    }
    let numbers = call.literal(2).and_then(Array::to_f32).filter(|all| all.iter().all(|v| v.is_finite()));
    let chosen = match numbers.as_deref() {
        Some(&[0.0, 1.0]) => mask,
        Some(&[off, on]) => mask.select(Term::Number(on), off)?,
        _ => mask.select(values.tensor.slice(0, 1, 2, 1)?, values.tensor.slice(0, 0, 1, 1)?)?,
    };
    Ok(vec![values.moved(chosen)])
}

fn trilu<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let shape = call.shape(0)?;
    let [.., rows, columns] = shape[..] else {
        return Err(call.node.wrong(format_args!("expected a matrix, got {shape}")));
    };
    let diagonal = if call.has(1) { call.ints(1)?.first().copied().unwrap_or(0) } else { 0 };
    let upper = call.node.flag("upper", true)?;
    if shape.contains(&0) {
        return Ok(vec![call.empty(call.element(0)?, &shape)?]);
    }
    if rows.saturating_mul(columns) > MOST_PICKED {
        return Err(call.node.unsupported(format_args!("a triangle of {shape}")));
    }
    let stays = |place: usize| {
        let beyond = (place % columns) as i64 - (place / columns) as i64;
        if upper { beyond >= diagonal } else { beyond <= diagonal }
    };
    let mask = call.constant(Array::new(&[rows, columns], (0..rows * columns).map(stays).collect::<Vec<bool>>())?)?;
    let x = call.number(0)?;
    let range = [x.range[0].min(0), x.range[1].max(0)];
    Ok(vec![Value::integers(mask.select(x.tensor, 0.0)?, x.element, range)])
}

fn top_k<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let shape = call.shape(0)?;
    let axis = call.node.axis(call.node.int("axis")?.unwrap_or(-1), shape.len())?;
    let count = match call.node.opset < 10 {
        true => call.node.int("k")?,
        false => call.ints(1)?.first().copied(),
    };
    let count = call.node.required("k", count)?;
    let count = usize::try_from(count).ok().filter(|&count| count <= shape[axis]);
    let count = count.ok_or_else(|| call.node.wrong(format_args!("k for axis {axis} of {shape}")))?;
    if count == 0 {
        let mut shape = shape.to_vec();
        shape[axis] = 0;
        return Ok(vec![call.empty(call.element(0)?, &shape)?, call.empty(ElementType::I64, &shape)?]);
    }
    let x = call.number(0)?;
    let (values, places) = call.limited(match call.node.flag("largest", true)? {
        true => x.tensor.top_k(axis, count),
        false => x.tensor.bottom_k(axis, count),
    })?;
    Ok(vec![x.moved(values), Value::integers(places, ElementType::I64, [0, shape[axis] as i64 - 1])])
}

fn cumulative_sum<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let shape = call.shape(0)?;
    let axis = call.ints(1)?.first().copied();
    let axis = call.node.axis(call.node.required("axis", axis)?, shape.len())?;
    let (exclusive, reverse) = (call.node.flag("exclusive", false)?, call.node.flag("reverse", false)?);
    let x = call.number(0)?;
    // Every sum grows by the one that ends so many elements before it, twice as many each time: nothing is multiplied by 0,
    // which would make not-a-number of an infinite element elsewhere.
    let shifted = |x: Tensor<'g>, by: usize| {
        let mut amounts = vec![[0; 2]; shape.len()];
        let by = by.min(shape[axis]) as i64;
        amounts[axis] = if reverse { [-by, by] } else { [by, -by] };
        x.pad(&amounts, crate::PadMode::Constant(0.0))
    };
    let extent = shape[axis];
    let mut sum = x.tensor;
    if exclusive {
        sum = call.limited(shifted(sum, 1))?;
    }
    let mut by = 1;
    while by < extent {
        sum = sum.add(call.limited(shifted(sum, by))?)?;
        by *= 2;
    }
    match x.element.is_integer() {
        false => Ok(vec![x.moved(sum)]),
        true => {
            let most = |end: i64| end.saturating_mul(extent as i64);
            Ok(vec![call.exact(sum, x.element, [most(x.range[0].min(0)), most(x.range[1].max(0))])?])
        }
    }
}
