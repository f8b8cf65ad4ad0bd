//! Softmax and cross-entropy in one, for integer labels: loss = mean over rows of logsumexp(x) - x[label], with the
//! gradient (softmax(x) - onehot(label))/rows; and the share of rows whose largest logit is the label's.
//!
//! A label beyond the classes gives NaN: the device cannot raise an error, and a wrong number would hide it.

use super::optimizer::Optimizer;
use super::softmax::{choose_form, dispatch_rows, row_variants};
use super::{MAX_ITERATIONS, matrix, reduce};
use crate::error::Result;
use crate::graph::gradients::no_gradient;
use crate::graph::{Evaluation, GradientContext, Init, Mode, Op, Tensor, TensorType};
use crate::plan::{Candidate, Kernel, Lowering, Operand, Shader, params, shader, word};
use crate::reference::{Checked, softmax_cross_entropy as reference};
use crate::selftest::OpCase;

const NAME: &str = "softmax_cross_entropy";

params! {
    CrossEntropyParams { rows: u32, classes: u32 }
}
pub(crate) static SHADER: Shader =
    shader!("softmax_cross_entropy", CrossEntropyParams, ["grid", "nan", "tree", "texture", "read"]);

impl<'g> Tensor<'g> {
    /// The mean cross-entropy of logits `[N, classes]` against labels `[N]` (u32), as PyTorch's `CrossEntropyLoss`: a
    /// tensor of one element. Stable for logits of any size.
    ///
    /// # Errors
    /// When the logits are not f32 of rank 2 or the labels are not u32 of the same number of rows.
    pub fn softmax_cross_entropy(self, labels: Self) -> Result<Self> {
        let outputs = self.graph().apply(CrossEntropy, "", &[self, labels])?;
        Ok(outputs[0])
    }

    /// The share of rows of `[N, classes]` whose first largest value stands at the label: a tensor of one element,
    /// without gradient.
    ///
    /// # Errors
    /// As [`Tensor::softmax_cross_entropy`].
    pub fn accuracy(self, labels: Self) -> Result<Self> {
        self.graph().apply_one(Accuracy, "", &[self, labels])
    }
}

fn sizes(inputs: &[TensorType]) -> Result<[usize; 2]> {
    let [rows, classes] = matrix(NAME, &inputs[0], "[N, classes]")?;
    super::expect(NAME, "labels", &TensorType::u32(rows), &inputs[1])?;
    Ok([rows, classes])
}

/// The mean over rows, with the rows' own errors on top of the sum's.
fn mean(each: &Checked) -> Checked {
    let rows = each.values.len();
    let mut mean = reduce::reference::channel_sum([1, 1, 1, rows], &each.values, 1.0 / rows as f64);
    mean.magnitude[0] = mean.magnitude[0].max(each.magnitude.iter().sum::<f64>() / rows as f64);
    mean.terms += each.terms;
    mean
}

/// Why one workgroup cannot take all rows.
fn apart(cx: &Lowering<'_>, [rows, classes]: [usize; 2]) -> Option<String> {
    let work = 3 * (classes + 2) * rows.div_ceil(cx.workgroup_size());
    (work > MAX_ITERATIONS).then(|| format!("{work} iterations are too many"))
}

/// Adds `entry` over the rows of input 0, a variant of the list or, where there is `mean`, all rows together; `mean` gets
/// the rows' mean, `gradient` the gradient.
fn lower(
    cx: &mut Lowering<'_>,
    entry: &'static str,
    mut variants: Vec<Candidate>,
    mean: Option<Operand>,
    gradient: Option<Operand>,
) -> Result<()> {
    let [rows, classes] = sizes(&cx.inputs)?;
    let name = format!("{NAME}.{entry}");
    if mean.is_some() {
        /// Elements up to which a second dispatch, or on a GPU the first one's other workgroups, bring nothing.
        const FEW: [usize; 2] = [1 << 14, 1 << 10];
        let few = cx.by_class(FEW);
        let at = if rows * classes <= few { 0 } else { variants.len() };
        variants.insert(at, Candidate::unless("together", apart(cx, [rows, classes])));
    }
    let variant = cx.choose(&name, variants)?;
    let alone = variant != "workgroup";
    let form = if alone { choose_form(cx, &name, &[("fours", classes.is_multiple_of(4))])? } else { "elements" };
    let textured = alone && cx.choose_textures(&name, rows * classes)?;
    let logits = if textured { Operand::InputTexture(0) } else { Operand::Input(0) };
    let width = if form == "fours" { 4 } else { 1 };
    let params = CrossEntropyParams { rows: word(NAME, rows)?, classes: word(NAME, classes / width)? };
    let each = (mean.is_some() && variant != "together").then(|| cx.scratch(rows));
    let third = each.map(Operand::ScratchWrite).or(mean).unwrap_or(Operand::Input(2));
    let operands: Vec<Operand> = [logits, Operand::Input(1), third].into_iter().chain(gradient).collect();
    let kernel = Kernel::new(&SHADER, entry)
        .variant(variant)
        .template("entry", entry)
        .template("rows", variant)
        .template("form", form)
        .template("texture", u8::from(textured))
        .template("gradient", u8::from(gradient.is_some()));
    let units = if variant == "together" { 1 } else { rows };
    dispatch_rows(cx, kernel, &params, &operands, units, variant == "serial")?;
    match (each, mean) {
        (Some(each), Some(mean)) => {
            reduce::lower_sum(cx, [1, 1, 1, rows], 1.0 / rows as f64, [Operand::ScratchRead(each), mean])
        }
        _ => Ok(()),
    }
}

