//! The largest or smallest elements along an axis and where they stand: top-k, and with k = 1 maxima, minima and their
//! places.

use super::axes::Axes;
use super::softmax::row_form;
use super::{MAX_ITERATIONS, around};
use crate::error::{Error, Result};
use crate::graph::gradients::no_gradient;
use crate::graph::{Evaluation, GradientContext, Op, Shape, Tensor, TensorType};
use crate::plan::{Kernel, Lowering, Operand, Shader, params, shader, word};
use crate::reference::{Checked, top_k as reference};
use crate::selftest::OpCase;

const NAME: &str = "top_k";

/// Invocations that keep a CPU busy, four workgroups, and a GPU.
const BUSY: [usize; 2] = [1 << 8, 1 << 14];

params! {
    TopKParams { outer: u32, length: u32, inner: u32, count: u32, lanes: u32 }
}
pub(crate) static SHADER: Shader = shader!("top_k", TopKParams, ["grid", "divide", "nan", "texture", "read"]);

impl<'g> Tensor<'g> {
    /// The `k` largest elements along `axis`, largest first, and their places along it (u32): both have an extent of `k`
    /// there. Of equal elements the one that comes first is taken first, and a NaN before every number. The gradient goes
    /// to the elements that were taken. As PyTorch's `topk` and ONNX's `TopK`.
    ///
    /// # Errors
    /// When the tensor is not f32, has no such axis, or k is not in 1..=extent or too large for one invocation: k·extent
    /// of many thousands.
    pub fn top_k(self, axis: usize, k: usize) -> Result<(Self, Self)> {
        self.extremes(axis, k, true)
    }

    /// The `k` smallest elements along `axis`, smallest first, and their places: otherwise as [`Tensor::top_k`].
    ///
    /// # Errors
    /// Those of [`Tensor::top_k`].
    pub fn bottom_k(self, axis: usize, k: usize) -> Result<(Self, Self)> {
        self.extremes(axis, k, false)
    }

    /// The largest elements over axes. The gradient goes to the first of equal ones.
    ///
    /// # Errors
    /// When the tensor is not f32 or has no such axes.
    pub fn max(self, axes: impl Into<Axes>) -> Result<Self> {
        self.extreme("max", &axes.into(), true)
    }

    /// The smallest elements over axes. The gradient goes to the first of equal ones.
    ///
    /// # Errors
    /// When the tensor is not f32 or has no such axes.
    pub fn min(self, axes: impl Into<Axes>) -> Result<Self> {
        self.extreme("min", &axes.into(), false)
    }

    /// Where along `axis` the largest element stands, the first of equal ones, as u32. The axis is dropped.
    ///
    /// # Errors
    /// When the tensor is not f32 or has no such axis.
    pub fn argmax(self, axis: usize) -> Result<Self> {
        self.place("argmax", axis, true)
    }

    /// Where along `axis` the smallest element stands, the first of equal ones, as u32. The axis is dropped.
    ///
    /// # Errors
    /// When the tensor is not f32 or has no such axis.
    pub fn argmin(self, axis: usize) -> Result<Self> {
        self.place("argmin", axis, false)
    }

    fn extremes(self, axis: usize, count: usize, largest: bool) -> Result<(Self, Self)> {
        let outputs = self.graph().apply(TopK { axis, count, largest }, "", &[self])?;
        Ok((outputs[0], outputs[1]))
    }

    fn extreme(self, op: &str, axes: &Axes, largest: bool) -> Result<Self> {
        super::float(op, &self.ty())?;
        let reduced = axes.of(op, &self.shape())?;
        let mut x = self;
        for view in reduced.views() {
            (x, _) = x.reshape(view)?.extremes(1, 1, largest)?;
        }
        x.reshape(reduced.output)
    }

    fn place(self, op: &str, axis: usize, largest: bool) -> Result<Self> {
        super::float(op, &self.ty())?;
        let output = Axes::from(axis).of(op, &self.shape())?.output;
        self.extremes(axis, 1, largest)?.1.reshape(output)
    }
}

/// x -> (values, places)
#[derive(Debug, Clone, Copy)]
struct TopK {
    axis: usize,
    count: usize,
    largest: bool,
}

