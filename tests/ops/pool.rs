//! `pool` on the device: against the reference, against values worked out by hand or given by ONNX and PyTorch, and what is
//! refused.

use omma::{DType, Graph, Mode, Padding, Pool1d, Pool2d, Pool3d, Result, Session, Tensor, Variables};

use crate::support::message;

#[test]
fn agrees_with_the_reference() {
    super::check("pool");
}

/// Windows by TensorFlow's rule, with the one padded cell of each axis behind or before.
#[test]
fn same_padding_follows_tensorflow() {
    let of = |padding: Padding<1>| {
        let window = Pool1d::new(3).stride(2).padding(padding).count_include_pad(false);
        computed(Mode::Evaluation, &[1, 1, 4], &[1.0, 2.0, 3.0, 4.0], |x| {
            let [y, places] = x.max_pool1d_with_indices(window)?;
            let stochastic = x.stochastic_pool1d(window)?;
            Ok(vec![
                y,
                x.avg_pool1d(window)?,
                x.lp_pool1d(1.0, window)?,
                stochastic,
                y.max_unpool1d(places, window, 4)?,
            ])
        })
    };
    let check = |padding, windows: [&[f32]; 2], places: [usize; 2]| {
        let Some(computed) = of(padding) else { return };
        // What a window makes of its values; drawing in evaluation is the mean that the values themselves weigh.
        let sum = |window: &[f32]| window.iter().sum::<f32>();
        let most = windows.map(|window| window.iter().copied().fold(0.0, f32::max));
        let means = windows.map(|window| sum(window) / window.len() as f32);
        let weighted = windows.map(|window| window.iter().map(|v| v * v).sum::<f32>() / sum(window));
        let mut unpooled = vec![0.0; 4];
        places.iter().zip(most).for_each(|(&place, value)| unpooled[place] = value);
        let expected = [most.to_vec(), means.to_vec(), windows.map(sum).to_vec(), weighted.to_vec(), unpooled];
        for (actual, expected) in computed.iter().flatten().zip(expected.iter().flatten()) {
            // Sums of at most three, norms in units of the largest, and a division.
            assert!((actual - expected).abs() <= 8.0 * f32::EPSILON * expected, "{computed:?}, not {expected:?}");
        }
    };
    check(Padding::SameUpper, [&[1.0, 2.0, 3.0], &[3.0, 4.0]], [2, 3]);
    check(Padding::SameLower, [&[1.0, 2.0], &[2.0, 3.0, 4.0]], [1, 3]);
}

/// What a graph makes of one input.
fn computed(
    mode: Mode,
    shape: &[usize],
    x: &[f32],
    build: impl for<'g> Fn(Tensor<'g>) -> Result<Vec<Tensor<'g>>>,
) -> Option<Vec<Vec<f32>>> {
    let gpu = crate::gpu()?;
    let graph = Graph::new(mode).seed(5);
    let outputs = build(graph.input("x", shape.to_vec()).unwrap()).unwrap();
    let mut session = Session::new(gpu, &graph, &outputs, &Variables::new(gpu, 0)).unwrap();
    session.run_blocking(&[("x", x.into())]).unwrap();
    let read = |tensor: &Tensor<'_>| match tensor.dtype() {
        DType::U32 => session.read_blocking::<u32>(*tensor).unwrap().iter().map(|&index| index as f32).collect(),
        _ => session.read_blocking::<f32>(*tensor).unwrap().iter().copied().collect(),
    };
    Some(outputs.iter().map(read).collect())
}

/// [`computed`] of one output, without dropping and drawing, within single precision of what is expected.
fn expect(shape: &[usize], x: &[f32], expected: &[f32], build: impl for<'g> Fn(Tensor<'g>) -> Result<Tensor<'g>>) {
    let Some(outputs) = computed(Mode::Evaluation, shape, x, |x| Ok(vec![build(x)?])) else { return };
    assert_eq!(outputs[0].len(), expected.len(), "{outputs:?}");
    for (y, expected) in outputs[0].iter().zip(expected) {
        // A few roundings of a value.
        assert!((y - expected).abs() <= 8.0 * f32::EPSILON * expected.abs(), "{outputs:?}, expected {expected}");
    }
}

fn counted(length: usize) -> Vec<f32> {
    (1..=length).map(|number| number as f32).collect()
}

