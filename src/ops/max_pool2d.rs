//! Max pooling over the last two axes: y[n,c,i,j] = max of x over the window, with the place of the first maximum.
//!
//! The gradient goes to that place alone; each input pixel gathers from the windows that may have chosen it.

use super::MAX_ITERATIONS;
use super::pool::{Pool2d, PoolParams, case_windows};
use crate::error::Result;
use crate::graph::gradients::no_gradient;
use crate::graph::{Evaluation, GradientContext, Op, Tensor, TensorType};
use crate::plan::{Candidate, Format, Kernel, Lowering, Operand, Shader, shader};
use crate::reference::{Checked, max_pool2d as reference};
use crate::selftest::OpCase;

const NAME: &str = "max_pool2d";
pub(crate) static SHADER: Shader = shader!("max_pool2d", PoolParams, ["grid", "divide", "window", "nan"]);
pub(crate) static CHANNELS_LAST: Shader =
    shader!("max_pool2d_channels_last", PoolParams, ["grid", "divide", "window", "nan"]);

impl<'g> Tensor<'g> {
    /// The maximum over windows of `[N, C, H, W]`; padding never wins, NaN always does. `max_pool2d(2)` halves the size.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 4 or the window does not fit.
    pub fn max_pool2d(self, window: impl Into<Pool2d>) -> Result<Self> {
        let outputs = self.graph().apply(MaxPool2d(window.into()), "", &[self])?;
        Ok(outputs[0])
    }
}

#[derive(Debug)]
struct MaxPool2d(Pool2d);

fn geometry(pool: &Pool2d, x: &TensorType) -> reference::Geometry {
    reference::Geometry {
        planes: x.shape[0] * x.shape[1],
        in_height: x.shape[2],
        in_width: x.shape[3],
        kernel: pool.kernel,
        stride: pool.stride,
        padding: pool.padding,
        ceil_mode: pool.ceil_mode,
    }
}

impl Op for MaxPool2d {
    fn name(&self) -> &'static str {
        NAME
    }

    fn attributes(&self) -> String {
        self.0.describe()
    }

    /// Outputs: the maxima, and where in its plane each stands (row-major index, u32).
    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        let output = self.0.output(NAME, &inputs[0])?;
        Ok(vec![output.clone(), TensorType::u32(output.shape)])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None]) };
        let op = MaxPool2dGradInput { pool: self.0, x: cx.input(0).ty() };
        Ok(vec![Some(cx.graph().apply_one(op, cx.layer(), &[cx.output(1), dy])?)])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let (values, argmax) = reference::forward(&geometry(&self.0, &cx.input_types[0]), cx.inputs[0]);
        vec![values, Checked::exact(argmax.into_iter().map(f64::from).collect())]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let format = cx.follow("max_pool2d.format", 0)?;
        let params = self.0.params(NAME, &cx.inputs[0], format)?;
        let operands = [Operand::Input(0), Operand::Output(0), Operand::Output(1)];
        let count = cx.outputs[0].elements();
        if format == Format::ChannelsLast {
            let kernel = Kernel::new(&CHANNELS_LAST, "forward").variant("channels_last");
            return cx.dispatch_flat(kernel, &params, &operands, count / 4);
        }
        let variants =
            vec![Candidate::unless("pairs", no_pairs(&self.0, &cx.inputs[0])), Candidate::unless("general", None)];
        let variant = cx.choose("max_pool2d.forward", variants)?;
        let (entry, count) = if variant == "pairs" { ("forward_pairs", count / 2) } else { ("forward", count) };
        cx.dispatch_flat(Kernel::new(&SHADER, entry).variant(variant), &params, &operands, count)
    }
}

/// Why windows cannot be taken two by two.
fn no_pairs(pool: &Pool2d, x: &TensorType) -> Option<String> {
    let halves = pool.kernel == [2; 2] && pool.stride == [2; 2] && pool.padding == [0; 4];
    let whole = x.shape[2].is_multiple_of(2) && x.shape[3].is_multiple_of(4);
    (!halves || !whole).then(|| "only for windows and strides of 2 over planes of whole pairs of windows".into())
}

/// (argmax, dy) -> dx
#[derive(Debug)]
struct MaxPool2dGradInput {
    pool: Pool2d,
    x: TensorType,
}

impl Op for MaxPool2dGradInput {
    fn name(&self) -> &'static str {
        "max_pool2d.grad_input"
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![self.x.clone()])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        vec![reference::grad_input(&geometry(&self.pool, &self.x), &cx.integers(0), cx.inputs[1])]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let format = cx.follow("max_pool2d.grad_input.format", 0)?;
        let params = self.pool.params(NAME, &self.x, format)?;
        let operands = [Operand::Input(0), Operand::Input(1), Operand::Output(0)];
        if format == Format::ChannelsLast {
            let kernel = Kernel::new(&CHANNELS_LAST, "grad_input").variant("channels_last");
            return cx.dispatch_flat(kernel, &params, &operands, self.x.elements() / 4);
        }
        let Pool2d { kernel, stride, padding, .. } = self.pool;
        let overlap = kernel.iter().zip(stride).any(|(&kernel, stride)| kernel > stride);
        let long = stride[0].saturating_mul(stride[1] + 2) > MAX_ITERATIONS;
        let refusal = (overlap || long).then(|| "windows overlap or lie too far apart".to_string());
        let variants = vec![
            Candidate::unless("pairs", no_pairs(&self.pool, &self.x)),
            Candidate::unless("disjoint", refusal),
            Candidate::unless("general", None),
        ];
        let variant = cx.choose("max_pool2d.grad_input", variants)?;
        let fields = |axis: usize| (self.x.shape[axis + 2] + padding[axis]).div_ceil(stride[axis]);
        let (entry, count) = match variant {
            "pairs" => ("grad_input_pairs", self.x.elements() / 8),
            "disjoint" => ("grad_input_disjoint", self.x.shape[0] * self.x.shape[1] * fields(0) * fields(1)),
            _ => ("grad_input", self.x.elements()),
        };
        cx.dispatch_flat(Kernel::new(&SHADER, entry).variant(variant), &params, &operands, count)
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let case = |(shape, pool): ([usize; 4], Pool2d)| {
        let name = format!("max_pool2d {shape:?} {}", pool.describe());
        OpCase::new(name, move |cx| cx.normal("x", shape)?.max_pool2d(pool).map(|y| vec![y]))
    };
    case_windows().into_iter().map(case).collect()
}
