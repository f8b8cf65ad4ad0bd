//! Losses of \[outer, classes, inner\] against labels \[outer, inner\], example by example, with weights of classes,
//! smoothing and a label that does not count.
//!
//! Expected is q(c) = weight(c)·((1 - smoothing)·\[c = label\] + smoothing / classes). loss = sum of q(c)·(lse - x(c)), where
//! lse = ln(sum of exp(x)) of logits, and 0 of logarithms of probabilities; dx(c) = dloss·(Q·softmax(x)(c) - q(c)), Q the
//! sum of q, where the first term is missing of logarithms.

use super::{Checked, UNDERFLOW, weighted};

/// The sizes and settings of a loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Examples before the class axis.
    pub outer: usize,
    /// Number of classes.
    pub classes: usize,
    /// Places behind the class axis.
    pub inner: usize,
    /// Whether x are logits, else logarithms of probabilities.
    pub logits: bool,
    /// A weight for each class.
    pub weights: Vec<f64>,
    /// The label that does not count.
    pub ignored: Option<u32>,
    /// The share of the expected probability that all classes get.
    pub smoothing: f64,
}

impl Settings {
    fn row<'a>(&self, x: &'a [f64], example: usize) -> Vec<&'a f64> {
        let start = example / self.inner * self.classes * self.inner + example % self.inner;
        x[start..].iter().step_by(self.inner).take(self.classes).collect()
    }

    /// q, or `None` of a label that is no class.
    fn expected(&self, label: u32) -> Option<Vec<f64>> {
        self.weights.get(label as usize)?;
        let one = |(class, weight): (usize, &f64)| {
            let own = if class == label as usize { 1.0 - self.smoothing } else { 0.0 };
            weight * (own + self.smoothing / self.classes as f64)
        };
        Some(self.weights.iter().enumerate().map(one).collect())
    }
}

/// The losses, and the weights of the examples' labels.
#[must_use]
pub fn forward(settings: &Settings, x: &[f64], labels: &[u32]) -> (Checked, Vec<f64>) {
    debug_assert_eq!(labels.len(), settings.outer * settings.inner, "labels are [outer, inner]");
    let mut weights = Vec::new();
    let mut pairs = Vec::new();
    for (example, &label) in labels.iter().enumerate() {
        if settings.ignored == Some(label) {
            weights.push(0.0);
            pairs.push((0.0, 0.0));
            continue;
        }
        let Some(expected) = settings.expected(label) else {
            weights.push(f64::NAN);
            pairs.push((f64::NAN, f64::NAN));
            continue;
        };
        weights.push(settings.weights[label as usize]);
        let row = settings.row(x, example);
        let (scale, max, error) = normalizer(settings, &row);
        let terms = row.iter().zip(&expected).map(|(x, q)| {
            let distance = scale - (*x - max);
            (q * distance, q.abs() * (scale.abs() + (*x - max).abs() + error))
        });
        pairs.push(terms.fold((0.0, 0.0), |(sum, size), (term, magnitude)| (sum + term, size + magnitude)));
    }
    (Checked::from_pairs(settings.classes, pairs.into_iter()), weights)
}

/// Of logits, ln(sum of exp(x - max)), max, and the absolute error of the logarithm in units of one rounding: the sum's
/// relative one, by shares 1 + |x - max| as in softmax.
fn normalizer(settings: &Settings, row: &[&f64]) -> (f64, f64, f64) {
    if !settings.logits {
        return (0.0, 0.0, 0.0);
    }
    let max = row.iter().fold(f64::NEG_INFINITY, |max, x| max.max(**x));
    let sum: f64 = row.iter().map(|x| (**x - max).exp()).sum();
    let error = row.iter().map(|x| weighted((**x - max).exp() / sum, 1.0 + (**x - max).abs())).sum();
    (sum.ln(), max, error)
}

/// dx for one dloss an example.
#[must_use]
pub fn grad(settings: &Settings, x: &[f64], labels: &[u32], dloss: &[f64]) -> Checked {
    debug_assert_eq!(dloss.len(), labels.len(), "one dloss an example");
    let mut dx = Checked::zeros(x.len(), settings.classes);
    for (example, (&label, &dloss)) in labels.iter().zip(dloss).enumerate() {
        if settings.ignored == Some(label) {
            continue;
        }
        let start = example / settings.inner * settings.classes * settings.inner + example % settings.inner;
        let Some(expected) = settings.expected(label) else {
            (0..settings.classes).for_each(|class| dx.add(start + class * settings.inner, f64::NAN));
            continue;
        };
        let row = settings.row(x, example);
        let (scale, max, error) = normalizer(settings, &row);
        let total: f64 = expected.iter().sum();
        for (class, (x, q)) in row.iter().zip(&expected).enumerate() {
            let probability = if settings.logits { (*x - max - scale).exp() } else { 0.0 };
            let index = start + class * settings.inner;
            dx.values[index] = dloss * (total * probability - q);
            let own = 1.0 + (*x - max).abs() + error;
            dx.magnitude[index] =
                dloss.abs() * (weighted(total.abs() * probability, own) + q.abs() + UNDERFLOW * total.abs());
        }
    }
    dx
}
