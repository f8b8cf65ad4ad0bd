//! Products of matrices.

use super::{Call, Operator, one};
use crate::error::Result;
use crate::onnx::value::Value;

pub(super) const OPERATORS: &[Operator] = &[
    ("Gemm", gemm),
    ("MatMul", |call| {
        let (a, b) = (call.tensor(0)?, call.tensor(1)?);
        one(a.matmul(b)?)
    }),
];

fn gemm<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let (a, b, c) = (call.tensor(0)?, call.tensor(1)?, call.optional(2)?);
    let (alpha, beta) = (call.node.float("alpha")?.unwrap_or(1.0), call.node.float("beta")?.unwrap_or(1.0));
    let (turned_a, turned_b) = (call.node.flag("transA", false)?, call.node.flag("transB", false)?);
    if a.shape().len() != 2 || b.shape().len() != 2 {
        return Err(call.node.wrong(format_args!("expected two matrices, got {} and {}", a.shape(), b.shape())));
    }
    let a = if turned_a && turned_b { a.transpose(&[1, 0])? } else { a };
    // A dense layer where it is one: [N, C] times [O, C] turned over, and a value for each output.
    if turned_b && alpha == 1.0 && beta == 1.0 && c.is_none_or(|c| c.shape()[..] == b.shape()[..1]) {
        return one(a.dense_with(b, c)?);
    }
    let product = match (turned_a, turned_b) {
        (_, true) => a.matmul_nt(b)?,
        (true, false) => a.matmul_tn(b)?,
        (false, false) => a.matmul(b)?,
    };
    let product = if alpha == 1.0 { product } else { product.multiply(alpha)? };
    let sum = match c {
        None => product,
        Some(c) if beta == 1.0 => product.add(c)?,
        Some(c) => product.add(c.multiply(beta)?)?,
    };
    match sum.shape() == product.shape() {
        true => one(sum),
        false => Err(call.node.wrong(format_args!("C becomes {}, the product is {}", sum.shape(), product.shape()))),
    }
}
