//! Products of matrices.

use ndarray::{ArrayD, IxDyn};

use super::{Call, MOST, Operator, one};
use crate::error::Result;
use crate::onnx::array::with_numbers;
use crate::onnx::element::{Number, Numeric};
use crate::onnx::{Array, ElementType};

pub(super) const OPERATORS: &[Operator] = &[("MatMul", matmul), ("MatMulInteger", matmul_integer)];

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
    let work = a_shape.iter().chain([n]).try_fold(1_usize, |work, &extent| work.checked_mul(extent.max(1)));
    if work.is_none_or(|work| work > 4 * MOST) {
        return Err(call.node.unsupported(format_args!("{a_shape:?} times {b_shape:?} is too much for the host")));
    }
    let a: Vec<Number> = call.spread(&a, &a_shape)?.iter().copied().collect();
    let b: Vec<Number> = call.spread(&b, &b_shape)?.iter().copied().collect();
    let count: usize = batch.iter().product();
    let element = |index: usize| {
        let (image, row, column) = (index / (m * n), index / n % m, index % n);
        let terms = (0..*k)
            .map(|at| super::arithmetic::multiply(a[(image * m + row) * k + at], b[(image * k + at) * n + column]));
        terms.fold(Number::Integer(0), super::arithmetic::add)
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