impl TopK {
    fn output(self, x: &TensorType) -> Shape {
        let mut shape = x.shape.to_vec();
        shape[self.axis] = self.count;
        shape.into()
    }

    /// Into how many lanes to deal the `length` elements of a row so that both passes together are short, or `None` where no
    /// invocation can do its share. Rows that keep the device busy as they are, are not dealt out.
    fn lanes(self, length: usize, busy: bool) -> Option<usize> {
        let passes = |lanes: usize| {
            let merging = if lanes > 1 { self.count.checked_mul(self.count * lanes + 1)? } else { 0 };
            let scanning = self.count.checked_mul(length.div_ceil(lanes) + 1)?;
            Some((scanning + merging, lanes)).filter(|_| scanning.max(merging) <= MAX_ITERATIONS)
        };
        // Below this a second dispatch costs more than it saves.
        let most = if length <= 256 { 0 } else { length.ilog2() };
        let whole = passes(1).filter(|_| busy);
        whole.or_else(|| (0..=most).filter_map(|power| passes(1 << power)).min()).map(|(_, lanes)| lanes)
    }

    fn params(self, view: [usize; 3], lanes: usize) -> Result<TopKParams> {
        let [outer, length, inner] = view.map(|extent| word(NAME, extent));
        let (count, lanes) = (word(NAME, self.count)?, word(NAME, lanes)?);
        Ok(TopKParams { outer: outer?, length: length?, inner: inner?, count, lanes })
    }

    fn kernel(self, entry: &'static str, stage: &'static str, form: &'static str, textured: bool) -> Kernel {
        Kernel::new(&SHADER, entry)
            .template("entry", entry)
            .template("stage", stage)
            .template("form", form)
            .template("texture", u8::from(textured))
            .template("largest", u8::from(self.largest))
    }
}

impl Op for TopK {
    fn name(&self) -> &'static str {
        NAME
    }

    fn attributes(&self) -> String {
        format!("{} {} along axis {}", if self.largest { "largest" } else { "smallest" }, self.count, self.axis)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        super::float(NAME, &inputs[0])?;
        let [_, length, _] = around(NAME, &inputs[0], self.axis)?;
        if !(1..=length).contains(&self.count) {
            return Err(Error::argument(NAME, format!("expected k in 1..={length}, got {}", self.count)));
        }
        if self.lanes(length, false).is_none() {
            return Err(Error::argument(NAME, format!("{} of {length} are too many for one pass", self.count)));
        }
        let output = self.output(&inputs[0]);
        Ok(vec![TensorType::f32(output.clone()), TensorType::u32(output)])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None]) };
        let op = TopKGradInput { top: *self, x: cx.input(0).ty() };
        Ok(vec![Some(cx.graph().apply_one(op, cx.layer(), &[cx.output(1), dy])?)])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let view = around(NAME, &cx.input_types[0], self.axis).unwrap_or_default();
        let (values, places) = reference::forward(view, self.count, self.largest, cx.inputs[0]);
        vec![values, Checked::exact(places.into_iter().map(f64::from).collect())]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let whole = around(NAME, &cx.inputs[0], self.axis)?;
        let (form, view) = row_form(cx, "top_k.forward", whole)?;
        let [outer, _, inner] = view;
        let busy = outer * inner >= cx.by_class(BUSY);
        // The shape rule has seen that there is a way.
        let lanes = self.lanes(whole[1], busy).unwrap_or(1);
        let textured = cx.choose_textures("top_k.forward", whole.iter().product())?;
        let x = if textured { Operand::InputTexture(0) } else { Operand::Input(0) };
        let outputs = [Operand::Output(0), Operand::Output(1)];
        if lanes == 1 {
            let kernel = self.kernel("forward", "whole", form, textured);
            return cx.dispatch_flat(kernel, &self.params(view, 1)?, &[x, outputs[0], outputs[1]], outer * inner);
        }
        let found = cx.scratch(outer * lanes * self.count * whole[2]);
        let kernel = self.kernel("forward", "lanes", form, textured);
        let operands = [x, Operand::ScratchWrite(found)];
        cx.dispatch_flat(kernel, &self.params(view, lanes)?, &operands, outer * lanes * inner)?;
        let kernel = self.kernel("forward", "merge", "elements", textured);
        let operands = [x, Operand::ScratchRead(found), outputs[0], outputs[1]];
        cx.dispatch_flat(kernel, &self.params(whole, lanes)?, &operands, outer * whole[2])
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        cx.keeps_examples(self.axis > 0)?;
        let extreme = if self.largest { "Max" } else { "Min" };
        if self.count == 1 && !cx.needs(1) {
            let [outer, length, inner] = around(NAME, &cx.inputs[0], self.axis)?;
            return crate::onnx::reduce(cx, &format!("Reduce{extreme}"), [outer, length, inner, 1]);
        }
        let shape = cx.outputs[0].shape.clone();
        let x = cx.input(0)?;
        if self.count == 1 && !cx.needs(0) {
            let places = vec![cx.output(1, &shape)];
            cx.push(&format!("Arg{extreme}"), &[&x], places, &[("axis", self.axis.into())]);
            return Ok(());
        }
        let count = cx.integers([self.count as i64])?;
        let outputs = vec![cx.output(0, &shape), cx.output(1, &shape)];
        let attributes = [("axis", self.axis.into()), ("largest", self.largest.into())];
        cx.push("TopK", &[&x, &count], outputs, &attributes);
        Ok(())
    }
}

