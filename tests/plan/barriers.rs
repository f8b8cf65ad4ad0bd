//! Barriers between dispatches: how many a plan has, and that the order that saves them computes the same.

use omma::{
    Barriers, BatchNorm, Conv2d, DeviceClass, Gpu, Graph, Init, Mode, Optimizer, Plan, PlanOptions, Session, Tensor,
    Variables, models,
};

use super::plan;

/// The plan of ResNet-18's training on a GPU with the limits of this adapter.
pub(super) fn resnet18(options: &PlanOptions) -> Option<Plan> {
    let mut capabilities = crate::gpu()?.capabilities().clone();
    capabilities.class = DeviceClass::Gpu;
    let graph = Graph::new(Mode::Training);
    let x = graph.input("x", [4, 3, 64, 64]).unwrap();
    let logits = models::ResNet::new(18).unwrap().build(x, 1000).unwrap();
    let loss = logits.softmax_cross_entropy(graph.label_input("labels", 4).unwrap()).unwrap();
    graph.minimize(loss, &Optimizer::sgd(0.1).momentum(0.9)).unwrap();
    Some(plan(&graph, &[loss], &capabilities, options).unwrap())
}

#[test]
fn independent_dispatches_of_a_training_step_have_no_barrier_between_them() {
    let Some(declared) = resnet18(&PlanOptions::default().exclude("overlap")) else { return };
    let Some(ordered) = resnet18(&PlanOptions::default()) else { return };
    let (before, after) = (declared.barriers(), ordered.barriers());
    assert_eq!(ordered.dispatches(), declared.dispatches());
    assert_eq!(declared.passes(), 1);
    // In one pass every dispatch writes a slab that was used before, but for the first of each slab.
    assert!(before.recorded >= declared.dispatches() - 10, "{before:?} of {}", declared.dispatches());
    assert!(before.needed < before.recorded && after.needed <= after.recorded, "{before:?}, {after:?}");
    // Fewer than the declared order would need if every tensor had a buffer of its own.
    assert!(after.recorded < before.needed, "{before:?}, {after:?}");
    // The plan may spend a 25th of its peak on it.
    let (before, after) = (declared.memory().slabs, ordered.memory().slabs);
    assert!(after <= before + before / 25, "{after} bytes in slabs, {before} in the declared order");
}

fn normalized<'g>(x: Tensor<'g>, name: &str, kernel: usize) -> Tensor<'g> {
    let y = x.conv2d(name, Conv2d::new(8, kernel).padding(kernel / 2)).unwrap();
    y.batch_norm(&format!("{name}.bn"), BatchNorm::default()).unwrap().relu().unwrap()
}

/// Three branches that join again, batch norm with its statistics, and a parameter that is used twice.
fn branches(graph: &Graph) -> Tensor<'_> {
    let x = graph.input("x", [4, 8, 12, 12]).unwrap();
    let parts = [
        normalized(x, "a", 1),
        normalized(normalized(x, "b1", 1), "b2", 3),
        normalized(normalized(x, "c1", 1), "c2", 5),
    ];
    let y = graph.concat(&parts, 1).unwrap();
    let mix = graph.parameter("mix", [24, 24, 1, 1], Init::HeNormal).unwrap();
    let y = y.conv2d_with(mix, None, Conv2d::new(24, 1)).unwrap().relu().unwrap();
    let y = y.conv2d_with(mix, None, Conv2d::new(24, 1)).unwrap();
    let logits = y.global_avg_pool2d().unwrap().flatten().unwrap().dense("fc", 3).unwrap();
    let loss = logits.softmax_cross_entropy(graph.label_input("labels", 4).unwrap()).unwrap();
    graph.minimize(loss, &Optimizer::adam(0.01)).unwrap();
    graph.metric("loss", loss, 4.0).unwrap();
    loss
}

/// What came of three steps.
pub(super) struct Trained {
    pub(super) bits: Vec<u32>,
    kernels: Vec<String>,
    barriers: Barriers,
    pub(super) slabs: u64,
}

pub(super) fn train(gpu: &Gpu, options: &PlanOptions) -> Trained {
    let graph = Graph::new(Mode::Training);
    let loss = branches(&graph);
    let variables = Variables::new(gpu, 3);
    let mut session = Session::with_options(gpu, &graph, &[loss], &variables, &options.clone().guard()).unwrap();
    session.poison().unwrap();
    let pixels: Vec<f32> = (0..4 * 8 * 144).map(|i| (i % 41) as f32 / 41.0 - 0.5).collect();
    let mut bits = Vec::new();
    for _ in 0..3 {
        session.run_blocking(&[("x", (&pixels).into()), ("labels", [0_u32, 1, 2, 1].as_slice().into())]).unwrap();
        bits.push(session.read_blocking::<f32>(loss).unwrap()[0].to_bits());
    }
    session.check_guards_blocking().unwrap();
    let metric = session.take_metrics_blocking().unwrap().remove(0);
    bits.extend([metric.sum, metric.weight].map(|value| (value as f32).to_bits()));
    let variables = variables.read_all_blocking().unwrap();
    bits.extend(variables.iter().flat_map(|(_, array)| array.mapv(f32::to_bits)));
    let plan = session.plan();
    let kernels: Vec<String> = plan.kernels().map(omma::Kernel::label).collect();
    Trained { bits, kernels, barriers: plan.barriers(), slabs: plan.memory().slabs }
}

#[test]
fn the_order_changes_no_bit() {
    let Some(gpu) = crate::gpu() else { return };
    // With buffers alone, as on a GPU, and with the textures of a CPU adapter.
    for options in [PlanOptions::default().exclude("textures"), PlanOptions::default()] {
        let declared = train(gpu, &options.clone().exclude("overlap"));
        let moved = train(gpu, &options.prefer("overlap"));
        assert_ne!(moved.kernels, declared.kernels, "nothing was moved");
        let (fewer, barriers) = (moved.barriers, declared.barriers);
        assert!(fewer.recorded < barriers.recorded, "{fewer:?}, {barriers:?}");
        assert_eq!(moved.bits, declared.bits);
    }
}
