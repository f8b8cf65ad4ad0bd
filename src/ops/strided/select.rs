//! A regular pattern of elements along every axis: slices, flips, padding with a constant, and the way back, which is the
//! gradient: y[i] = x[j] where j·dilation = start + step·i on every axis, and a constant where there is no such j.

use super::{Moves, as_it_lies, keep_format, moved, rank, strides};
use crate::error::{Error, Result};
use crate::graph::{Evaluation, GradientContext, Op, Reach, Sliding, Tensor, TensorType};
use crate::ops::around;
use crate::plan::{Lowering, Operand};
use crate::reference::Checked;
use crate::reference::strided::{self as reference, Along};
use crate::selftest::OpCase;

/// Which elements of one axis [`Tensor::slices`] takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    axis: usize,
    start: i64,
    end: i64,
    step: i64,
}

impl Slice {
    /// The elements from `start` to before `end` of an axis. Negative numbers count from the axis's end, and what lies
    /// beyond either end means the end: `i64::MAX` is the end of any axis.
    pub fn new(axis: usize, start: i64, end: i64) -> Self {
        Self { axis, start, end, step: 1 }
    }

    /// Only every so many of them; backwards, from `start` down to behind `end`, for a negative number. There `i64::MIN`
    /// is before the first element.
    pub fn step(mut self, step: i64) -> Self {
        self.step = step;
        self
    }

    /// What it takes of an axis of this extent, by the rules of ONNX's Slice.
    fn along(self, extent: usize) -> Along {
        let Self { start, end, step, .. } = self;
        let extent = extent as i64;
        let from_the_end = |number: i64| if number < 0 { number.saturating_add(extent) } else { number };
        let (start, end) = (from_the_end(start), from_the_end(end));
        let (start, length) = match step > 0 {
            true => (start.clamp(0, extent), end.clamp(0, extent) - start.clamp(0, extent)),
            false => (start.clamp(0, extent - 1), start.clamp(0, extent - 1) - end.clamp(-1, extent - 1)),
        };
        let length = length.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
        // A single element has no next one.
        let step = if length > 1 { step } else { 1 };
        Along { length: length as usize, start, step, dilation: 1 }
    }
}

impl<'g> Tensor<'g> {
    /// The elements of an axis from `start` to before `end`, every `step`-th of them, as [`Slice`] says, by the rules of
    /// ONNX's Slice.
    ///
    /// ```
    /// use omma::{Graph, Mode};
    ///
    /// let graph = Graph::new(Mode::Evaluation);
    /// let x = graph.input("x", [8, 12])?;
    /// assert_eq!(x.slice(1, -4, i64::MAX, 1)?.shape().to_string(), "[8, 4]");
    /// assert_eq!(x.slice(0, -1, i64::MIN, -3)?.shape().to_string(), "[3, 12]");
    /// # Ok::<(), omma::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the tensor is not f32, has more than six axes or no such axis, the step is 0, or nothing is left.
    pub fn slice(self, axis: usize, start: i64, end: i64, step: i64) -> Result<Self> {
        self.slices(&[Slice { axis, start, end, step }])
    }

    /// [`Tensor::slice`] along several axes at once, in one kernel; axes that are not named stay whole.
    ///
    /// # Errors
    /// See [`Tensor::slice`], and when an axis is named twice.
    pub fn slices(self, slices: &[Slice]) -> Result<Self> {
        const NAME: &str = "slice";
        let ty = self.ty();
        rank(NAME, &ty)?;
        let mut along: Vec<Along> = ty.shape.iter().map(|&extent| Along::whole(extent)).collect();
        let mut named = vec![false; along.len()];
        for slice in slices {
            around(NAME, &ty, slice.axis)?;
            if slice.step == 0 {
                return Err(Error::argument(NAME, "a step of 0"));
            }
            if std::mem::replace(&mut named[slice.axis], true) {
                return Err(Error::argument(NAME, format!("axis {} is named twice", slice.axis)));
            }
            along[slice.axis] = slice.along(ty.shape[slice.axis]);
        }
        select(self, NAME, along, 0.0)
    }

