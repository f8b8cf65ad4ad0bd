//! Channels and blocks of pixels in each other's place, and channels shuffled: axes that are split, reordered and joined.

use super::transpose::{Rearrangement, rearrange};
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::ops::image;
use crate::selftest::OpCase;

/// Which of the channels of a pixel are a block of pixels: how a channel's number is made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DepthOrder {
    /// (row, column, channel): ONNX's default, `DCR`, and its SpaceToDepth.
    BlockFirst,
    /// (channel, row, column): ONNX's `CRD`, PyTorch's `PixelShuffle` and `PixelUnshuffle`.
    ChannelFirst,
}

impl<'g> Tensor<'g> {
    /// Channels become blocks of pixels: `[N, C·b², H, W]` to `[N, C, H·b, W·b]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 4 or b² does not divide its channels.
    pub fn depth_to_space(self, block: usize, order: DepthOrder) -> Result<Self> {
        const NAME: &str = "depth_to_space";
        let [n, c, h, w] = image(NAME, &self.ty())?;
        let area = block.saturating_mul(block);
        if block == 0 || !c.is_multiple_of(area) {
            return Err(Error::argument(NAME, format!("blocks of {block} by {block} for {c} channels")));
        }
        // The result is [n, (c), (h, row), (w, column)].
        let (channels, permutation) = match order {
            DepthOrder::BlockFirst => (vec![block, block, c / area], vec![0, 3, 4, 1, 5, 2]),
            DepthOrder::ChannelFirst => (vec![c / area, block, block], vec![0, 1, 4, 2, 5, 3]),
        };
        let factors = vec![vec![n], channels, vec![h], vec![w]];
        rearrange(self, NAME, Rearrangement { factors, permutation, joined: vec![1, 1, 2, 2] })
    }

    /// Blocks of pixels become channels: `[N, C, H·b, W·b]` to `[N, C·b², H, W]`, the way back from
    /// [`Tensor::depth_to_space`].
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 4 or b does not divide its height and width.
    pub fn space_to_depth(self, block: usize, order: DepthOrder) -> Result<Self> {
        const NAME: &str = "space_to_depth";
        let [n, c, h, w] = image(NAME, &self.ty())?;
        if block == 0 || !h.is_multiple_of(block) || !w.is_multiple_of(block) {
            return Err(Error::argument(NAME, format!("blocks of {block} by {block} for {h} by {w} pixels")));
        }
        let permutation = match order {
            DepthOrder::BlockFirst => vec![0, 3, 5, 1, 2, 4],
            DepthOrder::ChannelFirst => vec![0, 1, 3, 5, 2, 4],
        };
        let factors = vec![vec![n], vec![c], vec![h / block, block], vec![w / block, block]];
        rearrange(self, NAME, Rearrangement { factors, permutation, joined: vec![1, 3, 1, 1] })
    }

    /// Axis 1 as so many groups, of which each gives a channel in turn: channel i of group g comes to place i·groups + g
    /// (Zhang et al. 2018, "ShuffleNet").
    ///
    /// # Errors
    /// When the tensor is not f32 of two to five axes, or `groups` does not divide axis 1.
    pub fn channel_shuffle(self, groups: usize) -> Result<Self> {
        const NAME: &str = "channel_shuffle";
        let ty = self.ty();
        crate::ops::float(NAME, &ty)?;
        let (2..=5, Some(&channels)) = (ty.shape.len(), ty.shape.get(1)) else {
            return Err(Error::shape(NAME, "two to five axes", &ty));
        };
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(Error::argument(NAME, format!("{groups} groups of {channels} channels")));
        }
        let mut factors: Vec<Vec<usize>> = ty.shape.iter().map(|&extent| vec![extent]).collect();
        factors[1] = vec![groups, channels / groups];
        let mut joined = vec![1; factors.len()];
        joined[1] = 2;
        let permutation = [0, 2, 1].into_iter().chain(3..factors.len() + 1).collect();
        rearrange(self, NAME, Rearrangement { factors, permutation, joined })
    }
}

pub(super) fn cases() -> Vec<OpCase> {
    let orders = [DepthOrder::BlockFirst, DepthOrder::ChannelFirst];
    let shapes = [([2, 12, 3, 5], 2), ([2, 16, 3, 5], 2), ([1, 9, 1, 1], 3), ([1, 64, 9, 8], 4)];
    let shapes = shapes.iter().flat_map(|&shape| orders.map(|order| (shape, order)));
    let blocks = shapes.map(|((shape, block), order)| {
        OpCase::new(format!("depth_to_space and back {shape:?} by {block} {order:?}"), move |cx| {
            let y = cx.normal("x", shape)?.depth_to_space(block, order)?;
            let [n, c, h, w] = shape;
            let z = cx.normal("z", [n, c / block / block, h * block, w * block])?.space_to_depth(block, order)?;
            Ok(vec![y, z])
        })
    });
    let shuffled = [(vec![2, 6], 3), (vec![2, 8, 3, 5], 2), (vec![1, 10, 2, 3, 2], 5)].map(|(shape, groups)| {
        OpCase::new(format!("channel_shuffle {shape:?} of {groups}"), move |cx| {
            Ok(vec![cx.normal("x", shape.clone())?.channel_shuffle(groups)?])
        })
    });
    let mut cases: Vec<OpCase> = blocks.chain(shuffled).collect();
    cases.push(OpCase::new("depth_to_space of a pooled image", |cx| {
        let x = cx.shifted("x", [1, 16, 4, 6], 4.0)?.avg_pool2d(2)?;
        Ok(vec![x.depth_to_space(2, DepthOrder::BlockFirst)?.avg_pool2d(1)?, x.channel_shuffle(4)?.avg_pool2d(1)?])
    }));
    cases
}
