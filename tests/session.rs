//! Sessions on a device: steps, inputs, host encoders, failures.

mod encode;
mod failures;
mod inputs;
mod kept;
mod profile;
mod start;
mod steps;
mod tuning;

use std::sync::mpsc;
use std::time::Duration;

use ndarray::ArrayD;
use omma::{Gpu, Graph, HostTensor, Mode, Optimizer, Session, Tensor, Variables};

/// Runs `work` on a thread of its own: a wait that never ends fails the test instead of stopping the suite.
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || sender.send(work()));
    match receiver.recv_timeout(Duration::from_secs(60)) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("still waiting after a minute"),
        Err(mpsc::RecvTimeoutError::Disconnected) => std::panic::resume_unwind(thread.join().unwrap_err()),
    }
}

/// y = x·Wᵀ + b for x `[batch, 3]` and two outputs.
fn linear(graph: &Graph, batch: usize) -> Tensor<'_> {
    graph.input("x", [batch, 3]).unwrap().dense("fc", 2).unwrap()
}

/// A session of [`linear`] in evaluation with its output.
fn evaluation(gpu: &Gpu, variables: &Variables, batch: usize) -> (Session, omma::TensorId) {
    let graph = Graph::new(Mode::Evaluation);
    let y = linear(&graph, batch);
    (Session::new(gpu, &graph, &[y], variables).unwrap(), y.id())
}

/// A session that trains [`linear`] as a classifier of two classes, with its loss.
fn training(gpu: &Gpu, variables: &Variables, batch: usize) -> (Session, omma::TensorId) {
    let graph = Graph::new(Mode::Training);
    let labels = graph.label_input("labels", batch).unwrap();
    let loss = linear(&graph, batch).softmax_cross_entropy(labels).unwrap();
    graph.minimize(loss, &Optimizer::sgd(0.5).momentum(0.9)).unwrap();
    (Session::new(gpu, &graph, &[loss], variables).unwrap(), loss.id())
}

/// `count` rows for [`linear`].
fn rows(count: usize) -> Vec<f32> {
    (0..3 * count).map(|i| (i * 7 % 11) as f32 / 4.0 - 1.0).collect()
}

/// One step of an evaluation session and its output.
fn outputs<'a>(session: &mut Session, y: omma::TensorId, x: impl Into<HostTensor<'a>>) -> ArrayD<f32> {
    session.run_blocking(&[("x", x.into())]).unwrap();
    session.read_blocking(y).unwrap()
}

/// The parameter of this name, as it is now.
fn variable(variables: &Variables, name: &str) -> Vec<f32> {
    let all = variables.read_all_blocking().unwrap();
    all.into_iter().find(|(other, _)| other == name).unwrap().1.into_raw_vec_and_offset().0
}
