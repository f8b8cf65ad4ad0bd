//! Convolution: hand-computed images, an independent padded-copy form, gradients at every kind of geometry.

use omma::reference::{Checked, conv2d, reduce};

use super::{Random, assert_near, check_gradient, check_single, single};

const PLAIN: conv2d::Geometry = conv2d::Geometry {
    batch: 1,
    in_channels: 1,
    in_height: 3,
    in_width: 3,
    out_channels: 1,
    groups: 1,
    kernel: [2, 2],
    stride: [1, 1],
    padding: [0; 4],
    dilation: [1, 1],
};

const NINE: [f64; 9] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];

/// Odd, asymmetric, strided, dilated, grouped, depthwise, 1x1, axes of length 1.
fn geometries() -> Vec<(&'static str, conv2d::Geometry)> {
    let odd = conv2d::Geometry { batch: 2, in_channels: 3, in_height: 5, in_width: 7, out_channels: 2, ..PLAIN };
    let grouped = conv2d::Geometry { in_channels: 4, out_channels: 6, groups: 2, ..odd };
    vec![
        ("plain", PLAIN),
        ("asymmetric", conv2d::Geometry { kernel: [3, 2], stride: [2, 3], padding: [1, 0, 2, 3], ..odd }),
        ("dilated", conv2d::Geometry { kernel: [2, 3], padding: [2, 1, 0, 1], dilation: [3, 2], ..odd }),
        ("strided past the end", conv2d::Geometry { stride: [2, 5], ..odd }),
        ("grouped", conv2d::Geometry { kernel: [3, 3], padding: [1; 4], dilation: [2, 1], stride: [1, 2], ..grouped }),
        ("depthwise", conv2d::Geometry { in_channels: 3, out_channels: 6, groups: 3, kernel: [3, 1], ..odd }),
        ("1x1", conv2d::Geometry { kernel: [1, 1], ..odd }),
        ("one row", conv2d::Geometry { in_height: 1, kernel: [1, 5], padding: [0, 4, 0, 4], ..odd }),
        ("one pixel", conv2d::Geometry { in_height: 1, in_width: 1, kernel: [3, 3], padding: [1; 4], ..odd }),
        ("padding only", conv2d::Geometry { padding: [3; 4], ..PLAIN }),
    ]
}

struct Data {
    x: Vec<f64>,
    w: Vec<f64>,
    bias: Vec<f64>,
    dy: Vec<f64>,
}

fn data(g: &conv2d::Geometry) -> Data {
    let mut random = Random(1);
    let [out_height, out_width] = g.out_size();
    Data {
        x: random.uniform(g.batch * g.in_channels * g.in_height * g.in_width),
        w: random.uniform(g.out_channels * g.in_channels / g.groups * g.kernel[0] * g.kernel[1]),
        bias: random.uniform(g.out_channels),
        dy: random.uniform(g.batch * g.out_channels * out_height * out_width),
    }
}

#[test]
fn by_hand() {
    let y = conv2d::forward(&PLAIN, &NINE, &[1.0, 0.0, 0.0, -1.0], Some(&[10.0]));
    // Each pixel less its lower right neighbour, plus 10.
    assert_eq!(y.values, [6.0; 4]);
    assert_eq!(y.magnitude, [16.0, 18.0, 22.0, 24.0]);
    assert_eq!(y.terms, 5);

    // Top and left only: the first output row and column see one row or column of zeros.
    let padded = conv2d::Geometry { padding: [1, 1, 0, 0], ..PLAIN };
    let y = conv2d::forward(&padded, &NINE, &[1.0, 10.0, 100.0, 1000.0], None);
    assert_eq!(padded.out_size(), [3, 3]);
    assert_eq!(y.values[..4], [1000.0, 2100.0, 3200.0, 4010.0]);

    // Taps two apart: only the corners.
    let dilated = conv2d::Geometry { dilation: [2, 2], ..PLAIN };
    assert_eq!(conv2d::forward(&dilated, &NINE, &[1.0, 10.0, 100.0, 1000.0], None).values, [9731.0]);
}

#[test]
fn output_size_rounds_down() {
    let g = conv2d::Geometry { in_height: 8, in_width: 9, kernel: [3, 3], stride: [2, 2], ..PLAIN };
    assert_eq!(g.out_size(), [3, 4]);
    let lenet = conv2d::Geometry { in_height: 28, in_width: 28, kernel: [5, 5], padding: [2; 4], ..PLAIN };
    assert_eq!(lenet.out_size(), [28, 28]);
    let stem =
        conv2d::Geometry { in_height: 224, in_width: 224, kernel: [7, 7], padding: [3; 4], stride: [2, 2], ..PLAIN };
    assert_eq!(stem.out_size(), [112, 112]);
}

