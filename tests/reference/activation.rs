//! Activations: values, gradients away from kinks, magnitudes against single precision.

use omma::reference::{Checked, activation::*};

use super::{Random, assert_near, check_gradient, check_single, exp, single};

#[test]
fn by_hand() {
    assert_eq!(relu(&[-2.0, 0.0, 3.0, f64::NEG_INFINITY]).values, [0.0, 0.0, 3.0, 0.0]);
    assert_eq!(relu6(&[-2.0, 0.0, 3.0, 7.0]).values, [0.0, 0.0, 3.0, 6.0]);
    assert_eq!(clip(&[-2.0, 0.0, 3.0], -1.0, 2.0).values, [-1.0, 0.0, 2.0]);
    assert_eq!(leaky_relu(&[-2.0, 0.0, 3.0], 0.25).values, [-0.5, 0.0, 3.0]);
    assert_eq!(prelu(&[-2.0, -2.0, 3.0], &[0.25, -1.0, 0.5]).values, [-0.5, 2.0, 3.0]);
    // No gradient at the kink itself, but where a bound is reached from within.
    assert_eq!(relu_grad(&[0.0, 0.0, 3.0], &[5.0, f64::INFINITY, 7.0]).values, [0.0, 0.0, 7.0]);
    assert_eq!(relu6_grad(&[0.0, 3.0, 6.0], &[5.0, 5.0, 5.0]).values, [0.0, 5.0, 0.0]);
    assert_eq!(clip_grad(&[-1.0, -1.1, 2.0, 2.1], &[5.0; 4], -1.0, 2.0).values, [5.0, 0.0, 5.0, 0.0]);
    assert_eq!(leaky_relu_grad(&[-0.5, 0.0, 3.0], &[4.0, 8.0, 7.0], 0.25).values, [1.0, 2.0, 7.0]);
    assert_eq!(prelu_grad_input(&[-2.0, 3.0], &[4.0, 7.0], &[-0.5, 0.5]).values, [-2.0, 7.0]);
    assert_eq!(prelu_grad_slope(&[-2.0, 3.0], &[4.0, 7.0]).values, [-8.0, 0.0]);
    assert_near("sigmoid", &sigmoid(&[0.0, 3f64.ln(), -3f64.ln()]).values, &[0.5, 0.75, 0.25], 1e-15);
    assert_near("log_sigmoid", &log_sigmoid(&[0.0, -3f64.ln()]).values, &[-(2f64.ln()), 0.25f64.ln()], 1e-15);
    assert_near("tanh", &tanh(&[0.0, 3f64.ln() / 2.0]).values, &[0.0, 0.5], 1e-15);
    assert_near("hard_sigmoid", &hard_sigmoid(&[-4.0, 0.0, 1.5, 4.0]).values, &[0.0, 0.5, 0.75, 1.0], 1e-15);
    assert_near("hard_swish", &hard_swish(&[-4.0, -1.5, 3.0, 4.0]).values, &[0.0, -0.375, 3.0, 4.0], 1e-15);
    assert_near("softsign", &softsign(&[-1.0, 3.0]).values, &[-0.5, 0.75], 1e-15);
    // ln(1 + e^(2 · ½ ln 3)) / 2 = ln 4 / 2 = ln 2; above the threshold x itself.
    assert_near("softplus", &softplus(&[3f64.ln() / 2.0, 2.0], 2.0, 3.0).values, &[2f64.ln(), 2.0], 1e-15);
    assert_near("silu", &silu(&[3f64.ln()]).values, &[0.75 * 3f64.ln()], 1e-15);
    // e^x = 1 gives (1 + 2) / (1 + 2 + 2), of x = 0; e^x = 2 gives 8 / 10.
    assert_near("mish", &mish(&[0.0, 2f64.ln()]).values, &[0.0, 0.8 * 2f64.ln()], 1e-15);
    // Φ(1) and Φ(6) = 1 - Φ(-6), whose last digits a difference from 1 would lose.
    assert_near("gelu", &gelu(&[1.0, -1.0]).values, &[0.841_344_746_068_542_9, -0.158_655_253_931_457], 1e-15);
    assert_near("gelu", &gelu(&[-6.0]).values, &[-6.0 * 9.865_876_450_377e-10], 1e-20);
    // tanh(√(2/π) · 1.044715) = 0.682384.
    assert_near("gelu_tanh", &gelu_tanh(&[1.0, -1.0]).values, &[0.841_192, -0.158_808], 1e-6);
    // ELU of -ln 2 is alpha · (1/2 - 1).
    assert_near("elu", &elu(&[-(2f64.ln()), 3.0], 1.0, 0.5, 1.0).values, &[-0.25, 3.0], 1e-15);
}

