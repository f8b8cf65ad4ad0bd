//! The `winograd` variant of 3x3 convolutions: 36 small products in place of 144 multiplications for each tile of 4x4 results,
//! for adapters that run a subgroup as one vector on a CPU.

use super::geometry::Geometry;
use super::kernels::{Direction, too_long};
use super::{NAME, WINOGRAD, WINOGRAD_PRODUCT, WINOGRAD_WEIGHT, channels_last};
use crate::error::Result;
use crate::graph::chain::Chain;
use crate::ops::chain::{element_textures, with_bias};
use crate::plan::{Format, Kernel, Lowering, Operand, params, word};

pub(super) const VARIANT: &str = "winograd";
/// Results along a side of a tile.
const TILE: usize = 4;
/// Elements of a transformed tile or filter.
pub(super) const ELEMENTS: usize = 36;
/// Words of the transformed images of one call, at most: larger images are done in several.
pub(super) const CALL: usize = 4 << 20;

params! {
    WinogradParams {
        batch: u32, height: u32, width: u32, depth: u32, out_height: u32, out_width: u32, columns: u32, pad_top: u32,
        pad_left: u32, tiles: u32, first: u32, plane: u32,
    }
}
params! {
    ProductParams { tiles: u32, depth: u32, columns: u32, v_plane: u32, u_plane: u32, m_plane: u32 }
}

/// The convolution, whose gradient of the weight has its sizes, or its gradient of the input, which is one of dy, in tiles.
pub(super) struct Tiling {
    pub(super) transposed: bool,
    batch: usize,
    /// Of the image that is read, and of the result.
    image: [usize; 2],
    result: [usize; 2],
    /// Channels of both, so many together.
    pub(super) depth: usize,
    pub(super) columns: usize,
    /// Above and to the left.
    padding: [usize; 2],
    /// Tiles of a call, at most.
    most: usize,
}

impl Tiling {
    /// With so many channels together, and calls of at most so many words of a transformed image.
    pub(super) fn new(g: &Geometry, direction: Direction, together: usize, call: usize) -> Self {
        let transposed = direction == Direction::GradInput;
        let ends = [(g.input, g.channels[0] / together), (g.output, g.channels[1] / together)];
        let [(image, depth), (result, columns)] = if transposed { [ends[1], ends[0]] } else { ends };
        let padding = [g.window.padding[0], g.window.padding[1]];
        let most = (call / (ELEMENTS * together * depth.max(columns))).max(1);
        Self { transposed, batch: g.batch, image, result, depth, columns, padding, most }
    }

    /// Tiles of a call, all of them nearly equally many.
    pub(super) fn tiles_of_call(&self) -> usize {
        self.tiles().div_ceil(self.tiles().div_ceil(self.most))
    }

    fn tiles(&self) -> usize {
        self.batch * self.result[0].div_ceil(TILE) * self.result[1].div_ceil(TILE)
    }

    pub(super) fn params(&self, first: usize, tiles: usize, plane: usize) -> Result<WinogradParams> {
        let word = |size| word(NAME, size);
        // dy is padded by what is left of the kernel; where more was, it is cut: there the number wraps round.
        let pad = |axis: usize| {
            let pad = word(self.padding[axis])?;
            Ok(if self.transposed { 2_u32.wrapping_sub(pad) } else { pad })
        };
        Ok(WinogradParams {
            batch: word(self.batch)?,
            height: word(self.image[0])?,
            width: word(self.image[1])?,
            depth: word(self.depth)?,
            out_height: word(self.result[0])?,
            out_width: word(self.result[1])?,
            columns: word(self.columns)?,
            pad_top: pad(0)?,
            pad_left: pad(1)?,
            tiles: word(tiles)?,
            first: word(first)?,
            plane: word(plane)?,
        })
    }

    /// The first tile of each call, and how many it has.
    pub(super) fn calls(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (tiles, most) = (self.tiles(), self.tiles_of_call());
        (0..tiles).step_by(most).map(move |first| (first, most.min(tiles - first)))
    }
}

