//! Batch norm: values by hand, gradients in training (through the statistics) and evaluation, single precision.

use omma::reference::{Checked, batch_norm::*};

use super::{Random, assert_near, check_gradient, check_single, single};

const PLAIN: Geometry = Geometry { batch: 2, channels: 2, inner: 2, epsilon: 1e-5 };

#[test]
fn by_hand() {
    // Channel 0: 1, 3, 5, 7; channel 1: all 10.
    let x = [1.0, 3.0, 10.0, 10.0, 5.0, 7.0, 10.0, 10.0];
    let (mean, var) = statistics(&PLAIN, &x);
    assert_eq!((&mean.values, &var.values), (&vec![4.0, 10.0], &vec![5.0, 0.0]));
    assert_eq!((mean.terms, var.terms), (4, 4));

    let exact = Geometry { epsilon: 4.0, ..PLAIN };
    // Deviations: sqrt(5 + 4) = 3 and sqrt(0 + 4) = 2.
    let y = forward(&exact, &x, &mean.values, &var.values, &[3.0, 100.0], &[0.5, -1.0]);
    assert_near("y", &y.values, &[-2.5, -0.5, -1.0, -1.0, 1.5, 3.5, -1.0, -1.0], 1e-14);
    let (training, same_mean, same_var) = forward_training(&exact, &x, &[3.0, 100.0], &[0.5, -1.0]);
    assert_eq!((training.values, same_mean.values, same_var.values), (y.values, mean.values, var.values));
}

#[test]
fn folded_by_hand() {
    // Deviations: sqrt(5 + 4) = 3 and sqrt(0 + 4) = 2.
    let (factor, term) = fold(4.0, &[4.0, 10.0], &[5.0, 0.0], &[3.0, 100.0], &[0.5, -1.0]);
    assert_near("factor", &factor.values, &[1.0, 50.0], 1e-14);
    assert_near("term", &term.values, &[-3.5, -501.0], 1e-14);
    assert_near("magnitude", &term.magnitude, &[4.5, 501.0], 1e-14);
}

#[test]
fn running_statistics() {
    let next = running(&[1.0, -2.0], &Checked::exact(vec![5.0, 4.0]), 0.1, 4.0 / 3.0);
    assert_near("running", &next.values, &[0.9 + 2.0 / 3.0, -1.8 + 1.6 / 3.0], 1e-15);
    assert_near("magnitude", &next.magnitude, &[0.9 + 2.0 / 3.0, 1.8 + 1.6 / 3.0], 1e-15);
}

struct Data {
    x: Vec<f64>,
    gamma: Vec<f64>,
    beta: Vec<f64>,
    dy: Vec<f64>,
}

fn data(g: &Geometry, random: &mut Random, offset: f64) -> Data {
    let length = g.batch * g.channels * g.inner;
    Data {
        x: random.between(offset - 2.0, offset + 2.0, length),
        gamma: random.uniform(g.channels),
        beta: random.uniform(g.channels),
        dy: random.uniform(length),
    }
}

const SIZES: [(usize, usize, usize); 6] = [(1, 1, 7), (5, 1, 1), (3, 2, 5), (1, 3, 9), (7, 4, 1), (2, 3, 4)];

#[test]
fn gradients_in_training() {
    for (batch, channels, inner) in SIZES {
        let g = Geometry { batch, channels, inner, epsilon: 1e-3 };
        let Data { x, gamma, beta, dy } = data(&g, &mut Random(17), 0.5);
        let (mean, var) = statistics(&g, &x);
        let (dx, dgamma, dbeta) = grad_training(&g, &x, &mean.values, &var.values, &gamma, &dy);
        check_gradient("dx", &x, &dy, &dx, |x| forward_training(&g, x, &gamma, &beta).0);
        check_gradient("dgamma", &gamma, &dy, &dgamma, |gamma| forward_training(&g, &x, gamma, &beta).0);
        check_gradient("dbeta", &beta, &dy, &dbeta, |beta| forward_training(&g, &x, &gamma, beta).0);
    }
}

#[test]
fn gradients_in_evaluation() {
    for (batch, channels, inner) in SIZES {
        let g = Geometry { batch, channels, inner, epsilon: 1e-3 };
        let mut random = Random(18);
        let Data { x, gamma, beta, dy } = data(&g, &mut random, 0.5);
        let (mean, var) = (random.uniform(channels), random.between(0.5, 2.0, channels));
        let (dx, dgamma, dbeta) = grad_evaluation(&g, &x, &mean, &var, &gamma, &dy);
        check_gradient("dx", &x, &dy, &dx, |x| forward(&g, x, &mean, &var, &gamma, &beta));
        check_gradient("dgamma", &gamma, &dy, &dgamma, |gamma| forward(&g, &x, &mean, &var, gamma, &beta));
        check_gradient("dbeta", &beta, &dy, &dbeta, |beta| forward(&g, &x, &mean, &var, &gamma, beta));
    }
}

