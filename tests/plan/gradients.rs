//! Gradients that lie where the optimizer reads them, and those that are copied there.

use omma::{DeviceClass, Graph, Init, Mode, Optimizer, Plan, PlanOptions};

use super::barriers::resnet18;
use super::plan;

/// Dispatches in which an optimizer copies a gradient.
fn copies(plan: &Plan) -> usize {
    plan.to_string().lines().filter(|line| line.contains(" sgd ") && line.contains("pointwise.forward")).count()
}

#[test]
fn gradients_that_the_backward_pass_reads_are_not_copied() {
    let Some(ordered) = resnet18(&PlanOptions::default()) else { return };
    assert!(ordered.to_string().contains("optimizer.sgd"), "an optimizer's lines are known by its name");
    // Those of every gamma and beta are read by the gradient of the batch norm's input.
    assert_eq!(copies(&ordered), 0);
}

#[test]
fn gradients_are_copied_where_a_dispatch_would_read_and_write_their_buffer() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Training);
    let x = graph.input("x", 67).unwrap();
    let parameter = |name| graph.parameter(name, 67, Init::HeNormal).unwrap();
    let [alone, read, source, derived] = ["alone", "read", "source", "derived"].map(parameter);
    let [twin, other, matrix] =
        [parameter("twin"), parameter("other"), graph.parameter("matrix", [67, 1], Init::HeNormal).unwrap()];
    let here = x.add(read).unwrap();
    let copied = x.add(source).unwrap();
    let shared = x.add(twin).unwrap();
    let viewed = x.add(other).unwrap();
    let pairs = [
        (alone, x.add(alone).unwrap()),
        (read, here),
        (source, copied),
        (derived, copied.sigmoid().unwrap()),
        (twin, shared),
        (other, shared),
        (matrix, viewed.reshape([67, 1]).unwrap()),
    ];
    graph.update(&pairs, &Optimizer::sgd(0.1)).unwrap();
    let fetch = [here.tanh().unwrap()];
    for class in [DeviceClass::Cpu, DeviceClass::Gpu] {
        let mut capabilities = gpu.capabilities().clone();
        capabilities.class = class;
        let plan = plan(&graph, &fetch, &capabilities, &PlanOptions::default()).unwrap();
        // What computes another gradient of it, two parameters of one, and a view.
        assert_eq!(copies(&plan), 1 + 2 + 1, "{plan}");
    }
}
