//! Joining tensors along an axis; the gradient is the slices that the parts were.

use super::around;
use super::strided::{Axis, Moves, select};
use crate::error::{Error, Result};
use crate::graph::{Evaluation, GradientContext, Graph, Op, Tensor, TensorType};
use crate::plan::{Format, Lowering, Operand};
use crate::reference::strided::Along;
use crate::reference::{Checked, concat as reference};
use crate::selftest::OpCase;

const NAME: &str = "concat";

impl Graph {
    /// Joins f32 tensors along `axis`; all other axes must agree.
    ///
    /// # Errors
    /// When there is none, or their ranks, other axes or types differ.
    pub fn concat<'g>(&'g self, parts: &[Tensor<'g>], axis: usize) -> Result<Tensor<'g>> {
        if parts.is_empty() {
            return Err(Error::argument(NAME, "expected at least one tensor"));
        }
        self.apply_one(Concat { axis }, "", parts)
    }
}

/// Whether images may be joined along this axis where their channels lie together.
fn keeps_channels(axis: usize, mut types: impl Iterator<Item = TensorType>) -> bool {
    axis == 1 && types.all(|ty| Format::refusal(&ty).is_none())
}

#[derive(Debug)]
struct Concat {
    axis: usize,
}

impl Op for Concat {
    fn name(&self) -> &'static str {
        NAME
    }

    fn attributes(&self) -> String {
        format!("axis {}", self.axis)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        let first = &inputs[0];
        super::float(NAME, first)?;
        around(NAME, first, self.axis)?;
        let mut shape = first.shape.to_vec();
        for other in &inputs[1..] {
            let agree = other.dtype == first.dtype
                && other.shape.len() == shape.len()
                && (0..shape.len()).all(|axis| axis == self.axis || other.shape[axis] == shape[axis]);
            if !agree {
                return Err(Error::shape(NAME, format!("{first} but for axis {}", self.axis), other));
            }
            shape[self.axis] = shape[self.axis].saturating_add(other.shape[self.axis]);
        }
        Ok(vec![TensorType::f32(shape)])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let count = cx.count();
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None; count]) };
        let mut start = 0;
        (0..count)
            .map(|index| {
                let part = cx.input(index).shape();
                let mut along: Vec<Along> = part.iter().map(|&extent| Along::whole(extent)).collect();
                along[self.axis].start = start;
                start += part[self.axis] as i64;
                cx.wants(index).then(|| select(dy, "concat.grad", along, 0.0)).transpose()
            })
            .collect()
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let [outer, _, inner] = around(NAME, &cx.output_types[0], self.axis).unwrap_or_default();
        let parts: Vec<(usize, &[f64])> =
            cx.input_types.iter().zip(&cx.inputs).map(|(ty, values)| (ty.shape[self.axis], *values)).collect();
        vec![reference::place(outer, &parts, inner)]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let [outer, total, inner] = around(NAME, &cx.outputs[0], self.axis)?;
        // Better one part converted than many.
        let leading = (0..cx.inputs.len()).find(|&index| cx.format(index) == Format::ChannelsLast).unwrap_or(0);
        let format = match keeps_channels(self.axis, cx.inputs.clone().into_iter()) {
            true => cx.follow("concat.format", leading)?,
            false => Format::Planar,
        };
        let [outer, total, inner] = format.view([outer, total, inner]);
        let mut offset = 0;
        for index in 0..cx.inputs.len() {
            let length = cx.inputs[index].shape[self.axis];
            let row = Axis { extent: length * inner, from: 1, to: 1, bounds: None };
            let rows = Axis { extent: outer, from: (length * inner) as i64, to: (total * inner) as i64, bounds: None };
            let moves = Moves { axes: vec![rows, row], from: 0, to: (offset * inner) as i64, fill: 0.0 };
            moves.lower(cx, "concat.place", [Operand::Input(index), Operand::Output(0)])?;
            offset += length;
        }
        Ok(())
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let list: [(&[usize], usize, &[usize]); 6] = [
        (&[2, 3, 5, 7], 1, &[3, 1, 67]),
        (&[1, 1], 0, &[1]),
        (&[3, 4], 1, &[4, 2]),
        (&[2, 5, 3], 2, &[3, 1]),
        (&[2, 4, 9, 5], 1, &[8, 4, 60]),
        (&[2, 4, 30, 6], 2, &[31, 66]),
    ];
    list.into_iter()
        .map(|(shape, axis, lengths)| {
            OpCase::new(format!("concat {shape:?} axis {axis} of {lengths:?}"), move |cx| {
                let part = |(index, &length): (usize, &usize)| {
                    let mut shape = shape.to_vec();
                    shape[axis] = length;
                    cx.normal(&format!("x{index}"), shape)
                };
                let parts = lengths.iter().enumerate().map(part).collect::<Result<Vec<_>>>()?;
                Ok(vec![cx.graph().concat(&parts, axis)?])
            })
        })
        .collect()
}
