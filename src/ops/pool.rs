//! What max and average pooling share: windows over the last two axes.

use super::{MAX_ITERATIONS, image};
use crate::error::{Error, Result};
use crate::graph::TensorType;
use crate::plan::{Format, Kernel, params, word};

params! {
    /// The `Params` of both pooling shaders.
    PoolParams {
        planes: u32, quads: u32, in_height: u32, in_width: u32, out_height: u32, out_width: u32, kernel_height: u32,
        kernel_width: u32, stride_height: u32, stride_width: u32, pad_top: u32, pad_left: u32, pad_bottom: u32,
        pad_right: u32,
    }
}

/// A pooling window: how large, how far apart, over how much padding. As PyTorch's `MaxPool2d` and `AvgPool2d`, with the
/// padding of each side by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool2d {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    /// Top, left, bottom, right.
    pub(crate) padding: [usize; 4],
    pub(crate) ceil_mode: bool,
    pub(crate) count_include_pad: bool,
}

impl Pool2d {
    /// A square window, as far apart as it is large.
    pub fn new(kernel: usize) -> Self {
        Self::rectangle(kernel, kernel)
    }

    /// A window of `height` by `width`, as far apart as it is large.
    pub fn rectangle(height: usize, width: usize) -> Self {
        let kernel = [height, width];
        Self { kernel, stride: kernel, padding: [0; 4], ceil_mode: false, count_include_pad: true }
    }

    /// The distance between windows on both axes.
    pub fn stride(self, stride: usize) -> Self {
        self.strides(stride, stride)
    }

    /// The distance between windows, down and across.
    pub fn strides(mut self, height: usize, width: usize) -> Self {
        self.stride = [height, width];
        self
    }

    /// The same padding on all four sides.
    pub fn padding(self, padding: usize) -> Self {
        self.paddings(padding, padding, padding, padding)
    }

    /// The padding of each side.
    pub fn paddings(mut self, top: usize, left: usize, bottom: usize, right: usize) -> Self {
        self.padding = [top, left, bottom, right];
        self
    }

