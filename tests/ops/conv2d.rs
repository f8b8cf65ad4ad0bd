//! `conv2d` on the device.

use omma::{
    BatchNorm, Conv1d, Conv2d, Evaluator, Graph, Init, Mode, PadMode, Padding, PlanOptions, Session, Variables,
};

#[test]
fn agrees_with_the_reference() {
    super::check("conv2d");
}

/// What follows a depthwise convolution, computed where its results are or by kernels of its own.
#[test]
fn depthwise_kernels_compute_what_follows_them() {
    let Some(gpu) = crate::gpu() else { return };
    for (channels, variant) in [(8, "depthwise"), (8, "depthwise_planar"), (3, "depthwise_planar")] {
        let run = |options: PlanOptions| {
            let graph = Graph::new(Mode::Evaluation);
            let x = graph.parameter("x", [2, channels, 9, 7], Init::HeNormal).unwrap();
            let settings = Conv2d::new(channels, 3).groups(channels).padding(1);
            let y = x
                .conv2d("conv", settings)
                .unwrap()
                .batch_norm("norm", BatchNorm::default())
                .unwrap()
                .add(x)
                .unwrap()
                .relu()
                .unwrap();
            let mut session =
                Session::with_options(gpu, &graph, &[y], &Variables::new(gpu, 5), &options.prefer(variant)).unwrap();
            session.run_blocking(&[]).unwrap();
            let dispatches = session.plan().dispatches();
            (session.read_blocking::<f32>(y).unwrap(), dispatches)
        };
        let (alone, more) = run(PlanOptions::default().without_fusion());
        let (fused, fewer) = run(PlanOptions::default());
        assert!(fewer < more, "{variant}: {fewer} dispatches, {more} without fusion");
        assert!(fused.iter().any(|&y| y > 0.0) && fused.iter().any(|&y| y == 0.0));
        let off = fused.iter().zip(&alone).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off <= 1e-6, "{variant}, {channels} channels: {off}");
    }
}

/// What the header of conv2d_winograd.wgsl says of the accuracy of both forms, forward and of the gradient of the weight.
#[test]
fn winograd_is_as_accurate_as_it_says() {
    let Some(gpu) = crate::gpu() else { return };
    // Tiles that are no fours, and such that are.
    for (of_weight, side) in [(false, 18), (true, 18), (false, 16), (true, 16)] {
        let graph = Graph::new(Mode::Evaluation);
        let x = graph.parameter("x", [1, 64, side, side], Init::HeNormal).unwrap();
        let weight = graph.parameter("weight", [64, 64, 3, 3], Init::HeNormal).unwrap();
        let mut y = x.conv2d_with(weight, None, Conv2d::new(64, 3).padding(1)).unwrap();
        if of_weight {
            let dy = graph.parameter("dy", y.shape(), Init::HeNormal).unwrap();
            y = graph.gradients_of(&[(y, dy)], &[weight]).unwrap().remove(0).unwrap();
        }
        let mut evaluator = Evaluator::new(&graph, 5);
        evaluator.run(&[]).unwrap();
        let exact = evaluator.value(y);
        // With the products in such tiles.
        let error_in = |variant: &str, tile: &str| {
            let others = ["forward", "grad_weight"].map(|entry| format!("conv2d.{entry}[{tile}]"));
            let options =
                others.into_iter().fold(PlanOptions::default().prefer(variant).prefer(tile), PlanOptions::exclude);
            let mut session = Session::with_options(gpu, &graph, &[y], &Variables::new(gpu, 5), &options).unwrap();
            let chosen = |name: &str| session.plan().choices().iter().any(|choice| choice.chosen == name);
            if !chosen(variant) || !(tile.is_empty() || chosen(tile)) {
                return None;
            }
            session.run_blocking(&[]).unwrap();
            let y = session.read_blocking::<f32>(y).unwrap();
            let squares = y.iter().zip(exact).map(|(&y, exact)| (f64::from(y) - exact).powi(2));
            Some((squares.sum::<f64>() / exact.len() as f64).sqrt())
        };
        let plain = error_in("naive", "").unwrap();
        let of = if of_weight { "gradient of the weight" } else { "convolution" };
        let check = |variant: &str, tile: &str| {
            let times = error_in(variant, tile)? / plain;
            println!("the error of {variant}'s {of}, {tile}, is {times:.1} times that of a plain sum");
            assert!((0.25..8.0).contains(&times), "{variant}, {of}, {tile}: {times}");
            Some(())
        };
        // Only software adapters have it.
        check("winograd", "");
        let tiles = ["tiled_large", "tiled", "tiled_small", "pointwise_large", "pointwise", "pointwise_small"];
        let checked = tiles.iter().filter_map(|tile| check("winograd_planar", tile)).count();
        // A gradient of the weight is no product for the last three.
        assert_eq!(checked, if of_weight { 3 } else { 6 }, "{of}, {side}");
    }
}

