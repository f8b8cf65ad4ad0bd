//! Which kernel computes a convolution or a gradient of it, and over which grid.

use super::geometry::Geometry;
use super::{BLOCKED, NAIVE, NAME, TILED};
use crate::error::Result;
use crate::gpu::DeviceClass;
use crate::ops::MAX_ITERATIONS;
use crate::plan::{Candidate, Kernel, Lowering, Operand};

/// One of the three products that a convolution and its gradients are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum Direction {
    Forward,
    GradInput,
    GradWeight,
}

impl Direction {
    fn entry(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::GradInput => "grad_input",
            Self::GradWeight => "grad_weight",
        }
    }
}

/// Rows (channels) and columns (pixels or taps) of a `blocked` invocation's tile, and its workgroup.
const BLOCK: [usize; 2] = [8, 16];
const BLOCKED_WORKGROUP: usize = 16;
/// Side of a `tiled` workgroup's tile.
const TILE: usize = 64;

/// How one variant computes one direction.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// Workgroups.
    workgroups: usize,
    /// Slices of the sum (weight gradient only).
    splits: usize,
    /// Loop iterations of one invocation.
    iterations: usize,
}

fn layout(g: &Geometry, direction: Direction, variant: &str) -> Layout {
    let [per_group_in, per_group_out] = g.group();
    let groups = g.window.groups;
    let [kh, kw] = g.kernel;
    // The product's rows within a group, columns, and what is summed over.
    let (rows, columns) = match direction {
        Direction::Forward => (per_group_out, g.pixels(g.output)),
        Direction::GradInput => (per_group_in, g.pixels(g.input)),
        Direction::GradWeight => (per_group_out, g.taps()),
    };
    // Pixels of dx that a stride sees at one phase share their taps: tiled kernels take the phases one after the other.
    let [sh, sw] = g.window.stride;
    let phase = g.pixels([g.input[0].div_ceil(sh), g.input[1].div_ceil(sw)]);
    let inner = if direction == Direction::Forward { per_group_in } else { per_group_out };
    // Work items of a slice, invocations of a workgroup, the length that is cut into slices, and an invocation's loop
    // iterations for each unit of it.
    let block = rows.div_ceil(BLOCK[0]) * groups;
    let tile = rows.div_ceil(TILE) * groups;
    let (items, workgroup, axis, each) = match (variant, direction) {
        ("naive", Direction::GradWeight) => (rows * columns * groups, 64, g.pixels(g.output), 1),
        ("naive", _) => (rows * columns * groups, 64, 1, inner * (1 + kh * (1 + kw))),
        ("blocked", Direction::GradWeight) => {
            let items = block * columns.div_ceil(BLOCK[1]);
            (items, BLOCKED_WORKGROUP, g.batch * g.output[0], 1 + g.output[1])
        }
        ("blocked", Direction::GradInput) => {
            (block * (phase * sh * sw).div_ceil(BLOCK[1]), BLOCKED_WORKGROUP, 1, kh * (1 + kw * (1 + inner)))
        }
        ("blocked", Direction::Forward) => {
            (block * columns.div_ceil(BLOCK[1]), BLOCKED_WORKGROUP, 1, kh * (1 + kw * (1 + inner)))
        }
        // A slab of 16 terms takes a few loops.
        (_, Direction::GradWeight) => (tile * columns.div_ceil(TILE), 1, g.pixels(g.output).div_ceil(16), 5),
        (_, direction) => {
            let columns =
                if direction == Direction::Forward { columns.div_ceil(TILE) } else { sh * sw * phase.div_ceil(TILE) };
            (tile * columns, 1, 1, 5 * (inner * kh * kw).div_ceil(16) + 2 * (kh + kw))
        }
    };
    // Enough slices to keep the device busy, each long enough to be worth its place among the partial sums, and none
    // longer than one invocation may run.
    let (busy, shortest) = match variant {
        "naive" => (4096, 512),
        "blocked" => (128, 256),
        _ => (256, 64),
    };
    let wanted = (busy / items.max(1)).min(axis * each / shortest);
    let legal = (axis * each).div_ceil(MAX_ITERATIONS * 9 / 10);
    let splits = if axis == 1 { 1 } else { wanted.max(legal).clamp(1, axis) };
    Layout { workgroups: (splits * items).div_ceil(workgroup), splits, iterations: axis.div_ceil(splits) * each }
}

/// Adds the dispatches of one direction. `operands` are the inputs of the entry point, then the output.
pub(in crate::ops) fn lower(
    cx: &mut Lowering<'_>,
    g: &Geometry,
    direction: Direction,
    operands: &[Operand],
) -> Result<()> {
    let refusal = |variant: &str| {
        let Layout { iterations, splits, .. } = layout(g, direction, variant);
        (iterations > MAX_ITERATIONS || splits > MAX_ITERATIONS)
            .then(|| format!("{iterations} iterations in one invocation are too many"))
    };
    let candidate = |variant: &'static str| Candidate::unless(variant, refusal(variant));
    // A tile of 64 channels is mostly empty where a group has few.
    let narrow = g.group().iter().all(|&channels| channels < TILE / 8) && g.window.groups > 1;
    let order = match cx.class() {
        DeviceClass::Cpu if narrow => ["naive", "blocked", "tiled"],
        DeviceClass::Cpu => ["blocked", "tiled", "naive"],
        DeviceClass::Gpu if narrow => ["naive", "blocked", "tiled"],
        DeviceClass::Gpu => ["tiled", "blocked", "naive"],
    };
    let entry = direction.entry();
    let variant = cx.choose(&format!("{NAME}.{entry}"), order.map(candidate).to_vec())?;
    let Layout { workgroups, splits, .. } = layout(g, direction, variant);
    let params = g.params(splits)?;
    let kernel = match variant {
        "naive" => Kernel::new(&NAIVE, entry).constant("WORKGROUP", 64.0),
        "blocked" => Kernel::new(&BLOCKED, entry)
            .template("rows", BLOCK[0])
            .template("columns", BLOCK[1])
            .constant("WORKGROUP", BLOCKED_WORKGROUP as f64),
        _ => Kernel::new(&TILED, entry),
    };
    let kernel = kernel.variant(variant);
    if direction == Direction::Forward {
        // Bindings are fixed: without a bias, the weight stands in its place.
        let (inputs, y) = operands.split_at(operands.len() - 1);
        let bias = inputs.get(2).copied();
        let operands = [inputs[0], inputs[1], bias.unwrap_or(inputs[1]), y[0]];
        return cx.dispatch(kernel.flag("HAS_BIAS", bias.is_some()), &params, &operands, workgroups);
    }
    if splits == 1 {
        return cx.dispatch(kernel, &params, operands, workgroups);
    }
    let (inputs, dw) = operands.split_at(2);
    let count = g.channels[1] * g.taps();
    let partial = cx.scratch(splits * count);
    cx.dispatch(kernel, &params, &[inputs[0], inputs[1], Operand::ScratchWrite(partial)], workgroups)?;
    let sum = Kernel::new(&NAIVE, "sum_partials");
    cx.dispatch_flat(sum, &params, &[Operand::ScratchRead(partial), dw[0]], count)
}
