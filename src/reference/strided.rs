//! Moving elements without computing: axes in another order, and the elements of a regular pattern along every axis.

use super::Checked;

/// Which elements of an axis stand where: place i of the result has element j of x where j·dilation = start + step·i.
///
/// Slices have a dilation of 1, and the gradient of a slice has the step and the dilation exchanged, see [`Along::inverse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Along {
    /// Number of places of the result.
    pub length: usize,
    /// What stands at the first place, times the dilation.
    pub start: i64,
    /// By how much the next place is further; not 0.
    pub step: i64,
    /// At least 1.
    pub dilation: i64,
}

impl Along {
    /// An axis of this length as it is.
    #[must_use]
    pub fn whole(length: usize) -> Self {
        Self { length, start: 0, step: 1, dilation: 1 }
    }

    /// The element at a place, where there is one in an axis of `extent` elements.
    #[must_use]
    pub fn element(self, place: usize, extent: usize) -> Option<usize> {
        let position = self.start + self.step * place as i64;
        let within = position >= 0 && position % self.dilation == 0 && position / self.dilation < extent as i64;
        within.then_some((position / self.dilation) as usize)
    }

    /// The way back onto an axis of `extent` elements: whatever element went to a place comes from there.
    #[must_use]
    pub fn inverse(self, extent: usize) -> Self {
        let sign = self.step.signum();
        Self { length: extent, start: -sign * self.start, step: sign * self.dilation, dilation: self.step.abs() }
    }
}

/// The axes of x of this shape in another order: axis a of the result is axis `permutation[a]` of x.
#[must_use]
pub fn permute(shape: &[usize], permutation: &[usize], x: &[f64]) -> Checked {
    check(shape, x);
    let strides = strides(shape);
    let extents: Vec<usize> = permutation.iter().map(|&axis| shape[axis]).collect();
    let element = |place: &[usize]| place.iter().zip(permutation).map(|(i, &axis)| i * strides[axis]).sum::<usize>();
    Checked::exact(places(&extents).map(|place| x[element(&place)]).collect())
}

/// What stands along every axis of x of this shape, and `fill` where on one of them nothing does.
#[must_use]
pub fn select(shape: &[usize], along: &[Along], fill: f64, x: &[f64]) -> Checked {
    check(shape, x);
    let strides = strides(shape);
    let extents: Vec<usize> = along.iter().map(|along| along.length).collect();
    let element = |place: &[usize]| {
        let one = |axis: usize| Some(along[axis].element(place[axis], shape[axis])? * strides[axis]);
        (0..shape.len()).map(one).sum::<Option<usize>>()
    };
    Checked::exact(places(&extents).map(|place| element(&place).map_or(fill, |index| x[index])).collect())
}

/// Elements between neighbours of each axis, row-major.
fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect()
}

/// Every place of a shape, row-major.
fn places(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    let strides = strides(shape);
    let place = move |index: usize| strides.iter().zip(shape).map(|(stride, extent)| index / stride % extent).collect();
    (0..shape.iter().product()).map(place)
}

fn check(shape: &[usize], x: &[f64]) {
    debug_assert_eq!(x.len(), shape.iter().product::<usize>(), "x has this shape");
}
