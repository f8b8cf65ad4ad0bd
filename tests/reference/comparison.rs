//! Masks and the choice by them: values, and the gradients of what is chosen.

use omma::reference::comparison::*;

use super::{Random, check_gradient};

#[test]
fn by_hand() {
    let (a, b) = ([1.0, 2.0, 3.0, f64::NAN], [2.0, 2.0, 2.0, 2.0]);
    assert_eq!(equal(&a, &b).values, [0.0, 1.0, 0.0, 0.0]);
    assert_eq!(not_equal(&a, &b).values, [1.0, 0.0, 1.0, 1.0]);
    assert_eq!(less(&a, &b).values, [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(less_or_equal(&a, &b).values, [1.0, 1.0, 0.0, 0.0]);
    assert_eq!(greater(&a, &b).values, [0.0, 0.0, 1.0, 0.0]);
    assert_eq!(greater_or_equal(&a, &b).values, [0.0, 1.0, 1.0, 0.0]);
    let (a, b) = ([0.0, 0.0, -2.0, 0.5], [0.0, 1.0, 0.0, 3.0]);
    assert_eq!(logical_and(&a, &b).values, [0.0, 0.0, 0.0, 1.0]);
    assert_eq!(logical_or(&a, &b).values, [0.0, 1.0, 1.0, 1.0]);
    assert_eq!(logical_not(&a).values, [1.0, 1.0, 0.0, 0.0]);
    assert_eq!(select(&b, &[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0]).values, [5.0, 2.0, 7.0, 4.0]);
}

#[test]
fn gradients() {
    let mut random = Random(9);
    let condition: Vec<f64> = (0..66).map(|i| f64::from(i % 3)).collect();
    let [a, b, dy] = [0; 3].map(|_| random.uniform(66));
    check_gradient("select", &a, &dy, &select_grad_first(&condition, &dy), |a| select(&condition, a, &b));
    check_gradient("select", &b, &dy, &select_grad_second(&condition, &dy), |b| select(&condition, &a, b));
}
