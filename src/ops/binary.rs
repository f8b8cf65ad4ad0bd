//! Elementwise sums and products of two tensors of one shape.

use crate::error::{Error, Result};
use crate::graph::chain::Pointwise;
use crate::graph::{DType, Evaluation, GradientContext, Op, Tensor, TensorType};
use crate::reference::{Checked, binary as reference};
use crate::selftest::OpCase;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Add,
    Multiply,
}

impl<'g> Tensor<'g> {
    /// The sum of two f32 tensors of one shape.
    ///
    /// # Errors
    /// When the shapes differ.
    #[allow(clippy::should_implement_trait, reason = "an operator could not return an error")]
    pub fn add(self, other: Self) -> Result<Self> {
        self.graph().apply_one(Binary(Function::Add), "", &[self, other])
    }

    /// The elementwise product of two f32 tensors of one shape.
    ///
    /// # Errors
    /// When the shapes differ.
    pub fn multiply(self, other: Self) -> Result<Self> {
        self.graph().apply_one(Binary(Function::Multiply), "", &[self, other])
    }
}

#[derive(Debug)]
struct Binary(Function);

impl Op for Binary {
    fn name(&self) -> &'static str {
        match self.0 {
            Function::Add => "add",
            Function::Multiply => "multiply",
        }
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        if inputs[0] != inputs[1] || inputs[0].dtype != DType::F32 {
            let actual = format!("{} and {}", inputs[0], inputs[1]);
            return Err(Error::shape(self.name(), "two f32 tensors of one shape", actual));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None, None]) };
        let of = |index: usize| match self.0 {
            _ if !cx.wants(index) => Ok(None),
            Function::Add => Ok(Some(dy)),
            Function::Multiply => dy.multiply(cx.input(1 - index)).map(Some),
        };
        Ok(vec![of(0)?, of(1)?])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        vec![match self.0 {
            Function::Add => reference::add(cx.inputs[0], cx.inputs[1]),
            Function::Multiply => reference::multiply(cx.inputs[0], cx.inputs[1]),
        }]
    }

    fn pointwise(&self) -> Option<Pointwise> {
        Some(Pointwise::of(self.name(), 2))
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let mut cases = Vec::new();
    for shape in [vec![1], vec![5, 7, 3], vec![2, 67, 1, 13], vec![2, 12, 3, 5]] {
        let (s, t, u) = (shape.clone(), shape.clone(), shape.clone());
        cases.push(OpCase::new(format!("add {shape:?}"), move |cx| {
            cx.normal("a", s.clone())?.add(cx.normal("b", s.clone())?).map(|y| vec![y])
        }));
        cases.push(OpCase::new(format!("multiply {shape:?}"), move |cx| {
            cx.normal("a", t.clone())?.multiply(cx.normal("b", t.clone())?).map(|y| vec![y])
        }));
        cases.push(OpCase::new(format!("multiply by itself {shape:?}"), move |cx| {
            let x = cx.normal("x", u.clone())?;
            x.multiply(x).map(|y| vec![y])
        }));
    }
    cases
}
