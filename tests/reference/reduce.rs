//! Channel sums and broadcasts: hand-computed, and each the other's gradient.

use omma::reference::{
    Checked,
    reduce::{channel_broadcast, channel_sum, channel_sum_of},
};

use super::{Random, check_gradient};

#[test]
fn by_hand() {
    let x = [1.0, -2.0, 3.0, 4.0, 5.0, -6.0, 7.0, 8.0];
    let sum = channel_sum([1, 2, 2, 2], &x, 0.5);
    assert_eq!((sum.values, sum.magnitude, sum.terms), (vec![-1.0, 11.0], vec![7.0, 11.0], 4));
    assert_eq!(channel_broadcast([1, 2, 2, 1], &[1.0, -2.0], 3.0).values, [3.0, -6.0, 3.0, -6.0]);
    // Terms that are off by something themselves.
    let off = Checked { magnitude: vec![2.0; 8], terms: 9, ..Checked::exact(x.to_vec()) };
    let sum = channel_sum_of([1, 2, 2, 2], &off, 0.5);
    assert_eq!((sum.values, sum.magnitude, sum.terms), (vec![-1.0, 11.0], vec![11.0, 15.0], 9));
    // Two groups of one channel each.
    assert_eq!(channel_sum([2, 2, 1, 2], &x, 1.0).values, [6.0, 14.0]);
    assert_eq!(channel_broadcast([2, 2, 1, 1], &[1.0, -2.0], 1.0).values, [1.0, 1.0, -2.0, -2.0]);
    assert_eq!(channel_broadcast([1, 1, 2, 2], &[1.0, -2.0], 3.0).values, [3.0, 3.0, -6.0, -6.0]);
}

#[test]
fn gradients() {
    for view in [[1, 1, 1, 1], [1, 3, 5, 1], [1, 1, 3, 7], [1, 2, 1, 5], [1, 3, 4, 5], [2, 3, 2, 5]] {
        let [groups, outer, channels, inner] = view;
        let mut random = Random(6);
        let (x, y) = (random.uniform(groups * outer * channels * inner), random.uniform(groups * channels));
        let sum = |x: &[f64]| channel_sum(view, x, -0.75);
        let broadcast = |y: &[f64]| channel_broadcast(view, y, -0.75);
        check_gradient("sum", &x, &y, &broadcast(&y), sum);
        check_gradient("broadcast", &y, &x, &sum(&x), broadcast);
    }
}