/// TensorFlow's rule: ceil(in / stride) outputs, the zeros they need shared between both ends, an odd one behind (ONNX's
/// SAME_UPPER) or before (SAME_LOWER).
#[test]
fn same_padding_follows_tensorflow() {
    let values = |x: &[f64], settings: Conv1d| {
        let graph = Graph::new(Mode::Evaluation);
        let (input, w) = (graph.input("x", [1, 1, x.len()]).unwrap(), graph.input("w", [1, 1, 3]).unwrap());
        let y = input.conv1d_with(w, None, settings).unwrap();
        let mut evaluator = Evaluator::new(&graph, 1);
        evaluator.run(&[("x", x), ("w", &[1.0, 10.0, 100.0])]).unwrap();
        evaluator.value(y).to_vec()
    };
    let twice = Conv1d::new(1, 3).stride(2);
    // Of four, one zero: behind or before.
    assert_eq!(values(&[1.0, 2.0, 3.0, 4.0], twice.padding(Padding::SameUpper)), [321.0, 43.0]);
    assert_eq!(values(&[1.0, 2.0, 3.0, 4.0], twice.padding(Padding::SameLower)), [210.0, 432.0]);
    // Of five, one on each side.
    let both = [210.0, 432.0, 54.0];
    assert_eq!(values(&[1.0, 2.0, 3.0, 4.0, 5.0], twice.padding(Padding::SameUpper)), both);
    assert_eq!(values(&[1.0, 2.0, 3.0, 4.0, 5.0], twice.padding(Padding::SameLower)), both);
    // A stride beyond the kernel needs none, and sees what it would without.
    let far = Conv1d::new(1, 3).stride(4);
    assert_eq!(values(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], far.padding(Padding::SameUpper)), [321.0, 765.0]);
    assert_eq!(values(&[1.0, 2.0, 3.0, 4.0], twice.padding(Padding::VALID)), [321.0]);
}

/// PyTorch's `padding_mode`: `reflect`, `replicate` and `circular`.
#[test]
fn padding_modes_follow_pytorch() {
    let graph = Graph::new(Mode::Evaluation);
    let (x, w) = (graph.input("x", [1, 1, 4]).unwrap(), graph.input("w", [1, 1, 3]).unwrap());
    let settings = Conv1d::new(1, 3).padding(1);
    let modes = [PadMode::Reflect, PadMode::Edge, PadMode::Wrap];
    let outputs = modes.map(|mode| x.conv1d_with(w, None, settings.padding_mode(mode)).unwrap());
    let mut evaluator = Evaluator::new(&graph, 1);
    evaluator.run(&[("x", &[1.0, 2.0, 3.0, 4.0]), ("w", &[1.0, 10.0, 100.0])]).unwrap();
    let values = outputs.map(|y| evaluator.value(y).to_vec());
    let ends = [[212.0, 343.0], [211.0, 443.0], [214.0, 143.0]];
    assert_eq!(values, ends.map(|[first, last]| vec![first, 321.0, 432.0, last]));
}

/// An activation is computed with a sequence's convolution, as with an image's.
#[test]
fn what_follows_a_sequences_convolution_joins_it() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", [2, 4, 30]).unwrap();
    let y = x.conv1d("conv", Conv1d::new(8, 3)).unwrap().relu().unwrap();
    let options = PlanOptions::default().prefer("tiled");
    let session = Session::with_options(gpu, &graph, &[y], &Variables::new(gpu, 1), &options).unwrap();
    assert_eq!(session.plan().dispatches(), 1);
}
