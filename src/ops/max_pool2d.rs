//! Max pooling over the last two axes: y[n,c,i,j] = max of x over the window, with the place of the first maximum.
//!
//! The gradient goes to that place alone; each input pixel gathers from the windows that may have chosen it. Places are
//! those in the window, and kept as floats, which textures hold exactly.

use super::MAX_ITERATIONS;
use super::chain::dispatch_finished;
use super::pool::{Pool2d, PoolParams, case_windows, pooled};
use crate::error::Result;
use crate::gpu::DeviceClass;
use crate::graph::gradients::no_gradient;
use crate::graph::{Evaluation, GradientContext, Op, Reach, Tensor, TensorType};
use crate::plan::{Candidate, Format, Kernel, Lowering, Operand, Shader, shader};
use crate::reference::{Checked, max_pool2d as reference};
use crate::selftest::OpCase;

const NAME: &str = "max_pool2d";
pub(crate) static SHADER: Shader =
    shader!("max_pool2d", PoolParams, ["grid", "divide", "window", "nan", "texture", "read", "epilogue"], chain);
pub(crate) static CHANNELS_LAST: Shader = shader!(
    "max_pool2d_channels_last",
    PoolParams,
    ["grid", "divide", "window", "nan", "texture", "read", "epilogue"],
    chain
);
pub(crate) static UNROLLED: Shader = shader!(
    "max_pool2d_unrolled",
    PoolParams,
    ["grid", "divide", "window", "nan", "texture", "read", "unrolled", "epilogue"],
    chain
);
pub(crate) static STRIPS: Shader = shader!(
    "max_pool2d_strips",
    PoolParams,
    ["grid", "divide", "window", "nan", "texture", "read", "strips", "epilogue"],
    chain
);

impl<'g> Tensor<'g> {
    /// The maximum over windows of `[N, C, H, W]`; padding never wins, NaN always does. `max_pool2d(2)` halves the size.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 4 or the window does not fit.
    pub fn max_pool2d(self, window: impl Into<Pool2d>) -> Result<Self> {
        Ok(pooled(self, window.into())?[0])
    }
}

/// The maxima, and where in its window each stands, of a window without gaps.
pub(super) fn planes<'g>(x: Tensor<'g>, window: Pool2d) -> Result<[Tensor<'g>; 2]> {
    let outputs = x.graph().apply(MaxPool2d(window), "", &[x])?;
    Ok([outputs[0], outputs[1]])
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
        padding: pool.padding_of_sides(),
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

    /// Outputs: the maxima, and where in its window each stands (row-major index).
    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![self.0.output(NAME, &inputs[0])?; 2])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None]) };
        let op = MaxPool2dGradInput { pool: self.0, x: cx.input(0).ty() };
        Ok(vec![Some(cx.graph().apply_one(op, cx.layer(), &[cx.output(1), dy])?)])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let (values, places) = reference::forward(&geometry(&self.0, &cx.input_types[0]), cx.inputs[0]);
        vec![values, Checked::exact(places.into_iter().map(f64::from).collect())]
    }

    fn reach(&self, _: &[TensorType]) -> Reach {
        Reach::Window(self.0.sliding())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let format = cx.follow("max_pool2d.format", 0)?;
        let x = cx.inputs[0].clone();
        let unless_planar = |refusal: Option<String>| only_planar(format).or(refusal);
        let pairs = Candidate::unless("pairs", unless_planar(no_pairs(&self.0, &x)));
        let general = Candidate::unless("general", unless_planar(None));
        let (variant, textured) =
            choose(cx, &self.0, (&x, format), x.elements(), "max_pool2d.forward", vec![pairs, general])?;
        let mut operands = vec![Operand::Input(0), Operand::Output(0)];
        let winners = cx.needs(1) || !matches!(variant, "pairs" | "strips" | "unrolled");
        if winners {
            operands.push(Operand::Output(1));
        }
        if textured {
            cx.through_textures(&mut operands[..1], 0);
        }
        let count = cx.outputs[0].elements();
        let (shader, entry, count) = match variant {
            "pairs" => (&SHADER, "forward_pairs", count / 2),
            "strips" => (&STRIPS, "forward", self.0.strips("forward", &cx.outputs[0], format)),
            "unrolled" => (&UNROLLED, "forward", count.div_ceil(4)),
            "general" => (&SHADER, "forward", count),
            _ => (&CHANNELS_LAST, "forward", count / 4),
        };
        let kernel = kernel(shader, entry, variant, &self.0, format, textured);
        let kernel = kernel.template("winners", u8::from(winners));
        let params = self.0.params(NAME, &x, format)?;
        dispatch_finished(cx, kernel, &params, &operands, (format, textured), count)
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        crate::onnx::pool(cx, crate::onnx::Pooled::Max, &self.0)
    }
}

fn only_planar(format: Format) -> Option<String> {
    (format != Format::Planar).then(|| "only for planes".into())
}

