//! One step of an optimizer on flat parameters p with gradients g, as PyTorch defines them.
//!
//! Hyper-parameters are used as given: to specify a kernel that holds them as f32, pass the f32 values widened, since
//! 1 - 0.999 magnifies the difference. Gradients come with their magnitudes: clipping has rounded them before.

use super::Checked;

/// Stochastic gradient descent.
#[derive(Debug, Clone, Copy)]
pub struct Sgd {
    /// The learning rate.
    pub lr: f64,
    /// The share of the velocity that lasts.
    pub momentum: f64,
    /// 1 - dampening; 1 in the first step.
    pub damping: f64,
    /// Added to the gradient, times p.
    pub weight_decay: f64,
    /// Whether to look ahead (Nesterov 1983, in the form of Sutskever et al. 2013).
    pub nesterov: bool,
}

impl Sgd {
    /// (p', v'): g ← g + weight_decay · p; v' = momentum · v + damping · g; p' = p - lr · (g + momentum · v' with
    /// Nesterov, else v'). Before the first step, v is 0.
    #[must_use]
    pub fn step(&self, p: &[f64], g: &Checked, v: &[f64]) -> [Checked; 2] {
        debug_assert!(p.len() == g.values.len() && p.len() == v.len(), "one gradient and one velocity a parameter");
        let (mut new_p, mut new_v) = (Checked::zeros(p.len(), 5), Checked::zeros(p.len(), 3));
        for i in 0..p.len() {
            let decayed = Term::of(g, i).plus(Term::sum(&[self.weight_decay * p[i]]));
            let velocity = decayed.times(self.damping).plus(Term::sum(&[self.momentum * v[i]]));
            let direction = if self.nesterov { decayed.plus(velocity.times(self.momentum)) } else { velocity };
            velocity.store(&mut new_v, i);
            Term::sum(&[p[i]]).plus(direction.times(-self.lr)).store(&mut new_p, i);
        }
        [new_p, new_v]
    }
}

/// Adam (Kingma and Ba 2015), or with decoupled weight decay AdamW (Loshchilov and Hutter 2019).
#[derive(Debug, Clone, Copy)]
pub struct Adam {
    /// The learning rate.
    pub lr: f64,
    /// The share of the first moment that lasts.
    pub beta1: f64,
    /// The share of the second moment that lasts.
    pub beta2: f64,
    /// Added to the divisor.
    pub eps: f64,
    /// Added to the gradient, times p, or taken from p.
    pub weight_decay: f64,
    /// Which of the two.
    pub decoupled: bool,
    /// The number of the step, from 1.
    pub step: u32,
}

impl Adam {
    /// (p', m', v'). Decoupled, p ← p - lr · weight_decay · p, else g ← g + weight_decay · p. Then
    /// m' = beta1 · m + (1 - beta1) · g, v' = beta2 · v + (1 - beta2) · g², and p' = p - lr · mhat / (sqrt(vhat) + eps)
    /// with mhat = m' / (1 - beta1^step), vhat = v' / (1 - beta2^step).
    #[must_use]
    pub fn step(&self, p: &[f64], g: &Checked, m: &[f64], v: &[f64]) -> [Checked; 3] {
        debug_assert!(p.len() == g.values.len() && p.len() == m.len() && p.len() == v.len(), "one of each a parameter");
        debug_assert!(self.step >= 1, "steps count from 1, or the bias correction divides by 0");
        let mut new_p = Checked::zeros(p.len(), 6);
        let (mut new_m, mut new_v) = (Checked::zeros(p.len(), 3), Checked::zeros(p.len(), 3));
        let correction = |beta: f64| 1.0 - beta.powf(f64::from(self.step));
        let (correction1, correction2) = (correction(self.beta1), correction(self.beta2));
        for i in 0..p.len() {
            let (kept, gradient) = decayed(p[i], Term::of(g, i), self.weight_decay, self.lr, self.decoupled);
            let first = gradient.times(1.0 - self.beta1).plus(Term::sum(&[self.beta1 * m[i]]));
            let second = gradient.squared().times(1.0 - self.beta2).plus(Term::sum(&[self.beta2 * v[i]]));
            first.store(&mut new_m, i);
            second.store(&mut new_v, i);
            let update = first.times(1.0 / correction1).over_root(second.times(1.0 / correction2), self.eps);
            kept.plus(update.times(-self.lr)).store(&mut new_p, i);
        }
        [new_p, new_m, new_v]
    }
}

/// RMSprop (Tieleman and Hinton 2012), centered as in Graves 2013.
#[derive(Debug, Clone, Copy)]
pub struct RmsProp {
    /// The learning rate.
    pub lr: f64,
    /// The share of the mean square that lasts.
    pub alpha: f64,
    /// Added to the divisor.
    pub eps: f64,
    /// Added to the gradient, times p.
    pub weight_decay: f64,
    /// The share of the velocity that lasts.
    pub momentum: f64,
    /// Whether to divide by the deviation in the place of the root mean square.
    pub centered: bool,
}

