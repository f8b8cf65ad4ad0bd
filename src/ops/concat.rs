//! Joining tensors along an axis, and its gradient, taking a part out.

use super::around;
use super::chain::dispatch_finished;
use crate::error::{Error, Result};
use crate::graph::gradients::no_gradient;
use crate::graph::{Evaluation, GradientContext, Graph, Op, Tensor, TensorType};
use crate::plan::{Candidate, Format, Kernel, Lowering, Operand, Shader, params, shader, word};
use crate::reference::{Checked, concat as reference};
use crate::selftest::OpCase;

const NAME: &str = "concat";

params! {
    /// The part `[outer, length]` stands at `offset` of `[outer, total]`.
    ConcatParams { outer: u32, length: u32, offset: u32, total: u32 }
}
pub(crate) static SHADER: Shader =
    shader!("concat", ConcatParams, ["grid", "divide", "texture", "read", "functions", "chain", "epilogue"]);

impl Graph {
    /// Joins f32 tensors along `axis`; all other axes must agree.
    ///
    /// # Errors
    /// When there is none, or their ranks, other axes or types differ.
    pub fn concat<'g>(&'g self, parts: &[Tensor<'g>], axis: usize) -> Result<Tensor<'g>> {
        if parts.is_empty() {
            return Err(Error::argument(NAME, "expected at least one tensor"));
        }
        self.apply_one(Concat { axis }, "", parts)
    }
}

/// A part of a whole along an axis.
#[derive(Debug, Clone, Copy)]
struct Part {
    outer: usize,
    length: usize,
    offset: usize,
    total: usize,
    inner: usize,
}

impl Part {
    /// The same in images of this format, when they are joined along their channels.
    fn in_format(self, format: Format) -> Self {
        let [outer, _, inner] = format.view([self.outer, self.total, self.inner]);
        Self { outer, inner, ..self }
    }

    /// Adds the dispatch that moves it.
    fn lower(self, cx: &mut Lowering<'_>, entry: &'static str, format: Format, [from, to]: [Operand; 2]) -> Result<()> {
        let Self { outer, length, offset, total, inner } = self;
        let whole = [length, offset, total].iter().all(|extent| (extent * inner).is_multiple_of(4));
        let refusal = (!whole).then(|| "only where rows of parts are whole fours".to_string());
        let name = format!("{NAME}.{entry}");
        let candidates = vec![Candidate::unless("fours", refusal), Candidate::unless("elements", None)];
        let form = cx.choose(&name, candidates)?;
        let moved = outer * length * inner;
        let textured = cx.choose_textures(&name, moved)?;
        let from = if textured { from.textured() } else { from };
        let width = if form == "fours" { 4 } else { 1 };
        let unit = |extent: usize| word(NAME, extent * inner / width);
        let params = ConcatParams {
            outer: word(NAME, outer)?,
            length: unit(length)?,
            offset: unit(offset)?,
            total: unit(total)?,
        };
        let kernel = Kernel::new(&SHADER, entry)
            .variant(form)
            .template("entry", entry)
            .template("form", form)
            .template("texture", u8::from(textured));
        dispatch_finished(cx, kernel, &params, &[from, to], (format, textured), moved / width)
    }
}

/// Whether images may be joined or cut along this axis where their channels lie together.
fn keeps_channels(axis: usize, mut types: impl Iterator<Item = TensorType>) -> bool {
    axis == 1 && types.all(|ty| Format::refusal(&ty).is_none())
}

#[derive(Debug)]
struct Concat {
    axis: usize,
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        NAME
    }