/// One value a channel: it is its own mean, and nothing it does can change the output.
#[test]
fn a_single_value_has_no_gradient() {
    let g = Geometry { batch: 1, channels: 2, inner: 1, epsilon: 1e-5 };
    let (y, mean, var) = forward_training(&g, &[3.0, -4.0], &[2.0, 2.0], &[0.25, 0.5]);
    assert_eq!((y.values, &var.values), (vec![0.25, 0.5], &vec![0.0, 0.0]));
    let (dx, dgamma, dbeta) = grad_training(&g, &[3.0, -4.0], &mean.values, &var.values, &[2.0, 2.0], &[1.0, -7.0]);
    assert_eq!((dx.values, dgamma.values, dbeta.values), (vec![0.0; 2], vec![0.0; 2], vec![1.0, -7.0]));
}

/// Single precision with one channel, the way a kernel does it: two passes, then x · scale + shift.
struct Single {
    mean: f32,
    var: f32,
    inverse: f32,
}

impl Single {
    fn new(x: &[f32], epsilon: f32) -> Self {
        let count = x.len() as f32;
        let mean = x.iter().sum::<f32>() / count;
        let var = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / count;
        Self { mean, var, inverse: 1.0 / (var + epsilon).sqrt() }
    }
}

#[test]
fn single_precision_stays_within_the_bound() {
    // Centred, far from the origin, and constant: where cancellation is absent, strong and total.
    for (offset, width, length) in [(0.0, 1.0, 8), (0.0, 1.0, 1000), (100.0, 1.0, 1000), (1000.1, 0.0, 333)] {
        let g = Geometry { batch: 1, channels: 1, inner: length, epsilon: f64::from(1e-5f32) };
        let mut random = Random(19);
        let x: Vec<f64> = random.uniform(length).iter().map(|u| f64::from((offset + width * u) as f32)).collect();
        let Data { gamma, beta, dy, .. } = data(&g, &mut random, 0.0);
        let (single_x, single_dy) = (single(&x), single(&dy));
        let (single_gamma, single_beta, count) = (gamma[0] as f32, beta[0] as f32, length as f32);

        let Single { mean, var, inverse } = Single::new(&single_x, 1e-5);
        let (expected, expected_mean, expected_var) = forward_training(&g, &x, &gamma, &beta);
        check_single("mean", &expected_mean, &[mean]);
        check_single("var", &expected_var, &[var]);
        let (scale, shift) = (single_gamma * inverse, single_beta - mean * single_gamma * inverse);
        check_single("y", &expected, &single_x.iter().map(|x| x * scale + shift).collect::<Vec<_>>());

        let (dx, dgamma, dbeta) = grad_training(&g, &x, &expected_mean.values, &expected_var.values, &gamma, &dy);
        let xhat: Vec<f32> = single_x.iter().map(|x| (x - mean) * inverse).collect();
        let sum_dy: f32 = single_dy.iter().sum();
        let sum_dy_xhat: f32 = single_dy.iter().zip(&xhat).map(|(dy, xhat)| dy * xhat).sum();
        check_single("dbeta", &dbeta, &[sum_dy]);
        check_single("dgamma", &dgamma, &[sum_dy_xhat]);
        let actual: Vec<f32> = single_dy
            .iter()
            .zip(&xhat)
            .map(|(dy, xhat)| scale * (dy - sum_dy / count - xhat * sum_dy_xhat / count))
            .collect();
        check_single("dx", &dx, &actual);
    }
}

/// One pass, with a running mean, is off by the mean's rounding wherever two means are subtracted.
#[test]
fn single_precision_in_one_pass() {
    let g = Geometry { batch: 1, channels: 1, inner: 17, epsilon: 1e-5 };
    let mut random = Random(22);
    for _ in 0..100 {
        let x = random.between(999.0, 1001.0, 17);
        let (mut mean, mut squares) = (0.0f32, 0.0f32);
        for (index, x) in single(&x).into_iter().enumerate() {
            let delta = x - mean;
            mean += delta / (index + 1) as f32;
            squares += delta * (x - mean);
        }
        let (expected_mean, expected_var) = statistics(&g, &x);
        check_single("mean", &expected_mean, &[mean]);
        check_single("var", &expected_var, &[squares / 17.0]);
    }
}

/// Folded into one multiplication and addition, x and mean cancel even where the statistics are given.
#[test]
fn single_precision_in_evaluation() {
    let g = Geometry { batch: 1, channels: 1, inner: 100, epsilon: f64::from(1e-5f32) };
    let Data { x, gamma, beta, dy } = data(&g, &mut Random(20), 50.0);
    let (mean, var) = ([50.5], [0.25]);
    let scale = gamma[0] as f32 / (0.25f32 + 1e-5).sqrt();
    let shift = beta[0] as f32 - 50.5 * scale;
    let y: Vec<f32> = single(&x).iter().map(|x| x * scale + shift).collect();
    check_single("y", &forward(&g, &x, &mean, &var, &gamma, &beta), &y);
    let dx: Vec<f32> = single(&dy).iter().map(|dy| dy * scale).collect();
    check_single("dx", &grad_evaluation(&g, &x, &mean, &var, &gamma, &dy).0, &dx);
}
