//! The `grouped` variant: groups of a few fours of channels each.

use super::geometry::Geometry;
use super::kernels::{Direction, Slices, too_long};
use super::{GROUPED, NAME};
use crate::error::Result;
use crate::graph::TensorType;
use crate::graph::chain::Chain;
use crate::ops::chain::{element_textures, with_bias};
use crate::plan::{Format, Kernel, Lowering, Operand};

pub(super) const VARIANT: &str = "grouped";
/// Pixels of an invocation.
const PIXELS: usize = 8;
/// Invocations of a workgroup, on a CPU and on a GPU.
const WORKGROUPS: [usize; 2] = [16, 64];
/// Invocations that keep a device busy, and turns of an invocation that make a slice worth adding.
const BUSY: usize = 256;
const SHORTEST: usize = 64;

/// Why the variant cannot be used.
pub(super) fn refusal(cx: &Lowering<'_>, g: &Geometry, direction: Direction) -> Option<String> {
    if g.window.groups == 1 || !g.group().iter().all(|channels| channels.is_multiple_of(4)) {
        return Some("only for groups of multiples of four channels, in and out".into());
    }
    if cx.inputs[..2].iter().chain(&cx.outputs).any(|ty| ty.shape.len() != 4) {
        return Some("only for images".into());
    }
    if cx.partial.is_some_and(|format| format != Format::TapsFirst) {
        return Some("parts of the weight lie in another order".into());
    }
    let [kh, kw] = g.kernel;
    let [inputs, outputs] = g.group();
    match direction {
        Direction::GradWeight => too_long(slices(g).iterations()),
        _ => too_long(kh * (1 + kw * (1 + inputs.max(outputs) / 4)) + 2 * (kh + kw)),
    }
}

/// How the weight gradient cuts its sum.
fn slices(g: &Geometry) -> Slices {
    let items = g.taps() / 4 * g.channels[1] / 4;
    Slices::new(g.batch * g.output[0], 1 + g.output[1].div_ceil(PIXELS), items, BUSY, SHORTEST)
}

/// Adds the dispatches of one direction; see [`super::lower`].
pub(super) fn lower(cx: &mut Lowering<'_>, g: &Geometry, direction: Direction, operands: &[Operand]) -> Result<()> {
    let largest = cx.inputs.iter().map(TensorType::elements).max().unwrap_or(0);
    let texture = cx.texture_refusal(2, largest.div_ceil(4)).is_none() && cx.choose_textures(NAME, largest)?;
    let workgroup = cx.by_class(WORKGROUPS);
    let kernel = Kernel::new(&GROUPED, direction.entry())
        .variant(VARIANT)
        .template("entry", direction.entry())
        .template("pixels", PIXELS)
        .template("by_rows", 0_u8)
        .template("planar", 0_u8)
        .template("texture", u8::from(texture))
        .constant("WORKGROUP", workgroup as f64);
    if direction == Direction::GradWeight {
        let mut images = [operands[0], operands[1]];
        images.iter().for_each(|&image| cx.read_in(image, Format::ChannelsLast));
        cx.write_in(Format::TapsFirst);
        if texture {
            cx.through_textures(&mut images, 0);
        }
        let slices = slices(g);
        let kernel = kernel.chain(&Chain::default(), &[]);
        return slices.dispatch(cx, kernel, &g.params(slices.count)?, images, workgroup);
    }
    // The weight comes first where the input gradient is computed.
    let backward = direction == Direction::GradInput;
    let mut inputs = if backward { [operands[1], operands[0]] } else { [operands[0], operands[1]] };
    cx.read_in(inputs[0], Format::ChannelsLast);
    cx.read_in(inputs[1], Format::TapsFirst);
    cx.write_in(Format::ChannelsLast);
    let [values @ .., result] = &operands[2..] else { return Ok(()) };
    let (chain, mut values) = with_bias(cx, values, Format::ChannelsLast);
    let mut textures = vec![false; values.len()];
    if texture {
        cx.through_textures(&mut inputs, 0);
        textures = element_textures(cx, &chain, &mut values, 2);
    }
    let ((pixels, phases), columns) = match backward {
        true => (g.phases(), g.channels[0] / 4),
        false => ((g.pixels(g.output), 1), g.channels[1] / 4),
    };
    let invocations = (pixels.div_ceil(PIXELS) * columns).saturating_mul(phases);
    let operands = [&inputs[..], &[*result], &values].concat();
    cx.dispatch(kernel.chain(&chain, &textures), &g.params(1)?, &operands, invocations.div_ceil(workgroup))
}
