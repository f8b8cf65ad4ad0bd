//! Joining tensors along an axis, and splitting one: each is the other's gradient.

use super::around;
use super::strided::{Axis, Moves, moved, strides};
use crate::error::{Error, Result};
use crate::graph::{Evaluation, GradientContext, Graph, Op, Reach, Tensor, TensorType};
use crate::plan::{Format, Lowering, Operand};
use crate::reference::strided::{Along, select};
use crate::reference::{Checked, concat as reference};
use crate::selftest::OpCase;

const NAME: &str = "concat";
const SPLIT: &str = "split";

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

impl<'g> Tensor<'g> {
    /// Parts of these lengths along an axis, one behind the other, as PyTorch's `split` and ONNX's Split.
    ///
    /// # Errors
    /// When the tensor is not f32 or has no such axis, a length is 0 or they are not the axis together.
    pub fn split(self, axis: usize, lengths: &[usize]) -> Result<Vec<Self>> {
        self.graph().apply(Split { axis, lengths: lengths.to_vec() }, "", &[self])
    }
}

/// Moves every part to its place in the whole, or from there.
fn lower(cx: &mut Lowering<'_>, axis: usize, splits: bool) -> Result<()> {
    let (whole, parts) = match splits {
        true => (cx.inputs[0].clone(), cx.outputs.clone()),
        false => (cx.outputs[0].clone(), cx.inputs.clone()),
    };
    let images = parts.iter().chain([&whole]).all(|ty| Format::refusal(ty).is_none());
    // Better one part read as it does not lie than many.
    let leading = (0..cx.inputs.len()).find(|&index| cx.format(index) == Format::ChannelsLast).unwrap_or(0);
    let format = match images {
        true => cx.follow(if splits { "split.format" } else { "concat.format" }, leading)?,
        false => Format::Planar,
    };
    let mut offset = 0;
    for (index, part) in parts.iter().enumerate() {
        let [from, to] = match splits {
            true => [Operand::Input(0), Operand::Output(index)],
            false => [Operand::Input(index), Operand::Output(0)],
        };
        let source = cx.format(if splits { 0 } else { index });
        cx.read_in(from, source);
        let [of_whole, of_part] = match splits {
            true => [strides(&whole.shape, source), strides(&part.shape, format)],
            false => [strides(&whole.shape, format), strides(&part.shape, source)],
        };
        let [sources, targets] = if splits { [&of_whole, &of_part] } else { [&of_part, &of_whole] };
        let along = |axis: usize| Axis {
            extent: part.shape[axis],
            from: sources[axis] as i64,
            to: targets[axis] as i64,
            bounds: None,
        };
        let axes = format.order(whole.shape.len()).into_iter().map(along).collect();
        let begin = (offset * of_whole[axis]) as i64;
        let [first, into] = if splits { [begin, 0] } else { [0, begin] };
        if !splits || cx.needs(index) {
            let name = if splits { "split.part" } else { "concat.part" };
            Moves { axes, from: first, to: into, fill: 0.0 }.lower(cx, name, [from, to])?;
        }
        offset += part.shape[axis];
    }
    Ok(())
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
        let lengths: Vec<usize> = (0..count).map(|index| cx.input(index).shape()[self.axis]).collect();
        let parts = dy.split(self.axis, &lengths)?;
        Ok(parts.into_iter().enumerate().map(|(index, part)| cx.wants(index).then_some(part)).collect())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let [outer, _, inner] = around(NAME, &cx.output_types[0], self.axis).unwrap_or_default();
        let parts: Vec<Checked> = (0..cx.inputs.len()).map(|index| cx.checked(index)).collect();
        let place = |values: fn(&Checked) -> &[f64]| {
            let parts = cx.input_types.iter().zip(&parts).map(|(ty, part)| (ty.shape[self.axis], values(part)));
            reference::place(outer, &parts.collect::<Vec<_>>(), inner).values
        };
        let terms = parts.iter().map(|part| part.terms).max().unwrap_or(1);
        vec![Checked { values: place(|part| &part.values), magnitude: place(|part| &part.magnitude), terms }]
    }

    fn reach(&self, _: &[TensorType]) -> Reach {
        Reach::Place
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        lower(cx, self.axis, false)
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        cx.keeps_examples(self.axis > 0)?;
        let parts = cx.all_inputs()?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        cx.finish("Concat", &parts, &[("axis", self.axis.into())])
    }
}

#[derive(Debug)]
struct Split {
    axis: usize,
    lengths: Vec<usize>,
}

