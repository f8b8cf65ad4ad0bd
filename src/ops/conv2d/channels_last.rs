//! The `channels_last` variant: an implicit matrix product over channels-last images, one subgroup a tile, for adapters that
//! run a subgroup as one vector on a CPU. An input whose channels are no fours is packed by rows of the kernel first.

use super::geometry::Geometry;
use super::kernels::{Direction, Slices, too_long};
use super::{CHANNELS_LAST, CHANNELS_LAST_WEIGHT, NAME, PACK};
use crate::error::Result;
use crate::gpu::DeviceClass;
use crate::graph::TensorType;
use crate::graph::chain::Chain;
use crate::ops::chain::{element_textures, finish, with_bias};
use crate::plan::{Format, Kernel, Lowering, Operand};

/// Shuffled pixels of a tile, at most, and fours of channels a lane: together the accumulators that were fastest.
const TURNS: usize = 28;
const QUADS: usize = 2;
/// Fours of channels of x in a tile of the weight gradient.
const DEPTH: usize = 4;

/// Fours of channels a lane, where so many columns meet so many lanes.
pub(super) fn quads(columns: usize, lanes: usize) -> usize {
    if columns > lanes { QUADS } else { 1 }
}

/// Shuffled pixels of a tile: as few tiles as with the most turns, all equally full; in steps, so that few shapes need a
/// kernel of their own.
pub(super) fn turns(pixels: usize, share: usize) -> usize {
    let tiles = pixels.div_ceil(TURNS * share);
    pixels.div_ceil(tiles * share).next_multiple_of(4).min(TURNS)
}

/// One of the products, as its kernel sees it.
struct Problem {
    /// Invocations of a subgroup.
    lanes: usize,
    /// Whether a row of the kernel is one tap, of an image that is packed so.
    by_rows: bool,
    /// Whether the result is planar, since its channels are no fours.
    planar: bool,
    /// Down and across.
    taps: [usize; 2],
    /// Fours of channels that are summed over, and of the output.
    depth: usize,
    columns: usize,
    /// Pixels that share a subgroup, where there are few columns.
    share: usize,
    /// Fours of channels a lane.
    quads: usize,
    /// Shuffled pixels of a tile.
    turns: usize,
    /// Pixels of one phase of the output, and phases.
    pixels: usize,
    phases: usize,
}

impl Problem {
    fn new(g: &Geometry, direction: Direction, lanes: usize) -> Self {
        let odd = !g.channels[0].is_multiple_of(4);
        let (by_rows, planar) = (odd && direction != Direction::GradInput, odd && direction == Direction::GradInput);
        let row = if by_rows { g.channels[0] * g.kernel[1] } else { g.channels[0] };
        let [inputs, outputs] = [row, g.channels[1]].map(|channels| channels.div_ceil(4));
        let (depth, columns) = if direction == Direction::GradInput { (outputs, inputs) } else { (inputs, outputs) };
        let (pixels, phases) = match direction {
            Direction::GradInput => g.phases(),
            _ => (g.pixels(g.output), 1),
        };
        let share = (lanes / columns.next_power_of_two()).max(1);
        let (quads, turns) = (quads(columns, lanes), turns(pixels, share));
        let taps = [g.kernel[0], if by_rows { 1 } else { g.kernel[1] }];
        Self { lanes, by_rows, planar, taps, depth, columns, share, quads, turns, pixels, phases }
    }

    /// Fours of channels of a tile.
    fn tile(&self) -> usize {
        self.quads * self.lanes / self.share
    }

    fn workgroups(&self) -> usize {
        let tiles = self.pixels.div_ceil(self.turns * self.share) * self.columns.div_ceil(self.tile());
        tiles.saturating_mul(self.phases)
    }

    /// How the weight gradient cuts its sum.
    fn slices(&self) -> Slices {
        let items = self.columns.div_ceil(self.tile()) * self.depth.div_ceil(DEPTH) * self.taps[0] * self.taps[1];
        Slices::new(self.pixels.div_ceil(self.lanes), 1, items, 32, 16)
    }
}

/// Why the variant cannot be used.
pub(super) fn refusal(cx: &Lowering<'_>, g: &Geometry, direction: Direction) -> Option<String> {
    let Some(lanes) = cx.capabilities.subgroup() else {
        return Some("only for subgroups of one known size".into());
    };
    if cx.class() != DeviceClass::Cpu {
        return Some("only for software adapters".into());
    }
    let Some(View { g, direction, filters }) = View::of(cx, g, direction) else {
        return Some("only for images and pairs of matrices".into());
    };
    if cx.partial.is_some_and(|format| format != filters) {
        return Some("parts of the weight lie in another order".into());
    }
    if g.window.groups != 1 || !g.channels[1].is_multiple_of(4) {
        return Some("only for multiples of four output channels, without groups".into());
    }
    let problem = Problem::new(&g, direction, lanes);
    let [kh, kw] = problem.taps;
    match direction {
        Direction::GradWeight => {
            too_long(problem.slices().iterations().max(if problem.by_rows { problem.depth } else { 0 }))
        }
        _ => too_long(kh * (1 + kw * (1 + problem.depth)) + 3 * (kh + kw)),
    }
}

/// A product as its kernels see it.
struct View {
    g: Geometry,
    direction: Direction,
    /// How the filters lie that they are to have as `[KH, KW, C, O]`.
    filters: Format,
}

