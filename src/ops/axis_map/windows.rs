//! Windows along an axis: their means, where the windows share an axis out, for adaptive pooling, and the windows themselves.

use super::table::Table;
use super::{check_length, extents, map};
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::selftest::OpCase;

/// The means of windows that share each of these axes out into so many: window i of `size` begins at ⌊i·extent/size⌋ and
/// ends before ⌈(i + 1)·extent/size⌉.
pub(in crate::ops) fn shared_out<'g>(
    name: &'static str,
    x: Tensor<'g>,
    axes: &[usize],
    sizes: &[usize],
) -> Result<Tensor<'g>> {
    let extents = extents(name, &x.ty(), axes)?;
    if sizes.contains(&0) {
        return Err(Error::argument(name, format!("expected sizes of at least 1, got {sizes:?}")));
    }
    let table = |index: usize| {
        let (extent, size) = (extents[index], sizes[index]);
        check_length(name, extent, size.saturating_mul(2))?;
        let window = |place: usize| {
            let (begin, end) = (place * extent / size, ((place + 1) * extent).div_ceil(size));
            (begin..end).map(|column| (column, 1.0 / (end - begin) as f64)).collect()
        };
        Ok((axes[index], Table::new(extent, (0..size).map(window))))
    };
    map(x, name, (0..axes.len()).map(table).collect::<Result<_>>()?)
}

impl<'g> Tensor<'g> {
    /// The windows along an axis, of `size` elements that are `dilation` apart, one at every `step`-th place: the axis
    /// becomes two, the window and the place within it. PyTorch's `Tensor.unfold` puts the second one last.
    ///
    /// # Errors
    /// When the tensor is not f32 or has no such axis, a number is 0, or a window does not fit.
    pub fn unfold(self, axis: usize, size: usize, step: usize, dilation: usize) -> Result<Self> {
        const NAME: &str = "unfold";
        let ty = self.ty();
        let extent = extents(NAME, &ty, &[axis])?[0];
        if size == 0 || step == 0 || dilation == 0 {
            return Err(Error::argument(NAME, "size, step and dilation must be at least 1"));
        }
        let reach = (size - 1).saturating_mul(dilation).saturating_add(1);
        if reach > extent {
            return Err(Error::shape(NAME, format!("at least {reach} elements of axis {axis}"), &ty));
        }
        let windows = (extent - reach) / step + 1;
        let element = |place: usize| place / size * step + place % size * dilation;
        check_length(NAME, extent, windows.saturating_mul(size))?;
        let unfolded = map(self, NAME, vec![(axis, Table::picks(extent, (0..windows * size).map(element)))])?;
        let mut shape = ty.shape.to_vec();
        shape.splice(axis..=axis, [windows, size]);
        unfolded.reshape(shape)
    }
}

pub(super) fn cases() -> Vec<OpCase> {
    let list: [(&[usize], &[usize], &[usize]); 8] = [
        (&[7], &[0], &[3]),
        (&[2, 3, 10], &[2], &[4]),
        (&[2, 3, 10, 7], &[2, 3], &[3, 3]),
        (&[2, 8, 10, 7], &[2, 3], &[4, 9]),
        (&[2, 8, 5, 7], &[2, 3], &[1, 1]),
        (&[2, 3, 4, 5, 6], &[2, 3, 4], &[2, 1, 4]),
        (&[2, 1500], &[1], &[1]),
        (&[1, 4, 40, 36], &[3, 2], &[7, 7]),
    ];
    let pooled = list.into_iter().map(|(shape, axes, sizes)| {
        OpCase::new(format!("adaptive_avg_pool {shape:?} axes {axes:?} to {sizes:?}"), move |cx| {
            Ok(vec![shared_out("adaptive_avg_pool", cx.normal("x", shape)?, axes, sizes)?])
        })
    });
    let list: [(&[usize], [usize; 4]); 4] = [
        (&[9], [0, 3, 2, 1]),
        (&[2, 11, 3], [1, 3, 1, 2]),
        (&[2, 8, 9, 4], [2, 2, 3, 1]),
        (&[1, 3, 5, 6, 7], [2, 3, 1, 1]),
    ];
    let unfolded = list.into_iter().map(|(shape, [axis, size, step, dilation])| {
        let name = format!("unfold {shape:?} axis {axis} by {size}, step {step}, dilation {dilation}");
        OpCase::new(name, move |cx| Ok(vec![cx.normal("x", shape)?.unfold(axis, size, step, dilation)?]))
    });
    pooled.chain(unfolded).collect()
}