impl WinogradParams {
    /// The same of dy in the place of the image, cut into tiles without a border.
    pub(super) fn of_gradients(self, plane: usize) -> Result<Self> {
        let (height, width, depth) = (self.out_height, self.out_width, self.columns);
        Ok(Self { height, width, depth, pad_top: 0, pad_left: 0, plane: word(NAME, plane)?, ..self })
    }
}

/// Why a convolution is none that can be cut into tiles.
pub(super) fn unfit(g: &Geometry) -> Option<String> {
    let window = g.window;
    let fits = g.kernel == [3; 2] && window.stride == [1; 2] && window.dilation == [1; 2] && window.groups == 1;
    (!fits).then(|| "only for 3x3 kernels of stride 1, without gaps or groups".into())
}

/// Why transformed filters of so many bytes cannot be kept for many steps, where they would be.
pub(super) fn no_room(cx: &Lowering<'_>, bytes: u64, variant: &str) -> Option<String> {
    let none = cx.keeps_filter && bytes > cx.room_for_filters && !cx.options.prefers(variant);
    none.then(|| "there is no room to keep the transformed filters".into())
}

/// A tiling in fours of channels, and the blocks of its products.
struct Problem {
    tiling: Tiling,
    /// Columns of a product's block, in fours.
    block: usize,
}

impl Problem {
    fn new(g: &Geometry, direction: Direction, lanes: usize) -> Self {
        let tiling = Tiling::new(g, direction, 4, CALL);
        let block = channels_last::quads(tiling.columns, lanes) * lanes;
        Self { tiling, block }
    }

    /// Fours of an element of the transformed filters, which lie in blocks.
    fn filter_fours(&self) -> usize {
        4 * self.tiling.depth * self.tiling.columns.next_multiple_of(self.block)
    }

    /// Bytes of the transformed filters.
    fn filter_bytes(&self) -> u64 {
        16 * (ELEMENTS * plane(self.filter_fours())) as u64
    }

    /// Fours from an element to the next of the transformed filters, and of the images and results of a call.
    fn planes(&self) -> [usize; 3] {
        let Tiling { depth, columns, .. } = self.tiling;
        let tiles = self.tiling.tiles_of_call();
        [self.filter_fours(), depth * tiles, columns * tiles].map(plane)
    }

    /// Temporary memory for the transformed filters, and for the images and results of a call; and whether the kernels read
    /// through textures.
    fn scratch(&self, cx: &mut Lowering<'_>) -> Result<([usize; 3], bool)> {
        let words = self.planes().map(|fours| 4 * ELEMENTS * fours);
        let textured = cx.choose_textures(NAME, words.into_iter().max().unwrap_or(0))?;
        Ok((words.map(|words| cx.scratch(words)), textured))
    }

    /// The parameters of the product of so many tiles.
    fn product(&self, tiles: usize) -> Result<ProductParams> {
        let word = |size| word(NAME, size);
        let [u_plane, v_plane, m_plane] = self.planes();
        Ok(ProductParams {
            tiles: word(tiles)?,
            depth: word(self.tiling.depth)?,
            columns: word(self.tiling.columns)?,
            v_plane: word(v_plane)?,
            u_plane: word(u_plane)?,
            m_plane: word(m_plane)?,
        })
    }
}

/// Invocations of a subgroup; `refusal` sees to it that there is one.
fn lanes(cx: &Lowering<'_>) -> usize {
    cx.capabilities.subgroup().unwrap_or(1)
}

/// A kernel of the transforms.
fn transform(entry: &'static str, textured: bool) -> Kernel {
    let kernel = Kernel::new(&WINOGRAD, entry).variant(VARIANT);
    kernel.template("entry", entry).template("planar", 0_u8).template("texture", u8::from(textured))
}

/// Fours from one element of a transform to the next: an odd number of cache lines, so that the 36 that are written side by
/// side do not fall into one set of a cache.
fn plane(fours: usize) -> usize {
    const LINE: usize = 4;
    LINE * (fours.div_ceil(LINE) | 1)
}