#[test]
fn groups_are_separate_convolutions() {
    let g = conv2d::Geometry { in_channels: 2, out_channels: 2, groups: 2, ..PLAIN };
    let mut random = Random(2);
    let (x, w) = (random.uniform(18), random.uniform(8));
    let y = conv2d::forward(&g, &x, &w, None).values;
    assert_eq!(y[..4], conv2d::forward(&PLAIN, &x[..9], &w[..4], None).values);
    assert_eq!(y[4..], conv2d::forward(&PLAIN, &x[9..], &w[4..], None).values);
}

/// The other way to say it: copy the image into a frame of zeros, then slide without any bounds.
fn with_padded_copy(g: &conv2d::Geometry, x: &[f64], w: &[f64], bias: &[f64]) -> Vec<f64> {
    let [top, left, bottom, right] = g.padding;
    let (height, width) = (g.in_height + top + bottom, g.in_width + left + right);
    let mut frame = vec![0.0; g.batch * g.in_channels * height * width];
    for (index, value) in x.iter().enumerate() {
        let (row, column) = (index / g.in_width, index % g.in_width);
        let (plane, row) = (row / g.in_height, row % g.in_height);
        frame[(plane * height + row + top) * width + column + left] = *value;
    }
    let [out_height, out_width] = g.out_size();
    let (group_in, group_out) = (g.in_channels / g.groups, g.out_channels / g.groups);
    let taps = g.kernel[0] * g.kernel[1];
    (0..g.batch * g.out_channels * out_height * out_width)
        .map(|index| {
            let (j, i) = (index % out_width, index / out_width % out_height);
            let (n, o) =
                (index / (out_width * out_height * g.out_channels), index / (out_width * out_height) % g.out_channels);
            let products = (0..group_in * taps).map(|k| {
                let (c, p, q) = (k / taps, k % taps / g.kernel[1], k % g.kernel[1]);
                let plane = n * g.in_channels + o / group_out * group_in + c;
                let (row, column) = (i * g.stride[0] + p * g.dilation[0], j * g.stride[1] + q * g.dilation[1]);
                frame[(plane * height + row) * width + column] * w[o * group_in * taps + k]
            });
            products.sum::<f64>() + bias[o]
        })
        .collect()
}

#[test]
fn agrees_with_a_padded_copy() {
    for (name, g) in geometries() {
        let Data { x, w, bias, .. } = data(&g);
        let y = conv2d::forward(&g, &x, &w, Some(&bias));
        // Up to 28 terms below 1 each, in another order.
        assert_near(name, &y.values, &with_padded_copy(&g, &x, &w, &bias), 28.0 * 28.0 * f64::EPSILON);
    }
}

#[test]
fn gradients() {
    for (name, g) in geometries() {
        let Data { x, w, bias, dy } = data(&g);
        check_gradient(name, &x, &dy, &conv2d::grad_input(&g, &w, &dy), |x| conv2d::forward(&g, x, &w, Some(&bias)));
        check_gradient(name, &w, &dy, &conv2d::grad_weight(&g, &x, &dy), |w| conv2d::forward(&g, &x, w, Some(&bias)));
        let pixels = g.out_size().iter().product();
        let grad_bias = reduce::channel_sum([1, g.batch, g.out_channels, pixels], &dy, 1.0);
        check_gradient(name, &bias, &dy, &grad_bias, |bias| conv2d::forward(&g, &x, &w, Some(bias)));
    }
}

/// The number of terms is that of the longest sum, seen from outside by convolving ones with ones.
#[test]
fn terms_bound_the_sums() {
    for (name, g) in geometries() {
        let ones = |length: usize| vec![1.0; length];
        let Data { x, w, bias, dy } = data(&g);
        let (x, w, bias, dy) = (ones(x.len()), ones(w.len()), ones(bias.len()), ones(dy.len()));
        let longest = |sums: &Checked| sums.values.iter().copied().fold(0.0, f64::max) as usize;
        for sums in [
            conv2d::forward(&g, &x, &w, Some(&bias)),
            conv2d::grad_input(&g, &w, &dy),
            conv2d::grad_weight(&g, &x, &dy),
        ] {
            assert!(longest(&sums) <= sums.terms, "{name}: {} of {}", longest(&sums), sums.terms);
        }
    }
}

#[test]
fn single_precision_stays_within_the_bound() {
    let (name, g) =
        ("long sum", conv2d::Geometry { in_channels: 67, in_height: 7, in_width: 7, kernel: [7, 7], ..PLAIN });
    let Data { x, w, .. } = data(&g);
    // One output: a dot product of 3283 terms.
    let dot = single(&x).iter().zip(single(&w)).fold(0.0, |sum, (x, w)| sum + x * w);
    check_single(name, &conv2d::forward(&g, &x, &w, None), &[dot]);
}