    fn attributes(&self) -> String {
        format!("axis {}", self.axis)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        let first = &inputs[0];
        super::float(NAME, first)?;
        around(NAME, first, self.axis)?;
        let mut shape = first.shape.to_vec();
        for other in &inputs[1..] {
            let agree = other.dtype == first.dtype
                && other.shape.len() == shape.len()
                && (0..shape.len()).all(|axis| axis == self.axis || other.shape[axis] == shape[axis]);
            if !agree {
                return Err(Error::shape(NAME, format!("{first} but for axis {}", self.axis), other));
            }
            shape[self.axis] = shape[self.axis].saturating_add(other.shape[self.axis]);
        }
        Ok(vec![TensorType::f32(shape)])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let count = cx.count();
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None; count]) };
        let mut offset = 0;
        (0..count)
            .map(|index| {
                let part = cx.input(index).ty();
                let op = Extract { axis: self.axis, offset, part: part.clone() };
                offset += part.shape[self.axis];
                if !cx.wants(index) {
                    return Ok(None);
                }
                cx.graph().apply_one(op, cx.layer(), &[dy]).map(Some)
            })
            .collect()
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let [outer, _, inner] = around(NAME, &cx.output_types[0], self.axis).unwrap_or_default();
        let parts: Vec<(usize, &[f64])> =
            cx.input_types.iter().zip(&cx.inputs).map(|(ty, values)| (ty.shape[self.axis], *values)).collect();
        vec![reference::place(outer, &parts, inner)]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let [outer, total, inner] = around(NAME, &cx.outputs[0], self.axis)?;
        // Better one part converted than many.
        let leading = (0..cx.inputs.len()).find(|&index| cx.format(index) == Format::ChannelsLast).unwrap_or(0);
        let format = match keeps_channels(self.axis, cx.inputs.clone().into_iter()) {
            true => cx.follow("concat.format", leading)?,
            false => Format::Planar,
        };
        let mut offset = 0;
        for index in 0..cx.inputs.len() {
            let length = cx.inputs[index].shape[self.axis];
            let part = Part { outer, length, offset, total, inner }.in_format(format);
            part.lower(cx, "place", format, [Operand::Input(index), Operand::Output(0)])?;
            offset += length;
        }
        Ok(())
    }
}

/// The part of `part`'s type at `offset` of the axis.
#[derive(Debug)]
struct Extract {
    axis: usize,
    offset: usize,
    part: TensorType,
}

impl Op for Extract {
    fn name(&self) -> &'static str {
        "concat.extract"
    }

    fn attributes(&self) -> String {
        format!("axis {}, from {}", self.axis, self.offset)
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![self.part.clone()])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let [outer, total, inner] = around(NAME, &cx.input_types[0], self.axis).unwrap_or_default();
        vec![reference::extract(outer, total, self.offset, self.part.shape[self.axis], inner, cx.inputs[0])]
    }

    fn takes_epilogue(&self) -> bool {
        true
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let [outer, total, inner] = around(NAME, &cx.inputs[0], self.axis)?;
        let types = [cx.inputs[0].clone(), self.part.clone()].into_iter();
        let format = match keeps_channels(self.axis, types) && self.offset.is_multiple_of(4) {
            true => cx.follow("concat.extract.format", 0)?,
            false => Format::Planar,
        };
        let part = Part { outer, length: self.part.shape[self.axis], offset: self.offset, total, inner };
        part.in_format(format).lower(cx, "extract", format, [Operand::Input(0), Operand::Output(0)])
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let list: [(&[usize], usize, &[usize]); 6] = [
        (&[2, 3, 5, 7], 1, &[3, 1, 67]),
        (&[1, 1], 0, &[1]),
        (&[3, 4], 1, &[4, 2]),
        (&[2, 5, 3], 2, &[3, 1]),
        (&[2, 4, 9, 5], 1, &[8, 4, 60]),
        (&[2, 4, 30, 6], 2, &[31, 66]),
    ];
    // The gradients of relus are computed with what takes theirs out. Some of the values may lie on the kink.
    let plain = list.into_iter().map(|problem| (problem, false));
    plain
        .chain(list.into_iter().map(|problem| (problem, true)))
        .map(|((shape, axis, lengths), of_relus)| {
            let title = if of_relus { "concat of relus" } else { "concat" };
            let case = OpCase::new(format!("{title} {shape:?} axis {axis} of {lengths:?}"), move |cx| {
                let part = |(index, &length): (usize, &usize)| {
                    let mut shape = shape.to_vec();
                    shape[axis] = length;
                    let x = cx.normal(&format!("x{index}"), shape)?;
                    if of_relus { x.relu() } else { Ok(x) }
                };
                let parts = lengths.iter().enumerate().map(part).collect::<Result<Vec<_>>>()?;
                Ok(vec![cx.graph().concat(&parts, axis)?])
            });
            if of_relus { case.without_differences() } else { case }
        })
        .collect()
}
