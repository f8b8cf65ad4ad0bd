//! The sums over channels-last images: four channels an invocation.

use super::NAME;
use crate::error::Result;
use crate::ops::MAX_ITERATIONS;
use crate::plan::{Kernel, Lowering, Operand, Shader, params, shader, word};

params! {
    SumsParams { rows: u32, quads: u32, lanes: u32, epsilon: f32 }
}
pub(crate) static SHADER: Shader =
    shader!("batch_norm_channels_last", SumsParams, ["grid", "divide", "texture", "read"]);

/// A software adapter computes a workgroup on one core: so they are as small as its vectors.
const WORKGROUP: usize = 8;
/// Invocations that keep a few cores busy.
const BUSY: usize = 64;
/// Up to so many rows, one lane is done sooner than the second stage begins, where it has work for two cores.
const SHORT: usize = 8192;
const WIDE: usize = 16;

/// Into how many lanes to cut `rows` of so many fours of channels.
fn lanes(rows: usize, quads: usize) -> usize {
    let busy = if quads >= WIDE && rows <= SHORT { 1 } else { BUSY.div_ceil(quads) };
    busy.max(rows.div_ceil(MAX_ITERATIONS * 9 / 10)).min(rows)
}

/// Adds `entry` over `reads` (textured where `large`), and the second stage where it takes one, into outputs 0 and 1.
pub(super) fn lower(
    cx: &mut Lowering<'_>,
    entries: [&'static str; 2],
    reads: &[(Operand, bool)],
    [rows, channels]: [usize; 2],
    epsilon: f32,
) -> Result<()> {
    let quads = channels / 4;
    let lanes = lanes(rows, quads);
    let params = SumsParams { rows: word(NAME, rows)?, quads: word(NAME, quads)?, lanes: word(NAME, lanes)?, epsilon };
    let textured = cx.choose_textures(NAME, rows * channels)?;
    let mut operands: Vec<Operand> = reads.iter().map(|(operand, _)| *operand).collect();
    if textured {
        let large = operands.iter_mut().zip(reads).filter(|(_, (_, large))| *large).map(|(operand, _)| operand);
        cx.through_textures(large, 0);
    }
    let kernel = |entry: &'static str| {
        Kernel::new(&SHADER, entry)
            .variant("channels_last")
            .constant("WORKGROUP", WORKGROUP as f64)
            .template("entry", entry)
            .template("texture", u8::from(textured))
            .template("whole", u8::from(lanes == 1))
    };
    let results = [Operand::Output(0), Operand::Output(1)];
    if lanes == 1 {
        return cx.dispatch(
            kernel(entries[0]),
            &params,
            &[&operands[..], &results].concat(),
            quads.div_ceil(WORKGROUP),
        );
    }
    let parts = [cx.scratch(lanes * channels), cx.scratch(lanes * channels)];
    let written = parts.map(Operand::ScratchWrite);
    cx.dispatch(kernel(entries[0]), &params, &[&operands[..], &written].concat(), (lanes * quads).div_ceil(WORKGROUP))?;
    let read = parts.map(Operand::ScratchRead);
    cx.dispatch(kernel(entries[1]), &params, &[read, results].concat(), quads.div_ceil(WORKGROUP))
}
