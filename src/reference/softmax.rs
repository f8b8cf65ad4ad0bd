//! Softmax over the middle axis of \[outer, classes, inner\]: y = exp(x - max) / sum of exp(x - max).

use super::{Checked, UNDERFLOW, relative_log, weighted};

/// y from x.
#[must_use]
pub fn forward(outer: usize, classes: usize, inner: usize, x: &[f64]) -> Checked {
    debug_assert_eq!(x.len(), outer * classes * inner, "x is [outer, classes, inner]");
    let mut y = Checked::zeros(x.len(), classes);
    for_each_row(outer, classes, inner, |row| {
        let max = row.clone().map(|index| x[index]).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.clone().map(|index| (x[index] - max).exp()).sum();
        // x - max and its exponential have a relative error that grows with |x - max|; so has the sum, by shares.
        let error = |index: usize| 1.0 + (x[index] - max).abs();
        for index in row.clone() {
            y.values[index] = (x[index] - max).exp() / sum;
        }
        let sum_error = row.clone().map(|index| weighted(y.values[index], error(index))).sum::<f64>();
        for index in row {
            y.magnitude[index] = weighted(y.values[index], error(index) + sum_error) + UNDERFLOW;
        }
    });
    y
}

/// dx = y · (dy - sum of y · dy).
#[must_use]
pub fn grad(outer: usize, classes: usize, inner: usize, y: &[f64], dy: &[f64]) -> Checked {
    debug_assert_eq!(y.len(), outer * classes * inner, "y is [outer, classes, inner]");
    debug_assert_eq!(dy.len(), y.len(), "dy has the shape of y");
    let mut dx = Checked::zeros(y.len(), classes);
    for_each_row(outer, classes, inner, |row| {
        let dot: f64 = row.clone().map(|index| y[index] * dy[index]).sum();
        // y is itself a rounded result: its relative error is the one above, where |x - max| <= |ln y|.
        let entropy: f64 = row.clone().map(|index| y[index] * relative_log(y[index])).sum();
        let error = |index: usize| 2.0 + relative_log(y[index]) + entropy;
        let dot_error: f64 = row.clone().map(|index| y[index] * dy[index].abs() * error(index)).sum();
        for index in row {
            dx.values[index] = y[index] * (dy[index] - dot);
            let spread = dy[index].abs() + dot.abs();
            dx.magnitude[index] = y[index] * (spread * error(index) + dot_error) + UNDERFLOW * spread;
        }
    });
    dx
}

/// Calls `visit` with the indices of each row along the middle axis.
fn for_each_row(
    outer: usize,
    classes: usize,
    inner: usize,
    mut visit: impl FnMut(std::iter::StepBy<std::ops::Range<usize>>),
) {
    for block in 0..outer {
        for column in 0..inner {
            let start = block * classes * inner + column;
            visit((start..(block + 1) * classes * inner).step_by(inner));
        }
    }
}
