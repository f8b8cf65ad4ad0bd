//! Optimizers: steps worked out by hand, and magnitudes against single precision.

use omma::reference::Checked;
use omma::reference::optimizer::{
    Adagrad, Adam, Lion, RmsProp, Sgd, averaged, clipped, gathered, limit_norm, norm, warmed_up,
};

use super::{Random, assert_near, check_single, single};

/// Gradients that nothing has rounded.
fn exact(values: &[f64]) -> Checked {
    Checked::exact(values.to_vec())
}

const SGD: Sgd = Sgd { lr: 0.1, momentum: 0.9, damping: 1.0, weight_decay: 0.2, nesterov: false };
/// Numbers that are easy by hand; at step 2 both corrections are 0.75.
const ADAM: Adam = Adam { lr: 0.1, beta1: 0.5, beta2: 0.5, eps: 1.0, weight_decay: 0.0, decoupled: false, step: 2 };
const RMSPROP: RmsProp = RmsProp { lr: 0.1, alpha: 0.5, eps: 1.0, weight_decay: 0.0, momentum: 0.0, centered: false };

#[test]
fn sgd_by_hand() {
    // Plain: p - lr · g.
    let plain = Sgd { momentum: 0.0, weight_decay: 0.0, ..SGD };
    let [p, v] = plain.step(&[1.0], &exact(&[0.5]), &[0.0]);
    assert_near("plain", &[p.values[0], v.values[0]], &[0.95, 0.5], 1e-15);
    // With decay g = 0.5 + 0.2 · 1 = 0.7; v = 0.9 · 2 + 0.7 = 2.5.
    let [p, v] = SGD.step(&[1.0], &exact(&[0.5]), &[2.0]);
    assert_near("momentum", &[p.values[0], v.values[0]], &[0.75, 2.5], 1e-15);
    // Dampened by half: v = 0.9 · 2 + 0.5 · 0.7 = 2.15.
    let [p, v] = Sgd { damping: 0.5, ..SGD }.step(&[1.0], &exact(&[0.5]), &[2.0]);
    assert_near("dampening", &[p.values[0], v.values[0]], &[0.785, 2.15], 1e-15);
    // Nesterov: 0.7 + 0.9 · 2.5 = 2.95.
    let [p, v] = Sgd { nesterov: true, ..SGD }.step(&[1.0], &exact(&[0.5]), &[2.0]);
    assert_near("nesterov", &[p.values[0], v.values[0]], &[0.705, 2.5], 1e-15);
}

#[test]
fn sgd_counts_what_cancels() {
    // g = -0.2 + 0.2 · 1 = 0, made of terms of 0.4 together; p' is 1 + 0.1 · 0.4 in terms.
    let [p, v] = SGD.step(&[1.0], &exact(&[-0.2]), &[0.0]);
    assert_near("values", &[p.values[0], v.values[0]], &[1.0, 0.0], 1e-15);
    assert_near("magnitude", &[p.magnitude[0], v.magnitude[0]], &[1.04, 0.4], 1e-15);
}

