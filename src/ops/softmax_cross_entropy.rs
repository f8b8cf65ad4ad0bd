//! Softmax and cross-entropy in one, for integer labels: loss = mean over rows of logsumexp(x) - x[label], with the
//! gradient (softmax(x) - onehot(label))/rows; and the share of rows whose largest logit is the label's.
//!
//! A label beyond the classes gives NaN: the device cannot raise an error, and a wrong number would hide it.

use super::softmax::dispatch_rows;
use super::{matrix, reduce};
use crate::error::Result;
use crate::graph::gradients::no_gradient;
use crate::graph::{Evaluation, GradientContext, Op, Tensor, TensorType};
use crate::plan::{Kernel, Lowering, Operand, Shader, params, shader, word};
use crate::reference::{Checked, softmax_cross_entropy as reference};
use crate::selftest::OpCase;

const NAME: &str = "softmax_cross_entropy";

params! {
    CrossEntropyParams { rows: u32, classes: u32 }
}
pub(crate) static SHADER: Shader = shader!("softmax_cross_entropy", CrossEntropyParams, ["grid", "tree"]);

impl<'g> Tensor<'g> {
    /// The mean cross-entropy of logits `[N, classes]` against labels `[N]` (u32), as PyTorch's `CrossEntropyLoss`: a
    /// tensor of one element. Stable for logits of any size.
    ///
    /// # Errors
    /// When the logits are not f32 of rank 2 or the labels are not u32 of the same number of rows.
    pub fn softmax_cross_entropy(self, labels: Self) -> Result<Self> {
        self.graph().apply_one(CrossEntropy, "", &[self, labels])
    }

    /// The share of rows of `[N, classes]` whose first largest value stands at the label: a tensor of one element,
    /// without gradient.
    ///
    /// # Errors
    /// As [`Tensor::softmax_cross_entropy`].
    pub fn accuracy(self, labels: Self) -> Result<Self> {
        self.graph().apply_one(Correct, "", &[self, labels])?.mean()
    }
}

fn sizes(inputs: &[TensorType]) -> Result<[usize; 2]> {
    let [rows, classes] = matrix(NAME, &inputs[0], "[N, classes]")?;
    super::expect(NAME, "labels", &TensorType::u32(rows), &inputs[1])?;
    Ok([rows, classes])
}

fn params([rows, classes]: [usize; 2]) -> Result<CrossEntropyParams> {
    Ok(CrossEntropyParams { rows: word(NAME, rows)?, classes: word(NAME, classes)? })
}

/// (logits, labels) -> mean loss
#[derive(Debug)]
struct CrossEntropy;

impl Op for CrossEntropy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        sizes(inputs).map(|_| vec![TensorType::f32(1)])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dloss) = cx.cotangent(0) else { return Ok(vec![None, None]) };
        let inputs = [cx.input(0), cx.input(1), dloss];
        Ok(vec![Some(cx.graph().apply_one(CrossEntropyGradInput, cx.layer(), &inputs)?), None])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let [rows, classes] = sizes(&cx.input_types).unwrap_or_default();
        let each = reference::forward(rows, classes, cx.inputs[0], &cx.integers(1));
        let mut mean = reduce::reference::channel_sum(1, 1, rows, &each.values, 1.0 / rows as f64);
        // The rows' own errors come on top of the sum's.
        mean.magnitude[0] = mean.magnitude[0].max(each.magnitude.iter().sum::<f64>() / rows as f64);
        mean.terms += each.terms;
        vec![mean]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let [rows, classes] = sizes(&cx.inputs)?;
        let each = cx.scratch(rows);
        let operands = [Operand::Input(0), Operand::Input(1), Operand::ScratchWrite(each)];
        let params = params([rows, classes])?;
        dispatch_rows(cx, &SHADER, ["forward", "forward_workgroup"], &params, &operands, [rows, classes])?;
        let sum = [Operand::ScratchRead(each), Operand::Output(0)];
        reduce::lower_sum(cx, [1, 1, 1, rows], 1.0 / rows as f64, sum)
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
        let sizes = sizes(&cx.inputs)?;
        let operands = [Operand::Input(0), Operand::Input(1), Operand::Input(2), Operand::Output(0)];
        dispatch_rows(cx, &SHADER, ["grad_input", "grad_input_workgroup"], &params(sizes)?, &operands, sizes)
    }
}

/// (logits, labels) -> 1 or 0 for each row
#[derive(Debug)]
struct Correct;

impl Op for Correct {
    fn name(&self) -> &'static str {
        "correct"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        let [rows, _] = sizes(inputs)?;
        Ok(vec![TensorType::f32(rows)])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        // A step function: its derivative is zero wherever there is one.
        Ok(vec![None, None])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let [rows, classes] = sizes(&cx.input_types).unwrap_or_default();
        vec![Checked::exact(reference::correct(rows, classes, cx.inputs[0], &cx.integers(1)))]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let [rows, classes] = sizes(&cx.inputs)?;
        super::within_one_invocation("correct", classes)?;
        let operands = [Operand::Input(0), Operand::Input(1), Operand::Output(0)];
        cx.dispatch_flat(Kernel::new(&SHADER, "correct"), &params([rows, classes])?, &operands, rows)
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let mut cases = Vec::new();
    for [rows, classes] in [[64, 10], [1, 1], [7, 67], [3, 1009]] {
        cases.push(OpCase::new(format!("softmax_cross_entropy [{rows}, {classes}]"), move |cx| {
            let (x, labels) = (cx.normal("x", [rows, classes])?, cx.labels("labels", rows, classes)?);
            Ok(vec![x.softmax_cross_entropy(labels)?])
        }));
        cases.push(OpCase::new(format!("accuracy [{rows}, {classes}]"), move |cx| {
            let (x, labels) = (cx.normal("x", [rows, classes])?, cx.labels("labels", rows, classes)?);
            Ok(vec![x.accuracy(labels)?])
        }));
    }
    cases.push(OpCase::new("softmax_cross_entropy of ±1e4", |cx| {
        let logits = vec![1e4, -1e4, 0.0, -1e4, 1e4, 9999.5, -1e4, -1e4, -1e4];
        let labels = cx.labels("labels", 3, 3)?;
        Ok(vec![cx.values("x", [3, 3], logits)?.softmax_cross_entropy(labels)?])
    }));
    cases
}
