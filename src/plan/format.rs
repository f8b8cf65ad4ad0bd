//! How a tensor lies in memory, and the copy from one way to another.
//!
//! At the surface every tensor is planar: row-major, images `[N, C, H, W]`, filters `[O, C, KH, KW]`. Within a plan a kernel
//! may ask for images whose channels lie together, `[N, H, W, C]`: then four channels of a pixel are one load, a 1x1
//! convolution is a plain matrix product, and what is added up for a channel needs no view of planes. Filters then come as
//! `[KH, KW, C, O]`, and stay so in the variables, their gradients and the optimizer. Where half precision is asked for,
//! kernels may ask for operands that are rounded to it. The plan converts where formats meet.

use super::kernel::{Dispatch, Kernel, Operand, Params, Shader, fold_grid, params, shader};
use super::word;
use crate::error::Result;
use crate::gpu::{Capabilities, DeviceClass};
use crate::graph::{DType, TensorId, TensorType};

/// How a tensor lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Format {
    /// Row-major: `[N, C, H, W]`, `[O, C, KH, KW]`.
    #[default]
    Planar,
    /// An image as `[N, H, W, C]`, for multiples of four channels.
    ChannelsLast,
    /// A filter as `[KH, KW, C, O]`, or `[inputs, outputs]`, for multiples of four outputs.
    TapsFirst,
    /// Row-major, each element rounded to f16: for reading alone, as nothing leads back.
    Half,
}

impl Format {
    /// What a tensor takes in it, without padding.
    pub(super) fn bytes(self, ty: &TensorType) -> u64 {
        match self {
            Self::Half => ty.elements().div_ceil(2) as u64 * 4,
            _ => ty.bytes(),
        }
    }

    /// Why a tensor cannot be channels-last.
    pub(crate) fn refusal(ty: &TensorType) -> Option<String> {
        match &ty.shape[..] {
            [_, channels, _, _] if channels.is_multiple_of(4) && ty.dtype != DType::U8 => None,
            _ => Some("only for images of a multiple of four channels".into()),
        }
    }

    /// How a device keeps the filters of convolutions and dense layers.
    pub(crate) fn of_filters(ty: &TensorType, capabilities: &Capabilities) -> Self {
        let fits = matches!(ty.shape.len(), 2 | 4) && ty.shape[0].is_multiple_of(4);
        match capabilities.class {
            DeviceClass::Cpu if fits && capabilities.subgroup().is_some() => Self::TapsFirst,
            _ => Self::Planar,
        }
    }

    /// Whether both formats are the same bytes.
    pub(crate) fn coincides(self, other: Self, ty: &TensorType) -> bool {
        let outer: usize = ty.shape.first().copied().unwrap_or(1);
        let inner: usize = ty.shape.iter().skip(2).product();
        match (self, other) {
            _ if self == other => true,
            (Self::ChannelsLast, Self::Planar) | (Self::Planar, Self::ChannelsLast) => {
                ty.shape.len() != 4 || ty.shape[1] == 1 || inner == 1
            }
            (Self::TapsFirst, Self::Planar) | (Self::Planar, Self::TapsFirst) => ty.elements() == outer,
            _ => false,
        }
    }

    /// The axes of a tensor of so many in the order in which they lie in memory, the outermost first.
    pub(crate) fn order(self, rank: usize) -> Vec<usize> {
        match self {
            Self::ChannelsLast if rank == 4 => vec![0, 2, 3, 1],
            Self::TapsFirst if rank >= 2 => (2..rank).chain([1, 0]).collect(),
            _ => (0..rank).collect(),
        }
    }

    /// The view `[outer, channels, inner]` of an image in this format.
    pub(crate) fn view(self, [outer, channels, inner]: [usize; 3]) -> [usize; 3] {
        match self {
            Self::ChannelsLast => [outer * inner, channels, 1],
            _ => [outer, channels, inner],
        }
    }

    /// Row-major values in this format; only filters are kept in one of their own.
    pub(super) fn arrange<T: Copy>(self, ty: &TensorType, values: Vec<T>) -> Vec<T> {
        match self {
            Self::TapsFirst => reversed(filter(ty), values),
            _ => values,
        }
    }

    /// The inverse of [`Format::arrange`].
    pub(super) fn restore<T: Copy>(self, ty: &TensorType, values: Vec<T>) -> Vec<T> {
        let [outputs, channels, taps] = filter(ty);
        match self {
            Self::TapsFirst => reversed([taps, channels, outputs], values),
            _ => values,
        }
    }
}

