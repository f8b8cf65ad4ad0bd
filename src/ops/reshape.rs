//! The same elements under another shape: no kernel, the memory is shared.

use crate::error::{Error, Result};
use crate::graph::{Evaluation, GradientContext, Op, Shape, Tensor, TensorType};
use crate::reference::Checked;

impl<'g> Tensor<'g> {
    /// The same elements, row-major, under another shape.
    ///
    /// # Errors
    /// When the number of elements differs.
    pub fn reshape(self, shape: impl Into<Shape>) -> Result<Self> {
        self.graph().apply_one(Reshape(shape.into()), "", &[self])
    }

    /// Everything behind the first axis joined into one: `[N, C, H, W]` to `[N, C·H·W]`.
    ///
    /// # Errors
    /// When the tensor has rank 0.
    pub fn flatten(self) -> Result<Self> {
        let shape = self.shape();
        let Some(&batch) = shape.first() else {
            return Err(Error::shape("flatten", "at least one axis", shape));
        };
        self.reshape([batch, shape[1..].iter().product()])
    }
}

#[derive(Debug)]
struct Reshape(Shape);

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        if self.0.elements() != inputs[0].elements() {
            return Err(Error::shape("reshape", format!("{} elements for {}", self.0.elements(), self.0), &inputs[0]));
        }
        Ok(vec![TensorType { dtype: inputs[0].dtype, shape: self.0.clone() }])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None]) };
        Ok(vec![Some(dy.reshape(cx.input(0).shape())?)])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        vec![cx.checked(0)]
    }

    fn is_view(&self) -> bool {
        true
    }
}
