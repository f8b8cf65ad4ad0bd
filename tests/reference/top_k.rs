//! Top-k: order, ties, not-a-number, gradients.

use omma::reference::top_k::{forward, grad_input};

use super::{Random, check_gradient};

#[test]
fn by_hand() {
    let x = [3.0, 1.0, f64::NAN, 3.0, -2.0];
    let (values, places) = forward([1, 5, 1], 4, true, &x);
    assert!(values.values[0].is_nan());
    assert_eq!((&values.values[1..], &places[..]), (&[3.0, 3.0, 1.0][..], &[2, 0, 3, 1][..]));
    let (values, places) = forward([1, 5, 1], 3, false, &x);
    assert_eq!((&values.values[1..], &places[..]), (&[-2.0, 1.0][..], &[2, 4, 1][..]));
    // Two columns.
    let (values, places) = forward([1, 2, 2], 1, true, &[1.0, 4.0, 3.0, 2.0]);
    assert_eq!((values.values, places), (vec![3.0, 4.0], vec![1, 0]));
}

#[test]
fn gradients() {
    for (view, count) in [([1, 1, 1], 1), ([2, 5, 1], 2), ([1, 6, 3], 3), ([3, 4, 2], 4)] {
        let mut random = Random(3);
        let [outer, length, inner] = view;
        let x = random.distinct(outer * length * inner);
        let dy = random.uniform(outer * count * inner);
        let (_, places) = forward(view, count, true, &x);
        check_gradient("top_k", &x, &dy, &grad_input(view, count, &places, &dy), |x| forward(view, count, true, x).0);
    }
}
