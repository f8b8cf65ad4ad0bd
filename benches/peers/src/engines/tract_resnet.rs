//! ResNet-18 as tract's operations, wired as tract's reader of ONNX files would.

use tract_core::internal::*;
use tract_core::ops::cnn::MaxPool;
use tract_core::ops::einsum::EinSum;
use tract_core::ops::math;
use tract_core::ops::nn::{Reduce, Reducer};

use super::tract::{Window, conv, parameter, relu, source};

/// Batch norm's default.
const EPSILON: f32 = 1e-5;

/// From images to logits.
pub(super) fn model(images: [usize; 4], classes: usize) -> TractResult<TypedModel> {
    let mut model = TypedModel::default();
    let net = &mut model;
    let mut x = source(net, "images", images)?;
    let stem = Window { kernel: 7, stride: 2, padding: 3 };
    x = normalized(net, x, ["conv1", "bn1"], stem, [3, 64])?;
    x = relu(net, x, "relu")?;
    let pool = Window { kernel: 3, stride: 2, padding: 1 };
    x = net.wire_node("maxpool", MaxPool { pool_spec: pool.over([64, 64]), with_index_outputs: None }, &[x])?[0];
    let mut inputs = 64;
    for (stage, outputs) in (1..).zip([64, 128, 256, 512]) {
        for number in 0..2 {
            let stride = if number == 0 && stage > 1 { 2 } else { 1 };
            x = block(net, x, &format!("layer{stage}.{number}"), [inputs, outputs], stride)?;
            inputs = outputs;
        }
    }
    let logits = head(net, x, inputs, classes)?;
    model.select_output_outlets(&[logits])?;
    Ok(model)
}

/// A convolution without bias and the batch norm behind it, whose scale, mean and variance are 1, 0 and 1.
fn normalized(
    net: &mut TypedModel,
    x: OutletId,
    [name, norm]: [&str; 2],
    window: Window,
    channels: [usize; 2],
) -> TractResult<OutletId> {
    let y = conv(net, x, name, window, channels, 1, false)?;
    let shape = [1, channels[1], 1, 1];
    let slope = vec![1.0 / (1.0 + EPSILON).sqrt(); channels[1]];
    let slope = net.add_const(format!("{norm}.slope"), Tensor::from_shape(&shape, &slope)?)?;
    let shift = crate::data::parameter(&format!("{norm}.bias"), &[channels[1]]).unwrap_or_default();
    let shift = net.add_const(format!("{norm}.shift"), Tensor::from_shape(&shape, &shift)?)?;
    let y = net.wire_node(format!("{norm}.mul"), math::mul(), &[slope, y])?[0];
    Ok(net.wire_node(format!("{norm}.add"), math::add(), &[shift, y])?[0])
}

fn block(net: &mut TypedModel, x: OutletId, name: &str, channels: [usize; 2], stride: usize) -> TractResult<OutletId> {
    let [inputs, outputs] = channels;
    let part = |part: &str| format!("{name}.{part}");
    let first = Window { kernel: 3, stride, padding: 1 };
    let y = normalized(net, x, [&part("conv1"), &part("bn1")], first, channels)?;
    let y = relu(net, y, &part("relu1"))?;
    let second = Window { kernel: 3, stride: 1, padding: 1 };
    let y = normalized(net, y, [&part("conv2"), &part("bn2")], second, [outputs; 2])?;
    let skip = match stride == 1 && inputs == outputs {
        true => x,
        false => {
            let window = Window { kernel: 1, stride, padding: 0 };
            normalized(net, x, [&part("downsample.0"), &part("downsample.1")], window, channels)?
        }
    };
    let sum = net.wire_node(part("add"), math::add(), &[y, skip])?[0];
    relu(net, sum, &part("relu2"))
}

/// The mean over the image and a dense layer.
fn head(net: &mut TypedModel, x: OutletId, inputs: usize, classes: usize) -> TractResult<OutletId> {
    let area = net.outlet_fact(x)?.shape.as_concrete().map_or(1, |shape| shape[2] * shape[3]);
    let sum = net.wire_node("pool.sum", Reduce { axes: tvec!(2, 3), reducer: Reducer::Sum }, &[x])?[0];
    let share = net.add_const("pool.share", Tensor::from_shape(&[1; 4], &[1.0 / area as f32])?)?;
    let mean = net.wire_node("pool.mean", math::mul(), &[sum, share])?[0];
    let weight = parameter(net, "fc.weight", &[classes, inputs])?;
    let product = EinSum::new("nchw,kc->nk".parse()?, f32::datum_type());
    let product = net.wire_node("fc.product", product, &[mean, weight])?[0];
    let bias = crate::data::parameter("fc.bias", &[classes]).unwrap_or_default();
    let bias = net.add_const("fc.shift", Tensor::from_shape(&[1, classes], &bias)?)?;
    Ok(net.wire_node("fc", math::add(), &[product, bias])?[0])
}
