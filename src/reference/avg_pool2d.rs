//! Average pooling: y\[i, j\] = the sum of x over window (i, j), divided by the number of its cells.
//!
//! With `count_include_pad` padded cells count (as zeros), but never cells beyond the padded input, which the windows of
//! ceil mode reach into: PyTorch's rule.

use super::{Checked, pool::Axis};

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
        self.axes().map(|axis| axis.windows())
    }

    fn axes(&self) -> [Axis; 2] {
        Axis::both([self.in_height, self.in_width], self.kernel, self.stride, self.padding, self.ceil_mode)
    }

    fn input_length(&self) -> usize {
        self.planes * self.in_height * self.in_width
    }

    fn output_length(&self) -> usize {
        let [out_height, out_width] = self.out_size();
        self.planes * out_height * out_width
    }

    /// Calls `tap(x_index, y_index, 1 / divisor)` for every term of every average.
    fn for_each_tap(&self, mut tap: impl FnMut(usize, usize, f64)) {
        let [rows, columns] = self.axes();
        for plane in 0..self.planes {
            for i in 0..rows.windows() {
                for j in 0..columns.windows() {
                    let y_index = (plane * rows.windows() + i) * columns.windows() + j;
                    let divisor = if self.count_include_pad {
                        rows.padded_cells(i) * columns.padded_cells(j)
                    } else {
                        rows.cells(i).len() * columns.cells(j).len()
                    };
                    for h in rows.cells(i) {
                        for w in columns.cells(j) {
                            tap((plane * self.in_height + h) * self.in_width + w, y_index, 1.0 / divisor as f64);
                        }
                    }
                }
            }
        }
    }
}

/// y from x.
#[must_use]
pub fn forward(g: &Geometry, x: &[f64]) -> Checked {
    debug_assert_eq!(x.len(), g.input_length(), "x is [planes, H, W]");
    let mut y = Checked::zeros(g.output_length(), g.kernel[0] * g.kernel[1]);
    g.for_each_tap(|x_index, y_index, weight| y.add(y_index, x[x_index] * weight));
    y
}

/// dx from dy.
#[must_use]
pub fn grad_input(g: &Geometry, dy: &[f64]) -> Checked {
    debug_assert_eq!(dy.len(), g.output_length(), "dy is [planes, OH, OW]");
    let [rows, columns] = g.axes();
    let mut dx = Checked::zeros(g.input_length(), rows.overlap() * columns.overlap());
    g.for_each_tap(|x_index, y_index, weight| dx.add(x_index, dy[y_index] * weight));
    dx
}
