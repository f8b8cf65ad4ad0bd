//! Windows along an axis side by side, and back again, which is the gradient.
//!
//! y\[n, p, c, t, i\] = x\[n, c, p·stride + t·dilation - pad, i\], 0 where that place lies outside of x.
//! x: \[outer, channels, length, inner\], y: \[outer, positions, channels, taps, inner\].

use super::Checked;

/// The sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Images.
    pub outer: usize,
    /// Of each image.
    pub channels: usize,
    /// Of the axis.
    pub length: usize,
    /// What lies behind the axis.
    pub inner: usize,
    /// Of the window.
    pub positions: usize,
    /// Of the window.
    pub taps: usize,
    /// From one position to the next, at least 1.
    pub stride: usize,
    /// From one tap to the next; 0 repeats.
    pub dilation: usize,
    /// Zeros before the axis.
    pub pad: usize,
}

impl Geometry {
    /// Calls `place(x_index, y_index)` for every element of y that has one of x.
    fn for_each(&self, mut place: impl FnMut(usize, usize)) {
        let Self { outer, channels, length, inner, positions, taps, stride, dilation, pad } = *self;
        for n in 0..outer {
            for p in 0..positions {
                for c in 0..channels {
                    for t in 0..taps {
                        let Some(at) = (p * stride + t * dilation).checked_sub(pad).filter(|&at| at < length) else {
                            continue;
                        };
                        let x = ((n * channels + c) * length + at) * inner;
                        let y = (((n * positions + p) * channels + c) * taps + t) * inner;
                        (0..inner).for_each(|i| place(x + i, y + i));
                    }
                }
            }
        }
    }
}

/// y from x.
#[must_use]
pub fn forward(g: &Geometry, x: &[f64]) -> Checked {
    debug_assert_eq!(x.len(), g.outer * g.channels * g.length * g.inner, "x is [outer, channels, length, inner]");
    let mut y = vec![0.0; g.outer * g.positions * g.channels * g.taps * g.inner];
    g.for_each(|from, to| y[to] = x[from]);
    Checked::exact(y)
}

/// dx from dy: each element the sum of what was made of it.
#[must_use]
pub fn grad_input(g: &Geometry, dy: &[f64]) -> Checked {
    debug_assert_eq!(dy.len(), g.outer * g.positions * g.channels * g.taps * g.inner, "dy is as large as y");
    let mut dx = Checked::zeros(g.outer * g.channels * g.length * g.inner, g.taps);
    g.for_each(|to, from| dx.add(to, dy[from]));
    dx
}