impl Op for Split {
    fn name(&self) -> &'static str {
        SPLIT
    }

    fn attributes(&self) -> String {
        format!("axis {} into {:?}", self.axis, self.lengths)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        super::float(SPLIT, &inputs[0])?;
        let [_, extent, _] = around(SPLIT, &inputs[0], self.axis)?;
        let total = self.lengths.iter().fold(0_usize, |total, &length| total.saturating_add(length));
        if self.lengths.contains(&0) || total != extent {
            let expected = format!("lengths of at least 1 that are {extent} together");
            return Err(Error::shape(SPLIT, expected, format!("{:?}", self.lengths)));
        }
        let part = |&length: &usize| {
            let mut shape = inputs[0].shape.to_vec();
            shape[self.axis] = length;
            TensorType::f32(shape)
        };
        Ok(self.lengths.iter().map(part).collect())
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let part = |index: usize| match cx.cotangent(index) {
            Some(dy) => Ok(dy),
            None => cx.graph().constant(0.0, cx.output(index).shape()),
        };
        let parts = (0..self.lengths.len()).map(part).collect::<Result<Vec<_>>>()?;
        Ok(vec![Some(cx.graph().concat(&parts, self.axis)?)])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let shape = &cx.input_types[0].shape;
        let mut start = 0;
        let part = |&length: &usize| {
            let mut along: Vec<Along> = shape.iter().map(|&extent| Along::whole(extent)).collect();
            along[self.axis] = Along { start, ..Along::whole(length) };
            start += length as i64;
            moved(cx.checked(0), |values| select(shape, &along, 0.0, values))
        };
        self.lengths.iter().map(part).collect()
    }

    fn reach(&self, _: &[TensorType]) -> Reach {
        Reach::Place
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        lower(cx, self.axis, true)
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        cx.keeps_examples(self.axis > 0)?;
        let lengths = cx.integers(self.lengths.iter().map(|&length| length as i64))?;
        let x = cx.input(0)?;
        let shapes: Vec<_> = cx.outputs.iter().map(|ty| ty.shape.clone()).collect();
        let parts = shapes.iter().enumerate().map(|(index, shape)| cx.output(index, shape)).collect();
        cx.push("Split", &[&x, &lengths], parts, &[("axis", self.axis.into())]);
        Ok(())
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let list: [(&[usize], usize, &[usize]); 7] = [
        (&[2, 3, 5, 7], 1, &[3, 1, 67]),
        (&[1, 1], 0, &[1]),
        (&[3, 4], 1, &[4, 2]),
        (&[2, 5, 3], 2, &[3, 1]),
        (&[2, 4, 9, 5], 1, &[8, 4, 60]),
        (&[2, 4, 30, 6], 2, &[31, 66]),
        (&[2, 8, 3, 5], 3, &[4, 1]),
    ];
    let joined = list.into_iter().map(|(shape, axis, lengths)| {
        OpCase::new(format!("concat {shape:?} axis {axis} of {lengths:?}"), move |cx| {
            let part = |(index, &length): (usize, &usize)| {
                let mut shape = shape.to_vec();
                shape[axis] = length;
                cx.normal(&format!("x{index}"), shape)
            };
            let parts = lengths.iter().enumerate().map(part).collect::<Result<Vec<_>>>()?;
            Ok(vec![cx.graph().concat(&parts, axis)?])
        })
    });
    let list: [(&[usize], usize, &[usize]); 5] = [
        (&[7], 0, &[7]),
        (&[2, 12, 3, 5], 1, &[4, 3, 5]),
        (&[2, 12, 3, 5], 1, &[4, 8]),
        (&[2, 3, 9], 2, &[1, 8]),
        (&[2, 8, 3, 4], 2, &[1, 2]),
    ];
    let split = list.into_iter().map(|(shape, axis, lengths)| {
        OpCase::new(format!("split {shape:?} axis {axis} into {lengths:?}"), move |cx| {
            cx.normal("x", shape)?.split(axis, lengths)
        })
    });
    let mut cases: Vec<OpCase> = joined.chain(split).collect();
    cases.push(OpCase::new("split of a pooled image, of which one part is used", |cx| {
        let parts = cx.shifted("x", [2, 12, 4, 6], 4.0)?.avg_pool2d(2)?.split(1, &[4, 8])?;
        Ok(vec![parts[1].avg_pool2d(1)?])
    }));
    cases.push(OpCase::new("split into the gates of an LSTM, each followed by its function", |cx| {
        let parts = cx.normal("x", [2, 20])?.split(1, &[5; 4])?;
        Ok(vec![parts[0].sigmoid()?, parts[1].sigmoid()?.multiply(2.0)?, parts[2].tanh()?, parts[3].sigmoid()?])
    }));
    cases
}
