//! Elements moved as they are: transposes, slices, flips, constant padding, all y[i] = x[j] with j an affine function of i
//! along every axis. Joining and splitting ([`concat`](super::concat)) run the same kernel.

mod blocks;
mod moves;
mod select;
mod transpose;

pub use blocks::DepthOrder;
pub(crate) use moves::SHADER;
pub(super) use moves::{Axis, Moves, choose_form, reads_texture};
pub use select::Slice;
pub(super) use select::select;

use crate::error::Result;
use crate::plan::{Format, Lowering, Operand};
use crate::reference::Checked;
use crate::selftest::OpCase;

/// What becomes of values, and of their magnitudes, when elements are moved.
pub(super) fn moved(x: Checked, mut values: impl FnMut(&[f64]) -> Checked) -> Checked {
    let Checked { values: moved, magnitude, .. } = values(&x.values);
    // What fills a gap has its own magnitude, which the first call gave; the second gives those of what was moved.
    let of_moved = values(&x.magnitude).values;
    let magnitude = magnitude.into_iter().zip(of_moved).map(|(own, other)| own.max(other.abs())).collect();
    Checked { values: moved, magnitude, terms: x.terms }
}

/// The format of the result: that of input 0 where both may have it.
fn keep_format(cx: &mut Lowering<'_>) -> Result<Format> {
    let images = Format::refusal(&cx.inputs[0]).is_none() && Format::refusal(&cx.outputs[0]).is_none();
    if images { cx.follow("strided.format", 0) } else { Ok(Format::Planar) }
}

/// Reads input 0 as it lies in memory; says how.
fn as_it_lies(cx: &mut Lowering<'_>) -> Format {
    let format = cx.format(0);
    cx.read_in(Operand::Input(0), format);
    format
}

/// Elements between neighbours of each axis of a tensor that lies in this format.
pub(super) fn strides(shape: &[usize], format: Format) -> Vec<usize> {
    let mut strides = vec![0; shape.len()];
    let mut elements = 1;
    for &axis in format.order(shape.len()).iter().rev() {
        strides[axis] = elements;
        elements *= shape[axis];
    }
    strides
}

pub(crate) fn cases() -> Vec<OpCase> {
    transpose::cases().into_iter().chain(blocks::cases()).chain(select::cases()).collect()
}

/// The axes of a shape of at most six, or the error that there are more.
fn rank(op: &str, ty: &crate::graph::TensorType) -> Result<usize> {
    super::float(op, ty)?;
    match ty.shape.len() {
        rank if rank <= moves::RANK => Ok(rank),
        _ => Err(crate::error::Error::shape(op, format!("at most {} axes", moves::RANK), ty)),
    }
}
