//! A convolution with all its sizes.

use super::settings::Axis;
use super::{ConvParams, NAME, Window};
use crate::error::Result;
use crate::plan::word;
use crate::reference::conv2d as reference;

/// A convolution with all its sizes: what the kernels and the reference are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) struct Geometry {
    pub(super) batch: usize,
    /// In and out.
    pub(super) channels: [usize; 2],
    /// Height and width.
    pub(super) input: [usize; 2],
    pub(super) output: [usize; 2],
    pub(super) kernel: [usize; 2],
    pub(super) window: Window,
}

impl Geometry {
    /// A 1x1 convolution of images of one row; with one pixel, a dense layer.
    pub(in crate::ops) fn pointwise(batch: usize, inputs: usize, outputs: usize, pixels: usize) -> Self {
        let size = [1, pixels];
        let channels = [inputs, outputs];
        Self { batch, channels, input: size, output: size, kernel: [1; 2], window: Window::default() }
    }

    /// Images of so many channels, in and out, in so many groups.
    pub(in crate::ops) fn new(batch: usize, channels: [usize; 2], groups: usize, axes: [Axis; 2]) -> Self {
        let both = |of: fn(Axis) -> usize| axes.map(of);
        let [top, left] = both(|axis| axis.padding[0]);
        let [bottom, right] = both(|axis| axis.padding[1]);
        let window = Window {
            stride: both(|axis| axis.stride),
            padding: [top, left, bottom, right],
            dilation: both(|axis| axis.dilation),
            groups,
        };
        let [input, output, kernel] = [both(|axis| axis.input), both(|axis| axis.output), both(|axis| axis.kernel)];
        Self { batch, channels, input, output, kernel, window }
    }

    /// Channels of one group, in and out.
    pub(super) fn group(&self) -> [usize; 2] {
        self.channels.map(|channels| channels / self.window.groups)
    }

    /// Rows and columns from the first tap to the last.
    pub(super) fn reach(&self) -> [usize; 2] {
        [0, 1].map(|axis| (self.kernel[axis] - 1).saturating_mul(self.window.dilation[axis]).saturating_add(1))
    }

    /// Elements of one output channel's weights.
    pub(super) fn taps(&self) -> usize {
        self.group()[0] * self.kernel[0] * self.kernel[1]
    }

    /// Operations of each of the three products: a multiply and an add for every output element and tap. Taps that lie in
    /// the padding count, as they do in everybody's figures.
    pub(super) fn flops(&self) -> u64 {
        2 * self.taps() as u64 * (self.pixels(self.output) * self.channels[1]) as u64
    }

    pub(super) fn pixels(&self, size: [usize; 2]) -> usize {
        self.batch * size[0] * size[1]
    }

    /// Pixels of dx that a stride sees at one phase, and the phases. A stride may be any number, so the product saturates; a
    /// grid that large is refused.
    pub(super) fn phases(&self) -> (usize, usize) {
        let [sh, sw] = self.window.stride;
        (self.pixels([self.input[0].div_ceil(sh), self.input[1].div_ceil(sw)]), sh.saturating_mul(sw))
    }

    pub(super) fn params(&self, splits: usize) -> Result<ConvParams> {
        let word = |size| word(NAME, size);
        let Window { stride, padding, dilation, groups } = self.window;
        Ok(ConvParams {
            batch: word(self.batch)?,
            in_channels: word(self.channels[0])?,
            in_height: word(self.input[0])?,
            in_width: word(self.input[1])?,
            out_channels: word(self.channels[1])?,
            out_height: word(self.output[0])?,
            out_width: word(self.output[1])?,
            kernel_height: word(self.kernel[0])?,
            kernel_width: word(self.kernel[1])?,
            stride_height: word(stride[0])?,
            stride_width: word(stride[1])?,
            pad_top: word(padding[0])?,
            pad_left: word(padding[1])?,
            dilation_height: word(dilation[0])?,
            dilation_width: word(dilation[1])?,
            groups: word(groups)?,
            splits: word(splits)?,
        })
    }

    pub(super) fn reference(&self) -> reference::Geometry {
        let Window { stride, padding, dilation, groups } = self.window;
        reference::Geometry {
            batch: self.batch,
            in_channels: self.channels[0],
            in_height: self.input[0],
            in_width: self.input[1],
            out_channels: self.channels[1],
            groups,
            kernel: self.kernel,
            stride,
            padding,
            dilation,
        }
    }
}
