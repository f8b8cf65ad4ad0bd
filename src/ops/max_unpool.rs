//! The inverse of max pooling, as far as it has one: values go back to where they came from, all else is 0.
//!
//! Of several windows that name one cell, which only those that overlap can, the last in row-major order counts; PyTorch and
//! ONNX leave that open. The gradient goes to the window that counted.

use super::pool::{Pool, Pool1d, Pool2d, Pool3d, VolumeParams, Windows, spatial};
use super::{Padding, PerAxis, expect, pool};
use crate::error::{Error, Result};
use crate::graph::gradients::no_gradient;
use crate::graph::{Evaluation, GradientContext, Op, Reach, Tensor, TensorType};
use crate::plan::{Format, Kernel, Lowering, Operand, Shader, shader};
use crate::reference::{Checked, max_unpool as reference};
use crate::selftest::OpCase;

pub(crate) static SHADER: Shader = shader!("max_unpool", VolumeParams, ["grid", "divide", "volume"]);

impl<'g> Tensor<'g> {
    /// [`Tensor::max_unpool2d`] of sequences `[N, C, L]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 3, the indices are not u32 of its shape, or the window does not make so many
    /// windows of the size.
    pub fn max_unpool1d(self, indices: Self, window: impl Into<Pool1d>, size: impl Into<PerAxis<1>>) -> Result<Self> {
        unpooled(self, indices, window.into(), size.into().0, false)
    }

    /// Undoes [`Tensor::max_pool2d_with_indices`] with the same window: each value of `[N, C, H, W]` goes to the cell of its
    /// plane that its index names, in planes of `size`; all other cells are 0. [`Pool::input_size`] is the size that PyTorch
    /// and ONNX take where none is given. Of windows that name one cell the last counts.
    ///
    /// An index that names a cell outside its window names none: indices must be those of a pooling with this window.
    ///
    /// ```
    /// # use omma::{Graph, Mode};
    /// let graph = Graph::new(Mode::Evaluation);
    /// let x = graph.input("x", [1, 8, 13, 12])?;
    /// let [y, indices] = x.max_pool2d_with_indices(2)?;
    /// assert_eq!(y.max_unpool2d(indices, 2, [13, 12])?.shape(), x.shape());
    /// # Ok::<(), omma::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 4, the indices are not u32 of its shape, or the window does not make so many
    /// windows of the size.
    pub fn max_unpool2d(self, indices: Self, window: impl Into<Pool2d>, size: impl Into<PerAxis<2>>) -> Result<Self> {
        unpooled(self, indices, window.into(), size.into().0, false)
    }

    /// [`Tensor::max_unpool2d`] of volumes `[N, C, D, H, W]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 5, the indices are not u32 of its shape, or the window does not make so many
    /// windows of the size.
    pub fn max_unpool3d(self, indices: Self, window: impl Into<Pool3d>, size: impl Into<PerAxis<3>>) -> Result<Self> {
        unpooled(self, indices, window.into(), size.into().0, false)
    }
}

/// `whole` says that indices number the cells of all planes, one plane behind the other.
pub(crate) fn unpooled<'g, const D: usize>(
    x: Tensor<'g>,
    indices: Tensor<'g>,
    window: Pool<D>,
    size: [usize; D],
    whole: bool,
) -> Result<Tensor<'g>> {
    let window = window.over(&TensorType::f32([&[1, 1][..], &size].concat()));
    let op = MaxUnpool { window, size, whole };
    x.graph().apply_one(op, "", &[x, indices])
}

/// (x, indices) -> y
#[derive(Debug, Clone, Copy)]
struct MaxUnpool<const D: usize> {
    window: Pool<D>,
    /// Of y.
    size: [usize; D],
    /// Whether indices number the cells of all planes and not each plane's by themselves.
    whole: bool,
}

impl<const D: usize> MaxUnpool<D> {
    fn names(&self) -> [&'static str; 2] {
        pool::names!("max_unpool")[D - 1]
    }

    fn windows(&self) -> Windows<D> {
        Windows::Sliding(self.window)
    }

    fn lower(
        &self,
        cx: &mut Lowering<'_>,
        entry: &'static str,
        y: &TensorType,
        operands: &[Operand],
        count: usize,
    ) -> Result<()> {
        let [name, _] = self.names();
        let params = self.windows().params(name, y, Format::Planar)?;
        let kernel = Kernel::new(&SHADER, entry).template("entry", entry);
        let kernel = kernel.flag("WHOLE", self.whole);
        let kernel = self.windows().choose(cx, &format!("{name}.{entry}"), kernel)?;
        cx.dispatch_flat(kernel, &params, operands, count)
    }
}

