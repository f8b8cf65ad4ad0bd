//! Sums over everything but the channel axis, and back: bias gradients and global average pooling.
//!
//! The full array is \[outer, channels, inner\], the reduced one \[channels\]. Each function is the other's gradient.

use super::Checked;

/// y\[c\] = scale · sum over outer and inner of x\[outer, c, inner\].
#[must_use]
pub fn channel_sum(outer: usize, channels: usize, inner: usize, x: &[f64], scale: f64) -> Checked {
    debug_assert_eq!(x.len(), outer * channels * inner, "x is [outer, channels, inner]");
    let mut y = Checked::zeros(channels, outer * inner);
    for (index, value) in x.iter().enumerate() {
        y.add(index / inner % channels, value * scale);
    }
    y
}

/// y\[outer, c, inner\] = scale · x\[c\].
#[must_use]
pub fn channel_broadcast(outer: usize, channels: usize, inner: usize, x: &[f64], scale: f64) -> Checked {
    debug_assert_eq!(x.len(), channels, "x is [channels]");
    Checked::exact((0..outer * channels * inner).map(|index| x[index / inner % channels] * scale).collect())
}
