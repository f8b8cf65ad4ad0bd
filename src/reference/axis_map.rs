//! A sparse linear map along one axis: y\[o, i, r\] = sum over row i of weight · x\[o, column, r\].
//!
//! x is \[outer, columns, inner\], y is \[outer, rows, inner\]. Row i has the entries from `starts[i]` to before `starts[i + 1]`,
//! each a column with its weight. The gradient is the map with rows and columns exchanged.

use super::Checked;

/// The map's rows.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Where each row's entries begin, and the end of the last.
    pub starts: &'a [usize],
    /// Columns with their weights.
    pub entries: &'a [(usize, f32)],
}

/// y, from x with the magnitudes and terms that it has itself.
#[must_use]
pub fn forward([outer, columns, inner]: [usize; 3], rows: Rows<'_>, x: &Checked) -> Checked {
    debug_assert_eq!(x.values.len(), outer * columns * inner, "x is [outer, columns, inner]");
    let longest = rows.starts.windows(2).map(|row| row[1] - row[0]).max().unwrap_or(0);
    let count = rows.starts.len() - 1;
    // A single element of weight 1 is not even rounded.
    let terms = if rows.entries.iter().all(|&(_, weight)| weight == 1.0) { longest.saturating_sub(1) } else { longest };
    let mut y = Checked::zeros(outer * count * inner, x.terms + terms);
    for block in 0..outer {
        for row in 0..count {
            for &(column, weight) in &rows.entries[rows.starts[row]..rows.starts[row + 1]] {
                let weight = f64::from(weight);
                for i in 0..inner {
                    let (from, to) = ((block * columns + column) * inner + i, (block * count + row) * inner + i);
                    y.values[to] += weight * x.values[from];
                    y.magnitude[to] += weight.abs() * x.magnitude[from];
                }
            }
        }
    }
    y
}

/// dx of x with `columns` columns: what went to y comes back, weighted as it went.
#[must_use]
pub fn grad_input([outer, columns, inner]: [usize; 3], rows: Rows<'_>, dy: &[f64]) -> Checked {
    let count = rows.starts.len() - 1;
    debug_assert_eq!(dy.len(), outer * count * inner, "dy is [outer, rows, inner]");
    let mut uses = vec![0; columns];
    rows.entries.iter().for_each(|&(column, _)| uses[column] += 1);
    let mut dx = Checked::zeros(outer * columns * inner, uses.into_iter().max().unwrap_or(0));
    for (block, dy) in dy.chunks_exact(count * inner).enumerate() {
        for (row, dy) in dy.chunks_exact(inner).enumerate() {
            for &(column, weight) in &rows.entries[rows.starts[row]..rows.starts[row + 1]] {
                for (i, dy) in dy.iter().enumerate() {
                    dx.add((block * columns + column) * inner + i, f64::from(weight) * dy);
                }
            }
        }
    }
    dx
}