/// `[outputs, channels, taps]` of a filter.
fn filter(ty: &TensorType) -> [usize; 3] {
    [ty.shape[0], ty.shape[1..].first().copied().unwrap_or(1), ty.shape.iter().skip(2).product()]
}

/// `[a, b, c]` as `[c, b, a]`: rows of b·c become columns, tile by tile, as the caches of a processor like it.
fn reversed<T: Copy>([a, b, c]: [usize; 3], values: Vec<T>) -> Vec<T> {
    const TILE: usize = 32;
    // Of a single matrix the rows are all that there is to go over.
    let [a, b, c] = if a == 1 { [b, 1, c] } else { [a, b, c] };
    let row = b * c;
    let mut result = values.clone();
    for first in (0..row).step_by(TILE) {
        for start in (0..a).step_by(TILE) {
            for column in first..row.min(first + TILE) {
                let to = (column % c * b + column / c) * a;
                let places = &mut result[to + start..to + a.min(start + TILE)];
                for (place, index) in places.iter_mut().zip(start..) {
                    *place = values[index * row + column];
                }
            }
        }
    }
    result
}

params! {
    /// An image: images, fours of channels, pixels. A filter: channels, fours of outputs, taps. What is rounded: one, fours
    /// of elements, one.
    FormatParams { rows: u32, quads: u32, pixels: u32 }
}
pub(crate) static SHADER: Shader = shader!("format", FormatParams, ["grid", "divide", "texture", "read"]);

/// The dispatch that copies `tensor` between planar and another format; halves are only made.
pub(super) fn conversion(
    ty: &TensorType,
    tensor: TensorId,
    [from, to]: [Format; 2],
    textured: bool,
    capabilities: &Capabilities,
) -> Result<Dispatch> {
    const NAME: &str = "format";
    const WORKGROUP: usize = 64;
    let (rows, quads, pixels, entry) = match (from, to) {
        (_, Format::Half) => (1, ty.elements().div_ceil(4), 1, "to_half"),
        (Format::TapsFirst, _) | (_, Format::TapsFirst) => {
            let [outputs, channels, taps] = filter(ty);
            (channels, outputs / 4, taps, "weight")
        }
        _ => {
            let [batch, channels, height, width] = [0, 1, 2, 3].map(|axis| ty.shape[axis]);
            (batch, channels / 4, height * width, "image")
        }
    };
    let params = FormatParams { rows: word(NAME, rows)?, quads: word(NAME, quads)?, pixels: word(NAME, pixels)? };
    let kernel = Kernel::new(&SHADER, entry)
        .template("gather", u8::from(to != Format::Planar))
        .template("aligned", u8::from(pixels.is_multiple_of(4)))
        .template("texture", u8::from(textured))
        .constant("WORKGROUP", WORKGROUP as f64);
    let invocations = rows * quads * pixels.div_ceil(4);
    let limit = capabilities.limits.max_compute_workgroups_per_dimension;
    let workgroups = fold_grid(NAME, invocations.div_ceil(WORKGROUP) as u64, limit)?;
    let source = Operand::InFormat(tensor, from);
    let source = if textured { source.textured() } else { source };
    let operands = vec![source, Operand::Converted(tensor, to)];
    Ok(Dispatch { kernel, operands, spans: Vec::new(), params: params.words(), workgroups, over: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::Format;
    use crate::graph::TensorType;

    #[test]
    fn filters_come_back_as_they_were() {
        let ty = TensorType::f32([4, 3, 2, 5]);
        let values: Vec<usize> = (0..ty.elements()).collect();
        let arranged = Format::TapsFirst.arrange(&ty, values.clone());
        // Tap (1, 2), channel 2, output 3.
        assert_eq!(arranged[((5 + 2) * 3 + 2) * 4 + 3], ((3 * 3 + 2) * 2 + 1) * 5 + 2);
        assert_eq!(Format::TapsFirst.restore(&ty, arranged), values);
        // More than a tile, and a part of one, along every axis.
        let ty = TensorType::f32([67, 33, 35]);
        let values: Vec<usize> = (0..ty.elements()).collect();
        let arranged = Format::TapsFirst.arrange(&ty, values.clone());
        assert_eq!(arranged[(34 * 33 + 32) * 67 + 65], (65 * 33 + 32) * 35 + 34);
        assert_eq!(Format::TapsFirst.restore(&ty, arranged), values);
    }
}
