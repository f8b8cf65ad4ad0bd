//! Products over the middle axis of \[outer, length, inner\].

use super::{Checked, UNDERFLOW};

/// y\[outer, inner\] = product of x along the axis.
#[must_use]
pub fn forward([outer, length, inner]: [usize; 3], x: &[f64]) -> Checked {
    debug_assert_eq!(x.len(), outer * length * inner, "x is [outer, length, inner]");
    let row = |index: usize| (0..length).map(move |n| x[(index / inner * length + n) * inner + index % inner]);
    Checked::from_pairs(length, (0..outer * inner).map(|index| of(row(index))))
}

/// dx: dy times the product of the others.
#[must_use]
pub fn grad_input([outer, length, inner]: [usize; 3], x: &[f64], dy: &[f64]) -> Checked {
    debug_assert_eq!(dy.len(), outer * inner, "dy is [outer, inner]");
    let one = |index: usize| {
        let (row, a) = (index / inner / length, index / inner % length);
        let column = index % inner;
        let others = (0..length).filter(|&n| n != a).map(|n| x[(row * length + n) * inner + column]);
        of(others.chain([dy[row * inner + column]]))
    };
    Checked::from_pairs(length, (0..outer * length * inner).map(one))
}

/// A product, and the magnitude of its error: each factor adds one rounding of the whole, and where a product of some is
/// flushed to 0, what the others make of that is lost.
fn of(factors: impl Iterator<Item = f64>) -> (f64, f64) {
    let (product, grown) =
        factors.fold((1.0_f64, 1.0_f64), |(product, grown), factor| (product * factor, grown * factor.abs().max(1.0)));
    (product, product.abs() + UNDERFLOW * grown)
}
