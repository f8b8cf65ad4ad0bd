//! Batch normalisations that become part of the convolution before them.
//!
//! A convolution and y = factor·x + term, factor = scale/√(variance + epsilon) and term = bias - mean·factor for each of its
//! outputs, are a convolution with weights factor·w and the bias factor·b + term. That is computed here, once, in f64, where
//! all of it is known, nothing else needs what lies between, and the graph is no training's: there weights, scale and bias
//! are learned each by themselves.

use std::collections::HashMap;
use std::sync::Arc;

use super::Array;
use super::names::read;
use super::node::Node;
use super::ops::normalization::is_affine;
use super::proto::NodeProto;
use super::value::{Constant, Value};
use crate::error::Result;

/// The normalisations that follow a convolution and are all that needs its result, by the name of that.
pub(super) fn pairs<'p>(nodes: &'p [NodeProto], wanted: &'p [String]) -> HashMap<&'p str, &'p NodeProto> {
    let own = |node: &NodeProto, operator: &str| {
        node.op_type == operator && matches!(node.domain.as_str(), "" | "ai.onnx") && node.output.len() == 1
    };
    let first = |node: &'p NodeProto| node.output.first().map(String::as_str);
    let convolutions = nodes.iter().filter(|node| own(node, "Conv")).filter_map(first).map(|name| (name, 0));
    let mut uses: HashMap<&str, usize> = convolutions.collect();
    let mut used = |name: &'p str| {
        if let Some(count) = uses.get_mut(name) {
            *count += 1;
        }
    };
    nodes.iter().for_each(|node| read(node, &mut used));
    wanted.iter().for_each(|name| used(name));
    let normalised =
        |node: &'p NodeProto| Some((node.input.first()?.as_str(), node)).filter(|_| own(node, "BatchNormalization"));
    nodes.iter().filter_map(normalised).filter(|(name, _)| uses.get(name) == Some(&1)).collect()
}

/// The inputs of a convolution that has a normalisation by these in it; none where something is not known, or too large.
pub(super) fn folded<'g>(
    inputs: &[Option<Value<'g>>],
    norm: &Node,
    by: &[Option<Value<'g>>],
) -> Result<Option<Vec<Option<Value<'g>>>>> {
    let (Some(Some(x)), Some((weight, name)), true) = (inputs.first(), floats(inputs, 1), is_affine(norm)?) else {
        return Ok(None);
    };
    let outputs = weight.shape()[0];
    let epsilon = f64::from(norm.float("epsilon")?.unwrap_or(1e-5));
    let by = [1, 2, 3, 4].map(|index| floats(by, index).filter(|(array, _)| array.shape() == [outputs]));
    let [Some((scale, _)), Some((shift, shift_name)), Some((mean, _)), Some((variance, _))] = by else {
        return Ok(None);
    };
    let bias = match inputs.get(2) {
        None | Some(None) => None,
        Some(_) => match floats(inputs, 2) {
            Some((bias, _)) if bias.shape() == [outputs] => Some(bias),
            _ => return Ok(None),
        },
    };
    let factor = |index: usize| f64::from(scale[index]) / (f64::from(variance[index]) + epsilon).sqrt();
    let term = |index: usize| {
        let bias = bias.map_or(0.0, |bias| f64::from(bias[index]));
        f64::from(shift[index]) + (bias - f64::from(mean[index])) * factor(index)
    };
    let each = (weight.len() / outputs.max(1)).max(1);
    let factors: Vec<f64> = (0..outputs).map(factor).collect();
    let by_factor = |(index, &value): (usize, &f32)| (f64::from(value) * factors[index / each]) as f32;
    let weights: Vec<f32> = weight.iter().enumerate().map(by_factor).collect();
    let terms: Vec<f32> = (0..outputs).map(|index| term(index) as f32).collect();
    if weights.iter().chain(&terms).any(|value| !value.is_finite()) {
        return Ok(None);
    }
    // Under names of their own: a checkpoint has other values for those of the file.
    let known = |array: Array, name: Option<&str>| {
        let initializer = name.map(|name| format!("{name}.folded").into());
        Some(Value::Known(Constant { array: Arc::new(array), initializer }))
    };
    let weights = known(Array::new(weight.shape(), weights)?, name);
    Ok(Some(vec![Some(x.clone()), weights, known(Array::new(&[outputs], terms)?, shift_name)]))
}

/// The floats of an input that are known, and their name where the file gives them one.
fn floats<'v>(inputs: &'v [Option<Value<'_>>], index: usize) -> Option<(&'v ndarray::ArrayD<f32>, Option<&'v str>)> {
    match inputs.get(index)?.as_ref()? {
        Value::Known(Constant { array, initializer }) => match array.as_ref() {
            Array::F32(array) if array.ndim() > 0 => Some((array, initializer.as_deref())),
            _ => None,
        },
        _ => None,
    }
}