/// Why the variant cannot be used.
pub(super) fn refusal(cx: &Lowering<'_>, g: &Geometry, direction: Direction) -> Option<String> {
    let channels = (!g.channels[0].is_multiple_of(4)).then(|| "only for channels in fours".into());
    if let Some(refusal) = unfit(g).or(channels) {
        return Some(refusal);
    }
    let problem = Problem::new(g, direction, lanes(cx));
    let bytes = 16 * (ELEMENTS * problem.planes().into_iter().max().unwrap_or(0)) as u64;
    let limit = cx.capabilities.limits.max_storage_buffer_binding_size;
    let large = || format!("transforms of {bytes} bytes are larger than a binding's {limit}");
    channels_last::refusal(cx, g, direction)
        .or_else(|| too_long(problem.tiling.depth.max(problem.tiling.columns)))
        .or_else(|| (bytes > limit).then(large))
        .or_else(|| no_room(cx, problem.filter_bytes(), VARIANT))
}

/// Whether it saves more than the transforms cost.
///
/// The costs are rough ones, in hundredths of a nanosecond on two cores of lavapipe: of a tile's products and of its pixels'
/// plain sums for each pair of channels, of a tile's transforms for each channel, and of a filter's. `omma profile resnet18`
/// shows the times of the transforms and products, with `--exclude winograd` those of the sums; those of the gradient of the
/// weight are from `omma bench conv --variants --filter weight`.
pub(super) fn worthwhile(cx: &Lowering<'_>, g: &Geometry, direction: Direction) -> bool {
    let [products, sums, transforms, filter] = match direction {
        Direction::GradWeight => [150, 80, 15_000, 29_000],
        Direction::Forward | Direction::GradInput => [225, 47, 7500, 12_500],
    };
    /// With fewer tiles each element of a filter is read for too few of them.
    const FEWEST: u64 = 12;
    if refusal(cx, g, direction).is_some() {
        return false;
    }
    let problem = Problem::new(g, direction, lanes(cx));
    let [inputs, outputs] = g.channels.map(|channels| channels as u64);
    let (tiles, pixels) = (problem.tiling.tiles() as u64, g.pixels(problem.tiling.result) as u64);
    let filter = if cx.keeps_filter { 0 } else { filter };
    let cost = inputs * outputs * (tiles * products + filter) + (inputs + outputs) * tiles * transforms;
    tiles >= FEWEST && inputs.min(outputs) >= 32 && cost < inputs * outputs * pixels * sums
}

/// Adds the dispatches of one direction; see [`super::lower`].
pub(super) fn lower(cx: &mut Lowering<'_>, g: &Geometry, direction: Direction, operands: &[Operand]) -> Result<()> {
    if direction == Direction::GradWeight {
        return lower_weight(cx, g, operands);
    }
    let problem = Problem::new(g, direction, lanes(cx));
    // The weight comes first where the input gradient is computed.
    let (image, weight) =
        if problem.tiling.transposed { (operands[1], operands[0]) } else { (operands[0], operands[1]) };
    let result = operands[operands.len() - 1];
    let (chain, mut values) = with_bias(cx, &operands[2..operands.len() - 1], Format::ChannelsLast);
    cx.read_in(image, Format::ChannelsLast);
    cx.read_in(weight, Format::TapsFirst);
    cx.write_in(Format::ChannelsLast);

    let Tiling { depth, columns, .. } = problem.tiling;
    let [u_plane, v_plane, m_plane] = problem.planes();
    let ([u, v, m], textured) = problem.scratch(cx)?;
    let read = |operand: Operand| if textured { operand.textured() } else { operand };
    let textures = if textured { element_textures(cx, &chain, &mut values, 1) } else { vec![false; values.len()] };
    let transform = |entry| {
        let kernel = transform(entry, textured).template("transposed", u8::from(problem.tiling.transposed));
        match entry {
            "results" => kernel.chain(&chain, &textures),
            "weights" => kernel.template("block", problem.block).chain(&Chain::default(), &[]),
            _ => kernel.chain(&Chain::default(), &[]),
        }
    };

    if cx.keeps_filter {
        cx.room_for_filters = cx.room_for_filters.saturating_sub(problem.filter_bytes());
    }
    let params = problem.tiling.params(0, 0, u_plane)?;
    let operands = [read(weight), Operand::ScratchWrite(u)];
    cx.dispatch_flat(transform("weights"), &params, &operands, 4 * depth * columns)?;
    let lanes = lanes(cx);
    for (first, count) in problem.tiling.calls() {
        let params = problem.tiling.params(first, count, v_plane)?;
        let operands = [read(image), Operand::ScratchWrite(v)];
        cx.dispatch_flat(transform("image"), &params, &operands, count * depth)?;

        // A product's block is a tile of the plain sums' kernel: tiles are its pixels.
        let (quads, rows) = (channels_last::quads(columns, lanes), channels_last::turns(count, 1));
        let kernel = Kernel::new(&WINOGRAD_PRODUCT, "product")
            .variant(VARIANT)
            .template("lanes", lanes)
            .template("quads", quads)
            .template("rows", rows)
            .template("loads", rows.div_ceil(lanes))
            .template("texture", u8::from(textured));
        let product = problem.product(count)?;
        let operands = [read(Operand::ScratchRead(v)), read(Operand::ScratchRead(u)), Operand::ScratchWrite(m)];
        let workgroups = ELEMENTS * count.div_ceil(rows) * columns.div_ceil(quads * lanes);
        cx.dispatch(kernel, &product, &operands, workgroups)?;

        let operands = [&[read(Operand::ScratchRead(m)), result][..], &values].concat();
        let params = problem.tiling.params(first, count, m_plane)?;
        cx.dispatch_flat(transform("results"), &params, &operands, count * columns)?;
    }
    Ok(())
}

