//! Activations.

use super::{Call, Operator, one};
use crate::error::Result;
use crate::graph::{Mode, Tensor};
use crate::onnx::value::Value;
use crate::onnx::{Array, ElementType};
use crate::ops::Term;

/// A row whose function has no attributes.
macro_rules! plain {
    ($name:literal, $method:ident) => {
        ($name, |call| one(call.tensor(0)?.$method()?))
    };
}

pub(super) const OPERATORS: &[Operator] = &[
    ("Celu", |call| {
        let alpha = call.node.number("alpha", 1.0)?;
        match alpha > 0.0 {
            true => one(call.tensor(0)?.celu(alpha)?),
            false => Err(call.node.unsupported(format_args!("an alpha of {alpha}"))),
        }
    }),
    ("Clip", clip),
    ("Dropout", dropout),
    ("Elu", |call| {
        let alpha = call.node.number("alpha", 1.0)?;
        one(elu(call.tensor(0)?, alpha)?)
    }),
    ("Gelu", |call| match call.node.text("approximate")?.unwrap_or("none") {
        "none" => one(call.tensor(0)?.gelu()?),
        "tanh" => one(call.tensor(0)?.gelu_tanh()?),
        other => Err(call.node.wrong(format_args!("attribute `approximate`: `{other}`"))),
    }),
    ("HardSigmoid", |call| {
        let (alpha, beta) = (call.node.number("alpha", 0.2)?, call.node.number("beta", 0.5)?);
        let x = call.tensor(0)?;
        one(match (alpha, beta) == (1.0 / 6.0, 0.5) {
            true => x.hard_sigmoid()?,
            false => x.multiply(alpha)?.add(beta)?.clip(0.0, 1.0)?,
        })
    }),
    plain!("HardSwish", hard_swish),
    ("Hardmax", hardmax),
    ("LeakyRelu", |call| {
        let slope = call.node.number("alpha", 0.01)?;
        let x = call.tensor(0)?;
        // The derivative of a negative slope cannot be told from the result.
        one(if slope < 0.0 { x.prelu_with(call.graph().constant(slope, 1)?)? } else { x.leaky_relu(slope)? })
    }),
    ("LogSoftmax", |call| along_axis(call, Tensor::log_softmax)),
    plain!("Mish", mish),
    ("PRelu", prelu),
    plain!("Relu", relu),
    ("Selu", |call| {
        let (alpha, gamma) = (call.node.number("alpha", 1.673_263_2)?, call.node.number("gamma", 1.050_701)?);
        one(elu(call.tensor(0)?, alpha)?.multiply(gamma)?)
    }),
    ("Shrink", shrink),
    plain!("Sigmoid", sigmoid),
    ("Softmax", |call| along_axis(call, Tensor::softmax)),
    ("Softplus", |call| one(call.tensor(0)?.softplus(1.0, 20.0)?)),
    plain!("Softsign", softsign),
    ("Swish", |call| {
        let alpha = call.node.number("alpha", 1.0)?;
        let x = call.tensor(0)?;
        one(if alpha == 1.0 { x.silu()? } else { x.multiply(x.multiply(alpha)?.sigmoid()?)? })
    }),
    plain!("Tanh", tanh),
    ("ThresholdedRelu", |call| {
        let alpha = call.node.number("alpha", 1.0)?;
        let x = call.tensor(0)?;
        one(x.greater(alpha)?.select(x, 0.0)?)
    }),
];

/// x for x > 0, else alpha·(eˣ - 1), also for a negative alpha.
pub(super) fn elu(x: Tensor<'_>, alpha: f32) -> Result<Tensor<'_>> {
    match alpha >= 0.0 {
        true => x.elu(alpha),
        // The derivative cannot be told from the result; -relu(-x) is what is not positive.
        false => x.relu()?.add(x.neg()?.relu()?.neg()?.elu(1.0)?.multiply(alpha)?),
    }
}

/// Bounds are attributes, from operator set 11 on inputs; those that are not there are the type's least and greatest number.
fn clip<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let x: Tensor<'g> = call.tensor(0)?;
    let bounds = if call.node.opset < 11 {
        let bound = |name: &str, default: f32| Ok(Term::Number(call.node.float(name)?.unwrap_or(default)));
        [bound("min", f32::MIN)?, bound("max", f32::MAX)?]
    } else {
        let mut bound = |index: usize, default: f32| match call.has(index) {
            true => call.term(index, 0),
            false => Ok(Term::Number(default)),
        };
        [bound(1, f32::MIN)?, bound(2, f32::MAX)?]
    };
    match bounds {
        [Term::Number(low), Term::Number(high)] if low <= high && low.is_finite() && high.is_finite() => {
            one(x.clip(low, high)?)
        }
        // Where the bounds are not in order the upper one wins.
        [low, high] => {
            let tensor = |term: Term<'g>| match term {
                Term::Number(number) if !number.is_finite() => call.graph().constant(number, 1).map(Term::Tensor),
                term => Ok(term),
            };
            let (low, high) = (tensor(low)?, tensor(high)?);
            one(x.maximum(low)?.minimum(high)?)
        }
    }
}