#[test]
fn not_a_number_stays() {
    let x = [f64::NAN];
    let all = [
        relu(&x),
        relu6(&x),
        clip(&x, 0.0, 1.0),
        leaky_relu(&x, 0.1),
        elu(&x, 1.0, 1.0, 1.0),
        sigmoid(&x),
        hard_sigmoid(&x),
        tanh(&x),
        silu(&x),
        hard_swish(&x),
        softsign(&x),
        gelu(&x),
        gelu_tanh(&x),
    ];
    assert!(all.iter().all(|y| y.values[0].is_nan()), "{all:?}");
}

#[test]
fn extremes_are_finite() {
    let x = [-1e30, -1e4, -745.0, -100.0, 100.0, 745.0, 1e4, 1e30];
    let dy = [1.0; 8];
    let all = [
        sigmoid(&x),
        sigmoid_grad(&sigmoid(&x).values, &dy),
        tanh(&x),
        tanh_grad(&tanh(&x).values, &dy),
        log_sigmoid(&x),
        log_sigmoid_grad(&x, &dy),
        softplus(&x, 1.0, 20.0),
        softplus_grad(&x, &dy, 1.0, 20.0),
        elu(&x, 1.0, 1.0, 1.0),
        silu(&x),
        silu_grad(&x, &dy),
        mish(&x),
        mish_grad(&x, &dy),
        gelu(&x),
        gelu_grad(&x, &dy),
        gelu_tanh(&x),
        gelu_tanh_grad(&x, &dy),
        softsign_grad(&x, &dy),
    ];
    for (index, y) in all.iter().enumerate() {
        assert!(y.values.iter().chain(&y.magnitude).all(|value| value.is_finite()), "{index}: {y:?}");
    }
}

#[test]
fn gradients() {
    let mut random = Random(9);
    // Half an interval away from 0, and none on another kink.
    let x: Vec<f64> = random.distinct(66).iter().map(|x| 3.7 * x).collect();
    let dy = random.uniform(66);
    let check = |name: &str, forward: &dyn Fn(&[f64]) -> Checked, grad: &dyn Fn(&[f64], &[f64]) -> Checked| {
        check_gradient(name, &x, &dy, &grad(&forward(&x).values, &dy), forward);
    };
    check("relu", &relu, &relu_grad);
    check("relu6", &|v| relu6(v), &relu6_grad);
    check("clip", &|v| clip(v, -0.7, 1.3), &|_, dy| clip_grad(&x, dy, -0.7, 1.3));
    check("leaky_relu", &|v| leaky_relu(v, 0.1), &|y, dy| leaky_relu_grad(y, dy, 0.1));
    check("elu", &|v| elu(v, 1.1, 1.7, 0.6), &|y, dy| elu_grad(y, dy, 1.1, 1.7, 0.6));
    check("sigmoid", &sigmoid, &sigmoid_grad);
    check("hard_sigmoid", &hard_sigmoid, &hard_sigmoid_grad);
    check("log_sigmoid", &log_sigmoid, &|_, dy| log_sigmoid_grad(&x, dy));
    check("tanh", &tanh, &tanh_grad);
    check("silu", &silu, &|_, dy| silu_grad(&x, dy));
    check("hard_swish", &hard_swish, &|_, dy| hard_swish_grad(&x, dy));
    check("mish", &mish, &|_, dy| mish_grad(&x, dy));
    check("softplus", &|v| softplus(v, 1.5, 20.0), &|_, dy| softplus_grad(&x, dy, 1.5, 20.0));
    check("softsign", &softsign, &|_, dy| softsign_grad(&x, dy));
    check("gelu", &gelu, &|_, dy| gelu_grad(&x, dy));
    check("gelu_tanh", &gelu_tanh, &|_, dy| gelu_tanh_grad(&x, dy));
    let slope = random.uniform(66);
    check("prelu", &|v| prelu(v, &slope), &|_, dy| prelu_grad_input(&x, dy, &slope));
    check_gradient("prelu", &slope, &dy, &prelu_grad_slope(&x, &dy), |slope| prelu(&x, slope));
}

