//! Elements of an axis by numbers that are data: y[o, j, r] = x[o, index j, r], as embeddings are looked up; and numbers as
//! one-hot rows.
//!
//! An index that is not below the extent gives NaN: the device cannot raise an error, and a wrong number would hide it.

use super::strided::{choose_form, reads_texture};
use super::{MAX_ITERATIONS, around, within_one_invocation};
use crate::error::{Error, Result};
use crate::graph::gradients::no_gradient;
use crate::graph::{DType, Evaluation, GradientContext, Op, Reach, Tensor, TensorType};
use crate::plan::{Kernel, Lowering, Operand, Shader, params, shader, word};
use crate::reference::{Checked, gather as reference};
use crate::selftest::OpCase;

const NAME: &str = "gather";
const ALONG: &str = "take_along_axis";
const ONE_HOT: &str = "one_hot";
/// Places that have lists of their own in the end: an invocation runs over a part at most.
const PART: usize = 1 << 15;
const _: () = assert!(PART < MAX_ITERATIONS);

/// Places of a slice, whose lists are found first: looking around in slices of n costs n a place, joining them three for
/// every n-th place and number.
fn slice_of(extent: usize) -> usize {
    const SHORTEST: usize = 32;
    extent.saturating_mul(3).isqrt().next_power_of_two().clamp(SHORTEST, PART)
}

params! {
    GatherParams { count: u32, inner: u32, places: u32, extent: u32, slice: u32 }
}
pub(crate) static SHADER: Shader =
    shader!("gather", GatherParams, ["grid", "divide", "nan", "texture", "read", "values"]);

impl<'g> Tensor<'g> {
    /// The elements of an axis with these numbers: the axis is replaced by those of `indices`. Along axis 0 of a matrix this
    /// looks embeddings up. As ONNX's Gather, but for negative indices; `indices` are u32 of any rank.
    ///
    /// PyTorch calls this `index_select` or, of rows, `embedding`; its `gather`, with an index for each element of the
    /// result, is [`Tensor::take_along_axis`].
    ///
    /// An index that is not below the axis's extent gives NaN in its elements, and changes nothing in the gradient.
    ///
    /// # Errors
    /// When the tensor is not f32 or has no such axis, or the indices are not u32.
    pub fn gather(self, indices: Self, axis: usize) -> Result<Self> {
        self.graph().apply_one(Gather { axis }, "", &[self, indices])
    }

    /// One element of an axis for every index: `indices`, u32, has the tensor's shape but for this axis. As ONNX's
    /// GatherElements, NumPy's `take_along_axis` and PyTorch's `gather`, but for negative indices and for PyTorch's indices that
    /// are fewer along other axes; see [`Tensor::gather`] for those out of range.
    ///
    /// # Errors
    /// When the tensor is not f32 or has no such axis, the indices are not u32 of the same shape but for the axis, or have
    /// more than 65,535 elements along it.
    pub fn take_along_axis(self, indices: Self, axis: usize) -> Result<Self> {
        self.graph().apply_one(Along { axis }, "", &[self, indices])
    }

    /// Rows of `depth` zeros, with a one where the index says, behind all other axes: u32 `[N]` to f32 `[N, depth]`. An index
    /// that is not below the depth gives a row of zeros, as ONNX's OneHot. It has no gradient.
    ///
    /// # Errors
    /// When the tensor is not u32 or the depth is 0.
    pub fn one_hot(self, depth: usize) -> Result<Self> {
        self.graph().apply_one(OneHot { depth }, "", &[self])
    }
}

/// What the kernels of these operations are told.
fn params(
    [_, extent, inner]: [usize; 3],
    places: usize,
    slice: usize,
    [count, width]: [usize; 2],
) -> Result<GatherParams> {
    Ok(GatherParams {
        count: word(NAME, count / width)?,
        inner: word(NAME, inner / width)?,
        places: word(NAME, places)?,
        extent: word(NAME, extent)?,
        slice: word(NAME, slice)?,
    })
}

fn integers(op: &str, ty: &TensorType) -> Result<()> {
    if ty.dtype == DType::U32 { Ok(()) } else { Err(Error::shape(op, "indices of u32", ty)) }
}