/// The gradient of the sum of all results.
fn gradient<'g>(x: Tensor<'g>, y: Tensor<'g>) -> Result<Tensor<'g>> {
    let ones = x.graph().constant(1.0, y.shape())?;
    Ok(x.graph().gradients_of(&[(y, ones)], &[x])?[0].unwrap())
}

/// `F.avg_pool2d(torch.arange(1., 17.).reshape(1, 1, 4, 4), 3, 2, 1, ceil_mode=True)`, as in pytorch/pytorch#183528.
#[test]
fn an_average_counts_padding_but_not_what_is_beyond() {
    let y = [14.0 / 9.0, 10.0 / 3.0, 2.0, 19.0 / 3.0, 11.0, 6.0, 4.5, 7.5, 4.0];
    let window = Pool2d::new(3).stride(2).padding(1).ceil_mode(true);
    expect(&[1, 1, 4, 4], &counted(16), &y, |x| x.avg_pool2d(window));
    // As one layer of a volume, by the general kernel.
    let window = Pool3d::new([1, 3, 3]).stride([1, 2, 2]).padding([0, 1, 1]).ceil_mode(true);
    expect(&[1, 1, 1, 4, 4], &counted(16), &y, |x| x.avg_pool3d(window));
    // Cells alone: corners have four of them, sides six.
    let without = [3.5, 5.0, 6.0, 9.5, 11.0, 12.0, 13.5, 15.0, 16.0];
    expect(&[1, 1, 1, 4, 4], &counted(16), &without, |x| x.avg_pool3d(window.count_include_pad(false)));
}

/// ONNX's examples `maxpool_2d_ceil` and `maxpool_2d_dilations`.
#[test]
fn onnx_examples_of_max_pooling() {
    let y = [11.0, 12.0, 15.0, 16.0];
    expect(&[1, 1, 4, 4], &counted(16), &y, |x| x.max_pool2d(Pool2d::new(3).stride(2).ceil_mode(true)));
    expect(&[1, 1, 4, 4], &counted(16), &y, |x| x.max_pool2d(Pool2d::new(2).stride(1).dilation(2)));
}

/// ONNX's example `maxpool_with_argmax_2d_precomputed_pads`.
#[test]
fn indices_number_the_cells_of_a_plane() {
    let window = Pool2d::new(5).stride(1).padding(2);
    // Two planes, so that an index through the whole tensor would be another.
    let x = [counted(25), counted(25)].concat();
    let outputs = computed(Mode::Evaluation, &[1, 2, 5, 5], &x, |x| Ok(x.max_pool2d_with_indices(window)?.to_vec()));
    let Some(outputs) = outputs else { return };
    let rows = [[13, 14, 15, 15, 15], [18, 19, 20, 20, 20], [23, 24, 25, 25, 25]];
    let plane = [rows[0], rows[1], rows[2], rows[2], rows[2]].concat();
    let y: Vec<f32> = plane.iter().chain(&plane).map(|&y| y as f32).collect();
    let indices: Vec<f32> = y.iter().map(|y| y - 1.0).collect();
    assert_eq!(outputs, [y, indices]);
}

#[test]
fn volumes_by_hand() {
    expect(&[1, 1, 2, 2, 2], &counted(8), &[8.0], |x| x.max_pool3d(2));
    expect(&[1, 1, 2, 2, 2], &counted(8), &[4.5], |x| x.avg_pool3d(2));
    expect(&[1, 1, 3, 1, 2], &counted(6), &[3.0, 4.0, 5.0, 6.0], |x| x.max_pool3d(Pool3d::new([2, 1, 1]).stride(1)));
    // 1² + … + 8² = 204.
    expect(&[1, 1, 2, 2, 2], &counted(8), &[204.0_f32.sqrt()], |x| x.lp_pool3d(2.0, 2));
}

#[test]
fn norms_by_hand() {
    let x = [3.0, -4.0, 0.0, 0.0, -6.0, 8.0];
    expect(&[1, 1, 6], &x, &[5.0, 0.0, 10.0], |x| x.lp_pool1d(2.0, 2));
    expect(&[1, 1, 6], &x, &[7.0, 0.0, 14.0], |x| x.lp_pool1d(1.0, 2));
    // 27 + 64 = 91, 216 + 512 = 728 = 8·91.
    expect(&[1, 1, 6], &x, &[91.0_f32.cbrt(), 0.0, 2.0 * 91.0_f32.cbrt()], |x| x.lp_pool1d(3.0, 2));
    expect(&[1, 1, 6], &x, &[0.6, -0.8, 0.0, 0.0, -0.6, 0.8], |x| gradient(x, x.lp_pool1d(2.0, 2)?));
    expect(&[1, 1, 6], &x, &[1.0, -1.0, 0.0, 0.0, -1.0, 1.0], |x| gradient(x, x.lp_pool1d(1.0, 2)?));
    expect(&[1, 2, 3], &x, &[5.0, 10.0], |x| x.global_lp_pool1d(2.0));
    // The squares of these would overflow, or vanish.
    expect(&[1, 1, 4], &[3e30, 4e30, 3e-30, 4e-30], &[5e30, 5e-30], |x| x.lp_pool1d(2.0, 2));
}

