//! The `winograd_planar` variant: the convolutions of `winograd` over planar images, for GPUs. Their 36 products are one 1x1
//! convolution in 36 groups, whose pixels are tiles.

use super::geometry::Geometry;
use super::kernels::Direction;
use super::tiled::{self, Tile};
use super::winograd::{CALL, ELEMENTS, Tiling, no_room, unfit};
use super::{NAME, WINOGRAD, Window};
use crate::error::Result;
use crate::graph::chain::Chain;
use crate::ops::chain::with_bias;
use crate::plan::{Candidate, Format, Kernel, Lowering, Operand};

pub(super) const VARIANT: &str = "winograd_planar";
/// Words of the transformed images of one call, at most, on a CPU and on a GPU: larger images are done in several.
const CALLS: [usize; 2] = [CALL, 4 * CALL];

fn tiling(cx: &Lowering<'_>, g: &Geometry, direction: Direction) -> Tiling {
    Tiling::new(g, direction, 1, cx.by_class(CALLS))
}

/// The direction of the products: a gradient of the input is a convolution of dy.
fn of_products(direction: Direction) -> Direction {
    if direction == Direction::GradWeight { direction } else { Direction::Forward }
}

/// The products of so many tiles.
fn products(tiling: &Tiling, tiles: usize) -> Geometry {
    Geometry {
        batch: 1,
        channels: [tiling.depth, tiling.columns].map(|channels| ELEMENTS * channels),
        input: [1, tiles],
        output: [1, tiles],
        kernel: [1; 2],
        window: Window { groups: ELEMENTS, ..Window::default() },
    }
}

/// Words of one of the 36 elements of the transformed filters, and of the images and results of a call of so many tiles: as
/// many as there are invocations.
fn planes(&Tiling { depth, columns, .. }: &Tiling, tiles: usize) -> [usize; 3] {
    [depth * columns, depth * tiles, columns * tiles]
}

/// Words of all of them.
fn scratch(tiling: &Tiling) -> [usize; 3] {
    planes(tiling, tiling.tiles_of_call()).map(|words| ELEMENTS * words)
}

/// What the options know the products as.
fn choice(direction: Direction) -> String {
    format!("{NAME}.{}.products", direction.entry())
}

/// The kernels of the products, best first.
fn candidates(cx: &Lowering<'_>, tiling: &Tiling, direction: Direction) -> Vec<Candidate> {
    let (g, name) = (products(tiling, tiling.tiles_of_call()), choice(direction));
    let direction = of_products(direction);
    let excluded =
        |tile: Tile| cx.options.excludes(&name, tile.variant).then(|| format!("{} is excluded", tile.variant));
    let refusal = |tile| tiled::refusal_whole(&g, direction, tile).or_else(|| excluded(tile));
    let tiles = tiled::single(&g, direction).into_iter();
    tiles.map(|tile| Candidate::unless(tile.variant, refusal(tile))).collect()
}

/// Bytes of the transformed filters.
fn filter_bytes(tiling: &Tiling) -> u64 {
    4 * scratch(tiling)[0] as u64
}

/// Why the variant cannot be used.
pub(super) fn refusal(cx: &Lowering<'_>, g: &Geometry, direction: Direction) -> Option<String> {
    if let Some(refusal) = unfit(g) {
        return Some(refusal);
    }
    let tiling = tiling(cx, g, direction);
    let bytes = 4 * scratch(&tiling).into_iter().max().unwrap_or(0) as u64;
    let limit = cx.capabilities.limits.max_storage_buffer_binding_size;
    if bytes > limit {
        return Some(format!("transforms of {bytes} bytes are larger than a binding's {limit}"));
    }
    let candidates = candidates(cx, &tiling, direction);
    if candidates.iter().any(|candidate| candidate.refusal.is_none()) {
        return no_room(cx, filter_bytes(&tiling), VARIANT);
    }
    candidates.into_iter().find_map(|candidate| candidate.refusal)
}

/// Adds the dispatches of one direction; see [`super::lower`].
pub(super) fn lower(cx: &mut Lowering<'_>, g: &Geometry, direction: Direction, operands: &[Operand]) -> Result<()> {
    let tiling = tiling(cx, g, direction);
    let candidates = candidates(cx, &tiling, direction);
    let variant = cx.choose(&choice(direction), candidates)?;
    let Some(tile) = Tile::named(variant) else { return Ok(()) };
    let [filters, images, results] = scratch(&tiling).map(|words| cx.scratch(words));
    let multiply = |cx: &mut Lowering<'_>, tiles, operands| {
        tiled::whole(cx, &products(&tiling, tiles), of_products(direction), tile, operands)
    };
    let transform = |entry| {
        let kernel = Kernel::new(&WINOGRAD, entry).variant(VARIANT).template("entry", entry).template("planar", 1_u8);
        kernel.template("transposed", u8::from(tiling.transposed))
    };
    let alone = |entry| transform(entry).chain(&Chain::default(), &[]);

    if direction == Direction::GradWeight {
        let &[x, dy, dw] = operands else { return Ok(()) };
        for (first, tiles) in tiling.calls() {
            let [of_filters, of_images, of_results] = planes(&tiling, tiles);
            let params = tiling.params(first, tiles, of_images)?;
            cx.dispatch_flat(alone("image"), &params, &[x, Operand::ScratchWrite(images)], of_images)?;
            let of_dy = params.of_gradients(of_results)?;
            cx.dispatch_flat(alone("gradients"), &of_dy, &[dy, Operand::ScratchWrite(results)], of_results)?;
            let read = [images, results].map(Operand::ScratchRead);
            multiply(cx, tiles, [read[0], read[1], Operand::ScratchWrite(filters)])?;
            let kernel = alone("filters").template("more", u8::from(first > 0));
            let params = tiling.params(first, tiles, of_filters)?;
            cx.dispatch_flat(kernel, &params, &[Operand::ScratchRead(filters), dw], of_filters)?;
        }
        return Ok(());
    }
    // The weight comes first where the input gradient is computed.
    let (image, weight) = if tiling.transposed { (operands[1], operands[0]) } else { (operands[0], operands[1]) };
    let [values @ .., result] = &operands[2..] else { return Ok(()) };
    let (chain, values) = with_bias(cx, values, Format::Planar);
    if cx.keeps_filter {
        cx.room_for_filters = cx.room_for_filters.saturating_sub(filter_bytes(&tiling));
    }
    let [of_filters, ..] = planes(&tiling, 0);
    let params = tiling.params(0, 0, of_filters)?;
    cx.dispatch_flat(alone("weights"), &params, &[weight, Operand::ScratchWrite(filters)], of_filters)?;
    for (first, tiles) in tiling.calls() {
        let [_, of_images, of_results] = planes(&tiling, tiles);
        let params = tiling.params(first, tiles, of_images)?;
        cx.dispatch_flat(alone("image"), &params, &[image, Operand::ScratchWrite(images)], of_images)?;
        let read = [images, filters].map(Operand::ScratchRead);
        multiply(cx, tiles, [read[0], read[1], Operand::ScratchWrite(results)])?;
        let operands = [&[Operand::ScratchRead(results), *result][..], &values].concat();
        let kernel = transform("results").chain(&chain, &vec![false; values.len()]);
        let params = tiling.params(first, tiles, of_results)?;
        cx.dispatch_flat(kernel, &params, &operands, of_results)?;
    }
    Ok(())
}
