//! Which kernel computes a convolution or a gradient of it, and over which grid.

use super::depthwise::{self, Layout};
use super::geometry::Geometry;
use super::tiled::{self, Tile};
use super::{BLOCKED, ConvParams, NAIVE, NAME, channels_last, grouped, packed, stem, winograd, winograd_planar};
use crate::error::Result;
use crate::gpu::DeviceClass;
use crate::graph::chain::Chain;
use crate::ops::{MAX_ITERATIONS, chain};
use crate::plan::{Candidate, Format, Kernel, Lowering, Operand};

/// One of the three products that a convolution and its gradients are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum Direction {
    Forward,
    GradInput,
    GradWeight,
}

impl Direction {
    pub(super) fn entry(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::GradInput => "grad_input",
            Self::GradWeight => "grad_weight",
        }
    }
}

/// Rows (channels) of a `blocked` invocation's tile, its columns (pixels or taps), and its workgroup.
const BLOCK_ROWS: usize = 8;
const BLOCK_COLUMNS: [usize; 2] = [16, 8];
/// Tiles below which they have the fewer columns: more invocations, and a text that a driver compiles in half the time.
const FEW_BLOCKS: usize = 128;
const BLOCKED_WORKGROUP: usize = 16;
/// Groups of fewer channels leave a matrix kernel's tile mostly empty.
const NARROW: usize = 8;
/// Channels from which on a copy of the operands of a 1x1 kernel pays on a CPU adapter.
const MANY: usize = 16;

/// A kernel's work items and, in a weight gradient, how its sum is cut into slices.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slices {
    pub(super) count: usize,
    /// Work items of each slice.
    items: usize,
    /// Units of the axis that is cut, in each slice, and an invocation's loop iterations for each.
    length: usize,
    each: usize,
}

impl Slices {
    /// Enough slices of `items` work items to keep a device busy with `busy` of them, each of at least `shortest`
    /// iterations to be worth its place among the partial sums, and none longer than one invocation may run.
    pub(super) fn new(axis: usize, each: usize, items: usize, busy: usize, shortest: usize) -> Self {
        let wanted = (busy / items.max(1)).min(axis * each / shortest);
        let legal = (axis * each).div_ceil(MAX_ITERATIONS * 9 / 10);
        let count = wanted.max(legal).clamp(1, axis);
        Self { count, items, length: axis.div_ceil(count), each }
    }

    /// Loop iterations of the longest invocation, that which adds the slices included.
    pub(super) fn iterations(&self) -> usize {
        (self.length * self.each).max(1 + self.count)
    }

    pub(super) fn workgroups(&self, workgroup: usize) -> usize {
        self.count.saturating_mul(self.items).div_ceil(workgroup)
    }

    /// Adds the kernel's dispatch to the node's output, and that which adds its slices if there is more than one.
    pub(super) fn dispatch(
        &self,
        cx: &mut Lowering<'_>,
        kernel: Kernel,
        params: &ConvParams,
        [x, dy]: [Operand; 2],
        workgroup: usize,
    ) -> Result<()> {
        let workgroups = self.workgroups(workgroup);
        if self.count == 1 {
            return cx.dispatch(kernel, params, &[x, dy, Operand::Output(0)], workgroups);
        }
        let partial = cx.scratch(self.count * cx.outputs[0].elements());
        cx.dispatch(kernel, params, &[x, dy, Operand::ScratchWrite(partial)], workgroups)?;
        // A sum needs no format.
        chain::finish_sum(cx, (self.count, partial), &Chain::default(), &[], Format::Planar)
    }
}

/// How the work of `naive` or `blocked` is dealt out.
struct Work {
    slices: Slices,
    workgroup: usize,
    /// Columns of a tile of `blocked`.
    columns: usize,
}

