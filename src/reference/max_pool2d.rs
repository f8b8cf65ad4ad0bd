//! Max pooling: y\[i, j\] = the largest x in window (i, j), and where it stands.
//!
//! Padding never wins. The first of equal cells in row-major order wins. A NaN wins over every number, so that it is not
//! lost; the first one again.

use super::{Checked, pool::Axis};

/// The sizes of a max pooling.
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
}

/// The maxima, and for each the place h·KW + w of its cell within the window, padding counted.
#[must_use]
pub fn forward(g: &Geometry, x: &[f64]) -> (Checked, Vec<u32>) {
    let plane = g.in_height * g.in_width;
    debug_assert_eq!(x.len(), g.planes * plane, "x is [planes, H, W]");
    let [rows, columns] = g.axes();
    let (mut values, mut places) = (Vec::new(), Vec::new());
    for x in x.chunks_exact(plane) {
        for i in 0..rows.windows() {
            for j in 0..columns.windows() {
                let mut best = rows.cells(i).start * g.in_width + columns.cells(j).start;
                for h in rows.cells(i) {
                    for w in columns.cells(j) {
                        let cell = h * g.in_width + w;
                        if x[cell] > x[best] || (x[cell].is_nan() && !x[best].is_nan()) {
                            best = cell;
                        }
                    }
                }
                values.push(x[best]);
                let (h, w) = (best / g.in_width + rows.begin, best % g.in_width + columns.begin);
                places.push(((h - i * rows.stride) * columns.kernel + w - j * columns.stride) as u32);
            }
        }
    }
    (Checked::exact(values), places)
}

/// dx: each dy goes to the cell that won its window.
#[must_use]
pub fn grad_input(g: &Geometry, places: &[u32], dy: &[f64]) -> Checked {
    let [rows, columns] = g.axes();
    let (plane, out_plane) = (g.in_height * g.in_width, rows.windows() * columns.windows());
    debug_assert_eq!(dy.len(), g.planes * out_plane, "dy is [planes, OH, OW]");
    debug_assert_eq!(places.len(), dy.len(), "one cell for each output");
    let mut dx = Checked::zeros(g.planes * plane, rows.overlap() * columns.overlap());
    for (index, (&place, &dy)) in places.iter().zip(dy).enumerate() {
        let (window, place) = (index % out_plane, place as usize);
        let h = window / columns.windows() * rows.stride + place / columns.kernel - rows.begin;
        let w = window % columns.windows() * columns.stride + place % columns.kernel - columns.begin;
        dx.add(index / out_plane * plane + h * g.in_width + w, dy);
    }
    dx
}
