//! Numbers as another element type.

use super::Checked;

/// The numbers without their fraction, as far as 32 bits without a sign hold them; else the last of these.
#[must_use]
pub fn to_u32(x: &[f64]) -> Checked {
    let last = f64::from(u32::MAX);
    Checked::exact(x.iter().map(|&x| if (0.0..=last).contains(&x) { x.trunc() } else { last }).collect())
}

/// The numbers.
#[must_use]
pub fn to_f32(x: &[f64]) -> Checked {
    Checked::exact(x.to_vec())
}
