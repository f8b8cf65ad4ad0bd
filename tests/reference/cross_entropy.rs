//! Losses with weights, smoothing and labels that do not count: by hand, gradients.

use omma::reference::cross_entropy::{Settings, forward, grad};

use super::{Random, assert_near, check_gradient};

fn settings(outer: usize, classes: usize, inner: usize) -> Settings {
    Settings { outer, classes, inner, logits: true, weights: vec![1.0; classes], ignored: None, smoothing: 0.0 }
}

#[test]
fn by_hand() {
    let ln = f64::ln;
    // Probabilities of 1/8, 2/8 and 5/8.
    let x = [0.0, ln(2.0), ln(5.0)];
    let (loss, counted) = forward(&settings(1, 3, 1), &x, &[2]);
    assert_near("plain", &loss.values, &[ln(1.6)], 1e-15);
    assert_eq!(counted, [1.0]);
    let weighted = Settings { weights: vec![1.0, 2.0, 3.0], ..settings(1, 3, 1) };
    let (loss, counted) = forward(&weighted, &x, &[2]);
    assert_near("weighted", &loss.values, &[3.0 * ln(1.6)], 1e-15);
    assert_eq!(counted, [3.0]);
    // PyTorch: (1 - s)·w(label)·nll + s/C·Σ w(c)·nll(c).
    let smooth = Settings { smoothing: 0.3, ..weighted.clone() };
    let all = ln(8.0) + 2.0 * ln(4.0) + 3.0 * ln(1.6);
    assert_near("smooth", &forward(&smooth, &x, &[2]).0.values, &[0.7 * 3.0 * ln(1.6) + 0.1 * all], 1e-15);
    let ignoring = Settings { ignored: Some(2), ..settings(1, 3, 1) };
    let (loss, counted) = forward(&ignoring, &x, &[2]);
    assert_eq!((loss.values, counted), (vec![0.0], vec![0.0]));
    assert_eq!(grad(&ignoring, &x, &[2], &[1.0]).values, [0.0; 3]);
    assert!(forward(&ignoring, &x, &[3]).0.values[0].is_nan());
    let likelihood = Settings { logits: false, ..settings(1, 3, 1) };
    assert_eq!(forward(&likelihood, &[-1.0, -2.0, -4.0], &[1]).0.values, [2.0]);
    assert_eq!(grad(&likelihood, &[-1.0, -2.0, -4.0], &[1], &[3.0]).values, [0.0, -3.0, 0.0]);
}

#[test]
fn gradients() {
    for (outer, classes, inner) in [(1, 1, 1), (2, 5, 1), (1, 3, 4), (3, 4, 2)] {
        for (logits, smoothing, ignored) in [(true, 0.0, None), (true, 0.2, Some(0)), (false, 0.1, None)] {
            let mut random = Random(9);
            let weights = random.between(0.5, 2.0, classes);
            let settings = Settings { logits, smoothing, ignored, weights, ..settings(outer, classes, inner) };
            let x = random.between(-2.0, 2.0, outer * classes * inner);
            let labels: Vec<u32> = (0..outer * inner).map(|example| (example * 7 % classes) as u32).collect();
            let dloss = random.uniform(labels.len());
            check_gradient("cross_entropy", &x, &dloss, &grad(&settings, &x, &labels, &dloss), |x| {
                forward(&settings, x, &labels).0
            });
        }
    }
}
