//! The statistics of what a kernel has computed tile by tile, which left those of its tiles.

use super::{BatchNorm, NAME};
use crate::error::Result;
use crate::graph::Mode;
use crate::ops::conv2d::Conv2d;
use crate::plan::{Kernel, Lowering, Moments, Operand, Shader, params, shader, word};
use crate::selftest::OpCase;

params! {
    TilesParams { channels: u32, tiles: u32, length: u32, last: u32 }
}
pub(crate) static SHADER: Shader = shader!("batch_norm_tiles", TilesParams, ["grid"]);

/// Adds the dispatch that joins a channel's tiles, `count` elements in all, into outputs 0 and 1.
pub(super) fn lower(cx: &mut Lowering<'_>, moments: Moments, channels: usize, count: usize) -> Result<()> {
    let Moments { scratch, tiles, length } = moments;
    let params = TilesParams {
        channels: word(NAME, channels)?,
        tiles: word(NAME, tiles)?,
        length: word(NAME, length)?,
        last: word(NAME, count - (tiles - 1) * length)?,
    };
    // A few tiles an invocation, as far as a workgroup may have so many of these.
    let workgroup = (tiles / 4).next_power_of_two().clamp(32, 256);
    let kernel = Kernel::new(&SHADER, "merge").variant("statistics").constant("WORKGROUP", workgroup as f64);
    cx.dispatch(kernel, &params, &[Operand::ScratchRead(scratch), Operand::Output(0), Operand::Output(1)], channels)
}

/// Normalisations of what convolutions and dense layers compute, whose kernels for GPUs leave the statistics. The images are
/// no floats: their gradient would be a sum of what was rounded before, beyond the bound of one sum.
pub(super) fn cases() -> Vec<OpCase> {
    let conv = Conv2d::new;
    let problems = [
        ("two tiles either way", [2, 3, 9, 7], conv(70, 3).padding(1)),
        ("groups", [1, 4, 12, 11], conv(10, 3).groups(2)),
        ("eleven pixels", [11, 2, 1, 1], conv(5, 1)),
        ("a last tile of one pixel", [1, 4, 4, 257], conv(9, 4)),
        ("1x1, planes in fours", [3, 4, 6, 10], conv(66, 1)),
        ("a stem of whole tiles", [2, 3, 16, 64], conv(66, 7).stride(2).padding(3)),
        ("many tiles", [5, 1, 61, 67], conv(2, 1)),
    ];
    let convolutions = problems.map(|(name, shape, settings)| {
        OpCase::new(format!("batch_norm after conv2d: {name}"), move |cx| {
            let x = cx.bytes("x", shape)?.normalize(&[0.45; 4][..shape[1]], &[0.25; 4][..shape[1]])?;
            let y = x.conv2d("conv", settings)?;
            y.batch_norm("bn", BatchNorm::default()).map(|y| vec![y])
        })
    });
    let dense = OpCase::new("batch_norm after dense", |cx| {
        let y = cx.normal("x", [130, 5])?.dense("dense", 9)?;
        y.batch_norm("bn", BatchNorm::default()).map(|y| vec![y])
    });
    let all = convolutions.into_iter().chain([dense]);
    all.map(|case| case.mode(Mode::Training).randomize_parameters().in_single_precision()).collect()
}
