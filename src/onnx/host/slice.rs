//! Parts of arrays, and arrays with an edge around them.

use ndarray::{ArrayD, IxDyn, Slice as Range};

use super::{Call, Operator, one};
use crate::error::Result;
use crate::onnx::Array;
use crate::onnx::array::with_array;
use crate::onnx::element::Element;
use crate::onnx::shapes::{self, Cut};

pub(super) const OPERATORS: &[Operator] =
    &[("Compress", compress), ("Pad", pad), ("ReverseSequence", reverse_sequence), ("Slice", slice)];

fn slice(call: &Call<'_>) -> Result<Vec<Array>> {
    fn of<T: Element>(x: &ArrayD<T>, call: &Call<'_>, cuts: &[Cut]) -> Result<Vec<Array>> {
        let mut taken = x.clone();
        for cut in cuts {
            taken = call.select(&taken, cut.axis, &cut.indices(x.shape()[cut.axis]))?;
        }
        one(taken)
    }
    let x = call.input(0)?;
    let lists = [("starts", 1), ("ends", 2), ("axes", 3), ("steps", 4)];
    let [starts, ends, axes, steps] = lists.map(|(name, index)| call.ints_of(name, index));
    let cuts = shapes::cuts(call.node, x.shape().len(), [starts?, ends?, axes?, steps?])?;
    with_array!(x, x => of(x, call, &cuts))
}

fn compress(call: &Call<'_>) -> Result<Vec<Array>> {
    let kept: Vec<usize> =
        call.of::<bool>(1)?.iter().enumerate().filter(|(_, kept)| **kept).map(|(index, _)| index).collect();
    let x = call.input(0)?;
    match call.node.has("axis") {
        true => {
            let axis = call.axis(0, x.shape().len())?;
            with_array!(x, x => one(call.select(x, axis, &kept)?))
        }
        false => with_array!(x, x => one(call.select(&call.shaped(x, &[x.len()])?, 0, &kept)?)),
    }
}

/// Where the elements of an edge come from: the index that each place of the result has.
fn edge(call: &Call<'_>, mode: &str, before: i64, after: i64, extent: usize) -> Result<Vec<usize>> {
    let wrong = || call.node.wrong(format_args!("pads of {before} and {after} around {extent} by `{mode}`"));
    let extent = i64::try_from(extent).map_err(|_| wrong())?;
    let count = extent.checked_add(before).and_then(|count| count.checked_add(after)).ok_or_else(wrong)?;
    call.limit(&[usize::try_from(count).map_err(|_| wrong())?])?;
    let index = |place: i64| -> Option<usize> {
        let place = place.checked_sub(before)?;
        let index = match mode {
            _ if (0..extent).contains(&place) => place,
            "edge" if extent > 0 => place.clamp(0, extent - 1),
            "wrap" => place.checked_rem_euclid(extent)?,
            // To and fro; an axis of one element stays where it is.
            "reflect" => match place.rem_euclid((2 * (extent - 1)).max(1)) {
                back if back >= extent => 2 * (extent - 1) - back,
                forth => forth,
            },
            _ => return None,
        };
        usize::try_from(index).ok()
    };
    (0..count).map(|place| index(place).ok_or_else(wrong)).collect()
}

