//! Products of matrices: y\[b, i, j\] = sum over k of a\[b, i, k\] · b\[b, k, j\], either of the two given transposed.

use super::Checked;

/// The sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Matrices of y.
    pub batch: usize,
    /// Rows, terms and columns.
    pub size: [usize; 3],
    /// Whether a is \[b, k, i\] and b is \[b, j, k\].
    pub transposed: [bool; 2],
}

impl Geometry {
    /// Calls `term(a_index, b_index, y_index)` for every product that is added.
    fn for_each(&self, mut term: impl FnMut(usize, usize, usize)) {
        let [rows, terms, columns] = self.size;
        for n in 0..self.batch {
            for i in 0..rows {
                for k in 0..terms {
                    for j in 0..columns {
                        let a = if self.transposed[0] { k * rows + i } else { i * terms + k };
                        let b = if self.transposed[1] { j * terms + k } else { k * columns + j };
                        term(n * rows * terms + a, n * terms * columns + b, (n * rows + i) * columns + j);
                    }
                }
            }
        }
    }
}

/// y from a and b.
#[must_use]
pub fn forward(g: &Geometry, a: &[f64], b: &[f64]) -> Checked {
    let [rows, terms, columns] = g.size;
    let mut y = Checked::zeros(g.batch * rows * columns, terms);
    g.for_each(|at, by, to| y.add(to, a[at] * b[by]));
    y
}

/// da from b and dy.
#[must_use]
pub fn grad_a(g: &Geometry, b: &[f64], dy: &[f64]) -> Checked {
    let [rows, terms, columns] = g.size;
    let mut da = Checked::zeros(g.batch * rows * terms, columns);
    g.for_each(|to, by, at| da.add(to, b[by] * dy[at]));
    da
}

/// db from a and dy.
#[must_use]
pub fn grad_b(g: &Geometry, a: &[f64], dy: &[f64]) -> Checked {
    let [rows, terms, columns] = g.size;
    let mut db = Checked::zeros(g.batch * terms * columns, rows);
    g.for_each(|by, to, at| db.add(to, a[by] * dy[at]));
    db
}
