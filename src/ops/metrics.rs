//! Running means that stay on the device: total += [weight·value, weight], read and reset by the session.

use crate::error::Result;
use crate::graph::{Evaluation, GradientContext, Graph, Init, Op, Role, Tensor, TensorType};
use crate::plan::{Kernel, Lowering, Operand, Shader, params, shader};
use crate::reference::{Checked, metrics as reference};
use crate::selftest::OpCase;

params! {
    MetricsParams { weight: f32 }
}
pub(crate) static SHADER: Shader = shader!("metrics", MetricsParams, []);

impl Graph {
    /// Averages a tensor of one element over steps, under a name; `weight` is what this graph's step counts, usually its
    /// batch size. [`Session::take_metrics`] reads the mean.
    ///
    /// # Errors
    /// When the tensor is not f32 of one element or the name is taken.
    ///
    /// [`Session::take_metrics`]: crate::Session::take_metrics
    pub fn metric<'g>(&'g self, name: &str, value: Tensor<'g>, weight: f32) -> Result<()> {
        super::expect("metric", "a value", &TensorType::f32(1), &value.ty())?;
        let total = self.variable(name, 2, Role::Metric, Init::Zeros)?;
        self.apply(Accumulate { weight }, name, &[value, total]).map(|_| ())
    }
}

/// (value, total)
#[derive(Debug)]
struct Accumulate {
    weight: f32,
}

impl Op for Accumulate {
    fn name(&self) -> &'static str {
        "accumulate"
    }

    fn attributes(&self) -> String {
        format!("weight {}", self.weight)
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(Vec::new())
    }

    fn mutates(&self) -> Vec<usize> {
        vec![1]
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None, None])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        vec![reference::accumulate(cx.inputs[0][0], cx.inputs[1], f64::from(self.weight))]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let operands = [Operand::Input(0), Operand::Modify(1)];
        cx.dispatch(Kernel::new(&SHADER, "accumulate"), &MetricsParams { weight: self.weight }, &operands, 1)
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    vec![OpCase::new("metrics of one value", |cx| {
        let value = cx.normal("x", [1])?;
        cx.graph().metric("metric", value, 64.0)?;
        Ok(vec![value.add(value)?])
    })]
}
