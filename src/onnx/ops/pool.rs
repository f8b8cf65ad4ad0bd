//! Poolings, and the way back from one.

use super::spatial::{numbers, padding, pads, per_axis};
use super::{Call, Operator, one};
use crate::Axes;
use crate::error::Result;
use crate::graph::Tensor;
use crate::onnx::ElementType;
use crate::onnx::value::Value;
use crate::ops::axis_map::PadMode;
use crate::ops::max_unpool::unpooled;
use crate::ops::pool::Numbering;
use crate::ops::{Padding, Pool};

pub(super) const OPERATORS: &[Operator] = &[
    ("AveragePool", |call| {
        let (x, counts) = (call.tensor(0)?, call.node.flag("count_include_pad", false)?);
        match x.shape().len() {
            3 => one(x.avg_pool1d(window::<1>(call)?.count_include_pad(counts))?),
            4 => one(x.avg_pool2d(window::<2>(call)?.count_include_pad(counts))?),
            5 => one(x.avg_pool3d(window::<3>(call)?.count_include_pad(counts))?),
            rank => Err(call.node.unsupported(format_args!("{rank} axes"))),
        }
    }),
    ("GlobalAveragePool", |call| {
        let x = call.tensor(0)?;
        let axes: Vec<usize> = (2..x.shape().len()).collect();
        one(x.mean(Axes::from(axes.as_slice()).keep())?)
    }),
    ("GlobalLpPool", |call| {
        let (x, p) = (call.tensor(0)?, power(call)?);
        match x.shape().len() {
            3 => one(x.global_lp_pool1d(p)?),
            4 => one(x.global_lp_pool2d(p)?),
            5 => one(x.global_lp_pool3d(p)?),
            rank => Err(call.node.unsupported(format_args!("{rank} axes"))),
        }
    }),
    ("GlobalMaxPool", |call| {
        let x = call.tensor(0)?;
        match x.shape().len() {
            3 => one(x.global_max_pool1d()?),
            4 => one(x.global_max_pool2d()?),
            5 => one(x.global_max_pool3d()?),
            rank => Err(call.node.unsupported(format_args!("{rank} axes"))),
        }
    }),
    ("LpPool", |call| {
        let (x, p) = (call.tensor(0)?, power(call)?);
        match x.shape().len() {
            3 => one(x.lp_pool1d(p, window::<1>(call)?)?),
            4 => one(x.lp_pool2d(p, window::<2>(call)?)?),
            5 => one(x.lp_pool3d(p, window::<3>(call)?)?),
            rank => Err(call.node.unsupported(format_args!("{rank} axes"))),
        }
    }),
    ("MaxPool", |call| {
        // A maximum of integers of 8 bits is one.
        let (x, element) = call.numbers(0)?;
        match x.shape().len() {
            3 => max_pool(call, x, element, window::<1>(call)?, |x, window| x.max_pool1d(window)),
            4 => max_pool(call, x, element, window::<2>(call)?, |x, window| x.max_pool2d(window)),
            5 => max_pool(call, x, element, window::<3>(call)?, |x, window| x.max_pool3d(window)),
            rank => Err(call.node.unsupported(format_args!("{rank} axes"))),
        }
    }),
    ("MaxUnpool", |call| match call.tensor(0)?.shape().len() {
        3 => max_unpool::<1>(call),
        4 => max_unpool::<2>(call),
        5 => max_unpool::<3>(call),
        rank => Err(call.node.unsupported(format_args!("{rank} axes"))),
    }),
];

/// The exponent of a norm, which was a float at first.
fn power(call: &Call<'_, '_, '_>) -> Result<f32> {
    match call.node.opset < 2 {
        true => call.node.number("p", 2.0),
        false => Ok(call.node.int("p")?.unwrap_or(2) as f32),
    }
}

/// What the attributes say of the windows.
fn window<const D: usize>(call: &Call<'_, '_, '_>) -> Result<Pool<D>> {
    let kernel = call.node.required("kernel_shape", numbers::<D>(call, "kernel_shape")?)?;
    let (stride, dilation) = (per_axis::<D>(call, "strides", 1)?, per_axis::<D>(call, "dilations", 1)?);
    if [kernel, stride, dilation].as_flattened().contains(&0) {
        return Err(call.node.wrong("kernel, strides and dilations must be at least 1"));
    }
    let ceil = call.node.flag("ceil_mode", false)?;
    Ok(Pool::new(kernel).stride(stride).dilation(dilation).padding(padding(call)?).ceil_mode(ceil))
}