/// The work of one of these variants in one direction.
fn work(g: &Geometry, direction: Direction, variant: &str) -> Work {
    let [per_group_in, per_group_out] = g.group();
    let groups = g.window.groups;
    let [kh, kw] = g.kernel;
    // The product's rows within a group, columns, and what is summed over.
    let (rows, columns) = match direction {
        Direction::Forward => (per_group_out, g.pixels(g.output)),
        Direction::GradInput => (per_group_in, g.pixels(g.input)),
        Direction::GradWeight => (per_group_out, g.taps()),
    };
    let inner = if direction == Direction::Forward { per_group_in } else { per_group_out };
    // The length that is cut into slices, and an invocation's loop iterations for each unit of it.
    let (axis, each) = match (variant, direction) {
        ("naive", Direction::GradWeight) => (g.pixels(g.output), 1),
        ("naive", _) => (1, inner * (1 + kh * (1 + kw))),
        (_, Direction::GradWeight) => (g.batch * g.output[0], 1 + g.output[1]),
        _ => (1, kh * (1 + kw * (1 + inner))),
    };
    if variant == "naive" {
        let slices = Slices::new(axis, each, rows * columns * groups, 4096, 512);
        return Work { slices, workgroup: 64, columns: 1 };
    }
    // Pixels of dx that a stride sees at one phase share their taps: the phases are taken one after the other.
    let (phase, phases) = g.phases();
    let columns = if direction == Direction::GradInput { phases.saturating_mul(phase) } else { columns };
    let tiles = |width: usize| (rows.div_ceil(BLOCK_ROWS) * groups).saturating_mul(columns.div_ceil(width));
    // A weight gradient has few tiles of long sums.
    let few = direction != Direction::GradWeight && tiles(BLOCK_COLUMNS[0]) < FEW_BLOCKS;
    let width = BLOCK_COLUMNS[usize::from(few)];
    Work { slices: Slices::new(axis, each, tiles(width), 128, 256), workgroup: BLOCKED_WORKGROUP, columns: width }
}

