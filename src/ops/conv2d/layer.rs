//! A convolution in the graph, transposed or not, along one to three axes: checks, parameters, nodes.

use super::Direction;
use super::geometry::Geometry;
use super::product::Product;
use super::settings::{Axis, Conv};
use crate::error::{Error, Result};
use crate::graph::{DType, Init, Reach, Sliding, Tensor, TensorType, with_layer};
use crate::ops::conv3d::Volume;

/// A kind of convolution.
#[derive(Debug)]
pub(in crate::ops) struct Kind {
    /// Of the operations of each [`Direction`]: that of the kind itself has its name.
    pub(in crate::ops) names: &'static [&'static str; 3],
    /// Whether it is what a convolution's gradient of its input is.
    pub(in crate::ops) transposed: bool,
}

impl Kind {
    pub(in crate::ops) fn direction(&self) -> Direction {
        if self.transposed { Direction::GradInput } else { Direction::Forward }
    }

    /// The name with that of the layer, for errors.
    fn title(&self, layer: &str) -> String {
        let name = self.names[self.direction() as usize];
        if layer.is_empty() { name.to_string() } else { format!("{name} `{layer}`") }
    }
}

/// The axes behind the first two of an image and of a weight, as messages have them.
const AXES: [[&str; 2]; 3] = [["L", "K"], ["H, W", "KH, KW"], ["D, H, W", "KD, KH, KW"]];

/// Batch and channels of an image.
fn image<const D: usize>(what: &str, ty: &TensorType) -> Result<[usize; 2]> {
    match (ty.dtype, &ty.shape[..]) {
        (DType::F32, &[batch, channels, ref sizes @ ..]) if sizes.len() == D => Ok([batch, channels]),
        _ => {
            let expected = format!("an f32 tensor of rank {} [N, C, {}]", D + 2, AXES[D - 1][0]);
            Err(Error::shape(what, expected, ty))
        }
    }
}

/// A layer with parameters of its own.
pub(in crate::ops) fn layer<'g, const D: usize>(
    x: Tensor<'g>,
    kind: &Kind,
    name: &str,
    settings: Conv<D>,
) -> Result<Tensor<'g>> {
    let graph = x.graph();
    let Conv { out_channels, groups, bias, init, .. } = settings;
    let what = kind.title(name);
    let [_, channels] = image::<D>(&what, &x.ty())?;
    if groups == 0 || channels % groups != 0 || out_channels % groups != 0 {
        let message = format!("{groups} groups do not divide {channels} and {out_channels} channels");
        return Err(Error::argument(what, message));
    }
    graph.whole(|| {
        let shape = settings.weight(channels, kind.transposed);
        let weight = graph.parameter(&format!("{name}.weight"), shape, init)?;
        let bias = match bias {
            true => Some(graph.parameter(&format!("{name}.bias"), out_channels, Init::Zeros)?),
            false => None,
        };
        convolve(x, kind, name, weight, bias, settings)
    })
}

/// A convolution with given weights.
pub(in crate::ops) fn convolve<'g, const D: usize>(
    x: Tensor<'g>,
    kind: &Kind,
    name: &str,
    weight: Tensor<'g>,
    bias: Option<Tensor<'g>>,
    settings: Conv<D>,
) -> Result<Tensor<'g>> {
    let (what, groups) = (kind.title(name), settings.groups);
    let [batch, channels] = image::<D>(&what, &x.ty())?;
    let ty = weight.ty();
    let refused = || {
        let taps = AXES[D - 1][1];
        let expected = match kind.transposed {
            true => format!("a weight [{channels}, O/{groups}, {taps}] with {channels} divisible by {groups}"),
            false => format!("a weight [O, {channels}/{groups}, {taps}] with O divisible by {groups}"),
        };
        Error::shape(&what, expected, &ty)
    };
    let (DType::F32, &[from, to, ref kernel @ ..]) = (ty.dtype, &ty.shape[..]) else { return Err(refused()) };
    let kernel: [usize; D] = kernel.try_into().map_err(|_| refused())?;
    let axes = settings.axes(&what, &x.ty(), kernel, kind.transposed)?;
    if let Some((amounts, mode, rest)) = settings.padded(&axes) {
        let graph = x.graph();
        return graph.whole(|| {
            let pad = || x.pad(&amounts, mode).map_err(|error| with_layer(error, name));
            let x = if name.is_empty() { pad() } else { graph.in_layer(name, pad) }?;
            convolve(x, kind, name, weight, bias, rest)
        });
    }
    let joined = to.saturating_mul(groups);
    let fits = from % groups == 0 && channels == if kind.transposed { from } else { joined };
    if !fits {
        return Err(refused());
    }
    let channels = [joined, from];
    let plane = match axes[..] {
        [width] => [Axis::plain(1), width],
        [height, width] => [height, width],
        [depth, height, width] => {
            let volume = Volume { batch, channels, groups, axes: [depth, height, width] };
            let [stride, dilation] = [settings.stride, settings.dilation].map(|sizes| sizes.to_vec());
            let attributes = format!("stride {stride:?}, dilation {dilation:?}, groups {groups}");
            let sliding = Sliding { kernel: kernel.to_vec(), stride, dilation };
            let reach = if kind.transposed { Reach::Spread(sliding) } else { Reach::Window(sliding) };
            return x.graph().as_one(kind.names[kind.direction() as usize], name, attributes, reach, || {
                x.graph().whole(|| volume.convolve(kind, name, x, weight, bias))
            });
        }
        _ => return Err(Error::argument(what, "only along one to three axes")),
    };
    let mut product = Product::of_images(kind, Geometry::new(batch, channels, groups, plane));
    if D == 1 {
        product.types = product.types.map(|ty| {
            let [outer, inner, _, length] = [0, 1, 2, 3].map(|axis| ty.shape[axis]);
            TensorType::f32([outer, inner, length])
        });
    }
    product.of_image(name, x, weight, bias)
}
