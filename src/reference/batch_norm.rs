//! Batch normalisation: y = gamma · (x - mean) / sqrt(var + epsilon) + beta, each channel with its own four numbers.
//!
//! x: \[N, C, inner\]; mean, var, gamma, beta: \[C\]. In training, mean and var are those of the batch (over N and inner; the
//! variance is divided by the count, not by the count - 1), so the gradient runs through them; in evaluation they are
//! constants. Kernels may fold the normalisation into y = x · s + t: the magnitudes count x and mean as separate terms.

use super::{Checked, reduce::channel_sum};

/// The sizes of a batch normalisation, and epsilon.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geometry {
    /// N.
    pub batch: usize,
    /// C.
    pub channels: usize,
    /// The size of one channel of one image: H · W.
    pub inner: usize,
    /// Added to the variance.
    pub epsilon: f64,
}

impl Geometry {
    fn channel_of(&self, index: usize) -> usize {
        index / self.inner % self.channels
    }

    /// The number of values that a channel's statistics are taken over.
    fn count(&self) -> usize {
        self.batch * self.inner
    }

    /// The relative error of a sum over `count` in single precision: what second-order terms are made of. They are all
    /// that is left of a channel that is constant and far from 0, where everything else cancels.
    fn sum_error(&self) -> f64 {
        f64::from(f32::EPSILON) * (self.count() as f64).sqrt()
    }

    fn mean_of(&self, values: &[f64]) -> Checked {
        channel_sum([1, self.batch, self.channels, self.inner], values, 1.0 / self.count() as f64)
    }

    fn sum_of(&self, values: &[f64]) -> Checked {
        channel_sum([1, self.batch, self.channels, self.inner], values, 1.0)
    }

    fn inverse_deviation(&self, var: f64) -> f64 {
        1.0 / (var + self.epsilon).sqrt()
    }

    /// x with something done to each element, given its channel.
    fn map(&self, x: &[f64], value: impl Fn(f64, usize) -> f64) -> Vec<f64> {
        debug_assert_eq!(x.len(), self.batch * self.channels * self.inner, "x is [N, C, inner]");
        x.iter().enumerate().map(|(index, &x)| value(x, self.channel_of(index))).collect()
    }
}

/// The mean and the biased variance of each channel, in two passes.
#[must_use]
pub fn statistics(g: &Geometry, x: &[f64]) -> (Checked, Checked) {
    let mean = g.mean_of(x);
    let mut var = g.mean_of(&g.map(x, |x, c| (x - mean.values[c]).powi(2)));
    for c in 0..g.channels {
        // Where the deviation is small beside the mean, merging partial means and variances is off by mean / deviation
        // times as much as adding squares. Where it is zero, the square of the mean's own error is left.
        let (value, mean) = (var.values[c], mean.magnitude[c]);
        var.magnitude[c] = (value * (value + mean * mean)).sqrt() + g.sum_error() * mean * mean;
    }
    (mean, var)
}

/// y from x and given statistics, which count as exact.
#[must_use]
pub fn forward(g: &Geometry, x: &[f64], mean: &[f64], var: &[f64], gamma: &[f64], beta: &[f64]) -> Checked {
    apply(g, x, &Checked::exact(mean.to_vec()), &Checked::exact(var.to_vec()), gamma, beta)
}

/// (factor, term) of y = x · factor + term: factor = gamma / sqrt(var + epsilon), term = beta - mean · factor.
#[must_use]
pub fn fold(epsilon: f64, mean: &[f64], var: &[f64], gamma: &[f64], beta: &[f64]) -> (Checked, Checked) {
    let factor: Vec<f64> = gamma.iter().zip(var).map(|(gamma, var)| gamma / (var + epsilon).sqrt()).collect();
    let products = mean.iter().zip(&factor).map(|(mean, factor)| mean * factor);
    let (values, magnitude) = beta.iter().zip(products).map(|(beta, p)| (beta - p, beta.abs() + p.abs())).unzip();
    (Checked::exact(factor), Checked { values, magnitude, terms: 1 })
}

/// y from x and the statistics of the same batch, and those: (y, mean, var). Its magnitude counts their errors.
#[must_use]
pub fn forward_training(g: &Geometry, x: &[f64], gamma: &[f64], beta: &[f64]) -> (Checked, Checked, Checked) {
    let (mean, var) = statistics(g, x);
    (apply(g, x, &mean, &var, gamma, beta), mean, var)
}

