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

    /// The axes from this one on joined into one, as PyTorch's `flatten(start_dim)`.
    ///
    /// # Errors
    /// When there is no such axis.
    pub fn flatten_from(self, axis: usize) -> Result<Self> {
        let shape = self.shape();
        if axis >= shape.len() {
            return Err(Error::shape("flatten", format!("more than {axis} axes"), self.ty()));
        }
        let joined: usize = shape[axis..].iter().product();
        self.reshape([&shape[..axis], &[joined]].concat())
    }

    /// The tensor without these axes, which have one element each; without all such axes where none is named. As
    /// PyTorch's and ONNX's `squeeze`.
    ///
    /// # Errors
    /// When one of the axes is not there or has more elements.
    pub fn squeeze(self, axes: &[usize]) -> Result<Self> {
        let shape = self.shape();
        if let Some(axis) = axes.iter().find(|&&axis| shape.get(axis) != Some(&1)) {
            return Err(Error::shape("squeeze", format!("an axis {axis} of one element"), self.ty()));
        }
        let goes = |axis: usize| if axes.is_empty() { shape[axis] == 1 } else { axes.contains(&axis) };
        self.reshape((0..shape.len()).filter(|&axis| !goes(axis)).map(|axis| shape[axis]).collect::<Vec<_>>())
    }

    /// The tensor with new axes of one element at these places of the result, as ONNX's Unsqueeze and, for one axis,
    /// PyTorch's `unsqueeze`.
    ///
    /// # Errors
    /// When an axis is named twice or is beyond the result's.
    pub fn unsqueeze(self, axes: &[usize]) -> Result<Self> {
        let shape = self.shape();
        let count = shape.len() + axes.len();
        let mut sorted = axes.to_vec();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) || sorted.last().is_some_and(|&axis| axis >= count) {
            let message = format!("{axes:?} are no new axes of a result of {count}");
            return Err(Error::argument("unsqueeze", message));
        }
        let mut rest = shape.iter().copied();
        let extent = |axis| if axes.contains(&axis) { Some(1) } else { rest.next() };
        self.reshape((0..count).filter_map(extent).collect::<Vec<_>>())
    }
}

impl<'g> Tensor<'g> {
    /// The same values, through which no gradient flows: a constant to whatever is computed of them.
    ///
    /// # Errors
    /// None that a graph's own tensor could cause.
    pub fn detach(self) -> Result<Self> {
        self.graph().apply_one(Detach, "", &[self])
    }
}

#[derive(Debug)]
struct Detach;

impl Op for Detach {
    fn name(&self) -> &'static str {
        "detach"
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(inputs.to_vec())
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        vec![cx.checked(0)]
    }

    fn is_view(&self) -> bool {
        true
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
        // Nothing is computed: what was there keeps its error.
        vec![cx.checked(0)]
    }

    fn is_view(&self) -> bool {
        true
    }
}