/// Adds the dispatch of `forward` or `along` over x of this view.
fn take(cx: &mut Lowering<'_>, entry: &'static str, view: [usize; 3], places: usize) -> Result<()> {
    let [outer, _, inner] = view;
    let (name, count) = (format!("{NAME}.{entry}"), outer * places * inner);
    let form = choose_form(cx, &name, &[("fours", entry == "forward" && inner.is_multiple_of(4))], true)?;
    let textured = reads_texture(cx, &name, Operand::Input(0), count)?;
    let mut operands = [Operand::Input(0), Operand::Input(1), Operand::Output(0)];
    if textured {
        cx.through_textures(&mut operands[..1], 0);
    }
    let width = if form == "fours" { 4 } else { 1 };
    let kernel = Kernel::new(&SHADER, entry)
        .variant(form)
        .template("entry", entry)
        .template("form", form)
        .template("texture", u8::from(textured));
    let invocations = if form == "elements" { count } else { count.div_ceil(4) };
    cx.dispatch_flat(kernel, &params(view, places, 0, [count, width])?, &operands, invocations)
}

/// (x, indices) -> y
#[derive(Debug)]
struct Gather {
    axis: usize,
}

impl Op for Gather {
    fn name(&self) -> &'static str {
        NAME
    }

    fn attributes(&self) -> String {
        format!("axis {}", self.axis)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        super::float(NAME, &inputs[0])?;
        around(NAME, &inputs[0], self.axis)?;
        integers(NAME, &inputs[1])?;
        let mut shape = inputs[0].shape.to_vec();
        shape.splice(self.axis..=self.axis, inputs[1].shape.iter().copied());
        Ok(vec![TensorType::f32(shape)])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None, None]) };
        let op = GatherGrad { axis: self.axis, x: cx.input(0).ty() };
        Ok(vec![Some(cx.graph().apply_one(op, cx.layer(), &[cx.input(1), dy])?), None])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let view = around(NAME, &cx.input_types[0], self.axis).unwrap_or_default();
        vec![reference::forward(view, &cx.integers(1), &cx.checked(0))]
    }

    /// What is looked up in, a table of parameters, sees nothing; an index takes its place.
    fn reach(&self, inputs: &[TensorType]) -> Reach {
        let behind = inputs[0].shape.len().saturating_sub(self.axis + 1);
        let places = (0..inputs[1].shape.len()).map(Some);
        let order = vec![None; self.axis].into_iter().chain(places).chain(vec![None; behind]).collect();
        Reach::Moved { input: 1, order }
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let view = around(NAME, &cx.inputs[0], self.axis)?;
        let places = cx.inputs[1].elements();
        take(cx, "forward", view, places)
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        let (x, indices) = (cx.held(0)?, cx.held(1)?);
        cx.keeps_examples(if self.axis == 0 { !x.examples } else { !indices.examples })?;
        let inputs = [cx.input(0)?, cx.input(1)?];
        cx.finish("Gather", &[&inputs[0], &inputs[1]], &[("axis", self.axis.into())])
    }
}

/// (indices, dy) -> dx
#[derive(Debug)]
struct GatherGrad {
    axis: usize,
    x: TensorType,
}

