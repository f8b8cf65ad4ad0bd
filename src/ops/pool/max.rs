//! Max pooling over one to three axes, and where the maxima stand.

use super::window::{Pool, Pool1d, Pool2d, Pool3d, spatial};
use super::windows::{VolumeParams, Windows};
use super::{Kind, Pooling, names};
use crate::error::Result;
use crate::graph::{Evaluation, GradientContext, Op, Tensor, TensorType};
use crate::ops::max_pool2d;
use crate::plan::{Format, Kernel, Lowering, Operand, Shader, shader};
use crate::reference::{Checked, pool as reference};

pub(crate) static INDICES: Shader = shader!("pool_indices", VolumeParams, ["grid", "divide", "volume"]);

impl<'g> Tensor<'g> {
    /// [`Tensor::max_pool2d`] of sequences `[N, C, L]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 3 or the window does not fit.
    pub fn max_pool1d(self, window: impl Into<Pool1d>) -> Result<Self> {
        Ok(pooled(self, window.into())?[0])
    }

    /// [`Tensor::max_pool2d`] of volumes `[N, C, D, H, W]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 5 or the window does not fit.
    pub fn max_pool3d(self, window: impl Into<Pool3d>) -> Result<Self> {
        Ok(pooled(self, window.into())?[0])
    }

    /// [`Tensor::max_pool1d`] and, as u32, where in its sequence each maximum stands.
    ///
    /// # Errors
    /// See [`Tensor::max_pool1d`].
    pub fn max_pool1d_with_indices(self, window: impl Into<Pool1d>) -> Result<[Self; 2]> {
        with_indices(self, Windows::Sliding(window.into()))
    }

    /// [`Tensor::max_pool2d`] and, as u32, where in its plane each maximum stands: row·W + column, as PyTorch counts. The
    /// optional output of ONNX's `MaxPool` counts through the whole tensor, (n·C + c)·H·W more.
    ///
    /// # Errors
    /// See [`Tensor::max_pool2d`].
    pub fn max_pool2d_with_indices(self, window: impl Into<Pool2d>) -> Result<[Self; 2]> {
        with_indices(self, Windows::Sliding(window.into()))
    }

    /// [`Tensor::max_pool3d`] and, as u32, where in its volume each maximum stands: (layer·H + row)·W + column.
    ///
    /// # Errors
    /// See [`Tensor::max_pool3d`].
    pub fn max_pool3d_with_indices(self, window: impl Into<Pool3d>) -> Result<[Self; 2]> {
        with_indices(self, Windows::Sliding(window.into()))
    }

    /// The maxima along the last D axes, and where they stand by these numbers.
    #[cfg_attr(not(feature = "onnx"), allow(dead_code, reason = "its one caller is a feature"))]
    pub(crate) fn max_pool_numbered<const D: usize>(self, window: Pool<D>, numbers: Numbering) -> Result<[Self; 2]> {
        numbered(self, Windows::Sliding(window), numbers)
    }
}

/// How the cells of a pooled tensor are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Numbering {
    /// Through all planes, in the order of planes; else each plane's by themselves.
    pub(crate) whole: bool,
    /// Columns first, the cells of a column in turn; else rows.
    pub(crate) column_major: bool,
}

/// The maxima, and where in its window each stands.
pub(in crate::ops) fn pooled<'g, const D: usize>(x: Tensor<'g>, window: Pool<D>) -> Result<[Tensor<'g>; 2]> {
    let window = window.over(&x.ty());
    if D == 3 || window.is_dilated() {
        return general(x, Windows::Sliding(window));
    }
    // The name in errors is that of what was called.
    let [name, _] = names!("max_pool")[D - 1];
    window.check_loops(name, 1)?;
    let output = window.output(name, &x.ty())?;
    if D == 2 {
        return max_pool2d::planes(x, window.widened());
    }
    let ([n, c], [length]) = spatial(name, &x.ty())?;
    let [y, places] = max_pool2d::planes(x.reshape([n, c, 1, length])?, window.widened())?;
    Ok([y.reshape(output.shape.clone())?, places.reshape(output.shape)?])
}

/// [`pooled`] by the general kernel.
pub(super) fn general<'g, const D: usize>(x: Tensor<'g>, windows: Windows<D>) -> Result<[Tensor<'g>; 2]> {
    let outputs = x.graph().apply(Pooling { kind: Kind::Max, windows }, "", &[x])?;
    Ok([outputs[0], outputs[1]])
}

/// The maxima, and where in its volume each stands.
pub(in crate::ops) fn with_indices<'g, const D: usize>(x: Tensor<'g>, windows: Windows<D>) -> Result<[Tensor<'g>; 2]> {
    numbered(x, windows, Numbering::default())
}

fn numbered<'g, const D: usize>(x: Tensor<'g>, windows: Windows<D>, numbers: Numbering) -> Result<[Tensor<'g>; 2]> {
    let windows = windows.over(&x.ty());
    let [y, places] = match windows {
        Windows::Sliding(window) => pooled(x, window)?,
        Windows::Adaptive(_) => general(x, windows)?,
    };
    let op = Indices { windows, x: x.ty(), numbers };
    Ok([y, x.graph().apply_one(op, "", &[places])?])
}

/// places -> indices
#[derive(Debug)]
struct Indices<const D: usize> {
    windows: Windows<D>,
    /// What was pooled.
    x: TensorType,
    numbers: Numbering,
}

impl<const D: usize> Op for Indices<D> {
    fn name(&self) -> &'static str {
        "max_pool.indices"
    }

    fn attributes(&self) -> String {
        let whole = if self.numbers.whole { "of the tensor" } else { "of the plane" };
        format!("{whole}, {}", if self.numbers.column_major { "columns first" } else { "rows first" })
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![TensorType::u32(inputs[0].shape.clone())])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let Numbering { whole, column_major } = self.numbers;
        vec![Checked::exact(reference::indices(&self.windows.reference(&self.x), cx.inputs[0], whole, column_major))]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let params = self.windows.params(self.name(), &self.x, Format::Planar)?;
        let kernel = self.windows.specialise(Kernel::new(&INDICES, "indices"));
        let kernel = kernel.flag("WHOLE", self.numbers.whole).flag("COLUMN_MAJOR", self.numbers.column_major);
        cx.dispatch_flat(kernel, &params, &[Operand::Input(0), Operand::Output(0)], cx.outputs[0].elements())
    }

    /// The places that a pooling has in a file are numbers through the whole tensor, rows first.
    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        if self.numbers.column_major {
            return Err(cx.refused("numbers of cells, columns first"));
        }
        cx.keeps_examples(true)?;
        let places = cx.input(0)?;
        if self.numbers.whole {
            return cx.finish("Identity", &[&places], &[]);
        }
        let cells = cx.integer(self.x.shape[2..].iter().product())?;
        cx.finish("Mod", &[&places, &cells], &[])
    }
}
