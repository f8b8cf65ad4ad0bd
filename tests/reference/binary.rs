//! Arithmetic of two arrays: values, gradients away from ties, magnitudes against single precision.

use omma::reference::{Checked, binary::*};

use super::{Random, check_gradient, check_single, single};

#[test]
fn by_hand() {
    let sum = add(&[1.0, 2.0], &[3.0, -5.0]);
    assert_eq!((sum.values, sum.magnitude, sum.terms), (vec![4.0, -3.0], vec![4.0, 7.0], 2));
    let difference = subtract(&[1.0, 2.0], &[3.0, -5.0]);
    assert_eq!((difference.values, difference.magnitude), (vec![-2.0, 7.0], vec![4.0, 7.0]));
    assert_eq!(multiply(&[1.0, -2.0], &[3.0, 5.0]).values, [3.0, -10.0]);
    assert_eq!(divide(&[1.0, -3.0], &[4.0, 2.0]).values, [0.25, -1.5]);
    assert_eq!(minimum(&[1.0, 4.0], &[3.0, 2.0]).values, [1.0, 2.0]);
    assert_eq!(maximum(&[1.0, 4.0], &[3.0, 2.0]).values, [3.0, 4.0]);
    // Equals share the gradient.
    assert_eq!(minimum_grad(&[1.0, 2.0, 3.0], &[8.0; 3], &[2.0; 3]).values, [8.0, 4.0, 0.0]);
    assert_eq!(maximum_grad(&[1.0, 2.0, 3.0], &[8.0; 3], &[2.0; 3]).values, [0.0, 4.0, 8.0]);
    for [a, b] in [[f64::NAN, 1.0], [1.0, f64::NAN]] {
        assert!(minimum(&[a], &[b]).values[0].is_nan() && maximum(&[a], &[b]).values[0].is_nan());
    }
    assert_eq!(power(&[2.0, -2.0, -2.0, 0.0, 0.0], &[3.0, 3.0, 2.0, 2.0, 0.0]).values, [8.0, -8.0, 4.0, 0.0, 1.0]);
    assert!(power(&[-2.0], &[0.5]).values[0].is_nan());
    assert_eq!(power_grad_base(&[0.0, 0.0, -3.0], &[1.0; 3], &[0.0, 1.0, 2.0]).values, [0.0, 1.0, -6.0]);
    assert_eq!(power_grad_exponent(&[0.0, -3.0, 1.0], &[0.0, 9.0, 1.0], &[1.0; 3]).values, [0.0; 3]);
}

#[test]
fn gradients() {
    let mut random = Random(9);
    let a = random.distinct(66);
    let b: Vec<f64> = random.distinct(66).iter().map(|b| b + 0.003).collect();
    let away: Vec<f64> = b.iter().map(|b| b + 1.7).collect();
    let dy = random.uniform(66);
    let check = |name: &str, x: &[f64], gradient: Checked, f: &dyn Fn(&[f64]) -> Checked| {
        check_gradient(name, x, &dy, &gradient, f);
    };
    check("add", &a, Checked::exact(dy.clone()), &|a| add(a, &b));
    check("multiply", &a, multiply(&dy, &b), &|a| multiply(a, &b));
    check("divide", &a, divide(&dy, &away), &|a| divide(a, &away));
    check("divide", &away, divide_grad(&away, &divide(&a, &away).values, &dy), &|b| divide(&a, b));
    check("minimum", &a, minimum_grad(&a, &dy, &b), &|a| minimum(a, &b));
    check("maximum", &a, maximum_grad(&a, &dy, &b), &|a| maximum(a, &b));
    check("pow", &away, power_grad_base(&away, &dy, &b), &|a| power(a, &b));
    check("pow", &b, power_grad_exponent(&away, &power(&away, &b).values, &dy), &|b| power(&away, b));
}

#[test]
fn single_precision_stays_within_the_bound() {
    let mut random = Random(10);
    let (a, b) = (random.between(1e-3, 9.0, 1000), random.between(-9.0, 9.0, 1000));
    let (single_a, single_b) = (single(&a), single(&b));
    // As GPUs have it.
    let y: Vec<f32> = single_a.iter().zip(&single_b).map(|(a, b)| (b * a.log2()).exp2()).collect();
    check_single("pow", &power(&a, &b), &y);
}
