//! Dense layers whose weight is larger than a binding: computed in parts, and right.

use omma::models::Model;
use omma::wgpu::{Features, Limits};
use omma::{
    Error, Evaluator, Gpu, Graph, Init, Mode, Optimizer, Plan, PlanOptions, Session, Tensor, VariableLayout, Variables,
};
use safetensors::SafeTensors;

use super::plan;
use crate::support::host_device_with;

const BATCH: usize = 5;
const LIMIT: u64 = 1 << 16;
const STEPS: usize = 3;

/// A network over `inputs` values, which are parameters as well, so that they have a gradient; its loss and first layer.
fn network(graph: &Graph, [inputs, outputs]: [usize; 2]) -> [Tensor<'_>; 2] {
    let x = graph.parameter("x", [BATCH, inputs], Init::HeNormal).unwrap();
    let y = x.dense("wide", outputs).unwrap().relu().unwrap();
    let labels = graph.label_input("labels", BATCH).unwrap();
    let loss = y.dense("last", 4).unwrap().softmax_cross_entropy(labels).unwrap();
    graph.minimize(loss, &Optimizer::sgd(0.05).momentum(0.9).weight_decay(0.01).clip_norm(1.0).ema(0.9)).unwrap();
    [loss, y]
}

/// What the steps leave behind: the first layer after each, and all parameters, velocities and averages after the last.
fn trained(gpu: &Gpu, sizes: [usize; 2], options: &PlanOptions) -> Vec<(String, Vec<f32>)> {
    let graph = Graph::new(Mode::Training);
    let [loss, y] = network(&graph, sizes);
    let variables = Variables::new(gpu, 1);
    let mut session = Session::with_options(gpu, &graph, &[loss, y], &variables, options).unwrap();
    session.poison().unwrap();
    let mut all = Vec::new();
    for step in 0..STEPS {
        session.run_blocking(&[("labels", (&vec![0_u8, 1, 2, 3, 0]).into())]).unwrap();
        all.push((format!("y {step}"), session.read_blocking::<f32>(y).unwrap().into_iter().collect()));
        session.check_guards_blocking().unwrap();
    }
    for (name, values) in variables.read_all_blocking().unwrap() {
        all.push((name, values.into_iter().collect()));
    }
    let file = pollster::block_on(variables.optimizer_to_safetensors()).unwrap();
    for (name, tensor) in SafeTensors::deserialize(&file).unwrap().tensors() {
        all.push((name, bytemuck::pod_collect_to_vec(tensor.data())));
    }
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}

/// Each value is a sum of at most K products of what was rounded before, by either way in an order of its own; three steps
/// of two layers, forward and backward, add up their errors.
fn bound(sizes: [usize; 2], size: f32) -> f32 {
    const BOUND: f32 = 4.0;
    let terms = sizes[0].max(sizes[1]) as f32;
    BOUND * f32::EPSILON * terms.sqrt() * (4 * STEPS) as f32 * size
}

#[test]
fn a_weight_larger_than_a_binding_trains() {
    let Some(whole) = crate::gpu() else { return };
    let every = whole.capabilities().features & Features::SUBGROUP;
    // Rows of the weight are inputs where the taps come first, and outputs where they do not; the last part is odd.
    for (features, sizes) in [(every, [517, 64]), (every, [100, 301]), (Features::empty(), [100, 304])] {
        assert!(4 * sizes[0] as u64 * sizes[1] as u64 > LIMIT);
        let expected = trained(whole, sizes, &PlanOptions::default().guard());
        let low = |limits: Limits| Limits { max_storage_buffer_binding_size: LIMIT, ..limits };
        let (adapter, device, queue) = host_device_with(features, low).unwrap();
        let gpu = Gpu::from_wgpu(&adapter, device, queue);
        for options in [PlanOptions::default(), PlanOptions::default().exclude("textures")] {
            let actual = trained(&gpu, sizes, &options.guard());
            assert_eq!(actual.len(), expected.len());
            for ((name, actual), (other, expected)) in actual.iter().zip(&expected) {
                assert_eq!((name, actual.len()), (other, expected.len()));
                let size = expected.iter().fold(0.0, |size: f32, value| size.max(value.abs()));
                let bound = bound(sizes, size);
                for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
                    let error = (actual - expected).abs();
                    assert!(error <= bound, "{sizes:?} {name}[{index}]: {actual} for {expected}, bound {bound:e}");
                }
            }
        }
        // The whole is as the reference has it.
        let graph = Graph::new(Mode::Training);
        let [_, y] = network(&graph, sizes);
        let mut evaluator = Evaluator::new(&graph, 1);
        for step in 0..STEPS {
            evaluator.run(&[("labels", &[0.0, 1.0, 2.0, 3.0, 0.0])]).unwrap();
            let name = format!("y {step}");
            let (_, actual) = expected.iter().find(|(other, _)| *other == name).unwrap();
            let size = actual.iter().fold(0.0, |size: f32, value| size.max(value.abs()));
            for (actual, expected) in actual.iter().zip(evaluator.value(y)) {
                assert!((*actual - *expected as f32).abs() <= bound(sizes, size), "{sizes:?} {actual} for {expected}");
            }
        }
    }
}

/// Planned without a device's memory: the largest networks, at full size, within what a small machine has.
#[test]
fn full_size_networks_fit_into_8_gib() {
    let Some(gpu) = crate::gpu() else { return };
    for name in ["resnet50", "vgg19"] {
        for mode in [Mode::Evaluation, Mode::Training] {
            let graph = Graph::new(mode);
            let mut wanted = Model::named(name).unwrap().add_to(&graph, 1, 1000).unwrap();
            if mode == Mode::Training {
                wanted = wanted.softmax_cross_entropy(graph.label_input("labels", 1).unwrap()).unwrap();
                graph.minimize(wanted, &Optimizer::sgd(0.01).momentum(0.9)).unwrap();
            }
            let layout = VariableLayout::on(&graph, gpu.capabilities()).unwrap();
            let plan = Plan::new(&graph, &[wanted], &layout, gpu.capabilities(), &PlanOptions::default()).unwrap();
            let bytes = plan.memory().total() + layout.bytes();
            println!("{name} {mode:?}: {} MiB, of which variables {}", bytes >> 20, layout.bytes() >> 20);
            assert!(bytes < 8 << 30, "{name} {mode:?}: {bytes} bytes");
            assert!(bytes >= 4 * graph.parameter_count() as u64, "{name} {mode:?}: {bytes} bytes");
        }
    }
}

/// Nothing but dense layers is computed in parts, and a row must fit.
#[test]
fn a_row_larger_than_a_binding_is_refused() {
    let Some(gpu) = crate::gpu() else { return };
    let mut capabilities = gpu.capabilities().clone();
    capabilities.limits.max_storage_buffer_binding_size = 1 << 12;
    let graph = Graph::new(Mode::Evaluation);
    let y = graph.input("x", [1, 8]).unwrap().dense("wide", 1021).unwrap();
    plan(&graph, &[y], &capabilities, &PlanOptions::default()).unwrap();
    let graph = Graph::new(Mode::Evaluation);
    let y = graph.input("x", [1, 17]).unwrap().dense("wide", 61).unwrap();
    match plan(&graph, &[y], &capabilities, &PlanOptions::default()) {
        Err(Error::Limit { limit, allowed, .. }) => {
            assert_eq!((limit, allowed), ("max_storage_buffer_binding_size", 1 << 12));
        }
        other => panic!("{:?}", other.map(|plan| plan.to_string())),
    }
}
