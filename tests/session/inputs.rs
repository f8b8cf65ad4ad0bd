//! What a step is fed: every mistake is named and leaves the session as it was.

use ndarray::{Array1, Array2, s};
use omma::{Graph, HostTensor, Mode, Session, Variables};

use super::{evaluation, outputs, rows, training, variable};
use crate::support::message;

#[test]
fn wrong_inputs_are_named_and_change_nothing() {
    let Some(gpu) = crate::gpu() else { return };
    let variables = Variables::new(gpu, 1);
    let (mut session, _) = training(gpu, &variables, 2);
    let start = variable(&variables, "fc.weight");
    let (x, labels) = (rows(2), vec![0_u32, 1]);
    let (transposed, short, wide) = (Array2::<f32>::zeros((3, 2)), vec![0.0_f32; 5], vec![0_u32; 6]);
    let (x, labels): (HostTensor<'_>, HostTensor<'_>) = ((&x).into(), (&labels).into());
    let cases: Vec<(Vec<(&str, HostTensor<'_>)>, &str)> = vec![
        (vec![], "session: input `labels` (u32[2]) is missing"),
        (vec![("labels", labels.clone())], "session: input `x` (f32[2, 3]) is missing"),
        (
            vec![("x", x.clone()), ("labels", labels.clone()), ("z", x.clone())],
            "session: no input `z`; the inputs are labels, x",
        ),
        // Settings are the session's own.
        (
            vec![("x", x.clone()), ("labels", labels.clone()), ("learning_rate", x.clone())],
            "session: no input `learning_rate`; the inputs are labels, x",
        ),
        (vec![("x", x.clone()), ("x", x.clone()), ("labels", labels.clone())], "session: input `x` is given twice"),
        (vec![("x", (&transposed).into()), ("labels", labels.clone())], "input `x`: expected f32[2, 3], got f32[3, 2]"),
        (vec![("x", (&short).into()), ("labels", labels.clone())], "input `x`: expected f32[2, 3], got f32[5]"),
        (vec![("x", (&wide).into()), ("labels", labels.clone())], "input `x`: expected f32[2, 3], got u32[6]"),
        (vec![("x", x.clone()), ("labels", x.clone())], "input `labels`: expected u32[2], got f32[6]"),
    ];
    for (inputs, expected) in &cases {
        assert_eq!(message(session.run_blocking(inputs)), *expected);
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        assert_eq!(message(session.encode(&mut encoder, inputs)), *expected);
    }
    assert_eq!(session.step(), 0, "a refused step is none");
    assert_eq!(variable(&variables, "fc.weight"), start);

    session.run_blocking(&[("x", x.clone()), ("labels", labels.clone())]).unwrap();
    let fresh = Variables::new(gpu, 1);
    let (mut other, _) = training(gpu, &fresh, 2);
    other.run_blocking(&[("labels", labels), ("x", x)]).unwrap();
    assert_eq!(variable(&variables, "fc.weight"), variable(&fresh, "fc.weight"), "the next step is a first step");
}

#[test]
fn labels_come_as_bytes_too() {
    let Some(gpu) = crate::gpu() else { return };
    let loss = |labels: HostTensor<'_>| {
        let (mut session, loss) = training(gpu, &Variables::new(gpu, 1), 3);
        session.run_blocking(&[("x", (&rows(3)).into()), ("labels", labels)]).unwrap();
        session.read_blocking::<f32>(loss).unwrap()[0]
    };
    let bytes = loss(Array1::from(vec![0_u8, 1, 1]).view().into());
    assert_eq!(bytes, loss((&vec![0_u32, 1, 1]).into()));
    assert_ne!(bytes, loss((&vec![1_u8, 0, 0]).into()));
}

#[test]
fn arrays_of_any_layout_come_in_row_major() {
    let Some(gpu) = crate::gpu() else { return };
    let (mut session, y) = evaluation(gpu, &Variables::new(gpu, 1), 2);
    let plain = Array2::from_shape_vec((2, 3), rows(2)).unwrap();
    let expected = outputs(&mut session, y, &rows(2));
    assert_eq!(outputs(&mut session, y, &plain), expected);
    let columns = plain.t().as_standard_layout().into_owned();
    assert_eq!(outputs(&mut session, y, columns.t()), expected, "a transposed view");
    let mut padded = Array2::<f32>::from_elem((4, 5), f32::NAN);
    padded.slice_mut(s![1..;2, 1..4]).assign(&plain);
    assert_eq!(outputs(&mut session, y, padded.slice(s![1..;2, 1..4])), expected, "a strided view");
    let reversed = plain.slice(s![..;-1, ..]).as_standard_layout().into_owned();
    assert_eq!(outputs(&mut session, y, reversed.slice(s![..;-1, ..])), expected, "a reversed view");
    assert_eq!(outputs(&mut session, y, &plain.clone().into_dyn()), expected, "an array of dynamic rank");
}

