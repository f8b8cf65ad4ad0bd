//! Normalisation by statistics that are given: y = x·factor + term, with factor = gamma/sqrt(variance + epsilon) and
//! term = beta - mean·factor.
//!
//! The two are computed by themselves, so that an inference, whose parameters stay, does it once for many steps
//! (`src/plan/kept.rs`), and what normalises reads two values a channel instead of four.

use super::{BatchNormParams, NAME, geometry, gradients, kernel, view};
use crate::error::Result;
use crate::graph::chain::{Extent, Pointwise};
use crate::graph::{Evaluation, GradientContext, Op, Reach, Tensor, TensorType};
use crate::plan::{Lowering, Operand, word};
use crate::reference::{Checked, batch_norm as reference};
use crate::selftest::OpCase;

impl<'g> Tensor<'g> {
    /// The tensor normalised by mean, variance, gamma and beta, which have one value a channel; `layer` is the layer's name.
    pub(super) fn normalized_by_given(self, layer: &str, by: [Self; 4], epsilon: f32) -> Result<Self> {
        let (graph, op) = (self.graph(), Folded { epsilon });
        graph.as_one(NAME, layer, op.attributes(), Reach::Place, || {
            let folded = graph.apply(Fold { epsilon }, layer, &by)?;
            graph.apply_one(op, layer, &[self, folded[0], folded[1], by[0], by[1], by[2], by[3]])
        })
    }
}

/// (mean, variance, gamma, beta) -> (factor, term)
#[derive(Debug)]
struct Fold {
    epsilon: f32,
}

impl Op for Fold {
    fn name(&self) -> &'static str {
        "batch_norm.fold"
    }

    fn attributes(&self) -> String {
        format!("epsilon {}", self.epsilon)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![inputs[0].clone(), inputs[0].clone()])
    }

    /// What [`Folded`] says of its other inputs counts that these are made of them.
    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None; 4])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let [mean, variance, gamma, beta] = [0, 1, 2, 3].map(|index| cx.inputs[index]);
        let (factor, term) = reference::fold(f64::from(self.epsilon), mean, variance, gamma, beta);
        vec![factor, term]
    }

    fn prepares(&self) -> bool {
        true
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let channels = cx.inputs[0].elements();
        let params =
            BatchNormParams { channels: word(NAME, channels)?, epsilon: self.epsilon, ..BatchNormParams::default() };
        let inputs = [0, 1, 2, 3].map(Operand::Input);
        cx.dispatch_flat(
            kernel("fold"),
            &params,
            &[&inputs[..], &[Operand::Output(0), Operand::Output(1)]].concat(),
            channels,
        )
    }

    /// The node of [`Folded`] does it itself.
    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        cx.keeps_examples(false)
    }
}

/// (x, factor, term, mean, variance, gamma, beta) -> y. The kernel reads the first three; the rule of the gradient and the
/// reference those that they are made of.
#[derive(Debug)]
struct Folded {
    epsilon: f32,
}

impl Op for Folded {
    fn name(&self) -> &'static str {
        NAME
    }

    fn attributes(&self) -> String {
        format!("evaluation, epsilon {}", self.epsilon)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        view(&inputs[0]).map(|_| vec![inputs[0].clone()])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let [dx, dgamma, dbeta] = gradients(cx, [0, 3, 4, 5], self.epsilon, false)?;
        let [variance, gamma] = [cx.input(4).add(self.epsilon)?, cx.input(5)];
        // y depends on the mean as on beta, by -gamma/sqrt(variance + epsilon), and on the variance as on gamma, by
        // -gamma/2/(variance + epsilon).
        let by_mean = |dbeta: Tensor<'g>| dbeta.multiply(gamma)?.divide(variance.sqrt()?)?.neg();
        let by_variance = |dgamma: Tensor<'g>| dgamma.multiply(gamma)?.divide(variance)?.multiply(-0.5);
        let dmean = dbeta.filter(|_| cx.wants(3)).map(by_mean).transpose()?;
        let dvariance = dgamma.filter(|_| cx.wants(4)).map(by_variance).transpose()?;
        Ok(vec![dx, None, None, dmean, dvariance, dgamma, dbeta])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let i = &cx.inputs;
        vec![reference::forward(&geometry(&cx.input_types[0], self.epsilon), i[0], i[3], i[4], i[5], i[6])]
    }

    fn pointwise(&self) -> Option<Pointwise> {
        let inputs = vec![Extent::Element, Extent::Channel, Extent::Channel];
        Some(Pointwise { function: "scale_and_shift", inputs, constants: Vec::new() })
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        cx.keeps_examples(true)?;
        let [x, gamma, beta] = [cx.input(0)?, cx.input(5)?, cx.input(6)?];
        let [mean, variance] = [cx.input(3)?, cx.input(4)?];
        let epsilon = [("epsilon", self.epsilon.into())];
        cx.finish("BatchNormalization", &[&x, &gamma, &beta, &mean, &variance], &epsilon)
    }
}

pub(super) fn cases() -> Vec<OpCase> {
    let positive = |count: usize| (0..count).map(|i| 0.3 + (i as f32 * 0.618_034).fract()).collect();
    let shapes: [&[usize]; 2] = [&[2, 4, 5, 3], &[5, 3]];
    let given = shapes.map(|shape| {
        OpCase::new(format!("batch_norm {shape:?} by statistics that are fed"), move |cx| {
            let channels = shape[1];
            let [mean, variance] = [cx.normal("mean", channels)?, cx.values("variance", channels, positive(channels))?];
            let [gamma, beta] = [cx.normal("gamma", channels)?, cx.normal("beta", channels)?];
            Ok(vec![cx.normal("x", shape)?.normalized_by_given("", [mean, variance, gamma, beta], 1e-3)?])
        })
    });
    let own = shapes.map(|shape| {
        OpCase::new(format!("batch_norm {shape:?} and its statistics"), move |cx| {
            let affine = [cx.normal("gamma", shape[1])?, cx.normal("beta", shape[1])?];
            cx.normal("x", shape)?.normalized_by_batch(affine, 1e-3).map(Vec::from)
        })
    });
    given.into_iter().chain(own).collect()
}
