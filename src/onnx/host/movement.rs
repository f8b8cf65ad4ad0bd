//! Arrays under other shapes, in other orders, in parts and put together.

use ndarray::{ArrayD, Axis, IxDyn, Slice};

use super::create::extents;
use super::{Call, MOST, Operator, one, whole};
use crate::error::Result;
use crate::onnx::Array;
use crate::onnx::array::with_array;
use crate::onnx::element::Element;
use crate::onnx::shapes;

pub(super) const OPERATORS: &[Operator] = &[
    ("Concat", concat),
    ("DepthToSpace", depth_to_space),
    ("Expand", expand),
    ("Flatten", flatten),
    ("Reshape", reshape),
    ("SpaceToDepth", space_to_depth),
    ("Split", split),
    ("Squeeze", squeeze),
    ("Tile", tile),
    ("Transpose", transpose),
    ("Trilu", trilu),
    ("Unsqueeze", unsqueeze),
];

/// The first input's elements under this shape.
fn under(call: &Call<'_>, shape: &[usize]) -> Result<Vec<Array>> {
    with_array!(call.input(0)?, x => one(call.shaped(x, shape)?))
}

fn reshape(call: &Call<'_>) -> Result<Vec<Array>> {
    let wanted = call.node.required("shape", call.ints_of("shape", 1)?)?;
    under(call, &shapes::reshaped(call.node, call.input(0)?.shape(), &wanted)?)
}

fn flatten(call: &Call<'_>) -> Result<Vec<Array>> {
    under(call, &shapes::flattened(call.node, call.input(0)?.shape())?)
}

fn squeeze(call: &Call<'_>) -> Result<Vec<Array>> {
    let axes = call.ints_of("axes", 1)?;
    under(call, &shapes::squeezed(call.node, call.input(0)?.shape(), axes.as_deref())?)
}

fn unsqueeze(call: &Call<'_>) -> Result<Vec<Array>> {
    let axes = call.node.required("axes", call.ints_of("axes", 1)?)?;
    under(call, &shapes::unsqueezed(call.node, call.input(0)?.shape(), &axes)?)
}

fn transpose(call: &Call<'_>) -> Result<Vec<Array>> {
    let order = shapes::order(call.node, call.input(0)?.shape())?;
    with_array!(call.input(0)?, x => one(x.view().permuted_axes(order).to_owned()))
}

fn expand(call: &Call<'_>) -> Result<Vec<Array>> {
    let shape = call.broadcast(&[call.input(0)?.shape(), &extents(call, 1, MOST)?])?;
    with_array!(call.input(0)?, x => one(call.spread(x, &shape)?.to_owned()))
}

fn tile(call: &Call<'_>) -> Result<Vec<Array>> {
    fn of<T: Element>(call: &Call<'_>, x: &ArrayD<T>, repeats: &[usize]) -> Result<Vec<Array>> {
        let mut tiled = x.clone();
        for (axis, &repeats) in repeats.iter().enumerate().filter(|(_, repeats)| **repeats != 1) {
            let extent = tiled.shape()[axis];
            let count = extent.checked_mul(repeats).ok_or_else(|| call.node.unsupported("an axis without end"))?;
            call.limit(&[count])?;
            let indices: Vec<usize> = (0..count).map(|index| index % extent).collect();
            tiled = call.select(&tiled, axis, &indices)?;
        }
        one(tiled)
    }
    if call.node.opset < 6 {
        return Err(call.node.unsupported("before operator set 6"));
    }
    let (x, repeats) = (call.input(0)?, call.ints(1)?);
    let counts: Option<Vec<usize>> = repeats.iter().map(|&repeats| usize::try_from(repeats).ok()).collect();
    match counts.filter(|counts| counts.len() == x.shape().len()) {
        Some(counts) => with_array!(x, x => of(call, x, &counts)),
        None => Err(call.node.wrong(format_args!("{x} cannot be repeated {repeats:?} times"))),
    }
}

