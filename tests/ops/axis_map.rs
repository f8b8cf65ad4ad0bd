//! `axis_map` on the device, and what it is used for by the examples of ONNX's and PyTorch's documentation.

use omma::{
    Conv2d, Coordinates, Evaluator, Graph, Mode, Optimizer, PadMode, PlanOptions, Resize, Result, Rounding, Session,
    Tensor, Variables,
};

#[test]
fn agrees_with_the_reference() {
    super::check("axis_map");
}

/// What `build` makes of the numbers 1, 2, 3, ... in this shape, by the reference: shape and values.
fn of_numbers(shape: &[usize], build: impl for<'g> Fn(Tensor<'g>) -> Result<Tensor<'g>>) -> (Vec<usize>, Vec<f64>) {
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", shape).unwrap();
    let y = build(x).unwrap();
    let values: Vec<f64> = (1..=x.shape().elements()).map(|number| number as f64).collect();
    let mut evaluator = Evaluator::new(&graph, 0);
    evaluator.run(&[("x", &values)]).unwrap();
    (y.shape().to_vec(), evaluator.value(y).to_vec())
}

/// Compares with values of six digits or more.
fn assert_near(what: &str, actual: &[f64], expected: &[f64]) {
    assert_eq!(actual.len(), expected.len(), "{what}: {actual:?}");
    for (actual, wanted) in actual.iter().zip(expected) {
        assert!((actual - wanted).abs() <= 1e-6 * wanted.abs().max(1.0), "{what}: {actual} for {wanted} in {actual:?}");
    }
}

