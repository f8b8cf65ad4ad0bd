//! One step of an optimizer on flat parameters p with gradients g, as PyTorch defines them.
//!
//! Hyper-parameters are used as given: to specify a kernel that holds them as f32, pass the f32 values widened, since
//! 1 - 0.999 magnifies the difference.

use super::Checked;

/// Stochastic gradient descent; (p', v').
///
/// g ← g + weight_decay · p; v' = momentum · v + g; p' = p - lr · (g + momentum · v' with Nesterov, else v').
/// Before the first step, v is 0.
#[must_use]
#[allow(clippy::too_many_arguments, reason = "the formula has this many inputs")]
pub fn sgd(
    p: &[f64],
    g: &[f64],
    v: &[f64],
    lr: f64,
    momentum: f64,
    weight_decay: f64,
    nesterov: bool,
) -> (Checked, Checked) {
    debug_assert!(p.len() == g.len() && p.len() == v.len(), "one gradient and one velocity a parameter");
    let mut new_v = Checked::zeros(p.len(), 3);
    let mut new_p = Checked::zeros(p.len(), 5);
    for i in 0..p.len() {
        let decayed = Term::sum(&[g[i], weight_decay * p[i]]);
        let velocity = decayed.plus(Term::sum(&[momentum * v[i]]));
        let direction = if nesterov { decayed.plus(velocity.times(momentum)) } else { velocity };
        velocity.store(&mut new_v, i);
        Term::sum(&[p[i]]).plus(direction.times(-lr)).store(&mut new_p, i);
    }
    (new_p, new_v)
}

/// Adam, or with `decoupled` weight decay AdamW; (p', m', v').
///
/// Decoupled, p ← p - lr · weight_decay · p, else g ← g + weight_decay · p. Then m' = beta1 · m + (1 - beta1) · g,
/// v' = beta2 · v + (1 - beta2) · g², and p' = p - lr · mhat / (sqrt(vhat) + eps) with mhat = m' / (1 - beta1^step),
/// vhat = v' / (1 - beta2^step). Steps count from 1.
#[must_use]
#[allow(clippy::too_many_arguments, reason = "the formula has this many inputs")]
pub fn adam(
    p: &[f64],
    g: &[f64],
    m: &[f64],
    v: &[f64],
    step: u32,
    lr: f64,
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    decoupled: bool,
) -> (Checked, Checked, Checked) {
    debug_assert!(p.len() == g.len() && p.len() == m.len() && p.len() == v.len(), "one of each a parameter");
    debug_assert!(step >= 1, "steps count from 1, or the bias correction divides by 0");
    let mut new_p = Checked::zeros(p.len(), 6);
    let mut new_m = Checked::zeros(p.len(), 3);
    let mut new_v = Checked::zeros(p.len(), 3);
    let (correction1, correction2) = (1.0 - beta1.powf(f64::from(step)), 1.0 - beta2.powf(f64::from(step)));
    for i in 0..p.len() {
        let (coupled_decay, decoupled_decay) = if decoupled { (0.0, weight_decay) } else { (weight_decay, 0.0) };
        let gradient = Term::sum(&[g[i], coupled_decay * p[i]]);
        let square = Term { value: gradient.value.powi(2), magnitude: gradient.magnitude.powi(2) };
        let first = gradient.times(1.0 - beta1).plus(Term::sum(&[beta1 * m[i]]));
        let second = square.times(1.0 - beta2).plus(Term::sum(&[beta2 * v[i]]));
        first.store(&mut new_m, i);
        second.store(&mut new_v, i);

        let mean = first.times(1.0 / correction1);
        let root = (second.value / correction2).sqrt();
        let divisor = root + eps;
        // A square root halves the relative error of its argument.
        let divisor_error = if root > 0.0 { second.magnitude / correction2 / (2.0 * root) } else { 0.0 };
        let update = Term {
            value: mean.value / divisor,
            magnitude: (mean.magnitude + mean.value.abs() * divisor_error / divisor) / divisor,
        };
        Term::sum(&[p[i], -lr * decoupled_decay * p[i]]).plus(update.times(-lr)).store(&mut new_p, i);
    }
    (new_p, new_m, new_v)
}

/// A number with the magnitude of what was added to make it.
#[derive(Clone, Copy)]
struct Term {
    value: f64,
    magnitude: f64,
}

impl Term {
    fn sum(terms: &[f64]) -> Self {
        Self { value: terms.iter().sum(), magnitude: terms.iter().map(|term| term.abs()).sum() }
    }

    fn plus(self, other: Self) -> Self {
        Self { value: self.value + other.value, magnitude: self.magnitude + other.magnitude }
    }

    fn times(self, factor: f64) -> Self {
        Self { value: self.value * factor, magnitude: self.magnitude * factor.abs() }
    }

    fn store(self, into: &mut Checked, index: usize) {
        into.values[index] = self.value;
        into.magnitude[index] = self.magnitude;
    }
}