#[test]
fn only_what_was_fetched_can_be_read() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", [1, 1, 2, 2]).unwrap();
    let hidden = graph.name("hidden", x.relu().unwrap()).unwrap();
    let y = graph.name("y", hidden.max_pool2d(2).unwrap()).unwrap();
    let mut session = Session::new(gpu, &graph, &[x, y], &Variables::new(gpu, 0)).unwrap();
    session.run_blocking(&[("x", [-1.0_f32, 2.0, -3.0, 4.0].as_slice().into())]).unwrap();
    assert_eq!(session.tensor("y").unwrap(), y.id());
    assert_eq!(session.read_blocking::<f32>(y).unwrap()[[0, 0, 0, 0]], 4.0);
    assert_eq!(session.read_blocking::<f32>(x).unwrap()[[0, 0, 1, 0]], -3.0, "an input too");
    let error = session.read::<f32>(hidden).unwrap_err().to_string();
    assert!(error.contains("was not in the list of tensors to fetch"), "{error}");
    assert_eq!(message(session.tensor("hidden")), "session: no fetched tensor is named `hidden`");
    assert_eq!(message(session.read::<u32>(y)), "read: expected f32, got u32");
    assert_eq!(message(session.read_blocking::<u8>(y)), "read: expected f32, got u8");
}

#[test]
fn a_reshaped_tensor_and_a_variable_can_be_fetched() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let y = graph.input("x", [1, 3]).unwrap().dense("fc", 2).unwrap();
    let (flat, bias) = (y.reshape(2).unwrap(), graph.tensor("fc.bias").unwrap());
    let variables = Variables::new(gpu, 1);
    let mut session = Session::new(gpu, &graph, &[flat, y, bias], &variables).unwrap();
    variables.set("fc.bias", [1.0_f32, 2.0].as_slice()).unwrap();
    session.run_blocking(&[("x", [0.0_f32; 3].as_slice().into())]).unwrap();
    assert_eq!(session.read_blocking::<f32>(flat).unwrap(), ndarray::arr1(&[1.0, 2.0]).into_dyn());
    assert_eq!(session.read_blocking::<f32>(y).unwrap(), ndarray::arr2(&[[1.0, 2.0]]).into_dyn());
    assert_eq!(session.read_blocking::<f32>(bias).unwrap(), ndarray::arr1(&[1.0, 2.0]).into_dyn());
}

#[test]
fn the_learning_rate_is_a_number_and_takes_effect() {
    let Some(gpu) = crate::gpu() else { return };
    let variables = Variables::new(gpu, 1);
    let (mut session, _) = training(gpu, &variables, 2);
    for bad in [f32::NAN, f32::INFINITY] {
        let expected = format!("learning_rate: expected a finite number, got {bad}");
        assert_eq!(message(session.set_learning_rate(bad)), expected);
    }
    let mut step = |rate: f32| {
        let before = variable(&variables, "fc.weight");
        session.set_learning_rate(rate).unwrap();
        session.run_blocking(&[("x", (&rows(2)).into()), ("labels", (&vec![0_u8, 1]).into())]).unwrap();
        before != variable(&variables, "fc.weight")
    };
    assert!(!step(0.0), "a rate of 0 changes nothing");
    assert!(step(0.1));
    let (mut session, _) = evaluation(gpu, &variables, 1);
    assert_eq!(message(session.set_learning_rate(0.1)), "session: the graph has no optimizer");
}

#[test]
fn steps_count_without_inputs() {
    let Some(gpu) = crate::gpu() else { return };
    let graph = Graph::new(Mode::Evaluation);
    let y = graph.constant(-2.0, 3).unwrap().relu().unwrap().add(graph.constant(1.5, 3).unwrap()).unwrap();
    let mut session = Session::new(gpu, &graph, &[y], &Variables::new(gpu, 0)).unwrap();
    session.run_blocking(&[]).unwrap();
    session.run_blocking(&[]).unwrap();
    assert_eq!(session.read_blocking::<f32>(y).unwrap().as_slice().unwrap(), [1.5; 3]);
    assert_eq!(session.step(), 2);
}
