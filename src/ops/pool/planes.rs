//! What the fast kernels of 2-d max and average pooling share.

use super::window::Pool2d;
use crate::error::Result;
use crate::graph::TensorType;
use crate::ops::{Padding, image};
use crate::plan::{Format, Kernel, params, word};

params! {
    /// The `Params` of both pooling shaders.
    PoolParams {
        planes: u32, quads: u32, in_height: u32, in_width: u32, out_height: u32, out_width: u32, kernel_height: u32,
        kernel_width: u32, stride_height: u32, stride_width: u32, pad_top: u32, pad_left: u32, pad_bottom: u32,
        pad_right: u32,
    }
}

impl Pool2d {
    /// Top, left, bottom, right.
    pub(in crate::ops) fn padding_of_sides(&self) -> [usize; 4] {
        let [[top, left], [bottom, right]] = self.sides();
        [top, left, bottom, right]
    }

    /// Parameters for images in this format.
    pub(in crate::ops) fn params(&self, op: &str, x: &TensorType, format: Format) -> Result<PoolParams> {
        let [_, _, in_height, in_width] = image(op, x)?;
        let [out_height, out_width] = self.windows(op, x)?;
        let [top, left, bottom, right] = self.padding_of_sides();
        let (planes, quads) = match format {
            Format::ChannelsLast => (x.shape[0], x.shape[1] / 4),
            _ => (x.shape[0] * x.shape[1], 1),
        };
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
            pad_top: word(top)?,
            pad_left: word(left)?,
            pad_bottom: word(bottom)?,
            pad_right: word(right)?,
        })
    }

    /// Why the text of the windows that a cell is in, or of the cells of a window, cannot be unrolled.
    pub(in crate::ops) fn unrolled_refusal(&self) -> Option<String> {
        /// Cells of a window, at most: compiling takes longer with each.
        const MOST: usize = 25;
        let cells = self.kernel[0].saturating_mul(self.kernel[1]);
        (cells > MOST).then(|| format!("only for windows of at most {MOST} cells, not {cells}"))
    }

    /// Why windows cannot be taken in strips of [`strip`] neighbours.
    pub(in crate::ops) fn strips_refusal(&self, op: &str, x: &TensorType, format: Format) -> Result<Option<String>> {
        /// The widest stride: the text of a gradient grows with it.
        const WIDEST: usize = 4;
        let (input, output) = (x.shape[3], self.windows(op, x)?[1]);
        let whole = output.is_multiple_of(4) && input == output * self.stride[1];
        if format == Format::Planar && !whole {
            return Ok(Some("only for planes whose rows are whole fours of windows".into()));
        }
        if self.stride.iter().any(|&stride| stride > WIDEST) {
            return Ok(Some(format!("only for strides of at most {WIDEST}")));
        }
        Ok(self.unrolled_refusal())
    }

    /// What the shaders that go over strips are made for.
    pub(in crate::ops) fn in_strips(
        &self,
        kernel: Kernel,
        entry: &'static str,
        format: Format,
        textured: bool,
    ) -> Kernel {
        let [top, left, ..] = self.padding_of_sides();
        self.unroll(kernel, entry, format, textured)
            .template("columns", strip(format))
            .template("pad_top", top)
            .template("pad_left", left)
    }

    /// Strips that computing images of this shape takes: of y, or of dx.
    pub(in crate::ops) fn strips(&self, entry: &str, ty: &TensorType, format: Format) -> usize {
        let stride = if entry == "grad_input" { self.stride } else { [1; 2] };
        let channels = if format == Format::ChannelsLast { ty.shape[1] / 4 } else { ty.shape[1] };
        let across = ty.shape[3].div_ceil(strip(format) * stride[1]);
        ty.shape[0] * channels * ty.shape[2].div_ceil(stride[0]) * across
    }

    /// What the unrolled shaders are made for.
    pub(in crate::ops) fn unroll(&self, kernel: Kernel, entry: &'static str, format: Format, textured: bool) -> Kernel {
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
}

/// Windows of a strip: of planes those that one vec4 holds.
fn strip(format: Format) -> usize {
    if format == Format::ChannelsLast { 2 } else { 4 }
}

/// Windows that both poolings are tried on.
pub(in crate::ops) fn case_windows() -> Vec<([usize; 4], Pool2d)> {
    let cut = |pool: Pool2d| pool.ceil_mode(true).count_include_pad(false);
    vec![
        ([2, 3, 8, 8], Pool2d::new(2)),
        ([1, 1, 7, 5], Pool2d::new(3).stride(2).padding(1)),
        ([2, 67, 13, 11], Pool2d::new([2, 3]).stride([1, 2])),
        ([3, 2, 6, 7], Pool2d::new(3).stride(2).ceil_mode(true)),
        ([1, 3, 5, 6], cut(Pool2d::new(4).stride([3, 2]).padding(Padding::Sides([1, 0], [2, 3])))),
        ([1, 2, 9, 1], Pool2d::new([5, 1]).stride(1).padding([2, 0]).count_include_pad(false)),
        ([2, 2, 7, 9], Pool2d::new([2, 3]).stride([3, 4]).padding(Padding::Sides([1, 2], [0, 0]))),
        ([1, 1, 1, 1], Pool2d::new(1)),
        ([2, 12, 9, 7], Pool2d::new(3).stride(2).padding(1)),
        ([1, 8, 5, 6], cut(Pool2d::new(2).stride([3, 2]).padding(Padding::Sides([1, 0], [0, 1])))),
        // Large enough to be read through textures, where a device does that.
        ([2, 32, 19, 13], Pool2d::new(3).stride(2).padding(1)),
        ([1, 16, 44, 32], Pool2d::new(2)),
        // Strips of planes that end with the row, without and with padding.
        ([2, 3, 5, 8], Pool2d::new([2, 1]).stride([2, 1])),
        ([2, 3, 7, 16], Pool2d::new(3).stride(2).padding(1)),
        ([1, 2, 6, 8], cut(Pool2d::new([3, 5]).stride([1, 2]).padding(Padding::Sides([2, 3], [1, 1])))),
        // Too large to be unrolled.
        (
            [1, 4, 9, 8],
            Pool2d::new([6, 5]).stride([3, 2]).padding(Padding::Sides([2, 1], [3, 0])).count_include_pad(false),
        ),
    ]
}
