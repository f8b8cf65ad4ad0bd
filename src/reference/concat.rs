//! Joining arrays along one axis. The gradient cuts the parts out again, which is
//! [`select`](super::strided::select).
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
