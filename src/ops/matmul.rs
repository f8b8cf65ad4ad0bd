//! Products of matrices, with batches and broadcasting as NumPy's `matmul` and ONNX's `MatMul` have them.
//!
//! Batches are groups of a 1x1 convolution: with a `[b, m, k]` as filters `[b·m, k, 1, 1]` and b `[b, k, n]` as an image
//! `[1, b·k, 1, n]`, y is the image `[1, b·m, 1, n]`, and nothing moves. A convolution's three products are then all products of
//! matrices, aᵀ·b being its gradient of the image and a·bᵀ that of the filters, so that they are each other's gradients.

use super::batch_norm::BatchNorm;
use super::conv2d::{Axis, Direction, Geometry, Of, Product};
use super::unfold::repeat;
use crate::error::{Error, Result};
use crate::graph::{DType, Tensor, TensorType};
use crate::selftest::OpCase;

const NAME: &str = "matmul";
/// Of a convolution's directions.
const NAMES: &[&str; 3] = &[NAME, "matmul_tn", "matmul_nt"];

impl<'g> Tensor<'g> {
    /// The product of two matrices, `[m, k]` and `[k, n]` to `[m, n]`, or of many: the axes before the last two are batches,
    /// which broadcast as NumPy's do (aligned at the last, an axis of 1 or none stands for any). A vector `[k]` on the left
    /// is a row, on the right a column, and that axis is not in the result.
    ///
    /// Nothing is copied where the batch axes that only the right has stand before all others, and those that only the left
    /// has behind them, as where one of the two is a single matrix. Otherwise the one that lacks an axis is repeated along it
    /// in memory.
    ///
    /// ```
    /// use omma::{Graph, Mode};
    ///
    /// let graph = Graph::new(Mode::Evaluation);
    /// let (a, b) = (graph.input("a", [8, 1, 3, 5])?, graph.input("b", [2, 5, 7])?);
    /// assert_eq!(a.matmul(b)?.shape().to_string(), "[8, 2, 3, 7]");
    /// # Ok::<(), omma::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a tensor is not f32 of at least one axis, or the inner sizes or batches do not fit.
    pub fn matmul(self, other: Self) -> Result<Self> {
        multiply(self, other, Direction::Forward)
    }

    /// aᵀ·b: [`Tensor::matmul`] of `[..., k, m]` and `[..., k, n]`, each of two axes or more. Nothing is copied where the
    /// batch axes that only the right has stand before all others, and it has all that the left has.
    ///
    /// # Errors
    /// As [`Tensor::matmul`].
    pub fn matmul_tn(self, other: Self) -> Result<Self> {
        multiply(self, other, Direction::GradInput)
    }

    /// a·bᵀ: [`Tensor::matmul`] of `[..., m, k]` and `[..., n, k]`, each of two axes or more; of two matrices it is
    /// [`Tensor::dense_with`]. Nothing is copied where the batch axes that only the left has stand behind all others, and it
    /// has all that the right has.
    ///
    /// # Errors
    /// As [`Tensor::matmul`].
    pub fn matmul_nt(self, other: Self) -> Result<Self> {
        multiply(self, other, Direction::GradWeight)
    }
}

/// One of the operands: its batch axes, with ones in front where the other has more, and its matrix.
#[derive(Debug, Clone)]
struct Operand<'g> {
    tensor: Tensor<'g>,
    batch: Vec<usize>,
    matrix: [usize; 2],
}

impl Operand<'_> {
    /// With this batch axis repeated where it has a length of 1 and is to have another.
    fn repeated(mut self, axis: usize, times: usize) -> Result<Self> {
        if self.batch[axis] == times {
            return Ok(self);
        }
        let outer = self.batch[..axis].iter().product();
        let inner = self.batch[axis..].iter().chain(&self.matrix).product();
        self.batch[axis] = times;
        let shape = [&self.batch[..], &self.matrix].concat();
        self.tensor = self.tensor.unfold_windows("", repeat(outer, times, inner), shape)?;
        Ok(self)
    }
}

fn multiply<'g>(left: Tensor<'g>, right: Tensor<'g>, direction: Direction) -> Result<Tensor<'g>> {
    left.graph().owns(NAMES[direction as usize], &[left, right])?;
    left.graph().whole(|| product(left, right, direction))
}

