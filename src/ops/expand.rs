//! Copies along axes of extent 1, y[i] = x[i, but 0 along these], and back: sums over them. Arithmetic of tensors of
//! different shapes does without where it can (`elementwise.rs`).

use super::elementwise::common_shape;
use super::float;
use super::reduce::{lanes_of, lower_sum};
use crate::error::{Error, Result};
use crate::graph::gradients::no_gradient;
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

    /// The sums over what expanding a tensor of this shape to the tensor's own copies.
    pub(super) fn sum_to(self, layer: &str, shape: &Shape) -> Result<Self> {
        let own = self.shape();
        if own == *shape {
            return Ok(self);
        }
        let Some(sums) = SumTo::first(&own, shape) else { return self.reshape(shape.clone()) };
        self.graph().apply_one(sums, layer, &[self])?.sum_to(layer, shape)
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

/// x -> its sums over two axes of a view `[groups, outer, channels, inner]`, outer and inner
#[derive(Debug)]
struct SumTo {
    view: [usize; 4],
    output: Shape,
}

impl SumTo {
    /// The first of the sums that lead from one shape to another, if there are any: one does unless summed and other axes
    /// take turns more often.
    fn first(own: &Shape, shape: &Shape) -> Option<Self> {
        let missing = own.len() - shape.len();
        let summed = |axis: usize| own[axis] > 1 && (axis < missing || shape[axis - missing] == 1);
        let end = |begin: usize, sums: bool| {
            (begin..own.len()).find(|&axis| own[axis] > 1 && summed(axis) != sums).unwrap_or(own.len())
        };
        let outer = end(0, false);
        let channels = end(outer, true);
        let inner = end(channels, false);
        if outer == own.len() {
            return None;
        }
        // Inner ones that are not the last are left for the next time.
        let inner = if end(inner, true) == own.len() { inner } else { own.len() };
        let product = |from: usize, to: usize| own[from..to].iter().product::<usize>();
        let view = match product(channels, own.len()) {
            1 => [1, 1, product(0, outer), product(outer, own.len())],
            _ => [product(0, outer), product(outer, channels), product(channels, inner), product(inner, own.len())],
        };
        let now = |axis: usize| (outer..channels).contains(&axis) || axis >= inner;
        let left: Vec<usize> =
            own.iter().enumerate().map(|(axis, &extent)| if now(axis) { 1 } else { extent }).collect();
        let left = Shape::from(left);
        let output = if left.elements() == shape.elements() { shape.clone() } else { left };
        Some(Self { view, output })
    }

    /// The view of an image in this format, of which sums over all but its channels, or over all, are taken.
    fn view_of_image(&self, format: Format, x: &TensorType) -> Option<[usize; 4]> {
        let &[batch, channels, height, width] = &x.shape[..] else { return None };
        let [outer, channels, inner] = format.view([batch, channels, height * width]);
        match self.view {
            [1, 1, 1, _] => Some(self.view),
            view if view == [1, batch, x.shape[1], height * width] => Some([1, outer, channels, inner]),
            _ => None,
        }
    }
}

impl Op for SumTo {
    fn name(&self) -> &'static str {
        "expand.grad_input"
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        lanes_of(self.name(), self.view[1] * self.view[3])?;
        Ok(vec![TensorType::f32(self.output.clone())])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        vec![reference::grad_input(self.view, &cx.checked(0))]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let x = cx.inputs[0].clone();
        let view = match self.view_of_image(Format::Planar, &x) {
            Some(planar) => {
                let format = cx.follow(self.name(), 0)?;
                self.view_of_image(format, &x).unwrap_or(planar)
            }
            None => self.view,
        };
        lower_sum(cx, view, 1.0, [Operand::Input(0), Operand::Output(0)])
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

#[cfg(test)]
mod tests {
    use super::SumTo;
    use crate::graph::Shape;

    #[test]
    fn sums_over_any_axes_are_few() {
        let steps = |own: &[usize], shape: &[usize]| {
            let (mut own, shape, mut views) = (Shape::from(own), Shape::from(shape), Vec::new());
            while own != shape {
                let Some(SumTo { view, output }) = SumTo::first(&own, &shape) else { break };
                views.push(view);
                own = output;
            }
            (views, own.to_string())
        };
        assert_eq!(steps(&[2, 3, 4, 5], &[3, 1, 1]), (vec![[1, 2, 3, 20]], "[3, 1, 1]".into()));
        assert_eq!(steps(&[1, 3, 4, 5], &[3, 1, 1]), (vec![[1, 1, 3, 20]], "[3, 1, 1]".into()));
        assert_eq!(steps(&[2, 3, 4], &[]), (vec![[1, 1, 1, 24]], "[]".into()));
        assert_eq!(steps(&[2, 3, 4], &[2, 1, 4]), (vec![[2, 3, 4, 1]], "[2, 1, 4]".into()));
        let twice = (vec![[2, 3, 100, 1], [10, 4, 5, 1]], "[2, 1, 5, 1, 5]".into());
        assert_eq!(steps(&[2, 3, 5, 4, 5], &[2, 1, 5, 1, 5]), twice);
        let thrice = (vec![[1, 2, 60, 1], [3, 4, 5, 1]], "[1, 3, 1, 5]".into());
        assert_eq!(steps(&[2, 3, 4, 5], &[1, 3, 1, 5]), thrice);
        assert_eq!(steps(&[3, 1], &[3, 1]), (vec![], "[3, 1]".into()));
    }
}
