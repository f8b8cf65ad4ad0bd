//! Sums over everything but the channel axis, and back: bias gradients and global average pooling.
//!
//! The full array is \[groups, outer, channels, inner\], the reduced one \[groups, channels\]. Each function is the other's
//! gradient.

use super::Checked;

/// y\[g, c\] = scale · sum over outer and inner of x\[g, outer, c, inner\].
#[must_use]
pub fn channel_sum([groups, outer, channels, inner]: [usize; 4], x: &[f64], scale: f64) -> Checked {
    debug_assert_eq!(x.len(), groups * outer * channels * inner, "x is [groups, outer, channels, inner]");
    let mut y = Checked::zeros(groups * channels, outer * inner);
    for (index, value) in x.iter().enumerate() {
        let row = index / inner;
        y.add(row / channels / outer * channels + row % channels, value * scale);
    }
    y
}

/// y\[g, outer, c, inner\] = scale · x\[g, c\].
#[must_use]
pub fn channel_broadcast([groups, outer, channels, inner]: [usize; 4], x: &[f64], scale: f64) -> Checked {
    debug_assert_eq!(x.len(), groups * channels, "x is [groups, channels]");
    let row = |index: usize| index / inner;
    let at = |index: usize| row(index) / channels / outer * channels + row(index) % channels;
    Checked::exact((0..groups * outer * channels * inner).map(|index| x[at(index)] * scale).collect())
}
