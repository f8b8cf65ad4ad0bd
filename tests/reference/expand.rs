//! Copies along axes, and the sums that lead back.

use omma::reference::{Checked, expand::forward, reduce::channel_sum};

use super::{Random, check_gradient};

#[test]
fn by_hand() {
    assert_eq!(forward(&[2, 1], &[2, 3], &[1.0, 2.0]), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    assert_eq!(forward(&[2], &[3, 2], &[1.0, 2.0]), [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
    assert_eq!(forward(&[], &[2, 1], &[7.0]), [7.0, 7.0]);
}

#[test]
fn gradients() {
    let mut random = Random(9);
    let (x, dy) = (random.uniform(6), random.uniform(60));
    // Copied along the axes of 5 and 2.
    let gradient = channel_sum([3, 5, 2, 2], &dy, 1.0);
    check_gradient("expand", &x, &dy, &gradient, |x| Checked::exact(forward(&[3, 1, 2, 1], &[3, 5, 2, 2], x)));
}
