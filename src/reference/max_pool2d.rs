//! Max pooling: y\[i, j\] = the largest x in window (i, j), and where it stands.
//!
//! Padding never wins. The first of equal cells in row-major order wins. A NaN wins over every number, so that it is not
//! lost; the first one again.

use super::{Checked, pool};

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
        let [_, rows, columns] = self.volume().windows();
        [rows, columns]
    }

    fn volume(&self) -> pool::Geometry {
        let input = [self.in_height, self.in_width];
        pool::Geometry::of_images(self.planes, input, self.kernel, self.stride, self.padding, self.ceil_mode)
    }
}

/// The maxima, and for each the place h·KW + w of its cell within the window, padding counted.
#[must_use]
pub fn forward(g: &Geometry, x: &[f64]) -> (Checked, Vec<u32>) {
    debug_assert_eq!(x.len(), g.planes * g.in_height * g.in_width, "x is [planes, H, W]");
    let (values, places) = pool::max(&g.volume(), x);
    (values, places.into_iter().map(|place| place as u32).collect())
}

/// dx: each dy goes to the cell that won its window.
#[must_use]
pub fn grad_input(g: &Geometry, places: &[u32], dy: &[f64]) -> Checked {
    debug_assert_eq!(places.len(), dy.len(), "one cell for each output");
    let places: Vec<f64> = places.iter().copied().map(f64::from).collect();
    pool::grad_places(&g.volume(), &places, dy)
}
