//! Losses of single elements x against targets t, before they are added up.

use super::{Checked, UNDERFLOW};

fn each(x: &[f64], t: &[f64], loss: impl Fn(f64, f64) -> (f64, f64)) -> Checked {
    debug_assert_eq!(x.len(), t.len(), "one target an element");
    Checked::from_pairs(1, x.iter().zip(t).map(|(&x, &t)| loss(x, t)))
}

/// (x - t)²: the difference's rounding counts twice.
#[must_use]
pub fn squared(x: &[f64], t: &[f64]) -> Checked {
    each(x, t, |x, t| ((x - t).powi(2), 3.0 * (x - t).powi(2)))
}

/// |x - t|.
#[must_use]
pub fn absolute(x: &[f64], t: &[f64]) -> Checked {
    each(x, t, |x, t| ((x - t).abs(), (x - t).abs()))
}

/// d²/2 for d = |x - t| up to delta, delta·(d - delta/2) beyond.
#[must_use]
pub fn huber(x: &[f64], t: &[f64], delta: f64) -> Checked {
    each(x, t, |x, t| {
        let d = (x - t).abs();
        let value = if d <= delta { d * d / 2.0 } else { delta * (d - delta / 2.0) };
        // Of c·(d - c/2) with c = min(d, delta) each factor is off by one rounding of d or c.
        (value, 3.0 * d.min(delta) * d)
    })
}

/// -(t·ln σ(x) + (1 - t)·ln(1 - σ(x))) of logits x.
#[must_use]
pub fn binary_cross_entropy_with_logits(x: &[f64], t: &[f64]) -> Checked {
    // ln(1 + exp(x)).
    let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
    each(x, t, |x, t| {
        let (wrong, right) = ((1.0 - t) * softplus(x), t * softplus(-x));
        // The exponential of x is off by x roundings, of which its own size is left in the logarithm.
        let size = (wrong.abs() + right.abs()) * (4.0 + x.abs().min(90.0)) + t.abs().max(1.0) * softplus(-x.abs());
        (wrong + right, size + UNDERFLOW)
    })
}

/// t·(ln t - x) of logarithms of probabilities x, 0 where t is 0.
#[must_use]
pub fn kl_divergence(x: &[f64], t: &[f64]) -> Checked {
    each(x, t, |x, t| {
        let logarithm = if t > 0.0 { t.ln() } else { 0.0 };
        (t * (logarithm - x), t * (1.0 + 4.0 * logarithm.abs() + 2.0 * (logarithm - x).abs()))
    })
}
