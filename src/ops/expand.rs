//! Copies along axes of extent 1, y[i] = x[i, but 0 along these]. The gradient sums over them (`reduce.rs`). Arithmetic of
//! tensors of different shapes does without where it can (`elementwise.rs`).

use super::elementwise::common_shape;
use super::float;
use crate::error::{Error, Result};
use crate::graph::{Evaluation, GradientContext, Op, Reach, Shape, Tensor, TensorType};
use crate::plan::{Format, Kernel, Lowering, Operand, Shader, params, shader, word};
use crate::reference::{Checked, expand as reference};
use crate::selftest::OpCase;

/// Axes that the kernel knows.
const RANK: usize = 5;

params! {
    ExpandParams {
        count: u32, extent1: u32, extent2: u32, extent3: u32, extent4: u32,
        stride0: u32, stride1: u32, stride2: u32, stride3: u32, stride4: u32,
    }
}
const NAME: &str = "expand";
pub(crate) static SHADER: Shader = shader!("expand", ExpandParams, ["grid", "divide"]);

impl<'g> Tensor<'g> {
    /// The tensor with its axes of extent 1 repeated, and axes added in front, so that it has this shape: NumPy's
    /// `broadcast_to`, PyTorch's `expand`.
    ///
    /// # Errors
    /// When the tensor is not f32, another axis would have to change, or copied and other axes take turns more than four
    /// times.
    pub fn expand(self, shape: impl Into<Shape>) -> Result<Self> {
        let (shape, ty) = (shape.into(), self.ty());
        float(NAME, &ty)?;
        match common_shape(NAME, &[ty.clone(), TensorType::f32(shape.clone())]) {
            Ok(common) if common == shape => {}
            _ => return Err(Error::shape(NAME, format!("a tensor that can be expanded to {shape}"), ty)),
        }
        if ty.shape == shape {
            return Ok(self);
        }
        if ty.elements() == shape.elements() {
            return self.reshape(shape);
        }
        self.graph().apply_one(Expand(shape), "", &[self])
    }
}

#[derive(Debug)]
struct Expand(Shape);

impl Expand {
    /// The axes of the result as they lie in memory, in as few as can be: their extents, and how far a step along one is in
    /// the source.
    fn axes(&self, from: &Shape, format: Format) -> Vec<[usize; 2]> {
        let missing = self.0.len() - from.len();
        let mut stride = 1;
        let mut axes: Vec<[usize; 2]> = Vec::new();
        for (axis, &extent) in self.0.iter().enumerate().rev() {
            let own = if axis < missing { 1 } else { from[axis - missing] };
            axes.push([extent, if own == 1 { 0 } else { stride }]);
            stride *= own;
        }
        axes.reverse();
        if format == Format::ChannelsLast {
            axes[1..].rotate_left(1);
        }
        axes.into_iter().filter(|[extent, _]| *extent > 1).fold(Vec::new(), |mut merged: Vec<[usize; 2]>, next| {
            match merged.last_mut() {
                Some(last) if last[1] == next[0] * next[1] => *last = [last[0].saturating_mul(next[0]), next[1]],
                _ => merged.push(next),
            }
            merged
        })
    }
}

impl Op for Expand {
    fn name(&self) -> &'static str {
        NAME
    }

    fn attributes(&self) -> String {
        format!("to {}", self.0)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        if self.axes(&inputs[0].shape, Format::Planar).len() > RANK {
            let message =
                format!("copied and other axes take turns too often between {} and {}", inputs[0].shape, self.0);
            return Err(Error::argument(NAME, message));
        }
        Ok(vec![TensorType::f32(self.0.clone())])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None]) };
        Ok(vec![Some(dy.sum_to(cx.layer(), &cx.input(0).shape())?)])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let x = cx.checked(0);
        let copied = |values: &[f64]| reference::forward(&cx.input_types[0].shape, &self.0, values);
        vec![Checked { values: copied(&x.values), magnitude: copied(&x.magnitude), terms: x.terms }]
    }

    fn reach(&self, _: &[TensorType]) -> Reach {
        Reach::Place
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let from = cx.inputs[0].clone();
        // The source is read planar: of one whose channels do not lie together four would be four loads.
        let image = from.shape.len() == 4 && Format::ChannelsLast.coincides(Format::Planar, &from);
        let format = if image { cx.originate(NAME)? } else { Format::Planar };
        let mut axes = self.axes(&from.shape, format);
        let form = match axes.last().copied().unwrap_or_default() {
            [extent, 1] if extent.is_multiple_of(4) => "rows",
            [extent, 0] if extent.is_multiple_of(4) => "copies",
            _ => "elements",
        };
        if form != "elements" {
            axes.last_mut().into_iter().for_each(|last| last[0] /= 4);
        }
        if form == "rows" {
            // What is outside of a row is a number of fours away.
            axes.iter_mut().rev().skip(1).for_each(|axis| axis[1] /= 4);
        }
        let count = axes.iter().map(|[extent, _]| extent).product();
        let missing = vec![[1, 0]; RANK - axes.len()];
        let words = |part: usize| -> Result<Vec<u32>> {
            missing.iter().chain(&axes).map(|axis| word(NAME, axis[part])).collect()
        };
        let (e, s) = (words(0)?, words(1)?);
        let params = ExpandParams {
            count: word(NAME, count)?,
            extent1: e[1],
            extent2: e[2],
            extent3: e[3],
            extent4: e[4],
            stride0: s[0],
            stride1: s[1],
            stride2: s[2],
            stride3: s[3],
            stride4: s[4],
        };
        let kernel = Kernel::new(&SHADER, "forward").template("form", form);
        cx.dispatch_flat(kernel, &params, &[Operand::Input(0), Operand::Output(0)], count)
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        let (own, rank) = (cx.inputs[0].shape.clone(), self.0.len());
        let missing = rank - own.len();
        // What stays as it is may be of any length.
        let copied = |axis: usize| axis < missing || own[axis - missing] != self.0[axis];
        let extents: Vec<i64> = (0..rank).map(|axis| if copied(axis) { self.0[axis] as i64 } else { 1 }).collect();
        cx.keeps_examples(missing == 0 && !copied(0))?;
        let (x, extents) = (cx.input(0)?, cx.integers(extents)?);
        cx.finish("Expand", &[&x, &extents], &[])
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    // Copied in front, behind, between and around; in fours or not; and an image of one value a plane, or a channel.
    let pairs: [(&[usize], &[usize]); 12] = [
        (&[1], &[3, 5]),
        (&[7], &[5, 3, 7]),
        (&[6, 1], &[6, 11]),
        (&[3, 1, 5], &[3, 4, 5]),
        (&[1, 6, 1], &[5, 6, 7]),
        (&[2, 1, 3, 1, 5], &[2, 4, 3, 2, 5]),
        (&[1, 2, 1, 3, 1], &[4, 2, 3, 3, 5]),
        (&[3, 1, 8], &[3, 5, 8]),
        (&[5, 1, 1], &[2, 5, 4, 3]),
        (&[2, 12, 1, 1], &[2, 12, 5, 7]),
        (&[2, 1, 3, 5], &[2, 8, 3, 5]),
        (&[3, 7, 1, 1], &[3, 7, 131, 64]),
    ];
    let one = |(from, to): (&'static [usize], &'static [usize])| {
        OpCase::new(format!("expand {from:?} to {to:?}"), move |cx| cx.normal("x", from)?.expand(to).map(|y| vec![y]))
    };
    pairs.map(one).into_iter().collect()
}
