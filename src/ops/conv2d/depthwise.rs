//! The `depthwise` variants, for as many groups as channels with one output each: `depthwise` over images in fours of
//! channels, for adapters that run on a CPU, and `depthwise_planar` over planes.

use super::geometry::Geometry;
use super::kernels::{Direction, Slices, too_long};
use super::{DEPTHWISE, DEPTHWISE_WEIGHT, NAME};
use crate::error::Result;
use crate::gpu::DeviceClass;
use crate::graph::TensorType;
use crate::ops::chain::{element_textures, with_bias};
use crate::plan::{Format, Kernel, Lowering, Operand};

/// Columns of a strip in fours of channels: of 1 to 7 the fastest, and half the text of 7.
const COLUMNS: usize = 4;
/// Neighbouring planar strips are to read neighbouring elements.
const PLANAR_COLUMNS: usize = 1;
/// Multiply-adds of vec4s that the text of a strip is to have at most; they take a driver long to compile.
const TEXT: usize = 150;
/// The text grows with the taps, and with it the time that a driver takes to compile it.
const MOST_TAPS: usize = 25;
/// Rows or columns that the taps of one position reach over, and the widest stride.
const WIDEST: usize = 11;
const WIDEST_STRIDE: usize = 3;
/// Strips that keep a device busy, and rows that make keeping a window of them worth while.
const BUSY: [usize; 2] = [256, 1 << 16];
const FEWEST_ROWS: usize = 8;
const WORKGROUPS: [usize; 2] = [16, 64];

/// The two ways in which images come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Fours,
    Planar,
}

impl Layout {
    fn variant(self) -> &'static str {
        match self {
            Self::Fours => "depthwise",
            Self::Planar => "depthwise_planar",
        }
    }

    fn columns(self) -> usize {
        match self {
            Self::Fours => COLUMNS,
            Self::Planar => PLANAR_COLUMNS,
        }
    }

    /// What an invocation takes at a time.
    fn channels(self, g: &Geometry) -> usize {
        match self {
            Self::Fours => g.channels[0] / 4,
            Self::Planar => g.channels[0],
        }
    }

    fn workgroup(self) -> usize {
        WORKGROUPS[self as usize]
    }

    /// Turns of an image (rows of y, or of dy that dx is computed from) and strips side by side.
    fn turns(self, g: &Geometry, direction: Direction) -> [usize; 2] {
        let [sh, sw] = g.window.stride;
        let [top, left, ..] = g.window.padding;
        let turns = match direction {
            Direction::GradInput => [(g.input[0] + top).div_ceil(sh), (g.input[1] + left).div_ceil(sw)],
            _ => g.output,
        };
        [turns[0], turns[1].div_ceil(self.columns())]
    }

    /// Turns of a strip that stand in the text one after the other; 0 where it loops over them.
    fn rows(self, g: &Geometry) -> usize {
        match self {
            Self::Fours => (TEXT / (COLUMNS * g.kernel[0] * g.kernel[1])).clamp(2, 4),
            Self::Planar => 0,
        }
    }

    /// Strips that an image is cut into, one below the other.
    fn strips(self, g: &Geometry, direction: Direction) -> usize {
        let [turns, across] = self.turns(g, direction);
        if self.rows(g) > 0 {
            return turns.div_ceil(self.rows(g));
        }
        let wanted = BUSY[self as usize].div_ceil(g.batch * self.channels(g) * across);
        wanted.min(turns / FEWEST_ROWS).max(1)
    }

    /// How the weight gradient cuts its sum.
    fn slices(self, g: &Geometry) -> Slices {
        match self {
            Self::Fours => {
                let each = 3 * self.turns(g, Direction::Forward)[1];
                Slices::new(g.batch * g.output[0], each, self.channels(g), BUSY[0], FEWEST_ROWS * each)
            }
            // A workgroup takes a slice.
            Self::Planar => Slices::new(g.pixels(g.output).div_ceil(64), 1, self.channels(g), 1024, 64),
        }
    }
}

