//! Activations.

use super::{Call, Operator, one};
use crate::error::Result;
use crate::graph::Tensor;
use crate::onnx::value::Value;

/// A row whose function has no attributes.
macro_rules! plain {
    ($name:literal, $method:ident) => {
        ($name, |call| one(call.tensor(0)?.$method()?))
    };
}

pub(super) const OPERATORS: &[Operator] = &[
    ("Clip", clip),
    ("Relu", |call| one(call.tensor(0)?.relu()?)),
    plain!("Sigmoid", sigmoid),
    ("Softmax", softmax),
    plain!("Tanh", tanh),
];

fn attribute(call: &Call<'_, '_, '_>, name: &str, default: f32) -> Result<f32> {
    Ok(call.node.float(name)?.unwrap_or(default))
}

fn clip<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let x: Tensor<'g> = call.tensor(0)?;
    let (low, high) = match call.node.opset < 11 {
        true => (attribute(call, "min", f32::MIN)?, attribute(call, "max", f32::MAX)?),
        false => {
            let bound = |index: usize, default: f32| match call.has(index) {
                true => Ok(call.floats(index)?.first().copied().unwrap_or(default)),
                false => Ok(default),
            };
            (bound(1, f32::MIN)?, bound(2, f32::MAX)?)
        }
    };
    one(x.clip(low, high)?)
}

fn softmax<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let x = call.tensor(0)?;
    let shape = x.shape();
    if call.node.opset >= 13 {
        let axis = call.node.axis(call.node.int("axis")?.unwrap_or(-1), shape.len())?;
        return one(x.softmax(axis)?);
    }
    // Older operator sets take everything from the axis on as one.
    let axis = call.node.axis(call.node.int("axis")?.unwrap_or(1), shape.len())?;
    one(x.flatten_from(axis)?.softmax(axis)?.reshape(shape)?)
}