/// `torch.nn.AdaptiveMaxPool1d`: windows 0..2, 1..4 and 3..5 make 3 of 5 cells.
#[test]
fn adaptive_windows_share_cells() {
    let x = [1.0, 5.0, 2.0, 4.0, 3.0];
    expect(&[1, 1, 5], &x, &[5.0, 5.0, 4.0], |x| x.adaptive_max_pool1d(3));
    expect(&[1, 1, 5], &x, &[0.0, 2.0, 0.0, 1.0, 0.0], |x| gradient(x, x.adaptive_max_pool1d(3)?));
    let outputs = computed(Mode::Evaluation, &[1, 1, 5], &x, |x| Ok(x.adaptive_max_pool1d_with_indices(3)?.to_vec()));
    let Some(outputs) = outputs else { return };
    assert_eq!(outputs, [[5.0, 5.0, 4.0], [1.0, 1.0, 3.0]]);
    // More windows than cells: 0..1, 0..1, 0..2, 1..2, 1..2.
    expect(&[1, 1, 2], &[1.0, 2.0], &[1.0, 1.0, 2.0, 2.0, 2.0], |x| x.adaptive_max_pool1d(5));
    expect(&[1, 1, 2, 4], &counted(8), &[6.0, 8.0], |x| x.adaptive_max_pool2d([1, 2]));
}

#[test]
fn the_first_of_equals_has_the_gradient() {
    let x = [7.0, 1.0, 7.0, 7.0, 2.0, 7.0];
    let first = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    expect(&[1, 1, 6], &x, &first, |x| gradient(x, x.global_max_pool1d()?));
    expect(&[1, 1, 2, 3], &x, &first, |x| gradient(x, x.global_max_pool2d()?));
    expect(&[1, 1, 3, 1, 2], &x, &first, |x| gradient(x, x.global_max_pool3d()?));
    expect(&[1, 1, 1, 2, 3], &x, &first, |x| gradient(x, x.max_pool3d([1, 2, 3])?));
    // Of several stages.
    let ties: Vec<f32> = (0..700).map(|i| if i == 301 || i == 500 { 2.0 } else { 1.0 }).collect();
    let first: Vec<f32> = (0..700).map(|i| if i == 301 { 1.0 } else { 0.0 }).collect();
    expect(&[1, 1, 700], &ties, &first, |x| gradient(x, x.global_max_pool1d()?));
    expect(&[1, 1, 2, 350], &ties, &first, |x| gradient(x, x.global_max_pool2d()?));
}