/// Why the variant cannot be used.
pub(super) fn refusal(cx: &Lowering<'_>, g: &Geometry, direction: Direction, layout: Layout) -> Option<String> {
    if g.group() != [1; 2] {
        return Some("only for as many groups as channels, in and out".into());
    }
    if layout == Layout::Fours && (cx.class() != DeviceClass::Cpu || !g.channels[0].is_multiple_of(4)) {
        return Some("only for software adapters and multiples of four channels".into());
    }
    if layout == Layout::Fours && cx.outputs.iter().any(|ty| ty.shape.len() != 4) {
        return Some("only for images".into());
    }
    let [taps, reach] = [g.kernel[0] * g.kernel[1], g.reach().into_iter().max().unwrap_or(0)];
    if taps > MOST_TAPS || reach > WIDEST || g.window.stride.iter().any(|&stride| stride > WIDEST_STRIDE) {
        return Some(format!("only for {MOST_TAPS} taps within {WIDEST} pixels and strides up to {WIDEST_STRIDE}"));
    }
    match direction {
        Direction::GradWeight => too_long(layout.slices(g).iterations() + 6 * taps),
        // In fours there is no loop.
        _ if layout == Layout::Fours => None,
        _ => too_long(layout.turns(g, direction)[0].div_ceil(layout.strips(g, direction))),
    }
}

/// Adds the dispatches of one direction; see [`super::lower`].
pub(super) fn lower(
    cx: &mut Lowering<'_>,
    g: &Geometry,
    direction: Direction,
    layout: Layout,
    operands: &[Operand],
) -> Result<()> {
    let kernel = |shader, entry| {
        Kernel::new(shader, entry)
            .variant(layout.variant())
            .template("columns", layout.columns())
            .template("kernel_height", g.kernel[0])
            .template("kernel_width", g.kernel[1])
            .template("stride_height", g.window.stride[0])
            .template("stride_width", g.window.stride[1])
            .template("dilation_height", g.window.dilation[0])
            .template("dilation_width", g.window.dilation[1])
            .constant("WORKGROUP", layout.workgroup() as f64)
    };
    let fours = layout == Layout::Fours;
    let format = if fours { Format::ChannelsLast } else { Format::Planar };
    let largest = cx.inputs.iter().map(TensorType::elements).max().unwrap_or(0);
    // Both operands or none.
    let can = fours && cx.texture_refusal(2, largest.div_ceil(4)).is_none();
    let texture = can && cx.choose_textures(NAME, largest)?;
    if direction == Direction::GradWeight {
        operands[..2].iter().for_each(|&image| cx.read_in(image, format));
        let slices = layout.slices(g);
        let params = g.params(slices.count)?;
        let (entry, together) = if fours { ("fours", layout.workgroup()) } else { ("planar", 1) };
        let mut inputs = [operands[0], operands[1]];
        if texture {
            cx.through_textures(&mut inputs, 0);
        }
        let kernel = kernel(&DEPTHWISE_WEIGHT, entry).template("texture", u8::from(texture));
        return slices.dispatch(cx, kernel, &params, inputs, together);
    }
    // The weight comes first where the input gradient is computed.
    let backward = direction == Direction::GradInput;
    let mut inputs = if backward { [operands[1], operands[0]] } else { [operands[0], operands[1]] };
    cx.read_in(inputs[0], format);
    cx.write_in(format);
    let [values @ .., result] = &operands[2..] else { return Ok(()) };
    let (chain, mut values) = with_bias(cx, values, format);
    let mut textures = vec![false; values.len()];
    if texture {
        cx.through_textures(&mut inputs, 0);
        textures = element_textures(cx, &chain, &mut values, 2);
    }
    let strips = layout.strips(g, direction);
    let across = layout.turns(g, direction)[1];
    let workgroups = (g.batch * layout.channels(g) * strips * across).div_ceil(layout.workgroup());
    let kernel = kernel(&DEPTHWISE, direction.entry())
        .template("planar", u8::from(!fours))
        .template("rows", layout.rows(g))
        .template("texture", u8::from(texture))
        .chain(&chain, &textures);
    let operands = [&inputs[..], &[*result], &values].concat();
    cx.dispatch(kernel, &g.params(strips)?, &operands, workgroups)
}
