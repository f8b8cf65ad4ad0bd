//! Networks made of the graph's operations, one file a family.
//!
//! Where torchvision has a network, parameters carry torchvision's names, so that its safetensors load by name. Images of
//! any size that the network's strides can take will do, and any number of classes. Files with the auxiliary classifiers that
//! only training needs, as torchvision's of GoogLeNet (`aux1.`, `aux2.`) and Inception v3 (`AuxLogits.`), load into networks
//! without them by [`Variables::load_matching`](crate::Variables::load_matching).
//!
//! Images are what the weights were trained on: torchvision subtracts the mean (0.485, 0.456, 0.406) of the colours and divides
//! by the deviation (0.229, 0.224, 0.225). Its pretrained GoogLeNet and Inception v3 set `transform_input`, which brings such
//! images to the range from -1 to 1 that their weights know; here that is the caller's: give them (x - 0.5) / 0.5 instead.

mod alexnet;
mod blocks;
mod densenet;
mod efficientnet;
mod googlenet;
mod inception_v3;
mod lenet5;
mod m5;
mod mobilenet_v1;
mod mobilenet_v2;
mod mobilenet_v3;
mod resnet;
mod shufflenet;
mod squeezenet;
mod text_cnn;
mod unet;
mod vgg;
mod zfnet;

pub use alexnet::{alexnet, alexnet_2012};
pub use densenet::DenseNet;
pub use efficientnet::efficientnet_b0;
pub use googlenet::GoogLeNet;
pub use inception_v3::InceptionV3;
pub use lenet5::lenet5;
pub use m5::m5;
pub use mobilenet_v1::mobilenet_v1;
pub use mobilenet_v2::mobilenet_v2;
pub use mobilenet_v3::MobileNetV3;
pub use resnet::ResNet;
pub use shufflenet::{ShuffleNetV1, shufflenet_v2};
pub use squeezenet::SqueezeNet;
pub use text_cnn::TextCnn;
pub use unet::UNet;
pub use vgg::Vgg;
pub use zfnet::zfnet;

use crate::error::{Error, Result};
use crate::graph::{Graph, Tensor, TensorType};
use crate::ops::batch_norm::BatchNorm;
use crate::ops::conv2d::Conv2d;

/// What one example of a network's input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input {
    /// f32 `[channels, height, width]`.
    Image {
        /// Colours.
        channels: usize,
        /// Height and width.
        size: [usize; 2],
    },
    /// f32 `[1, samples]`.
    Sound {
        /// Its length.
        samples: usize,
    },
    /// u32 `[words]`: numbers of a vocabulary.
    Text {
        /// Its length.
        words: usize,
    },
}

impl Input {
    /// The type of a batch of so many.
    pub fn batch(self, batch: usize) -> TensorType {
        match self {
            Self::Image { channels, size: [height, width] } => TensorType::f32([batch, channels, height, width]),
            Self::Sound { samples } => TensorType::f32([batch, 1, samples]),
            Self::Text { words } => TensorType::u32([batch, words]),
        }
    }
}

/// A network that can be asked for by name.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    /// Its name on the command line.
    pub name: &'static str,
    /// What its paper feeds it.
    pub input: Input,
    /// How many classes its paper tells apart.
    pub classes: usize,
    /// From the input and the number of classes to logits: `[N, classes]`, or `[N, classes, H, W]` of a segmentation.
    pub build: for<'g> fn(Tensor<'g>, usize) -> Result<Tensor<'g>>,
}

impl Model {
    /// The model of this name.
    ///
    /// # Errors
    /// When there is none: the message lists them.
    pub fn named(name: &str) -> Result<Self> {
        MODELS.iter().copied().find(|model| model.name == name).ok_or_else(|| {
            let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
            Error::argument("model", format!("there is no `{name}`; there are {}", names.join(", ")))
        })
    }

    /// Adds an input of `batch` examples to the graph, under the name `input`, and the network; returns its logits.
    ///
    /// # Errors
    /// When the graph already has an input or layers of these names.
    pub fn add_to<'g>(&self, graph: &'g Graph, batch: usize, classes: usize) -> Result<Tensor<'g>> {
        (self.build)(graph.input_of("input", self.input.batch(batch))?, classes)
    }
}