/// The tensor itself but in a graph that is to be trained, where it drops unless `training_mode`, of operator set 12, says
/// no. Where that says yes in another graph, the file wants random numbers that no one can repeat.
fn dropout<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let x = call.tensor(0)?;
    let opset = call.node.opset;
    let asked = if opset >= 12 && call.has(2) { Some(flag(call, 2)?) } else { None };
    let ratio = |call: &Call<'_, '_, '_>| match opset >= 12 {
        true if call.has(1) => Ok(call.floats(1)?.first().copied().unwrap_or(0.5)),
        true => Ok(0.5),
        false => call.node.number("ratio", 0.5),
    };
    let trained = call.graph().mode() == Mode::Training;
    let drops = match asked {
        Some(false) => 0.0,
        None if !trained => 0.0,
        _ => ratio(call)?,
    };
    if drops > 0.0 && !trained {
        return Err(call.node.unsupported("training_mode in a graph that is not to be trained"));
    }
    if !call.node.has_output(1) {
        return one(x.dropout(drops)?);
    }
    // The mask drops as well.
    let mask = call.graph().constant(1.0, x.shape())?.dropout(drops)?;
    let y = if drops > 0.0 { x.multiply(mask)? } else { x };
    let mask = if drops > 0.0 { mask.greater(0.0)? } else { mask };
    let element = if opset >= 10 { ElementType::Bool } else { ElementType::F32 };
    Ok(vec![Value::floats(y), Value::of(mask, element)])
}

/// A truth value that has to be known at load.
fn flag(call: &Call<'_, '_, '_>, index: usize) -> Result<bool> {
    let array = call.known(index)?;
    match array.as_ref() {
        Array::Bool(values) => Ok(values.first() == Some(&true)),
        _ => Err(call.node.wrong(format_args!("input {index}: expected a truth value, got {array}"))),
    }
}

/// A slope of one axis belongs to the channels before operator set 7, and is broadcast as any other since.
fn prelu<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let (x, slope) = (call.tensor(0)?, call.tensor(1)?);
    let (shape, own) = (x.shape(), slope.shape());
    let slope = match &own[..] {
        [channels] if call.node.opset < 7 && *channels > 1 => {
            slope.reshape([&[*channels][..], &vec![1; shape.len().saturating_sub(2)]].concat())?
        }
        _ => slope,
    };
    one(x.prelu_with(slope)?)
}

fn shrink<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let (bias, lambda) = (call.node.number("bias", 0.0)?, call.node.number("lambd", 0.5)?);
    let x = call.tensor(0)?;
    let above = x.greater(lambda)?.select(x.subtract(bias)?, 0.0)?;
    one(x.less(-lambda)?.select(x.add(bias)?, above)?)
}

/// A function along an axis, the last one if nothing is said; before operator set 13 along all from the axis on, the second
/// one if nothing is said.
fn along_axis<'g>(
    call: &mut Call<'_, '_, 'g>,
    function: fn(Tensor<'g>, usize) -> Result<Tensor<'g>>,
) -> Result<Vec<Value<'g>>> {
    let x = call.tensor(0)?;
    let shape = x.shape();
    if call.node.opset >= 13 {
        let axis = call.node.axis(call.node.int("axis")?.unwrap_or(-1), shape.len())?;
        return one(function(x, axis)?);
    }
    let axis = call.node.axis(call.node.int("axis")?.unwrap_or(1), shape.len())?;
    let rows = [shape[..axis].iter().product(), shape[axis..].iter().product()];
    one(function(x.reshape(rows)?, 1)?.reshape(shape)?)
}

/// A one where the first of the largest elements stands.
fn hardmax<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    along_axis(call, |x, axis| {
        let shape = x.shape();
        let ones = x.argmax(axis)?.one_hot(shape[axis])?;
        // The new axis stands behind the others.
        let last = shape.len() - 1;
        let order: Vec<usize> = (0..axis).chain([last]).chain(axis..last).collect();
        if axis == last { Ok(ones) } else { ones.transpose(&order) }
    })
}
