//! Optimizers: steps worked out by hand, and magnitudes against single precision.

use omma::reference::optimizer::{adam, sgd};

use super::{Random, assert_near, check_single, single};

#[test]
fn sgd_by_hand() {
    // Plain: p - lr · g.
    let (p, v) = sgd(&[1.0], &[0.5], &[0.0], 0.1, 0.0, 0.0, false);
    assert_near("plain", &[p.values[0], v.values[0]], &[0.95, 0.5], 1e-15);
    // With decay g = 0.5 + 0.2 · 1 = 0.7; v = 0.9 · 2 + 0.7 = 2.5.
    let (p, v) = sgd(&[1.0], &[0.5], &[2.0], 0.1, 0.9, 0.2, false);
    assert_near("momentum", &[p.values[0], v.values[0]], &[0.75, 2.5], 1e-15);
    // Nesterov: 0.7 + 0.9 · 2.5 = 2.95.
    let (p, v) = sgd(&[1.0], &[0.5], &[2.0], 0.1, 0.9, 0.2, true);
    assert_near("nesterov", &[p.values[0], v.values[0]], &[0.705, 2.5], 1e-15);
}

#[test]
fn sgd_counts_what_cancels() {
    // g = -0.2 + 0.2 · 1 = 0, made of terms of 0.4 together; p' is 1 + 0.1 · 0.4 in terms.
    let (p, v) = sgd(&[1.0], &[-0.2], &[0.0], 0.1, 0.9, 0.2, false);
    assert_near("values", &[p.values[0], v.values[0]], &[1.0, 0.0], 1e-15);
    assert_near("magnitude", &[p.magnitude[0], v.magnitude[0]], &[1.04, 0.4], 1e-15);
}

#[test]
fn adam_by_hand() {
    // The first step is lr · sign(g), whatever the size of g, but for eps.
    let (p, m, v) = adam(&[1.0, 1.0], &[4.0, -1e-3], &[0.0; 2], &[0.0; 2], 1, 0.1, 0.9, 0.999, 0.0, 0.0, false);
    assert_near("p", &p.values, &[0.9, 1.1], 1e-12);
    assert_near("m", &m.values, &[0.4, -1e-4], 1e-15);
    assert_near("v", &v.values, &[0.016, 1e-9], 1e-15);

    // Step 2 with easy numbers: m = 0.5 · 2 + 0.5 · 4 = 3, mhat = 3 / 0.75 = 4; v = 0.5 · 8 + 0.5 · 16 = 12,
    // vhat = 16; p = 1 - 0.1 · 4 / (4 + 1).
    let (p, m, v) = adam(&[1.0], &[4.0], &[2.0], &[8.0], 2, 0.1, 0.5, 0.5, 1.0, 0.0, false);
    assert_near("step 2", &[p.values[0], m.values[0], v.values[0]], &[0.92, 3.0, 12.0], 1e-15);
    // Coupled decay joins the gradient: 3 + 0.25 · 4 = 4 gives the same moments.
    let (p, m, v) = adam(&[4.0], &[3.0], &[2.0], &[8.0], 2, 0.1, 0.5, 0.5, 1.0, 0.25, false);
    assert_near("coupled", &[p.values[0], m.values[0], v.values[0]], &[3.92, 3.0, 12.0], 1e-15);
    // Decoupled decay does not: 4 · (1 - 0.1 · 0.25) - 0.08.
    let (p, m, v) = adam(&[4.0], &[4.0], &[2.0], &[8.0], 2, 0.1, 0.5, 0.5, 1.0, 0.25, true);
    assert_near("decoupled", &[p.values[0], m.values[0], v.values[0]], &[3.82, 3.0, 12.0], 1e-15);
}

#[test]
fn no_gradient_and_no_decay_changes_nothing() {
    let (p, m, v) = adam(&[1.5], &[0.0], &[0.0], &[0.0], 1, 0.1, 0.9, 0.999, 1e-8, 0.0, true);
    assert_eq!((p.values[0], m.values[0], v.values[0]), (1.5, 0.0, 0.0));
    assert!(p.magnitude[0].is_finite());
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
        let (expected_p, expected_v) = sgd(&p, &g, &m, f64::from(lr), f64::from(momentum), f64::from(decay), nesterov);
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
        let (expected_p, expected_m, expected_v) =
            adam(&p, &g, &m, &v, step, wide(lr), wide(beta1), wide(beta2), wide(eps), wide(decay), decoupled);
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
}