/// Adds the dispatches of the weight gradient: each call adds the products of its tiles to those of the calls before.
fn lower_weight(cx: &mut Lowering<'_>, g: &Geometry, operands: &[Operand]) -> Result<()> {
    /// Fours of channels of x in a product's block.
    const DEPTH: usize = 4;
    let &[x, dy, dw] = operands else { return Ok(()) };
    cx.read_in(x, Format::ChannelsLast);
    cx.read_in(dy, Format::ChannelsLast);
    cx.write_in(Format::TapsFirst);

    let problem = Problem::new(g, Direction::GradWeight, lanes(cx));
    let Tiling { depth, columns, .. } = problem.tiling;
    let [s_plane, v_plane, z_plane] = problem.planes();
    let ([s, v, z], textured) = problem.scratch(cx)?;
    let read = |operand: Operand| if textured { operand.textured() } else { operand };
    let transform = |entry| transform(entry, textured).template("transposed", 0_u8).chain(&Chain::default(), &[]);
    let lanes = lanes(cx);
    let quads = channels_last::quads(columns, lanes);

    for (first, count) in problem.tiling.calls() {
        let params = problem.tiling.params(first, count, v_plane)?;
        cx.dispatch_flat(transform("image"), &params, &[read(x), Operand::ScratchWrite(v)], count * depth)?;
        let params = params.of_gradients(z_plane)?;
        cx.dispatch_flat(transform("gradients"), &params, &[read(dy), Operand::ScratchWrite(z)], count * columns)?;

        let kernel = Kernel::new(&WINOGRAD_WEIGHT, "grad_weight")
            .variant(VARIANT)
            .template("lanes", lanes)
            .template("quads", quads)
            .template("depth", DEPTH)
            // As many tiles at a time as there are lanes: in steps, so that few shapes need a kernel of their own.
            .template("turns", count.next_multiple_of(4).min(lanes))
            .template("more", u8::from(first > 0))
            .template("texture", u8::from(textured));
        let operands = [read(Operand::ScratchRead(v)), read(Operand::ScratchRead(z)), Operand::ScratchWrite(s)];
        let workgroups = ELEMENTS * columns.div_ceil(quads * lanes) * depth.div_ceil(DEPTH);
        cx.dispatch(kernel, &problem.product(count)?, &operands, workgroups)?;
    }
    let params = problem.tiling.params(0, 0, s_plane)?;
    cx.dispatch_flat(transform("filters"), &params, &[read(Operand::ScratchRead(s)), dw], 4 * depth * columns)
}
