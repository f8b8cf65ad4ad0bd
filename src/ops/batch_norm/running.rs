//! Running statistics: the averages of batches' that evaluation normalises by.

use super::{BatchNormParams, NAME, kernel};
use crate::error::Result;
use crate::graph::{Evaluation, GradientContext, Op, Tensor, TensorType};
use crate::plan::{Lowering, Operand, word};
use crate::reference::{Checked, batch_norm as reference};

/// (batch mean, batch variance, running mean, running variance):
/// running = (1 - momentum)·running + momentum·batch, the variance times `factor`
#[derive(Debug)]
pub(super) struct Running {
    pub(super) momentum: f32,
    pub(super) factor: f32,
}

impl Op for Running {
    fn name(&self) -> &'static str {
        "batch_norm.running"
    }

    fn attributes(&self) -> String {
        format!("momentum {}", self.momentum)
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(Vec::new())
    }

    fn mutates(&self) -> Vec<usize> {
        vec![2, 3]
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None; 4])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let after = |index: usize, factor: f64| {
            reference::running(cx.inputs[2 + index], &cx.checked(index), f64::from(self.momentum), factor)
        };
        vec![after(0, 1.0), after(1, f64::from(self.factor))]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let channels = cx.inputs[0].elements();
        let params = BatchNormParams {
            channels: word(NAME, channels)?,
            momentum: self.momentum,
            factor: self.factor,
            ..BatchNormParams::default()
        };
        let operands = [Operand::Input(0), Operand::Input(1), Operand::Modify(2), Operand::Modify(3)];
        cx.dispatch_flat(kernel("running"), &params, &operands, channels)
    }
}
