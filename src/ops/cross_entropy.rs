//! Cross-entropy with everything that a loss of labels can have: spatial labels, weights of classes, labels that do not
//! count, smoothing; and the negative log-likelihood, which is the same of logarithms of probabilities.
//!
//! [`Tensor::softmax_cross_entropy`] is the plain case, in fewer passes.

use super::softmax::{dispatch_rows, row_form, row_variants};
use super::{MAX_ITERATIONS, Reduction, around};
use crate::error::{Error, Result};
use crate::graph::gradients::no_gradient;
use crate::graph::{DType, Evaluation, GradientContext, Op, Tensor, TensorType};
use crate::plan::{Kernel, Lowering, Operand, Shader, params, shader, word};
use crate::reference::{Checked, cross_entropy as reference};
use crate::selftest::OpCase;

const NAME: &str = "cross_entropy";

params! {
    LossParams { outer: u32, classes: u32, inner: u32, ignored: u32, smoothing: f32 }
}
pub(crate) static SHADER: Shader =
    shader!("cross_entropy", LossParams, ["grid", "divide", "nan", "tree", "texture", "read"]);

/// Settings of [`Tensor::cross_entropy`]; the default is PyTorch's `CrossEntropyLoss`.
#[derive(Debug, Clone, Copy, Default)]
pub struct CrossEntropy<'g> {
    weights: Option<Tensor<'g>>,
    ignored: Option<u32>,
    smoothing: f32,
    reduction: Reduction,
}

impl<'g> CrossEntropy<'g> {
    /// A weight for each class, f32 `[classes]`: an example counts as much as its class.
    pub fn weights(mut self, weights: Tensor<'g>) -> Self {
        self.weights = Some(weights);
        self
    }

    /// Examples of this label do not count.
    pub fn ignore(mut self, label: u32) -> Self {
        self.ignored = Some(label);
        self
    }

    /// Takes this share, in 0..=1, of the expected probability from the label and gives all classes equal parts of it
    /// (Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", section 7).
    pub fn smoothing(mut self, share: f32) -> Self {
        self.smoothing = share;
        self
    }

    /// What becomes of the single losses.
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }
}

impl<'g> Tensor<'g> {
    /// The cross-entropy of logits `[N, classes, ...]` against labels `[N, ...]` (u32), or against expected probabilities of
    /// the logits' own shape (f32), as for mixed examples. A tensor of one element, or, without a reduction, `[N, ...]`.
    ///
    /// loss = Σ over classes c of q(c)·(logsumexp(x) - x(c)), where q(c) = weight(c)·((1 - s)·expected(c) + s/classes) for
    /// a smoothing of s. The mean divides by the weights of the labels that count, or, of probabilities, by the number of
    /// examples. A label that is no class, unless it is the ignored one, gives NaN.
    ///
    /// # Errors
    /// When shapes or element types do not fit, the smoothing is outside 0..=1, or there are more classes than one
    /// invocation may go through (21,000).
    pub fn cross_entropy(self, expected: Self, settings: CrossEntropy<'g>) -> Result<Self> {
        match expected.ty().dtype {
            DType::F32 => self.against_probabilities(expected, settings),
            _ => self.against_labels(expected, settings, true),
        }
    }

    /// The negative log-likelihood: [`Tensor::cross_entropy`] of logarithms of probabilities, which are not normalised any
    /// more, against labels. PyTorch's and ONNX's `NLLLoss`.
    ///
    /// # Errors
    /// Those of [`Tensor::cross_entropy`].
    pub fn negative_log_likelihood(self, labels: Self, settings: CrossEntropy<'g>) -> Result<Self> {
        self.against_labels(labels, settings, false)
    }

    fn against_labels(self, labels: Self, settings: CrossEntropy<'g>, logits: bool) -> Result<Self> {
        let CrossEntropy { weights, ignored, smoothing, reduction } = settings;
        let op = LabelLoss { logits, weighted: weights.is_some(), ignored, smoothing };
        let inputs: Vec<Self> = [self, labels].into_iter().chain(weights).collect();
        let outputs = self.graph().apply(op, "", &inputs)?;
        let [loss, counted] = [outputs[0], outputs[1]];
        match reduction {
            Reduction::None => Ok(loss),
            Reduction::Sum => loss.sum(..),
            Reduction::Mean => loss.sum(..)?.divide(counted.sum(..)?),
        }
    }

