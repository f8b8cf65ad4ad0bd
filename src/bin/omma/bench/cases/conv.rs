//! The convolutions of well-known networks, and products of square matrices, which the same kernels compute.

use omma::{Conv2d, DeviceClass, Init, Result, Tensor};

use super::slices::{Direction, Slices};
use super::{Case, Check, What};
use omma::reference::conv2d::Geometry;

/// A layer: name, channels in and out, side of the image, kernel, stride, groups, batches on a software adapter; a GPU has
/// both. `benches/peers` times the same ones.
struct Layer(&'static str, [usize; 2], usize, usize, usize, usize, &'static [usize]);

const BOTH: &[usize] = &[1, 8];
const ONE: &[usize] = &[1];

const LAYERS: &[Layer] = &[
    Layer("resnet 3x3", [64, 64], 56, 3, 1, 1, BOTH),
    Layer("resnet 3x3", [128, 128], 28, 3, 1, 1, BOTH),
    Layer("resnet 3x3", [256, 256], 14, 3, 1, 1, BOTH),
    Layer("resnet 3x3", [512, 512], 7, 3, 1, 1, BOTH),
    Layer("resnet 1x1", [64, 256], 56, 1, 1, 1, BOTH),
    Layer("resnet 1x1", [256, 64], 56, 1, 1, 1, BOTH),
    Layer("resnet 1x1", [512, 128], 28, 1, 1, 1, BOTH),
    Layer("resnet 3x3/2", [64, 128], 56, 3, 2, 1, ONE),
    Layer("resnet 1x1/2", [64, 128], 56, 1, 2, 1, ONE),
    Layer("resnet stem 7x7/2", [3, 64], 224, 7, 2, 1, BOTH),
    Layer("vgg 3x3", [64, 64], 224, 3, 1, 1, ONE),
    Layer("vgg 3x3", [128, 128], 112, 3, 1, 1, ONE),
    Layer("vgg 3x3", [256, 256], 56, 3, 1, 1, ONE),
    Layer("vgg 3x3", [512, 512], 28, 3, 1, 1, ONE),
    Layer("mobilenet depthwise 3x3", [32, 32], 112, 3, 1, 32, BOTH),
    Layer("mobilenet depthwise 3x3/2", [64, 64], 112, 3, 2, 64, BOTH),
    Layer("mobilenet depthwise 3x3", [512, 512], 14, 3, 1, 512, ONE),
    Layer("resnext 3x3", [128, 128], 56, 3, 1, 32, ONE),
    Layer("mobilenet 1x1", [32, 64], 112, 1, 1, 1, BOTH),
    Layer("mobilenet 1x1", [512, 512], 14, 1, 1, 1, ONE),
];

/// Sides of the matrices that keep a device busy and are multiplied in single precision, and in half.
const PRODUCTS_ON_SOFTWARE: [&[usize]; 2] = [&[512], &[]];
const PRODUCTS_ON_GPUS: [&[usize]; 2] = [&[1024, 4096], &[8192]];

impl Layer {
    /// Padded so that a stride of 1 keeps the image's size.
    fn geometry(&self, batch: usize) -> Geometry {
        let Self(_, [in_channels, out_channels], side, kernel, stride, groups, _) = *self;
        Geometry {
            batch,
            in_channels,
            in_height: side,
            in_width: side,
            out_channels,
            groups,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [kernel / 2; 4],
            dilation: [1; 2],
        }
    }

    fn settings(&self) -> Conv2d {
        let Self(_, [_, out_channels], _, kernel, stride, groups, _) = *self;
        Conv2d::new(out_channels, kernel).stride(stride).padding(kernel / 2).groups(groups)
    }
}

pub(super) fn cases(class: DeviceClass) -> Vec<Case> {
    let software = class == DeviceClass::Cpu;
    let directions = [Direction::Forward, Direction::GradInput, Direction::GradWeight];
    let batches = |layer: &'static Layer| if software { layer.6 } else { BOTH };
    let layers = LAYERS.iter().flat_map(|layer| batches(layer).iter().map(move |&batch| (layer, batch)));
    let layers = layers.flat_map(|(layer, batch)| directions.map(|direction| case(layer, batch, direction)));
    let [single, half] = if software { PRODUCTS_ON_SOFTWARE } else { PRODUCTS_ON_GPUS };
    let products = single.iter().map(|&side| product(side, false)).chain(half.iter().map(|&side| product(side, true)));
    layers.chain(products).collect()
}

/// A product of square matrices, of this side each: for the check a 1x1 convolution of an image of one row.
fn product(side: usize, half: bool) -> Case {
    let geometry = Geometry {
        batch: 1,
        in_channels: side,
        in_height: 1,
        in_width: side,
        out_channels: side,
        groups: 1,
        kernel: [1; 2],
        stride: [1; 2],
        padding: [0; 4],
        dilation: [1; 2],
    };
    let name = if half { "matmul f16" } else { "matmul" };
    let what = What::Nodes { prefix: "", bytes: 4 * 3 * (side * side) as u64 };
    let direction = Direction::Forward;
    let mut case = Case::new(name, format!("{:?}", [side; 3]), direction.name(), what, move |graph| {
        let filters = graph.parameter("conv.weight", [side; 2], Init::HeNormal)?;
        Ok(vec![filters.matmul(graph.parameter("x", [side; 2], Init::HeNormal)?)?])
    });
    case.half = half;
    case.check = Check::Slices(Slices { geometry, direction });
    case
}

/// Forward is timed as it stands in a network, with bias and ReLU. Of a gradient's graph nothing but the gradient is
/// needed, so nothing else is in its plan.
fn case(layer: &'static Layer, batch: usize, direction: Direction) -> Case {
    let g = layer.geometry(batch);
    let [oh, ow] = g.out_size();
    let x = [batch, g.in_channels, g.in_height, g.in_width];
    let y = [batch, g.out_channels, oh, ow];
    let weight = [g.out_channels, g.in_channels / g.groups, g.kernel[0], g.kernel[1]];
    let elements: usize = [x, y, weight].iter().map(|shape| shape.iter().product::<usize>()).sum();
    let what = What::Nodes { prefix: "", bytes: 4 * elements as u64 };
    let shape = format!("{x:?} to {} channels", g.out_channels);
    let settings = layer.settings();
    let mut case = Case::new(layer.0, shape, direction.name(), what, move |graph| {
        let x = graph.parameter("x", x, Init::HeNormal)?;
        if direction == Direction::Forward {
            return Ok(vec![x.conv2d("conv", settings)?.relu()?]);
        }
        let weight = graph.parameter("conv.weight", weight, Init::HeNormal)?;
        let dy = graph.parameter("dy", y, Init::HeNormal)?;
        let y = x.conv2d_with(weight, None, settings)?;
        let target = if direction == Direction::GradInput { x } else { weight };
        Ok(gradient(y, dy, target)?.into_iter().collect())
    });
    case.check = Check::Slices(Slices { geometry: g, direction });
    case
}

/// The gradient of `y` with respect to `target` where that of the loss with respect to `y` is `dy`.
pub(super) fn gradient<'g>(y: Tensor<'g>, dy: Tensor<'g>, target: Tensor<'g>) -> Result<Option<Tensor<'g>>> {
    Ok(y.graph().gradients_of(&[(y, dy)], &[target])?.remove(0))
}
