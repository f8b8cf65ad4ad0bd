//! The `packed` variant: both operands are copied into the order in which the kernel reads them, then multiplied. Only
//! for stride and dilation 1, without groups.

use super::channels_last::packed_from;
use super::geometry::Geometry;
use super::kernels::{Direction, Slices, bind_bias, too_long};
use super::{ConvParams, PACK, PACKED, PACKED_WEIGHT};
use crate::error::Result;
use crate::plan::{Kernel, Lowering, Operand};

/// Channels of an invocation's tile, at most.
const ROWS: usize = 8;
/// Fours of neighbouring pixels that it takes at most.
const QUADS: usize = 7;
/// The same for the weight gradient, and the rows of the kernel that it takes at most.
const WEIGHT_QUADS: usize = 3;
const STRIP: usize = 5;
const WORKGROUP: usize = 16;
/// The text grows with the kernel's width, and with it the time that a driver takes to compile it.
const WIDEST: usize = 7;

/// A convolution as the kernels see it: the input gradient is one as well, of dy with the weight transposed.
struct Problem {
    batch: usize,
    /// In and out.
    channels: [usize; 2],
    output: [usize; 2],
    kernel: [usize; 2],
    /// Fours of neighbouring pixels of a tile.
    quads: usize,
}

impl Problem {
    fn new(g: &Geometry, direction: Direction) -> Self {
        let [inputs, outputs] = g.channels;
        let (channels, output) = match direction {
            Direction::GradInput => ([outputs, inputs], g.input),
            _ => ([inputs, outputs], g.output),
        };
        let row = output[1].div_ceil(4);
        let quads = match direction {
            // Whole tiles alone, so that dy need not be packed where its rows are whole fours.
            Direction::GradWeight => (1..=WEIGHT_QUADS).rev().find(|quads| row.is_multiple_of(*quads)).unwrap_or(1),
            // As many as leave the last tile of a row as full as the others.
            _ => row.div_ceil(row.div_ceil(QUADS)),
        };
        Self { batch: g.batch, channels, output, kernel: g.kernel, quads }
    }

    /// dy of the weight gradient: an image without a border.
    fn borderless(g: &Geometry) -> Self {
        let problem = Self::new(g, Direction::GradWeight);
        Self { channels: [g.channels[1]; 2], kernel: [1; 2], ..problem }
    }

    /// Rows of the kernel that an invocation of the weight gradient takes; the last strip is as full as the others.
    fn strip(&self) -> usize {
        self.kernel[0].div_ceil(self.strips())
    }

    fn strips(&self) -> usize {
        self.kernel[0].div_ceil(STRIP)
    }

    /// Tiles of a row.
    fn tiles(&self) -> usize {
        self.output[1].div_ceil(4 * self.quads)
    }

    /// Fours in a line of the packed image.
    fn pitch(&self) -> usize {
        self.tiles() * self.quads + (self.kernel[1] - 1).div_ceil(4)
    }

    /// Lines of the packed image.
    fn lines(&self) -> usize {
        self.batch * self.channels[0] * (self.output[0] + self.kernel[0] - 1)
    }

    /// Fours of the packed image.
    fn image(&self) -> usize {
        self.lines() * self.pitch()
    }

    /// Channels of a tile.
    fn rows(&self) -> usize {
        self.channels[1].min(ROWS)
    }

    /// Channels of a tile of the packed weight.
    fn padded_rows(&self) -> usize {
        self.rows().next_multiple_of(4)
    }

    fn channel_tiles(&self) -> usize {
        self.channels[1].div_ceil(ROWS)
    }

    /// Fours of the packed weight.
    fn weight(&self) -> usize {
        self.channel_tiles() * self.padded_rows() / 4 * self.channels[0] * self.kernel[0] * self.kernel[1]
    }

    /// Invocations of `correlate`.
    fn invocations(&self) -> usize {
        self.channel_tiles() * self.batch * self.output[0] * self.tiles()
    }

    /// How `grad_weight` cuts its sum.
    fn slices(&self) -> Slices {
        let items = self.channel_tiles() * self.channels[0] * self.strips();
        Slices::new(self.batch * self.output[0], 1 + self.tiles(), items, 256, 64)
    }
}

/// Why the variant cannot be used.
pub(super) fn refusal(cx: &Lowering<'_>, g: &Geometry, direction: Direction) -> Option<String> {
    let window = g.window;
    if window.stride != [1; 2] || window.dilation != [1; 2] || window.groups != 1 {
        return Some("only for stride and dilation 1, without groups".into());
    }
    if g.kernel[1] > WIDEST {
        return Some(format!("only for kernels of up to {WIDEST} columns"));
    }
    let problem = Problem::new(g, direction);
    let iterations = match direction {
        Direction::GradWeight => problem.slices().iterations(),
        _ => problem.channels[0] * (1 + problem.kernel[0]),
    };
    let iterations = iterations.max(problem.pitch());
    let bytes = 16 * problem.image().max(Problem::borderless(g).image()) as u64;
    let limit = cx.capabilities.limits.max_storage_buffer_binding_size;
    let large = || format!("a packed copy of {bytes} bytes is larger than a binding's {limit}");
    let weight = if direction == Direction::GradWeight { None } else { cx.texture_refusal(2, problem.weight()) };
    too_long(iterations).or(weight).or_else(|| (bytes > limit).then(large))
}

