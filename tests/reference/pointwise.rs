//! Pointwise operations: values, gradients away from kinks, magnitudes against single precision.

use omma::reference::binary::{add, multiply};
use omma::reference::{Checked, pointwise::*};

use super::{Random, assert_near, check_gradient, check_single, exp, single};

#[test]
fn by_hand() {
    assert_eq!(relu(&[-2.0, 0.0, 3.0, f64::NEG_INFINITY]).values, [0.0, 0.0, 3.0, 0.0]);
    assert_eq!(leaky_relu(&[-2.0, 0.0, 3.0], 0.25).values, [-0.5, 0.0, 3.0]);
    assert!(relu(&[f64::NAN]).values[0].is_nan() && leaky_relu(&[f64::NAN], 0.1).values[0].is_nan());
    // No gradient at the kink itself.
    assert_eq!(relu_grad(&[0.0, 0.0, 3.0], &[5.0, f64::INFINITY, 7.0]).values, [0.0, 0.0, 7.0]);
    assert_eq!(leaky_relu_grad(&[-0.5, 0.0, 3.0], &[4.0, 8.0, 7.0], 0.25).values, [1.0, 2.0, 7.0]);
    assert_near("sigmoid", &sigmoid(&[0.0, 3f64.ln(), -3f64.ln()]).values, &[0.5, 0.75, 0.25], 1e-15);
    assert_near("tanh", &tanh(&[0.0, 3f64.ln() / 2.0]).values, &[0.0, 0.5], 1e-15);
    let sum = add(&[1.0, 2.0], &[3.0, -5.0]);
    assert_eq!((sum.values, sum.magnitude, sum.terms), (vec![4.0, -3.0], vec![4.0, 7.0], 2));
    assert_eq!(multiply(&[1.0, -2.0], &[3.0, 5.0]).values, [3.0, -10.0]);
}

#[test]
fn extremes_are_finite() {
    let x = [-1e4, -745.0, -100.0, 100.0, 745.0, 1e4, f64::INFINITY, f64::NEG_INFINITY];
    for y in [sigmoid(&x), tanh(&x)] {
        assert!(y.values.iter().chain(&y.magnitude).all(|value| value.is_finite()), "{y:?}");
    }
    let (y, dy) = (sigmoid(&x).values, [1.0; 8]);
    for dx in [sigmoid_grad(&y, &dy), tanh_grad(&tanh(&x).values, &dy)] {
        assert!(dx.values.iter().chain(&dx.magnitude).all(|value| value.is_finite()), "{dx:?}");
    }
}

#[test]
fn gradients() {
    let mut random = Random(9);
    // Half an interval away from 0, the kink.
    let x = random.distinct(66);
    let dy = random.uniform(66);
    let check = |name: &str, forward: &dyn Fn(&[f64]) -> Checked, grad: &dyn Fn(&[f64], &[f64]) -> Checked| {
        check_gradient(name, &x, &dy, &grad(&forward(&x).values, &dy), forward);
    };
    check("relu", &relu, &relu_grad);
    check("leaky_relu", &|x| leaky_relu(x, 0.1), &|y, dy| leaky_relu_grad(y, dy, 0.1));
    check("sigmoid", &sigmoid, &sigmoid_grad);
    check("tanh", &tanh, &tanh_grad);
    let other = random.uniform(66);
    check("add", &|x| add(x, &other), &|_, dy| Checked::exact(dy.to_vec()));
    check("multiply", &|x| multiply(x, &other), &|_, dy| multiply(dy, &other));
}

#[test]
fn single_precision_stays_within_the_bound() {
    let mut random = Random(10);
    let mut x = random.between(-30.0, 30.0, 1000);
    x.extend(random.between(-1e-3, 1e-3, 100));
    x.extend([-100.0, -87.5, 0.0, 88.0, 100.0]);
    let dy = random.uniform(x.len());
    let (single_x, single_dy) = (single(&x), single(&dy));

    let y: Vec<f32> = single_x.iter().map(|&x| 1.0 / (1.0 + exp(-x))).collect();
    check_single("sigmoid", &sigmoid(&x), &y);
    let dx: Vec<f32> = y.iter().zip(&single_dy).map(|(y, dy)| dy * y * (1.0 - y)).collect();
    check_single("sigmoid_grad", &sigmoid_grad(&sigmoid(&x).values, &dy), &dx);

    // The exponential form, as drivers have it.
    let y: Vec<f32> =
        single_x.iter().map(|x| x.clamp(-10.0, 10.0)).map(|x| (exp(x) - exp(-x)) / (exp(x) + exp(-x))).collect();
    check_single("tanh", &tanh(&x), &y);
    let dx: Vec<f32> = y.iter().zip(&single_dy).map(|(y, dy)| dy * (1.0 - y * y)).collect();
    check_single("tanh_grad", &tanh_grad(&tanh(&x).values, &dy), &dx);
}
