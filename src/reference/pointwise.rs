//! Elementary functions of each element alone. Derivatives are functions of the result y where that loses nothing, else of
//! the argument x.
//!
//! Magnitudes follow from the accuracy that WGSL promises of its built-ins (`shaders/common/functions.wgsl`).

use super::{Checked, UNDERFLOW};

/// -x.
#[must_use]
pub fn negative(x: &[f64]) -> Checked {
    map(x, |x| exact(-x))
}

/// |x|.
#[must_use]
pub fn abs(x: &[f64]) -> Checked {
    map(x, |x| exact(x.abs()))
}

/// dy with the sign of x, 0 where x is.
#[must_use]
pub fn abs_grad(x: &[f64], dy: &[f64]) -> Checked {
    zip(x, dy, |x, dy| exact(dy * sign_of(x)))
}

/// -1, 0 or 1; a NaN stays.
#[must_use]
pub fn sign(x: &[f64]) -> Checked {
    map(x, |x| exact(sign_of(x)))
}

fn sign_of(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

/// The greatest integer that is not above x.
#[must_use]
pub fn floor(x: &[f64]) -> Checked {
    map(x, |x| exact(x.floor()))
}

/// The least integer that is not below x.
#[must_use]
pub fn ceil(x: &[f64]) -> Checked {
    map(x, |x| exact(x.ceil()))
}

/// The nearest integer, the even one of two.
#[must_use]
pub fn round(x: &[f64]) -> Checked {
    map(x, |x| exact(x.round_ties_even()))
}

/// x².
#[must_use]
pub fn square(x: &[f64]) -> Checked {
    map(x, |x| exact(x * x))
}

/// dy · 2x.
#[must_use]
pub fn square_grad(x: &[f64], dy: &[f64]) -> Checked {
    zip(x, dy, |x, dy| exact(dy * 2.0 * x))
}

/// √x, which WGSL leads back to 1 / inverseSqrt(x): 2 ULP and 2.5 of the quotient.
#[must_use]
pub fn sqrt(x: &[f64]) -> Checked {
    map(x, |x| (x.sqrt(), 2.0 * x.sqrt()))
}

/// dy / 2y.
#[must_use]
pub fn sqrt_grad(y: &[f64], dy: &[f64]) -> Checked {
    zip(y, dy, |y, dy| exact(0.5 * dy / y))
}

/// 1 / x.
#[must_use]
pub fn reciprocal(x: &[f64]) -> Checked {
    map(x, |x| exact(1.0 / x))
}

/// -dy · y².
#[must_use]
pub fn reciprocal_grad(y: &[f64], dy: &[f64]) -> Checked {
    zip(y, dy, |y, dy| exact(-dy * y * y))
}

/// e^x, off by (3 + 2|x|) ULP. The gradient is the product dy · y.
#[must_use]
pub fn exp(x: &[f64]) -> Checked {
    map(x, |x| (x.exp(), x.exp() * (1.0 + x.abs()) + UNDERFLOW))
}

/// ln x, off by 2^-21 = 4 eps near 1, else by 3 ULP. The gradient is the quotient dy / x.
#[must_use]
pub fn log(x: &[f64]) -> Checked {
    map(x, |x| (x.ln(), 1.0 + x.ln().abs()))
}

/// The error function, 2/√π times the integral of exp(-t²) from 0 to x.
#[must_use]
pub fn erf(x: &[f64]) -> Checked {
    // A polynomial of relative accuracy up to 1, then 1 - erfc, of which the difference rounds.
    map(x, |x| {
        let y = error_function(x);
        (y, 2.0 * y.abs())
    })
}

/// dy · 2/√π · exp(-x²): x² rounds, and so do its exponential, by as much as it is large, and two products.
#[must_use]
pub fn erf_grad(x: &[f64], dy: &[f64]) -> Checked {
    zip(x, dy, |x, dy| {
        let dx = dy * std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp();
        (dx, dx.abs() * (2.0 + x * x) + dy.abs() * 2.0 * UNDERFLOW)
    })
}

/// sin x for |x| up to 8,192: of relative accuracy up to π/4, beyond of absolute.
#[must_use]
pub fn sin(x: &[f64]) -> Checked {
    map(x, sine)
}

fn sine(x: f64) -> (f64, f64) {
    let (y, near) = (x.sin(), x.abs() < std::f64::consts::FRAC_PI_4);
    (y, if near { 2.0 * y.abs() } else { 1.0 + y.abs() })
}

/// dy · cos x.
#[must_use]
pub fn sin_grad(x: &[f64], dy: &[f64]) -> Checked {
    zip(x, dy, |x, dy| (dy * x.cos(), dy.abs() * (1.0 + x.cos().abs())))
}

/// cos x for |x| up to 8,192.
#[must_use]
pub fn cos(x: &[f64]) -> Checked {
    map(x, |x| (x.cos(), 1.0 + x.cos().abs()))
}

/// -dy · sin x.
#[must_use]
pub fn cos_grad(x: &[f64], dy: &[f64]) -> Checked {
    zip(x, dy, |x, dy| (-dy * sine(x).0, dy.abs() * sine(x).1))
}

/// erf by its Maclaurin series (Abramowitz and Stegun 7.1.6, whose terms are positive), beyond 3 as 1 - erfc.
pub(crate) fn error_function(x: f64) -> f64 {
    if x.abs() > 3.0 {
        return x.signum() * (1.0 - complement(x.abs()));
    }
    // 2/√π e^(-x²) Σ 2ⁿ x^(2n+1) / (1·3·5···(2n+1)).
    let (mut term, mut sum) = (x, x);
    for n in 1..100 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// erfc for z >= 1 by its continued fraction (Abramowitz and Stegun 7.1.14), evaluated from behind.
pub(super) fn complement(z: f64) -> f64 {
    let fraction = (1..400).rev().fold(z, |fraction, k| z + f64::from(k) / 2.0 / fraction);
    (-z * z).exp() / std::f64::consts::PI.sqrt() / fraction
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