/// Zeiler and Fergus: the weights 1/6, 2/6 and 3/6 of 1, 2 and 3.
#[test]
fn stochastic_pooling_averages_in_evaluation() {
    let x = [1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0, -5.0, 0.0, -5.0, 4.0, 0.0];
    let y = [14.0 / 6.0, 0.0, 4.0];
    expect(&[1, 1, 12], &x, &y, |x| x.stochastic_pool1d(4));
    expect(&[1, 3, 1, 2, 2], &x, &y, |x| x.stochastic_pool3d([1, 2, 2]));
    // (2x - y) / 6 where x > 0, and in the last window (8 - 4) / 4.
    let dx = [-1.0 / 18.0, 5.0 / 18.0, 11.0 / 18.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    let outputs = computed(Mode::Evaluation, &[1, 1, 12], &x, |x| Ok(vec![gradient(x, x.stochastic_pool1d(4)?)?]));
    let Some(outputs) = outputs else { return };
    for (value, expected) in outputs[0].iter().zip(dx) {
        // 2x - y cancels to a third of y in the first: a few roundings of y / 6.
        assert!((value - expected).abs() <= 4.0 * f32::EPSILON * 14.0 / 36.0, "{outputs:?}");
    }
}

/// Of 4,096 windows of 1, -2, 3 and 0, three quarters are expected to give 3, and none anything but 1 or 3.
#[test]
fn stochastic_pooling_draws_by_size() {
    let windows = 4096;
    let x = [1.0, -2.0, 3.0, 0.0].repeat(windows);
    let outputs = computed(Mode::Training, &[1, 1, 4 * windows], &x, |x| {
        let (y, again) = (x.stochastic_pool1d(4)?, x.stochastic_pool1d(4)?);
        Ok(vec![y, gradient(x, y)?, again])
    });
    let Some(outputs) = outputs else { return };
    let [y, dx, again] = outputs.as_slice() else { panic!("three tensors") };
    let threes = y.iter().filter(|&&y| y == 3.0).count();
    assert_eq!(threes + y.iter().filter(|&&y| y == 1.0).count(), windows);
    // Five standard deviations of a binomial distribution.
    let deviation = (windows as f64 * 0.75 * 0.25).sqrt();
    assert!((threes as f64 - 0.75 * windows as f64).abs() < 5.0 * deviation, "{threes} of {windows}");
    for (window, y) in dx.chunks_exact(4).zip(y) {
        assert_eq!(window, if *y == 1.0 { [1.0, 0.0, 0.0, 0.0] } else { [0.0, 0.0, 1.0, 0.0] });
    }
    // Another layer draws by itself, and so does another step.
    assert_ne!(y, again);
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Training).seed(5);
    let drawn = graph.input("x", [1, 1, 4 * windows]).unwrap().stochastic_pool1d(4).unwrap();
    let mut session = Session::new(gpu, &graph, &[drawn], &Variables::new(gpu, 0)).unwrap();
    let mut step = || {
        session.run_blocking(&[("x", x.as_slice().into())]).unwrap();
        session.read_blocking::<f32>(drawn).unwrap().iter().copied().collect::<Vec<f32>>()
    };
    assert_eq!(step(), *y, "the same seed, layer and step");
    assert_ne!(step(), *y, "another step");
}

/// What is asked of an input, and the whole error.
fn refused<const R: usize>(
    shape: [usize; R],
    message_of: &str,
    build: impl for<'g> Fn(Tensor<'g>) -> Result<Tensor<'g>>,
) {
    let graph = Graph::new(Mode::Training);
    assert_eq!(message(build(graph.input("x", shape).unwrap())), message_of);
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    refused([2, 3], "max_pool1d: expected an f32 tensor of rank 3 [N, C, L], got f32[2, 3]", |x| x.max_pool1d(2));
    refused([2, 3, 4, 4], "max_pool3d: expected an f32 tensor of rank 5 [N, C, D, H, W], got f32[2, 3, 4, 4]", |x| {
        x.max_pool3d(2)
    });
    let short = "avg_pool1d: expected an extent of at least 5 with padding on axis 2, got f32[2, 3, 4]";
    refused([2, 3, 4], short, |x| x.avg_pool1d(5));
    let long = "lp_pool3d: expected an extent of at least 7 with padding on axis 4, got f32[1, 1, 9, 9, 5]";
    refused([1, 1, 9, 9, 5], long, |x| x.lp_pool3d(2.0, Pool3d::new(4).dilation(2)).and(x.lp_pool3d(2.0, 7)));
    let none = "max_pool2d: kernel, stride and dilation must be at least 1";
    refused([1, 1, 4, 4], none, |x| x.max_pool2d(Pool2d::new(2).dilation([1, 0])));
    refused([1, 1, 4, 4], none, |x| x.max_pool2d([0, 2]));
    let padding = "stochastic_pool2d: padding 0, 2 must be smaller than the window of 2";
    refused([1, 1, 4, 4], padding, |x| x.stochastic_pool2d(Pool2d::new(2).padding(Padding::Sides([0; 2], [1, 2]))));
    // Taps at -2 and 3 of three cells.
    let empty = "max_pool1d: window 0 of axis 2 holds nothing but padding";
    refused([1, 1, 3], empty, |x| x.max_pool1d(Pool1d::new(2).dilation(5).padding(Padding::Sides([2], [1]))));
    let long = "avg_pool1d: the extent with padding, stride and dilation of axis 2 must be below 2^30";
    refused([1, 1, 3], long, |x| x.avg_pool1d(Pool1d::new(2).dilation(usize::MAX)));
    refused([1, 1, 3], long, |x| x.avg_pool1d(Pool1d::new(2).stride(1 << 30)));
    let far = "avg_pool1d: padding 18446744073709551615, 0 must be smaller than the window of 2";
    refused([1, 1, 3], far, |x| x.avg_pool1d(Pool1d::new(2).padding(Padding::Sides([usize::MAX], [0]))));
    let large = "max_pool1d: a window of [70000] is too large; use global pooling";
    refused([1, 1, 70_000], large, |x| x.max_pool1d(70_000));
    let twice = "lp_pool1d: a window of [40000] is too large; use global pooling";
    refused([1, 1, 40_000], twice, |x| x.lp_pool1d(2.0, 40_000));
}

