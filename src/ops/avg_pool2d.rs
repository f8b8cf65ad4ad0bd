//! Average pooling over the last two axes: y[n,c,i,j] = mean of x over the window.
//!
//! The divisor counts padded cells or not ([`Pool2d::count_include_pad`]), never cells past the padded image. The
//! gradient spreads each dy over its window; each input pixel gathers from the windows that cover it.

use super::chain::dispatch_finished;
use super::pool::{Pool2d, PoolParams, averaged, case_windows};
use crate::error::Result;
use crate::gpu::DeviceClass;
use crate::graph::gradients::no_gradient;
use crate::graph::{Evaluation, GradientContext, Op, Reach, Tensor, TensorType};
use crate::plan::{Candidate, Format, Kernel, Lowering, Operand, Shader, shader};
use crate::reference::{Checked, avg_pool2d as reference};
use crate::selftest::OpCase;

const NAME: &str = "avg_pool2d";
pub(crate) static SHADER: Shader =
    shader!("avg_pool2d", PoolParams, ["grid", "divide", "window", "average", "texture", "read", "epilogue"], chain);
pub(crate) static CHANNELS_LAST: Shader = shader!(
    "avg_pool2d_channels_last",
    PoolParams,
    ["grid", "divide", "window", "average", "texture", "read", "epilogue"],
    chain
);
pub(crate) static UNROLLED: Shader = shader!(
    "avg_pool2d_unrolled",
    PoolParams,
    ["grid", "divide", "window", "texture", "read", "unrolled", "epilogue"],
    chain
);
pub(crate) static STRIPS: Shader = shader!(
    "avg_pool2d_strips",
    PoolParams,
    ["grid", "divide", "window", "average", "texture", "read", "strips", "epilogue"],
    chain
);

impl<'g> Tensor<'g> {
    /// The mean over windows of `[N, C, H, W]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 4 or the window does not fit.
    pub fn avg_pool2d(self, window: impl Into<Pool2d>) -> Result<Self> {
        averaged(self, window.into())
    }
}

/// The means of a window without gaps.
pub(super) fn planes<'g>(x: Tensor<'g>, window: Pool2d) -> Result<Tensor<'g>> {
    x.graph().apply_one(AvgPool2d(window), "", &[x])
}

#[derive(Debug)]
struct AvgPool2d(Pool2d);

fn geometry(pool: &Pool2d, x: &TensorType) -> reference::Geometry {
    reference::Geometry {
        planes: x.shape[0] * x.shape[1],
        in_height: x.shape[2],
        in_width: x.shape[3],
        kernel: pool.kernel,
        stride: pool.stride,
        padding: pool.padding_of_sides(),
        ceil_mode: pool.ceil_mode,
        count_include_pad: pool.count_include_pad,
    }
}

/// Adds the dispatch of either direction over images `x` in this format.
fn lower(cx: &mut Lowering<'_>, pool: &Pool2d, entry: &'static str, x: &TensorType, format: Format) -> Result<()> {
    let last = format == Format::ChannelsLast;
    let strips = Candidate::unless("strips", pool.strips_refusal(NAME, x, format)?);
    let unrolled = Candidate::unless("unrolled", pool.unrolled_refusal());
    let loops = Candidate::unless("loops", None);
    // Planes of a GPU are better gone over by neighbouring invocations; strips have not been timed there.
    let variants = match (cx.class(), last) {
        (DeviceClass::Cpu, _) => vec![strips, unrolled, loops],
        (_, true) => vec![unrolled, loops, strips],
        _ => vec![loops, unrolled, strips],
    };
    let name = format!("{NAME}.{entry}");
    let variant = cx.choose(&name, variants)?;
    let textured = variant != "loops" && cx.choose_textures(&name, cx.inputs[0].elements())?;
    let count = cx.outputs[0].elements();
    let (kernel, count) = match (variant, last) {
        ("strips", _) => {
            let kernel = pool.in_strips(Kernel::new(&STRIPS, entry), entry, format, textured);
            (kernel, pool.strips(entry, &cx.outputs[0], format))
        }
        ("unrolled", _) => (pool.unroll(Kernel::new(&UNROLLED, entry), entry, format, textured), count.div_ceil(4)),
        (_, true) => (Kernel::new(&CHANNELS_LAST, entry), count / 4),
        _ => (Kernel::new(&SHADER, entry), count),
    };
    let kernel = kernel.variant(variant).flag("COUNT_INCLUDE_PAD", pool.count_include_pad);
    let mut operands = [Operand::Input(0), Operand::Output(0)];
    if textured {
        cx.through_textures(&mut operands[..1], 0);
    }
    dispatch_finished(cx, kernel, &pool.params(NAME, x, format)?, &operands, (format, textured), count)
}

impl Op for AvgPool2d {
    fn name(&self) -> &'static str {
        NAME
    }

    fn attributes(&self) -> String {
        self.0.describe()
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![self.0.output(NAME, &inputs[0])?])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None]) };
        let op = AvgPool2dGradInput { pool: self.0, x: cx.input(0).ty() };
        Ok(vec![Some(cx.graph().apply_one(op, cx.layer(), &[dy])?)])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        vec![reference::forward(&geometry(&self.0, &cx.input_types[0]), cx.inputs[0])]
    }

    fn reach(&self, _: &[TensorType]) -> Reach {
        Reach::Window(self.0.sliding())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let format = cx.follow("avg_pool2d.format", 0)?;
        let x = cx.inputs[0].clone();
        lower(cx, &self.0, "forward", &x, format)
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        crate::onnx::pool(cx, crate::onnx::Pooled::Average, &self.0)
    }
}

/// dy -> dx
#[derive(Debug)]
struct AvgPool2dGradInput {
    pool: Pool2d,
    x: TensorType,
}

impl Op for AvgPool2dGradInput {
    fn name(&self) -> &'static str {
        "avg_pool2d.grad_input"
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![self.x.clone()])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        vec![reference::grad_input(&geometry(&self.pool, &self.x), cx.inputs[0])]
    }

    fn takes_epilogue(&self) -> bool {
        true
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let format = cx.follow("avg_pool2d.grad_input.format", 0)?;
        lower(cx, &self.pool, "grad_input", &self.x, format)
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let case = |(shape, pool): ([usize; 4], Pool2d)| {
        let name = format!("avg_pool2d {shape:?} {}", pool.describe());
        OpCase::new(name, move |cx| cx.normal("x", shape)?.avg_pool2d(pool).map(|y| vec![y]))
    };
    // With functions before and after, which its kernels compute. Among so many values some lie on the kink.
    let between = |(shape, pool): ([usize; 4], Pool2d)| {
        let name = format!("avg_pool2d {shape:?} {} of a relu, in a sum", pool.describe());
        let case = OpCase::new(name, move |cx| {
            let y = cx.normal("x", shape)?.relu()?.avg_pool2d(pool)?;
            Ok(vec![y.add(cx.normal("z", y.shape())?)?])
        });
        case.without_differences()
    };
    let windows = case_windows().into_iter();
    windows.clone().map(case).chain(windows.map(between)).collect()
}
