//! `conv2d` on the device.

use omma::{BatchNorm, Conv2d, Graph, Init, Mode, PlanOptions, Session, Variables};

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
