//! Lowering of chains: functions of single elements, by themselves or of what another kernel has stored.

use crate::error::Result;
use crate::graph::chain::{Chain, Extent, Pointwise};
use crate::graph::{DType, TensorType};
use crate::plan::{Format, Kernel, Lowering, Operand, Params, Shader, params, shader, word};

params! {
    ChainParams { count: u32, columns: u32, step: u32, channels: u32, planes: u32 }
}
pub(crate) static SHADER: Shader = shader!("pointwise", ChainParams, ["grid", "divide", "texture", "read"], chain);

/// Fours of one invocation, on a CPU and on a GPU: what a channel's operands cost is shared by so many.
const EACH: [usize; 2] = [8, 4];

/// What a chain begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Nothing,
    /// What is in the output.
    Stored,
    /// The sum of so many planes, each of the output's elements, that lie one after the other in a scratch memory.
    Sum {
        planes: usize,
        scratch: usize,
    },
}

impl Start {
    /// Its name in the shader.
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Stored => "stored",
            Self::Sum { .. } => "sum",
        }
    }
}

/// Lowers a node that is nothing but a chain.
pub(crate) fn lower(cx: &mut Lowering<'_>) -> Result<()> {
    let chain = cx.epilogue.clone();
    let elements = || (0..chain.operands.len()).filter(|&n| chain.operands[n] == Extent::Element);
    // Whoever is in another format than the rest is converted: better one than many.
    let last = elements().find(|&n| cx.format(n) == Format::ChannelsLast);
    let leading = last.or_else(|| elements().next()).unwrap_or(0);
    let format = cx.follow("pointwise", leading)?;
    let operands = cx.epilogue_operands();
    dispatch(cx, &chain, &operands, format, Start::Nothing)
}

/// Adds the bias, if there is one, and the epilogue that the node's kernel has not computed, over its output.
pub(crate) fn finish(cx: &mut Lowering<'_>, bias: &[Operand], format: Format) -> Result<()> {
    let (chain, operands) = with_bias(cx, bias, format);
    finish_with(cx, &chain, &operands, format)
}

/// Adds the dispatch that computes a chain over the node's output, if there is anything to compute.
pub(super) fn finish_with(cx: &mut Lowering<'_>, chain: &Chain, operands: &[Operand], format: Format) -> Result<()> {
    match chain.is_empty() {
        true => Ok(()),
        false => dispatch(cx, chain, operands, format, Start::Stored),
    }
}

/// Adds the dispatch that adds the `planes` parts of the node's output that lie in a scratch memory, and computes a chain over
/// the sum.
pub(super) fn finish_sum(
    cx: &mut Lowering<'_>,
    (planes, scratch): (usize, usize),
    chain: &Chain,
    operands: &[Operand],
    format: Format,
) -> Result<()> {
    dispatch(cx, chain, operands, format, Start::Sum { planes, scratch })
}

/// Adds a dispatch whose kernel computes the node's epilogue before it stores (`shaders/common/epilogue.wgsl`). One that has
/// values of channels follows in a dispatch of its own.
pub(super) fn dispatch_finished(
    cx: &mut Lowering<'_>,
    kernel: Kernel,
    params: &impl Params,
    operands: &[Operand],
    (format, textured): (Format, bool),
    invocations: usize,
) -> Result<()> {
    let here = cx.epilogue.operands.iter().all(|extent| *extent == Extent::Element);
    let (chain, mut values) = if here { with_bias(cx, &[], format) } else { Default::default() };
    let mut textures = vec![false; values.len()];
    if textured {
        let others = operands.iter().filter(|&&operand| matches!(operand, Operand::InputTexture(_))).count();
        textures = element_textures(cx, &chain, &mut values, others as u32);
    }
    let kernel = kernel.template("first", operands.len() + 1).chain(&chain, &textures);
    cx.dispatch_flat(kernel, params, &[operands, &values].concat(), invocations)?;
    if here { Ok(()) } else { finish(cx, &[], format) }
}

/// Adds a dispatch that copies `count` elements.
pub(crate) fn copy(cx: &mut Lowering<'_>, from: Operand, to: Operand, count: usize) -> Result<()> {
    let chain = Chain::of(&Pointwise::of("identity", 1));
    let ty = TensorType { dtype: DType::F32, shape: count.into() };
    let textured = cx.choose_textures("copy", count)?;
    let geometry = Geometry::of(&chain, &ty, Format::Planar, Start::Nothing, cx.by_class(EACH));
    run(cx, &chain, &[from], to, &geometry, textured, Start::Nothing)
}

/// The node's epilogue with the bias before it, if there is one, and their operands: those that have a value for each
/// element are read in this format.
pub(super) fn with_bias(cx: &mut Lowering<'_>, bias: &[Operand], format: Format) -> (Chain, Vec<Operand>) {
    let mut chain = if bias.is_empty() { Chain::default() } else { Chain::bias() };
    chain.extend(&cx.epilogue);
    let operands = [bias, &cx.epilogue_operands()].concat();
    for (&operand, extent) in operands.iter().zip(&chain.operands) {
        if *extent == Extent::Element {
            cx.read_in(operand, format);
        }
    }
    (chain, operands)
}