const fn image(name: &'static str, size: usize, build: for<'g> fn(Tensor<'g>, usize) -> Result<Tensor<'g>>) -> Model {
    Model { name, input: Input::Image { channels: 3, size: [size, size] }, classes: 1000, build }
}

/// Every model.
pub const MODELS: &[Model] = &[
    Model { name: "lenet5", input: Input::Image { channels: 1, size: [28, 28] }, classes: 10, build: lenet5 },
    image("alexnet", 224, alexnet),
    image("alexnet_2012", 227, alexnet_2012),
    image("zfnet", 224, zfnet),
    image("vgg11", 224, |x, classes| Vgg::new(11)?.build(x, classes)),
    image("vgg13", 224, |x, classes| Vgg::new(13)?.build(x, classes)),
    image("vgg16", 224, |x, classes| Vgg::new(16)?.build(x, classes)),
    image("vgg19", 224, |x, classes| Vgg::new(19)?.build(x, classes)),
    image("vgg11_bn", 224, |x, classes| Vgg::new(11)?.batch_norm().build(x, classes)),
    image("vgg13_bn", 224, |x, classes| Vgg::new(13)?.batch_norm().build(x, classes)),
    image("vgg16_bn", 224, |x, classes| Vgg::new(16)?.batch_norm().build(x, classes)),
    image("vgg19_bn", 224, |x, classes| Vgg::new(19)?.batch_norm().build(x, classes)),
    image("googlenet", 224, |x, classes| GoogLeNet.build(x, classes)),
    image("inception_v3", 299, |x, classes| InceptionV3.build(x, classes)),
    image("resnet18", 224, |x, classes| ResNet::new(18)?.build(x, classes)),
    image("resnet34", 224, |x, classes| ResNet::new(34)?.build(x, classes)),
    image("resnet50", 224, |x, classes| ResNet::new(50)?.build(x, classes)),
    image("resnet101", 224, |x, classes| ResNet::new(101)?.build(x, classes)),
    image("resnet152", 224, |x, classes| ResNet::new(152)?.build(x, classes)),
    image("resnext50_32x4d", 224, |x, classes| ResNet::resnext50().build(x, classes)),
    image("densenet121", 224, |x, classes| DenseNet::new(121)?.build(x, classes)),
    image("squeezenet1_0", 224, |x, classes| SqueezeNet::V1_0.build(x, classes)),
    image("squeezenet1_1", 224, |x, classes| SqueezeNet::V1_1.build(x, classes)),
    image("mobilenet_v1", 224, mobilenet_v1),
    image("mobilenet_v2", 224, mobilenet_v2),
    image("mobilenet_v3_small", 224, |x, classes| MobileNetV3::Small.build(x, classes)),
    image("mobilenet_v3_large", 224, |x, classes| MobileNetV3::Large.build(x, classes)),
    image("shufflenet_v1", 224, |x, classes| ShuffleNetV1::new(3)?.build(x, classes)),
    image("shufflenet_v2", 224, shufflenet_v2),
    image("efficientnet_b0", 224, efficientnet_b0),
    Model {
        name: "unet",
        input: Input::Image { channels: 1, size: [512, 512] },
        classes: 2,
        build: |x, classes| UNet::default().build(x, classes),
    },
    Model { name: "m5", input: Input::Sound { samples: 32_000 }, classes: 10, build: m5 },
    Model {
        name: "text_cnn",
        input: Input::Text { words: 56 },
        classes: 2,
        build: |words, classes| TextCnn::new(TextCnn::MOVIE_REVIEWS).build(words, classes),
    },
];

/// A convolution without bias and the batch norm behind it.
fn normalized<'g>(
    x: Tensor<'g>,
    convolution: &str,
    norm: &str,
    settings: Conv2d,
    batch_norm: BatchNorm,
) -> Result<Tensor<'g>> {
    x.conv2d(convolution, settings.without_bias())?.batch_norm(norm, batch_norm)
}

/// The images' channels.
fn channels(x: Tensor<'_>) -> Result<usize> {
    crate::ops::image("model", &x.ty()).map(|[_, channels, _, _]| channels)
}
