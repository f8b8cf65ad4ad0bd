//! Normalisation by the statistics of a batch, of an example, of neighbouring channels.

use super::{Call, Operator, one};
use crate::Axes;
use crate::error::Result;
use crate::graph::{Mode, Tensor};
use crate::onnx::Array;
use crate::onnx::node::Node;
use crate::onnx::value::Value;

pub(super) const OPERATORS: &[Operator] = &[
    ("BatchNormalization", batch),
    ("GroupNormalization", |call| {
        let (x, shape) = (call.tensor(0)?, call.tensor(0)?.shape());
        let groups = call.node.required("num_groups", call.node.int("num_groups")?)?;
        let [n, channels, rest @ ..] = &shape[..] else {
            return Err(call.node.wrong(format_args!("expected [N, C, ...], got {shape}")));
        };
        let groups = usize::try_from(groups).ok().filter(|&groups| groups > 0 && channels.is_multiple_of(groups));
        let groups = groups.ok_or_else(|| call.node.wrong(format_args!("groups that do not divide {channels}")))?;
        let y = unit(x, n * groups, epsilon(call)?)?;
        // Factors and terms were those of groups at first, and are those of channels since.
        let (view, own) = match call.node.opset < 21 {
            true => (vec![*n, groups, channels / groups * rest.iter().product::<usize>()], vec![groups, 1]),
            false => (shape.to_vec(), [&[*channels][..], &vec![1; rest.len()]].concat()),
        };
        let [scale, bias] = [call.tensor(1)?.reshape(own.clone())?, call.tensor(2)?.reshape(own)?];
        one(y.reshape(view)?.multiply(scale)?.add(bias)?.reshape(shape)?)
    }),
    ("InstanceNormalization", |call| {
        let (x, shape) = (call.tensor(0)?, call.tensor(0)?.shape());
        let [n, channels, rest @ ..] = &shape[..] else {
            return Err(call.node.wrong(format_args!("expected [N, C, ...], got {shape}")));
        };
        let y = unit(x, n * channels, epsilon(call)?)?;
        let own = [&[*channels][..], &vec![1; rest.len()]].concat();
        one(y.multiply(call.tensor(1)?.reshape(own.clone())?)?.add(call.tensor(2)?.reshape(own)?)?)
    }),
    ("LRN", |call| {
        let size = call.node.required("size", call.node.int("size")?)?;
        let size = usize::try_from(size).ok().filter(|&size| size > 0);
        let size = size.ok_or_else(|| call.node.wrong("attribute `size`: expected at least 1"))?;
        let (alpha, beta) = (call.node.number("alpha", 1e-4)?, call.node.number("beta", 0.75)?);
        let bias = call.node.number("bias", 1.0)?;
        if [alpha, beta, bias].iter().any(|&value| value <= 0.0) {
            return Err(call
                .node
                .unsupported(format_args!("alpha {alpha}, beta {beta}, bias {bias}: not all positive")));
        }
        one(call.tensor(0)?.local_response_norm(size, alpha, beta, bias)?)
    }),
    ("LayerNormalization", layer),
    ("LpNormalization", |call| {
        let x = call.tensor(0)?;
        let axis = call.node.axis(call.node.int("axis")?.unwrap_or(-1), x.shape().len())?;
        let norm = match call.node.int("p")?.unwrap_or(2) {
            1 => x.l1_norm(Axes::from(axis).keep())?,
            2 => x.l2_norm(Axes::from(axis).keep())?,
            p => return Err(call.node.wrong(format_args!("attribute `p`: {p}"))),
        };
        // Zeros alone give not-a-number, as ONNX's own test has it; onnxruntime leaves them zeros.
        one(x.divide(norm)?)
    }),
    ("MeanVarianceNormalization", |call| {
        let x = call.tensor(0)?;
        let rank = x.shape().len();
        // Before operator set 9 the axes are those of an example, with its channels or without.
        let axes = match call.node.opset {
            ..9 => (if call.node.flag("across_channels", false)? { 1 } else { 2 }..rank).collect(),
            _ => call.node.axes(call.node.ints("axes")?.unwrap_or(&[0, 2, 3]), rank)?,
        };
        let axes = Axes::from(axes.as_slice()).keep();
        let centred = x.subtract(x.mean(axes.clone())?)?;
        if call.node.opset < 9 && !call.node.flag("normalize_variance", true)? {
            return one(centred);
        }
        one(centred.divide(centred.square()?.mean(axes)?.sqrt()?.add(1e-9)?)?)
    }),
    ("RMSNormalization", |call| {
        let (x, shape) = (call.tensor(0)?, call.tensor(0)?.shape());
        let axis = call.node.axis(call.node.int("axis")?.unwrap_or(-1), shape.len())?;
        let [rows, elements] = [shape[..axis].iter().product(), shape[axis..].iter().product::<usize>()];
        // Rows are the channels of one example, so that their factors need not be written out.
        let x = x.reshape([1, rows, elements])?;
        let squares = x.square()?.mean(2)?.reshape([rows, 1])?;
        let y = x.multiply(squares.add(epsilon(call)?)?.sqrt()?.reciprocal()?)?.reshape(shape)?;
        let scale = call.tensor(1)?;
        one(broadcast(call, y, scale, Tensor::multiply)?)
    }),
];

