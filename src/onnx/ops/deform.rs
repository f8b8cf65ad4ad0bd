//! Convolutions whose taps are moved (Dai et al. 2017, Zhu et al. 2019): each tap reads between the cells of the image, where
//! offsets that are computed say, and a mask tells what it counts. What all taps read is a matrix of columns, and a
//! convolution over its rows is the rest.

use super::detection::{Beyond, MOST_CELLS, Mode, Tap, by_channels, numbers, sum, taps_along};
use super::spatial::{numbers as attribute, pads, per_axis, windows};
use super::{Call, Operator, one};
use crate::error::Result;
use crate::onnx::value::Value;
use crate::ops::conv2d::Conv;

pub(super) const OPERATORS: &[Operator] = &[("DeformConv", deform_conv)];

fn deform_conv<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let (x, weight, offsets) = (call.tensor(0)?, call.tensor(1)?, call.tensor(2)?);
    let (bias, mask) = (call.optional(3)?, call.optional(4)?);
    let natural = |name: &str| {
        let value = call.node.int(name)?.unwrap_or(1);
        let value = usize::try_from(value).ok().filter(|&value| value > 0);
        value.ok_or_else(|| call.node.wrong(format_args!("attribute `{name}`: expected at least 1")))
    };
    let (groups, moved) = (natural("group")?, natural("offset_group")?);
    let (shape, filters, places) = (x.shape(), weight.shape(), offsets.shape());
    let (&[n, channels, height, width], &[outputs, _, rows, columns]) = (&shape[..], &filters[..]) else {
        return Err(call.node.unsupported(format_args!("images {shape} and weights {filters}: only two axes")));
    };
    let (strides, dilations) = (per_axis::<2>(call, "strides", 1)?, per_axis::<2>(call, "dilations", 1)?);
    let [begin, end] = pads::<2>(call)?;
    let along = |axis: usize, extent: usize, taps: usize| {
        windows(extent, [begin[axis], end[axis]], taps, strides[axis], dilations[axis])
    };
    let (Some(down), Some(across)) = (along(0, height, rows), along(1, width, columns)) else {
        return Err(call.node.wrong(format_args!("{filters} has no place on {shape}")));
    };
    let wrong =
        |what: &str, got: &crate::Shape| call.node.wrong(format_args!("{what} {got} for {shape} and {filters}"));
    let taps = rows * columns;
    let product = |extents: &[usize]| extents.iter().try_fold(1_usize, |all, &extent| all.checked_mul(extent));
    let count = product(&[n, moved, taps, down, across]).filter(|&count| count <= MOST_CELLS);
    let count = count.ok_or_else(|| call.node.unsupported(format_args!("more than {MOST_CELLS} places")))?;
    if places[..] != [n, 2 * moved * taps, down, across] {
        return Err(wrong("offsets", &places));
    }
    if let Some(mask) = mask.filter(|mask| mask.shape()[..] != [n, moved * taps, down, across]) {
        return Err(wrong("a mask", &mask.shape()));
    }
    if attribute::<2>(call, "kernel_shape")?.is_some_and(|said| said != [rows, columns]) || channels % moved != 0 {
        return Err(wrong("attributes that do not fit", &places));
    }
    let window_count = down * across;
    let own = channels / moved;
    let cells = by_channels(call, x.reshape([n * moved, own, height, width])?)?;
    let offsets = offsets.reshape([n * moved * taps, 2, window_count])?;
    // Images, taps and windows, the last fastest: where each tap stands if it is not moved.
    let mut place = |axis: usize| {
        let at = |index: usize| {
            let (tap, window) = (index / window_count % taps, index % window_count);
            let (tap, window) =
                if axis == 0 { (tap / columns, window / across) } else { (tap % columns, window % across) };
            (window * strides[axis]) as f32 + (tap * dilations[axis]) as f32 - begin[axis] as f32
        };
        let still = numbers(call, &[count], (0..count).map(at).collect())?;
        offsets.slice(1, axis as i64, axis as i64 + 1, 1)?.reshape([count])?.add(still)
    };
    let (y, x) = (place(0)?, place(1)?);
    let images = (0..count).map(|index| (index / window_count / taps) as f32).collect();
    let image = Tap { cell: numbers(call, &[count], images)?, weight: None, there: None };
    let mut corners = Vec::new();
    for row in taps_along(y, height, Mode::Linear, Beyond::Zeros, true)? {
        let row = image.with(row, height)?;
        for column in taps_along(x, width, Mode::Linear, Beyond::Zeros, true)? {
            corners.push(row.with(column, width)?.of(cells));
        }
    }
    let read = sum(call, corners.into_iter())?;
    let read = match mask {
        Some(mask) => read.multiply(mask.reshape([count])?)?,
        None => read,
    };
    let read = read.reshape([own, n, moved, taps, window_count])?.transpose(&[1, 2, 0, 3, 4])?;
    let settings = Conv::<2>::new(outputs, [taps, 1]).groups(groups);
    let settings = if bias.is_none() { settings.without_bias() } else { settings };
    let weight = weight.reshape([outputs, filters[1], taps, 1])?;
    let y = read.reshape([n, channels, taps, window_count])?.conv2d_with(weight, bias, settings)?;
    one(y.reshape([n, outputs, down, across])?)
}
