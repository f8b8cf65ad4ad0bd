//! How an image tensor lies in memory, and the copy from one way to the other.
//!
//! At the surface every tensor is planar: `[N, C, H, W]`, row-major. Within a plan a kernel may ask for images whose
//! channels lie together, `[N, H, W, C]`: then four channels of a pixel are one load, a 1x1 convolution is a plain matrix
//! product, and what is added up for a channel needs no view of planes. The plan converts where formats meet.

use super::kernel::{Dispatch, Kernel, Operand, Params, Shader, fold_grid, params, shader};
use super::word;
use crate::error::Result;
use crate::gpu::Capabilities;
use crate::graph::{DType, TensorId, TensorType};

/// How an image tensor lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    /// `[N, C, H, W]`
    Planar,
    /// `[N, H, W, C]`, for multiples of four channels.
    ChannelsLast,
}

impl Format {
    /// Why a tensor cannot be channels-last.
    pub(crate) fn refusal(ty: &TensorType) -> Option<String> {
        match &ty.shape[..] {
            [_, channels, _, _] if channels.is_multiple_of(4) && ty.dtype != DType::U8 => None,
            _ => Some("only for images of a multiple of four channels".into()),
        }
    }

    /// Whether both formats are the same bytes.
    pub(crate) fn coincide(ty: &TensorType) -> bool {
        match &ty.shape[..] {
            [_, channels, height, width] => *channels == 1 || height * width == 1,
            _ => true,
        }
    }

    /// The view `[outer, channels, inner]` of an image in this format.
    pub(crate) fn view(self, [outer, channels, inner]: [usize; 3]) -> [usize; 3] {
        match self {
            Self::Planar => [outer, channels, inner],
            Self::ChannelsLast => [outer * inner, channels, 1],
        }
    }
}

params! {
    /// The image, in fours of channels.
    FormatParams { batch: u32, quads: u32, pixels: u32 }
}
pub(crate) static SHADER: Shader = shader!("format", FormatParams, ["grid", "divide"]);

/// The dispatch that copies `tensor` into `format`.
pub(super) fn conversion(
    ty: &TensorType,
    tensor: TensorId,
    format: Format,
    capabilities: &Capabilities,
) -> Result<Dispatch> {
    const NAME: &str = "format";
    const WORKGROUP: usize = 64;
    let [batch, channels, height, width] = [0, 1, 2, 3].map(|axis| ty.shape[axis]);
    let (quads, pixels) = (channels / 4, height * width);
    let params = FormatParams { batch: word(NAME, batch)?, quads: word(NAME, quads)?, pixels: word(NAME, pixels)? };
    let entry = match format {
        Format::ChannelsLast => "to_channels_last",
        Format::Planar => "to_planar",
    };
    let kernel = Kernel::new(&SHADER, entry).constant("WORKGROUP", WORKGROUP as f64);
    let invocations = batch * quads * pixels.div_ceil(4);
    let limit = capabilities.limits.max_compute_workgroups_per_dimension;
    let workgroups = fold_grid(NAME, invocations.div_ceil(WORKGROUP) as u64, limit)?;
    let operands = vec![Operand::Stored(tensor), Operand::Converted(tensor)];
    Ok(Dispatch { kernel, operands, params: params.words(), workgroups })
}