/// Adds the dispatches of one direction; see [`super::lower`].
pub(super) fn lower(cx: &mut Lowering<'_>, g: &Geometry, direction: Direction, operands: &[Operand]) -> Result<()> {
    let problem = Problem::new(g, direction);
    let kernel = |shader, entry| {
        Kernel::new(shader, entry)
            .variant("packed")
            .template("rows", problem.rows())
            .template("quads", problem.quads)
            .template("kernel_width", g.kernel[1])
            .template("span", 1 + (g.kernel[1] - 1).div_ceil(4))
            .constant("WORKGROUP", WORKGROUP as f64)
    };
    if direction == Direction::GradWeight {
        let slices = problem.slices();
        let params = g.params(slices.count)?;
        // Packed as for the forward pass where that is the same, so that it is done once.
        let forward = Problem::new(g, Direction::Forward);
        let like = if forward.pitch() == problem.pitch() { &forward } else { &problem };
        let x = pack_images(cx, &g.params(1)?, like, operands[0])?;
        let [height, width] = [params.out_height, params.out_width];
        let dy_params = ConvParams {
            in_channels: params.out_channels,
            in_height: height,
            in_width: width,
            kernel_height: 1,
            kernel_width: 1,
            pad_top: 0,
            pad_left: 0,
            ..params
        };
        // Rows of whole fours are packed already.
        let dy = match g.output[1] % 4 {
            0 => operands[1],
            _ => pack_images(cx, &dy_params, &Problem::borderless(g), operands[1])?,
        };
        let textured = cx.choose_textures("conv2d", 4 * problem.image())?;
        let mut read = [x, dy];
        if textured {
            cx.through_textures(&mut read, 0);
        }
        return slices.dispatch(
            cx,
            kernel(&PACKED_WEIGHT, "grad_weight")
                .template("strip", problem.strip())
                .template("texture", u8::from(textured)),
            &params,
            read,
            WORKGROUP,
        );
    }
    let mut params = g.params(1)?;
    let transposed = direction == Direction::GradInput;
    // The weight comes first where the input gradient is computed.
    let (image, weight) = if transposed { (operands[1], operands[0]) } else { (operands[0], operands[1]) };
    if transposed {
        params = ConvParams {
            in_channels: params.out_channels,
            in_height: params.out_height,
            in_width: params.out_width,
            out_channels: params.in_channels,
            out_height: params.in_height,
            out_width: params.in_width,
            // Negative where the padding is larger than the kernel: the shader counts modulo 2^32, too.
            pad_top: (params.kernel_height - 1).wrapping_sub(params.pad_top),
            pad_left: (params.kernel_width - 1).wrapping_sub(params.pad_left),
            ..params
        };
    }
    let x = pack_images(cx, &params, &problem, image)?;
    let fours = problem.weight();
    let packed = cx.scratch(4 * fours);
    let pack = Kernel::new(&PACK, "weight")
        .template("texture", 0)
        .constant("ROWS", problem.padded_rows() as f64)
        .flag("TRANSPOSED", transposed);
    cx.dispatch_flat(pack, &params, &[weight, Operand::ScratchWrite(packed)], fours)?;
    let w = Operand::ScratchTexture(packed);
    let x = x.textured();
    let kernel = kernel(&PACKED, "correlate")
        .template("aligned", u8::from(problem.output[1].is_multiple_of(4)))
        .flag("HAS_BIAS", operands.len() == 4);
    let [.., bias, y] = bind_bias(&[&[image, weight], &operands[2..]].concat());
    let operands = [x, w, bias, y];
    cx.dispatch(kernel, &params, &operands, problem.invocations().div_ceil(WORKGROUP))
}

/// Copies images; returns the copy.
fn pack_images(cx: &mut Lowering<'_>, params: &ConvParams, problem: &Problem, images: Operand) -> Result<Operand> {
    let packed = cx.scratch(4 * problem.image());
    let (images, textured) = packed_from(cx, images)?;
    let kernel =
        Kernel::new(&PACK, "images").template("texture", u8::from(textured)).constant("QUADS", problem.quads as f64);
    cx.dispatch_flat(kernel, params, &[images, Operand::ScratchWrite(packed)], problem.lines())?;
    Ok(Operand::ScratchRead(packed))
}