fn pad(call: &Call<'_>) -> Result<Vec<Array>> {
    fn constant<T: Element>(call: &Call<'_>, x: &ArrayD<T>, pads: &[[i64; 2]], value: T) -> Result<Vec<Array>> {
        let mut shape = x.shape().to_vec();
        for (extent, &[before, after]) in shape.iter_mut().zip(pads) {
            let count = i64::try_from(*extent).ok().and_then(|count| count.checked_add(before)?.checked_add(after));
            let wrong = || call.node.wrong(format_args!("pads of {before} and {after} around {extent}"));
            *extent = count.and_then(|count| usize::try_from(count).ok()).ok_or_else(wrong)?;
        }
        call.limit(&shape)?;
        let mut padded = ArrayD::from_elem(IxDyn(&shape), value);
        if shape.contains(&0) {
            return one(padded);
        }
        // What is kept of the input, and where it comes to lie.
        let mut target = padded.view_mut();
        let mut source = x.view();
        for (axis, (&[before, after], extent)) in pads.iter().zip(x.shape()).enumerate() {
            let cut = |pad: i64| usize::try_from(pad.min(0).unsigned_abs()).unwrap_or(usize::MAX);
            let end = extent.saturating_sub(cut(after));
            source.slice_axis_inplace(ndarray::Axis(axis), Range::from(cut(before).min(end)..end));
            let start = usize::try_from(before).unwrap_or(0).min(shape[axis]);
            let length = source.shape()[axis].min(shape[axis] - start);
            target.slice_axis_inplace(ndarray::Axis(axis), Range::from(start..start + length));
            source.slice_axis_inplace(ndarray::Axis(axis), Range::from(..length));
        }
        target.assign(&source);
        one(padded)
    }
    fn around<T: Element>(call: &Call<'_>, x: &ArrayD<T>, pads: &[[i64; 2]], mode: &str) -> Result<Vec<Array>> {
        let mut padded = x.clone();
        for (axis, &[before, after]) in pads.iter().enumerate().filter(|(_, pads)| **pads != [0, 0]) {
            padded = call.select(&padded, axis, &edge(call, mode, before, after, x.shape()[axis])?)?;
        }
        one(padded)
    }
    let (node, x) = (call.node, call.input(0)?);
    let rank = x.shape().len();
    let attribute = if node.opset < 2 { "paddings" } else { "pads" };
    let said = node.required(attribute, call.ints_of(attribute, 1)?)?;
    let axes = match call.get(3) {
        Some(_) => node.axes(&call.ints(3)?, rank)?,
        None => (0..rank).collect(),
    };
    if said.len() != 2 * axes.len() {
        return Err(node.wrong(format_args!("{} pads for {} axes", said.len(), axes.len())));
    }
    let mut pads = vec![[0; 2]; rank];
    axes.iter().enumerate().for_each(|(index, &axis)| pads[axis] = [said[index], said[axes.len() + index]]);
    match node.text("mode")?.unwrap_or("constant") {
        "constant" => with_array!(x, array => {
            let value = match call.get(2) {
                Some(_) => call.like(array, 2)?.first().cloned(),
                // An attribute of older operator sets, which know floats alone.
                None => {
                    let value = Array::F32(ArrayD::from_elem(IxDyn(&[]), node.float("value")?.unwrap_or(0.0)));
                    value.cast(x.element_type()).and_then(|value| Element::of(&value)?.iter().next().cloned())
                }
            };
            constant(call, array, &pads, value.unwrap_or_default())
        }),
        mode @ ("edge" | "reflect" | "wrap") => with_array!(x, array => around(call, array, &pads, mode)),
        other => Err(node.wrong(format_args!("attribute `mode`: `{other}`"))),
    }
}

fn reverse_sequence(call: &Call<'_>) -> Result<Vec<Array>> {
    fn of<T: Element>(x: &ArrayD<T>, [batch, time]: [usize; 2], lengths: &[usize]) -> Result<Vec<Array>> {
        let mirrored = |at: IxDyn| {
            let (mut from, length) = (at.clone(), lengths[at[batch]]);
            if at[time] < length {
                from[time] = length - 1 - at[time];
            }
            x[from].clone()
        };
        one(ArrayD::from_shape_fn(x.raw_dim(), mirrored))
    }
    let (x, lengths) = (call.input(0)?, call.ints(1)?);
    let rank = x.shape().len();
    let axis = |name: &str, default: i64| call.node.axis(call.node.int(name)?.unwrap_or(default), rank);
    let (batch, time) = (axis("batch_axis", 1)?, axis("time_axis", 0)?);
    let length = |&length: &i64| usize::try_from(length).ok().filter(|&length| length <= x.shape()[time]);
    let counts: Option<Vec<usize>> = lengths.iter().map(length).collect();
    match counts.filter(|counts| counts.len() == x.shape()[batch] && batch != time) {
        Some(counts) => with_array!(x, x => of(x, [batch, time], &counts)),
        None => Err(call.node.wrong(format_args!("lengths {lengths:?} along axis {time} of {x}"))),
    }
}