fn epsilon(call: &Call<'_, '_, '_>) -> Result<f32> {
    match call.node.number("epsilon", 1e-5)? {
        epsilon if epsilon >= 0.0 => Ok(epsilon),
        epsilon => Err(call.node.wrong(format_args!("attribute `epsilon`: {epsilon}"))),
    }
}

/// So many equal parts, one behind the other, each brought to mean 0 and variance 1.
fn unit(x: Tensor<'_>, rows: usize, epsilon: f32) -> Result<Tensor<'_>> {
    let shape = x.shape();
    match shape.elements() / rows.max(1) {
        // A single element is its own mean.
        1 => x.subtract(x),
        elements => x.reshape([1, rows, elements])?.standardized(epsilon)?.reshape(shape),
    }
}

/// Arithmetic with a tensor that has to broadcast to `x`.
fn broadcast<'g>(
    call: &Call<'_, '_, 'g>,
    x: Tensor<'g>,
    other: Tensor<'g>,
    compute: fn(Tensor<'g>, Tensor<'g>) -> Result<Tensor<'g>>,
) -> Result<Tensor<'g>> {
    let y = compute(x, other)?;
    match y.shape() == x.shape() {
        true => Ok(y),
        false => Err(call.node.wrong(format_args!("{} does not broadcast to {}", other.shape(), x.shape()))),
    }
}

/// By the statistics of each example's last axes; these, [..., 1, ...], are the second and third output.
fn layer<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let (x, shape) = (call.tensor(0)?, call.tensor(0)?.shape());
    let axis = call.node.axis(call.node.int("axis")?.unwrap_or(-1), shape.len())?;
    let epsilon = epsilon(call)?;
    let (scale, bias) = (call.tensor(1)?, call.optional(2)?);
    let y = unit(x, shape[..axis].iter().product(), epsilon)?;
    let y = broadcast(call, y, scale, |y, scale| y.multiply(scale))?;
    let y = match bias {
        Some(bias) => broadcast(call, y, bias, |y, bias| y.add(bias))?,
        None => y,
    };
    let mut outputs = vec![Value::floats(y)];
    if call.node.outputs() > 1 {
        let axes: Vec<usize> = (axis..shape.len()).collect();
        let axes = Axes::from(axes.as_slice()).keep();
        let mean = x.mean(axes.clone())?;
        let kept = [&shape[..axis], &vec![1; shape.len() - axis]].concat();
        let deviation = x.subtract(mean)?.square()?.mean(axes)?.add(epsilon)?.sqrt()?.reciprocal()?;
        outputs.extend([Value::floats(mean.reshape(kept.clone())?), Value::floats(deviation.reshape(kept)?)]);
    }
    Ok(outputs)
}

/// Whether the statistics are those of the batch: an attribute says so from operator set 14 on; before, more outputs than
/// the first do, unless `is_test` stands against it.
fn trains(node: &Node) -> Result<bool> {
    match node.opset {
        14.. => node.flag("training_mode", false),
        7.. => Ok(node.outputs() > 1),
        _ => Ok(node.outputs() > 1 && !node.flag("is_test", false)?),
    }
}