/// How a shape is gone over.
struct Geometry {
    form: &'static str,
    each: usize,
    params: [usize; 4],
    invocations: usize,
}

impl Geometry {
    fn of(chain: &Chain, ty: &TensorType, format: Format, start: Start, most: usize) -> Self {
        let sum = matches!(start, Start::Sum { .. });
        // A sum is work enough.
        let most = if sum { 1 } else { most };
        let elements = ty.elements();
        let [outer, channels, inner] = match &ty.shape[..] {
            [outer, channels, inner @ ..] => [*outer, *channels, inner.iter().product()],
            _ => [1, 1, elements],
        };
        if !chain.operands.contains(&Extent::Channel) {
            // The second plane begins at a four, or is none of fours.
            if sum && !elements.is_multiple_of(4) {
                let params = [elements, elements, elements, 1];
                return Self { form: "elements", each: 1, params, invocations: elements };
            }
            let (count, each) = (elements.div_ceil(4), if elements > 4 * 64 * most { most } else { 1 });
            let step = count.div_ceil(each);
            return Self { form: "flat", each, params: [count, 1, step, 1], invocations: step };
        }
        let last = format == Format::ChannelsLast || (inner == 1 && channels.is_multiple_of(4));
        if last {
            let (rows, columns) = (outer * inner, channels / 4);
            let step = rows.div_ceil(most) * columns;
            return Self {
                form: "channels",
                each: most,
                params: [rows * columns, columns, step, channels],
                invocations: step,
            };
        }
        let (form, width) = if inner.is_multiple_of(4) { ("planes", 4) } else { ("elements", 1) };
        let (rows, columns) = (outer * channels, inner / width);
        let step = columns.div_ceil(most);
        Self { form, each: most, params: [rows * columns, columns, step, channels], invocations: rows * step }
    }
}

fn dispatch(cx: &mut Lowering<'_>, chain: &Chain, operands: &[Operand], format: Format, start: Start) -> Result<()> {
    let ty = cx.outputs[0].clone();
    let geometry = Geometry::of(chain, &ty, format, start, cx.by_class(EACH));
    let read = !operands.is_empty() && geometry.form != "elements";
    let textured = read && cx.choose_textures("pointwise", ty.elements())?;
    run(cx, chain, operands, Operand::Output(0), &geometry, textured, start)
}

fn run(
    cx: &mut Lowering<'_>,
    chain: &Chain,
    operands: &[Operand],
    y: Operand,
    geometry: &Geometry,
    textured: bool,
    start: Start,
) -> Result<()> {
    const NAME: &str = "pointwise";
    let [count, columns, step, channels] = geometry.params;
    let (variant, planes, parts) = match start {
        Start::Sum { planes, scratch } => ("sum", planes, vec![Operand::ScratchRead(scratch)]),
        Start::Nothing | Start::Stored => ("plain", 0, Vec::new()),
    };
    let params = ChainParams {
        count: word(NAME, count)?,
        columns: word(NAME, columns)?,
        step: word(NAME, step)?,
        channels: word(NAME, channels)?,
        planes: word(NAME, planes)?,
    };
    let mut operands = operands.to_vec();
    let textures = if textured { element_textures(cx, chain, &mut operands, 0) } else { vec![false; operands.len()] };
    let kernel = Kernel::new(&SHADER, "forward")
        .variant(variant)
        .template("form", geometry.form)
        .template("each", geometry.each)
        .template("start", start.name())
        .template("own", 0)
        .chain(chain, &textures);
    cx.dispatch_flat(kernel, &params, &[&[y], operands.as_slice(), &parts].concat(), geometry.invocations)?;
    let single = |n: &usize| start == Start::Nothing && chain.operands[*n] == Extent::Element && !textures[*n];
    if let Some(dispatch) = cx.dispatches.last_mut() {
        dispatch.over = (0..operands.len()).filter(single).map(|n| n + 1).collect();
    }
    Ok(())
}

/// Lets those of a chain's operands be read through textures that have a value for each element, as many as the device
/// allows beside so many others; says which.
pub(super) fn element_textures(cx: &Lowering<'_>, chain: &Chain, operands: &mut [Operand], others: u32) -> Vec<bool> {
    let is_element = |n: usize| chain.operands[n] == Extent::Element;
    let elements = operands.iter_mut().enumerate().filter(|(n, _)| is_element(*n)).map(|(_, operand)| operand);
    let mut through = cx.through_textures(elements, others).into_iter();
    (0..chain.operands.len()).map(|n| is_element(n) && through.next().unwrap_or(false)).collect()
}
