//! Operations on each element alone. Derivatives are taken from the output y, so that the input need not be kept.
//!
//! Such a y is itself a rounded result: the magnitudes of the derivatives count its error too.

use super::{Checked, UNDERFLOW, relative_log, weighted};

/// max(x, 0); a NaN stays.
#[must_use]
pub fn relu(x: &[f64]) -> Checked {
    Checked::exact(x.iter().map(|&x| if x <= 0.0 { 0.0 } else { x }).collect())
}

/// dy where y > 0, else 0.
#[must_use]
pub fn relu_grad(y: &[f64], dy: &[f64]) -> Checked {
    zip(1, y, dy, |y, dy| if y > 0.0 { (dy, dy.abs()) } else { (0.0, 0.0) })
}

/// x where x > 0, else slope · x; a NaN stays.
#[must_use]
pub fn leaky_relu(x: &[f64], slope: f64) -> Checked {
    Checked::exact(x.iter().map(|&x| if x > 0.0 { x } else { slope * x }).collect())
}

/// dy where y > 0, else slope · dy. The slope is not negative, or y would not tell the sign of x.
#[must_use]
pub fn leaky_relu_grad(y: &[f64], dy: &[f64], slope: f64) -> Checked {
    debug_assert!(slope >= 0.0, "y has the sign of x");
    zip(1, y, dy, |y, dy| {
        let dx = if y > 0.0 { dy } else { slope * dy };
        (dx, dx.abs())
    })
}

/// 1 / (1 + exp(-x)).
#[must_use]
pub fn sigmoid(x: &[f64]) -> Checked {
    Checked::from_pairs(
        1,
        x.iter().map(|&x| {
            let y = 1.0 / (1.0 + (-x).exp());
            // exp(-x) is known to a relative error that grows with |x|; it is the share 1 - y of the divisor.
            (y, weighted(y, 1.0 + weighted(1.0 - y, x.abs())) + UNDERFLOW)
        }),
    )
}

/// dy · y · (1 - y).
#[must_use]
pub fn sigmoid_grad(y: &[f64], dy: &[f64]) -> Checked {
    zip(1, y, dy, |y, dy| {
        // The derivative changes by at most the error of y, which is y · (1 + (1 - y)·|x|) <= y · (2 + |ln y|) above.
        let y_error = y * (2.0 + relative_log(y)) + UNDERFLOW;
        (dy * y * (1.0 - y), dy.abs() * (y * (1.0 - y) + y_error))
    })
}

/// tanh(x).
#[must_use]
pub fn tanh(x: &[f64]) -> Checked {
    Checked::from_pairs(
        1,
        x.iter().map(|&x| {
            let y = x.tanh();
            // WGSL's tanh may be made of exponentials, which cancel near 0: there it has only an absolute accuracy.
            (y, 1.0 + weighted(1.0 - y * y, x.abs()))
        }),
    )
}

/// dy · (1 - y²).
#[must_use]
pub fn tanh_grad(y: &[f64], dy: &[f64]) -> Checked {
    // The terms 1 and y², and 2·|y| times an absolute error of y.
    zip(1, y, dy, |y, dy| (dy * (1.0 - y * y), dy.abs() * (1.0 + y.abs()).powi(2)))
}

fn zip(terms: usize, a: &[f64], b: &[f64], pair: impl Fn(f64, f64) -> (f64, f64)) -> Checked {
    debug_assert_eq!(a.len(), b.len(), "the operands have one shape");
    Checked::from_pairs(terms, a.iter().zip(b).map(|(&a, &b)| pair(a, b)))
}