    fn against_probabilities(self, expected: Self, settings: CrossEntropy<'g>) -> Result<Self> {
        let CrossEntropy { weights, ignored, smoothing, reduction } = settings;
        check_smoothing(smoothing)?;
        super::expect(NAME, "probabilities", &self.ty(), &expected.ty())?;
        let [outer, classes, inner] = around(NAME, &self.ty(), 1)?;
        if ignored.is_some() {
            return Err(Error::argument(NAME, "probabilities have no label to ignore"));
        }
        let mut q = expected;
        if smoothing > 0.0 {
            q = q.multiply(1.0 - smoothing)?.add(smoothing / classes as f32)?;
        }
        if let Some(weights) = weights {
            super::expect(NAME, "weights", &TensorType::f32(classes), &weights.ty())?;
            let mut shape = vec![1; self.shape().len()];
            shape[1] = classes;
            q = q.multiply(weights.reshape(shape)?)?;
        }
        let loss = q.multiply(self.log_softmax(1)?)?.sum(1)?.neg()?;
        match reduction {
            Reduction::None => Ok(loss),
            Reduction::Sum => loss.sum(..),
            Reduction::Mean => loss.sum(..)?.divide((outer * inner) as f32),
        }
    }
}

fn check_smoothing(smoothing: f32) -> Result<()> {
    match (0.0..=1.0).contains(&smoothing) {
        true => Ok(()),
        false => Err(Error::argument(NAME, format!("expected a smoothing in 0..=1, got {smoothing}"))),
    }
}

/// (x, labels, weights?) -> (losses, weights of the examples)
#[derive(Debug, Clone, Copy)]
struct LabelLoss {
    /// Whether x are logits, else logarithms of probabilities.
    logits: bool,
    weighted: bool,
    ignored: Option<u32>,
    smoothing: f32,
}

impl LabelLoss {
    fn settings(self, x: &TensorType, weights: Option<&[f64]>) -> reference::Settings {
        let [outer, classes, inner] = around(NAME, x, 1).unwrap_or_default();
        let weights = weights.map_or_else(|| vec![1.0; classes], <[f64]>::to_vec);
        let (ignored, smoothing) = (self.ignored, f64::from(self.smoothing));
        reference::Settings { outer, classes, inner, logits: self.logits, weights, ignored, smoothing }
    }

