//! Images of bytes to numbers: y\[n, c, i\] = x\[n, c, i\] · scale\[c\] + offset\[c\].
//!
//! To subtract a mean from pixels in 0..=1 and divide by a deviation: scale = 1 / (255 · deviation), offset = -mean / deviation.

use super::Checked;

/// y from bytes (0..=255) given as f64, \[batch, channels, inner\]; scale and offset: \[channels\].
#[must_use]
pub fn forward(batch: usize, channels: usize, inner: usize, x: &[f64], scale: &[f64], offset: &[f64]) -> Checked {
    debug_assert_eq!(x.len(), batch * channels * inner, "x is [batch, channels, inner]");
    debug_assert!(scale.len() == channels && offset.len() == channels, "scale and offset are [channels]");
    let mut y = Checked::zeros(x.len(), 2);
    for (index, value) in x.iter().enumerate() {
        let channel = index / inner % channels;
        y.add(index, value * scale[channel]);
        y.add(index, offset[channel]);
    }
    y
}
