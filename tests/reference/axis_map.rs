//! Maps along an axis: hand-computed, and the gradient.

use omma::reference::Checked;
use omma::reference::axis_map::{Rows, forward, grad_input};

use super::{Random, check_gradient, check_single};

#[test]
fn by_hand() {
    // y0 = 2 x0 - x2, y1 = nothing, y2 = x1.
    let rows = Rows { starts: &[0, 2, 2, 3], entries: &[(0, 2.0), (2, -1.0), (1, 1.0)] };
    let x = Checked::exact(vec![1.0, 10.0, 2.0, 20.0, 3.0, 30.0]);
    let y = forward([1, 3, 2], rows, &x);
    assert_eq!(y.values, [-1.0, -10.0, 0.0, 0.0, 2.0, 20.0]);
    assert_eq!(y.magnitude, [5.0, 50.0, 0.0, 0.0, 2.0, 20.0]);
    assert_eq!(y.terms, 3);
    let dx = grad_input([1, 3, 2], rows, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(dx.values, [2.0, 4.0, 5.0, 6.0, -1.0, -2.0]);
}

#[test]
fn picked_elements_are_exact() {
    let rows = Rows { starts: &[0, 1, 2], entries: &[(2, 1.0), (0, 1.0)] };
    let y = forward([1, 3, 1], rows, &Checked::exact(vec![1.0, f64::INFINITY, 3.0]));
    assert_eq!((y.values, y.terms), (vec![3.0, 1.0], 1));
}

#[test]
fn gradients() {
    let mut random = Random(11);
    let rows =
        Rows { starts: &[0, 3, 3, 4, 6], entries: &[(0, 0.5), (1, -0.25), (4, 1.5), (2, 1.0), (0, 0.75), (4, 0.125)] };
    for (outer, inner) in [(1, 1), (3, 2), (2, 5)] {
        let x = random.uniform(outer * 5 * inner);
        let dy = random.uniform(outer * 4 * inner);
        let dx = grad_input([outer, 5, inner], rows, &dy);
        check_gradient("x", &x, &dy, &dx, |x| forward([outer, 5, inner], rows, &Checked::exact(x.to_vec())));
    }
}

#[test]
fn single_precision_is_within_the_magnitude() {
    let x = Random(5).uniform(900);
    let entries: Vec<(usize, f32)> = (0..900).map(|column| (column, 1.0 / 900.0)).collect();
    let exact = forward([1, 900, 1], Rows { starts: &[0, 900], entries: &entries }, &Checked::exact(x.clone()));
    let sum = x.iter().fold(0.0_f32, |sum, &x| sum + entries[0].1 * x as f32);
    check_single("mean", &exact, &[sum]);
}
