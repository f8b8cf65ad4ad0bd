//! Activations. Derivatives are functions of the result y where that loses nothing, so that x need not be kept, else of x.
//!
//! Such a y is itself a rounded result: the magnitudes of sigmoid's and tanh's derivatives count its error too. Magnitudes
//! follow from the accuracy that WGSL promises of its built-ins (`shaders/common/functions.wgsl`).

use super::pointwise::{complement, error_function};
use super::{Checked, UNDERFLOW, relative_log, weighted};

/// max(x, 0); a NaN stays.
#[must_use]
pub fn relu(x: &[f64]) -> Checked {
    Checked::exact(x.iter().map(|&x| if x <= 0.0 { 0.0 } else { x }).collect())
}

/// dy where y > 0, else 0.
#[must_use]
pub fn relu_grad(y: &[f64], dy: &[f64]) -> Checked {
    zip(y, dy, |y, dy| if y > 0.0 { exact(dy) } else { (0.0, 0.0) })
}

/// min(max(x, 0), 6); a NaN stays. A bound is no rounded number.
#[must_use]
pub fn relu6(x: &[f64]) -> Checked {
    map(x, |x| between(x, exact(x), 0.0, 6.0))
}

/// dy where 0 < y < 6, else 0.
#[must_use]
pub fn relu6_grad(y: &[f64], dy: &[f64]) -> Checked {
    zip(y, dy, |y, dy| if y > 0.0 && y < 6.0 { exact(dy) } else { (0.0, 0.0) })
}

/// min(max(x, low), high); a NaN stays.
#[must_use]
pub fn clip(x: &[f64], low: f64, high: f64) -> Checked {
    map(x, |x| between(x, exact(x), low, high))
}

/// dy where low ≤ x ≤ high, else 0.
#[must_use]
pub fn clip_grad(x: &[f64], dy: &[f64], low: f64, high: f64) -> Checked {
    zip(x, dy, |x, dy| if x < low || x > high { (0.0, 0.0) } else { exact(dy) })
}

/// What is below `low` or above `high` becomes that bound, which nothing has rounded.
fn between(x: f64, inside: (f64, f64), low: f64, high: f64) -> (f64, f64) {
    match x {
        x if x < low => (low, 0.0),
        x if x > high => (high, 0.0),
        _ => inside,
    }
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
    zip(y, dy, |y, dy| exact(if y > 0.0 { dy } else { slope * dy }))
}

/// x where x > 0, else slope · x, with a slope for each element.
#[must_use]
pub fn prelu(x: &[f64], slope: &[f64]) -> Checked {
    zip(x, slope, |x, slope| exact(if x > 0.0 { x } else { slope * x }))
}

/// dy where x > 0, else slope · dy.
#[must_use]
pub fn prelu_grad_input(x: &[f64], dy: &[f64], slope: &[f64]) -> Checked {
    let each = x.iter().zip(dy).zip(slope);
    Checked::from_pairs(1, each.map(|((&x, &dy), &slope)| exact(if x > 0.0 { dy } else { slope * dy })))
}

/// x · dy where x < 0, else 0.
#[must_use]
pub fn prelu_grad_slope(x: &[f64], dy: &[f64]) -> Checked {
    zip(x, dy, |x, dy| exact(if x < 0.0 { x * dy } else { 0.0 }))
}

/// ELU (Clevert et al. 2015), SELU (Klambauer et al. 2017) and CELU (Barron 2017): scale · x where x > 0, else
/// alpha · (exp(rate · x) - 1).
#[must_use]
pub fn elu(x: &[f64], scale: f64, alpha: f64, rate: f64) -> Checked {
    map(x, |x| {
        if x > 0.0 || x.is_nan() {
            return exact(scale * x);
        }
        let (t, y) = (rate * x, alpha * (rate * x).exp_m1());
        // Down to -1/2 a polynomial of relative accuracy, then a difference of which 1 is a term, and the exponential.
        let error = if t > -0.5 { 2.0 * y.abs() } else { alpha.abs() * (1.0 + weighted(t.exp(), 1.0 + t.abs())) };
        (y, error + y.abs())
    })
}

