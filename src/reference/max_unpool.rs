//! The inverse of a max pooling, as far as it has one: each value goes back to the cell that its index names, all other
//! cells are 0. Of several windows that name one cell the last in row-major order counts.
//!
//! An index is the number of a cell in its plane, or in the whole tensor. One that names a cell outside its window names none.

use super::Checked;
use super::pool::Geometry;

/// For each cell the last window that names it.
fn sources(g: &Geometry, indices: &[u32], whole: bool) -> Vec<Option<usize>> {
    let plane = g.input.iter().product::<usize>();
    let mut sources = vec![None; g.inputs()];
    g.for_each(|window, cells, _| {
        let named =
            |&&(_, cell): &&(usize, usize)| (if whole { cell } else { cell % plane }) == indices[window] as usize;
        if let Some(&(_, cell)) = cells.iter().find(named) {
            sources[cell] = Some(window);
        }
    });
    sources
}

/// y, of the size of the pooling's input, from x, of the size of its output.
#[must_use]
pub fn forward(g: &Geometry, x: &[f64], indices: &[u32], whole: bool) -> Checked {
    Checked::exact(
        sources(g, indices, whole).into_iter().map(|source| source.map_or(0.0, |window| x[window])).collect(),
    )
}

/// dx from dy: that of the cell which took the value, if one did.
#[must_use]
pub fn grad_input(g: &Geometry, indices: &[u32], dy: &[f64], whole: bool) -> Checked {
    let mut dx = vec![0.0; g.outputs()];
    for (cell, window) in sources(g, indices, whole).into_iter().enumerate() {
        if let Some(window) = window {
            dx[window] = dy[cell];
        }
    }
    Checked::exact(dx)
}