/// The maxima and, where they are wanted, their numbers in the whole tensor.
fn max_pool<'g, const D: usize>(
    call: &Call<'_, '_, 'g>,
    x: Tensor<'g>,
    element: ElementType,
    window: Pool<D>,
    pool: fn(Tensor<'g>, Pool<D>) -> Result<Tensor<'g>>,
) -> Result<Vec<Value<'g>>> {
    if !call.node.has_output(1) {
        return Ok(vec![Value::of(pool(x, window)?, element)]);
    }
    let column_major = call.node.flag("storage_order", false)?;
    let [y, indices] = x.max_pool_numbered(window, Numbering { whole: true, column_major })?;
    Ok(vec![Value::of(y, element), Value::of(indices, ElementType::I64)])
}

/// Whether indices name cells of their own windows, as those of a pooling do.
fn within<const D: usize>(
    indices: &[i64],
    stride: [usize; D],
    kernel: [usize; D],
    begin: [usize; D],
    size: [usize; D],
    windows: [usize; D],
) -> bool {
    indices.iter().enumerate().all(|(place, &index)| {
        let (mut place, Ok(mut cell)) = (place, usize::try_from(index)) else { return false };
        let own = (0..D).rev().all(|axis| {
            let at = cell.checked_rem(size[axis]).unwrap_or(0).saturating_add(begin[axis]);
            let first = (place % windows[axis]).saturating_mul(stride[axis]);
            (place, cell) = (place / windows[axis], cell.checked_div(size[axis]).unwrap_or(0));
            (first..first.saturating_add(kernel[axis])).contains(&at)
        });
        // What is left is the plane.
        own && place == cell
    })
}

/// Values back where they came from, by numbers of cells of the whole result. Its extents are the least that the pooling
/// makes so many windows of, or are given. Then the numbers are those of cells of the result where a pooling in the same
/// graph computes them, which has had that size; numbers in the file are, by ONNX's own test of it, those of the least
/// extents, with zeros behind.
fn max_unpool<'g, const D: usize>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let (x, indices) = (call.tensor(0)?, call.integers(1)?);
    let known = matches!(call.inputs.get(1), Some(Some(Value::Known(_) | Value::Fed(_))));
    let shape = x.shape();
    let kernel = call.node.required("kernel_shape", numbers::<D>(call, "kernel_shape")?)?;
    let stride = per_axis::<D>(call, "strides", 1)?;
    let [begin, end] = pads::<D>(call)?;
    let window = Pool::new(kernel).stride(stride).padding(Padding::Sides(begin, end));
    let windows: [usize; D] = std::array::from_fn(|axis| shape[2 + axis]);
    let least = window.input_size(windows);
    if known && !within(&call.ints(1)?, stride, kernel, begin, least, windows) {
        return Err(call.node.unsupported("indices of cells outside their windows"));
    }
    if !call.has(2) {
        return one(unpooled(x, indices, window, least, true)?);
    }
    let given = call.ints(2)?;
    let wrong = || call.node.wrong(format_args!("output_shape {given:?} for {shape}"));
    let size: Option<Vec<usize>> = given.iter().map(|&extent| usize::try_from(extent).ok()).collect();
    let size = size.filter(|size| size.len() == D + 2 && size[..2] == shape[..2]).ok_or_else(wrong)?;
    let size: [usize; D] = std::array::from_fn(|axis| size[2 + axis]);
    if !known {
        // Padding was that of the pooling, which is not told.
        return one(unpooled(x, indices, window.padding(0), size, true)?);
    }
    let behind: Option<Vec<usize>> = size.iter().zip(least).map(|(size, least)| size.checked_sub(least)).collect();
    let behind =
        behind.ok_or_else(|| call.node.unsupported(format_args!("output_shape {given:?}, of {least:?} at least")))?;
    let amounts: Vec<[i64; 2]> = [0, 0].into_iter().chain(behind).map(|zeros| [0, zeros as i64]).collect();
    one(unpooled(x, indices, window, least, true)?.pad(&amounts, PadMode::Constant(0.0))?)
}
