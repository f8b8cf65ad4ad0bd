//! Softmax cross-entropy: values, extreme logits, labels out of range, gradients, accuracy, single precision.

use omma::reference::softmax_cross_entropy::{correct, forward, grad};

use super::{Random, assert_near, check_gradient, check_single, exp, single, softmax::single_row};

#[test]
fn by_hand() {
    let x = [0.0, 2f64.ln(), 5f64.ln(), 0.0, 0.0, 0.0];
    let loss = forward(2, 3, &x, &[2, 0]);
    assert_near("loss", &loss.values, &[1.6f64.ln(), 3f64.ln()], 1e-15);
    let dx = grad(2, 3, &x, &[2, 0], &[1.0, 3.0]);
    assert_near("dx", &dx.values, &[0.125, 0.25, -0.375, -2.0, 1.0, 1.0], 1e-15);
    assert_eq!(forward(1, 1, &[7.0], &[0]).values, [0.0]);
}

#[test]
fn extreme_logits() {
    let x = [1e4, -1e4, 0.0, -1e4, -1e4, -1e4];
    assert_near("right", &forward(2, 3, &x, &[0, 1]).values, &[0.0, 3f64.ln()], 1e-15);
    let wrong = forward(2, 3, &x, &[1, 2]);
    assert_near("wrong", &wrong.values, &[2e4, 3f64.ln()], 1e-11);
    let dx = grad(2, 3, &x, &[1, 2], &[1.0, 1.0]);
    assert_near("dx", &dx.values, &[1.0, -1.0, 0.0, 1.0 / 3.0, 1.0 / 3.0, -2.0 / 3.0], 1e-15);
    assert!(wrong.magnitude.iter().chain(&dx.magnitude).all(|magnitude| magnitude.is_finite()));
    // An excluded class costs nothing where it is not the label.
    let excluded = forward(1, 3, &[0.0, f64::NEG_INFINITY, 0.0], &[0]);
    assert_near("excluded", &excluded.values, &[2f64.ln()], 1e-15);
    assert!(excluded.magnitude[0].is_finite());
}

#[test]
fn a_label_out_of_range_is_nan_in_its_row_alone() {
    let x = [0.0; 6];
    let loss = forward(2, 3, &x, &[3, 2]).values;
    assert!(loss[0].is_nan() && loss[1].is_finite());
    let dx = grad(2, 3, &x, &[u32::MAX, 2], &[1.0, 1.0]).values;
    assert!(dx[..3].iter().all(|dx| dx.is_nan()) && dx[3..].iter().all(|dx| dx.is_finite()));
    assert_eq!(correct(2, 3, &x, &[3, 0]), [0.0, 1.0]);
}

#[test]
fn accuracy_takes_the_first_maximum() {
    let x = [1.0, 3.0, 2.0, 5.0, 5.0, 4.0, 5.0, 5.0, 4.0, f64::NAN, 0.0, 0.0];
    assert_eq!(correct(4, 3, &x, &[1, 0, 1, 0]), [1.0, 1.0, 0.0, 0.0]);
    assert_eq!(correct(1, 3, &[0.0, 1.0, f64::NAN], &[1]), [0.0]);
}

#[test]
fn gradients() {
    for (rows, classes) in [(1, 1), (1, 10), (5, 3), (7, 2)] {
        let mut random = Random(13);
        let x = random.between(-2.0, 2.0, rows * classes);
        let labels: Vec<u32> = (0..rows).map(|_| random.below(classes) as u32).collect();
        let dloss = random.uniform(rows);
        let dx = grad(rows, classes, &x, &labels, &dloss);
        check_gradient("logits", &x, &dloss, &dx, |x| forward(rows, classes, x, &labels));
    }
}

#[test]
fn single_precision_stays_within_the_bound() {
    for (classes, spread) in [(1, 1.0), (10, 1.0), (10, 100.0), (10, 1e4), (1000, 20.0)] {
        let mut random = Random(14);
        for _ in 0..20 {
            let x = random.between(-spread, spread, classes);
            let label = random.below(classes);
            let single_x = single(&x);
            let max = single_x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = single_x.iter().map(|x| exp(x - max)).sum();
            let loss = sum.ln() + (max - single_x[label]);
            check_single("loss", &forward(1, classes, &x, &[label as u32]), &[loss]);
            let mut dx = single_row(&single_x);
            dx[label] -= 1.0;
            check_single("dx", &grad(1, classes, &x, &[label as u32], &[1.0]), &dx);
        }
    }
}