/// (places, dy) -> dx
#[derive(Debug)]
struct TopKGradInput {
    top: TopK,
    x: TensorType,
}

impl Op for TopKGradInput {
    fn name(&self) -> &'static str {
        "top_k.grad_input"
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![self.x.clone()])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let view = around(NAME, &self.x, self.top.axis).unwrap_or_default();
        vec![reference::grad_input(view, self.top.count, &cx.integers(0), cx.inputs[1])]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (form, view) = row_form(cx, "top_k.grad_input", around(NAME, &self.x, self.top.axis)?)?;
        let operands = [Operand::Input(0), Operand::Input(1), Operand::Output(0)];
        let kernel = self.top.kernel("grad_input", "whole", form, false);
        cx.dispatch_flat(kernel, &self.top.params(view, 1)?, &operands, view.iter().product())
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    // Short and long rows, in one pass and in two, along the first, a middle and the last axis.
    let list = [
        (vec![1], 0, 1),
        (vec![4, 10], 1, 3),
        (vec![7, 3, 5], 1, 3),
        (vec![9, 2, 3], 0, 2),
        (vec![2, 1009], 1, 5),
        (vec![3, 700, 5], 1, 2),
        (vec![1, 70_001], 1, 1),
        (vec![300, 260], 1, 3),
        (vec![2, 260], 1, 3),
        (vec![2, 300, 8], 1, 2),
        (vec![3, 5, 4], 1, 5),
    ];
    let mut cases = Vec::new();
    for (shape, axis, k) in list {
        for largest in [true, false] {
            let name = if largest { "top_k" } else { "bottom_k" };
            let shape = shape.clone();
            // The second output has no gradient.
            cases.push(OpCase::new(format!("{name} {k} of {shape:?} axis {axis}"), move |cx| {
                let (values, places) = cx.normal("x", shape.clone())?.extremes(axis, k, largest)?;
                Ok(vec![values, places])
            }));
        }
    }
    cases.push(OpCase::new("max over axes 0 and 2 of [3, 5, 7]", |cx| {
        Ok(vec![cx.normal("x", [3, 5, 7])?.max([0, 2])?])
    }));
    cases.push(OpCase::new("min of all of [3, 5, 700]", |cx| Ok(vec![cx.normal("x", [3, 5, 700])?.min(..)?])));
    cases.push(OpCase::new("argmax and argmin", |cx| {
        let x = cx.normal("x", [5, 300])?;
        Ok(vec![x.argmax(1)?, x.argmin(0)?, x.relu()?])
    }));
    // Equal elements, where the order decides; differences of the gradient mean nothing there.
    let equal = OpCase::new("top_k of equal elements", |cx| {
        let values = (0..2 * 600).map(|i| ((i * 7) % 5) as f32 - 2.0).collect();
        let (values, places) = cx.values("x", [2, 600], values)?.top_k(1, 4)?;
        Ok(vec![values, places])
    });
    cases.push(equal.without_differences());
    cases
}