    /// dweights(c) = Σ over examples of dloss·((1 - s)·\[c = label\] + s/classes)·(-logarithm(c)) + dcounted·\[c = label\].
    fn grad_weights<'g>(self, cx: &GradientContext<'g>) -> Result<Option<Tensor<'g>>> {
        let (x, labels) = (cx.input(0), cx.input(1));
        let [outer, classes, inner] = around(NAME, &x.ty(), 1)?;
        let examples = outer * inner;
        let mut own = labels.reshape([examples])?.one_hot(classes)?;
        if let Some(ignored) = self.ignored {
            let others = cx.graph().integers(vec![ignored], [1])?.one_hot(classes)?.logical_not()?;
            own = own.multiply(others)?;
        }
        let mut gradient = None;
        if let Some(dloss) = cx.cotangent(0) {
            let logarithms = if self.logits { x.log_softmax(1)? } else { x };
            let rows =
                logarithms.reshape([outer, classes, inner])?.transpose(&[0, 2, 1])?.reshape([examples, classes])?;
            // Chosen, not multiplied: the logarithm of a probability of 0 is infinite.
            let slope = if self.smoothing > 0.0 {
                let counts = own.sum(1)?.reshape([examples, 1])?;
                let part = rows.multiply(self.smoothing)?;
                let everywhere = counts.select(part.divide(classes as f32)?, 0.0)?;
                own.select(part.subtract(rows)?, 0.0)?.subtract(everywhere)?
            } else {
                own.select(rows.neg()?, 0.0)?
            };
            gradient = Some(slope.multiply(dloss.reshape([examples, 1])?)?);
        }
        if let Some(dcounted) = cx.cotangent(1) {
            let term = own.multiply(dcounted.reshape([examples, 1])?)?;
            gradient = Some(gradient.map_or(Ok(term), |sum| sum.add(term))?);
        }
        gradient.map(|gradient| gradient.sum(0)).transpose()
    }

    /// Adds `entry`; the weights, if there are any, are input 2.
    fn lower(self, cx: &mut Lowering<'_>, entry: &'static str, others: &[Operand]) -> Result<()> {
        let whole = around(NAME, &cx.inputs[0], 1)?;
        let name = format!("{}.{entry}", self.name());
        let mut variants = row_variants(cx, whole[1]);
        if whole[2] > 1 {
            // A workgroup's reads would be apart, those of neighbouring examples are not.
            variants.sort_by_key(|candidate| candidate.name != "serial");
        }
        let rows = cx.choose(&name, variants)?;
        let serial = rows == "serial";
        let (form, [outer, classes, inner]) = if serial { row_form(cx, &name, whole)? } else { ("elements", whole) };
        let textured = serial && cx.choose_textures(&name, whole.iter().product())?;
        let x = if textured { Operand::InputTexture(0) } else { Operand::Input(0) };
        let params = LossParams {
            outer: word(NAME, outer)?,
            classes: word(NAME, classes)?,
            inner: word(NAME, inner)?,
            ignored: self.ignored.unwrap_or_default(),
            smoothing: self.smoothing,
        };
        let kernel = Kernel::new(&SHADER, entry)
            .variant(rows)
            .template("entry", entry)
            .template("rows", rows)
            .template("form", form)
            .template("texture", u8::from(textured))
            .template("logits", u8::from(self.logits))
            .template("weighted", u8::from(self.weighted))
            .template("ignores", u8::from(self.ignored.is_some()))
            .template("smooth", u8::from(self.smoothing > 0.0));
        let weights = self.weighted.then_some(Operand::Input(2));
        let operands: Vec<Operand> =
            [x, Operand::Input(1)].into_iter().chain(weights).chain(others.iter().copied()).collect();
        dispatch_rows(cx, kernel, &params, &operands, outer * inner, serial)
    }
}

impl Op for LabelLoss {
    fn name(&self) -> &'static str {
        if self.logits { NAME } else { "negative_log_likelihood" }
    }

    fn attributes(&self) -> String {
        let ignored = self.ignored.map(|label| format!(", ignoring {label}")).unwrap_or_default();
        format!("smoothing {}{ignored}", self.smoothing)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        check_smoothing(self.smoothing)?;
        super::float(self.name(), &inputs[0])?;
        let [_, classes, _] = around(self.name(), &inputs[0], 1)?;
        let mut shape = inputs[0].shape.to_vec();
        shape.remove(1);
        super::expect(self.name(), "labels", &TensorType::u32(shape.clone()), &inputs[1])?;
        if let Some(weights) = inputs.get(2) {
            super::expect(self.name(), "weights", &TensorType::f32(classes), weights)?;
        }
        if LOOPS * (classes + 1) > MAX_ITERATIONS {
            return Err(Error::argument(self.name(), format!("{classes} classes are too many for one invocation")));
        }
        Ok(vec![TensorType::f32(shape); 2])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let weights = self.weighted.then(|| cx.input(2));
        let mut gradients = vec![None; 2 + usize::from(self.weighted)];
        if let Some(dloss) = cx.cotangent(0) {
            let inputs: Vec<Tensor<'g>> =
                [cx.input(0), cx.input(1)].into_iter().chain(weights).chain([dloss]).collect();
            gradients[0] = Some(cx.graph().apply_one(LabelLossGradInput(*self), cx.layer(), &inputs)?);
        }
        if self.weighted && cx.wants(2) {
            gradients[2] = self.grad_weights(cx)?;
        }
        Ok(gradients)
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let settings = self.settings(&cx.input_types[0], cx.inputs.get(2).copied());
        let (losses, weights) = reference::forward(&settings, cx.inputs[0], &cx.integers(1));
        vec![losses, Checked::exact(weights)]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        Self::lower(*self, cx, "forward", &[Operand::Output(0), Operand::Output(1)])
    }
}

/// Loops over the classes in one invocation, at most.
const LOOPS: usize = 3;

/// (x, labels, weights?, dloss) -> dx
#[derive(Debug)]
struct LabelLossGradInput(LabelLoss);