    /// Every one of these axes backwards, as PyTorch's `flip`.
    ///
    /// # Errors
    /// When the tensor is not f32, has more than six axes or not all of these axes.
    pub fn flip(self, axes: &[usize]) -> Result<Self> {
        const NAME: &str = "flip";
        let ty = self.ty();
        let mut along: Vec<Along> = ty.shape.iter().map(|&extent| Along::whole(extent)).collect();
        for &axis in axes {
            let [_, extent, _] = around(NAME, &ty, axis)?;
            if extent > 1 {
                along[axis] = Along { start: extent as i64 - 1, step: -1, ..Along::whole(extent) };
            }
        }
        select(self, NAME, along, 0.0)
    }
}

/// `x` along these patterns, one an axis; the tensor itself where they are all of it.
pub(in crate::ops) fn select<'g>(
    x: Tensor<'g>,
    name: &'static str,
    along: Vec<Along>,
    fill: f32,
) -> Result<Tensor<'g>> {
    let ty = x.ty();
    rank(name, &ty)?;
    if ty.shape.iter().zip(&along).all(|(&extent, &along)| along == Along::whole(extent)) {
        return Ok(x);
    }
    x.graph().apply_one(Select { name, along, fill }, "", &[x])
}

#[derive(Debug)]
struct Select {
    name: &'static str,
    along: Vec<Along>,
    fill: f32,
}

impl Op for Select {
    fn name(&self) -> &'static str {
        self.name
    }

    fn attributes(&self) -> String {
        let one = |Along { length, start, step, dilation }: &Along| match dilation {
            1 => format!("{length} from {start} by {step}"),
            _ => format!("{length} from {start} by {step}, spread by {dilation}"),
        };
        self.along.iter().map(one).collect::<Vec<_>>().join("; ")
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![TensorType::f32(self.along.iter().map(|along| along.length).collect::<Vec<_>>())])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None]) };
        let shape = cx.input(0).shape();
        let along = self.along.iter().zip(shape.iter()).map(|(along, &extent)| along.inverse(extent)).collect();
        Ok(vec![Some(select(dy, "strided.grad", along, 0.0)?)])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let (shape, fill) = (&cx.input_types[0].shape, f64::from(self.fill));
        vec![moved(cx.checked(0), |values| reference::select(shape, &self.along, fill, values))]
    }

    fn reach(&self, _: &[TensorType]) -> Reach {
        let along = self.along.iter().skip(2);
        let numbers = |of: fn(&Along) -> u64| along.clone().map(|along| of(along) as usize).collect::<Vec<_>>();
        let window = |stride: Vec<usize>| {
            let [kernel, dilation] = [0, 1].map(|_| vec![1; stride.len()]);
            Sliding { kernel, stride, dilation }
        };
        let [strides, spread] = [numbers(|along| along.step.unsigned_abs()), numbers(|along| along.dilation as u64)];
        match [&strides, &spread].map(|numbers| numbers.iter().all(|&number| number == 1)) {
            [true, true] => Reach::Place,
            [false, true] => Reach::Window(window(strides)),
            [true, false] => Reach::Spread(window(spread)),
            [false, false] => Reach::Whole,
        }
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (x, y) = (cx.inputs[0].shape.clone(), cx.outputs[0].shape.clone());
        let format = keep_format(cx)?;
        let (from, to) = (strides(&x, as_it_lies(cx)), strides(&y, format));
        let mut moves = Moves { axes: Vec::new(), from: 0, to: 0, fill: self.fill };
        for &axis in &format.order(y.len()) {
            moves.push(self.along[axis], x[axis], from[axis], to[axis]);
        }
        moves.lower(cx, "strided.select", [Operand::Input(0), Operand::Output(0)])
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        cx.only_inference()?;
        let shape = cx.inputs[0].shape.to_vec();
        cx.keeps_examples(self.along.first().is_some_and(|&along| along == Along::whole(shape[0])))?;
        let x = cx.input(0)?;
        let last = |along: &Along| along.start + along.step * (along.length as i64 - 1);
        let within = |(along, &extent): (&Along, &usize)| {
            along.dilation == 1 && [along.start, last(along)].iter().all(|place| (0..extent as i64).contains(place))
        };
        let parts = || self.along.iter().zip(&shape);
        if parts().all(within) {
            let chosen: Vec<(usize, Along)> =
                parts().enumerate().filter(|(_, (a, e))| **a != Along::whole(**e)).map(|(n, (a, _))| (n, *a)).collect();
            // Before the first element a negative number would count from the end.
            let end = |along: &Along| match last(along) + along.step.signum() {
                ..0 => i64::MIN,
                end => end,
            };
            let starts = cx.integers(chosen.iter().map(|(_, along)| along.start))?;
            let ends = cx.integers(chosen.iter().map(|(_, along)| end(along)))?;
            let axes = cx.integers(chosen.iter().map(|&(axis, _)| axis as i64))?;
            let steps = cx.integers(chosen.iter().map(|(_, along)| along.step))?;
            return cx.finish("Slice", &[&x, &starts, &ends, &axes, &steps], &[]);
        }
        if self.along.iter().any(|along| along.step != 1 || along.dilation != 1) {
            return Err(cx.refused("steps over elements and past the ends at once"));
        }
        // Negative numbers of elements cut some off.
        let before = self.along.iter().map(|along| -along.start);
        let behind = parts().map(|(along, &extent)| along.start + along.length as i64 - extent as i64);
        let (amounts, fill) = (cx.integers(before.chain(behind))?, cx.number(self.fill)?);
        cx.finish("Pad", &[&x, &amounts, &fill], &[("mode", "constant".into())])
    }
}