impl<const D: usize> Op for MaxUnpool<D> {
    fn name(&self) -> &'static str {
        self.names()[0]
    }

    fn attributes(&self) -> String {
        let whole = if self.whole { ", indices of the whole" } else { "" };
        format!("size {:?}, {}{whole}", self.size, self.window.describe())
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        let (op, x) = (self.name(), &inputs[0]);
        let (_, windows) = spatial::<D>(op, x)?;
        expect(op, "indices", &TensorType::u32(x.shape.clone()), &inputs[1])?;
        let size = self.size;
        if size.contains(&0) {
            return Err(Error::argument(op, format!("expected a size of at least 1, got {size:?}")));
        }
        let y = TensorType::f32([&x.shape[..2], &size].concat());
        let made = self.windows().count(op, &y, 1)?;
        if made != windows {
            return Err(Error::shape(op, format!("{made:?} values for planes of {size:?}"), x));
        }
        Ok(vec![y])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None, None]) };
        let op = MaxUnpoolGradInput(*self);
        Ok(vec![Some(cx.graph().apply_one(op, cx.layer(), &[cx.input(1), dy])?), None])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let g = self.windows().reference(&cx.output_types[0]);
        vec![reference::forward(&g, cx.inputs[0], &cx.integers(1), self.whole)]
    }

    fn reach(&self, _: &[TensorType]) -> Reach {
        Reach::Spread(self.window.sliding())
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let y = cx.outputs[0].clone();
        let operands = [Operand::Input(0), Operand::Input(1), Operand::Output(0)];
        Self::lower(self, cx, "forward", &y, &operands, y.elements())
    }

    /// ScatterElements and not MaxUnpool, which knows no dilation, and which runtimes compute by different rules where the
    /// size is not the least.
    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        let shape = &cx.inputs[0].shape;
        let ([n, c], values) = ([shape[0], shape[1]], shape[2..].iter().product::<usize>());
        let cells: usize = self.size.iter().product();
        cx.keeps_examples(!self.whole)?;
        let ([from, to], axis) = match self.whole {
            true => ([vec![n * c * values], vec![n * c * cells]], 0_usize),
            false => ([vec![n, c, values], vec![n, c, cells]], 2),
        };
        let (x, places) = (cx.input_as(0, &from)?, cx.input_as(1, &from)?);
        let extents = to.iter().map(|&extent| extent as i64);
        let extents = match cx.held(0)?.examples {
            false => cx.integers(extents)?,
            true => {
                let (own, rest) = (cx.between("Shape", &[&x], &[]), cx.integers(extents.skip(1))?);
                let (start, end) = (cx.integers([0])?, cx.integers([1])?);
                let examples = cx.between("Slice", &[&own, &start, &end], &[]);
                cx.between("Concat", &[&examples, &rest], &[("axis", 0_usize.into())])
            }
        };
        let zeros = cx.between("ConstantOfShape", &[&extents], &[]);
        cx.finish_as(&to, "ScatterElements", &[&zeros, &places, &x], &[("axis", axis.into())])
    }
}

/// (indices, dy) -> dx
#[derive(Debug)]
struct MaxUnpoolGradInput<const D: usize>(MaxUnpool<D>);

impl<const D: usize> Op for MaxUnpoolGradInput<D> {
    fn name(&self) -> &'static str {
        self.0.names()[1]
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![TensorType::f32(inputs[0].shape.clone())])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let g = self.0.windows().reference(&cx.input_types[1]);
        vec![reference::grad_input(&g, &cx.integers(0), cx.inputs[1], self.0.whole)]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (dy, count) = (cx.inputs[1].clone(), cx.outputs[0].elements());
        let operands = [Operand::Input(0), Operand::Input(1), Operand::Output(0)];
        MaxUnpool::lower(&self.0, cx, "grad_input", &dy, &operands, count)
    }
}

/// A case that pools and puts back, values and indices by themselves.
fn case<const D: usize>(shape: &'static [usize], window: Pool<D>) -> OpCase {
    OpCase::new(format!("max_unpool{D}d to {shape:?} {}", window.describe()), move |cx| {
        let windows = Windows::Sliding(window);
        let [pooled, indices] = pool::with_indices(cx.normal("pooled", shape.to_vec())?, windows)?;
        let x = cx.normal("x", pooled.shape())?;
        let size = <[usize; D]>::try_from(&shape[2..]).unwrap_or([0; D]);
        Ok(vec![unpooled(x, indices, window, size, false)?])
    })
}

/// The same by numbers of the whole tensor.
fn whole<const D: usize>(shape: &'static [usize], window: Pool<D>) -> OpCase {
    OpCase::new(format!("max_unpool{D}d of the whole to {shape:?} {}", window.describe()), move |cx| {
        let numbers = pool::Numbering { whole: true, column_major: false };
        let [pooled, indices] = cx.normal("pooled", shape.to_vec())?.max_pool_numbered(window, numbers)?;
        let x = cx.normal("x", pooled.shape())?;
        let size = <[usize; D]>::try_from(&shape[2..]).unwrap_or([0; D]);
        Ok(vec![unpooled(x, indices, window, size, true)?])
    })
}

pub(crate) fn cases() -> Vec<OpCase> {
    vec![
        case(&[2, 3, 11], Pool1d::new(2)),
        case(&[1, 67, 13], Pool1d::new(3).stride(1).padding(1)),
        case(&[1, 2, 17], Pool1d::new(3).stride(2).dilation(3)),
        case(&[2, 3, 8, 6], Pool2d::new(2)),
        // Windows that overlap, so that some name one cell.
        case(&[1, 4, 7, 9], Pool2d::new(3).stride(2).padding(1)),
        case(&[2, 5, 6, 7], Pool2d::new([3, 2]).stride(1).ceil_mode(true)),
        case(&[1, 1, 1, 1], Pool2d::new(1)),
        case(&[1, 2, 9, 10], Pool2d::new(2).stride([3, 1]).dilation([2, 3]).padding(Padding::Sides([0, 1], [1, 2]))),
        whole(&[2, 3, 7, 9], Pool2d::new(3).stride(2).padding(1)),
        whole(&[1, 67, 13], Pool1d::new(2)),
        case(&[1, 3, 5, 7, 4], Pool3d::new(2).stride(1)),
        case(&[2, 1, 7, 5, 3], Pool3d::new([3, 2, 1]).stride([2, 3, 1]).padding([1, 0, 0]).ceil_mode(true)),
    ]
}
