//! Normalisation within single examples: parts of an array brought to mean 0 and variance 1, and channels divided by what
//! their neighbours respond.

use super::{Checked, batch_norm};

/// Each of `rows` equal parts, one behind the other: (x - mean) / sqrt(variance + epsilon).
#[must_use]
pub fn rows(rows: usize, x: &[f64], epsilon: f64) -> Checked {
    let geometry = batch_norm::Geometry { batch: 1, channels: rows, inner: x.len() / rows, epsilon };
    batch_norm::forward_training(&geometry, x, &vec![1.0; rows], &vec![0.0; rows]).0
}

/// The constants of a local response normalisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Response {
    /// Channels of the sum.
    pub size: usize,
    /// The factor of the mean of their squares.
    pub alpha: f64,
    /// The exponent.
    pub beta: f64,
    /// What is added.
    pub k: f64,
}

/// y = x / (k + alpha/size · sum of x²)^beta of \[outer, channels, inner\], the sum over (size - 1)/2 channels before, rounded
/// down, and as many behind, rounded up.
#[must_use]
pub fn local_response([outer, channels, inner]: [usize; 3], x: &[f64], constants: Response) -> Checked {
    debug_assert_eq!(x.len(), outer * channels * inner, "x is [outer, channels, inner]");
    let Response { size, alpha, beta, k } = constants;
    let one = |index: usize| {
        let channel = index / inner % channels;
        let (before, behind) = ((size - 1) / 2, size / 2);
        let first = channel.saturating_sub(before);
        let last = (channel + behind).min(channels - 1);
        let square = |other: usize| x[index - channel * inner + other * inner].powi(2);
        let base = k + alpha / size as f64 * (first..=last).map(square).sum::<f64>();
        let y = x[index] * base.powf(-beta);
        // A power is off by beta·(1 + |ln base|) roundings for one of its base.
        (y, y.abs() * (3.0 + 4.0 * beta * (1.0 + base.ln().abs())))
    };
    Checked::from_pairs(size, (0..x.len()).map(one))
}
