//! Elementwise arithmetic on two tensors of one shape.

use super::Checked;

/// a + b.
#[must_use]
pub fn add(a: &[f64], b: &[f64]) -> Checked {
    zip(2, a, b, |a, b| (a + b, a.abs() + b.abs()))
}

/// a · b. The gradients are products as well: dy · b and dy · a.
#[must_use]
pub fn multiply(a: &[f64], b: &[f64]) -> Checked {
    zip(1, a, b, |a, b| (a * b, (a * b).abs()))
}

fn zip(terms: usize, a: &[f64], b: &[f64], pair: impl Fn(f64, f64) -> (f64, f64)) -> Checked {
    debug_assert_eq!(a.len(), b.len(), "the operands have one shape");
    Checked::from_pairs(terms, a.iter().zip(b).map(|(&a, &b)| pair(a, b)))
}