/// dy · scale where y > 0, else dy · rate · (y + alpha).
#[must_use]
pub fn elu_grad(y: &[f64], dy: &[f64], scale: f64, alpha: f64, rate: f64) -> Checked {
    zip(y, dy, |y, dy| match y {
        y if y > 0.0 => exact(dy * scale),
        _ => (dy * rate * (y + alpha), (dy * rate).abs() * (y.abs() + alpha.abs())),
    })
}

/// 1 / (1 + exp(-x)).
#[must_use]
pub fn sigmoid(x: &[f64]) -> Checked {
    map(x, logistic)
}

/// The logistic function with its magnitude: exp(-x) is known to a relative error that grows with |x|; it is the share
/// 1 - y of the divisor.
fn logistic(x: f64) -> (f64, f64) {
    let y = 1.0 / (1.0 + (-x).exp());
    (y, weighted(y, 1.0 + weighted(1.0 - y, x.abs())) + UNDERFLOW)
}

/// Its derivative as a function of x, e / (1 + e)² for e = exp(-|x|): the exponential's error, and that of a quotient.
fn logistic_slope(x: f64) -> (f64, f64) {
    let e = (-x.abs()).exp();
    let slope = e / (1.0 + e).powi(2);
    (slope, weighted(slope, 2.0 + x.abs()) + UNDERFLOW)
}

/// dy · y · (1 - y).
#[must_use]
pub fn sigmoid_grad(y: &[f64], dy: &[f64]) -> Checked {
    zip(y, dy, |y, dy| {
        // The derivative changes by at most the error of y, which is y · (1 + (1 - y)·|x|) <= y · (2 + |ln y|) above.
        let y_error = y * (2.0 + relative_log(y)) + UNDERFLOW;
        (dy * y * (1.0 - y), dy.abs() * (y * (1.0 - y) + y_error))
    })
}

/// min(max((x + 3) / 6, 0), 1).
#[must_use]
pub fn hard_sigmoid(x: &[f64]) -> Checked {
    map(x, hard_logistic)
}

fn hard_logistic(x: f64) -> (f64, f64) {
    let y = (x + 3.0) / 6.0;
    // The sum of two exact terms is rounded once, and so has a relative accuracy even near -3.
    between(y, (y, 2.0 * y.abs()), 0.0, 1.0)
}

/// dy / 6 where 0 < y < 1, else 0.
#[must_use]
pub fn hard_sigmoid_grad(y: &[f64], dy: &[f64]) -> Checked {
    zip(y, dy, |y, dy| if y > 0.0 && y < 1.0 { exact(dy / 6.0) } else { (0.0, 0.0) })
}

/// ln(1 / (1 + exp(-x))) = min(x, 0) - ln(1 + exp(-|x|)).
#[must_use]
pub fn log_sigmoid(x: &[f64]) -> Checked {
    map(x, |x| {
        let (y, magnitude) = soft_maximum(-x);
        (-y, magnitude)
    })
}

/// dy / (1 + exp(x)).
#[must_use]
pub fn log_sigmoid_grad(x: &[f64], dy: &[f64]) -> Checked {
    zip(x, dy, |x, dy| times(dy, logistic(-x)))
}

/// ln(1 + exp(x)) = max(x, 0) + ln(1 + exp(-|x|)), of which the logarithm has the exponential's relative error.
fn soft_maximum(x: f64) -> (f64, f64) {
    let rest = (-x.abs()).exp().ln_1p();
    (x.max(0.0) + rest, x.max(0.0) + weighted(rest, 2.0 + x.abs()) + UNDERFLOW)
}

/// ln(1 + exp(beta · x)) / beta; x where beta · x is above the threshold.
#[must_use]
pub fn softplus(x: &[f64], beta: f64, threshold: f64) -> Checked {
    map(x, |x| {
        if beta * x > threshold {
            return exact(x);
        }
        let (y, magnitude) = soft_maximum(beta * x);
        // The quotient rounds as well.
        (y / beta, ((magnitude + y) / beta).abs())
    })
}