#[test]
fn adam_by_hand() {
    // The first step is lr · sign(g), whatever the size of g, but for eps.
    let first = Adam { beta1: 0.9, beta2: 0.999, eps: 0.0, step: 1, ..ADAM };
    let [p, m, v] = first.step(&[1.0, 1.0], &exact(&[4.0, -1e-3]), &[0.0; 2], &[0.0; 2]);
    assert_near("p", &p.values, &[0.9, 1.1], 1e-12);
    assert_near("m", &m.values, &[0.4, -1e-4], 1e-15);
    assert_near("v", &v.values, &[0.016, 1e-9], 1e-15);

    // Step 2 with easy numbers: m = 0.5 · 2 + 0.5 · 4 = 3, mhat = 3 / 0.75 = 4; v = 0.5 · 8 + 0.5 · 16 = 12,
    // vhat = 16; p = 1 - 0.1 · 4 / (4 + 1).
    let [p, m, v] = ADAM.step(&[1.0], &exact(&[4.0]), &[2.0], &[8.0]);
    assert_near("step 2", &[p.values[0], m.values[0], v.values[0]], &[0.92, 3.0, 12.0], 1e-15);
    // Coupled decay joins the gradient: 3 + 0.25 · 4 = 4 gives the same moments.
    let decay = Adam { weight_decay: 0.25, ..ADAM };
    let [p, m, v] = decay.step(&[4.0], &exact(&[3.0]), &[2.0], &[8.0]);
    assert_near("coupled", &[p.values[0], m.values[0], v.values[0]], &[3.92, 3.0, 12.0], 1e-15);
    // Decoupled decay does not: 4 · (1 - 0.1 · 0.25) - 0.08.
    let [p, m, v] = Adam { decoupled: true, ..decay }.step(&[4.0], &exact(&[4.0]), &[2.0], &[8.0]);
    assert_near("decoupled", &[p.values[0], m.values[0], v.values[0]], &[3.82, 3.0, 12.0], 1e-15);
}

#[test]
fn rmsprop_by_hand() {
    // s = 0.5 · 2 + 0.5 · 16 = 9; p = 1 - 0.1 · 4 / (3 + 1).
    let [p, s, ..] = RMSPROP.step(&[1.0], &exact(&[4.0]), &[2.0], &[0.0], &[0.0]);
    assert_near("plain", &[p.values[0], s.values[0]], &[0.9, 9.0], 1e-15);
    // Decay: 3 + 0.5 · 2 = 4. Momentum: v = 0.5 · 3 + 4 / 4 = 2.5.
    let rule = RmsProp { weight_decay: 0.5, momentum: 0.5, ..RMSPROP };
    let [p, _, _, v] = rule.step(&[2.0], &exact(&[3.0]), &[2.0], &[0.0], &[3.0]);
    assert_near("momentum", &[p.values[0], v.values[0]], &[1.75, 2.5], 1e-15);
    // Centered: a = 0.5 · 2 + 0.5 · 4 = 3, s = 0.5 · 10 + 0.5 · 16 = 13, sqrt(13 - 9) + 1 = 3.
    let [p, s, a, _] = RmsProp { centered: true, ..RMSPROP }.step(&[1.0], &exact(&[4.0]), &[10.0], &[2.0], &[0.0]);
    assert_near("centered", &[p.values[0], s.values[0], a.values[0]], &[1.0 - 0.4 / 3.0, 13.0, 3.0], 1e-15);
    // A deviation of nothing, or by rounding less, leaves eps.
    let [p, ..] = RmsProp { centered: true, ..RMSPROP }.step(&[1.0], &exact(&[4.0]), &[15.9], &[4.0], &[0.0]);
    assert_near("no deviation", &p.values, &[0.6], 1e-15);
}

#[test]
fn adagrad_and_lion_by_hand() {
    // s = 9 + 16 = 25; p = 1 - 0.1 · 4 / (5 + 1).
    let adagrad = Adagrad { lr: 0.1, eps: 1.0, weight_decay: 0.0 };
    let [p, s] = adagrad.step(&[1.0], &exact(&[4.0]), &[9.0]);
    assert_near("adagrad", &[p.values[0], s.values[0]], &[1.0 - 0.4 / 6.0, 25.0], 1e-15);
    let [p, s] = Adagrad { weight_decay: 0.5, ..adagrad }.step(&[2.0], &exact(&[3.0]), &[9.0]);
    assert_near("adagrad's decay", &[p.values[0], s.values[0]], &[2.0 - 0.4 / 6.0, 25.0], 1e-15);
    // 0.9 · 1 - 0.1 · 8 > 0, 0.9 · 1 - 0.1 · 10 < 0; m = 0.5 · 1 + 0.5 · g.
    let lion = Lion { lr: 0.1, beta1: 0.9, beta2: 0.5, weight_decay: 0.25 };
    let [p, m] = lion.step(&[4.0, 4.0, 4.0], &exact(&[-8.0, -10.0, 0.0]), &[1.0, 1.0, 0.0]);
    assert_near("lion", &p.values, &[3.8, 4.0, 3.9], 1e-15);
    assert_near("lion's moment", &m.values, &[-3.5, -4.5, 0.0], 1e-15);
    // A direction whose sign is a matter of rounding may go either way; one of exact zeros may not.
    let [p, _] = lion.step(&[4.0], &exact(&[-9.000_000_1]), &[1.0]);
    assert!(p.magnitude[0] * f64::from(f32::EPSILON) > 0.1, "{p:?}");
}

