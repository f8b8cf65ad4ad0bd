//! Unpooling: by hand, and the gradient.

use omma::reference::max_unpool::{forward, grad_input};
use omma::reference::pool::{self, Geometry};

use super::pool::sliding;
use super::{Random, check_gradient};

/// Windows of 2 over 4 cells, one apart.
fn overlapping() -> Geometry {
    sliding([1, 1, 4], [1, 1, 2], [1; 3], [1; 3], [0; 3], false)
}

#[test]
fn the_last_window_that_names_a_cell_counts() {
    let (g, x) = (overlapping(), [1.0, 2.0, 3.0]);
    assert_eq!(forward(&g, &x, &[1, 1, 3], false).values, [0.0, 2.0, 0.0, 3.0]);
    assert_eq!(grad_input(&g, &[1, 1, 3], &[5.0, 6.0, 7.0, 8.0], false).values, [0.0, 6.0, 8.0]);
    // The first window has no cell 2, the last no cell 1, and nothing has cell 9.
    assert_eq!(forward(&g, &x, &[2, 9, 1], false).values, [0.0; 4]);
    assert_eq!(grad_input(&g, &[2, 9, 1], &[5.0, 6.0, 7.0, 8.0], false).values, [0.0; 3]);
}

#[test]
fn indices_may_number_all_planes() {
    let (g, x) = (Geometry { planes: 2, ..overlapping() }, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    // The last names a cell of the other plane.
    let indices = [1, 1, 3, 5, 5, 3];
    assert_eq!(forward(&g, &x, &indices, true).values, [0.0, 2.0, 0.0, 3.0, 0.0, 5.0, 0.0, 0.0]);
    let dy = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    assert_eq!(grad_input(&g, &indices, &dy, true).values, [0.0, 2.0, 4.0, 0.0, 6.0, 0.0]);
}

#[test]
fn gradients() {
    for g in [
        overlapping(),
        Geometry { planes: 3, ..sliding([3, 5, 4], [2, 3, 2], [1, 2, 2], [1; 3], [1, 1, 0], true) },
        Geometry { planes: 2, ..sliding([1, 7, 9], [1, 2, 3], [1, 2, 1], [1, 3, 2], [0, 1, 2], false) },
    ] {
        let mut random = Random(9);
        let (_, places) = pool::max(&g, &random.distinct(g.inputs()));
        let indices: Vec<u32> =
            pool::indices(&g, &places, false, false).into_iter().map(|index| index as u32).collect();
        let (x, dy) = (random.uniform(g.outputs()), random.uniform(g.inputs()));
        let dx = grad_input(&g, &indices, &dy, false);
        check_gradient(&format!("{g:?}"), &x, &dy, &dx, |x| forward(&g, x, &indices, false));
    }
}