/// dy / (1 + exp(-beta · x)); dy where beta · x is above the threshold.
#[must_use]
pub fn softplus_grad(x: &[f64], dy: &[f64], beta: f64, threshold: f64) -> Checked {
    zip(x, dy, |x, dy| if beta * x > threshold { exact(dy) } else { times(dy, logistic(beta * x)) })
}

/// tanh(x).
#[must_use]
pub fn tanh(x: &[f64]) -> Checked {
    map(x, |x| {
        let y = x.tanh();
        // WGSL's tanh may be made of exponentials, which cancel near 0: there it has only an absolute accuracy.
        (y, 1.0 + weighted(1.0 - y * y, x.abs()))
    })
}

/// dy · (1 - y²).
#[must_use]
pub fn tanh_grad(y: &[f64], dy: &[f64]) -> Checked {
    // The terms 1 and y², and 2·|y| times an absolute error of y.
    zip(y, dy, |y, dy| (dy * (1.0 - y * y), dy.abs() * (1.0 + y.abs()).powi(2)))
}

/// x · sigmoid(x).
#[must_use]
pub fn silu(x: &[f64]) -> Checked {
    map(x, |x| times(x, logistic(x)))
}

/// dy · (sigmoid(x) + x · sigmoid'(x)).
#[must_use]
pub fn silu_grad(x: &[f64], dy: &[f64]) -> Checked {
    zip(x, dy, |x, dy| times(dy, plus(logistic(x), times(x, logistic_slope(x)))))
}

/// x · hard_sigmoid(x).
#[must_use]
pub fn hard_swish(x: &[f64]) -> Checked {
    map(x, |x| times(x, hard_logistic(x)))
}

/// 0 up to -3, dy from 3 on, between them dy · (2x + 3) / 6.
#[must_use]
pub fn hard_swish_grad(x: &[f64], dy: &[f64]) -> Checked {
    zip(x, dy, |x, dy| match x {
        x if x <= -3.0 => (0.0, 0.0),
        x if x >= 3.0 => exact(dy),
        _ => (dy * (x + 1.5) / 3.0, dy.abs() * (x.abs() + 1.5) / 3.0),
    })
}

/// x · tanh(ln(1 + exp(x))).
#[must_use]
pub fn mish(x: &[f64]) -> Checked {
    map(x, |x| times(x, mish_gate(x)))
}

/// tanh(ln(1 + e^x)): with w = e^x · (e^x + 2) it is w / (w + 2), a quotient of sums of positive terms, which have the
/// relative error of the exponential of -|x|; where that is 0 both ways lead to a constant.
fn mish_gate(x: f64) -> (f64, f64) {
    let y = (x.max(0.0) + (-x.abs()).exp().ln_1p()).tanh();
    (y, y * (2.0 + weighted(2.0 * (1.0 - y), x.abs())) + UNDERFLOW)
}

/// dy · (tanh(s) + x · (1 - tanh²(s)) · sigmoid(x)) for s = ln(1 + exp(x)).
#[must_use]
pub fn mish_grad(x: &[f64], dy: &[f64]) -> Checked {
    zip(x, dy, |x, dy| {
        let (gate, (share, _)) = (mish_gate(x), logistic(x));
        let s = x.max(0.0) + (-x.abs()).exp().ln_1p();
        // 1 - tanh² is 1 / cosh². The exponential is a factor of it, up to twice.
        let bend = share / s.cosh().powi(2);
        times(dy, plus(gate, times(x, (bend, weighted(bend, 4.0 + 2.0 * x.abs()) + UNDERFLOW))))
    })
}

/// x / (1 + |x|).
#[must_use]
pub fn softsign(x: &[f64]) -> Checked {
    map(x, |x| (x / (1.0 + x.abs()), 2.0 * (x / (1.0 + x.abs())).abs()))
}

/// dy / (1 + |x|)².
#[must_use]
pub fn softsign_grad(x: &[f64], dy: &[f64]) -> Checked {
    zip(x, dy, |x, dy| (dy / (1.0 + x.abs()).powi(2), 2.0 * dy.abs() / (1.0 + x.abs()).powi(2)))
}