#[test]
fn sizes_and_exponents_are_checked() {
    for p in [0.5, 0.0, -1.0, f32::NAN, f32::INFINITY] {
        let error = format!("lp_pool2d: expected a finite p of at least 1, got {p}");
        refused([1, 1, 4, 4], &error, |x| x.lp_pool2d(p, 2));
        let error = format!("global_lp_pool1d: expected a finite p of at least 1, got {p}");
        refused([1, 1, 4], &error, |x| x.global_lp_pool1d(p));
    }
    let none = "adaptive_max_pool2d: expected sizes of at least 1, got [0, 3]";
    refused([1, 1, 5, 4], none, |x| x.adaptive_max_pool2d([0, 3]));
    let rank = "adaptive_max_pool3d: expected an f32 tensor of rank 5 [N, C, D, H, W], got f32[1, 1, 5, 4]";
    refused([1, 1, 5, 4], rank, |x| x.adaptive_max_pool3d(2));
    let many = "adaptive_max_pool1d: 40000 cells on axis 2 are too many for 30000 windows";
    refused([1, 1, 40_000], many, |x| x.adaptive_max_pool1d(30_000));
    let whole = "adaptive_max_pool1d: a window of [100000] is too large; use global pooling";
    refused([1, 1, 200_000], whole, |x| x.adaptive_max_pool1d(2));
    let large = "adaptive_max_pool1d: the windows that make [2] of [200001] are too large";
    refused([1, 1, 200_001], large, |x| x.adaptive_max_pool1d(2));
    let rank = "global_max_pool1d: expected an f32 tensor of rank 3 [N, C, L], got f32[1, 4]";
    refused([1, 4], rank, |x| x.global_max_pool1d());
}

/// What PyTorch's modules make of [2, 3, 13, 10] and of [2, 3, 9, 8, 7].
#[test]
fn shapes_follow_pytorch() {
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", [2, 3, 13, 10]).unwrap();
    let shape = |tensor: Result<Tensor<'_>>| tensor.unwrap().shape().to_vec();
    // (13 + 2 - 2·2 - 1) / 2 + 1 and (10 + 2 - 2·2 - 1) / 2 + 1, rounded down and up.
    let window = Pool2d::new(3).stride(2).padding(1).dilation(2);
    assert_eq!(shape(x.max_pool2d(window)), [2, 3, 6, 4]);
    assert_eq!(shape(x.max_pool2d(window.ceil_mode(true))), [2, 3, 6, 5]);
    assert_eq!(shape(x.adaptive_max_pool2d([7, 1])), [2, 3, 7, 1]);
    assert_eq!(shape(x.global_lp_pool2d(2.0)), [2, 3, 1, 1]);
    let x = graph.input("volume", [2, 3, 9, 8, 7]).unwrap();
    assert_eq!(shape(x.avg_pool3d(Pool3d::new([3, 2, 2]).stride([2, 2, 3]))), [2, 3, 4, 4, 2]);
    // The third window of the last axis would start at 6 - 0 = 6: inside. A fourth one of the first would not be.
    assert_eq!(shape(x.lp_pool3d(2.0, Pool3d::new([3, 2, 2]).stride(3).ceil_mode(true))), [2, 3, 3, 3, 3]);
    assert_eq!(shape(x.global_max_pool3d()), [2, 3, 1, 1, 1]);
    assert_eq!(shape(x.global_avg_pool3d()), [2, 3, 1, 1, 1]);
    assert_eq!(shape(x.adaptive_max_pool3d(4)), [2, 3, 4, 4, 4]);
    let x = graph.input("line", [2, 3, 9]).unwrap();
    assert_eq!(shape(x.stochastic_pool1d(Pool1d::new(4).stride(2))), [2, 3, 3]);
    assert_eq!(shape(x.global_avg_pool1d()), [2, 3, 1]);
}
