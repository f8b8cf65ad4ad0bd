//! Softmax along one axis: y = exp(x - max) / Σ exp(x - max); dx = y·(dy - Σ y·dy).

use super::{Axes, MAX_ITERATIONS, around};
use crate::error::Result;
use crate::gpu::DeviceClass;
use crate::graph::gradients::no_gradient;
use crate::graph::{Evaluation, GradientContext, Op, Reach, Tensor, TensorType};
use crate::plan::{Candidate, Kernel, Lowering, Operand, Params, Shader, params, shader, word};
use crate::reference::{Checked, softmax as reference};
use crate::selftest::OpCase;

const NAME: &str = "softmax";

params! {
    SoftmaxParams { outer: u32, classes: u32, inner: u32 }
}
pub(crate) static SHADER: Shader = shader!("softmax", SoftmaxParams, ["grid", "divide", "tree", "texture", "read"]);

impl<'g> Tensor<'g> {
    /// Softmax along `axis`.
    ///
    /// # Errors
    /// When the tensor is not f32 or has no such axis.
    pub fn softmax(self, axis: usize) -> Result<Self> {
        self.graph().apply_one(Softmax { axis }, "", &[self])
    }
}

impl<'g> Tensor<'g> {
    /// ln(softmax(x)) along `axis`, computed as (x - max) - ln Σ exp(x - max), so that small probabilities keep their
    /// logarithms.
    ///
    /// # Errors
    /// When the tensor is not f32 or has no such axis.
    pub fn log_softmax(self, axis: usize) -> Result<Self> {
        let axes = Axes::from(axis).keep();
        self.graph().as_one("log_softmax", "", format!("axis {axis}"), Reach::Along(vec![axis]), || {
            // Whatever is taken out of both terms: it has no derivative.
            let shifted = self.subtract(self.max(axes.clone())?.detach()?)?;
            shifted.subtract(shifted.exp()?.sum(axes)?.log()?)
        })
    }

    /// ln Σ exp(x) over axes, without overflow: ONNX's `ReduceLogSumExp`. Of nothing but -∞ it is -∞, and beside +∞ it is +∞,
    /// as PyTorch's `logsumexp`; -∞ beside finite elements has no part in it and no gradient, as in masks.
    ///
    /// # Errors
    /// When the tensor is not f32 or has no such axes.
    pub fn log_sum_exp(self, axes: impl Into<Axes>) -> Result<Self> {
        let axes = axes.into();
        // An infinite shift would make not-a-number of its own kind.
        let largest = self.max(axes.clone().keep())?.clip(f32::MIN, f32::MAX)?.detach()?;
        let sum = self.subtract(largest)?.exp()?.sum(axes)?;
        sum.log()?.add(largest.reshape(sum.shape())?)
    }
}

/// How a row may be worked on, best first: by one invocation, or by a workgroup together. Shared with the cross-entropy.
pub(super) fn row_variants(cx: &Lowering<'_>, classes: usize) -> Vec<Candidate> {
    // Three loops over the row; a software adapter counts their exits too.
    let work = |length: usize| 3 * (length + 1);
    let long = |work: usize| (work > MAX_ITERATIONS).then(|| format!("{work} iterations are too many"));
    let serial = Candidate::unless("serial", long(work(classes)));
    let workgroup = Candidate::unless("workgroup", long(work(classes.div_ceil(cx.workgroup_size()))));
    // A GPU wants many invocations; on a CPU the barriers cost more than they bring.
    let few = classes <= 32;
    match cx.class() {
        DeviceClass::Gpu if !few => vec![workgroup, serial],
        _ => vec![serial, workgroup],
    }
}

/// Chooses the form of a kernel: that of the list which fits and is first, or single elements, which a GPU prefers.
pub(super) fn choose_form(cx: &mut Lowering<'_>, kernel: &str, fours: &[(&'static str, bool)]) -> Result<&'static str> {
    let refusal = |fits: bool| (!fits).then(|| "only for whole fours".to_string());
    let mut candidates: Vec<Candidate> =
        fours.iter().map(|&(name, fits)| Candidate::unless(name, refusal(fits))).collect();
    candidates.push(Candidate::unless("elements", None));
    if cx.class() != DeviceClass::Cpu {
        candidates.rotate_right(1);
    }
    cx.choose(&format!("{kernel}.form"), candidates)
}

/// Chooses the form of a kernel of which an invocation takes a row of a view [outer, classes, inner], and the view in what it
/// counts: `along` takes four classes at a time, `across` four rows.
pub(super) fn row_form(
    cx: &mut Lowering<'_>,
    kernel: &str,
    [outer, classes, inner]: [usize; 3],
) -> Result<(&'static str, [usize; 3])> {
    let along = inner == 1 && classes.is_multiple_of(4);
    let form = choose_form(cx, kernel, &[("along", along), ("across", inner.is_multiple_of(4))])?;
    let view = match form {
        "along" => [outer, classes / 4, inner],
        "across" => [outer, classes, inner / 4],
        _ => [outer, classes, inner],
    };
    Ok((form, view))
}

