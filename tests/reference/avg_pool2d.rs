//! Average pooling: the divisor rules by hand, and the gradient.

use omma::reference::avg_pool2d::{self, Geometry};

use super::{Random, assert_near, check_gradient};

const PLAIN: Geometry = Geometry {
    planes: 1,
    in_height: 3,
    in_width: 3,
    kernel: [2, 2],
    stride: [2, 2],
    padding: [0; 4],
    ceil_mode: false,
    count_include_pad: true,
};

#[test]
fn by_hand() {
    let x = [1.0, 2.0, 3.0, 4.0, -5.0, 6.0, 7.0, 8.0, 9.0];
    let y = avg_pool2d::forward(&PLAIN, &x);
    assert_eq!((y.values, y.magnitude, y.terms), (vec![0.5], vec![3.0], 4));
}

#[test]
fn padding_counts_if_asked() {
    let x = [12.0; 9];
    let padded = Geometry { padding: [1, 1, 0, 0], ..PLAIN };
    // The corner window holds 1 cell of 4, the edges 2.
    assert_eq!(avg_pool2d::forward(&padded, &x).values, [3.0, 6.0, 6.0, 12.0]);
    let excluded = Geometry { count_include_pad: false, ..padded };
    assert_near("excluded", &avg_pool2d::forward(&excluded, &x).values, &[12.0; 4], 1e-14);
}

#[test]
fn what_lies_beyond_the_padded_input_never_counts() {
    let x = [12.0; 9];
    for count_include_pad in [false, true] {
        let ceil = Geometry { ceil_mode: true, count_include_pad, ..PLAIN };
        assert_eq!(avg_pool2d::forward(&ceil, &x).values, [12.0; 4]);
    }
    // Padded rows: 1 + 3 + 1 = 5, windows of 3 at 0 and 3, the second cut to 2 rows of which one is the input's.
    let both = Geometry { kernel: [3, 3], stride: [3, 3], padding: [1; 4], ceil_mode: true, ..PLAIN };
    assert_eq!(both.out_size(), [2, 2]);
    let expected = [12.0 * 4.0 / 9.0, 12.0 * 2.0 / 6.0, 12.0 * 2.0 / 6.0, 12.0 / 4.0];
    assert_near("both", &avg_pool2d::forward(&both, &x).values, &expected, 1e-14);
}

#[test]
fn gradients() {
    let odd = Geometry { planes: 2, in_height: 7, in_width: 5, ..PLAIN };
    for g in [
        odd,
        Geometry { kernel: [3, 2], stride: [1, 3], padding: [2, 0, 1, 1], ..odd },
        Geometry { kernel: [3, 3], stride: [2, 2], padding: [0, 1, 1, 0], ceil_mode: true, ..odd },
        Geometry { kernel: [1, 1], stride: [3, 2], ..odd },
        Geometry { kernel: [7, 5], ..odd },
        Geometry { planes: 1, in_height: 1, in_width: 1, kernel: [1, 1], ..odd },
    ] {
        for count_include_pad in [false, true] {
            let g = Geometry { count_include_pad, ..g };
            let mut random = Random(5);
            let x = random.uniform(g.planes * g.in_height * g.in_width);
            let dy = random.uniform(avg_pool2d::forward(&g, &x).values.len());
            let dx = avg_pool2d::grad_input(&g, &dy);
            check_gradient(&format!("{g:?}"), &x, &dy, &dx, |x| avg_pool2d::forward(&g, x));
        }
    }
}