/// x · Φ(x) for the normal distribution's function Φ(x) = (1 + erf(x/√2)) / 2 (Hendrycks and Gimpel 2016).
#[must_use]
pub fn gelu(x: &[f64]) -> Checked {
    map(x, |x| times(x, normal(x)))
}

/// Φ with its magnitude: of absolute accuracy, but below -√2 that of an exponential of -x²/2, whose argument rounds.
fn normal(x: f64) -> (f64, f64) {
    let z = x * std::f64::consts::FRAC_1_SQRT_2;
    if z <= -1.0 {
        let tail = 0.5 * complement(-z);
        return (tail, weighted(tail, 3.0 + 2.0 * z * z) + UNDERFLOW);
    }
    let y = 0.5 + 0.5 * error_function(z);
    (y, 0.5 + y)
}

/// dy · (Φ(x) + x · exp(-x²/2) / √(2π)).
#[must_use]
pub fn gelu_grad(x: &[f64], dy: &[f64]) -> Checked {
    zip(x, dy, |x, dy| {
        let density = (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        times(dy, plus(normal(x), times(x, (density, density * (3.0 + x * x) + UNDERFLOW))))
    })
}

/// x · (1 + tanh(u)) / 2 for u = √(2/π) · (x + 0.044715 x³), which is x · sigmoid(2u).
#[must_use]
pub fn gelu_tanh(x: &[f64]) -> Checked {
    map(x, |x| times(x, gelu_tanh_gate(x)))
}

fn gelu_tanh_inner(x: f64) -> f64 {
    2.0 * std::f64::consts::FRAC_2_PI.sqrt() * (x + 0.044_715 * x.powi(3))
}

/// sigmoid(2u), whose argument has some roundings of its own: as many ULP as the exponential of it.
fn gelu_tanh_gate(x: f64) -> (f64, f64) {
    let u = gelu_tanh_inner(x);
    let ((y, magnitude), (slope, _)) = (logistic(u), logistic_slope(u));
    (y, magnitude + weighted(slope, u.abs()))
}

/// dy · (sigmoid(2u) + x · sigmoid'(2u) · 2u').
#[must_use]
pub fn gelu_tanh_grad(x: &[f64], dy: &[f64]) -> Checked {
    zip(x, dy, |x, dy| {
        let u = gelu_tanh_inner(x);
        let inner = 2.0 * std::f64::consts::FRAC_2_PI.sqrt() * (1.0 + 3.0 * 0.044_715 * x * x);
        let (slope, magnitude) = logistic_slope(u);
        let bend = (slope, magnitude + weighted(slope, 3.0 + u.abs()));
        let bent = if slope == 0.0 { (0.0, UNDERFLOW) } else { times(x * inner, bend) };
        times(dy, plus(gelu_tanh_gate(x), bent))
    })
}

/// A product with a factor that is exact, but for its own rounding.
fn times(factor: f64, (value, magnitude): (f64, f64)) -> (f64, f64) {
    let value_by_factor = if value == 0.0 && factor.is_finite() { 0.0 } else { factor * value };
    (value_by_factor, factor.abs() * (magnitude + value.abs()))
}

fn plus((a, a_magnitude): (f64, f64), (b, b_magnitude): (f64, f64)) -> (f64, f64) {
    (a + b, a_magnitude + b_magnitude)
}

fn exact(value: f64) -> (f64, f64) {
    (value, value.abs())
}

fn map(x: &[f64], pair: impl Fn(f64) -> (f64, f64)) -> Checked {
    Checked::from_pairs(1, x.iter().map(|&x| pair(x)))
}

fn zip(a: &[f64], b: &[f64], pair: impl Fn(f64, f64) -> (f64, f64)) -> Checked {
    debug_assert_eq!(a.len(), b.len(), "the operands have one shape");
    Checked::from_pairs(1, a.iter().zip(b).map(|(&a, &b)| pair(a, b)))
}
