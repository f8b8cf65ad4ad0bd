//! What stands around an image before windows or kernels go over it.

/// How many elements are added around an image: a number for all sides, one for both sides of each axis, each side's own, or
/// as many as a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding<const D: usize> {
    /// So many before each axis (above and to the left), and so many behind: the halves of ONNX's `pads`.
    Sides([usize; D], [usize; D]),
    /// As few as make the output ceil(input / stride) long, half of them before the axis and, where they are odd, one more
    /// behind it: TensorFlow's `SAME`, ONNX's `SAME_UPPER`. The output of a transposed convolution is input · stride long.
    SameUpper,
    /// The same with the odd one before the axis: ONNX's `SAME_LOWER`.
    SameLower,
}

impl<const D: usize> Padding<D> {
    /// None: TensorFlow's and ONNX's `VALID`.
    pub const VALID: Self = Self::Sides([0; D], [0; D]);

    /// Before and behind an axis, where a rule wants so many together.
    pub(crate) fn sides(&self, axis: usize, total: usize) -> [usize; 2] {
        match self {
            Self::Sides(begin, end) => [begin[axis], end[axis]],
            Self::SameUpper => [total / 2, total - total / 2],
            Self::SameLower => [total - total / 2, total / 2],
        }
    }

    /// Before and behind an axis of so many elements, over which windows of this reach go by steps of at least 1.
    pub(super) fn along(&self, axis: usize, input: usize, stride: usize, reach: usize) -> [usize; 2] {
        let last = input.div_ceil(stride).saturating_sub(1).saturating_mul(stride);
        self.sides(axis, last.saturating_add(reach).saturating_sub(input))
    }
}

impl<const D: usize> From<usize> for Padding<D> {
    fn from(number: usize) -> Self {
        [number; D].into()
    }
}

impl<const D: usize> From<[usize; D]> for Padding<D> {
    fn from(numbers: [usize; D]) -> Self {
        Self::Sides(numbers, numbers)
    }
}
