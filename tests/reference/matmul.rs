//! Products of matrices: hand-computed, transposed, and gradients.

use omma::reference::matmul::{self, Geometry};

use super::{Random, check_gradient};

const PLAIN: Geometry = Geometry { batch: 1, size: [2, 3, 2], transposed: [false; 2] };

#[test]
fn by_hand() {
    let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [7.0, -8.0, 9.0, 10.0, 11.0, 12.0]);
    let y = matmul::forward(&PLAIN, &a, &b);
    assert_eq!(y.values, [58.0, 48.0, 139.0, 90.0]);
    assert_eq!(y.magnitude, [58.0, 64.0, 139.0, 154.0]);
    assert_eq!(y.terms, 3);
    let (columns, rows) = ([1.0, 4.0, 2.0, 5.0, 3.0, 6.0], [7.0, 9.0, 11.0, -8.0, 10.0, 12.0]);
    for (transposed, a, b) in [([true, false], columns, b), ([false, true], a, rows), ([true, true], columns, rows)] {
        assert_eq!(matmul::forward(&Geometry { transposed, ..PLAIN }, &a, &b).values, y.values, "{transposed:?}");
    }
    // Batches do not mix.
    let two = matmul::forward(&Geometry { batch: 2, ..PLAIN }, &[a, [0.0; 6]].concat(), &[b, b].concat());
    assert_eq!(two.values, [&y.values[..], &[0.0; 4]].concat());
}

#[test]
fn gradients() {
    for transposed in [[false, false], [true, false], [false, true], [true, true]] {
        let g = Geometry { batch: 3, size: [4, 5, 2], transposed };
        let mut random = Random(14);
        let (a, b, dy) = (random.uniform(3 * 20), random.uniform(3 * 10), random.uniform(3 * 8));
        let [da, db] = [matmul::grad_a(&g, &b, &dy), matmul::grad_b(&g, &a, &dy)];
        check_gradient("a", &a, &dy, &da, |a| matmul::forward(&g, a, &b));
        check_gradient("b", &b, &dy, &db, |b| matmul::forward(&g, &a, b));
        assert_eq!([da.terms, db.terms], [2, 4]);
    }
}
