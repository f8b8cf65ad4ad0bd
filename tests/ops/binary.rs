//! `binary` on the device.

use omma::{Graph, Mode, Plan, PlanOptions, Session, VariableLayout, Variables};

#[test]
fn agrees_with_the_reference() {
    super::check("binary");
}

#[test]
fn what_belongs_to_channels_or_to_all_is_not_copied() {
    let Some(gpu) = crate::gpu() else { return };
    for (shape, dispatches) in [(vec![1], 1), (vec![], 1), (vec![8, 1, 1], 1), (vec![1, 8, 1, 1], 1), (vec![5], 2)] {
        let graph = Graph::new(Mode::Evaluation);
        let x = graph.input("x", [2, 8, 3, 5]).unwrap();
        let y = x.multiply(graph.input("b", shape.clone()).unwrap()).unwrap();
        let layout = VariableLayout::on(&graph, gpu.capabilities()).unwrap();
        let plan = Plan::new(&graph, &[y], &layout, gpu.capabilities(), &PlanOptions::default()).unwrap();
        assert_eq!(plan.dispatches(), dispatches, "{shape:?}");
    }
}

#[test]
fn not_a_number_is_neither_lesser_nor_greater_but_the_result() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let (a, b) = (graph.input("a", 3).unwrap(), graph.input("b", 3).unwrap());
    let all = [a.minimum(b).unwrap(), a.maximum(b).unwrap(), b.minimum(a).unwrap(), b.maximum(a).unwrap()];
    let mut session = Session::new(gpu, &graph, &all, &Variables::new(gpu, 0)).unwrap();
    let (left, right) = ([f32::NAN, 1.0, 2.0], [1.0, f32::NAN, 3.0]);
    session.run_blocking(&[("a", left.as_slice().into()), ("b", right.as_slice().into())]).unwrap();
    for (y, last) in all.into_iter().zip([2.0, 3.0, 2.0, 3.0]) {
        let values = session.read_blocking::<f32>(y).unwrap();
        assert!(values[0].is_nan() && values[1].is_nan() && values[2] == last, "{values}");
    }
}

#[test]
fn a_negative_base_has_whole_powers_alone() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let y = graph.input("a", 4).unwrap().pow(graph.input("b", 4).unwrap()).unwrap();
    let mut session = Session::new(gpu, &graph, &[y], &Variables::new(gpu, 0)).unwrap();
    let (a, b) = ([-2.0_f32, -2.0, -2.0, -2.0], [3.0_f32, 4.0, -1.0, 0.5]);
    session.run_blocking(&[("a", a.as_slice().into()), ("b", b.as_slice().into())]).unwrap();
    let values = session.read_blocking::<f32>(y).unwrap();
    for (value, expected) in values.iter().zip([-8.0_f32, 16.0, -0.5]) {
        assert!((value - expected).abs() <= 16.0 * f32::EPSILON * expected.abs(), "{values}");
    }
    assert!(values[3].is_nan(), "{values}");
}
