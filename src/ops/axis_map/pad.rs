//! PadMode, and axes of which elements are repeated or picked.

use super::table::Table;
use super::{check_length, extents, map};
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::ops::float;
use crate::ops::strided::select;
use crate::reference::strided::Along;
use crate::selftest::OpCase;

/// What stands where [`Tensor::pad`] adds elements.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum PadMode {
    /// This value.
    Constant(f32),
    /// The elements mirrored at the axis's first and last one, which stand there once: `c b | a b c | b a`. As PyTorch's
    /// `ReflectionPad`, and `reflect` of ONNX and NumPy.
    Reflect,
    /// The first or last element: PyTorch's `replicate`, ONNX's `edge`.
    Edge,
    /// The axis over again: PyTorch's `circular`, ONNX's `wrap`.
    Wrap,
}

impl<'g> Tensor<'g> {
    /// Adds so many elements before and behind every axis, `[before, behind]` for each; negative numbers take away. What
    /// is taken away at one end is still there for what is added at the other. As PyTorch's `pad` and ONNX's Pad.
    ///
    /// # Errors
    /// When the tensor is not f32, there is not one pair for each axis, nothing is left of one, a reflection needs more
    /// than the axis's other elements, a repetition more than the axis, or there are more than six axes and a constant.
    pub fn pad(self, amounts: &[[i64; 2]], mode: PadMode) -> Result<Self> {
        const NAME: &str = "pad";
        let ty = self.ty();
        float(NAME, &ty)?;
        if amounts.len() != ty.shape.len() {
            return Err(Error::argument(NAME, format!("{} pairs of amounts for the axes of {ty}", amounts.len())));
        }
        let mut along = Vec::with_capacity(amounts.len());
        for (axis, (&[before, behind], &extent)) in amounts.iter().zip(ty.shape.iter()).enumerate() {
            let length = i128::from(before) + i128::from(behind) + extent as i128;
            let most = match mode {
                PadMode::Reflect => extent as i64 - 1,
                PadMode::Wrap => extent as i64,
                // More than any tensor may have.
                PadMode::Constant(_) | PadMode::Edge => 1 << 48,
            };
            if length < 1 {
                return Err(Error::argument(
                    NAME,
                    format!("[{before}, {behind}] leave nothing of axis {axis} of {ty}"),
                ));
            }
            if before.max(behind) > most {
                let amounts = format!("[{before}, {behind}] at axis {axis} of {ty}");
                return Err(Error::argument(NAME, format!("{mode:?} by at most {most}, got {amounts}")));
            }
            let (length, start) = (length as usize, before.saturating_neg());
            // Where an end is far away there is nothing, or its last element, whatever the distance.
            let start = match mode {
                PadMode::Constant(_) | PadMode::Edge => start.clamp(-(length as i64), extent as i64),
                PadMode::Reflect | PadMode::Wrap => start,
            };
            along.push(Along { length, start, step: 1, dilation: 1 });
        }
        let cuts = amounts.iter().flatten().all(|&amount| amount <= 0);
        match mode {
            PadMode::Constant(fill) => select(self, NAME, along, fill),
            _ if cuts => select(self, NAME, along, 0.0),
            _ => {
                let table = |(axis, along): (usize, &Along)| {
                    check_length(NAME, ty.shape[axis], along.length)?;
                    let element = |place: usize| {
                        let (position, extent) = (along.start + place as i64, ty.shape[axis] as i64);
                        let element = match mode {
                            PadMode::Reflect if position < 0 => -position,
                            PadMode::Reflect if position >= extent => 2 * (extent - 1) - position,
                            PadMode::Wrap => position.rem_euclid(extent),
                            _ => position,
                        };
                        element.clamp(0, extent - 1) as usize
                    };
                    Ok((axis, Table::picks(ty.shape[axis], (0..along.length).map(element))))
                };
                map(self, NAME, along.iter().enumerate().map(table).collect::<Result<_>>()?)
            }
        }
    }

