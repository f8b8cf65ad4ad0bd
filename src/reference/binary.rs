//! Elementwise arithmetic on two arrays of one shape.

use super::{Checked, UNDERFLOW};

/// a + b.
#[must_use]
pub fn add(a: &[f64], b: &[f64]) -> Checked {
    zip(2, a, b, |a, b| (a + b, a.abs() + b.abs()))
}

/// a - b.
#[must_use]
pub fn subtract(a: &[f64], b: &[f64]) -> Checked {
    zip(2, a, b, |a, b| (a - b, a.abs() + b.abs()))
}

/// a · b. The gradients are products as well: dy · b and dy · a.
#[must_use]
pub fn multiply(a: &[f64], b: &[f64]) -> Checked {
    zip(1, a, b, |a, b| (a * b, (a * b).abs()))
}

/// a / b, of which WGSL promises 2.5 ULP. The gradient by a is dy / b.
#[must_use]
pub fn divide(a: &[f64], b: &[f64]) -> Checked {
    zip(1, a, b, |a, b| (a / b, (a / b).abs()))
}

/// The gradient of y = a / b by b: -dy · y / b.
#[must_use]
pub fn divide_grad(b: &[f64], y: &[f64], dy: &[f64]) -> Checked {
    zip3(b, y, dy, |b, y, dy| (-dy * y / b, 2.0 * (dy * y / b).abs()))
}

/// The lesser of a and b, NaN where either is.
#[must_use]
pub fn minimum(a: &[f64], b: &[f64]) -> Checked {
    zip(1, a, b, |a, b| exact(if a < b || a.is_nan() { a } else { b }))
}

/// The gradient by a: dy where a < b, half of it where they are equal, else 0.
#[must_use]
pub fn minimum_grad(a: &[f64], dy: &[f64], b: &[f64]) -> Checked {
    zip3(a, dy, b, |a, dy, b| exact(share(a < b, a == b) * dy))
}

/// The greater of a and b, NaN where either is.
#[must_use]
pub fn maximum(a: &[f64], b: &[f64]) -> Checked {
    zip(1, a, b, |a, b| exact(if a > b || a.is_nan() { a } else { b }))
}

/// The gradient by a: dy where a > b, half of it where they are equal, else 0.
#[must_use]
pub fn maximum_grad(a: &[f64], dy: &[f64], b: &[f64]) -> Checked {
    zip3(a, dy, b, |a, dy, b| exact(share(a > b, a == b) * dy))
}

fn share(all: bool, half: bool) -> f64 {
    match (all, half) {
        (true, _) => 1.0,
        (_, true) => 0.5,
        _ => 0.0,
    }
}

/// a^b. For a negative a only whole b have one; a^0 is 1.
#[must_use]
pub fn power(a: &[f64], b: &[f64]) -> Checked {
    zip(1, a, b, power_of)
}

/// A power with its magnitude: exp2(b · log2 |a|). The logarithm is off by 2^-21 = 4 eps at most, or 3 ULP of it, the
/// product rounds, and the exponential is off by (3 + 2 |b · log2 a|) ULP, or flushed.
fn power_of(a: f64, b: f64) -> (f64, f64) {
    let (y, log) = (a.powf(b), a.abs().log2());
    let exponent = if log.is_finite() { b.abs() * (1.0 + 2.0 * log.abs()) } else { 0.0 };
    (y, y.abs() * (1.0 + exponent) + UNDERFLOW)
}

/// The gradient by a: dy · b · a^(b - 1), 0 where b is.
#[must_use]
pub fn power_grad_base(a: &[f64], dy: &[f64], b: &[f64]) -> Checked {
    zip3(a, dy, b, |a, dy, b| {
        let (y, magnitude) = power_of(a, b - 1.0);
        if b == 0.0 { (0.0, 0.0) } else { (dy * b * y, (dy * b).abs() * (y.abs() + magnitude)) }
    })
}

/// The gradient of y = a^b by b: dy · y · ln a, 0 where a is not positive.
#[must_use]
pub fn power_grad_exponent(a: &[f64], y: &[f64], dy: &[f64]) -> Checked {
    zip3(a, y, dy, |a, y, dy| {
        if a <= 0.0 {
            return (0.0, 0.0);
        }
        // The logarithm has an absolute accuracy near 1.
        (dy * y * a.ln(), (dy * y).abs() * (1.0 + 2.0 * a.ln().abs()))
    })
}

fn exact(value: f64) -> (f64, f64) {
    (value, value.abs())
}

fn zip(terms: usize, a: &[f64], b: &[f64], pair: impl Fn(f64, f64) -> (f64, f64)) -> Checked {
    debug_assert_eq!(a.len(), b.len(), "the operands have one shape");
    Checked::from_pairs(terms, a.iter().zip(b).map(|(&a, &b)| pair(a, b)))
}

fn zip3(a: &[f64], b: &[f64], c: &[f64], pair: impl Fn(f64, f64, f64) -> (f64, f64)) -> Checked {
    debug_assert!(a.len() == b.len() && b.len() == c.len(), "the operands have one shape");
    Checked::from_pairs(1, a.iter().zip(b).zip(c).map(|((&a, &b), &c)| pair(a, b, c)))
}
