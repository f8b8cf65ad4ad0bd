//! Windows that lie side by side as columns, back at their places in an image and added where they overlap: the gradient of
//! taking them, one axis after the other.

use super::spatial::windows;
use super::{Call, Operator, one};
use crate::error::Result;
use crate::onnx::value::Value;
use crate::reference::unfold::Geometry;

pub(super) const OPERATORS: &[Operator] = &[("Col2Im", col2im)];

/// `[N, C * taps, windows]` as `[N, C, image...]`.
fn col2im<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let x = call.tensor(0)?;
    let naturals = |values: &[i64]| -> Result<Vec<usize>> {
        let natural: Option<Vec<usize>> = values.iter().map(|&value| usize::try_from(value).ok()).collect();
        natural.ok_or_else(|| call.node.wrong(format_args!("expected natural numbers, got {values:?}")))
    };
    let (image, block) = (naturals(&call.ints(1)?)?, naturals(&call.ints(2)?)?);
    let axes = image.len();
    let list = |name: &str, count: usize, default: usize| -> Result<Vec<usize>> {
        let values = call.node.ints(name)?.map_or_else(|| Ok(vec![default; count]), naturals)?;
        let wrong = || call.node.wrong(format_args!("attribute `{name}`: expected {count} numbers, got {values:?}"));
        if values.len() == count { Ok(values) } else { Err(wrong()) }
    };
    let (strides, dilations, pads) =
        (list("strides", axes, 1)?, list("dilations", axes, 1)?, list("pads", 2 * axes, 0)?);
    let shape = x.shape();
    let wrong = || call.node.wrong(format_args!("{shape} as windows {block:?} of an image {image:?}"));
    let &[n, rows, columns] = &shape[..] else { return Err(wrong()) };
    if axes == 0 || block.len() != axes {
        return Err(wrong());
    }
    let along = |axis: usize| {
        let pads = [pads[axis], pads[axes + axis]];
        windows(image[axis], pads, block[axis], strides[axis], dilations[axis])
    };
    let positions: Vec<usize> = (0..axes).map(along).collect::<Option<_>>().ok_or_else(wrong)?;
    let product = |extents: &[usize]| extents.iter().try_fold(1_usize, |all, &extent| all.checked_mul(extent));
    let taps = product(&block).filter(|&taps| taps > 0 && rows.is_multiple_of(taps)).ok_or_else(wrong)?;
    if product(&positions) != Some(columns) {
        return Err(wrong());
    }
    // [N, C, taps..., windows...], of which the last axes are those of the image already.
    let channels = rows / taps;
    let mut y = x;
    for axis in (0..axes).rev() {
        let (before, outer): (usize, usize) = (block[..axis].iter().product(), positions[..axis].iter().product());
        let inner = product(&image[axis + 1..]).ok_or_else(wrong)?;
        let (taps, own, length) = (block[axis], positions[axis], image[axis]);
        let turned = y.reshape([n, channels * before, taps, outer, own, inner])?.transpose(&[0, 4, 1, 3, 2, 5])?;
        let geometry = Geometry {
            outer: n,
            channels: channels * before * outer,
            length,
            inner,
            positions: own,
            taps,
            stride: strides[axis],
            dilation: dilations[axis],
            pad: pads[axis],
        };
        y = turned.fold_windows(call.node.label(), geometry, [n, channels * before * outer, length, inner])?;
    }
    one(y.reshape([&[n, channels][..], &image].concat())?)
}