fn product<'g>(left: Tensor<'g>, right: Tensor<'g>, direction: Direction) -> Result<Tensor<'g>> {
    let name = NAMES[direction as usize];
    let types = [left.ty(), right.ty()];
    let refused = |expected: &str| Error::shape(name, expected, format!("{} and {}", types[0], types[1]));
    // A vector is a row on the left and a column on the right.
    let vectors = types.each_ref().map(|ty| ty.shape.len() == 1 && direction == Direction::Forward);
    let fewest = if direction == Direction::Forward { 1 } else { 2 };
    if types.iter().any(|ty| ty.dtype != DType::F32 || ty.shape.len() < fewest) {
        return Err(refused(&format!("two f32 tensors of {fewest} axes or more")));
    }
    let shapes = [0, 1].map(|side| match (vectors[side], types[side].shape[0]) {
        (true, length) if side == 0 => vec![1, length],
        (true, length) => vec![length, 1],
        _ => types[side].shape.to_vec(),
    });
    let rank = shapes.iter().map(Vec::len).max().unwrap_or(2) - 2;
    let operand = |side: usize, tensor: Tensor<'g>| {
        let (batch, matrix) = shapes[side].split_at(shapes[side].len() - 2);
        let batch = [vec![1; rank - batch.len()], batch.to_vec()].concat();
        Operand { tensor, batch, matrix: [matrix[0], matrix[1]] }
    };
    let (mut a, mut b) = (operand(0, left), operand(1, right));
    let ([a0, a1], [b0, b1]) = (a.matrix, b.matrix);
    let (result, inner) = match direction {
        Direction::Forward => ([a0, b1], [a1, b0]),
        Direction::GradInput => ([a1, b1], [a0, b0]),
        Direction::GradWeight => ([a0, b0], [a1, b1]),
    };
    if inner[0] != inner[1] {
        return Err(refused("one inner size"));
    }
    if a.batch.iter().zip(&b.batch).any(|(&a, &b)| a != b && a != 1 && b != 1) {
        return Err(refused("batches that are equal or 1"));
    }
    let whole: Vec<usize> = a.batch.iter().zip(&b.batch).map(|(&a, &b)| a.max(b)).collect();

    // Axes of the right alone before all others are images, and axes of the left alone behind them more rows.
    let images = (0..rank).take_while(|&axis| a.batch[axis] == 1 && direction != Direction::GradWeight).count();
    let rows = (images..rank).rev().take_while(|&axis| b.batch[axis] == 1 && direction != Direction::GradInput).count();
    let groups = images..rank - rows;
    for axis in groups.clone() {
        a = a.repeated(axis, whole[axis])?;
        b = b.repeated(axis, whole[axis])?;
    }
    let count = |axes: &[usize]| axes.iter().product::<usize>();
    let [images, rows, groups] = [count(&whole[..images]), count(&whole[groups.end..]), count(&whole[groups])];

    // The two operands are filters and image, or two images.
    let (filters, channels, pixels) = match direction {
        Direction::Forward => (rows * a0, a1, b1),
        Direction::GradInput => (a0, a1, b1),
        Direction::GradWeight => (rows * a0, b0, a1),
    };
    let geometry =
        Geometry::new(images, [groups * channels, groups * filters], groups, [Axis::plain(1), Axis::plain(pixels)]);
    let ty = |many: usize, rows: usize, columns: usize| match images * groups {
        1 => TensorType::f32([rows, columns]),
        _ => TensorType::f32([many, rows, columns]),
    };
    let types =
        [ty(images * groups, channels, pixels), ty(groups, filters, channels), ty(images * groups, filters, pixels)];
    // Filters stand before y, and x before all.
    let pair = if direction == Direction::GradInput { [a.tensor, b.tensor] } else { [b.tensor, a.tensor] };
    let y = Product { names: NAMES, geometry, types, direction, of: Of::Matrices }.of_views("", pair, None)?;
    let matrix = result.into_iter().zip(vectors).filter(|(_, vector)| !vector).map(|(length, _)| length);
    let shape: Vec<usize> = whole.into_iter().chain(matrix).collect();
    if y.shape()[..] == shape { Ok(y) } else { y.reshape(shape) }
}

