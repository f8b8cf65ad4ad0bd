//! Channel sums and broadcasts: hand-computed, and each the other's gradient.

use omma::reference::reduce::{channel_broadcast, channel_sum};

use super::{Random, check_gradient};

#[test]
fn by_hand() {
    let x = [1.0, -2.0, 3.0, 4.0, 5.0, -6.0, 7.0, 8.0];
    let sum = channel_sum(2, 2, 2, &x, 0.5);
    assert_eq!((sum.values, sum.magnitude, sum.terms), (vec![-1.0, 11.0], vec![7.0, 11.0], 4));
    assert_eq!(channel_broadcast(2, 2, 1, &[1.0, -2.0], 3.0).values, [3.0, -6.0, 3.0, -6.0]);
    assert_eq!(channel_broadcast(1, 2, 2, &[1.0, -2.0], 3.0).values, [3.0, 3.0, -6.0, -6.0]);
}

#[test]
fn gradients() {
    for (outer, channels, inner) in [(1, 1, 1), (3, 5, 1), (1, 3, 7), (2, 1, 5), (3, 4, 5)] {
        let mut random = Random(6);
        let (x, y) = (random.uniform(outer * channels * inner), random.uniform(channels));
        let sum = |x: &[f64]| channel_sum(outer, channels, inner, x, -0.75);
        let broadcast = |y: &[f64]| channel_broadcast(outer, channels, inner, y, -0.75);
        check_gradient("sum", &x, &y, &broadcast(&y), sum);
        check_gradient("broadcast", &y, &x, &sum(&x), broadcast);
    }
}
