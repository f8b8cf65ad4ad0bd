//! The window rule that max and average pooling share, one axis at a time.

use std::ops::Range;

/// One axis of a pooling: where its windows lie. Padding is smaller than the kernel on both sides, so that every window
/// holds at least one cell of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// The input's length.
    pub input: usize,
    /// The window's length.
    pub kernel: usize,
    /// The distance between windows.
    pub stride: usize,
    /// Padding before the input.
    pub begin: usize,
    /// Padding after the input.
    pub end: usize,
    /// Whether a last, cut-off window counts.
    pub ceil_mode: bool,
}

impl Axis {
    /// The height and the width of an image, with padding as top, left, bottom, right.
    #[must_use]
    pub fn both(
        input: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 4],
        ceil_mode: bool,
    ) -> [Self; 2] {
        [0, 1].map(|axis| Self {
            input: input[axis],
            kernel: kernel[axis],
            stride: stride[axis],
            begin: padding[axis],
            end: padding[axis + 2],
            ceil_mode,
        })
    }

    /// The number of windows.
    #[must_use]
    pub fn windows(&self) -> usize {
        debug_assert!(
            self.begin < self.kernel && self.end < self.kernel,
            "a window of nothing but padding has no value"
        );
        debug_assert!(
            self.kernel <= self.padded(),
            "the caller's shape rule refuses kernels larger than the padded input"
        );
        let room = self.padded() - self.kernel;
        if !self.ceil_mode {
            return room / self.stride + 1;
        }
        let windows = room.div_ceil(self.stride) + 1;
        // A last window that starts in the end padding sees no input: it is dropped, as PyTorch does.
        if (windows - 1) * self.stride >= self.input + self.begin { windows - 1 } else { windows }
    }

    /// The input cells that lie in a window.
    #[must_use]
    pub fn cells(&self, window: usize) -> Range<usize> {
        let start = window * self.stride;
        start.saturating_sub(self.begin)..(start + self.kernel).saturating_sub(self.begin).min(self.input)
    }

    /// The length of a window within the padded input: less than the kernel only where ceil mode cuts the last one off.
    #[must_use]
    pub fn padded_cells(&self, window: usize) -> usize {
        let start = window * self.stride;
        (start + self.kernel).min(self.padded()) - start
    }

    /// The largest number of windows that one cell lies in.
    #[must_use]
    pub fn overlap(&self) -> usize {
        self.kernel.div_ceil(self.stride)
    }

    fn padded(&self) -> usize {
        self.begin + self.input + self.end
    }
}