#[test]
fn clipping_and_averages_by_hand() {
    let clip = clipped(gathered(&[3.0, -8.0, 1.0], &[1.0, 0.0, -0.5]), 0.5, 1.5);
    assert_near("values", &clip.values, &[1.5, -1.5, 0.25], 1e-15);
    assert_near("magnitude", &clip.magnitude, &[2.0, 4.0, 0.75], 1e-15);
    // A norm of 13.
    let mut all = [exact(&[3.0, 4.0]), exact(&[-12.0])];
    assert_near("norm", &[norm(&all)], &[13.0], 1e-15);
    limit_norm(&mut all, 14.0);
    assert_near("within", &all[0].values, &[3.0, 4.0], 1e-15);
    limit_norm(&mut all, 1.3);
    assert_near("scaled", &[all[0].values[0], all[1].values[0]], &[3.9 / 13.000_001, -15.6 / 13.000_001], 1e-15);
    let average = averaged(&[1.0], &exact(&[5.0]), 0.75);
    assert_near("average", &average.values, &[2.0], 1e-15);
    assert_near("warm-up", &[warmed_up(0.9, 1), warmed_up(0.9, 1000)], &[2.0 / 11.0, 0.9], 1e-15);
}

#[test]
fn no_gradient_and_no_decay_changes_nothing() {
    let [p, m, v] = Adam { decoupled: true, ..ADAM }.step(&[1.5], &exact(&[0.0]), &[0.0], &[0.0]);
    assert_eq!((p.values[0], m.values[0], v.values[0]), (1.5, 0.0, 0.0));
    assert!(p.magnitude[0].is_finite());
    let [p, s, ..] = RmsProp { centered: true, ..RMSPROP }.step(&[1.5], &exact(&[0.0]), &[0.0], &[0.0], &[0.0]);
    assert_eq!((p.values[0], s.values[0]), (1.5, 0.0));
    let [p, s] = Adagrad { lr: 0.1, eps: 1e-10, weight_decay: 0.0 }.step(&[1.5], &exact(&[0.0]), &[0.0]);
    assert_eq!((p.values[0], s.values[0]), (1.5, 0.0));
}

