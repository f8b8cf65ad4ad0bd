//! `strided` on the device, and slices by the rules of ONNX and Python.

use omma::{DepthOrder, Evaluator, Graph, Mode, Result, Slice, Tensor};

#[test]
fn agrees_with_the_reference() {
    super::check("strided");
}

/// What `build` makes of the numbers 0, 1, 2, ... in this shape, by the reference.
fn of_numbers(shape: &[usize], build: impl for<'g> Fn(Tensor<'g>) -> Result<Tensor<'g>>) -> Vec<f64> {
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", shape).unwrap();
    let y = build(x).unwrap();
    let values: Vec<f64> = (0..x.shape().elements()).map(|number| number as f64).collect();
    let mut evaluator = Evaluator::new(&graph, 0);
    evaluator.run(&[("x", &values)]).unwrap();
    evaluator.value(y).to_vec()
}

#[test]
fn slices_are_cut_at_the_ends() {
    let row = |start: i64, end: i64, step: i64| of_numbers(&[5], |x| x.slice(0, start, end, step));
    assert_eq!(row(1, 3, 1), [1.0, 2.0]);
    assert_eq!(row(-2, i64::MAX, 1), [3.0, 4.0]);
    assert_eq!(row(-100, -3, 1), [0.0, 1.0]);
    assert_eq!(row(0, 100, 2), [0.0, 2.0, 4.0]);
    assert_eq!(row(1, 5, 3), [1.0, 4.0]);
    assert_eq!(row(-1, i64::MIN, -1), [4.0, 3.0, 2.0, 1.0, 0.0]);
    assert_eq!(row(100, 0, -2), [4.0, 2.0]);
    assert_eq!(row(3, -5, -1), [3.0, 2.0, 1.0]);
    assert_eq!(row(4, i64::MIN, i64::MIN), [4.0]);
    assert_eq!(row(0, i64::MAX, i64::MAX), [0.0]);
    assert_eq!(of_numbers(&[2, 3], |x| x.slices(&[Slice::new(1, 0, 2), Slice::new(0, 1, 2)])), [3.0, 4.0]);
    assert_eq!(of_numbers(&[2, 3], |x| x.flip(&[1])), [2.0, 1.0, 0.0, 5.0, 4.0, 3.0]);
}

#[test]
fn what_moves_nothing_is_no_node() {
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", [2, 1, 3]).unwrap();
    for same in [
        x.transpose(&[0, 1, 2]),
        x.slice(2, 0, i64::MAX, 1),
        x.slice(2, -3, 3, 1),
        x.flip(&[1]),
        x.tile(&[1, 1, 1]),
        x.pad(&[[0, 0]; 3], omma::PadMode::Reflect),
        x.resize(&[2], &[3], omma::Resize::cubic()),
    ] {
        assert_eq!(same.unwrap().id(), x.id());
    }
    assert_eq!(graph.to_string().lines().count(), 1);
    // Only an axis of one element moves: the memory stays as it is.
    let moved = x.transpose(&[1, 0, 2]).unwrap();
    assert_eq!(moved.shape().to_vec(), [1, 2, 3]);
    assert!(graph.to_string().contains("reshape"), "{graph}");
}

/// The examples of ONNX's DepthToSpace: eight channels of 2 by 3 pixels, 0 to 5 and so on in steps of nine.
#[test]
fn blocks_are_onnx_s() {
    let row = |order: DepthOrder| of_numbers(&[1, 8, 1, 2], |x| x.depth_to_space(2, order));
    // Channel c has the pixels 2c and 2c + 1.
    let first = [0.0, 4.0, 1.0, 5.0, 8.0, 12.0, 9.0, 13.0];
    assert_eq!(row(DepthOrder::BlockFirst)[..8], first);
    assert_eq!(row(DepthOrder::ChannelFirst)[..8], [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    for order in [DepthOrder::BlockFirst, DepthOrder::ChannelFirst] {
        let back = of_numbers(&[2, 12, 3, 2], |x| x.depth_to_space(2, order)?.space_to_depth(2, order));
        assert!(back.iter().enumerate().all(|(index, &value)| value == index as f64), "{order:?}");
    }
    assert_eq!(of_numbers(&[1, 6], |x| x.channel_shuffle(2)), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
}

#[test]
fn axes_of_one_element_come_and_go() {
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", [1, 3, 1, 2]).unwrap();
    let shape = |tensor: Result<Tensor<'_>>| tensor.unwrap().shape().to_vec();
    assert_eq!(shape(x.squeeze(&[])), [3, 2]);
    assert_eq!(shape(x.squeeze(&[2])), [1, 3, 2]);
    assert_eq!(shape(x.unsqueeze(&[0, 5])), [1, 1, 3, 1, 2, 1]);
    assert_eq!(shape(x.flatten_from(2)), [1, 3, 2]);
    assert_eq!(shape(x.flatten_from(0)), [6]);
    assert_eq!(shape(graph.label_input("labels", 7).unwrap().unsqueeze(&[0])), [1, 7]);
}
