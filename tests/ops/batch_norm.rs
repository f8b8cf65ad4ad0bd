//! `batch_norm` on the device.

use omma::{BatchNorm, Conv2d, DeviceClass, Graph, Init, Mode, Plan, PlanOptions, Session, VariableLayout, Variables};

#[test]
fn agrees_with_the_reference() {
    super::check("batch_norm");
}

/// A tiled convolution leaves the statistics of its results, and these are as good as those of a kernel that reads all of
/// them, where the mean is ten thousand times the deviation.
#[test]
fn convolutions_for_gpus_leave_the_statistics() {
    let Some(gpu) = crate::gpu() else { return };
    for variant in ["tiled_large", "tiled", "tiled_small"] {
        let run = |options: PlanOptions| {
            let graph = Graph::new(Mode::Training);
            let x = graph.parameter("x", [3, 4, 13, 11], Init::HeNormal).unwrap();
            let offset = graph.constant(1e4, [3, 5, 13, 11]).unwrap();
            let y = x.conv2d("conv", Conv2d::new(5, 3).padding(1).without_bias()).unwrap().add(offset).unwrap();
            let normalised = y.batch_norm("norm", BatchNorm::default().momentum(1.0)).unwrap();
            let variables = Variables::new(gpu, 5);
            let options = options.prefer(variant);
            let mut session = Session::with_options(gpu, &graph, &[y, normalised], &variables, &options).unwrap();
            session.run_blocking(&[]).unwrap();
            let all = variables.read_all_blocking().unwrap();
            let read = |wanted: &str| all.iter().find(|(name, _)| *name == wanted).unwrap().1.clone();
            let reads = session.plan().kernels().filter(|kernel| kernel.entry == "statistics").count();
            let y = session.read_blocking::<f32>(y).unwrap();
            (y, read("norm.running_mean"), read("norm.running_var"), reads)
        };
        let (y, means, variances, reads) = run(PlanOptions::default());
        assert_eq!(reads, 0, "{variant}: nobody reads the results for their statistics");
        let (_, apart_means, apart_variances, reads) = run(PlanOptions::default().exclude("statistics"));
        assert_eq!(reads, 1, "{variant}");
        for channel in 0..5 {
            let values: Vec<f64> =
                (0..3).flat_map(|n| y.slice(ndarray::s![n, channel, .., ..]).to_owned()).map(f64::from).collect();
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0);
            // The mean is rounded once as a number of its size. A tile's mean, so rounded, moves its sum of squares by
            // twice its error times its deviation from the mean: half an epsilon of 1e4 beside a deviation of about 1.
            let ulp = 1e4 * f64::from(f32::EPSILON);
            for (name, mean_here, variance_here) in
                [("taken along", &means, &variances), ("apart", &apart_means, &apart_variances)]
            {
                let off = (f64::from(mean_here[channel]) - mean).abs();
                assert!(off <= ulp, "{variant}, {name}: a mean of {mean} is off by {off}");
                let off = (f64::from(variance_here[channel]) - variance).abs();
                assert!(off <= ulp * variance.max(1.0), "{variant}, {name}: a variance of {variance} is off by {off}");
            }
        }
    }
}

/// On GPUs 1x1 convolutions and the first one of a network have kernels of their own, which leave the statistics, too, unless
/// sums are cut or tiles of pixels are not whole.
#[test]
fn kernels_for_gpus_are_those_of_the_shape() {
    let Some(gpu) = crate::gpu() else { return };
    let mut capabilities = gpu.capabilities().clone();
    capabilities.class = DeviceClass::Gpu;
    let kernels = |channels: usize, side: usize, settings: Conv2d, options: PlanOptions| {
        let graph = Graph::new(Mode::Training);
        let x = graph.input("x", [4, channels, side, side]).unwrap();
        let y = x.conv2d("conv", settings.without_bias()).unwrap();
        let y = y.batch_norm("norm", BatchNorm::default()).unwrap();
        let layout = VariableLayout::on(&graph, &capabilities).unwrap();
        let plan = Plan::new(&graph, &[y], &layout, &capabilities, &options).unwrap();
        plan.kernels().map(|kernel| kernel.label()).take(3).collect::<Vec<_>>()
    };
    let (any, pointwise) = (PlanOptions::default, Conv2d::new(64, 1));
    let (merge, read) = ("batch_norm_tiles.merge[statistics]", "batch_norm.statistics[plain]");
    assert_eq!(kernels(64, 56, pointwise, any())[..2], ["conv2d_pointwise.forward[pointwise]", merge]);
    let apart = kernels(64, 56, pointwise, any().exclude("statistics"));
    assert_eq!(apart[..2], ["conv2d_pointwise.forward[pointwise]", read]);
    assert_eq!(kernels(64, 56, Conv2d::new(64, 3).padding(1), any())[..2], ["conv2d_tiled.forward[tiled]", merge]);
    let cut = kernels(1024, 3, pointwise, any());
    assert_eq!(cut, ["conv2d_pointwise.forward[pointwise_small]", "pointwise.forward[sum]", read]);
    let stem = Conv2d::new(64, 7).stride(2).padding(3);
    assert_eq!(kernels(3, 224, stem, any())[..2], ["conv2d_stem.forward[stem]", merge]);
    assert_eq!(kernels(3, 217, stem, any())[..2], ["conv2d_stem.forward[stem]", read]);
    // Groups of four channels, which `grouped` reads channels last.
    let groups = Conv2d::new(32, 3).padding(1).groups(8);
    assert_eq!(kernels(32, 28, groups, any())[..2], ["conv2d.forward[naive]", read]);
    let grouped = kernels(32, 28, groups, any().prefer("grouped"));
    assert_eq!(grouped, ["format.image[plain]", "format.weight[plain]", "conv2d_grouped.forward[grouped]"]);
}