/// The variant, `loops`, `strips` and `unrolled` beside those that are given for images `x`, and whether its inputs, of so many
/// elements at most, are read through textures.
fn choose(
    cx: &mut Lowering<'_>,
    pool: &Pool2d,
    (x, format): (&TensorType, Format),
    elements: usize,
    kernel: &str,
    mut variants: Vec<Candidate>,
) -> Result<(&'static str, bool)> {
    let strips = Candidate::unless("strips", pool.strips_refusal(NAME, x, format)?);
    let unrolled = Candidate::unless("unrolled", pool.unrolled_refusal());
    let planes = (format == Format::Planar).then(|| "only for channels-last images".into());
    let loops = Candidate::unless("loops", planes);
    // Planes of a GPU are better gone over by neighbouring invocations; on a CPU only pairs are as good. Strips have not been
    // timed on a GPU.
    let first = match (cx.class(), format) {
        (_, Format::ChannelsLast) => 0,
        (DeviceClass::Cpu, _) => 1,
        _ => variants.len(),
    };
    variants.insert(first, unrolled);
    variants.push(loops);
    let first = if cx.class() == DeviceClass::Cpu { first } else { variants.len() };
    variants.insert(first, strips);
    let variant = cx.choose(kernel, variants)?;
    let textured = matches!(variant, "pairs" | "strips" | "unrolled") && cx.choose_textures(kernel, elements)?;
    Ok((variant, textured))
}

/// A kernel with what its text is made for.
fn kernel(
    shader: &'static Shader,
    entry: &'static str,
    variant: &'static str,
    pool: &Pool2d,
    format: Format,
    textured: bool,
) -> Kernel {
    let kernel = Kernel::new(shader, entry).variant(variant);
    match variant {
        "strips" => pool.in_strips(kernel, entry, format, textured),
        _ => pool.unroll(kernel, entry, format, textured),
    }
}

/// Why windows cannot be taken two by two.
fn no_pairs(pool: &Pool2d, x: &TensorType) -> Option<String> {
    let halves = pool.kernel == [2; 2] && pool.stride == [2; 2] && pool.padding_of_sides() == [0; 4];
    let whole = x.shape[2].is_multiple_of(2) && x.shape[3].is_multiple_of(4);
    (!halves || !whole).then(|| "only for windows and strides of 2 over planes of whole pairs of windows".into())
}

/// (winners, dy) -> dx
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

    fn takes_epilogue(&self) -> bool {
        true
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let format = cx.follow("max_pool2d.grad_input.format", 0)?;
        let Pool2d { kernel: window, stride, .. } = self.pool;
        let [begin, _] = self.pool.sides();
        let overlap = window.iter().zip(stride).any(|(&window, stride)| window > stride);
        let long = stride[0].saturating_mul(stride[1] + 2) > MAX_ITERATIONS;
        let refusal = (overlap || long).then(|| "windows overlap or lie too far apart".to_string());
        let variants = vec![
            Candidate::unless("pairs", only_planar(format).or(no_pairs(&self.pool, &self.x))),
            Candidate::unless("disjoint", only_planar(format).or(refusal)),
            Candidate::unless("general", only_planar(format)),
        ];
        let read = cx.inputs[0].elements();
        let (variant, textured) = choose(cx, &self.pool, (&self.x, format), read, "max_pool2d.grad_input", variants)?;
        let mut operands = [Operand::Input(0), Operand::Input(1), Operand::Output(0)];
        if textured {
            cx.through_textures(&mut operands[..2], 0);
        }
        let fields = |axis: usize| (self.x.shape[axis + 2] + begin[axis]).div_ceil(stride[axis]);
        let elements = self.x.elements();
        let (shader, entry, count) = match variant {
            "pairs" => (&SHADER, "grad_input_pairs", elements / 8),
            "strips" => (&STRIPS, "grad_input", self.pool.strips("grad_input", &self.x, format)),
            "unrolled" => (&UNROLLED, "grad_input", elements.div_ceil(4)),
            "disjoint" => (&SHADER, "grad_input_disjoint", self.x.shape[0] * self.x.shape[1] * fields(0) * fields(1)),
            "general" => (&SHADER, "grad_input", elements),
            _ => (&CHANNELS_LAST, "grad_input", elements / 4),
        };
        let kernel = kernel(shader, entry, variant, &self.pool, format, textured);
        let params = self.pool.params(NAME, &self.x, format)?;
        dispatch_finished(cx, kernel, &params, &operands, (format, textured), count)
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let case = |(shape, pool): ([usize; 4], Pool2d)| {
        let name = format!("max_pool2d {shape:?} {}", pool.describe());
        OpCase::new(name, move |cx| cx.normal("x", shape)?.max_pool2d(pool).map(|y| vec![y]))
    };
    // With functions before and after, which its kernels compute. Among so many values some lie on the kink.
    let between = |(shape, pool): ([usize; 4], Pool2d)| {
        let name = format!("max_pool2d {shape:?} {} of a relu, in a sum", pool.describe());
        let case = OpCase::new(name, move |cx| {
            let y = cx.normal("x", shape)?.relu()?.max_pool2d(pool)?;
            Ok(vec![y.add(cx.normal("z", y.shape())?)?])
        });
        case.without_differences()
    };
    let windows = case_windows().into_iter();
    windows.clone().map(case).chain(windows.map(between)).collect()
}
