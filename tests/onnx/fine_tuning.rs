//! Networks trained further: what is frozen keeps its bits, and a new head learns.

use omma::models::lenet5;
use omma::onnx::{Export, Options};
use omma::{Graph, Mode, Optimizer, Session, VariableLayout, Variables};

use crate::gpu;
use crate::support::message;

const BATCH: usize = 8;

/// A file of LeNet-5 with its last hidden layer named.
fn file() -> Vec<u8> {
    let graph = Graph::new(Mode::Evaluation);
    let logits = lenet5(graph.input("images", [1, 1, 28, 28]).unwrap(), 10).unwrap();
    let weights = VariableLayout::of(&graph, u64::MAX).unwrap().initial_values(1);
    graph.to_onnx(&[logits], &weights, &Export::default().batch("N")).unwrap()
}

fn images() -> Vec<f32> {
    (0..BATCH * 784).map(|i| ((i * i) % 19) as f32 / 19.0).collect()
}

fn bits(variables: &Variables) -> Vec<(String, Vec<u32>)> {
    let all = variables.read_all_blocking().unwrap();
    all.into_iter().map(|(name, values)| (name, values.iter().map(|value| value.to_bits()).collect())).collect()
}

#[test]
fn a_network_of_a_file_learns_with_a_new_head() {
    let Some(gpu) = gpu() else { return };
    // The values of a file are asked for by their names: what the last layer takes.
    let model = Options::default().dim("N", BATCH).training().outputs(&["fc2"]).load(file()).unwrap();
    let graph = model.graph();
    let features = model.output("fc2").unwrap();
    assert_eq!(features.shape().to_string(), "[8, 84]");
    assert!(graph.tensor("fc3.weight").is_none());
    assert_eq!(graph.freeze("conv*").unwrap(), 4);
    let logits = graph.name("parity", features.dense("head", 2).unwrap()).unwrap();
    let loss = logits.softmax_cross_entropy(graph.label_input("labels", BATCH).unwrap()).unwrap();
    // Weight decay moves whatever the optimizer goes over.
    graph.minimize(loss, &Optimizer::adam(0.002).weight_decay(0.1)).unwrap();
    let variables = model.variables(gpu, 1).unwrap();
    let mut session = Session::new(gpu, graph, &[loss, logits], &variables).unwrap();
    let before = bits(&variables);
    let (images, labels) = (images(), (0..BATCH as u32).map(|i| i % 2).collect::<Vec<u32>>());
    let mut losses = Vec::new();
    for _ in 0..10 {
        session.run_blocking(&[("images", (&images).into()), ("labels", (&labels).into())]).unwrap();
        losses.push(session.read_blocking::<f32>(loss).unwrap()[0]);
    }
    assert!(losses[9] < losses[0], "{losses:?}");
    for ((name, before), (_, after)) in before.iter().zip(&bits(&variables)) {
        assert_eq!(before == after, name.starts_with("conv"), "{name}");
    }
    // Two moments of each parameter that is learned, and of no other.
    let learned: usize = graph.parameter_count();
    assert_eq!(learned, 120 * 400 + 120 + 84 * 120 + 84 + 2 * 84 + 2);
    let slots = variables.bytes() as usize / 4 - learned - (6 * 25 + 6 + 16 * 150 + 16);
    assert!((2 * learned..2 * learned + 1024).contains(&slots), "{slots} for {learned}");
    // The result is a file again, which has the frozen layers' values.
    let weights = variables.read_all_blocking().unwrap();
    let file = graph.to_onnx(&[logits], &weights, &Export::default()).unwrap();
    let again = Options::default().load(file).unwrap();
    assert_eq!(again.output("parity").unwrap().shape().to_string(), "[8, 2]");
    let read = again.variables(gpu, 0).unwrap().read_all_blocking().unwrap();
    for (name, values) in &read {
        assert_eq!(Some(values), weights.iter().find(|(other, _)| other == name).map(|(_, values)| values), "{name}");
    }
    // And a checkpoint, of frozen parameters too.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tuned.safetensors");
    variables.save_blocking(&path).unwrap();
    let other = model.variables(gpu, 2).unwrap();
    other.load(&path).unwrap();
    assert_eq!(bits(&other), bits(&variables));
}

/// LeNet-5 with what matches the pattern frozen, and the loss of its step.
fn training<'g>(graph: &'g Graph, frozen: Option<&str>) -> omma::Tensor<'g> {
    let logits = lenet5(graph.input("images", [BATCH, 1, 28, 28]).unwrap(), 10).unwrap();
    if let Some(pattern) = frozen {
        graph.freeze(pattern).unwrap();
    }
    let loss = logits.softmax_cross_entropy(graph.label_input("labels", BATCH).unwrap()).unwrap();
    graph.minimize(loss, &Optimizer::sgd(0.01).momentum(0.9).weight_decay(0.1)).unwrap();
    loss
}

#[test]
fn a_head_is_trained_first_and_then_all_of_it() {
    let Some(gpu) = gpu() else { return };
    let (all, head) = (Graph::new(Mode::Training), Graph::new(Mode::Training));
    let loss = training(&all, None);
    training(&head, Some("conv*"));
    let variables = Variables::new(gpu, 1);
    variables.declare(&all).unwrap();
    let (images, labels) = (images(), (0..BATCH as u32).collect::<Vec<u32>>());
    let feeds = || [("images", (&images).into()), ("labels", (&labels).into())];
    let start = bits(&variables);
    Session::new(gpu, &head, &[], &variables).unwrap().run_blocking(&feeds()).unwrap();
    let after = bits(&variables);
    for ((name, before), (_, after)) in start.iter().zip(&after) {
        assert_eq!(before == after, name.starts_with("conv"), "{name}");
    }
    let mut session = Session::new(gpu, &all, &[loss], &variables).unwrap();
    session.run_blocking(&feeds()).unwrap();
    for ((name, before), (_, after)) in after.iter().zip(&bits(&variables)) {
        assert_ne!(before, after, "{name}");
    }
    // Frozen from the start they have no place among what is learned.
    let variables = Variables::new(gpu, 1);
    variables.declare(&head).unwrap();
    let error = message(variables.declare(&all));
    let expected = "it was frozen by the graph that declared it, and is now to be learned";
    assert_eq!(error, format!("variable `conv1.weight`: {expected}"));
    // A graph that only computes may use them.
    let evaluation = Graph::new(Mode::Evaluation);
    lenet5(evaluation.input("images", [1, 1, 28, 28]).unwrap(), 10).unwrap();
    variables.declare(&evaluation).unwrap();
}

#[test]
fn only_parameters_that_are_there_and_free_are_frozen() {
    let graph = Graph::new(Mode::Training);
    let logits = lenet5(graph.input("images", [BATCH, 1, 28, 28]).unwrap(), 10).unwrap();
    assert_eq!(message(graph.freeze("conv9.*")), "graph: no parameter has a name like `conv9.*`");
    assert_eq!(message(graph.freeze("images")), "graph: no parameter has a name like `images`");
    assert_eq!(graph.freeze("fc?.bias").unwrap(), 3);
    // Once more changes nothing.
    assert_eq!(graph.freeze("fc1.*").unwrap(), 2);
    assert_eq!(graph.parameters().len(), 6);
    let loss = logits.softmax_cross_entropy(graph.label_input("labels", BATCH).unwrap()).unwrap();
    graph.minimize(loss, &Optimizer::sgd(0.1)).unwrap();
    let error = message(graph.freeze("*.weight"));
    assert_eq!(error, "graph: an optimizer changes `conv1.weight` already: freeze it before");
    assert_eq!(graph.parameters().len(), 6);
}