/// Whether each channel, and not each place, has statistics of its own, as could be once where `spatial` is 0.
fn is_spatial(node: &Node) -> Result<bool> {
    Ok(node.opset >= 9 || node.flag("spatial", true)?)
}

/// Whether it is a factor and a term for each channel.
pub(in crate::onnx) fn is_affine(node: &Node) -> Result<bool> {
    Ok(!trains(node)? && is_spatial(node)?)
}

fn batch<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let (x, epsilon) = (call.tensor(0)?, epsilon(call)?);
    let shape = x.shape();
    let [_, channels, rest @ ..] = &shape[..] else {
        return Err(call.node.wrong(format_args!("expected [N, C, ...], got {shape}")));
    };
    let (trains, spatial) = (trains(call.node)?, is_spatial(call.node)?);
    let own = match spatial {
        true => [&[*channels][..], &vec![1; rest.len()]].concat(),
        false => shape[1..].to_vec(),
    };
    if !trains {
        return evaluated(call, x, own, epsilon);
    }
    if !spatial {
        return Err(call.node.unsupported("statistics of each place in training"));
    }
    if shape.elements() / channels < 2 {
        return Err(call.node.unsupported("statistics of a single value"));
    }
    let [scale, bias] = [call.tensor(1)?, call.tensor(2)?];
    let [y, mean, variance] = x.normalized_by_batch([scale, bias], epsilon)?;
    let share = call.node.number("momentum", 0.9)?;
    // What was there has the share `momentum` in the outputs; the variance is the biased one.
    let running = |before: Tensor<'g>, now: Tensor<'g>| before.multiply(share)?.add(now.multiply(1.0 - share)?);
    let (before_mean, before_variance) = (call.state(3)?, call.state(4)?);
    let mut outputs = vec![y];
    if call.node.outputs() > 1 {
        outputs.extend([running(before_mean, mean)?, running(before_variance, variance)?, mean, variance]);
    }
    Ok(outputs.into_iter().map(Value::floats).collect())
}

/// By statistics that the file has: y = factor·x + term, with factor = scale/√(variance + epsilon) and
/// term = bias - mean·factor computed here, once. These are functions of single elements with a number a channel, which the
/// plan lets what computes x, as a convolution, compute before it stores its results: there is no pass for them.
///
/// In a graph that is to be trained scale and bias are parameters, so that they are not merged with the statistics.
fn evaluated<'g>(call: &mut Call<'_, '_, 'g>, x: Tensor<'g>, own: Vec<usize>, epsilon: f32) -> Result<Vec<Value<'g>>> {
    let fixed = [1, 2, 3, 4].map(|index| call.fixed(index));
    let count: usize = own.iter().product();
    if let ([Some(scale), Some(bias), Some(mean), Some(variance)], Mode::Evaluation) = (fixed, call.graph().mode()) {
        let lengths = [&scale, &bias, &mean, &variance].map(Vec::len);
        if lengths != [count; 4] {
            return Err(call.node.wrong(format_args!("expected {count} numbers for {}, got {lengths:?}", x.shape())));
        }
        let factor = |index: usize| f64::from(scale[index]) / (f64::from(variance[index]) + f64::from(epsilon)).sqrt();
        let term = |index: usize| f64::from(bias[index]) - f64::from(mean[index]) * factor(index);
        let factors = Array::new(&own, (0..count).map(|index| factor(index) as f32).collect::<Vec<f32>>())?;
        let terms = Array::new(&own, (0..count).map(|index| term(index) as f32).collect::<Vec<f32>>())?;
        return one(x.multiply(call.constant(factors)?)?.add(call.constant(terms)?)?);
    }
    let affine = [call.tensor(1)?, call.tensor(2)?];
    let statistics = [call.state(3)?, call.state(4)?];
    if own.len() == 1 || own[1..].iter().all(|&extent| extent == 1) {
        return one(x.normalized_by(statistics, affine, epsilon)?);
    }
    let [scale, bias] = [affine[0].reshape(own.clone())?, affine[1].reshape(own.clone())?];
    let [mean, variance] = [statistics[0].reshape(own.clone())?, statistics[1].reshape(own)?];
    let factor = scale.divide(variance.add(epsilon)?.sqrt()?)?;
    one(x.subtract(mean)?.multiply(factor)?.add(bias)?)
}