/// Left, right.
type Problem = (&'static str, &'static [usize], &'static [usize], Direction);

const PROBLEMS: &[Problem] = {
    use Direction::{Forward, GradInput, GradWeight};
    &[
        ("of two", &[7, 13], &[13, 11], Forward),
        ("of two, larger than a tile", &[67, 131], &[131, 70], Forward),
        ("of single elements", &[1, 1], &[1, 1], Forward),
        ("of fours", &[12, 16], &[16, 20], Forward),
        ("row by matrix", &[5], &[5, 9], Forward),
        ("matrix by column", &[8, 5], &[5], Forward),
        ("row by column", &[17], &[17], Forward),
        ("rows by columns", &[3, 4, 5], &[5], Forward),
        ("three", &[3, 5, 8], &[3, 8, 4], Forward),
        ("many by one", &[3, 5, 8], &[8, 4], Forward),
        ("one by many", &[5, 8], &[3, 8, 4], Forward),
        ("one of many axes by many", &[1, 1, 5, 8], &[2, 3, 8, 4], Forward),
        ("axes of each alone", &[3, 1, 5, 4], &[2, 4, 6], Forward),
        ("axes of each at their places", &[3, 5, 4], &[2, 1, 4, 6], Forward),
        ("five axes", &[2, 1, 3, 4, 5], &[1, 2, 3, 5, 3], Forward),
        ("an axis of the left within", &[2, 3, 2, 3, 4], &[2, 1, 2, 4, 3], Forward),
        ("the left transposed", &[13, 7], &[13, 11], GradInput),
        ("the left transposed, three", &[3, 8, 5], &[3, 8, 4], GradInput),
        ("the left transposed, one by many", &[8, 5], &[3, 8, 4], GradInput),
        ("the left transposed, many by one", &[3, 8, 5], &[8, 4], GradInput),
        ("the right transposed", &[7, 13], &[11, 13], GradWeight),
        ("the right transposed, three", &[3, 5, 8], &[3, 4, 8], GradWeight),
        ("the right transposed, many by one", &[3, 2, 5, 8], &[4, 8], GradWeight),
        ("the right transposed, one by many", &[5, 8], &[3, 4, 8], GradWeight),
    ]
};

pub(crate) fn cases() -> Vec<OpCase> {
    let case = |&(name, left, right, direction): &Problem| {
        OpCase::new(format!("matmul {name}"), move |cx| {
            let (a, b) = (cx.normal("a", left)?, cx.normal("b", right)?);
            multiply(a, b, direction).map(|y| vec![y])
        })
    };
    let mut cases: Vec<OpCase> = PROBLEMS.iter().map(case).collect();
    // More terms than roundings that differences allow for; the rules are those of short sums.
    let long: [Problem; 3] = [
        ("of long sums", &[2, 70_001], &[70_001, 3], Direction::Forward),
        ("of long sums, the left transposed", &[70_001, 2], &[70_001, 3], Direction::GradInput),
        ("of long sums, the right transposed", &[2, 70_001], &[3, 70_001], Direction::GradWeight),
    ];
    cases.extend(long.iter().map(case).map(OpCase::without_differences));
    for (left, right) in [([7, 5], [5, 12]), ([9, 8], [8, 3])] {
        let case = OpCase::new(format!("matmul and a batch norm, {left:?} by {right:?}"), move |cx| {
            let y = cx.normal("a", left)?.matmul(cx.normal("b", right)?)?;
            y.batch_norm("bn", BatchNorm::default()).map(|y| vec![y])
        });
        cases.push(case.randomize_parameters().in_single_precision());
    }
    // What follows is computed by the kernels of each direction, or after them.
    for direction in [Direction::Forward, Direction::GradInput, Direction::GradWeight] {
        let case = OpCase::new(format!("matmul and functions, {direction:?}"), move |cx| {
            let (a, b) = (cx.normal("a", [12, 12])?, cx.normal("b", [12, 12])?);
            Ok(vec![multiply(a, b, direction)?.add(cx.normal("c", [12, 12])?)?.relu()?])
        });
        cases.push(case.in_single_precision());
    }
    for variant in ["naive", "tiled_small"] {
        let name = format!("matmul of 4,096 small ones, {variant}");
        let case = OpCase::new(name, |cx| {
            let (a, b) = (cx.normal("a", [4096, 3, 4])?, cx.normal("b", [4096, 4, 2])?);
            a.matmul(b).map(|y| vec![y])
        });
        cases.push(case.only(variant));
    }
    cases
}