impl Op for GatherGrad {
    fn name(&self) -> &'static str {
        "gather.grad"
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![self.x.clone()])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let view = around(NAME, &self.x, self.axis).unwrap_or_default();
        vec![reference::grad(view, &cx.integers(0), cx.inputs[1])]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let view @ [outer, extent, inner] = around(NAME, &self.x, self.axis)?;
        let places = cx.inputs[0].elements();
        let slice = slice_of(extent);
        let (slices, parts, slices_of_part) = (places.div_ceil(slice), places.div_ceil(PART), PART / slice);
        let lists = slices * extent;
        let [heads, lasts, nexts] = [lists, lists, places].map(|words| cx.scratch(words));
        let kernel = |entry| Kernel::new(&SHADER, entry).template("entry", entry).template("form", "elements");
        let clear = params(view, places, slice, [lists, 1])?;
        cx.dispatch_flat(kernel("clear"), &clear, &[Operand::ScratchWrite(heads)], lists)?;
        let operands = [heads, nexts, lasts].map(Operand::ScratchWrite);
        let operands = [&[Operand::Input(0)][..], &operands].concat();
        cx.dispatch_flat(kernel("link"), &params(view, places, slice, [places, 1])?, &operands, places)?;
        if slices > parts {
            let operands = [Operand::ScratchRead(lasts), Operand::ScratchWrite(heads), Operand::ScratchWrite(nexts)];
            let join = params(view, slices, slices_of_part, [parts * extent, 1])?;
            cx.dispatch_flat(kernel("join"), &join, &operands, parts * extent)?;
        }
        let form = choose_form(cx, "gather.grad", &[("fours", inner.is_multiple_of(4))], false)?;
        let textured = cx.choose_textures("gather.grad", outer * places * inner)?;
        let width = if form == "fours" { 4 } else { 1 };
        let count = outer * extent * inner;
        let mut operands =
            [Operand::Input(1), Operand::ScratchRead(heads), Operand::ScratchRead(nexts), Operand::Output(0)];
        if textured {
            cx.through_textures(&mut operands[..1], 0);
        }
        for part in 0..parts {
            let kernel = Kernel::new(&SHADER, "grad")
                .variant(form)
                .template("entry", "grad")
                .template("form", form)
                .template("texture", u8::from(textured))
                .template("adds", u8::from(part > 0));
            cx.dispatch_flat(
                kernel,
                &params(view, places, part * slices_of_part, [count, width])?,
                &operands,
                count / width,
            )?;
        }
        Ok(())
    }
}

/// (x, indices) -> y
#[derive(Debug)]
struct Along {
    axis: usize,
}

impl Op for Along {
    fn name(&self) -> &'static str {
        ALONG
    }

    fn attributes(&self) -> String {
        format!("axis {}", self.axis)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        super::float(ALONG, &inputs[0])?;
        around(ALONG, &inputs[0], self.axis)?;
        integers(ALONG, &inputs[1])?;
        let (x, indices) = (&inputs[0].shape, &inputs[1].shape);
        if x.len() != indices.len() || (0..x.len()).any(|axis| axis != self.axis && x[axis] != indices[axis]) {
            return Err(Error::shape(ALONG, format!("indices {x} but for axis {}", self.axis), &inputs[1]));
        }
        within_one_invocation(ALONG, indices[self.axis])?;
        Ok(vec![TensorType::f32(indices.clone())])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None, None]) };
        let op = AlongGrad { axis: self.axis, x: cx.input(0).ty() };
        Ok(vec![Some(cx.graph().apply_one(op, cx.layer(), &[cx.input(1), dy])?), None])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let view = around(ALONG, &cx.input_types[0], self.axis).unwrap_or_default();
        vec![reference::along(view, &cx.integers(1), &cx.checked(0))]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let view = around(ALONG, &cx.inputs[0], self.axis)?;
        let places = cx.inputs[1].shape[self.axis];
        take(cx, "along", view, places)
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        let (x, indices) = (cx.held(0)?, cx.held(1)?);
        cx.keeps_examples(self.axis > 0 && x.examples == indices.examples)?;
        let inputs = [cx.input(0)?, cx.input(1)?];
        cx.finish("GatherElements", &[&inputs[0], &inputs[1]], &[("axis", self.axis.into())])
    }
}

/// (indices, dy) -> dx
#[derive(Debug)]
struct AlongGrad {
    axis: usize,
    x: TensorType,
}

impl Op for AlongGrad {
    fn name(&self) -> &'static str {
        "take_along_axis.grad"
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![self.x.clone()])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let view = around(ALONG, &self.x, self.axis).unwrap_or_default();
        vec![reference::grad_along(view, &cx.integers(0), cx.inputs[1])]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let view @ [outer, extent, inner] = around(ALONG, &self.x, self.axis)?;
        let (places, count) = (cx.inputs[0].shape[self.axis], outer * extent * inner);
        let textured = cx.choose_textures("gather.grad_along", outer * places * inner)?;
        let mut operands = [Operand::Input(1), Operand::Input(0), Operand::Output(0)];
        if textured {
            cx.through_textures(&mut operands[..1], 0);
        }
        let kernel = Kernel::new(&SHADER, "grad_along")
            .template("entry", "grad_along")
            .template("form", "elements")
            .template("texture", u8::from(textured));
        cx.dispatch_flat(kernel, &params(view, places, 0, [count, 1])?, &operands, count)
    }
}

/// indices -> y
#[derive(Debug)]
struct OneHot {
    depth: usize,
}