impl View {
    /// Sequences and many matrices have none.
    fn of(cx: &Lowering<'_>, g: &Geometry, direction: Direction) -> Option<Self> {
        let all = |rank: usize| cx.inputs[..2].iter().chain(&cx.outputs).all(|ty| ty.shape.len() == rank);
        // A matrix is an image of single pixels.
        if all(4) || (all(2) && g.input == [1; 2] && g.output == [1; 2]) {
            return Some(Self { g: *g, direction, filters: Format::TapsFirst });
        }
        // A product of two: w [O, C] is also O such images, whose filters are x, `[C, P]` as it lies.
        let direction = match direction {
            Direction::Forward => Direction::Forward,
            Direction::GradInput => Direction::GradWeight,
            Direction::GradWeight => Direction::GradInput,
        };
        let g = Geometry::pointwise(g.channels[1], g.channels[0], g.input[1], 1);
        all(2).then_some(Self { g, direction, filters: Format::Planar })
    }
}

/// Words of the largest input.
fn largest(cx: &Lowering<'_>) -> usize {
    cx.inputs.iter().map(TensorType::elements).max().unwrap_or(0)
}

/// Whether the variant is the one that is taken, left to itself.
pub(in crate::ops) fn preferred(cx: &Lowering<'_>, g: &Geometry, direction: Direction) -> bool {
    refusal(cx, g, direction).is_none()
}

/// Adds the dispatches of one direction; see [`super::lower`].
pub(super) fn lower(cx: &mut Lowering<'_>, g: &Geometry, direction: Direction, operands: &[Operand]) -> Result<()> {
    // `refusal` has seen the view and the subgroups.
    let Some(View { g, direction, filters }) = View::of(cx, g, direction) else { return Ok(()) };
    let mut operands = operands.to_vec();
    if filters == Format::Planar && direction == Direction::Forward {
        operands.swap(0, 1);
    }
    let (g, operands) = (&g, &operands[..]);
    let problem = Problem::new(g, direction, cx.capabilities.subgroup().unwrap_or(1));
    let kernel = |shader, entry| {
        Kernel::new(shader, entry)
            .variant("channels_last")
            .template("lanes", problem.lanes)
            .template("share", problem.share)
            .template("quads", problem.quads)
            .template("by_rows", u8::from(problem.by_rows))
    };
    if direction == Direction::GradWeight {
        let x = read_image(cx, g, &problem, operands[0])?;
        cx.read_in(operands[1], Format::ChannelsLast);
        let slices = problem.slices();
        cx.write_in(filters);
        let mut read = [x, operands[1]];
        let textured = cx.choose_textures(NAME, largest(cx))?;
        if textured {
            cx.through_textures(&mut read, 0);
        }
        let kernel = kernel(&CHANNELS_LAST_WEIGHT, "grad_weight")
            .template("depth", DEPTH)
            .template("texture", u8::from(textured));
        let params = g.params(slices.count)?;
        slices.dispatch(cx, kernel, &params, read, 1)?;
        // A product of two matrices may have something after it.
        return finish(cx, &[], Format::Planar);
    }
    let params = g.params(1)?;
    let transposed = direction == Direction::GradInput;
    // The weight comes first where the input gradient is computed.
    let (image, weight) = if transposed { (operands[1], operands[0]) } else { (operands[0], operands[1]) };
    let image = read_image(cx, g, &problem, image)?;
    cx.write_in(if problem.planar { Format::Planar } else { Format::ChannelsLast });
    cx.read_in(weight, filters);
    // The bias and whoever follows the convolution are computed with it, where four channels lie together.
    let bias = &operands[2..operands.len() - 1];
    let (chain, mut values) = match problem.planar {
        true => (Chain::default(), Vec::new()),
        false => with_bias(cx, bias, Format::ChannelsLast),
    };
    let textured = cx.choose_textures(NAME, largest(cx))?;
    let (mut read, mut textures) = ([image, weight], vec![false; values.len()]);
    if textured {
        cx.through_textures(&mut read, 0);
        textures = element_textures(cx, &chain, &mut values, 2);
    }
    let kernel = kernel(&CHANNELS_LAST, if transposed { "grad_input" } else { "forward" })
        .template("texture", u8::from(textured))
        .template("transposed", u8::from(transposed))
        .template("planar", u8::from(problem.planar))
        .template("pixels", problem.turns * problem.share)
        .template("loads", (problem.turns * problem.share).div_ceil(problem.lanes))
        .chain(&chain, &textures);
    let operands = [&read[..], &operands[operands.len() - 1..], &values].concat();
    cx.dispatch(kernel, &params, &operands, problem.workgroups())?;
    if problem.planar { finish(cx, bias, Format::Planar) } else { Ok(()) }
}

/// The input in fours of channels: as it is, or packed by rows.
fn read_image(cx: &mut Lowering<'_>, g: &Geometry, problem: &Problem, image: Operand) -> Result<Operand> {
    if !problem.by_rows {
        cx.read_in(image, Format::ChannelsLast);
        return Ok(image);
    }
    let rows = g.batch * g.input[0] * g.output[1];
    let packed = cx.scratch(4 * rows * problem.depth);
    let (image, textured) = packed_from(cx, image)?;
    let operands = [image, Operand::ScratchWrite(packed)];
    let kernel = Kernel::new(&PACK, "rows").template("texture", u8::from(textured));
    cx.dispatch_flat(kernel, &g.params(1)?, &operands, rows)?;
    Ok(Operand::ScratchRead(packed))
}

/// An operand to be packed, through a texture where that pays; and whether it does.
pub(super) fn packed_from(cx: &mut Lowering<'_>, operand: Operand) -> Result<(Operand, bool)> {
    let textured = cx.choose_textures("conv2d.pack", largest(cx))?;
    Ok((if textured { operand.textured() } else { operand }, textured))
}
