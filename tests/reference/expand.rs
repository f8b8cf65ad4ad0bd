//! Copies along axes and the sums that lead back.

use omma::reference::{Checked, expand::*};

use super::{Random, check_gradient};

#[test]
fn by_hand() {
    assert_eq!(forward(&[2, 1], &[2, 3], &[1.0, 2.0]), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    assert_eq!(forward(&[2], &[3, 2], &[1.0, 2.0]), [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
    assert_eq!(forward(&[], &[2, 1], &[7.0]), [7.0, 7.0]);
    let x = Checked::exact(vec![1.0, -2.0, 3.0, 4.0]);
    let sum = grad_input([2, 1, 1, 2], &x);
    assert_eq!((sum.values, sum.magnitude, sum.terms), (vec![-1.0, 7.0], vec![6.0, 14.0], 2));
    assert_eq!(grad_input([1, 2, 2, 1], &x).values, [4.0, 2.0]);
}

#[test]
fn gradients() {
    let mut random = Random(9);
    let (x, dy) = (random.uniform(6), random.uniform(60));
    // Copied along the axes of 5 and 2.
    let gradient = grad_input([3, 5, 2, 2], &Checked::exact(dy.clone()));
    check_gradient("expand", &x, &dy, &gradient, |x| Checked::exact(forward(&[3, 1, 2, 1], &[3, 5, 2, 2], x)));
}
