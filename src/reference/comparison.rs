//! Masks: 1 where something holds, 0 where it does not; and the choice by one. Nothing is rounded. Comparisons with NaN do
//! not hold, but for that of being unequal.

use super::Checked;

/// a = b.
#[must_use]
pub fn equal(a: &[f64], b: &[f64]) -> Checked {
    mask(a, b, |a, b| a == b)
}

/// a ≠ b.
#[must_use]
pub fn not_equal(a: &[f64], b: &[f64]) -> Checked {
    mask(a, b, |a, b| a != b)
}

/// a < b.
#[must_use]
pub fn less(a: &[f64], b: &[f64]) -> Checked {
    mask(a, b, |a, b| a < b)
}

/// a ≤ b.
#[must_use]
pub fn less_or_equal(a: &[f64], b: &[f64]) -> Checked {
    mask(a, b, |a, b| a <= b)
}

/// a > b.
#[must_use]
pub fn greater(a: &[f64], b: &[f64]) -> Checked {
    mask(a, b, |a, b| a > b)
}

/// a ≥ b.
#[must_use]
pub fn greater_or_equal(a: &[f64], b: &[f64]) -> Checked {
    mask(a, b, |a, b| a >= b)
}

/// Both hold: neither is 0.
#[must_use]
pub fn logical_and(a: &[f64], b: &[f64]) -> Checked {
    mask(a, b, |a, b| a != 0.0 && b != 0.0)
}

/// One of them holds, or both.
#[must_use]
pub fn logical_or(a: &[f64], b: &[f64]) -> Checked {
    mask(a, b, |a, b| a != 0.0 || b != 0.0)
}

/// It does not hold: it is 0.
#[must_use]
pub fn logical_not(a: &[f64]) -> Checked {
    mask(a, a, |a, _| a == 0.0)
}

/// a where the condition holds, else b.
#[must_use]
pub fn select(condition: &[f64], a: &[f64], b: &[f64]) -> Checked {
    debug_assert!(condition.len() == a.len() && a.len() == b.len(), "the operands have one shape");
    let chosen = condition.iter().zip(a.iter().zip(b));
    Checked::exact(chosen.map(|(&holds, (&a, &b))| if holds != 0.0 { a } else { b }).collect())
}

/// The gradient by a: dy where the condition holds, else 0.
#[must_use]
pub fn select_grad_first(condition: &[f64], dy: &[f64]) -> Checked {
    select(condition, dy, &vec![0.0; dy.len()])
}

/// The gradient by b: dy where the condition does not hold, else 0.
#[must_use]
pub fn select_grad_second(condition: &[f64], dy: &[f64]) -> Checked {
    select(condition, &vec![0.0; dy.len()], dy)
}

fn mask(a: &[f64], b: &[f64], holds: impl Fn(f64, f64) -> bool) -> Checked {
    debug_assert_eq!(a.len(), b.len(), "the operands have one shape");
    Checked::exact(a.iter().zip(b).map(|(&a, &b)| if holds(a, b) { 1.0 } else { 0.0 }).collect())
}
