//! The loss of a classifier with integer labels, row by row: loss = ln(sum of exp(x)) - x\[label\].
//!
//! x: \[rows, classes\], labels: \[rows\]. Taking the row's maximum m out first, loss = ln(sum of exp(x - m)) + (m - x\[label\]),
//! keeps it accurate for any finite logits. The mean over rows is [`channel_sum`](super::reduce::channel_sum) with a scale
//! of 1 / rows. A label out of range gives NaN, in its loss and in its row of the gradient.

use super::{Checked, softmax, weighted};

/// The loss of each row.
#[must_use]
pub fn forward(rows: usize, classes: usize, x: &[f64], labels: &[u32]) -> Checked {
    check(rows, classes, x, labels);
    Checked::from_pairs(
        classes,
        x.chunks_exact(classes).zip(labels).map(|(x, &label)| {
            let Some(picked) = x.get(label as usize) else { return (f64::NAN, f64::NAN) };
            let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = x.iter().map(|x| (x - max).exp()).sum();
            // The logarithm turns the sum's relative error, by shares 1 + |x - m| as in softmax, into an absolute one.
            let sum_error: f64 = x.iter().map(|x| weighted((x - max).exp() / sum, 1.0 + (x - max).abs())).sum();
            (sum.ln() + (max - picked), sum.ln() + (max - picked).abs() + sum_error)
        }),
    )
}

/// dx = dloss · (softmax(x) - onehot(label)), with one dloss a row.
#[must_use]
pub fn grad(rows: usize, classes: usize, x: &[f64], labels: &[u32], dloss_per_row: &[f64]) -> Checked {
    check(rows, classes, x, labels);
    debug_assert_eq!(dloss_per_row.len(), rows, "one dloss a row");
    let mut dx = softmax::forward(rows, classes, 1, x);
    for row in 0..rows {
        let (label, dloss) = (labels[row] as usize, dloss_per_row[row]);
        for class in 0..classes {
            let index = row * classes + class;
            if label >= classes {
                dx.add(index, f64::NAN);
            } else if class == label {
                dx.add(index, -1.0);
            }
            dx.values[index] *= dloss;
            dx.magnitude[index] *= dloss.abs();
        }
    }
    dx
}

/// 1 where the label's logit is the row's first maximum, else 0. A row with a NaN has no maximum.
#[must_use]
pub fn correct(rows: usize, classes: usize, x: &[f64], labels: &[u32]) -> Vec<f64> {
    check(rows, classes, x, labels);
    let is_first_max = |x: &[f64], label: usize| {
        label < classes
            && x[..label].iter().all(|&earlier| earlier < x[label])
            && x[label..].iter().all(|&later| later <= x[label])
    };
    x.chunks_exact(classes)
        .zip(labels)
        .map(|(x, &label)| if is_first_max(x, label as usize) { 1.0 } else { 0.0 })
        .collect()
}

fn check(rows: usize, classes: usize, x: &[f64], labels: &[u32]) {
    debug_assert_eq!(x.len(), rows * classes, "x is [rows, classes]");
    debug_assert_eq!(labels.len(), rows, "one label a row");
}
