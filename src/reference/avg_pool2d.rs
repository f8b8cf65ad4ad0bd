//! Average pooling: y\[i, j\] = the sum of x over window (i, j), divided by the number of its cells.
//!
//! With `count_include_pad` padded cells count (as zeros), but never cells beyond the padded input, which the windows of
//! ceil mode reach into: PyTorch's rule.

use super::{Checked, pool};

/// The sizes of an average pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// The number of images: batch times channels.
    pub planes: usize,
    /// H.
    pub in_height: usize,
    /// W.
    pub in_width: usize,
    /// The window's height and width.
    pub kernel: [usize; 2],
    /// Down, right.
    pub stride: [usize; 2],
    /// Top, left, bottom, right; each smaller than the kernel.
    pub padding: [usize; 4],
    /// Whether last, cut-off windows count.
    pub ceil_mode: bool,
    /// Whether the divisor counts padded cells.
    pub count_include_pad: bool,
}

impl Geometry {
    /// OH, OW.
    #[must_use]
    pub fn out_size(&self) -> [usize; 2] {
        let [_, rows, columns] = self.volume().windows();
        [rows, columns]
    }

    fn volume(&self) -> pool::Geometry {
        let input = [self.in_height, self.in_width];
        pool::Geometry::of_images(self.planes, input, self.kernel, self.stride, self.padding, self.ceil_mode)
    }
}

/// y from x.
#[must_use]
pub fn forward(g: &Geometry, x: &[f64]) -> Checked {
    debug_assert_eq!(x.len(), g.planes * g.in_height * g.in_width, "x is [planes, H, W]");
    pool::average(&g.volume(), x, g.count_include_pad)
}

/// dx from dy.
#[must_use]
pub fn grad_input(g: &Geometry, dy: &[f64]) -> Checked {
    pool::grad_average(&g.volume(), dy, g.count_include_pad)
}
