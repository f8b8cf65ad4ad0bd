//! Tensors under other shapes and in other orders.

use super::{Call, Operator};
use crate::error::Result;
use crate::onnx::value::{Computed, Value};

pub(super) const OPERATORS: &[Operator] = &[("Flatten", flatten), ("Reshape", reshape)];

fn reshaped<'g>(call: &mut Call<'_, '_, 'g>, shape: Vec<usize>) -> Result<Vec<Value<'g>>> {
    let Computed { tensor, element, .. } = call.any(0)?;
    Ok(vec![Value::of(tensor.reshape(shape)?, element)])
}

fn flatten<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let shape = call.any(0)?.tensor.shape();
    let axis = call.node.int("axis")?.unwrap_or(1);
    // The axis may be the one behind the last.
    let axis = call.node.axis(axis, shape.len() + usize::from(axis >= 0))?;
    reshaped(call, vec![shape[..axis].iter().product(), shape[axis..].iter().product()])
}

fn reshape<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let wanted = call.node.required("shape", call.ints_of("shape", 1)?)?;
    let shape = call.any(0)?.tensor.shape();
    let target = crate::onnx::host::reshaped(call.node, &shape, &wanted)?;
    reshaped(call, target)
}