/// (logits, labels) -> mean loss, and its gradient by the logits
#[derive(Debug)]
struct CrossEntropy;

impl Op for CrossEntropy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        sizes(inputs).map(|_| vec![TensorType::f32(1), inputs[0].clone()])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dloss) = cx.cotangent(0) else { return Ok(vec![None, None]) };
        // The last node of a training step: the kernel that computes the loss then computes its gradient too.
        if dloss.is_constant(1.0) {
            return Ok(vec![Some(cx.output(1)), None]);
        }
        let inputs = [cx.input(0), cx.input(1), dloss];
        Ok(vec![Some(cx.graph().apply_one(CrossEntropyGradInput, cx.layer(), &inputs)?), None])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let [rows, classes] = sizes(&cx.input_types).unwrap_or_default();
        let labels = cx.integers(1);
        let each = reference::forward(rows, classes, cx.inputs[0], &labels);
        let shares = vec![1.0 / rows as f64; rows];
        vec![mean(&each), reference::grad(rows, classes, cx.inputs[0], &labels, &shares)]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let [_, classes] = sizes(&cx.inputs)?;
        let gradient = cx.needs(1).then_some(Operand::Output(1));
        let variants = row_variants(cx, classes);
        lower(cx, "forward", variants, Some(Operand::Output(0)), gradient)
    }
}

/// (logits, labels, cotangent of the mean) -> dlogits
#[derive(Debug)]
struct CrossEntropyGradInput;

impl Op for CrossEntropyGradInput {
    fn name(&self) -> &'static str {
        "softmax_cross_entropy.grad_input"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![inputs[0].clone()])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let [rows, classes] = sizes(&cx.input_types).unwrap_or_default();
        let each = vec![cx.inputs[2][0] / rows as f64; rows];
        vec![reference::grad(rows, classes, cx.inputs[0], &cx.integers(1), &each)]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let [_, classes] = sizes(&cx.inputs)?;
        let variants = row_variants(cx, classes);
        lower(cx, "grad_input", variants, None, Some(Operand::Output(0)))
    }
}

/// (logits, labels) -> share of right answers
#[derive(Debug)]
struct Accuracy;

impl Op for Accuracy {
    fn name(&self) -> &'static str {
        "accuracy"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        sizes(inputs).map(|_| vec![TensorType::f32(1)])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        // A step function: its derivative is zero wherever there is one.
        Ok(vec![None, None])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let [rows, classes] = sizes(&cx.input_types).unwrap_or_default();
        let each = reference::correct(rows, classes, cx.inputs[0], &cx.integers(1));
        vec![mean(&Checked::exact(each))]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let [_, classes] = sizes(&cx.inputs)?;
        super::within_one_invocation("accuracy", classes)?;
        lower(cx, "correct", vec![Candidate::unless("serial", None)], Some(Operand::Output(0)), None)
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let mut cases = Vec::new();
    for [rows, classes] in [[64, 10], [1, 1], [7, 67], [3, 1009], [70, 128]] {
        cases.push(OpCase::new(format!("softmax_cross_entropy [{rows}, {classes}]"), move |cx| {
            let (x, labels) = (cx.normal("x", [rows, classes])?, cx.labels("labels", rows, classes)?);
            Ok(vec![x.softmax_cross_entropy(labels)?])
        }));
        cases.push(OpCase::new(format!("accuracy [{rows}, {classes}]"), move |cx| {
            let (x, labels) = (cx.normal("x", [rows, classes])?, cx.labels("labels", rows, classes)?);
            Ok(vec![x.accuracy(labels)?])
        }));
        // Both at once, as a training step wants them.
        let step = OpCase::new(format!("softmax_cross_entropy with its gradient [{rows}, {classes}]"), move |cx| {
            let x = cx.graph().parameter("x", [rows, classes], Init::HeNormal)?;
            let loss = x.softmax_cross_entropy(cx.labels("labels", rows, classes)?)?;
            cx.graph().minimize(loss, &Optimizer::sgd(1.0))?;
            Ok(vec![loss])
        });
        cases.push(step.mode(Mode::Training).randomize_parameters());
    }
    cases.push(OpCase::new("softmax_cross_entropy of ±1e4", |cx| {
        let logits = vec![1e4, -1e4, 0.0, -1e4, 1e4, 9999.5, -1e4, -1e4, -1e4];
        let labels = cx.labels("labels", 3, 3)?;
        Ok(vec![cx.values("x", [3, 3], logits)?.softmax_cross_entropy(labels)?])
    }));
    cases
}
