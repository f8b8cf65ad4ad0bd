//! `softmax` and log-sum-exp on the device.

use crate::support::of_rows;

#[test]
fn agrees_with_the_reference() {
    super::check("softmax");
}

const NONE: f32 = f32::NEG_INFINITY;
const ALL: f32 = f32::INFINITY;

#[test]
fn log_sum_exp_of_infinities_is_pytorchs() {
    let rows = [[NONE, NONE, NONE], [0.0, ALL, NONE], [2.5, NONE, NONE], [3e38, 0.0, -3e38], [-3e38, -3e38, NONE]];
    let Some([y, dx]) = of_rows(rows.as_flattened(), 3, |x| x.log_sum_exp(1)) else { return };
    // What ln 2 adds to the last vanishes beside it.
    assert_eq!(y, [NONE, ALL, 2.5, 3e38, -3e38]);
    // Finite elements beside an infinite one, a mask's row and numbers whose exponentials overflow.
    assert_eq!([dx[3], dx[5]], [0.0, 0.0]);
    assert_eq!(dx[6..], [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.5, 0.5, 0.0]);
}

#[test]
fn softmax_of_large_logits_and_masks() {
    let rows = [[3e38, -3e38, 0.0], [1e30, 1e30, NONE], [-3e38, NONE, NONE]];
    let Some([y, dx]) = of_rows(rows.as_flattened(), 3, |x| x.softmax(1)) else { return };
    assert_eq!(y, [1.0, 0.0, 0.0, 0.5, 0.5, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(dx, [0.0; 9]);
    let Some([y, _]) = of_rows(rows.as_flattened(), 3, |x| x.log_softmax(1)) else { return };
    assert_eq!([y[0], y[2], y[5], y[6], y[7]], [0.0, -3e38, NONE, 0.0, NONE]);
}
