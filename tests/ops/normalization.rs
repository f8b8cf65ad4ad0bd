//! Normalisation within examples on the device: node by node, and as a whole against its formula.

use omma::reference::{Checked, normalization as reference};
use omma::{Graph, Mode, Norm, Result, Session, Tensor, Variables};

use crate::reference::check_single;
use crate::support::message;

#[test]
fn agrees_with_the_reference() {
    super::check("normalization");
}

/// What a graph makes of `[2, 6, 5]`, against the formula.
fn compare(build: impl for<'g> Fn(Tensor<'g>) -> Result<Tensor<'g>>, formula: impl Fn(&[f64]) -> Checked) {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let y = build(graph.input("x", [2, 6, 5]).unwrap()).unwrap();
    let mut session = Session::new(gpu, &graph, &[y], &Variables::new(gpu, 0)).unwrap();
    let x: Vec<f32> = (0..60).map(|i| ((i * 37) % 23) as f32 / 4.0 - 1.5).collect();
    session.run_blocking(&[("x", (&x).into())]).unwrap();
    let y = session.read_blocking::<f32>(y).unwrap().into_raw_vec_and_offset().0;
    let x: Vec<f64> = x.into_iter().map(f64::from).collect();
    check_single("normalization", &formula(&x), &y);
}

#[test]
fn is_its_formula() {
    compare(|x| x.layer_norm("n", 1, Norm::default()), |x| reference::rows(2, x, 1e-5));
    compare(|x| x.layer_norm("n", 2, Norm::default().without_affine()), |x| reference::rows(12, x, 1e-5));
    compare(|x| x.group_norm("n", 3, Norm::default().epsilon(0.1)), |x| reference::rows(6, x, 0.1));
    compare(|x| x.instance_norm("n", Norm::default()), |x| reference::rows(12, x, 1e-5));
    for size in [1, 2, 3, 4, 5, 9] {
        let constants = reference::Response { size, alpha: 0.5, beta: 0.75, k: 2.0 };
        compare(
            |x| x.local_response_norm(size, 0.5, 0.75, 2.0),
            |x| reference::local_response([2, 6, 5], x, constants),
        );
    }
}

#[test]
fn refuses_what_makes_no_sense() {
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", [2, 6, 1]).unwrap();
    let text = "group_norm `n`: 4 groups do not divide 6 channels";
    assert_eq!(message(x.group_norm("n", 4, Norm::default())), text);
    let text = "instance_norm `n`: expected f32 and more than one element to normalise, got f32[2, 6, 1]";
    assert_eq!(message(x.instance_norm("n", Norm::default())), text);
    assert_eq!(
        message(x.layer_norm("n", 3, Norm::default())),
        "layer_norm `n`: expected more than 3 axes, got [2, 6, 1]"
    );
    assert!(message(x.local_response_norm(0, 1.0, 1.0, 1.0)).contains("expected a size of at least 1"));
    // A refused layer leaves no parameters behind.
    assert_eq!(graph.parameter_count(), 0);
}
