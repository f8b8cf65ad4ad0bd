//! Axes in another order.

use super::{Axis, Moves, as_it_lies, moved, rank, strides};
use crate::error::{Error, Result};
use crate::graph::{Evaluation, GradientContext, Op, Tensor, TensorType};
use crate::plan::{Format, Lowering, Operand};
use crate::reference::{Checked, strided as reference};
use crate::selftest::OpCase;

const NAME: &str = "transpose";

impl<'g> Tensor<'g> {
    /// The axes in another order: axis a of the result is axis `permutation[a]`, as PyTorch's `permute` and ONNX's
    /// Transpose. No kernel runs where only axes of extent 1 move, or none.
    ///
    /// # Errors
    /// When the tensor is not f32, has more than six axes, or `permutation` does not name each of them once.
    pub fn transpose(self, permutation: &[usize]) -> Result<Self> {
        let ty = self.ty();
        let count = rank(NAME, &ty)?;
        let mut sorted = permutation.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..count) {
            return Err(Error::argument(NAME, format!("{permutation:?} is no order of the axes of {ty}")));
        }
        if permutation.iter().filter(|&&axis| ty.shape[axis] > 1).is_sorted() {
            let shape: Vec<usize> = permutation.iter().map(|&axis| ty.shape[axis]).collect();
            return if shape == *ty.shape { Ok(self) } else { self.reshape(shape) };
        }
        self.graph().apply_one(Transpose { permutation: permutation.to_vec() }, "", &[self])
    }
}

#[derive(Debug)]
struct Transpose {
    permutation: Vec<usize>,
}

impl Op for Transpose {
    fn name(&self) -> &'static str {
        NAME
    }

    fn attributes(&self) -> String {
        format!("{:?}", self.permutation)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        let shape: Vec<usize> = self.permutation.iter().map(|&axis| inputs[0].shape[axis]).collect();
        Ok(vec![TensorType::f32(shape)])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None]) };
        let mut inverse = vec![0; self.permutation.len()];
        self.permutation.iter().enumerate().for_each(|(to, &from)| inverse[from] = to);
        Ok(vec![Some(dy.transpose(&inverse)?)])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let shape = &cx.input_types[0].shape;
        vec![moved(cx.checked(0), |values| reference::permute(shape, &self.permutation, values))]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let format = as_it_lies(cx);
        let (from, to) = (strides(&cx.inputs[0].shape, format), strides(&cx.outputs[0].shape, Format::Planar));
        let axis = |(to_axis, &axis): (usize, &usize)| Axis {
            extent: cx.inputs[0].shape[axis],
            from: from[axis] as i64,
            to: to[to_axis] as i64,
            bounds: None,
        };
        let axes = self.permutation.iter().enumerate().map(axis).collect();
        let moves = Moves { axes, from: 0, to: 0, fill: 0.0 };
        moves.lower(cx, "strided.transpose", [Operand::Input(0), Operand::Output(0)])
    }
}

pub(super) fn cases() -> Vec<OpCase> {
    let list: [(&[usize], &[usize]); 8] = [
        (&[5, 7], &[1, 0]),
        (&[67, 129], &[1, 0]),
        (&[2, 3, 5, 7], &[0, 2, 3, 1]),
        (&[2, 3, 4, 8], &[1, 0, 2, 3]),
        (&[3, 1, 5], &[2, 1, 0]),
        (&[2, 3, 4, 5, 6], &[4, 2, 0, 1, 3]),
        (&[1, 3, 2, 1, 5, 2], &[5, 4, 3, 2, 1, 0]),
        (&[4, 2, 3, 40], &[0, 2, 1, 3]),
    ];
    let mut cases: Vec<OpCase> = list
        .into_iter()
        .map(|(shape, permutation)| {
            OpCase::new(format!("transpose {shape:?} as {permutation:?}"), move |cx| {
                Ok(vec![cx.normal("x", shape)?.transpose(permutation)?])
            })
        })
        .collect();
    // What reads an image of the other format, and what is read as one.
    cases.push(OpCase::new("transpose of a pooled image", |cx| {
        let x = cx.shifted("x", [2, 8, 6, 4], 4.0)?.avg_pool2d(2)?.transpose(&[0, 3, 1, 2])?;
        Ok(vec![x.transpose(&[0, 2, 1, 3])?.avg_pool2d(1)?])
    }));
    cases.push(OpCase::new("transpose of a weight", |cx| {
        let x = cx.normal("x", [3, 6])?;
        let weight = cx.normal("w", [8, 6])?;
        Ok(vec![x.dense_with(weight, None)?, weight.transpose(&[1, 0])?])
    }));
    cases
}
