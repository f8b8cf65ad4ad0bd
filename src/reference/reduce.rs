//! Sums over everything but the channel axis, and back: bias gradients, global average pooling, the gradient of copies.
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

/// [`channel_sum`] of an x that was computed: beside the roundings of the sum, each term has its own.
#[must_use]
pub fn channel_sum_of(view: [usize; 4], x: &Checked, scale: f64) -> Checked {
    let mut y = channel_sum(view, &x.values, scale);
    let errors = channel_sum(view, &x.magnitude, scale.abs()).values;
    y.magnitude.iter_mut().zip(errors).for_each(|(magnitude, error)| *magnitude += error);
    Checked { terms: y.terms.max(x.terms), ..y }
}

/// y\[g, outer, c, inner\] = scale · x\[g, c\].
#[must_use]
pub fn channel_broadcast([groups, outer, channels, inner]: [usize; 4], x: &[f64], scale: f64) -> Checked {
    debug_assert_eq!(x.len(), groups * channels, "x is [groups, channels]");
    let row = |index: usize| index / inner;
    let at = |index: usize| row(index) / channels / outer * channels + row(index) % channels;
    Checked::exact((0..groups * outer * channels * inner).map(|index| x[at(index)] * scale).collect())
}
