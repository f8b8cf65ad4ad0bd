//! The `tiled` variants for GPUs: implicit matrix products through workgroup memory, in square tiles of three sizes, each
//! for operands in single and in half precision; and the `pointwise` ones, the same for 1x1 kernels.

use super::geometry::Geometry;
use super::kernels::{Direction, too_long};
use super::{NAME, POINTWISE, TILED, TILED_WEIGHT};
use crate::error::Result;
use crate::gpu::Cooperative;
use crate::graph::chain::Chain;
use crate::ops::MAX_ITERATIONS;
use crate::ops::chain::{finish_sum, with_bias};
use crate::plan::{Candidate, Format, Kernel, Lowering, Moments, Operand};

/// Compute units of the GPU that the choices are made for: more than an integrated one has, fewer than the largest. wgpu
/// does not tell how many there are.
const UNITS: usize = 64;
/// Tiles that keep such a GPU busy: two a unit, so that one computes while the other waits for memory.
pub(super) const BUSY: usize = 2 * UNITS;
/// A slice of a sum is worth its place among the partial sums from so many terms on.
const SHORTEST: usize = 256;

/// A tile: the invocations along a side of its workgroup, and how many blocks of 4x4 each has along a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) variant: &'static str,
    side: usize,
    blocks: usize,
    /// Whether the operands are f16.
    half: bool,
    /// Whether they are multiplied as cooperative matrices.
    cooperative: bool,
    /// Whether it is for 1x1 kernels alone.
    pointwise: bool,
}

/// The tiles of a kernel: the larger one is, the fewer loads for a result. Those in half precision are legal only where they
/// are asked for, and then read less.
struct Tiles {
    half: [Tile; 3],
    cooperative: Tile,
    single: [Tile; 3],
}

