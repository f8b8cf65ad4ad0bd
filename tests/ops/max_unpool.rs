//! `max_unpool` on the device: against the reference, by hand, and what is refused.

use omma::{Graph, Mode, Pool1d, Pool2d, Result, Session, Tensor, TensorType, Variables};

use crate::support::message;

#[test]
fn agrees_with_the_reference() {
    super::check("max_unpool");
}

/// y and dx, for dy = 1, 2, 3, ...
fn unpooled(x: [usize; 2], size: [usize; 2], window: Pool2d, indices: &[u32]) -> Option<[Vec<f32>; 2]> {
    let gpu = crate::gpu()?;
    let graph = Graph::new(Mode::Evaluation);
    let shape = [1, 1, x[0], x[1]];
    let x = graph.input("x", shape).unwrap();
    let y = x.max_unpool2d(graph.input_of("indices", TensorType::u32(shape)).unwrap(), window, size).unwrap();
    let dy = graph.input("dy", y.shape()).unwrap();
    let dx = graph.gradients_of(&[(y, dy)], &[x]).unwrap()[0].unwrap();
    let mut session = Session::new(gpu, &graph, &[y, dx], &Variables::new(gpu, 0)).unwrap();
    let counted = |count: usize| (1..=count).map(|number| number as f32).collect::<Vec<f32>>();
    let (x, dy) = (counted(indices.len()), counted(size[0] * size[1]));
    let feeds = [("x", x.as_slice().into()), ("indices", indices.into()), ("dy", dy.as_slice().into())];
    session.run_blocking(&feeds).unwrap();
    let read = |tensor: Tensor<'_>| session.read_blocking::<f32>(tensor).unwrap().iter().copied().collect();
    Some([read(y), read(dx)])
}

/// ONNX's example `maxunpool_export_without_output_shape`.
#[test]
fn values_go_where_they_came_from() {
    let Some([y, dx]) = unpooled([2, 2], [4, 4], Pool2d::new(2), &[5, 7, 13, 15]) else { return };
    let expected = [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 4.0];
    assert_eq!((y.as_slice(), dx.as_slice()), (&expected[..], &[6.0, 8.0, 14.0, 16.0][..]));
}

#[test]
fn the_last_window_that_names_a_cell_counts() {
    let window = Pool2d::new(2).stride(1);
    let Some([y, dx]) = unpooled([2, 2], [3, 3], window, &[4, 4, 4, 4]) else { return };
    assert_eq!(y, [0.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(dx, [0.0, 0.0, 0.0, 5.0]);
}

/// Cells outside their window, and outside the plane.
#[test]
fn an_index_of_no_cell_names_none() {
    let Some([y, dx]) = unpooled([1, 3], [1, 6], Pool2d::new([1, 2]), &[2, 3, 77]) else { return };
    assert_eq!((y, dx), (vec![0.0, 0.0, 0.0, 2.0, 0.0, 0.0], vec![0.0, 4.0, 0.0]));
}

#[test]
fn wrong_shapes_are_refused() {
    let graph = Graph::new(Mode::Evaluation);
    let x = graph.input("x", [1, 2, 3]).unwrap();
    let indices = graph.input_of("indices", TensorType::u32([1, 2, 3])).unwrap();
    let size = |tensor: Result<Tensor<'_>>| tensor.unwrap().shape().to_vec();
    // PyTorch's default and the one more that it allows.
    let window = Pool1d::new(3).stride(2).padding(1);
    assert_eq!(window.input_size(3), [5]);
    assert_eq!(size(x.max_unpool1d(indices, window, 5)), [1, 2, 5]);
    assert_eq!(size(x.max_unpool1d(indices, window, 6)), [1, 2, 6]);
    let eight = "max_unpool1d: expected [4] values for planes of [8], got f32[1, 2, 3]";
    assert_eq!(message(x.max_unpool1d(indices, 2, 8)), eight);
    let none = "max_unpool1d: expected a size of at least 1, got [0]";
    assert_eq!(message(x.max_unpool1d(indices, 2, 0)), none);
    let other = graph.input_of("other", TensorType::u32([1, 2, 4])).unwrap();
    let expected = "max_unpool1d: expected indices u32[1, 2, 3], got u32[1, 2, 4]";
    assert_eq!(message(x.max_unpool1d(other, 2, 6)), expected);
    assert_eq!(message(x.max_unpool1d(x, 2, 6)), "max_unpool1d: expected indices u32[1, 2, 3], got f32[1, 2, 3]");
}