/// Adds a dispatch with an invocation for each row, or a workgroup.
pub(super) fn dispatch_rows(
    cx: &mut Lowering<'_>,
    kernel: Kernel,
    params: &impl Params,
    operands: &[Operand],
    rows: usize,
    serial: bool,
) -> Result<()> {
    match serial {
        true => cx.dispatch_flat(kernel, params, operands, rows),
        false => {
            let kernel = kernel.constant("WORKGROUP", cx.workgroup_size() as f64);
            cx.dispatch(kernel, params, operands, rows)
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Softmax {
    axis: usize,
}

impl Softmax {
    fn lower(self, cx: &mut Lowering<'_>, entry: &'static str, operands: &mut [Operand]) -> Result<()> {
        let [outer, classes, inner] = around(NAME, &cx.inputs[0], self.axis)?;
        let name = format!("{NAME}.{entry}");
        let variants = row_variants(cx, classes);
        let rows = cx.choose(&name, variants)?;
        let serial = rows == "serial";
        let whole = [outer, classes, inner];
        let (form, [_, width, breadth]) = if serial { row_form(cx, &name, whole)? } else { ("elements", whole) };
        let textured = serial && cx.choose_textures(&name, outer * classes * inner)?;
        if textured {
            cx.through_textures(&mut *operands, 0);
        }
        let params =
            SoftmaxParams { outer: word(NAME, outer)?, classes: word(NAME, width)?, inner: word(NAME, breadth)? };
        let kernel = Kernel::new(&SHADER, entry)
            .variant(rows)
            .template("entry", entry)
            .template("rows", rows)
            .template("form", form)
            .template("texture", u8::from(textured));
        dispatch_rows(cx, kernel, &params, operands, outer * breadth, serial)
    }
}

impl Op for Softmax {
    fn name(&self) -> &'static str {
        NAME
    }

    fn attributes(&self) -> String {
        format!("axis {}", self.axis)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        around(NAME, &inputs[0], self.axis)?;
        super::float(NAME, &inputs[0])?;
        Ok(vec![inputs[0].clone()])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None]) };
        Ok(vec![Some(cx.graph().apply_one(SoftmaxGradInput(*self), cx.layer(), &[cx.output(0), dy])?)])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let [outer, classes, inner] = around(NAME, &cx.input_types[0], self.axis).unwrap_or_default();
        vec![reference::forward(outer, classes, inner, cx.inputs[0])]
    }

    fn reach(&self, _: &[TensorType]) -> Reach {
        Reach::Along(vec![self.axis])
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        Self::lower(*self, cx, "forward", &mut [Operand::Input(0), Operand::Output(0)])
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        cx.keeps_examples(self.axis > 0)?;
        let x = cx.input(0)?;
        cx.finish("Softmax", &[&x], &[("axis", self.axis.into())])
    }
}

/// (y, dy) -> dx
#[derive(Debug)]
struct SoftmaxGradInput(Softmax);

impl Op for SoftmaxGradInput {
    fn name(&self) -> &'static str {
        "softmax.grad_input"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![inputs[0].clone()])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let [outer, classes, inner] = around(NAME, &cx.input_types[0], self.0.axis).unwrap_or_default();
        vec![reference::grad(outer, classes, inner, cx.inputs[0], cx.inputs[1])]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        self.0.lower(cx, "grad_input", &mut [Operand::Input(0), Operand::Input(1), Operand::Output(0)])
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let list = [
        (vec![4, 10], 1),
        (vec![1, 1], 1),
        (vec![2, 67, 3, 5], 1),
        (vec![7, 3, 2], 0),
        (vec![2, 1009], 1),
        (vec![33, 132], 1),
        (vec![2, 13, 6, 30], 1),
    ];
    let mut cases: Vec<OpCase> = list
        .into_iter()
        .map(|(shape, axis): (Vec<usize>, usize)| {
            OpCase::new(format!("softmax {shape:?} axis {axis}"), move |cx| {
                cx.normal("x", shape.clone())?.softmax(axis).map(|y| vec![y])
            })
        })
        .collect();
    cases.push(OpCase::new("log_softmax [3, 9, 4] axis 1", |cx| Ok(vec![cx.normal("x", [3, 9, 4])?.log_softmax(1)?])));
    cases.push(OpCase::new("log_sum_exp", |cx| {
        let x = cx.normal("x", [3, 9, 4])?;
        Ok(vec![x.log_sum_exp([0, 2])?, x.log_sum_exp(Axes::from(1).keep())?])
    }));
    cases.push(OpCase::new("logarithms of ±1e4", |cx| {
        let x = cx.values("x", [2, 4], vec![1e4, -1e4, 0.0, 9999.0, -1e4, -1e4, -9998.0, -1e4])?;
        Ok(vec![x.log_softmax(1)?, x.log_sum_exp(1)?])
    }));
    cases.push(OpCase::new("softmax of ±1e4", |cx| {
        cx.values("x", [2, 4], vec![1e4, -1e4, 0.0, 9999.0, -1e4, -1e4, -9998.0, -1e4])?.softmax(1).map(|y| vec![y])
    }));
    cases
}