impl RmsProp {
    /// (p', s', a', v'): g ← g + weight_decay · p; s' = alpha · s + (1 - alpha) · g²; a' = alpha · a + (1 - alpha) · g;
    /// v' = momentum · v + g / (sqrt(s', or centered s' - a'²) + eps); p' = p - lr · v'.
    #[must_use]
    pub fn step(&self, p: &[f64], g: &Checked, s: &[f64], a: &[f64], v: &[f64]) -> [Checked; 4] {
        debug_assert!(p.len() == g.values.len() && p.len() == s.len(), "one of each a parameter");
        let [mut new_p, mut new_s, mut new_a, mut new_v] = [8, 3, 3, 7].map(|terms| Checked::zeros(p.len(), terms));
        for i in 0..p.len() {
            let gradient = Term::of(g, i).plus(Term::sum(&[self.weight_decay * p[i]]));
            let square = gradient.squared().times(1.0 - self.alpha).plus(Term::sum(&[self.alpha * s[i]]));
            let mean = gradient.times(1.0 - self.alpha).plus(Term::sum(&[self.alpha * a[i]]));
            square.store(&mut new_s, i);
            mean.store(&mut new_a, i);
            let mut second = square;
            if self.centered {
                second = square.plus(mean.squared().times(-1.0));
                second.value = second.value.max(0.0);
            }
            let velocity = gradient.over_root(second, self.eps).plus(Term::sum(&[self.momentum * v[i]]));
            velocity.store(&mut new_v, i);
            Term::sum(&[p[i]]).plus(velocity.times(-self.lr)).store(&mut new_p, i);
        }
        [new_p, new_s, new_a, new_v]
    }
}

/// Adagrad (Duchi, Hazan and Singer 2011).
#[derive(Debug, Clone, Copy)]
pub struct Adagrad {
    /// The learning rate.
    pub lr: f64,
    /// Added to the divisor.
    pub eps: f64,
    /// Added to the gradient, times p.
    pub weight_decay: f64,
}

impl Adagrad {
    /// (p', s'): g ← g + weight_decay · p; s' = s + g²; p' = p - lr · g / (sqrt(s') + eps).
    #[must_use]
    pub fn step(&self, p: &[f64], g: &Checked, s: &[f64]) -> [Checked; 2] {
        debug_assert!(p.len() == g.values.len() && p.len() == s.len(), "one of each a parameter");
        let (mut new_p, mut new_s) = (Checked::zeros(p.len(), 6), Checked::zeros(p.len(), 3));
        for i in 0..p.len() {
            let gradient = Term::of(g, i).plus(Term::sum(&[self.weight_decay * p[i]]));
            let sum = gradient.squared().plus(Term::sum(&[s[i]]));
            sum.store(&mut new_s, i);
            let update = gradient.over_root(sum, self.eps);
            Term::sum(&[p[i]]).plus(update.times(-self.lr)).store(&mut new_p, i);
        }
        [new_p, new_s]
    }
}

/// Lion (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms").
#[derive(Debug, Clone, Copy)]
pub struct Lion {
    /// The learning rate.
    pub lr: f64,
    /// The share of the moment in the direction.
    pub beta1: f64,
    /// The share of the moment that lasts.
    pub beta2: f64,
    /// Taken from p, times lr.
    pub weight_decay: f64,
}

impl Lion {
    /// (p', m'): p' = p - lr · weight_decay · p - lr · sign(beta1 · m + (1 - beta1) · g), where sign(0) = 0;
    /// m' = beta2 · m + (1 - beta2) · g.
    #[must_use]
    pub fn step(&self, p: &[f64], g: &Checked, m: &[f64]) -> [Checked; 2] {
        /// Roundings that a direction may be off by, in units of the last place of its terms.
        const UNSURE: f64 = 8.0;
        debug_assert!(p.len() == g.values.len() && p.len() == m.len(), "one of each a parameter");
        let (mut new_p, mut new_m) = (Checked::zeros(p.len(), 4), Checked::zeros(p.len(), 3));
        for i in 0..p.len() {
            let (kept, gradient) = decayed(p[i], Term::of(g, i), self.weight_decay, self.lr, true);
            let direction = gradient.times(1.0 - self.beta1).plus(Term::sum(&[self.beta1 * m[i]]));
            gradient.times(1.0 - self.beta2).plus(Term::sum(&[self.beta2 * m[i]])).store(&mut new_m, i);
            // Which side rounding leaves it on shows in the whole step.
            let epsilon = f64::from(f32::EPSILON);
            let unsure = direction.value.abs() < UNSURE * epsilon * direction.magnitude;
            let value = if direction.value == 0.0 { 0.0 } else { direction.value.signum() };
            let sign = Term { value, magnitude: if unsure { 2.0 / epsilon } else { value.abs() } };
            kept.plus(sign.times(-self.lr)).store(&mut new_p, i);
        }
        [new_p, new_m]
    }
}