fn apply(g: &Geometry, x: &[f64], mean: &Checked, var: &Checked, gamma: &[f64], beta: &[f64]) -> Checked {
    let values = g.map(x, |x, c| gamma[c] * (x - mean.values[c]) * g.inverse_deviation(var.values[c]) + beta[c]);
    let magnitude = g.map(x, |x, c| {
        let inverse = g.inverse_deviation(var.values[c]);
        let from_scale = (x - mean.values[c]).abs() * inverse_deviation_error(g, var, c);
        gamma[c].abs() * inverse * (x.abs() + mean.magnitude[c] + from_scale) + beta[c].abs()
    });
    Checked { values, magnitude, terms: mean.terms.max(var.terms) }
}

/// The relative error of 1 / sqrt(var + epsilon): half of its argument's, and its own rounding.
fn inverse_deviation_error(g: &Geometry, var: &Checked, c: usize) -> f64 {
    1.0 + var.magnitude[c] / (2.0 * (var.values[c] + g.epsilon))
}

/// (dx, dgamma, dbeta) where mean and var are the statistics of x:
/// dx = gamma / deviation · (dy - mean of dy - xhat · mean of (dy · xhat)), with xhat = (x - mean) / deviation.
#[must_use]
pub fn grad_training(
    g: &Geometry,
    x: &[f64],
    mean: &[f64],
    var: &[f64],
    gamma: &[f64],
    dy: &[f64],
) -> (Checked, Checked, Checked) {
    let (mean_error, var_error) = statistics(g, x);
    let mean = Checked { values: mean.to_vec(), ..mean_error };
    let var = Checked { values: var.to_vec(), ..var_error };
    let (normalised, dgamma, dbeta) = parameter_gradients(g, x, &mean, &var, dy);
    let count = g.count() as f64;
    let mut dx = Checked::zeros(x.len(), g.count());
    for (index, dy) in dy.iter().enumerate() {
        let c = g.channel_of(index);
        let scale = gamma[c] * g.inverse_deviation(var.values[c]);
        let (xhat, xhat_error) = (normalised.values[index], normalised.magnitude[index]);
        dx.values[index] = scale * (dy - dbeta.values[c] / count - xhat * dgamma.values[c] / count);
        // Each factor's error with the other factor's value, both errors together, then the scale's own.
        let product =
            xhat_error * dgamma.values[c].abs() + (xhat.abs() + g.sum_error() * xhat_error) * dgamma.magnitude[c];
        let sum = dy.abs() + (dbeta.magnitude[c] + product) / count;
        dx.magnitude[index] = scale.abs() * sum + dx.values[index].abs() * inverse_deviation_error(g, &var, c);
    }
    (dx, dgamma, dbeta)
}

/// (dx, dgamma, dbeta) where mean and var are constants: dx = gamma / deviation · dy.
#[must_use]
pub fn grad_evaluation(
    g: &Geometry,
    x: &[f64],
    mean: &[f64],
    var: &[f64],
    gamma: &[f64],
    dy: &[f64],
) -> (Checked, Checked, Checked) {
    let dx = Checked::exact(g.map(dy, |dy, c| dy * gamma[c] * g.inverse_deviation(var[c])));
    let (mean, var) = (Checked::exact(mean.to_vec()), Checked::exact(var.to_vec()));
    let (_, dgamma, dbeta) = parameter_gradients(g, x, &mean, &var, dy);
    (dx, dgamma, dbeta)
}

/// xhat, dgamma = sum of dy · xhat, dbeta = sum of dy.
fn parameter_gradients(
    g: &Geometry,
    x: &[f64],
    mean: &Checked,
    var: &Checked,
    dy: &[f64],
) -> (Checked, Checked, Checked) {
    debug_assert_eq!(dy.len(), x.len(), "dy has the shape of x");
    let ones = vec![1.0; g.channels];
    let zeros = vec![0.0; g.channels];
    let normalised = apply(g, x, mean, var, &ones, &zeros);
    let product = |factor: &[f64]| factor.iter().zip(dy).map(|(factor, dy)| factor * dy).collect::<Vec<_>>();
    let mut dgamma = g.sum_of(&product(&normalised.values));
    dgamma.magnitude = g.sum_of(&product(&normalised.magnitude)).magnitude;
    (normalised, dgamma, g.sum_of(dy))
}

/// The running statistic after a batch: (1 - momentum) · old + momentum · factor · batch. The factor count / (count - 1)
/// makes a biased variance unbiased; for the mean it is 1.
#[must_use]
pub fn running(old: &[f64], batch: &Checked, momentum: f64, factor: f64) -> Checked {
    debug_assert_eq!(old.len(), batch.values.len(), "both are [C]");
    let kept = old.iter().map(|old| (1.0 - momentum) * old);
    let weight = momentum * factor;
    Checked::from_pairs(
        batch.terms + 1,
        kept.zip(&batch.values)
            .zip(&batch.magnitude)
            .map(|((kept, value), magnitude)| (kept + weight * value, kept.abs() + (weight * magnitude).abs())),
    )
}