impl Op for OneHot {
    fn name(&self) -> &'static str {
        ONE_HOT
    }

    fn attributes(&self) -> String {
        format!("depth {}", self.depth)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        integers(ONE_HOT, &inputs[0])?;
        if self.depth == 0 {
            return Err(Error::argument(ONE_HOT, "a depth of 0"));
        }
        let mut shape = inputs[0].shape.to_vec();
        shape.push(self.depth);
        Ok(vec![TensorType::f32(shape)])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        // Numbers have no derivative.
        Ok(vec![None])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        vec![reference::one_hot(self.depth, &cx.integers(0))]
    }

    fn reach(&self, inputs: &[TensorType]) -> Reach {
        Reach::Moved { input: 0, order: (0..inputs[0].shape.len()).map(Some).chain([None]).collect() }
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let count = cx.outputs[0].elements();
        let kernel = Kernel::new(&SHADER, "one_hot").template("entry", "one_hot").template("form", "elements");
        let params = params([1, self.depth, 1], 1, 0, [count, 1])?;
        cx.dispatch_flat(kernel, &params, &[Operand::Input(0), Operand::Output(0)], count)
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        cx.keeps_examples(true)?;
        let (places, depth, values) = (cx.input(0)?, cx.integer(self.depth)?, cx.floats(&[2], vec![0.0, 1.0])?);
        cx.finish("OneHot", &[&places, &depth, &values], &[])
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let list: [(&[usize], usize, &[usize]); 10] = [
        (&[5], 0, &[7]),
        (&[1, 1], 1, &[1]),
        (&[10, 8], 0, &[3, 5]),
        (&[67, 12], 0, &[129]),
        (&[3, 7, 5], 1, &[2, 2]),
        (&[2, 3, 9], 2, &[4]),
        (&[500, 36], 0, &[300]),
        // Several slices, in which few numbers or all are met.
        (&[300, 4], 0, &[1000]),
        (&[2, 4], 0, &[333]),
        // More places than a part has, and a list longer than most.
        (&[3, 1], 0, &[40_000]),
    ];
    let gathered = list.into_iter().map(|(shape, axis, indices)| {
        OpCase::new(format!("gather {shape:?} axis {axis} by {indices:?}"), move |cx| {
            let count = indices.iter().product();
            let indices = cx.labels("indices", count, shape[axis])?.reshape(indices)?;
            Ok(vec![cx.normal("x", shape)?.gather(indices, axis)?])
        })
    });
    let list: [(&[usize], usize, usize); 4] = [(&[5], 0, 3), (&[3, 7, 5], 1, 9), (&[4, 6], 1, 6), (&[9, 40, 30], 0, 4)];
    let along = list.into_iter().map(|(shape, axis, length)| {
        OpCase::new(format!("take_along_axis {shape:?} axis {axis} by {length}"), move |cx| {
            let mut taken = shape.to_vec();
            taken[axis] = length;
            let indices = cx.labels("indices", taken.iter().product(), shape[axis])?.reshape(taken)?;
            Ok(vec![cx.normal("x", shape)?.take_along_axis(indices, axis)?])
        })
    });
    let hot = [([7], 3), ([1], 1), ([65], 67)].map(|(shape, depth)| {
        // Some numbers are beyond the depth.
        OpCase::new(format!("one_hot {shape:?} to {depth}"), move |cx| {
            Ok(vec![cx.labels("indices", shape[0], depth + 2)?.one_hot(depth)?])
        })
    });
    let mut cases: Vec<OpCase> = gathered.chain(along).chain(hot).collect();
    let beyond = OpCase::new("gather with indices out of range", |cx| {
        let x = cx.normal("x", [4, 8])?;
        Ok(vec![
            x.gather(cx.labels("indices", 9, 6)?, 0)?,
            x.take_along_axis(cx.labels("along", 24, 6)?.reshape([3, 8])?, 0)?,
        ])
    });
    cases.push(beyond.without_differences());
    // Each has lists of its own, which start alike.
    cases.push(OpCase::new("gather twice from one table", |cx| {
        let x = cx.normal("x", [6, 5])?;
        let (first, second) = (cx.labels("first", 9, 6)?, cx.labels("second", 9, 6)?);
        Ok(vec![x.gather(first, 0)?, x.gather(second, 0)?])
    }));
    cases
}
