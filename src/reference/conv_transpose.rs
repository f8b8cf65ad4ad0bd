//! Transposed convolution: what a convolution's gradient of its input is, with a bias.
//!
//! y\[n, g·O/G + o, i·s - top + p·d, j·s - left + q·d\] gets x\[n, c, i, j\] · w\[c, o, p, q\] for every input channel c of
//! group g, every i, j, p and q for which that place lies within y, and bias once. x: \[N, C, H, W\], w: \[C, O/G, KH, KW\].
//! The [`Geometry`] is that of the convolution from y's size to x's, whose channels in are O and out are C.

use super::Checked;
use super::conv2d::{self, Geometry};

/// y from x, w and an optional bias of length O.
#[must_use]
pub fn forward(g: &Geometry, x: &[f64], w: &[f64], bias: Option<&[f64]>) -> Checked {
    let mut y = conv2d::grad_input(g, w, x);
    if let Some(bias) = bias {
        debug_assert_eq!(bias.len(), g.in_channels, "bias is [O]");
        y.terms += 1;
        for index in 0..y.values.len() {
            y.add(index, bias[index / (g.in_height * g.in_width) % g.in_channels]);
        }
    }
    y
}