/// Adds the dispatches of one direction. `operands` are the inputs of the entry point, then the output.
pub(in crate::ops) fn lower(
    cx: &mut Lowering<'_>,
    g: &Geometry,
    direction: Direction,
    operands: &[Operand],
) -> Result<()> {
    let refusal = |variant: &str| match variant {
        "channels_last" => channels_last::refusal(cx, g, direction),
        winograd::VARIANT => winograd::refusal(cx, g, direction),
        winograd_planar::VARIANT => winograd_planar::refusal(cx, g, direction),
        "packed" => packed::refusal(cx, g, direction),
        grouped::VARIANT => grouped::refusal(cx, g, direction),
        stem::VARIANT => stem::refusal(g, direction),
        "depthwise" => depthwise::refusal(cx, g, direction, Layout::Fours),
        "depthwise_planar" => depthwise::refusal(cx, g, direction, Layout::Planar),
        _ => match Tile::named(variant) {
            Some(tile) => tiled::refusal(cx, g, direction, tile),
            None => too_long(work(g, direction, variant).slices.iterations()),
        },
    };
    let candidate = |variant: &'static str| Candidate::unless(variant, refusal(variant));
    // A CPU adapter gains from blocks that are half empty, too.
    let narrow = g.group().iter().all(|&channels| channels < NARROW) && g.window.groups > 1;
    // A packed copy pays where each of its elements is read for several taps, or for many channels; it holds rows in fours.
    let many = g.channels.iter().all(|&channels| channels >= MANY) && g.output[1] >= 4;
    let unpacked = g.kernel == [1; 2] && !many;
    let mut tiles = tiled::order(g, direction);
    if stem::refusal(g, direction).is_none() {
        let place = if stem::worthwhile(g) { 0 } else { tiles.len() };
        tiles.insert(place, stem::VARIANT);
    }
    let grouped: &[&str] = &[grouped::VARIANT];
    let order: &[&[&str]] = match cx.class() {
        DeviceClass::Gpu if narrow => &[&["naive", "blocked"], grouped, &tiles, &["packed", "channels_last"]],
        DeviceClass::Gpu => &[&tiles, grouped, &["blocked", "packed", "channels_last", "naive"]],
        DeviceClass::Cpu if unpacked || narrow => &[grouped, &["channels_last", "blocked", "packed", "naive"], &tiles],
        DeviceClass::Cpu => &[grouped, &["channels_last", "packed", "blocked", "naive"], &tiles],
    };
    let place = |worthwhile: bool| if worthwhile { &[winograd::VARIANT][..] } else { &[] };
    let worthwhile = winograd::worthwhile(cx, g, direction);
    let (first, last) = (place(worthwhile), place(!worthwhile));
    let first = [&["depthwise", "depthwise_planar"], first].concat();
    let order = [&first, &order.concat()[..], last, &[winograd_planar::VARIANT]].concat();
    let entry = direction.entry();
    let candidates = order.into_iter().map(candidate).collect();
    let variant = cx.choose(&format!("{NAME}.{entry}"), candidates)?;
    match variant {
        // They compute the epilogue themselves.
        winograd::VARIANT => return winograd::lower(cx, g, direction, operands),
        winograd_planar::VARIANT => return winograd_planar::lower(cx, g, direction, operands),
        "channels_last" => return channels_last::lower(cx, g, direction, operands),
        "depthwise" => return depthwise::lower(cx, g, direction, Layout::Fours, operands),
        "depthwise_planar" => return depthwise::lower(cx, g, direction, Layout::Planar, operands),
        grouped::VARIANT => return grouped::lower(cx, g, direction, operands),
        stem::VARIANT => return stem::lower(cx, g, operands),
        "packed" => packed::lower(cx, g, direction, operands)?,
        variant => match Tile::named(variant) {
            Some(tile) => return tiled::lower(cx, g, direction, tile, operands),
            None => return lower_planar(cx, g, direction, operands, variant),
        },
    }
    chain::finish(cx, &[], Format::Planar)
}

/// The variants over planar images as they are.
fn lower_planar(
    cx: &mut Lowering<'_>,
    g: &Geometry,
    direction: Direction,
    operands: &[Operand],
    variant: &'static str,
) -> Result<()> {
    let entry = direction.entry();
    let Work { slices, workgroup, columns } = work(g, direction, variant);
    let kernel = match variant {
        "naive" => Kernel::new(&NAIVE, entry).constant("WORKGROUP", 64.0),
        _ => Kernel::new(&BLOCKED, entry)
            .template("rows", BLOCK_ROWS)
            .template("columns", columns)
            .constant("WORKGROUP", BLOCKED_WORKGROUP as f64),
    };
    let kernel = kernel.variant(variant);
    let params = g.params(slices.count)?;
    if direction == Direction::Forward {
        let kernel = kernel.flag("HAS_BIAS", operands.len() == 4);
        cx.dispatch(kernel, &params, &bind_bias(operands), slices.workgroups(workgroup))?;
        return chain::finish(cx, &[], Format::Planar);
    }
    let [first, second, bias @ .., _] = operands else { return Ok(()) };
    slices.dispatch(cx, kernel, &params, [*first, *second], workgroup)?;
    chain::finish(cx, bias, Format::Planar)
}

/// Why an invocation cannot run so many iterations.
pub(super) fn too_long(iterations: usize) -> Option<String> {
    (iterations > MAX_ITERATIONS).then(|| format!("{iterations} iterations in one invocation are too many"))
}

/// `operands` of a forward pass, without a bias the weight standing in its place: bindings are fixed.
pub(super) fn bind_bias(operands: &[Operand]) -> [Operand; 4] {
    let bias = if operands.len() == 4 { operands[2] } else { operands[1] };
    [operands[0], operands[1], bias, operands[operands.len() - 1]]
}
