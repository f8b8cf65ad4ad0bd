//! Numbers that belong to an image's axes.

/// A number for each axis of an image, outermost first; a single number stands for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerAxis<const D: usize>(pub(super) [usize; D]);

impl<const D: usize> From<usize> for PerAxis<D> {
    fn from(number: usize) -> Self {
        Self([number; D])
    }
}

impl<const D: usize> From<[usize; D]> for PerAxis<D> {
    fn from(numbers: [usize; D]) -> Self {
        Self(numbers)
    }
}
