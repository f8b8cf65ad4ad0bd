//! Transposed convolution: hand-computed, and gradients.

use omma::reference::conv2d::Geometry;
use omma::reference::{conv_transpose, conv2d, reduce};

use super::{Random, check_gradient};

/// From 2x2 pixels to 4x4 of stride 2 with a kernel of 2.
const TWICE: Geometry = Geometry {
    batch: 1,
    in_channels: 1,
    in_height: 4,
    in_width: 4,
    out_channels: 1,
    groups: 1,
    kernel: [2, 2],
    stride: [2, 2],
    padding: [0; 4],
    dilation: [1, 1],
};

#[test]
fn by_hand() {
    // Each pixel becomes a square of its multiples of the kernel.
    let y = conv_transpose::forward(&TWICE, &[1.0, 2.0, 3.0, 4.0], &[1.0, 10.0, 100.0, 1000.0], Some(&[0.5]));
    let rows = [
        [1.5, 10.5, 2.5, 20.5],
        [100.5, 1000.5, 200.5, 2000.5],
        [3.5, 30.5, 4.5, 40.5],
        [300.5, 3000.5, 400.5, 4000.5],
    ];
    assert_eq!(y.values, rows.concat());
    assert_eq!(y.magnitude, rows.concat());
    assert_eq!(y.terms, 5);

    // Windows overlap: with stride 1 and two ones in a row, each inner value is the sum of two neighbours.
    let row = Geometry { in_height: 1, kernel: [1, 2], stride: [1, 1], ..TWICE };
    let y = conv_transpose::forward(&row, &[1.0, 2.0, 3.0], &[1.0, 1.0], None);
    assert_eq!(y.values, [1.0, 3.0, 5.0, 3.0]);
    // What a padding takes away are the ends.
    let padded = Geometry { in_width: 2, padding: [0, 1, 0, 1], ..row };
    assert_eq!(conv_transpose::forward(&padded, &[1.0, 2.0, 3.0], &[1.0, 1.0], None).values, [3.0, 5.0]);
}

#[test]
fn gradients() {
    let odd = Geometry { batch: 2, in_channels: 6, out_channels: 4, groups: 2, in_height: 6, in_width: 5, ..TWICE };
    let dilated = Geometry { kernel: [2, 3], padding: [1, 0, 0, 2], dilation: [3, 1], stride: [1, 2], ..odd };
    for (name, g) in [("plain", TWICE), ("a row and column more", odd), ("dilated", dilated)] {
        let mut random = Random(11);
        let pixels = g.out_size().iter().product::<usize>();
        let x = random.uniform(g.batch * g.out_channels * pixels);
        let w = random.uniform(g.out_channels * (g.in_channels / g.groups) * g.kernel[0] * g.kernel[1]);
        let bias = random.uniform(g.in_channels);
        let dy = random.uniform(g.batch * g.in_channels * g.in_height * g.in_width);
        // Both gradients are those of the convolution from dy.
        let dx = conv2d::forward(&g, &dy, &w, None);
        check_gradient(name, &x, &dy, &dx, |x| conv_transpose::forward(&g, x, &w, Some(&bias)));
        let dw = conv2d::grad_weight(&g, &dy, &x);
        check_gradient(name, &w, &dy, &dw, |w| conv_transpose::forward(&g, &x, w, Some(&bias)));
        let dbias = reduce::channel_sum([1, g.batch, g.in_channels, g.in_height * g.in_width], &dy, 1.0);
        check_gradient(name, &bias, &dy, &dbias, |bias| conv_transpose::forward(&g, &x, &w, Some(bias)));
    }
}
