//! Elements by numbers that are data: hand-computed, and the gradients.

use omma::reference::Checked;
use omma::reference::gather::{along, forward, grad, grad_along, one_hot};

use super::{Random, check_gradient};

#[test]
fn by_hand() {
    let x = Checked::exact(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(forward([1, 3, 2], &[2, 0, 2], &x).values, [5.0, 6.0, 1.0, 2.0, 5.0, 6.0]);
    assert_eq!(forward([2, 3, 1], &[1], &x).values, [2.0, 5.0]);
    assert!(forward([1, 3, 2], &[3], &x).values.iter().all(|y| y.is_nan()));
    // A number for each element: of rows, then of columns.
    assert_eq!(along([1, 3, 2], &[0, 2, 1, 0], &x).values, [1.0, 6.0, 3.0, 2.0]);
    assert_eq!(along([3, 2, 1], &[1, 0, 1], &x).values, [2.0, 3.0, 6.0]);
    assert_eq!(one_hot(3, &[1, 3, 0]).values, [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn gradients() {
    let mut random = Random(13);
    for (view, places) in [([1, 4, 1], 6), ([2, 5, 3], 7), ([3, 1, 2], 2)] {
        let [outer, extent, inner] = view;
        let x = random.uniform(outer * extent * inner);
        let dy = random.uniform(outer * places * inner);
        let indices: Vec<u32> = (0..places).map(|_| random.below(extent) as u32).collect();
        let dx = grad(view, &indices, &dy);
        check_gradient("gather", &x, &dy, &dx, |x| forward(view, &indices, &Checked::exact(x.to_vec())));
        let indices: Vec<u32> = (0..dy.len()).map(|_| random.below(extent) as u32).collect();
        let dx = grad_along(view, &indices, &dy);
        check_gradient("along", &x, &dy, &dx, |x| along(view, &indices, &Checked::exact(x.to_vec())));
    }
}
