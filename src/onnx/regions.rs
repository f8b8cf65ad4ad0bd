//! What RoiAlign (He et al. 2017, "Mask R-CNN") is told, whether the graph computes it or the host.

use super::node::Node;
use crate::error::Result;

/// How regions are aligned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Regions {
    /// Parts that a region has down and across.
    pub(super) parts: [usize; 2],
    /// Samples of a part along each axis; 0 takes more of larger regions.
    pub(super) samples: usize,
    /// The largest sample instead of their mean.
    pub(super) maximum: bool,
    /// Whether cells have their places in their middles, and regions may be smaller than one.
    pub(super) half: bool,
    /// From a region's numbers to cells.
    pub(super) scale: f32,
}

impl Regions {
    pub(super) fn of(node: &Node) -> Result<Self> {
        let natural = |name: &str, default: i64| {
            let value = node.int(name)?.unwrap_or(default);
            usize::try_from(value).map_err(|_| node.wrong(format_args!("attribute `{name}`: {value}")))
        };
        let maximum = match node.text("mode")?.unwrap_or("avg") {
            "avg" => false,
            "max" => true,
            other => return Err(node.wrong(format_args!("attribute `mode`: `{other}`"))),
        };
        let mode = node.text("coordinate_transformation_mode")?;
        let half = match (node.opset, mode.unwrap_or("half_pixel")) {
            (..16, _) | (_, "output_half_pixel") => false,
            (_, "half_pixel") => true,
            (_, other) => {
                return Err(node.wrong(format_args!("attribute `coordinate_transformation_mode`: `{other}`")));
            }
        };
        let parts = [natural("output_height", 1)?, natural("output_width", 1)?];
        Ok(Self {
            parts,
            samples: natural("sampling_ratio", 0)?,
            maximum,
            half,
            scale: node.number("spatial_scale", 1.0)?,
        })
    }

    /// Batch, channels, height and width, where the inputs have the right extents and every region an image.
    pub(super) fn image(node: &Node, x: &[usize], regions: &[usize], images: &[i64]) -> Result<[usize; 4]> {
        let &[n, channels, height, width] = x else {
            return Err(node.wrong(format_args!("expected [N, C, H, W], got {x:?}")));
        };
        if regions.len() != 2 || regions[1] != 4 || images.len() != regions[0] {
            return Err(node.wrong(format_args!("regions {regions:?} of {} images", images.len())));
        }
        if images.iter().any(|&image| !usize::try_from(image).is_ok_and(|image| image < n)) {
            return Err(node.wrong(format_args!("batch_indices {images:?} of {n} images")));
        }
        Ok([n, channels, height, width])
    }
}