/// The examples of the operator Resize in ONNX's documentation, on images of one channel.
#[test]
fn resize_is_onnx_s() {
    let by = |height: usize, width: usize, scales: [f32; 2], how: Resize| {
        of_numbers(&[1, 1, height, width], |x| x.resize_by(&[2, 3], &scales, how)).1
    };
    let to = |side: usize, sizes: [usize; 2], how: Resize| {
        of_numbers(&[1, 1, side, side], |x| x.resize(&[2, 3], &sizes, how)).1
    };
    let (nearest, linear, cubic) = (Resize::nearest(), Resize::linear(), Resize::cubic());
    let doubled = by(2, 2, [2.0; 2], linear);
    let expected = [1.0, 1.25, 1.75, 2.0, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3.0, 3.25, 3.75, 4.0];
    assert_near("upsample linear", &doubled, &expected);
    let third = 1.0 / 3.0;
    let rows = [1.0, 1.0 + 2.0 * third, 2.0 + third, 3.0];
    let expected: Vec<f64> = rows.iter().flat_map(|row| [0.0, third, 2.0 * third, 1.0].map(|x| row + x)).collect();
    assert_near(
        "upsample linear aligned",
        &by(2, 2, [2.0; 2], linear.coordinates(Coordinates::AlignCorners)),
        &expected,
    );
    assert_near("downsample linear", &by(2, 4, [0.6; 2], linear), &[2.6666665, 4.3333331]);
    let aligned = linear.coordinates(Coordinates::AlignCorners);
    // By the text, and PyTorch: the example has 3.142857, from a length of 4 times 0.6 that is not cut.
    assert_near("downsample linear aligned", &by(2, 4, [0.6; 2], aligned), &[1.0, 4.0]);
    let pytorch = linear.coordinates(Coordinates::PytorchHalfPixel);
    assert_near("downsample linear to 3 by 1", &to(4, [3, 1], pytorch), &[1.6666666, 7.0, 12.333333]);
    assert_near("downsample linear antialiased", &by(4, 4, [0.6; 2], linear.antialias()), &[2.875, 4.5, 9.375, 11.0]);
    let antialiased = by(4, 4, [0.6; 2], cubic.antialias());
    assert_near("downsample cubic antialiased", &antialiased, &[2.5180721, 4.2858863, 9.589329, 11.357142]);
    let expected =
        [1.47119141, 2.78125, 4.08251953, 6.71142578, 8.02148438, 9.32275391, 11.91650391, 13.2265625, 14.52783203];
    assert_near("downsample cubic", &by(4, 4, [0.8; 2], cubic), &expected);
    let expected = [0.47265625, 0.76953125, 1.24609375, 1.875, 2.28125, 2.91015625, 3.38671875, 3.68359375];
    assert_near("upsample cubic", &by(4, 4, [2.0; 2], cubic)[..8], &expected);
    let excluding = cubic.cubic_coefficient(-0.5).exclude_outside();
    let expected = [0.55882353, 0.81494204, 1.35698249, 1.89705882, 2.39705882, 2.93713516, 3.47917561, 3.73529412];
    assert_near("upsample cubic excluding", &by(4, 4, [2.0; 2], excluding)[..8], &expected);
    assert_eq!(by(2, 4, [0.6; 2], nearest), [1.0, 3.0]);
    assert_eq!(by(2, 2, [2.0, 3.0], nearest)[..12], [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
}

/// Halves are rounded as asked: places 0 to 5 of 3 elements stand for -0.25, 0.25, 0.75, 1.25, ... or, asymmetrically, for
/// 0, 0.5, 1, ....
#[test]
fn the_nearest_is_rounded_as_asked() {
    let row = |how: Resize| of_numbers(&[3], |x| x.resize(&[0], &[6], how)).1;
    let asymmetric = |rounding| row(Resize::nearest().coordinates(Coordinates::Asymmetric).rounding(rounding));
    assert_eq!(asymmetric(Rounding::PreferFloor), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
    assert_eq!(asymmetric(Rounding::PreferCeil), [1.0, 2.0, 2.0, 3.0, 3.0, 3.0]);
    assert_eq!(asymmetric(Rounding::Floor), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
    assert_eq!(asymmetric(Rounding::Ceil), [1.0, 2.0, 2.0, 3.0, 3.0, 3.0]);
    assert_eq!(row(Resize::nearest().rounding(Rounding::Floor)), [1.0, 1.0, 1.0, 2.0, 2.0, 3.0]);
    assert_eq!(row(Resize::nearest().rounding(Rounding::Ceil)), [1.0, 2.0, 2.0, 3.0, 3.0, 3.0]);
    // A quotient in floating point must not fall short of the whole number that it is: i·3/7 at 0 and 7·3/7.
    let exact = of_numbers(&[49], |x| {
        x.resize(&[0], &[21], Resize::nearest().coordinates(Coordinates::Asymmetric).rounding(Rounding::Floor))
    });
    let expected: Vec<f64> = (0..21).map(|place| (place * 49 / 21 + 1) as f64).collect();
    assert_eq!(exact.1, expected);
}

/// Around the middle of the axis, where n·scale = 8.4 is cut to 8: the result mirrored is the result of the mirrored.
#[test]
fn symmetric_half_pixels_are_symmetric() {
    let how = Resize::linear().coordinates(Coordinates::HalfPixelSymmetric);
    let (_, y) = of_numbers(&[7], |x| x.resize_by(&[0], &[1.2], how));
    let mirrored: Vec<f64> = y.iter().rev().map(|y| 8.0 - y).collect();
    assert_near("mirrored", &y, &mirrored);
    let (_, y) = of_numbers(&[7], |x| x.resize_by(&[0], &[1.2], Resize::linear()));
    assert!((y[0] + y[7] - 8.0).abs() > 1e-3, "without, it is not");
}

#[test]
fn sizes_are_rounded_down_in_single_precision() {
    let shape = |scale: f32| of_numbers(&[10], |x| x.resize_by(&[0], &[scale], Resize::nearest())).0;
    assert_eq!((shape(0.7), shape(0.69), shape(1.1)), (vec![7], vec![6], vec![11]));
}

/// 3 / 0.6 is 5, and by the float next to 0.6 less.
#[test]
fn factors_are_decimals() {
    let how = Resize::nearest().coordinates(Coordinates::Asymmetric).rounding(Rounding::Floor);
    assert_eq!(of_numbers(&[10], |x| x.resize_by(&[0], &[0.6], how)).1, [1.0, 2.0, 4.0, 6.0, 7.0, 9.0]);
}

#[test]
fn padding_is_pytorch_s_and_onnx_s() {
    let row = |amounts: [i64; 2], padding| of_numbers(&[3], |x| x.pad(&[amounts], padding)).1;
    assert_eq!(row([2, 1], PadMode::Constant(9.0)), [9.0, 9.0, 1.0, 2.0, 3.0, 9.0]);
    assert_eq!(row([2, 2], PadMode::Reflect), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]);
    assert_eq!(row([2, 1], PadMode::Edge), [1.0, 1.0, 1.0, 2.0, 3.0, 3.0]);
    assert_eq!(row([2, 3], PadMode::Wrap), [2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    assert_eq!(row([-1, 1], PadMode::Constant(0.0)), [2.0, 3.0, 0.0]);
    assert_eq!(row([-1, 1], PadMode::Reflect), [2.0, 3.0, 2.0]);
    assert_eq!(row([-1, -1], PadMode::Wrap), [2.0]);
    // Far away there is nothing.
    assert_eq!(row([i64::from(i32::MIN) - 2, i64::from(i32::MAX) + 2], PadMode::Constant(7.0)), [7.0, 7.0]);
    let (shape, image) = of_numbers(&[2, 2], |x| x.pad(&[[0, 1], [1, 0]], PadMode::Reflect));
    assert_eq!((shape, image), (vec![3, 3], vec![2.0, 1.0, 2.0, 4.0, 3.0, 4.0, 2.0, 1.0, 2.0]));
}

#[test]
fn windows_are_pytorch_s() {
    // Windows of 0..3, 2..5 and 4..7 of seven elements.
    assert_near("pooled", &of_numbers(&[1, 1, 7], |x| x.adaptive_avg_pool1d(3)).1, &[2.0, 4.0, 6.0]);
    assert_near("pooled", &of_numbers(&[1, 1, 2, 3], |x| x.adaptive_avg_pool2d([1, 2])).1, &[3.0, 4.0]);
    let (shape, y) = of_numbers(&[6], |x| x.unfold(0, 2, 2, 3));
    assert_eq!((shape, y), (vec![2, 2], vec![1.0, 4.0, 3.0, 6.0]));
    let (shape, y) = of_numbers(&[3, 2], |x| x.unfold(0, 2, 1, 1));
    assert_eq!((shape, y), (vec![2, 2, 2], vec![1.0, 2.0, 3.0, 4.0, 3.0, 4.0, 5.0, 6.0]));
    assert_eq!(of_numbers(&[1, 2], |x| x.tile(&[2, 2])).1, [1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
    assert_eq!(of_numbers(&[1, 1, 2], |x| x.upsample(2)).1, [1.0, 1.0, 2.0, 2.0]);
}

/// What is picked is not computed with, so an infinity beside it does no harm, and an infinity stays one.
#[test]
fn picked_elements_are_exact_on_the_device() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", [2, 4]).unwrap();
    let fetched = [
        x.pad(&[[0, 0], [2, 1]], PadMode::Reflect).unwrap(),
        x.pad(&[[1, 0], [0, 0]], PadMode::Constant(f32::NEG_INFINITY)).unwrap(),
        // At its ends a resampled row is the element there.
        x.resize(&[1], &[8], Resize::linear()).unwrap(),
    ];
    let mut session = Session::new(gpu, &graph, &fetched, &Variables::new(gpu, 0)).unwrap();
    let infinity = f32::INFINITY;
    let values = [1.0, infinity, 3.0, 4.0, 5.0, 6.0, f32::NAN, infinity];
    session.run_blocking(&[("x", values.as_slice().into())]).unwrap();
    let read = |tensor: Tensor<'_>| session.read_blocking::<f32>(tensor).unwrap().iter().copied().collect::<Vec<f32>>();
    assert_eq!(read(fetched[0])[..7], [3.0, infinity, 1.0, infinity, 3.0, 4.0, 3.0]);
    assert_eq!(read(fetched[1])[..8], [-infinity, -infinity, -infinity, -infinity, 1.0, infinity, 3.0, 4.0]);
    let resampled = read(fetched[2]);
    assert_eq!((resampled[0], resampled[7], resampled[15]), (1.0, 4.0, infinity));
}

/// Nodes with equal tables have one on the device.
#[test]
fn equal_tables_are_shared() {
    let Some(gpu) = crate::gpu() else { return };
    let small = |count: usize| {
        let graph = Graph::new(Mode::Evaluation);
        let x = graph.input("x", [1000]).unwrap();
        let how = [Resize::linear(), Resize::cubic()];
        let fetched: Vec<Tensor<'_>> =
            (0..count).map(|index| x.resize(&[0], &[500], how[index / 2]).unwrap()).collect();
        let session = Session::new(gpu, &graph, &fetched, &Variables::new(gpu, 0)).unwrap();
        session.plan().memory().small
    };
    assert_eq!(small(1), small(2));
    assert!(small(3) > small(2));
}

/// A table in a texture is there at every step, also where steps change variables and so nothing else lasts.
#[test]
fn tables_last_through_training() {
    let Some(gpu) = crate::gpu() else { return };
    for reads in ["textures", "buffers"] {
        let graph = Graph::new(Mode::Training);
        let x = graph.input("x", [2, 4, 8, 8]).unwrap();
        let x = x.conv2d("conv", Conv2d::new(4, 3).padding(1)).unwrap();
        let x = x.pad(&[[0, 0], [0, 0], [1, 1], [1, 1]], PadMode::Reflect).unwrap();
        let y = x.resize(&[2, 3], &[15, 18], Resize::linear()).unwrap();
        let loss = y.multiply(y).unwrap().mean(..).unwrap();
        graph.minimize(loss, &Optimizer::sgd(0.1)).unwrap();
        let (options, variables) = (PlanOptions::default().prefer(reads), Variables::new(gpu, 5));
        let mut session = Session::with_options(gpu, &graph, &[loss], &variables, &options).unwrap();
        let mut evaluator = Evaluator::new(&graph, 5);
        let values: Vec<f32> = (0..512).map(|i| (i * 37 % 64) as f32 / 32.0 - 1.0).collect();
        let wide: Vec<f64> = values.iter().copied().map(f64::from).collect();
        let mut losses = Vec::new();
        for step in 0..3 {
            session.run_blocking(&[("x", (&values).into())]).unwrap();
            evaluator.run(&[("x", &wide)]).unwrap();
            let (actual, wanted) = (session.read_blocking::<f32>(loss).unwrap()[[0]], evaluator.value(loss)[0]);
            // Sums of up to a few thousand terms, hardly any of which cancel: a square root of that many roundings.
            let bound = 64.0 * f64::from(f32::EPSILON) * wanted;
            assert!((f64::from(actual) - wanted).abs() <= bound, "{reads}, step {step}: {actual} for {wanted}");
            losses.push(wanted);
        }
        assert!(losses[2] < losses[1] && losses[1] < losses[0], "{losses:?}");
    }
}