#[test]
fn single_precision_stays_within_the_bound() {
    let mut random = Random(21);
    let (p, mut g, m) = (random.uniform(500), random.uniform(500), random.uniform(500));
    let v = random.between(0.0, 1.0, 500);
    let decay = 0.25f32;
    for i in 0..100 {
        // A gradient that the decay all but cancels.
        g[i] = f64::from((-0.25 * p[i] * (1.0 + 1e-5)) as f32);
    }
    let [single_p, single_g, single_m, single_v] = [&p, &g, &m, &v].map(|values| single(values));

    let (lr, momentum) = (0.1f32, 0.9f32);
    for nesterov in [false, true] {
        let (lr_wide, momentum_wide, weight_decay) = (f64::from(lr), f64::from(momentum), f64::from(decay));
        let sgd = Sgd { lr: lr_wide, momentum: momentum_wide, damping: 1.0, weight_decay, nesterov };
        let [expected_p, expected_v] = sgd.step(&p, &exact(&g), &m);
        let decayed: Vec<f32> = single_g.iter().zip(&single_p).map(|(g, p)| g + decay * p).collect();
        let velocity: Vec<f32> = single_m.iter().zip(&decayed).map(|(v, g)| momentum * v + g).collect();
        check_single("sgd v", &expected_v, &velocity);
        let stepped = (0..500).map(|i| if nesterov { decayed[i] + momentum * velocity[i] } else { velocity[i] });
        let stepped: Vec<f32> = stepped.zip(&single_p).map(|(step, p)| p - lr * step).collect();
        check_single("sgd p", &expected_p, &stepped);
    }

    let (beta1, beta2, eps, step) = (0.9f32, 0.999f32, 1e-8f32, 3);
    let wide = f64::from;
    for decoupled in [false, true] {
        let [lr_wide, wide1, wide2, eps_wide, weight_decay] = [lr, beta1, beta2, eps, decay].map(wide);
        let adam = Adam { lr: lr_wide, beta1: wide1, beta2: wide2, eps: eps_wide, weight_decay, decoupled, step };
        let [expected_p, expected_m, expected_v] = adam.step(&p, &exact(&g), &m, &v);
        // The host's part, once a step.
        let correction1 = (1.0 - wide(beta1).powi(3)) as f32;
        let correction2 = (1.0 - wide(beta2).powi(3)) as f32;
        let (mut new_p, mut new_m, mut new_v) = (vec![], vec![], vec![]);
        for i in 0..500 {
            let mut p = single_p[i];
            let mut g = single_g[i];
            if decoupled {
                p -= lr * decay * p;
            } else {
                g += decay * p;
            }
            let (m, v) = (beta1 * single_m[i] + (1.0 - beta1) * g, beta2 * single_v[i] + (1.0 - beta2) * g * g);
            new_p.push(p - lr * (m / correction1) / ((v / correction2).sqrt() + eps));
            new_m.push(m);
            new_v.push(v);
        }
        check_single("adam m", &expected_m, &new_m);
        check_single("adam v", &expected_v, &new_v);
        check_single("adam p", &expected_p, &new_p);
    }

    let (alpha, s_before) = (0.9f32, v.iter().map(|v| v + 1.0).collect::<Vec<f64>>());
    let single_s = single(&s_before);
    for centered in [false, true] {
        let [lr_wide, alpha_wide, eps_wide, momentum_wide] = [lr, alpha, eps, momentum].map(wide);
        let rule = RmsProp {
            lr: lr_wide,
            alpha: alpha_wide,
            eps: eps_wide,
            weight_decay: 0.0,
            momentum: momentum_wide,
            centered,
        };
        let [expected_p, expected_s, expected_a, expected_v] = rule.step(&p, &exact(&g), &s_before, &m, &g);
        let (mut new_p, mut new_s, mut new_a, mut new_v) = (vec![], vec![], vec![], vec![]);
        for i in 0..500 {
            let g = single_g[i];
            let (s, a) = (alpha * single_s[i] + (1.0 - alpha) * g * g, alpha * single_m[i] + (1.0 - alpha) * g);
            let second = if centered { s - a * a } else { s };
            let v = momentum * g + g / (second.sqrt() + eps);
            new_p.push(single_p[i] - lr * v);
            new_s.push(s);
            new_a.push(a);
            new_v.push(v);
        }
        check_single("rmsprop s", &expected_s, &new_s);
        check_single("rmsprop a", &expected_a, &new_a);
        check_single("rmsprop v", &expected_v, &new_v);
        check_single("rmsprop p", &expected_p, &new_p);
    }

    let rule = Adagrad { lr: wide(lr), eps: wide(eps), weight_decay: wide(decay) };
    let [expected_p, expected_s] = rule.step(&p, &exact(&g), &v);
    let decayed: Vec<f32> = (0..500).map(|i| single_g[i] + decay * single_p[i]).collect();
    let sums: Vec<f32> = (0..500).map(|i| single_v[i] + decayed[i] * decayed[i]).collect();
    let stepped: Vec<f32> = (0..500).map(|i| single_p[i] - lr * decayed[i] / (sums[i].sqrt() + eps)).collect();
    check_single("adagrad s", &expected_s, &sums);
    check_single("adagrad p", &expected_p, &stepped);
}
