//! Joining arrays along one axis, and cutting a part out again, which is the gradient.
//!
//! Every part is \[outer, length, inner\] with a length of its own; the whole is \[outer, total, inner\].

use super::Checked;

/// The whole from its parts, each given as (length on the axis, values).
#[must_use]
pub fn place(outer: usize, parts: &[(usize, &[f64])], inner: usize) -> Checked {
    let mut whole = Vec::new();
    for block in 0..outer {
        for (length, part) in parts {
            debug_assert_eq!(part.len(), outer * length * inner, "a part is [outer, length, inner]");
            whole.extend_from_slice(&part[block * length * inner..][..length * inner]);
        }
    }
    Checked::exact(whole)
}

/// The part of `length` at `offset` of a whole that is `total` long on the axis.
#[must_use]
pub fn extract(outer: usize, total: usize, offset: usize, length: usize, inner: usize, x: &[f64]) -> Checked {
    debug_assert_eq!(x.len(), outer * total * inner, "x is [outer, total, inner]");
    debug_assert!(offset + length <= total, "the part lies within the whole");
    let mut part = Vec::new();
    for block in 0..outer {
        part.extend_from_slice(&x[(block * total + offset) * inner..][..length * inner]);
    }
    Checked::exact(part)
}
