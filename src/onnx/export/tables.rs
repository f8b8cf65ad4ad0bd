//! Linear maps along axes as ONNX's operators: what repeats pixels, means of equal windows, elements that are picked, and
//! where none of these fits, a product with a matrix.

use super::Exporting;
use crate::error::Result;
use crate::reference::axis_map::Rows;

/// Entries of a matrix, at most.
const MOST: usize = 1 << 24;

/// Adds the nodes that map neighbouring axes of input 0, the first of which is `first`, each from so many elements.
pub(crate) fn map(cx: &mut Exporting<'_, '_>, first: usize, axes: &[(usize, Rows<'_>)]) -> Result<()> {
    cx.only_inference()?;
    cx.keeps_examples(first > 0)?;
    let mut x = cx.input(0)?;
    let output = cx.outputs[0].shape.to_vec();
    let rank = output.len();
    if let Some(factors) = axes.iter().map(|(columns, rows)| repeats(*columns, rows)).collect::<Option<Vec<_>>>() {
        let mut scales = vec![1.0; rank];
        scales[first..first + factors.len()].iter_mut().zip(&factors).for_each(|(to, &by)| *to = by as f32);
        let scales = cx.floats(&[rank], scales)?;
        let attributes = [
            ("mode", "nearest".into()),
            ("coordinate_transformation_mode", "asymmetric".into()),
            ("nearest_mode", "floor".into()),
        ];
        return cx.finish("Resize", &[&x, "", &scales], &attributes);
    }
    let windows = axes.iter().map(|(columns, rows)| windows(*columns, rows)).collect::<Option<Vec<_>>>();
    if let (2.., 3..=5, Some(windows)) = (first, rank, windows) {
        let (mut kernel, mut stride) = (vec![1_usize; rank - 2], vec![1_usize; rank - 2]);
        for (axis, [length, step]) in (first - 2..).zip(windows) {
            (kernel[axis], stride[axis]) = (length, step);
        }
        let attributes = [("kernel_shape", kernel.as_slice().into()), ("strides", stride.as_slice().into())];
        return cx.finish("AveragePool", &[&x], &attributes);
    }
    for (index, (columns, rows)) in axes.iter().enumerate() {
        let (axis, last) = (first + index, index + 1 == axes.len());
        x = along(cx, &x, axis, rank, *columns, rows, last)?;
    }
    Ok(())
}

/// Maps one axis.
fn along(
    cx: &mut Exporting<'_, '_>,
    x: &str,
    axis: usize,
    rank: usize,
    columns: usize,
    rows: &Rows<'_>,
    last: bool,
) -> Result<String> {
    let count = rows.starts.len() - 1;
    if let Some(picks) = picks(rows) {
        let places = cx.integers(picks.into_iter().map(|column| column as i64))?;
        return node(cx, "Gather", &[x, &places], &[("axis", axis.into())], last);
    }
    if count.saturating_mul(columns) > MOST {
        return Err(cx.refused(format_args!("a matrix of {count} by {columns} is too large")));
    }
    let behind = axis + 1 == rank;
    let mut matrix = vec![0.0; count * columns];
    for row in 0..count {
        for &(column, weight) in &rows.entries[rows.starts[row]..rows.starts[row + 1]] {
            matrix[if behind { column * count + row } else { row * columns + column }] = weight;
        }
    }
    if behind {
        let matrix = cx.floats(&[columns, count], matrix)?;
        return node(cx, "MatMul", &[x, &matrix], &[], last);
    }
    let matrix = cx.floats(&[count, columns], matrix)?;
    if axis + 2 == rank {
        return node(cx, "MatMul", &[&matrix, x], &[], last);
    }
    // The axis and the last but one in each other's place.
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(axis, rank - 2);
    let order = || [("perm", order.as_slice().into())];
    let turned = cx.between("Transpose", &[x], &order());
    let mapped = cx.between("MatMul", &[&matrix, &turned], &[]);
    node(cx, "Transpose", &[&mapped], &order(), last)
}

fn node(
    cx: &mut Exporting<'_, '_>,
    operator: &str,
    inputs: &[&str],
    attributes: super::Attributes<'_>,
    last: bool,
) -> Result<String> {
    match last {
        true => cx.finish(operator, inputs, attributes).map(|()| String::new()),
        false => Ok(cx.between(operator, inputs, attributes)),
    }
}

fn row<'r>(rows: &'r Rows<'_>, row: usize) -> &'r [(usize, f32)] {
    &rows.entries[rows.starts[row]..rows.starts[row + 1]]
}

/// The column of each row, where each has one of weight 1.
fn picks(rows: &Rows<'_>) -> Option<Vec<usize>> {
    (0..rows.starts.len() - 1)
        .map(|index| match row(rows, index) {
            &[(column, 1.0)] => Some(column),
            _ => None,
        })
        .collect()
}

/// How often each column stands, one behind the other.
fn repeats(columns: usize, rows: &Rows<'_>) -> Option<usize> {
    let picks = picks(rows)?;
    let factor = picks.len() / columns;
    let repeats =
        factor * columns == picks.len() && picks.iter().enumerate().all(|(row, &column)| column == row / factor);
    repeats.then_some(factor)
}

/// Length and distance of windows of which the rows are the means.
fn windows(columns: usize, rows: &Rows<'_>) -> Option<[usize; 2]> {
    let count = rows.starts.len() - 1;
    let length = row(rows, 0).len();
    let begin = |index: usize| row(rows, index).first().map(|&(column, _)| column);
    let step = if count > 1 { begin(1)?.checked_sub(begin(0)?)?.max(1) } else { 1 };
    let weight = (1.0 / length as f64) as f32;
    let is_mean = |index: usize| {
        let entries = row(rows, index);
        let run = entries.iter().enumerate().all(|(place, &entry)| entry == (index * step + place, weight));
        run && entries.len() == length
    };
    let whole = length > 0 && (columns - length) / step + 1 == count;
    (whole && (0..count).all(is_mean)).then_some([length, step])
}

#[cfg(test)]
mod tests {
    use super::{Rows, repeats, windows};

    #[test]
    fn regular_tables_are_seen() {
        let halves = [(0, 0.5), (1, 0.5), (2, 0.5), (3, 0.5)];
        assert_eq!(windows(4, &Rows { starts: &[0, 2, 4], entries: &halves }), Some([2, 2]));
        assert_eq!(windows(4, &Rows { starts: &[0, 4], entries: &halves }), None);
        assert_eq!(repeats(4, &Rows { starts: &[0, 2, 4], entries: &halves }), None);
        let twice = [(0, 1.0), (0, 1.0), (1, 1.0), (1, 1.0)];
        assert_eq!(repeats(2, &Rows { starts: &[0, 1, 2, 3, 4], entries: &twice }), Some(2));
        assert_eq!(repeats(3, &Rows { starts: &[0, 1, 2, 3, 4], entries: &twice }), None);
        // The mean of the last columns alone is no window that a pooling of the whole axis has.
        let last = [(2, 0.5), (3, 0.5)];
        assert_eq!(windows(4, &Rows { starts: &[0, 2], entries: &last }), None);
    }
}