fn concat(call: &Call<'_>) -> Result<Vec<Array>> {
    fn of<T: Element>(call: &Call<'_>, first: &ArrayD<T>) -> Result<Vec<Array>> {
        let axis = call.axis(1, first.ndim())?;
        let parts: Vec<_> = (0..call.inputs.len())
            .map(|index| call.like(first, index).map(|part| part.view()))
            .collect::<Result<_>>()?;
        let fits = |part: &ndarray::ArrayViewD<'_, T>| {
            let others =
                |shape: &[usize]| shape.iter().enumerate().filter(|(at, _)| *at != axis).map(|(_, e)| *e).collect();
            let (own, first): (Vec<usize>, Vec<usize>) = (others(part.shape()), others(first.shape()));
            part.ndim() > axis && own == first
        };
        if !parts.iter().all(fits) {
            let shapes: Vec<_> = parts.iter().map(|part| part.shape()).collect();
            return Err(call.node.wrong(format_args!("shapes that do not fit along axis {axis}: {shapes:?}")));
        }
        let mut shape = first.shape().to_vec();
        shape[axis] =
            parts.iter().try_fold(0_usize, |sum, part| sum.checked_add(part.shape()[axis])).unwrap_or(usize::MAX);
        call.limit(&shape)?;
        one(ndarray::concatenate(Axis(axis), &parts).map_err(|error| call.node.wrong(error))?)
    }
    with_array!(call.input(0)?, first => of(call, first))
}

fn split(call: &Call<'_>) -> Result<Vec<Array>> {
    let x = call.input(0)?;
    let axis = call.axis(0, x.shape().len())?;
    let mut start = 0;
    let mut part = |length: usize| {
        let range = start..start + length;
        start += length;
        with_array!(x, x => whole(x.slice_axis(Axis(axis), Slice::from(range)).to_owned()))
    };
    let said = call.ints_of("split", 1)?;
    Ok(shapes::parts(call.node, x.shape()[axis], said.as_deref())?.into_iter().map(&mut part).collect())
}

fn trilu(call: &Call<'_>) -> Result<Vec<Array>> {
    fn of<T: Element>(x: &ArrayD<T>, upper: bool, k: i128) -> Result<Vec<Array>> {
        let [row, column] = [x.ndim() - 2, x.ndim() - 1];
        let kept = |at: &IxDyn| {
            let diagonal = at[column] as i128 - at[row] as i128;
            if upper { diagonal >= k } else { diagonal <= k }
        };
        let mut kept_only = x.clone();
        kept_only.indexed_iter_mut().filter(|(at, _)| !kept(at)).for_each(|(_, element)| *element = T::default());
        one(kept_only)
    }
    let x = call.input(0)?;
    let k = if call.get(1).is_some() { call.int(1)? } else { 0 };
    if x.shape().len() < 2 {
        return Err(call.node.wrong(format_args!("expected matrices, got {x}")));
    }
    let upper = call.node.flag("upper", true)?;
    with_array!(x, x => of(x, upper, k.into()))
}

/// The extents of images, and the edge of a block.
fn blocks(call: &Call<'_>) -> Result<([usize; 4], usize)> {
    let x = call.input(0)?;
    let shape = x.shape().try_into().map_err(|_| call.node.wrong(format_args!("expected images, got {x}")))?;
    let size = call.node.required("blocksize", call.node.int("blocksize")?)?;
    let size = usize::try_from(size).ok().filter(|size| (1..=1 << 16).contains(size));
    Ok((shape, size.ok_or_else(|| call.node.wrong("attribute `blocksize`: expected at least 1"))?))
}

/// Axes of other extents, in another order, taken together.
fn rearranged(call: &Call<'_>, parts: [usize; 6], order: [usize; 6], shape: [usize; 4]) -> Result<Vec<Array>> {
    let of =
        |error| call.node.wrong(format_args!("{}: {error}", call.input(0).map_or(String::new(), Array::to_string)));
    with_array!(call.input(0)?, x => {
        let parts = x.as_standard_layout().into_owned().into_shape_with_order(IxDyn(&parts)).map_err(of)?;
        one(call.shaped(&parts.permuted_axes(order.to_vec()), &shape)?)
    })
}

fn depth_to_space(call: &Call<'_>) -> Result<Vec<Array>> {
    let ([n, c, h, w], size) = blocks(call)?;
    let depth = c / (size * size);
    let to = [n, depth, h * size, w * size];
    match call.node.text("mode")?.unwrap_or("DCR") {
        "DCR" => rearranged(call, [n, size, size, depth, h, w], [0, 3, 4, 1, 5, 2], to),
        "CRD" => rearranged(call, [n, depth, size, size, h, w], [0, 1, 4, 2, 5, 3], to),
        other => Err(call.node.wrong(format_args!("attribute `mode`: `{other}`"))),
    }
}

fn space_to_depth(call: &Call<'_>) -> Result<Vec<Array>> {
    let ([n, c, h, w], size) = blocks(call)?;
    let (rows, columns) = (h / size, w / size);
    rearranged(call, [n, c, rows, size, columns, size], [0, 3, 5, 1, 2, 4], [n, c * size * size, rows, columns])
}