/// A gradient added to those of the steps before it.
#[must_use]
pub fn gathered(g: &[f64], sum: &[f64]) -> Checked {
    let mut result = Checked::zeros(g.len(), 2);
    for (i, (g, sum)) in g.iter().zip(sum).enumerate() {
        result.add(i, *g);
        result.add(i, *sum);
    }
    result
}

/// A gradient times `mean`, then within ±`limit`, as PyTorch's `clip_grad_value_`.
#[must_use]
pub fn clipped(mut g: Checked, mean: f64, limit: f64) -> Checked {
    g.values.iter_mut().for_each(|value| *value = (*value * mean).clamp(-limit, limit));
    g.magnitude.iter_mut().for_each(|magnitude| *magnitude *= mean);
    g
}

/// The Euclidean norm of all gradients together.
#[must_use]
pub fn norm(gradients: &[Checked]) -> f64 {
    gradients.iter().flat_map(|g| &g.values).map(|g| g * g).sum::<f64>().sqrt()
}

/// Scales all gradients by min(1, max_norm / (norm + 1e-6)), as PyTorch's `clip_grad_norm_`. A gradient is then off by
/// what the norm is: half of the relative error of a sum of as many squares as there are gradients.
pub fn limit_norm(gradients: &mut [Checked], max_norm: f64) {
    let (norm, count) = (norm(gradients), gradients.iter().map(|g| g.values.len()).sum::<usize>());
    let scale = max_norm / (norm + 1e-6);
    if scale >= 1.0 {
        return;
    }
    for g in gradients {
        g.values.iter_mut().for_each(|value| *value *= scale);
        g.magnitude.iter_mut().for_each(|magnitude| *magnitude *= scale * (3.0 + 0.5 * (count as f64).sqrt()));
    }
}

/// An exponential moving average: decay · average + (1 - decay) · p'.
#[must_use]
pub fn averaged(average: &[f64], new_p: &Checked, decay: f64) -> Checked {
    let mut result = Checked::zeros(average.len(), new_p.terms + 2);
    for (i, &before) in average.iter().enumerate() {
        Term::sum(&[decay * before]).plus(Term::of(new_p, i).times(1.0 - decay)).store(&mut result, i);
    }
    result
}

/// The decay of an average that warms up, at update number `t` from 1: min(decay, (1 + t) / (10 + t)).
#[must_use]
pub fn warmed_up(decay: f64, t: u32) -> f64 {
    decay.min((1.0 + f64::from(t)) / (10.0 + f64::from(t)))
}

/// What remains of p, and the gradient, after weight decay.
fn decayed(p: f64, gradient: Term, weight_decay: f64, lr: f64, decoupled: bool) -> (Term, Term) {
    match decoupled {
        true => (Term::sum(&[p, -lr * weight_decay * p]), gradient),
        false => (Term::sum(&[p]), gradient.plus(Term::sum(&[weight_decay * p]))),
    }
}

/// A number with the magnitude of what was added to make it.
#[derive(Clone, Copy)]
struct Term {
    value: f64,
    magnitude: f64,
}

impl Term {
    fn of(checked: &Checked, index: usize) -> Self {
        Self { value: checked.values[index], magnitude: checked.magnitude[index] }
    }

    fn sum(terms: &[f64]) -> Self {
        Self { value: terms.iter().sum(), magnitude: terms.iter().map(|term| term.abs()).sum() }
    }

    fn plus(self, other: Self) -> Self {
        Self { value: self.value + other.value, magnitude: self.magnitude + other.magnitude }
    }

    fn times(self, factor: f64) -> Self {
        Self { value: self.value * factor, magnitude: self.magnitude * factor.abs() }
    }

    fn squared(self) -> Self {
        Self { value: self.value.powi(2), magnitude: self.magnitude.powi(2) }
    }

    /// self / (sqrt(square) + eps)
    fn over_root(self, square: Self, eps: f64) -> Self {
        let root = square.value.sqrt();
        let divisor = root + eps;
        // A square root halves the relative error of its argument.
        let divisor_error = if root > 0.0 { square.magnitude / (2.0 * root) } else { 0.0 };
        let magnitude = (self.magnitude + self.value.abs() * divisor_error / divisor) / divisor;
        Self { value: self.value / divisor, magnitude }
    }

    fn store(self, into: &mut Checked, index: usize) {
        into.values[index] = self.value;
        into.magnitude[index] = self.magnitude;
    }
}
