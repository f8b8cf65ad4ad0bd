//! Softmax: values, invariance, extreme logits, gradients, magnitudes against single precision.

use omma::reference::softmax::{forward, grad};

use super::{Random, assert_near, check_gradient, check_single, exp, single};

#[test]
fn by_hand() {
    let x = [0.0, 2f64.ln(), 5f64.ln()];
    assert_near("row", &forward(1, 3, 1, &x).values, &[0.125, 0.25, 0.625], 1e-15);
    // The middle axis: two columns side by side.
    let columns = forward(1, 2, 2, &[0.0, 3f64.ln(), 0.0, 0.0]).values;
    assert_near("columns", &columns, &[0.5, 0.75, 0.5, 0.25], 1e-15);
    assert_eq!(forward(2, 1, 1, &[7.0, -1e4]).values, [1.0, 1.0]);
    // dx = y · (dy - 0.5): a gradient of constants is 0.
    assert_near("grad", &grad(1, 2, 1, &[0.5, 0.5], &[1.0, 0.0]).values, &[0.25, -0.25], 1e-15);
    assert_near("constant", &grad(1, 2, 1, &[0.25, 0.75], &[3.0, 3.0]).values, &[0.0, 0.0], 1e-15);
}

#[test]
fn extreme_logits() {
    let x = [1e4, -1e4, 1e4, f64::NEG_INFINITY];
    let y = forward(1, 4, 1, &x);
    assert_eq!(y.values, [0.5, 0.0, 0.5, 0.0]);
    let dx = grad(1, 4, 1, &y.values, &[1.0, 2.0, -3.0, 4.0]);
    assert_eq!(dx.values, [1.0, 0.0, -1.0, 0.0]);
    assert!(y.magnitude.iter().chain(&dx.magnitude).all(|magnitude| magnitude.is_finite()), "{y:?} {dx:?}");
}

#[test]
fn gradients() {
    for (outer, classes, inner) in [(1, 1, 1), (1, 10, 1), (3, 5, 1), (2, 3, 5), (4, 1, 3)] {
        let mut random = Random(11);
        let x = random.between(-2.0, 2.0, outer * classes * inner);
        let dy = random.uniform(x.len());
        let dx = grad(outer, classes, inner, &forward(outer, classes, inner, &x).values, &dy);
        check_gradient("softmax", &x, &dy, &dx, |x| forward(outer, classes, inner, x));
    }
}

/// One row in single precision, maximum taken out.
pub(super) fn single_row(x: &[f32]) -> Vec<f32> {
    let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = x.iter().map(|x| exp(x - max)).sum();
    x.iter().map(|x| exp(x - max) / sum).collect()
}

#[test]
fn single_precision_stays_within_the_bound() {
    for (classes, spread) in [(1, 1.0), (10, 1.0), (10, 100.0), (10, 1e4), (1000, 20.0)] {
        let mut random = Random(12);
        for _ in 0..20 {
            let (x, dy) = (random.between(-spread, spread, classes), random.uniform(classes));
            let y = single_row(&single(&x));
            let expected = forward(1, classes, 1, &x);
            check_single("softmax", &expected, &y);
            let dot: f32 = y.iter().zip(single(&dy)).map(|(y, dy)| y * dy).sum();
            let dx: Vec<f32> = y.iter().zip(single(&dy)).map(|(y, dy)| y * (dy - dot)).collect();
            check_single("softmax grad", &grad(1, classes, 1, &expected.values, &dy), &dx);
        }
    }
}