pub(super) fn cases() -> Vec<OpCase> {
    let whole = |axis| Slice::new(axis, 0, i64::MAX);
    let back = |axis| Slice::new(axis, -1, i64::MIN);
    let list: Vec<(&[usize], Vec<Slice>)> = vec![
        (&[7], vec![Slice::new(0, 2, 6)]),
        (&[1, 1], vec![back(0).step(-1)]),
        (&[5, 13], vec![Slice::new(1, -1, i64::MIN).step(-3)]),
        (&[2, 8, 6, 5], vec![Slice::new(1, 4, 8)]),
        (&[2, 8, 6, 5], vec![Slice::new(2, 1, -1), Slice::new(3, 1, -1)]),
        (&[2, 8, 9, 9], vec![whole(2).step(2), whole(3).step(2)]),
        (&[2, 3, 8, 8], vec![Slice::new(2, 2, 6), Slice::new(3, 4, 8)]),
        (&[3, 2, 2, 5, 4, 3], vec![Slice::new(3, 0, 4).step(2), Slice::new(0, -1, -3).step(-1)]),
        (&[2, 8, 33, 37], vec![back(3).step(-1), back(2).step(-2)]),
    ];
    let slices = list.into_iter().map(|(shape, slices)| {
        let text = |Slice { axis, start, end, step }: &Slice| format!("axis {axis} {start}..{end} by {step}");
        let name = slices.iter().map(text).collect::<Vec<_>>().join(", ");
        OpCase::new(format!("slice {shape:?} {name}"), move |cx| Ok(vec![cx.normal("x", shape)?.slices(&slices)?]))
    });
    let mut cases: Vec<OpCase> = slices.collect();
    cases.push(OpCase::new("flip [2, 12, 3, 5]", |cx| {
        let x = cx.normal("x", [2, 12, 3, 5])?;
        Ok(vec![x.flip(&[1, 2])?, x.flip(&[3])?])
    }));
    cases.push(OpCase::new("slice of a pooled image", |cx| {
        let x = cx.shifted("x", [2, 8, 8, 6], 4.0)?.avg_pool2d(2)?;
        Ok(vec![x.slice(2, 1, 4, 2)?.avg_pool2d(1)?, x.slice(1, 0, 3, 1)?])
    }));
    cases
}