impl Op for LabelLossGradInput {
    fn name(&self) -> &'static str {
        if self.0.logits { "cross_entropy.grad_input" } else { "negative_log_likelihood.grad_input" }
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![inputs[0].clone()])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let weights = self.0.weighted.then(|| cx.inputs[2]);
        let dloss = cx.inputs[2 + usize::from(self.0.weighted)];
        vec![reference::grad(&self.0.settings(&cx.input_types[0], weights), cx.inputs[0], &cx.integers(1), dloss)]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let dloss = Operand::Input(2 + usize::from(self.0.weighted));
        self.0.lower(cx, "grad_input", &[dloss, Operand::Output(0)])
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let settings = || {
        [
            ("plain", CrossEntropy::default()),
            ("smoothed sum", CrossEntropy::default().smoothing(0.1).reduction(Reduction::Sum)),
            ("ignoring 2, each", CrossEntropy::default().ignore(2).reduction(Reduction::None)),
            ("ignoring 1, smoothed", CrossEntropy::default().ignore(1).smoothing(0.3)),
        ]
    };
    let mut cases = Vec::new();
    for shape in [vec![5, 7], vec![2, 3, 4, 5], vec![1, 67, 3], vec![3, 3, 1], vec![9, 12], vec![2, 5, 4, 3]] {
        for number in 0..settings().len() {
            for weighted in [false, true] {
                let shape = shape.clone();
                let weights = if weighted { ", weighted" } else { "" };
                let name = format!("cross_entropy {shape:?} {}{weights}", settings()[number].0);
                cases.push(OpCase::new(name, move |cx| {
                    let (mut labels, classes) = (shape.clone(), shape[1]);
                    labels.remove(1);
                    let x = cx.normal("x", shape.clone())?;
                    let labels = cx.labels("labels", labels.iter().product(), classes)?.reshape(labels)?;
                    let (_, mut settings) = settings()[number];
                    if weighted {
                        let weights = (0..classes).map(|class| 0.25 + (class % 5) as f32).collect();
                        settings = settings.weights(cx.values("weights", [classes], weights)?);
                    }
                    Ok(vec![x.cross_entropy(labels, settings)?])
                }));
            }
        }
    }
    cases.push(OpCase::new("negative_log_likelihood, weighted and smoothed", |cx| {
        let x = cx.normal("x", [4, 6, 2])?;
        let labels = cx.labels("labels", 8, 6)?.reshape([4, 2])?;
        let weights = cx.values("weights", [6], vec![1.0, 0.5, 2.0, 0.0, 3.0, 1.5])?;
        let settings = CrossEntropy::default().weights(weights).smoothing(0.2).ignore(0);
        Ok(vec![x.negative_log_likelihood(labels, settings)?])
    }));
    cases.push(OpCase::new("cross_entropy of ±1e4, smoothed", |cx| {
        let logits = vec![1e4, -1e4, 0.0, -1e4, 1e4, 9999.5, -1e4, -1e4, -1e4];
        let labels = cx.labels("labels", 3, 3)?;
        let settings = CrossEntropy::default().smoothing(0.1);
        Ok(vec![cx.values("x", [3, 3], logits)?.cross_entropy(labels, settings)?])
    }));
    // Its sums must not overflow where the loss does not.
    let far = OpCase::new("cross_entropy of -1e38, smoothed", |cx| {
        let logits = (0..20).map(|i| if i % 10 == 0 { 0.0 } else { -1e38 }).collect();
        let labels = cx.labels("labels", 2, 10)?;
        let settings = CrossEntropy::default().smoothing(0.1);
        Ok(vec![cx.values("x", [2, 10], logits)?.cross_entropy(labels, settings)?])
    });
    cases.push(far.without_differences());
    cases.push(OpCase::new("cross_entropy against probabilities", |cx| {
        let x = cx.normal("x", [3, 4, 5])?;
        let expected = cx.normal("p", [3, 4, 5])?.softmax(1)?;
        let weights = cx.values("weights", [4], vec![1.0, 0.5, 2.0, 3.0])?;
        let settings = CrossEntropy::default().weights(weights).smoothing(0.1);
        Ok(vec![x.cross_entropy(expected, settings)?])
    }));
    cases
}
