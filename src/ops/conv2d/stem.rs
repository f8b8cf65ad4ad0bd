//! The `stem` variant for GPUs: the first convolution of a network, whose image goes through workgroup memory as a patch.

use super::STEM;
use super::geometry::Geometry;
use super::kernels::{Direction, too_long};
use super::tiled::{BUSY, choose_statistics};
use crate::error::Result;
use crate::ops::chain::with_bias;
use crate::plan::{Format, Kernel, Lowering, Moments, Operand};

pub(super) const VARIANT: &str = "stem";
/// Of a workgroup: pixels down and across, and channels.
const TILE: [usize; 2] = [4, 16];
const CHANNELS: usize = 64;
/// Taps of a slab, at most.
const SLAB: usize = 32;
/// Bytes of workgroup memory that any device has.
const MEMORY: usize = 16 << 10;

/// What a workgroup brings.
struct Patch {
    rows: usize,
    /// Fours of columns of a row, and of those that four pixels see.
    pitch: usize,
    span: usize,
    /// Rows of a kernel in a slab: all slabs have equally many.
    lines: usize,
}

impl Patch {
    fn new(g: &Geometry) -> Self {
        let ([kh, kw], [sh, sw]) = (g.kernel, g.window.stride);
        let span = (3 * sw + kw).div_ceil(4);
        let all = g.channels[0] * kh;
        let lines = (1..=all).rev().find(|lines| all.is_multiple_of(*lines) && lines * kw <= SLAB).unwrap_or(1);
        Self { rows: (TILE[0] - 1) * sh + kh, pitch: 3 * sw + span, span, lines }
    }

    /// Bytes of workgroup memory; statistics need 256 fours of either operand's.
    fn bytes(&self, g: &Geometry) -> usize {
        16 * ((g.channels[0] * self.rows * self.pitch).max(256) + (self.lines * g.kernel[1] * 17).max(256))
    }
}

/// Tiles of an image, down and across.
fn tiles(g: &Geometry) -> [usize; 2] {
    [0, 1].map(|axis| g.output[axis].div_ceil(TILE[axis]))
}

fn workgroups(g: &Geometry) -> usize {
    g.batch * tiles(g)[0] * tiles(g)[1] * g.channels[1].div_ceil(CHANNELS)
}

/// Why the variant cannot be used.
pub(super) fn refusal(g: &Geometry, direction: Direction) -> Option<String> {
    /// Beyond, the sizes below would be large numbers.
    const WIDEST: usize = 16;
    let narrow = g.channels[0] <= 4 && g.kernel.into_iter().chain(g.window.stride).all(|size| size <= WIDEST);
    if direction != Direction::Forward || !narrow || g.window.groups > 1 || g.window.dilation != [1; 2] {
        return Some(
            "only forward, for up to four channels, kernels and strides up to 16, no groups, no dilation".into(),
        );
    }
    let patch = Patch::new(g);
    let bytes = patch.bytes(g);
    let large = || format!("it needs {bytes} bytes of workgroup memory, {MEMORY} are there");
    too_long(g.taps() + patch.rows * patch.pitch + CHANNELS).or_else(|| (bytes > MEMORY).then(large))
}

/// Whether there are enough tiles, and they are full of channels and pixels for the most part.
pub(super) fn worthwhile(g: &Geometry) -> bool {
    let [down, across] = tiles(g);
    let pixels = down * TILE[0] * across * TILE[1];
    let taps = g.kernel[0] * g.kernel[1];
    taps > 1 && workgroups(g) >= BUSY && g.channels[1] > CHANNELS / 2 && 4 * g.output[0] * g.output[1] >= 3 * pixels
}

/// Adds the dispatch; see [`super::lower`].
pub(super) fn lower(cx: &mut Lowering<'_>, g: &Geometry, operands: &[Operand]) -> Result<()> {
    let Patch { rows, pitch, span, lines } = Patch::new(g);
    let [image, factor, values @ .., result] = operands else { return Ok(()) };
    let (chain, values) = with_bias(cx, values, Format::Planar);
    let mut operands = [&[*image, *factor, *result], &values[..]].concat();
    let [down, across] = tiles(g);
    let whole = g.output == [down * TILE[0], across * TILE[1]];
    let refusal = (!whole).then(|| "the tiles of pixels are not all whole".to_string());
    let statistics = choose_statistics(cx, refusal, operands.len())?;
    if statistics {
        let count = g.batch * down * across;
        let scratch = cx.scratch(2 * g.channels[1] * count);
        cx.moments = Some(Moments { scratch, tiles: count, length: TILE[0] * TILE[1] });
        operands.push(Operand::ScratchWrite(scratch));
    }
    let kernel = Kernel::new(&STEM, "forward")
        .variant(VARIANT)
        .template("channels", g.channels[0])
        .template("kernel_height", g.kernel[0])
        .template("kernel_width", g.kernel[1])
        .template("stride_height", g.window.stride[0])
        .template("stride_width", g.window.stride[1])
        .template("rows", rows)
        .template("pitch_fours", pitch)
        .template("span", span)
        .template("lines", lines)
        .template("left_fours", (lines * g.kernel[1] * 17).max(256))
        .template("right_fours", (g.channels[0] * rows * pitch).max(256))
        .template("cooperative", 0)
        .template("half", 0)
        .template("side", CHANNELS / 4)
        .template("blocks", 1)
        .template("left", "terms")
        .template("right", "columns")
        .template("image_fours", 0)
        .template("result_fours", u8::from(g.output[1].is_multiple_of(4)))
        .template("statistics", u8::from(statistics))
        .chain(&chain, &vec![false; values.len()]);
    cx.dispatch(kernel, &g.params(1)?, &operands, workgroups(g))
}
