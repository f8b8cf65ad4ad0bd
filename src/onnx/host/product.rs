//! Products of matrices.

use ndarray::{ArrayD, IxDyn};

use super::arithmetic::{add, multiply};
use super::{Call, MOST, Operator, one};
use crate::error::Result;
use crate::onnx::array::with_numbers;
use crate::onnx::element::{Number, Numeric};
use crate::onnx::equation::Equation;
use crate::onnx::{Array, ElementType};

pub(super) const OPERATORS: &[Operator] = &[("Einsum", einsum), ("MatMul", matmul), ("MatMulInteger", matmul_integer)];

/// Refuses what would take too long.
pub(super) fn affordable(call: &Call<'_>, work: &[usize]) -> Result<()> {
    match work.iter().try_fold(1_usize, |work, &extent| work.checked_mul(extent.max(1))) {
        Some(work) if work <= 4 * MOST => call.spend(work),
        _ => Err(call.node.unsupported(format_args!("{work:?} products are too many for the host"))),
    }
}

fn matmul(call: &Call<'_>) -> Result<Vec<Array>> {
    fn of<T: Numeric>(call: &Call<'_>, a: &ArrayD<T>) -> Result<Vec<Array>> {
        let wide = |array: &ArrayD<T>| array.mapv(|value| value.into());
        one(product(call, &wide(a), &wide(call.like(a, 1)?))?.mapv(T::from))
    }
    let a = call.input(0)?;
    with_numbers!(a, array => of(call, array), _ => call.refuse(a))
}

/// Sums of products along the last axis of one and the last but one of the other, as NumPy's `matmul`.
fn product(call: &Call<'_>, a: &ArrayD<Number>, b: &ArrayD<Number>) -> Result<ArrayD<Number>> {
    let wrong = || call.node.wrong(format_args!("{:?} times {:?}", a.shape(), b.shape()));
    let (mut left, mut right) = (a.shape().to_vec(), b.shape().to_vec());
    let (row, column) = (left.len() == 1, right.len() == 1);
    if row {
        left.insert(0, 1);
    }
    if column {
        right.push(1);
    }
    let ([outer @ .., m, k], [others @ .., inner, n]) = (left.as_slice(), right.as_slice()) else {
        return Err(wrong());
    };
    if k != inner {
        return Err(wrong());
    }
    let batch = call.broadcast(&[outer, others])?;
    let (a, b) = (call.shaped(a, &left)?, call.shaped(b, &right)?);
    let (a_shape, b_shape) = ([&batch[..], &[*m, *k]].concat(), [&batch[..], &[*k, *n]].concat());
    call.limit(&[&batch[..], &[*m, *n]].concat())?;
    call.limit(&a_shape)?;
    call.limit(&b_shape)?;
    affordable(call, &[&a_shape[..], &[*n]].concat())?;
    let a: Vec<Number> = call.spread(&a, &a_shape)?.iter().copied().collect();
    let b: Vec<Number> = call.spread(&b, &b_shape)?.iter().copied().collect();
    let count: usize = batch.iter().product();
    let element = |index: usize| {
        let (image, row, column) = (index / (m * n), index / n % m, index % n);
        let terms = (0..*k).map(|at| multiply(a[(image * m + row) * k + at], b[(image * k + at) * n + column]));
        terms.fold(Number::Integer(0), add)
    };
    let elements = (0..count * m * n).map(element).collect();
    let mut shape = batch;
    if !row {
        shape.push(*m);
    }
    if !column {
        shape.push(*n);
    }
    ArrayD::from_shape_vec(IxDyn(&shape), elements).map_err(|error| call.node.wrong(error))
}

fn einsum(call: &Call<'_>) -> Result<Vec<Array>> {
    fn of<T: Numeric>(call: &Call<'_>, first: &ArrayD<T>) -> Result<Vec<Array>> {
        let operands = (0..call.inputs.len()).map(|index| Ok(call.like(first, index)?.as_standard_layout()));
        let operands: Vec<_> = operands.collect::<Result<_>>()?;
        let shapes: Vec<&[usize]> = operands.iter().map(|operand| operand.shape()).collect();
        let equation = Equation::of(call.node, &shapes.iter().map(|shape| shape.len()).collect::<Vec<_>>())?;
        let extents = equation.extents(call.node, &shapes)?;
        let sizes: Vec<usize> = extents.iter().map(|&(_, extent)| extent).collect();
        let (outer, inner) = sizes.split_at(equation.output.len());
        call.limit(outer)?;
        affordable(call, &sizes)?;
        // How far apart the elements of an operand lie along each name: a diagonal takes a step along both of its axes, and
        // an axis that broadcasts none.
        let steps: Vec<Vec<usize>> = equation
            .terms
            .iter()
            .zip(&shapes)
            .map(|(axes, shape)| {
                let step = |name: char| {
                    let own = (0..axes.len()).filter(|&axis| axes[axis] == name && shape[axis] != 1);
                    own.map(|axis| shape[axis + 1..].iter().product::<usize>()).sum()
                };
                extents.iter().map(|&(name, _)| step(name)).collect()
            })
            .collect();
        let (count, terms): (usize, usize) = (outer.iter().product(), inner.iter().product());
        let element = |index: usize| {
            let term = |term: usize| {
                let (mut rest, mut places) = (index * terms + term, vec![0; operands.len()]);
                for (axis, &extent) in sizes.iter().enumerate().rev() {
                    let at = rest % extent;
                    rest /= extent;
                    places.iter_mut().zip(&steps).for_each(|(place, steps)| *place += at * steps[axis]);
                }
                let factors = operands.iter().zip(places);
                let factors =
                    factors.map(|(operand, place)| operand.as_slice().map_or(Number::Integer(0), |v| v[place].into()));
                factors.reduce(multiply).unwrap_or(Number::Integer(0))
            };
            T::from((0..terms).map(term).fold(Number::Integer(0), add))
        };
        let elements = (0..count).map(element).collect();
        one(ArrayD::from_shape_vec(IxDyn(outer), elements).map_err(|error| call.node.wrong(error))?)
    }
    let first = call.input(0)?;
    with_numbers!(first, array => of(call, array), _ => call.refuse(first))
}

/// Bytes without their zero points, as int32.
fn matmul_integer(call: &Call<'_>) -> Result<Vec<Array>> {
    let centred = |index: usize, along_rows: bool| -> Result<ArrayD<Number>> {
        let x = call.input(index)?;
        if !matches!(x.element_type(), ElementType::U8 | ElementType::I8) {
            return Err(call.node.wrong(format_args!("input {index}: expected bytes, got {x}")));
        }
        let x =
            ArrayD::from_shape_vec(IxDyn(x.shape()), call.numbers(index)?).map_err(|error| call.node.wrong(error))?;
        let Some(zero) = call.get(index + 2) else { return Ok(x) };
        let points = call.numbers(index + 2)?;
        // One for all, or one a row of the first and one a column of the second.
        let shape = match (zero.shape(), along_rows) {
            ([count], true) if *count > 1 => vec![*count, 1],
            (shape, _) => shape.to_vec(),
        };
        let zero = ArrayD::from_shape_vec(IxDyn(&shape), points).map_err(|error| call.node.wrong(error))?;
        call.zip(&x, &zero, |&x, &zero| match (x, zero) {
            (Number::Integer(x), Number::Integer(zero)) => Number::Integer(x - zero),
            (x, _) => x,
        })
    };
    one(product(call, &centred(0, true)?, &centred(1, false)?)?.mapv(i32::from))
}