    /// Every axis so many times over, one number for each: ONNX's Tile, PyTorch's `tile`.
    ///
    /// # Errors
    /// When the tensor is not f32, there is not one number for each axis, or one is 0.
    pub fn tile(self, repeats: &[usize]) -> Result<Self> {
        const NAME: &str = "tile";
        let ty = self.ty();
        if repeats.len() != ty.shape.len() || repeats.contains(&0) {
            let message = format!("expected a number of at least 1 for each axis of {ty}, got {repeats:?}");
            return Err(Error::argument(NAME, message));
        }
        let table = |(axis, &repeats): (usize, &usize)| {
            let extent = ty.shape[axis];
            check_length(NAME, extent, extent.saturating_mul(repeats))?;
            Ok((axis, Table::picks(extent, (0..extent * repeats).map(|place| place % extent))))
        };
        map(self, NAME, repeats.iter().enumerate().map(table).collect::<Result<_>>()?)
    }

    /// The elements of an axis with these numbers, in this order, as PyTorch's `index_select` with known indices. For
    /// indices that a step computes or is fed there is [`Tensor::gather`].
    ///
    /// # Errors
    /// When the tensor is not f32 or has no such axis, or an index is not below its extent, or there is none.
    pub fn index_select(self, axis: usize, indices: &[usize]) -> Result<Self> {
        const NAME: &str = "index_select";
        let extent = extents(NAME, &self.ty(), &[axis])?[0];
        if let Some(beyond) = indices.iter().find(|&&index| index >= extent) {
            return Err(Error::argument(NAME, format!("index {beyond} of axis {axis} of {}", self.ty())));
        }
        map(self, NAME, vec![(axis, Table::picks(extent, indices.iter().copied()))])
    }
}

pub(super) fn cases() -> Vec<OpCase> {
    type Padded = (&'static [usize], &'static [[i64; 2]], PadMode);
    let list: [Padded; 12] = [
        (&[5], &[[2, 3]], PadMode::Constant(0.0)),
        (&[1, 1], &[[0, 2], [1, 0]], PadMode::Constant(-2.5)),
        (&[2, 3, 7, 5], &[[0, 0], [0, 0], [1, 1], [2, 1]], PadMode::Constant(1.0)),
        (&[2, 8, 7, 5], &[[0, 0], [0, 0], [1, 1], [2, 1]], PadMode::Constant(0.0)),
        (&[2, 8, 4, 8], &[[0, 0], [4, 0], [-1, 2], [4, -4]], PadMode::Constant(0.5)),
        (&[2, 8, 33, 36], &[[0, 0], [0, 0], [1, 1], [0, 0]], PadMode::Constant(0.0)),
        (&[2, 3, 7, 5], &[[0, 0], [0, 0], [2, 3], [4, -1]], PadMode::Reflect),
        (&[2, 8, 7, 5], &[[0, 0], [0, 0], [1, 1], [1, 1]], PadMode::Reflect),
        (&[1, 4, 33, 37], &[[0, 0], [0, 0], [3, 3], [3, 3]], PadMode::Reflect),
        (&[3, 4], &[[2, 0], [-1, 9]], PadMode::Edge),
        (&[3, 4, 2], &[[1, 0], [0, 4], [0, 0]], PadMode::Wrap),
        (&[3, 5], &[[-1, 0], [0, -2]], PadMode::Edge),
    ];
    let padded = list.into_iter().map(|(shape, amounts, mode)| {
        let name = format!("pad {shape:?} by {amounts:?} {mode:?}");
        OpCase::new(name, move |cx| Ok(vec![cx.normal("x", shape)?.pad(amounts, mode)?]))
    });
    let list: [(&[usize], &[usize]); 4] =
        [(&[3], &[4]), (&[2, 3], &[3, 2]), (&[2, 4, 3, 5], &[1, 2, 2, 1]), (&[1, 8, 1], &[1, 1, 1500])];
    let tiled = list.into_iter().map(|(shape, repeats)| {
        OpCase::new(format!("tile {shape:?} by {repeats:?}"), move |cx| Ok(vec![cx.normal("x", shape)?.tile(repeats)?]))
    });
    let list: [(&[usize], usize, &[usize]); 3] =
        [(&[5], 0, &[4, 0, 0, 2]), (&[2, 8, 3, 5], 1, &[7, 1, 1, 2]), (&[2, 7, 4], 1, &[3])];
    let picked = list.into_iter().map(|(shape, axis, indices)| {
        let name = format!("index_select {shape:?} axis {axis} {indices:?}");
        OpCase::new(name, move |cx| Ok(vec![cx.normal("x", shape)?.index_select(axis, indices)?]))
    });
    padded.chain(tiled).chain(picked).collect()
}
