//! Arithmetic of two tensors, with NumPy's broadcasting.

use super::{Call, Operator, one};
use crate::error::Result;
use crate::graph::Tensor;
use crate::onnx::value::Value;
use crate::ops::Term;

pub(super) const OPERATORS: &[Operator] = &[
    ("Add", |call| binary(call, |a, b| a.add(b))),
    ("Sub", |call| binary(call, |a, b| a.subtract(b))),
    ("Mul", |call| binary(call, |a, b| a.multiply(b))),
    ("Div", |call| binary(call, |a, b| a.divide(b))),
];

fn binary<'g>(
    call: &mut Call<'_, '_, 'g>,
    compute: impl FnOnce(Tensor<'g>, Term<'g>) -> Result<Tensor<'g>>,
) -> Result<Vec<Value<'g>>> {
    let (a, b) = (call.tensor(0)?, call.term(1, 0)?);
    one(compute(a, b)?)
}
