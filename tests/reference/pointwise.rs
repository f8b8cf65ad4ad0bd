//! Elementary functions: values, gradients away from kinks, magnitudes against single precision.

use omma::reference::{Checked, pointwise::*};

use super::{Random, assert_near, check_gradient, check_single, exp, single};

#[test]
fn by_hand() {
    assert_eq!(negative(&[-2.0, 3.0]).values, [2.0, -3.0]);
    assert_eq!(abs(&[-2.0, 0.0, 3.0]).values, [2.0, 0.0, 3.0]);
    assert_eq!(abs_grad(&[-2.0, 0.0, 3.0], &[5.0, 5.0, 5.0]).values, [-5.0, 0.0, 5.0]);
    assert_eq!(sign(&[-2.0, -0.0, 0.0, 3.0]).values, [-1.0, 0.0, 0.0, 1.0]);
    assert!(sign(&[f64::NAN]).values[0].is_nan());
    assert_eq!(floor(&[-1.5, 1.5, 2.0]).values, [-2.0, 1.0, 2.0]);
    assert_eq!(ceil(&[-1.5, 1.5, 2.0]).values, [-1.0, 2.0, 2.0]);
    // ONNX's examples of `Round`.
    let halves = [0.1, 0.5, 0.9, 1.2, 1.5, 1.8, 2.3, 2.5, 2.7, -1.1, -1.5, -1.9, -2.2, -2.5, -2.8];
    let rounded = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 3.0, -1.0, -2.0, -2.0, -2.0, -2.0, -3.0];
    assert_eq!(round(&halves).values, rounded);
    assert_eq!(square(&[-3.0]).values, [9.0]);
    assert_eq!(sqrt(&[9.0]).values, [3.0]);
    assert_eq!(reciprocal(&[-4.0]).values, [-0.25]);
    assert_near("exp", &exp_of(&[0.0, 2f64.ln()]).values, &[1.0, 2.0], 1e-15);
    assert_near("log", &log(&[1.0, std::f64::consts::E]).values, &[0.0, 1.0], 1e-15);
    // Abramowitz and Stegun, table 7.1.
    let table = [0.0, 0.112_462_916_0, 0.520_499_877_8, 0.842_700_792_9, 0.995_322_265_0, 0.999_977_909_5];
    assert_near("erf", &erf(&[0.0, 0.1, 0.5, 1.0, 2.0, 3.0]).values, &table, 1e-10);
    let angles = [std::f64::consts::FRAC_PI_6, -std::f64::consts::FRAC_PI_2, 0.0];
    assert_near("sin", &sin(&angles).values, &[0.5, -1.0, 0.0], 1e-15);
    assert_near("cos", &cos(&angles).values, &[0.75f64.sqrt(), 0.0, 1.0], 1e-15);
    assert_near("erf", &erf(&[-0.5, -3.5, 30.0]).values, &[-table[2], -0.999_999_257, 1.0], 1e-9);
}

use omma::reference::pointwise::exp as exp_of;

#[test]
fn the_error_function_is_one_function() {
    // Both of its forms where they meet.
    let y = erf(&[3.0 - 1e-13, 3.0 + 1e-13]).values;
    assert!((y[0] - y[1]).abs() < 1e-15, "{y:?}");
}

#[test]
fn gradients() {
    let mut random = Random(9);
    let x = random.distinct(66);
    let positive: Vec<f64> = x.iter().map(|x| 1.5 + x).collect();
    let dy = random.uniform(66);
    let check = |name: &str, x: &[f64], forward: fn(&[f64]) -> Checked, gradient: &dyn Fn(&[f64]) -> Checked| {
        check_gradient(name, x, &dy, &gradient(&forward(x).values), forward);
    };
    check("abs", &x, abs, &|_| abs_grad(&x, &dy));
    check("square", &x, square, &|_| square_grad(&x, &dy));
    check("sqrt", &positive, sqrt, &|y| sqrt_grad(y, &dy));
    check("reciprocal", &positive, reciprocal, &|y| reciprocal_grad(y, &dy));
    check("erf", &x, erf, &|_| erf_grad(&x, &dy));
    check("sin", &x, sin, &|_| sin_grad(&x, &dy));
    check("cos", &x, cos, &|_| cos_grad(&x, &dy));
}

#[test]
fn single_precision_stays_within_the_bound() {
    let mut random = Random(10);
    let x = random.between(-9.0, 9.0, 1000);
    let dy = random.uniform(x.len());
    let (single_x, single_dy) = (single(&x), single(&dy));
    let y: Vec<f32> = single_x.iter().map(|&x| exp(x)).collect();
    check_single("exp", &exp_of(&x), &y);
    let dx: Vec<f32> =
        single_x.iter().zip(&single_dy).map(|(x, dy)| dy * (std::f32::consts::FRAC_2_SQRT_PI * exp(-x * x))).collect();
    check_single("erf_grad", &erf_grad(&x, &dy), &dx);
}
