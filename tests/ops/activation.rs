//! `activation` on the device.

use omma::{Evaluator, Graph, Mode, Optimizer, Session, Variables};

#[test]
fn agrees_with_the_reference() {
    super::check("activation");
}

#[test]
fn not_a_number_passes_through() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", 3).unwrap();
    let all = [
        x.relu(),
        x.relu6(),
        x.clip(-1.0, 1.0),
        x.leaky_relu(0.1),
        x.elu(1.0),
        x.selu(),
        x.celu(2.0),
        x.sigmoid(),
        x.hard_sigmoid(),
        x.log_sigmoid(),
        x.tanh(),
        x.silu(),
        x.hard_swish(),
        x.mish(),
        x.softplus(1.0, 20.0),
        x.softsign(),
        x.gelu(),
        x.gelu_tanh(),
    ];
    let all = all.map(|y| y.unwrap());
    let mut session = Session::new(gpu, &graph, &all, &Variables::new(gpu, 0)).unwrap();
    session.run_blocking(&[("x", [0.0_f32, f32::NAN, -0.5].as_slice().into())]).unwrap();
    for y in all {
        let values = session.read_blocking::<f32>(y).unwrap();
        assert!(values[1].is_nan() && !values[0].is_nan() && !values[2].is_nan(), "{y:?}: {values}");
    }
}

/// The slopes' gradient is a view of a sum, which the optimizer wants in a place of its own.
#[test]
fn slopes_are_learned() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Training);
    let y = graph.input("x", [2, 3, 5]).unwrap().prelu("act", 3).unwrap();
    graph.minimize(y.square().unwrap().mean(..).unwrap(), &Optimizer::sgd(0.5)).unwrap();
    let variables = Variables::new(gpu, 3);
    let mut session = Session::new(gpu, &graph, &[], &variables).unwrap();
    let x: Vec<f32> = (0..30).map(|i| (i * 7 % 30) as f32 / 10.0 - 1.5).collect();
    session.run_blocking(&[("x", (&x).into())]).unwrap();
    let mut evaluator = Evaluator::new(&graph, 3);
    evaluator.run(&[("x", &x.iter().copied().map(f64::from).collect::<Vec<f64>>())]).unwrap();
    let expected = evaluator.value(graph.tensor("act.weight").unwrap());
    let learned = variables.read_all_blocking().unwrap();
    assert_eq!(learned[0].1.len(), 3);
    for (value, &expected) in learned[0].1.iter().zip(expected) {
        assert!((f64::from(*value) - expected).abs() < 1e-6 && expected != 0.25, "{value} for {expected}");
    }
}
