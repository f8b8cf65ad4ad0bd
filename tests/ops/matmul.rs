//! `matmul` on the device.

use omma::reference::matmul::{self, Geometry};
use omma::{Graph, Mode};

#[test]
fn agrees_with_the_reference() {
    super::check("matmul");
}

/// Matrix `index` of a batch of `whole`, in an operand whose axes of 1 stand for any.
fn matrix(values: &[f64], shape: &[usize], whole: &[usize], index: usize) -> Vec<f64> {
    let (batch, matrix) = shape.split_at(shape.len() - 2);
    let length = matrix.iter().product::<usize>();
    let (mut rest, mut at, mut stride) = (index, 0, 1);
    for axis in (0..whole.len()).rev() {
        let place = rest % whole[axis];
        rest /= whole[axis];
        if let Some(own) = (axis + batch.len()).checked_sub(whole.len()) {
            at += if batch[own] == 1 { 0 } else { place * stride };
            stride *= batch[own];
        }
    }
    values[at * length..(at + 1) * length].to_vec()
}

/// Each matrix by itself, as NumPy's rules say which ones meet.
#[test]
fn batches_broadcast_as_numpy_does() {
    let problems: [(&[usize], &[usize], &[usize]); 7] = [
        (&[3, 4], &[4, 2], &[]),
        (&[2, 3, 3, 4], &[4, 2], &[2, 3]),
        (&[3, 4], &[2, 3, 4, 5], &[2, 3]),
        (&[2, 1, 3, 4], &[3, 4, 2], &[2, 3]),
        (&[3, 3, 4], &[2, 1, 4, 2], &[2, 3]),
        (&[2, 1, 3, 3, 4], &[1, 2, 3, 4, 2], &[2, 2, 3]),
        (&[2, 3, 2, 3, 4], &[2, 1, 2, 4, 2], &[2, 3, 2]),
    ];
    for (left, right, whole) in problems {
        let swapped = |shape: &[usize]| {
            let mut shape = shape.to_vec();
            shape.reverse();
            shape[..2].reverse();
            shape.reverse();
            shape
        };
        for transposed in [[false, false], [true, false], [false, true]] {
            let left = if transposed[0] { swapped(left) } else { left.to_vec() };
            let right = if transposed[1] { swapped(right) } else { right.to_vec() };
            let [rows, terms] = [left[left.len() - 2], left[left.len() - 1]];
            let [rows, terms] = if transposed[0] { [terms, rows] } else { [rows, terms] };
            let columns = right[right.len() - if transposed[1] { 2 } else { 1 }];
            let computed = super::computed(&[&left, &right], |_, inputs| {
                let y = match transposed {
                    [true, _] => inputs[0].matmul_tn(inputs[1]),
                    [_, true] => inputs[0].matmul_nt(inputs[1]),
                    _ => inputs[0].matmul(inputs[1]),
                };
                let y = y.unwrap();
                assert_eq!(y.shape()[..], [whole, &[rows, columns]].concat());
                vec![y]
            });
            let Some([inputs, results]) = computed else { return };
            let g = Geometry { batch: 1, size: [rows, terms, columns], transposed };
            let expected: Vec<f64> = (0..whole.iter().product())
                .flat_map(|index| {
                    let a = matrix(&inputs[0], &left, whole, index);
                    let b = matrix(&inputs[1], &right, whole, index);
                    matmul::forward(&g, &a, &b).values
                })
                .collect();
            assert_eq!(results[0], expected, "{left:?} {right:?} {transposed:?}");
        }
    }
}

#[test]
fn vectors_lose_their_axis() {
    let graph = Graph::new(Mode::Evaluation);
    let [v, w] = ["v", "w"].map(|name| graph.input(name, 4).unwrap());
    let [a, b] = [("a", [3, 4]), ("b", [4, 5])].map(|(name, shape)| graph.input(name, shape).unwrap());
    let many = graph.input("many", [2, 4, 3]).unwrap();
    assert_eq!(v.matmul(w).unwrap().shape()[..], [0; 0]);
    assert_eq!(v.matmul(b).unwrap().shape()[..], [5]);
    assert_eq!(a.matmul(v).unwrap().shape()[..], [3]);
    assert_eq!(v.matmul(many).unwrap().shape()[..], [2, 3]);
}

/// A matrix that belongs to many is read where it is; where it cannot be, it is repeated, and the text says so.
#[test]
fn copies_only_what_it_must() {
    let repeats = |left: &[usize], right: &[usize]| {
        let graph = Graph::new(Mode::Evaluation);
        graph.input("a", left).unwrap().matmul(graph.input("b", right).unwrap()).unwrap();
        graph.to_string().matches("unfold").count()
    };
    assert_eq!(repeats(&[8, 3, 4], &[4, 5]), 0);
    assert_eq!(repeats(&[3, 4], &[8, 4, 5]), 0);
    assert_eq!(repeats(&[2, 1, 3, 4], &[2, 8, 4, 5]), 1);
    assert_eq!(repeats(&[2, 8, 3, 4], &[2, 1, 4, 5]), 0);
    assert_eq!(repeats(&[8, 1, 3, 4], &[2, 4, 5]), 2);
}