/// A formula in single precision, of x alone or of two numbers.
fn each(a: &[f32], f: impl Fn(f32) -> f32) -> Vec<f32> {
    a.iter().map(|&a| f(a)).collect()
}

fn both(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
}

fn logistic(x: f32) -> f32 {
    let e = exp(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// The formulas of the shaders, with an exponential as GPUs have it.
#[test]
fn single_precision_stays_within_the_bound() {
    let mut random = Random(10);
    let mut x = random.between(-30.0, 30.0, 1000);
    x.extend(random.between(-1e-3, 1e-3, 100));
    x.extend([-100.0, -87.5, 0.0, 88.0, 100.0]);
    let dy = random.uniform(x.len());
    let (single_x, single_dy) = (single(&x), single(&dy));

    let y = each(&single_x, |x| 1.0 / (1.0 + exp(-x)));
    check_single("sigmoid", &sigmoid(&x), &y);
    check_single(
        "sigmoid_grad",
        &sigmoid_grad(&sigmoid(&x).values, &dy),
        &both(&y, &single_dy, |y, dy| dy * y * (1.0 - y)),
    );

    // The exponential form, as drivers have it.
    let y = each(&single_x, |x| x.clamp(-10.0, 10.0));
    let y = each(&y, |x| (exp(x) - exp(-x)) / (exp(x) + exp(-x)));
    check_single("tanh", &tanh(&x), &y);
    check_single("tanh_grad", &tanh_grad(&tanh(&x).values, &dy), &both(&y, &single_dy, |y, dy| dy * (1.0 - y * y)));

    let log_one_plus = |x: f32| exp(-x.abs()).ln_1p();
    check_single("log_sigmoid", &log_sigmoid(&x), &each(&single_x, |x| x.min(0.0) - log_one_plus(x)));
    check_single(
        "softplus",
        &softplus(&x, 2.5, 20.0),
        &each(&single_x, |x| if 2.5 * x > 20.0 { x } else { ((2.5 * x).max(0.0) + log_one_plus(2.5 * x)) / 2.5 }),
    );
    let below = |t: f32| if t > -0.5 { t.exp_m1() } else { exp(t) - 1.0 };
    check_single(
        "elu",
        &elu(&x, 1.0, 1.5, 0.75),
        &each(&single_x, |x| if x > 0.0 { x } else { 1.5 * below(0.75 * x) }),
    );
    check_single("silu", &silu(&x), &each(&single_x, |x| x * logistic(x)));
    let slope = |x: f32| exp(-x.abs()) / (1.0 + exp(-x.abs())).powi(2);
    check_single(
        "silu_grad",
        &silu_grad(&x, &dy),
        &both(&single_x, &single_dy, |x, dy| dy * (logistic(x) + x * slope(x))),
    );
    // Above and below the fraction's line.
    let fraction = |x: f32| {
        let e = exp(-x.abs());
        let above = if x < 0.0 { e * (e + 2.0) } else { 1.0 + 2.0 * e };
        (above, above + if x < 0.0 { 2.0 } else { 2.0 * e * e })
    };
    check_single("mish", &mish(&x), &each(&single_x, |x| x * (fraction(x).0 / fraction(x).1)));
    let bend = |x: f32| {
        let e = exp(-x.abs());
        4.0 * e * (1.0 + e) * if x < 0.0 { 1.0 } else { e } / fraction(x).1.powi(2)
    };
    check_single(
        "mish_grad",
        &mish_grad(&x, &dy),
        &both(&single_x, &single_dy, |x, dy| dy * (fraction(x).0 / fraction(x).1 + x * bend(x))),
    );
    let inner = |x: f32| 1.595_769 * (x + 0.044_715 * x * x * x);
    check_single("gelu_tanh", &gelu_tanh(&x), &each(&single_x, |x| x * logistic(inner(x))));
    let inner_slope = |x: f32| 1.595_769 * (1.0 + 0.134_145 * x * x);
    check_single(
        "gelu_tanh_grad",
        &gelu_tanh_grad(&x, &dy),
        &both(&single_x, &single_dy, |x, dy| dy * (logistic(inner(x)) + x * slope(inner(x)) * inner_slope(x))),
    );
}
