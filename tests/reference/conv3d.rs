//! 3-d convolution: hand-computed, like that of two dimensions where one is trivial, and gradients.

use omma::reference::conv3d::Geometry;
use omma::reference::{conv2d, conv3d, reduce};

use super::{Random, assert_near, check_gradient};

const CUBE: Geometry = Geometry {
    batch: 1,
    channels: [1, 1],
    groups: 1,
    input: [2, 2, 2],
    output: [1, 1, 1],
    kernel: [2, 2, 2],
    stride: [1; 3],
    begin: [0; 3],
    dilation: [1; 3],
};

#[test]
fn by_hand() {
    let digits = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    let places = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7];
    let y = conv3d::forward(&CUBE, &digits, &places, &[0.5]);
    assert_eq!((y.values[0], y.terms), (87_654_321.5, 9));
    // One slice of zeros before and a stride of 2: the first position sees the first slice through the second of the kernel.
    let padded = Geometry { begin: [1, 0, 0], stride: [2, 1, 1], output: [2, 1, 1], ..CUBE };
    let y = conv3d::forward(&padded, &digits, &places, &[0.0]);
    assert_eq!(y.values, [43_210_000.0, 8765.0]);
    assert_eq!(conv3d::grad_input(&CUBE, &places, &[3.0]).values, places.map(|place| 3.0 * place));
}

#[test]
fn a_kernel_of_one_slice_is_a_convolution_of_slices() {
    let g = Geometry {
        batch: 2,
        channels: [4, 6],
        groups: 2,
        input: [3, 5, 4],
        output: [3, 2, 3],
        kernel: [1, 3, 2],
        stride: [1, 2, 1],
        ..CUBE
    };
    let flat = conv2d::Geometry {
        batch: 1,
        in_channels: 4,
        in_height: 5,
        in_width: 4,
        out_channels: 6,
        groups: 2,
        kernel: [3, 2],
        stride: [2, 1],
        padding: [0; 4],
        dilation: [1, 1],
    };
    let mut random = Random(13);
    let (x, w, bias) = (random.uniform(2 * 4 * 3 * 20), random.uniform(6 * 2 * 6), random.uniform(6));
    let y = conv3d::forward(&g, &x, &w, &bias).values;
    for (n, d) in (0..2).flat_map(|n| (0..3).map(move |d| (n, d))) {
        let slice: Vec<f64> = (0..4).flat_map(|c| x[((n * 4 + c) * 3 + d) * 20..][..20].to_vec()).collect();
        let expected = conv2d::forward(&flat, &slice, &w, Some(&bias)).values;
        let actual: Vec<f64> = (0..6).flat_map(|o| y[((n * 6 + o) * 3 + d) * 6..][..6].to_vec()).collect();
        assert_near(&format!("image {n}, slice {d}"), &actual, &expected, 0.0);
    }
}

#[test]
fn gradients() {
    let g = Geometry {
        batch: 2,
        channels: [4, 2],
        groups: 2,
        input: [5, 4, 6],
        output: [2, 4, 3],
        kernel: [3, 2, 3],
        stride: [2, 1, 2],
        begin: [1, 1, 0],
        dilation: [1, 2, 1],
    };
    for (name, g) in [("plain", CUBE), ("all at once", g)] {
        let mut random = Random(12);
        let volume = |size: [usize; 3]| size.iter().product::<usize>();
        let x = random.uniform(g.batch * g.channels[0] * volume(g.input));
        let w = random.uniform(g.channels[1] * g.channels[0] / g.groups * volume(g.kernel));
        let (bias, dy) = (random.uniform(g.channels[1]), random.uniform(g.batch * g.channels[1] * volume(g.output)));
        check_gradient(name, &x, &dy, &conv3d::grad_input(&g, &w, &dy), |x| conv3d::forward(&g, x, &w, &bias));
        check_gradient(name, &w, &dy, &conv3d::grad_weight(&g, &x, &dy), |w| conv3d::forward(&g, &x, w, &bias));
        let dbias = reduce::channel_sum([1, g.batch, g.channels[1], volume(g.output)], &dy, 1.0);
        check_gradient(name, &bias, &dy, &dbias, |bias| conv3d::forward(&g, &x, &w, bias));
    }
}
