//! Max pooling: ties, NaN, padding and ceil mode by hand, and the gradient.

use omma::reference::max_pool2d::{self, Geometry};

use super::{Random, check_gradient};

const PLAIN: Geometry = Geometry {
    planes: 1,
    in_height: 4,
    in_width: 4,
    kernel: [2, 2],
    stride: [2, 2],
    padding: [0; 4],
    ceil_mode: false,
};

#[test]
fn by_hand() {
    let x: Vec<f64> = (0..32).map(f64::from).collect();
    let (y, places) = max_pool2d::forward(&Geometry { planes: 2, ..PLAIN }, &x);
    assert_eq!(y.values, [5.0, 7.0, 13.0, 15.0, 21.0, 23.0, 29.0, 31.0]);
    // Within the window.
    assert_eq!(places, [3; 8]);
}

#[test]
fn the_first_of_equals_wins() {
    let (_, places) = max_pool2d::forward(&PLAIN, &[0.0; 16]);
    assert_eq!(places, [0; 4]);
    let infinite = [f64::NEG_INFINITY; 16];
    let (y, places) = max_pool2d::forward(&PLAIN, &infinite);
    assert_eq!((y.values, places), (vec![f64::NEG_INFINITY; 4], vec![0; 4]));
}

#[test]
fn nan_wins() {
    let g = Geometry { in_height: 1, in_width: 4, kernel: [1, 2], stride: [1, 1], ..PLAIN };
    let (y, places) = max_pool2d::forward(&g, &[f64::INFINITY, f64::NAN, f64::NAN, 9.0]);
    assert!(y.values.iter().all(|y| y.is_nan()));
    assert_eq!(places, [1, 0, 0]);
}

#[test]
fn padding_never_wins() {
    let g = Geometry { in_height: 2, in_width: 2, padding: [1; 4], ..PLAIN };
    let (y, places) = max_pool2d::forward(&g, &[-1.0, -2.0, -3.0, -4.0]);
    assert_eq!((y.values, places), (vec![-1.0, -2.0, -3.0, -4.0], vec![3, 2, 1, 0]));
}

#[test]
fn overlapping_windows_add_their_gradients() {
    let g = Geometry { in_height: 3, in_width: 3, stride: [1, 1], ..PLAIN };
    let centre = [0.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0];
    let (_, places) = max_pool2d::forward(&g, &centre);
    let dx = max_pool2d::grad_input(&g, &places, &[1.0, 2.0, -4.0, 8.0]);
    assert_eq!(dx.values, [0.0, 0.0, 0.0, 0.0, 7.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!((dx.magnitude[4], dx.terms), (15.0, 4));
}

#[test]
fn gradients() {
    let odd = Geometry { planes: 3, in_height: 7, in_width: 5, ..PLAIN };
    for g in [
        odd,
        Geometry { ceil_mode: true, ..odd },
        Geometry { kernel: [3, 2], stride: [1, 3], padding: [2, 0, 1, 1], ..odd },
        Geometry { kernel: [3, 3], stride: [2, 2], padding: [0, 1, 1, 0], ceil_mode: true, ..odd },
        Geometry { kernel: [1, 1], stride: [3, 2], ..odd },
        Geometry { kernel: [7, 5], ..odd },
        Geometry { planes: 1, in_height: 1, in_width: 1, kernel: [1, 1], ..odd },
    ] {
        let mut random = Random(4);
        let x = random.distinct(g.planes * g.in_height * g.in_width);
        let (y, places) = max_pool2d::forward(&g, &x);
        let [out_height, out_width] = g.out_size();
        assert_eq!(y.values.len(), g.planes * out_height * out_width);
        let dy = random.uniform(y.values.len());
        let dx = max_pool2d::grad_input(&g, &places, &dy);
        check_gradient(&format!("{g:?}"), &x, &dy, &dx, |x| max_pool2d::forward(&g, x).0);
    }
}