    /// Rounds the number of windows up: the last may reach over the end, but must start inside the image or the padding
    /// before it.
    pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.ceil_mode = ceil_mode;
        self
    }

    /// Whether the average counts padded zeros (PyTorch's default, and this one's); max pooling ignores it.
    pub fn count_include_pad(mut self, count: bool) -> Self {
        self.count_include_pad = count;
        self
    }

    /// `[planes, in_height, in_width, out_height, out_width]`, or what is wrong.
    pub(super) fn sizes(&self, op: &str, x: &TensorType) -> Result<[usize; 5]> {
        let [n, c, h, w] = image(op, x)?;
        let out = |axis: usize, input: usize| {
            let (kernel, stride) = (self.kernel[axis], self.stride[axis]);
            let (begin, end) = (self.padding[axis], self.padding[axis + 2]);
            if kernel == 0 || stride == 0 {
                return Err(Error::argument(op, "kernel and stride must be at least 1"));
            }
            if begin >= kernel || end >= kernel {
                let message = format!("padding {begin}, {end} must be smaller than the window of {kernel}");
                return Err(Error::argument(op, message));
            }
            let padded = input.saturating_add(begin).saturating_add(end);
            if padded < kernel {
                return Err(Error::shape(op, format!("at least {kernel} rows and columns with padding"), x));
            }
            let free = padded - kernel;
            let windows = if self.ceil_mode { free.div_ceil(stride) } else { free / stride } + 1;
            let beyond = self.ceil_mode && (windows - 1).saturating_mul(stride) >= input.saturating_add(begin);
            Ok(if beyond { windows - 1 } else { windows })
        };
        if self.kernel[0].saturating_mul(self.kernel[1].saturating_add(2)) > MAX_ITERATIONS {
            let message = format!("a window of {:?} is too large; use global pooling", self.kernel);
            return Err(Error::argument(op, message));
        }
        Ok([n * c, h, w, out(0, h)?, out(1, w)?])
    }

    /// Parameters for images in this format.
    pub(super) fn params(&self, op: &str, x: &TensorType, format: Format) -> Result<PoolParams> {
        let (planes, quads) = match format {
            Format::ChannelsLast => (x.shape[0], x.shape[1] / 4),
            _ => (x.shape[0] * x.shape[1], 1),
        };
        let [_, in_height, in_width, out_height, out_width] = self.sizes(op, x)?;
        let word = |size| word(op, size);
        Ok(PoolParams {
            planes: word(planes)?,
            quads: word(quads)?,
            in_height: word(in_height)?,
            in_width: word(in_width)?,
            out_height: word(out_height)?,
            out_width: word(out_width)?,
            kernel_height: word(self.kernel[0])?,
            kernel_width: word(self.kernel[1])?,
            stride_height: word(self.stride[0])?,
            stride_width: word(self.stride[1])?,
            pad_top: word(self.padding[0])?,
            pad_left: word(self.padding[1])?,
            pad_bottom: word(self.padding[2])?,
            pad_right: word(self.padding[3])?,
        })
    }

    /// Why the text of the windows that a cell is in, or of the cells of a window, cannot be unrolled.
    pub(super) fn unrolled_refusal(&self) -> Option<String> {
        /// Cells of a window, at most: compiling takes longer with each.
        const MOST: usize = 25;
        let cells = self.kernel[0].saturating_mul(self.kernel[1]);
        (cells > MOST).then(|| format!("only for windows of at most {MOST} cells, not {cells}"))
    }

    /// What the unrolled shaders are made for.
    pub(super) fn unroll(&self, kernel: Kernel, entry: &'static str, format: Format, textured: bool) -> Kernel {
        let [windows_height, windows_width] = [0, 1].map(|axis| self.kernel[axis].div_ceil(self.stride[axis]));
        kernel
            .template("entry", entry)
            .template("last", u8::from(format == Format::ChannelsLast))
            .template("texture", u8::from(textured))
            .template("kernel_height", self.kernel[0])
            .template("kernel_width", self.kernel[1])
            .template("stride_height", self.stride[0])
            .template("stride_width", self.stride[1])
            .template("windows_height", windows_height)
            .template("windows_width", windows_width)
    }

    /// The output's type.
    pub(super) fn output(&self, op: &str, x: &TensorType) -> Result<TensorType> {
        let [_, _, _, out_height, out_width] = self.sizes(op, x)?;
        Ok(TensorType::f32([x.shape[0], x.shape[1], out_height, out_width]))
    }

    pub(super) fn describe(&self) -> String {
        let Self { kernel: [kh, kw], stride: [sh, sw], padding, ceil_mode, .. } = self;
        let ceil = if *ceil_mode { ", ceil" } else { "" };
        format!("window {kh}x{kw}, stride {sh}x{sw}, padding {padding:?}{ceil}")
    }
}

/// A number stands for a square window.
impl From<usize> for Pool2d {
    fn from(kernel: usize) -> Self {
        Self::new(kernel)
    }
}

/// Windows that both poolings are tried on.
pub(super) fn case_windows() -> Vec<([usize; 4], Pool2d)> {
    vec![
        ([2, 3, 8, 8], Pool2d::new(2)),
        ([1, 1, 7, 5], Pool2d::new(3).stride(2).padding(1)),
        ([2, 67, 13, 11], Pool2d::rectangle(2, 3).strides(1, 2)),
        ([3, 2, 6, 7], Pool2d::new(3).stride(2).ceil_mode(true)),
        ([1, 3, 5, 6], Pool2d::new(4).strides(3, 2).paddings(1, 0, 2, 3).ceil_mode(true).count_include_pad(false)),
        ([1, 2, 9, 1], Pool2d::rectangle(5, 1).stride(1).paddings(2, 0, 2, 0).count_include_pad(false)),
        ([2, 2, 7, 9], Pool2d::rectangle(2, 3).strides(3, 4).paddings(1, 2, 0, 0)),
        ([1, 1, 1, 1], Pool2d::new(1)),
        ([2, 12, 9, 7], Pool2d::new(3).stride(2).padding(1)),
        ([1, 8, 5, 6], Pool2d::new(2).strides(3, 2).paddings(1, 0, 0, 1).ceil_mode(true).count_include_pad(false)),
        // Large enough to be read through textures, where a device does that.
        ([2, 32, 19, 13], Pool2d::new(3).stride(2).padding(1)),
        ([1, 16, 44, 32], Pool2d::new(2)),
        // Too large to be unrolled.
        ([1, 4, 9, 8], Pool2d::rectangle(6, 5).strides(3, 2).paddings(2, 1, 3, 0).count_include_pad(false)),
    ]
}
