//! `conv2d` on the device.

use omma::{BatchNorm, Conv2d, Evaluator, Graph, Init, Mode, PlanOptions, Session, Variables};

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

/// What the header of conv2d_winograd.wgsl says of its accuracy.
#[test]
fn winograd_is_as_accurate_as_it_says() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.parameter("x", [1, 64, 18, 18], Init::HeNormal).unwrap();
    let y = x.conv2d("conv", Conv2d::new(64, 3).padding(1)).unwrap();
    let mut evaluator = Evaluator::new(&graph, 5);
    evaluator.run(&[]).unwrap();
    let exact = evaluator.value(y);
    let error = |variant: &str| {
        let options = PlanOptions::default().prefer(variant);
        let mut session = Session::with_options(gpu, &graph, &[y], &Variables::new(gpu, 5), &options).unwrap();
        if !session.plan().choices().iter().any(|choice| choice.chosen == variant) {
            return None;
        }
        session.run_blocking(&[]).unwrap();
        let y = session.read_blocking::<f32>(y).unwrap();
        let squares = y.iter().zip(exact).map(|(&y, exact)| (f64::from(y) - exact).powi(2));
        Some((squares.sum::<f64>() / exact.len() as f64).sqrt())
    };
    let (Some(winograd), Some(plain)) = (error("winograd"), error("naive")) else { return };
    let times = winograd / plain;
    println!("Winograd's error is {times:.1} times that of a plain sum");
    assert!((1.0..8.0).contains(&times), "{times}");
}