impl Tiles {
    /// The variants' names, each three from the largest on.
    const fn new(
        single: [&'static str; 3],
        half: [&'static str; 3],
        cooperative: &'static str,
        pointwise: bool,
    ) -> Self {
        const fn tiles([large, medium, small]: [&'static str; 3], half: bool, pointwise: bool) -> [Tile; 3] {
            let medium = Tile { variant: medium, side: 16, blocks: 1, half, cooperative: false, pointwise };
            [Tile { variant: large, blocks: 2, ..medium }, medium, Tile { variant: small, side: 8, ..medium }]
        }
        let half = tiles(half, true, pointwise);
        // Its slabs of 16 terms are a matrix or two.
        let cooperative = Tile { variant: cooperative, cooperative: true, ..half[1] };
        Self { half, cooperative, single: tiles(single, false, pointwise) }
    }

    fn all(&self) -> impl Iterator<Item = Tile> {
        self.half.into_iter().chain([self.cooperative]).chain(self.single)
    }
}

/// The variants that multiply cooperative matrices: of any product, and of 1x1 kernels.
pub(crate) const COOPERATIVE: [&str; 2] = ["cooperative", "pointwise_cooperative"];
const ANY: Tiles = Tiles::new(
    ["tiled_large", "tiled", "tiled_small"],
    ["tiled_large_half", "tiled_half", "tiled_small_half"],
    COOPERATIVE[0],
    false,
);
const POINTWISE_TILES: Tiles = Tiles::new(
    ["pointwise_large", "pointwise", "pointwise_small"],
    ["pointwise_large_half", "pointwise_half", "pointwise_small_half"],
    COOPERATIVE[1],
    true,
);

/// Whether a variant rounds its operands to half precision.
pub(crate) fn is_half(variant: &str) -> bool {
    Tile::named(variant).is_some_and(|tile| tile.half)
}

/// Whether a variant multiplies cooperative matrices.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn is_cooperative(variant: &str) -> bool {
    COOPERATIVE.contains(&variant)
}

/// Whether a product's operands are matrices as they lie in memory, image by image.
fn is_pointwise(g: &Geometry, direction: Direction) -> bool {
    let window = g.window;
    direction != Direction::GradWeight && g.kernel == [1; 2] && window.stride == [1; 2] && window.padding == [0; 4]
}

impl Tile {
    pub(super) fn named(variant: &str) -> Option<Self> {
        POINTWISE_TILES.all().chain(ANY.all()).find(|tile| tile.variant == variant)
    }

    /// Rows, and columns, of the results.
    fn size(self) -> usize {
        4 * self.side * self.blocks
    }

    /// Terms of a slab.
    fn slab(self) -> usize {
        self.side / self.blocks
    }

    /// Tiles of a product, all groups and phases together.
    fn count(self, product: &Product) -> usize {
        let [down, across] = [product.rows, product.columns].map(|length| length.div_ceil(self.size()));
        // A stride may be any number, so the product saturates; such a grid is refused.
        (down * across).saturating_mul(product.parts)
    }

    /// Slices that a sum is cut into: enough for a GPU to be busy, and for no invocation to run too long.
    fn slices(self, product: &Product) -> usize {
        let wanted = (BUSY / self.count(product).max(1)).min(product.terms / SHORTEST);
        wanted.max(self.fewest_slices(product))
    }

    fn fewest_slices(self, product: &Product) -> usize {
        (product.terms / self.slab()).div_ceil(MAX_ITERATIONS * 9 / 10).max(1)
    }
}

/// One of the products: results[rows, columns] for each of its parts, groups and phases, as sums of so many terms.
struct Product {
    rows: usize,
    columns: usize,
    terms: usize,
    parts: usize,
    /// Elements of all results.
    elements: usize,
}

impl Product {
    fn new(g: &Geometry, direction: Direction) -> Self {
        let [inputs, outputs] = g.group();
        let groups = g.window.groups;
        let taps = g.kernel[0] * g.kernel[1];
        let [sh, sw] = g.window.stride;
        match direction {
            Direction::Forward => Self {
                rows: outputs,
                columns: g.pixels(g.output),
                terms: inputs * taps,
                parts: groups,
                elements: g.channels[1] * g.pixels(g.output),
            },
            // Pixels of dx that a stride sees at one phase share their taps.
            Direction::GradInput => Self {
                rows: inputs,
                columns: g.pixels([g.input[0].div_ceil(sh), g.input[1].div_ceil(sw)]),
                terms: outputs * g.kernel[0].div_ceil(sh) * g.kernel[1].div_ceil(sw),
                parts: groups.saturating_mul(sh.saturating_mul(sw)),
                elements: g.channels[0] * g.pixels(g.input),
            },
            Direction::GradWeight => Self {
                rows: outputs,
                columns: inputs * taps,
                terms: g.pixels(g.output),
                parts: groups,
                elements: g.channels[1] * inputs * taps,
            },
        }
    }
}

/// The tiles, best first: the largest of which there are enough to keep a GPU busy, unless it is mostly empty. Those of 1x1
/// kernels stand where they may be used.
pub(super) fn order(g: &Geometry, direction: Direction) -> Vec<&'static str> {
    let product = Product::new(g, direction);
    let full = |tile: Tile| product.rows.min(product.columns) > tile.size() / 2;
    let good = |tile: Tile| full(tile) && tile.count(&product) * tile.slices(&product) >= BUSY;
    // Of those that are not, the smaller ones have more tiles.
    let best = ANY.single.into_iter().position(good).unwrap_or(ANY.single.len() - 1);
    let ordered = |mut tiles: [Tile; 3]| {
        tiles[..=best].rotate_right(1);
        tiles.map(|tile| tile.variant)
    };
    let named = |tiles: Tiles| {
        let mut variants = [ordered(tiles.half), ordered(tiles.single)].concat();
        variants.insert(if full(tiles.cooperative) { 0 } else { tiles.half.len() }, tiles.cooperative.variant);
        variants
    };
    if is_pointwise(g, direction) { [named(POINTWISE_TILES), named(ANY)].concat() } else { named(ANY) }
}

/// Why a tile cannot be used.
pub(super) fn refusal(cx: &Lowering<'_>, g: &Geometry, direction: Direction, tile: Tile) -> Option<String> {
    let product = Product::new(g, direction);
    let terms = product.terms.div_ceil(tile.fewest_slices(&product));
    let half = if tile.half { cx.half_refusal(tile.variant) } else { None };
    let cooperative = || if tile.cooperative { matrices(cx, tile).err() } else { None };
    half.or_else(cooperative).or_else(|| too_long(iterations(g, terms, tile)))
}

/// Loop iterations of an invocation that goes over so many terms.
fn iterations(g: &Geometry, terms: usize, tile: Tile) -> usize {
    terms.div_ceil(tile.slab()) + 2 * (g.kernel[0] + g.kernel[1]) + tile.side * tile.blocks
}

/// The side of the cooperative matrices and the invocations of a subgroup, or why they cannot be used.
fn matrices(cx: &Lowering<'_>, tile: Tile) -> Result<[usize; 2], String> {
    let side = match cx.capabilities.cooperative {
        Cooperative::Sound(side) => side as usize,
        Cooperative::Unchecked(side) if cx.options.trial => side as usize,
        Cooperative::Unchecked(_) => return Err("the device's cooperative matrices are not checked".into()),
        Cooperative::Unsound => return Err("the device's cooperative matrices compute wrong".into()),
        Cooperative::Absent => return Err("the device has no cooperative matrices of f16 into f32".into()),
    };
    let subgroup = cx.capabilities.subgroup().ok_or("subgroups are not all of one size")?;
    // A subgroup's matrices lie in one row of the tile.
    let rows = tile.size() / side;
    let subgroups = tile.side * tile.side / subgroup;
    match subgroups >= rows && rows * rows >= subgroups {
        true => Ok([side, subgroup]),
        false => Err(format!("{subgroups} subgroups do not share {rows}x{rows} matrices evenly")),
    }
}

/// The tiles of a product in single precision that is a part of something else, best first.
pub(super) fn single(g: &Geometry, direction: Direction) -> Vec<Tile> {
    order(g, direction).into_iter().filter_map(Tile::named).filter(|tile| !tile.half).collect()
}

/// Why a tile cannot compute a product whole.
pub(super) fn refusal_whole(g: &Geometry, direction: Direction, tile: Tile) -> Option<String> {
    too_long(iterations(g, Product::new(g, direction).terms, tile))
}

/// Adds the dispatch of a product as it is, whole and with nothing after it.
pub(super) fn whole(
    cx: &mut Lowering<'_>,
    g: &Geometry,
    direction: Direction,
    tile: Tile,
    operands: [Operand; 3],
) -> Result<()> {
    let kernel = kernel(cx, g, direction, tile).template("statistics", 0).chain(&Chain::default(), &[]);
    cx.dispatch(kernel, &g.params(1)?, &operands, tile.count(&Product::new(g, direction)))
}

/// The kernel of a product, but for what is done with its results.
fn kernel(cx: &Lowering<'_>, g: &Geometry, direction: Direction, tile: Tile) -> Kernel {
    let [cooperative, subgroup] = if tile.cooperative { matrices(cx, tile).unwrap_or_default() } else { [0; 2] };
    let shader = match direction {
        _ if tile.pointwise => &POINTWISE,
        Direction::GradWeight => &TILED_WEIGHT,
        _ => &TILED,
    };
    let pixels = g.output[0] * g.output[1];
    // How many columns of the result lie together.
    let together = match direction {
        Direction::Forward => pixels,
        Direction::GradInput if g.window.stride == [1; 2] => g.input[0] * g.input[1],
        Direction::GradInput => 1,
        Direction::GradWeight => g.taps(),
    };
    // What lies together in memory of the left operand and of the right one.
    let (left, right) = match direction {
        Direction::GradWeight => ("terms", "terms"),
        Direction::GradInput if tile.pointwise => ("rows", if pixels == 1 { "terms" } else { "columns" }),
        _ => ("terms", if tile.pointwise && pixels == 1 { "terms" } else { "columns" }),
    };
    Kernel::new(shader, direction.entry())
        .variant(tile.variant)
        .template("entry", direction.entry())
        .template("image_fours", u8::from(tile.pointwise && pixels.is_multiple_of(4)))
        .template("result_fours", u8::from(together.is_multiple_of(4)))
        .template("left", left)
        .template("right", right)
        .template("cooperative", cooperative)
        .template("subgroup", subgroup)
        .template("half", u8::from(tile.half))
        .template("side", tile.side)
        .template("blocks", tile.blocks)
}

/// Adds the dispatches of one direction; see [`super::lower`].
pub(super) fn lower(
    cx: &mut Lowering<'_>,
    g: &Geometry,
    direction: Direction,
    tile: Tile,
    operands: &[Operand],
) -> Result<()> {
    let product = Product::new(g, direction);
    let slices = choose_slices(cx, direction, tile, &product)?;
    let [image, factor] = match direction {
        Direction::GradInput => [operands[1], operands[0]],
        _ => [operands[0], operands[1]],
    };
    if tile.half {
        [image, factor].into_iter().for_each(|operand| cx.read_in(operand, Format::Half));
    }
    let kernel = kernel(cx, g, direction, tile);
    let params = g.params(slices)?;
    let workgroups = tile.count(&product).saturating_mul(slices);
    let [values @ .., result] = &operands[2..] else { return Ok(()) };
    let (chain, values) = with_bias(cx, values, Format::Planar);
    if slices == 1 {
        let mut operands = [&[image, factor, *result], &values[..]].concat();
        let refusal = tile.cooperative.then(|| "the places of a cooperative matrix's elements are unknown".to_string());
        let statistics = direction == Direction::Forward && choose_statistics(cx, refusal, operands.len())?;
        if statistics {
            let tiles = product.columns.div_ceil(tile.size());
            let scratch = cx.scratch(2 * g.channels[1] * tiles);
            cx.moments = Some(Moments { scratch, tiles, length: tile.size() });
            operands.push(Operand::ScratchWrite(scratch));
        }
        let kernel = kernel.template("statistics", u8::from(statistics)).chain(&chain, &vec![false; values.len()]);
        return cx.dispatch(kernel, &params, &operands, workgroups);
    }
    let partial = cx.scratch(slices * product.elements);
    let kernel = kernel.template("statistics", 0).chain(&Chain::default(), &[]);
    cx.dispatch(kernel, &params, &[image, factor, Operand::ScratchWrite(partial)], workgroups)?;
    finish_sum(cx, (slices, partial), &chain, &values, Format::Planar)
}

/// Into how many slices the sums are cut.
fn choose_slices(cx: &mut Lowering<'_>, direction: Direction, tile: Tile, product: &Product) -> Result<usize> {
    let slices = tile.slices(product);
    let whole = (tile.fewest_slices(product) > 1).then(|| "one invocation would run too long".to_string());
    let split = (slices < 2).then(|| "the tiles are many or the sums short".to_string());
    let candidates = vec![Candidate::unless("split", split), Candidate::unless("whole", whole)];
    let chosen = cx.choose(&format!("{NAME}.{}.sum", direction.entry()), candidates)?;
    Ok(if chosen == "split" { slices } else { 1 })
}

/// Whether the kernel also takes the statistics that a batch normalisation wants of its results, so that nobody reads these
/// for it: a saving where memory is slow beside the arithmetic, as on GPUs. Software adapters have other kernels; there the
/// statistics are 1.4 % of a training step of ResNet-18 (`omma profile resnet18-64 --training`).
pub(super) fn choose_statistics(cx: &mut Lowering<'_>, refusal: Option<String>, bindings: usize) -> Result<bool> {
    if !cx.observed {
        return Ok(false);
    }
    let most = cx.capabilities.limits.max_storage_buffers_per_shader_stage as usize;
    let more = || (bindings >= most).then(|| format!("it binds {} buffers, the device allows {most}", bindings + 1));
    let refusal = refusal.or_else(more);
    let candidates = vec![Candidate::unless("statistics", refusal), Candidate::unless("apart", None)];
    Ok(cx.choose(&format!("{NAME}.forward.results"), candidates)? == "statistics")
}
