//! Products: values, zeros, gradients, magnitudes against single precision.

use omma::reference::product::{forward, grad_input};

use super::{Random, check_gradient, check_single, single};

#[test]
fn by_hand() {
    assert_eq!(forward([2, 2, 1], &[2.0, 3.0, -1.0, 4.0]).values, [6.0, -4.0]);
    assert_eq!(forward([1, 2, 2], &[2.0, 3.0, -1.0, 4.0]).values, [-2.0, 12.0]);
    assert_eq!(grad_input([1, 3, 1], &[2.0, 0.0, 5.0], &[3.0]).values, [0.0, 30.0, 0.0]);
    assert_eq!(grad_input([1, 3, 1], &[0.0, 0.0, 5.0], &[3.0]).values, [0.0; 3]);
}

#[test]
fn gradients() {
    for view in [[1, 1, 1], [2, 5, 1], [1, 4, 3], [3, 2, 2]] {
        let mut random = Random(4);
        let [outer, length, inner] = view;
        let (x, dy) = (random.uniform(outer * length * inner), random.uniform(outer * inner));
        check_gradient("product", &x, &dy, &grad_input(view, &x, &dy), |x| forward(view, x));
    }
}

#[test]
fn single_precision_stays_within_the_bound() {
    let mut random = Random(5);
    for length in [1, 10, 100] {
        for _ in 0..20 {
            // Also products that leave the range of normal numbers.
            let x = random.between(-0.5, 0.5, length);
            check_single("product", &forward([1, length, 1], &x), &[single(&x).iter().product()]);
        }
    }
}
