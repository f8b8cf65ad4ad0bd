//! Losses of labels.

use super::{Call, Operator};
use crate::error::Result;
use crate::graph::{Shape, Tensor};
use crate::onnx::value::{Constant, Value};
use crate::ops::Reduction;
use crate::ops::cross_entropy::CrossEntropy;

pub(super) const OPERATORS: &[Operator] = &[
    ("NegativeLogLikelihoodLoss", |call| {
        let settings = settings(call)?;
        let (x, labels) = (call.tensor(0)?, labels(call)?);
        Ok(vec![Value::floats(scalar(x.negative_log_likelihood(labels, settings)?, call)?)])
    }),
    ("SoftmaxCrossEntropyLoss", |call| {
        let settings = settings(call)?;
        let (x, labels) = (call.tensor(0)?, labels(call)?);
        let mut outputs = vec![Value::floats(scalar(x.cross_entropy(labels, settings)?, call)?)];
        if call.node.has_output(1) {
            outputs.push(Value::floats(x.log_softmax(1)?));
        }
        Ok(outputs)
    }),
];

/// What stands for the label that does not count, which in a file may be negative.
const IGNORED: u32 = u32::MAX;
/// What stands for another negative label, which is no class: its loss is not-a-number.
const NO_CLASS: u32 = u32::MAX - 1;

fn reduction(call: &Call<'_, '_, '_>) -> Result<Reduction> {
    match call.node.text("reduction")?.unwrap_or("mean") {
        "none" => Ok(Reduction::None),
        "sum" => Ok(Reduction::Sum),
        "mean" => Ok(Reduction::Mean),
        other => Err(call.node.wrong(format_args!("attribute `reduction`: `{other}`"))),
    }
}

fn settings<'g>(call: &mut Call<'_, '_, 'g>) -> Result<CrossEntropy<'g>> {
    let mut settings = CrossEntropy::default().reduction(reduction(call)?);
    if call.has(2) {
        settings = settings.weights(call.state(2)?);
    }
    // Labels on the device are not negative.
    match (known(call), call.node.int("ignore_index")?) {
        (_, None) => Ok(settings),
        (true, Some(_)) => Ok(settings.ignore(IGNORED)),
        (false, Some(label)) => Ok(u32::try_from(label).map_or(settings, |label| settings.ignore(label))),
    }
}

fn known(call: &Call<'_, '_, '_>) -> bool {
    matches!(call.inputs.get(1), Some(Some(Value::Known(_))))
}

fn labels<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Tensor<'g>> {
    let Some(Some(Value::Known(Constant { array, .. }))) = call.inputs.get(1) else { return call.integers(1) };
    let ignored = call.node.int("ignore_index")?;
    let label = |label: i64| match u32::try_from(label) {
        _ if Some(label) == ignored => IGNORED,
        Ok(label) if label < NO_CLASS => label,
        _ => NO_CLASS,
    };
    let labels = array.to_i64().ok_or_else(|| call.node.wrong(format_args!("expected labels, got {array}")))?;
    call.graph().integers(labels.into_iter().map(label).collect(), array.shape())
}

/// What is reduced has no axes.
fn scalar<'g>(loss: Tensor<'g>, call: &Call<'_, '_, 'g>) -> Result<Tensor<'g>> {
    match reduction(call)? {
        Reduction::None => Ok(loss),
        _ => loss.reshape(Shape::default()),
    }
}
