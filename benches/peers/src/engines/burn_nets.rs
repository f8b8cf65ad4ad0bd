//! The networks of burn's modules, with the layers of `omma::models` in the same order. Parameters get their values by the names
//! that Omma gives them.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::prelude::*;
use burn::tensor::TensorData;
use burn::tensor::activation::relu;
use burn::tensor::module::{adaptive_avg_pool2d, max_pool2d};
use burn::tensor::ops::MaxPoolOptions;

use crate::data;

/// A network from images to logits.
pub(crate) trait Classifier: Module {
    fn new(classes: usize, device: &Device) -> Self;

    fn forward(&self, images: Tensor<4>) -> Tensor<2>;
}

/// A parameter's values, zeros where the engines start with their own.
pub(super) fn parameter<const D: usize>(name: &str, shape: [usize; D], device: &Device) -> Tensor<D> {
    let values = data::parameter(name, &shape).unwrap_or_else(|| vec![0.0; shape.iter().product()]);
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// A convolution: channels in and out, kernel, stride, padding.
struct Layer([usize; 2], usize, usize, usize);

impl Layer {
    fn init(self, name: &str, bias: bool, device: &Device) -> Conv2d {
        let Self(channels, kernel, stride, padding) = self;
        let config = Conv2dConfig::new(channels, [kernel; 2])
            .with_stride([stride; 2])
            .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
            .with_bias(bias);
        let mut layer = config.init(device);
        let [inputs, outputs] = channels;
        let weight = parameter(&format!("{name}.weight"), [outputs, inputs, kernel, kernel], device);
        layer.weight = Param::from_tensor(weight);
        layer.bias = bias.then(|| Param::from_tensor(parameter(&format!("{name}.bias"), [outputs], device)));
        layer
    }
}

/// burn keeps the weight as `[inputs, outputs]`.
fn linear(name: &str, inputs: usize, outputs: usize, device: &Device) -> Linear {
    let mut layer = LinearConfig::new(inputs, outputs).init(device);
    let rows = data::parameter(&format!("{name}.weight"), &[outputs, inputs]).unwrap_or_default();
    let columns = (0..inputs * outputs).map(|index| rows[index % outputs * inputs + index / outputs]).collect();
    let weight = Tensor::from_data(TensorData::new::<f32, _>(columns, [inputs, outputs]), device);
    layer.weight = Param::from_tensor(weight);
    layer.bias = Some(Param::from_tensor(parameter(&format!("{name}.bias"), [outputs], device)));
    layer
}

#[derive(Module, Debug)]
pub(crate) struct LeNet5 {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl Classifier for LeNet5 {
    fn new(classes: usize, device: &Device) -> Self {
        Self {
            conv1: Layer([1, 6], 5, 1, 2).init("conv1", true, device),
            conv2: Layer([6, 16], 5, 1, 0).init("conv2", true, device),
            fc1: linear("fc1", 400, 120, device),
            fc2: linear("fc2", 120, 84, device),
            fc3: linear("fc3", 84, classes, device),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = relu(max_pool2d(self.conv1.forward(images), MaxPoolOptions::new([2, 2])));
        let x = relu(max_pool2d(self.conv2.forward(x), MaxPoolOptions::new([2, 2])));
        let x = relu(self.fc1.forward::<2>(x.flatten(1, 3)));
        self.fc3.forward(relu(self.fc2.forward(x)))
    }
}

/// A convolution without bias and the batch norm behind it.
#[derive(Module, Debug)]
struct Normalized {
    conv: Conv2d,
    norm: BatchNorm,
}

impl Normalized {
    fn new(layer: Layer, conv: &str, norm: &str, device: &Device) -> Self {
        let outputs = layer.0[1];
        let conv = layer.init(conv, false, device);
        let mut normalization = BatchNormConfig::new(outputs).init(device);
        normalization.beta = Param::from_tensor(parameter(&format!("{norm}.bias"), [outputs], device));
        Self { conv, norm: normalization }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward(self.conv.forward(x))
    }
}

#[derive(Module, Debug)]
struct Block {
    first: Normalized,
    second: Normalized,
    downsample: Option<Normalized>,
}

impl Block {
    fn new(name: &str, inputs: usize, outputs: usize, stride: usize, device: &Device) -> Self {
        let part = |layer: Layer, number: usize| {
            Normalized::new(layer, &format!("{name}.conv{number}"), &format!("{name}.bn{number}"), device)
        };
        let downsample = (stride != 1 || inputs != outputs).then(|| {
            let layer = Layer([inputs, outputs], 1, stride, 0);
            Normalized::new(layer, &format!("{name}.downsample.0"), &format!("{name}.downsample.1"), device)
        });
        Self {
            first: part(Layer([inputs, outputs], 3, stride, 1), 1),
            second: part(Layer([outputs, outputs], 3, 1, 1), 2),
            downsample,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.second.forward(relu(self.first.forward(x.clone())));
        let skip = match &self.downsample {
            Some(downsample) => downsample.forward(x),
            None => x,
        };
        relu(y + skip)
    }
}

#[derive(Module, Debug)]
pub(crate) struct ResNet18 {
    stem: Normalized,
    blocks: Vec<Block>,
    fc: Linear,
}

impl Classifier for ResNet18 {
    fn new(classes: usize, device: &Device) -> Self {
        let mut blocks = Vec::new();
        let mut inputs = 64;
        for (stage, outputs) in (1..).zip([64, 128, 256, 512]) {
            for block in 0..2 {
                let stride = if block == 0 && stage > 1 { 2 } else { 1 };
                blocks.push(Block::new(&format!("layer{stage}.{block}"), inputs, outputs, stride, device));
                inputs = outputs;
            }
        }
        Self {
            stem: Normalized::new(Layer([3, 64], 7, 2, 3), "conv1", "bn1", device),
            blocks,
            fc: linear("fc", inputs, classes, device),
        }
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let pool = MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]);
        let x = max_pool2d(relu(self.stem.forward(images)), pool);
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        self.fc.forward(adaptive_avg_pool2d(x, [1, 1]).flatten(1, 3))
    }
}
