//! Axes in another order.

use super::{Axis, Moves, as_it_lies, keep_format, moved, rank, strides};
use crate::error::{Error, Result};
use crate::graph::{Evaluation, GradientContext, Op, Reach, Tensor, TensorType};
use crate::plan::{Lowering, Operand};
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
        let factors = ty.shape.iter().map(|&extent| vec![extent]).collect();
        rearrange(self, NAME, Rearrangement { factors, permutation: permutation.to_vec(), joined: vec![1; count] })
    }
}

/// Axes that are split into factors, brought into another order, and joined.
#[derive(Debug, Clone)]
pub(super) struct Rearrangement {
    /// Of each axis of the input, the outermost first.
    pub(super) factors: Vec<Vec<usize>>,
    /// The factors of all axes, one behind the other, in the result's order.
    pub(super) permutation: Vec<usize>,
    /// How many factors each axis of the result has.
    pub(super) joined: Vec<usize>,
}

impl Rearrangement {
    fn extents(&self) -> Vec<usize> {
        self.factors.concat()
    }

    /// The factors of each axis of the result.
    fn results(&self) -> Vec<Vec<usize>> {
        let extents = self.extents();
        let mut rest = self.permutation.iter().map(|&factor| extents[factor]);
        self.joined.iter().map(|&count| rest.by_ref().take(count).collect()).collect()
    }

    fn shape(&self) -> Vec<usize> {
        self.results().iter().map(|factors| factors.iter().product()).collect()
    }

    /// The way back.
    fn inverse(&self) -> Self {
        let mut permutation = vec![0; self.permutation.len()];
        self.permutation.iter().enumerate().for_each(|(to, &from)| permutation[from] = to);
        Self { factors: self.results(), permutation, joined: self.factors.iter().map(Vec::len).collect() }
    }
}

/// `x` with its axes rearranged; its memory under another shape where no element moves.
pub(super) fn rearrange<'g>(x: Tensor<'g>, name: &'static str, by: Rearrangement) -> Result<Tensor<'g>> {
    let extents = by.extents();
    if by.permutation.iter().filter(|&&factor| extents[factor] > 1).is_sorted() {
        let shape = by.shape();
        return if shape == *x.shape() { Ok(x) } else { x.reshape(shape) };
    }
    x.graph().apply_one(Transpose { name, by }, "", &[x])
}

#[derive(Debug)]
struct Transpose {
    name: &'static str,
    by: Rearrangement,
}

impl Op for Transpose {
    fn name(&self) -> &'static str {
        self.name
    }

    fn attributes(&self) -> String {
        let Rearrangement { factors, permutation, .. } = &self.by;
        match factors.iter().all(|factors| factors.len() == 1) {
            true => format!("{permutation:?}"),
            false => format!("{:?} as {permutation:?}", self.by.extents()),
        }
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![TensorType::f32(self.by.shape())])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None]) };
        Ok(vec![Some(rearrange(dy, self.name, self.by.inverse())?)])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let (extents, permutation) = (self.by.extents(), &self.by.permutation);
        vec![moved(cx.checked(0), |values| reference::permute(&extents, permutation, values))]
    }

    fn reach(&self, _: &[TensorType]) -> Reach {
        // The axis of each factor that is one, and the axes that the results' factors come from.
        let whole = self.by.factors.iter().enumerate();
        let axes: Vec<Option<usize>> = whole
            .flat_map(|(axis, factors)| factors.iter().map(move |_| (factors.len() == 1).then_some(axis)))
            .collect();
        let mut from = self.by.permutation.iter();
        let order = self.by.joined.iter().map(|&count| {
            let factors: Vec<&usize> = from.by_ref().take(count).collect();
            if let [one] = factors[..] { axes[*one] } else { None }
        });
        Reach::Moved { input: 0, order: order.collect() }
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let format = keep_format(cx)?;
        let (x, y) = (cx.inputs[0].shape.clone(), cx.outputs[0].shape.clone());
        // Elements between neighbours along the factors of each axis.
        let along = |factors: &[Vec<usize>], strides: Vec<usize>| -> Vec<Vec<usize>> {
            let of = |(factors, stride): (&Vec<usize>, usize)| {
                (1..=factors.len()).map(|inner| stride * factors[inner..].iter().product::<usize>()).collect()
            };
            factors.iter().zip(strides).map(of).collect()
        };
        let sources = along(&self.by.factors, strides(&x, as_it_lies(cx))).concat();
        let results = self.by.results();
        let targets = along(&results, strides(&y, format));
        let begins: Vec<usize> = (0..y.len()).map(|axis| self.by.joined[..axis].iter().sum()).collect();
        let mut axes = Vec::new();
        for axis in format.order(y.len()) {
            for (factor, &extent) in results[axis].iter().enumerate() {
                let from = sources[self.by.permutation[begins[axis] + factor]] as i64;
                axes.push(Axis { extent, from, to: targets[axis][factor] as i64, bounds: None });
            }
        }
        let moves = Moves { axes, from: 0, to: 0, fill: 0.0 };
        moves.lower(cx, "strided.transpose", [Operand::Input(0), Operand::Output(0)])
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        let Rearrangement { factors, permutation, joined } = &self.by;
        let first = factors[0].len() == 1 && permutation[0] == 0 && joined[0] == 1;
        cx.keeps_examples(first)?;
        let extents = self.by.extents();
        let x = cx.input_as(0, &extents)?;
        let moved: Vec<usize> = permutation.iter().map(|&factor| extents[factor]).collect();
        cx.finish_as(&moved, "Transpose", &[&x], &[("perm", permutation.as_slice().into())])
    }
}

pub(super) fn cases() -> Vec<OpCase> {
    let list: [(&[usize], &[usize]); 9] = [
        (&[5, 7], &[1, 0]),
        (&[67, 129], &[1, 0]),
        (&[2, 3, 5, 7], &[0, 2, 3, 1]),
        (&[2, 3, 4, 8], &[1, 0, 2, 3]),
        (&[3, 1, 5], &[2, 1, 0]),
        (&[2, 3, 4, 5, 6], &[4, 2, 0, 1, 3]),
        (&[1, 3, 2, 1, 5, 2], &[5, 4, 3, 2, 1, 0]),
        (&[4, 2, 3, 40], &[0, 2, 1, 3]),
        (&[3, 8, 4, 5], &[0, 2, 1, 3]),
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
