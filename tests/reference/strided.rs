//! Moved elements: hand-computed, and the way back as the gradient.

use omma::reference::strided::{Along, permute, select};

use super::{Random, check_gradient};

#[test]
fn by_hand() {
    let x: Vec<f64> = (0..6).map(f64::from).collect();
    assert_eq!(permute(&[2, 3], &[1, 0], &x).values, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    assert_eq!(permute(&[1, 2, 3], &[2, 0, 1], &x).values, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    // Columns 2 and 0 of both rows; then a column of nines on both sides of the first row.
    let backwards = Along { length: 2, start: 2, step: -2, dilation: 1 };
    assert_eq!(select(&[2, 3], &[Along::whole(2), backwards], 0.0, &x).values, [2.0, 0.0, 5.0, 3.0]);
    let padded = Along { length: 5, start: -1, step: 1, dilation: 1 };
    assert_eq!(select(&[2, 3], &[Along::whole(1), padded], 9.0, &x).values, [9.0, 0.0, 1.0, 2.0, 9.0]);
    // Zeros between the elements.
    let spread = Along { length: 4, start: 0, step: 1, dilation: 2 };
    assert_eq!(select(&[2], &[spread], 0.0, &[1.0, 2.0]).values, [1.0, 0.0, 2.0, 0.0]);
    // What is not read does no harm.
    let first = Along { length: 2, start: 0, step: 1, dilation: 1 };
    assert_eq!(select(&[3], &[first], 0.0, &[1.0, 2.0, f64::NAN]).values, [1.0, 2.0]);
}

#[test]
fn gradients() {
    let mut random = Random(3);
    let shape = [3, 5, 4];
    let x = random.uniform(60);
    let dy = random.uniform(60);
    let permutation = [2, 0, 1];
    let gradient = permute(&[4, 3, 5], &[1, 2, 0], &dy);
    check_gradient("permute", &x, &dy, &gradient, |x| permute(&shape, &permutation, x));
    let pad = Along { length: 7, start: -1, step: 1, dilation: 1 };
    let crop = Along { length: 2, start: 2, step: 1, dilation: 1 };
    let backwards = Along { length: 2, start: 4, step: -3, dilation: 1 };
    let spread = Along { length: 9, start: -1, step: 1, dilation: 3 };
    let both = Along { length: 4, start: 7, step: -2, dilation: 3 };
    for along in [pad, crop, backwards, spread, both] {
        let all = [Along::whole(3), along, Along::whole(4)];
        let dy = random.uniform(12 * along.length);
        let back = [Along::whole(3), along.inverse(5), Along::whole(4)];
        let gradient = select(&[3, along.length, 4], &back, 0.0, &dy);
        check_gradient("select", &x, &dy, &gradient, |x| select(&shape, &all, 0.0, x));
    }
}
