//! Poolings over the last one to three axes of `[N, C, ...]`: max, average, Lp and stochastic pooling, with gaps in their
//! windows, in volumes, or adaptive.
//!
//! This is the general kernel and its gradient. The windows of 2-d max and average pooling without gaps have faster ones, in
//! `max_pool2d.rs` and `avg_pool2d.rs`, which those of sequences run too, as images of one row. [`Pool`] says what a window
//! is and whose rules it follows.

mod adaptive;
mod average;
mod cases;
mod global;
mod lp;
mod max;
mod planes;
mod stochastic;
mod window;
mod windows;

pub(super) use average::averaged;
pub(crate) use cases::cases;
pub(crate) use max::INDICES;
#[cfg_attr(not(feature = "onnx"), allow(unused_imports, reason = "its one user elsewhere is a feature"))]
pub(crate) use max::Numbering;
pub(super) use max::{pooled, with_indices};
pub(super) use planes::{PoolParams, case_windows};
pub(super) use window::spatial;
pub use window::{Pool, Pool1d, Pool2d, Pool3d};
pub(super) use windows::{VolumeParams, Windows};

use crate::error::Result;
use crate::graph::gradients::no_gradient;
use crate::graph::{Evaluation, GradientContext, Op, Reach, Tensor, TensorType};
use crate::plan::{Format, Kernel, Lowering, Operand, Shader, shader};
use crate::reference::{Checked, pool as reference};

pub(crate) static SHADER: Shader =
    shader!("pool", VolumeParams, ["grid", "divide", "volume", "nan", "philox", "texture", "read"]);

/// What is made of the values of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// The maximum, and its place.
    Max,
    Average {
        count_include_pad: bool,
    },
    /// The p-norm.
    Lp(f32),
    /// A value drawn by its size, and its place.
    Draw {
        seed: u32,
        stream: u32,
    },
    /// The mean weighted by size, and the mean.
    Weighted,
}

impl Kind {
    /// In the shader.
    fn name(self) -> &'static str {
        match self {
            Self::Max => "max",
            Self::Average { .. } => "average",
            Self::Lp(_) => "lp",
            Self::Draw { .. } => "draw",
            Self::Weighted => "weighted",
        }
    }

    /// How often a kernel goes over a window.
    fn times(self) -> usize {
        if matches!(self, Self::Max | Self::Average { .. }) { 1 } else { 2 }
    }

    fn specialise(self, kernel: Kernel) -> Kernel {
        let kernel = kernel.template("kind", self.name());
        match self {
            Self::Average { count_include_pad } => kernel.flag("COUNT_INCLUDE_PAD", count_include_pad),
            Self::Lp(p) => kernel.constant("P", p),
            _ => kernel,
        }
    }
}

/// Names of an operation and of its gradient, over one to three axes.
macro_rules! names {
    ($stem:literal) => {
        [
            [concat!($stem, "1d"), concat!($stem, "1d.grad_input")],
            [concat!($stem, "2d"), concat!($stem, "2d.grad_input")],
            [concat!($stem, "3d"), concat!($stem, "3d.grad_input")],
        ]
    };
}
pub(super) use names;

/// Channels that an invocation computes: those that lie together.
fn channels_of_one(format: Format) -> usize {
    if format == Format::ChannelsLast { 4 } else { 1 }
}

/// x -> y and, of some kinds, what the gradient needs. A drawing one: (x, step) -> (y, places)
#[derive(Debug, Clone, Copy)]
struct Pooling<const D: usize> {
    kind: Kind,
    windows: Windows<D>,
}

impl<const D: usize> Pooling<D> {
    fn names(&self) -> [&'static str; 2] {
        let names = match (self.kind, self.windows) {
            (Kind::Max, Windows::Adaptive(_)) => names!("adaptive_max_pool"),
            (Kind::Max, _) => names!("max_pool"),
            (Kind::Average { .. }, _) => names!("avg_pool"),
            (Kind::Lp(_), _) => names!("lp_pool"),
            (Kind::Draw { .. } | Kind::Weighted, _) => names!("stochastic_pool"),
        };
        names[D - 1]
    }

    fn has_second(&self) -> bool {
        !matches!(self.kind, Kind::Average { .. } | Kind::Lp(_))
    }

    /// The kernel for tensors in this format, and its parameters for `x`.
    fn kernel(
        &self,
        entry: &'static str,
        x: &TensorType,
        format: Format,
        textured: bool,
    ) -> Result<(Kernel, VolumeParams)> {
        let mut params = self.windows.params(self.name(), x, format)?;
        params.inner /= channels_of_one(format) as u32;
        let kernel = Kernel::new(&SHADER, entry)
            .template("entry", entry)
            .template("four", u8::from(channels_of_one(format) == 4))
            .template("texture", u8::from(textured));
        Ok((self.kind.specialise(kernel), params))
    }
}

impl<const D: usize> Op for Pooling<D> {
    fn name(&self) -> &'static str {
        self.names()[0]
    }

    fn attributes(&self) -> String {
        let windows = self.windows.describe();
        match self.kind {
            Kind::Lp(p) => format!("p {p}, {windows}"),
            Kind::Draw { seed, stream } => format!("{windows}, seed {seed}, stream {stream}"),
            _ => windows,
        }
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        let output = self.windows.output(self.name(), &inputs[0], self.kind.times())?;
        Ok(vec![output; 1 + usize::from(self.has_second())])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let mut gradients = vec![None; cx.count()];
        let Some(dy) = cx.cotangent(0) else { return Ok(gradients) };
        let inputs = match self.kind {
            Kind::Max | Kind::Draw { .. } => vec![cx.output(1), dy],
            Kind::Average { .. } => vec![dy],
            Kind::Lp(_) => vec![cx.input(0), cx.output(0), dy],
            Kind::Weighted => vec![cx.input(0), cx.output(0), cx.output(1), dy],
        };
        let op = PoolingGradInput { pooling: *self, x: cx.input(0).ty() };
        gradients[0] = Some(cx.graph().apply_one(op, cx.layer(), &inputs)?);
        Ok(gradients)
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let (g, x) = (self.windows.reference(&cx.input_types[0]), cx.inputs[0]);
        let with_places = |(values, places): (Checked, Vec<f64>)| vec![values, Checked::exact(places)];
        match self.kind {
            Kind::Max => with_places(reference::max(&g, x)),
            Kind::Average { count_include_pad } => vec![reference::average(&g, x, count_include_pad)],
            Kind::Lp(p) => vec![reference::lp(&g, x, f64::from(p))],
            Kind::Draw { seed, stream } => with_places(reference::draw(&g, x, seed, stream, cx.integers(1)[0])),
            Kind::Weighted => reference::weighted(&g, x).into(),
        }
    }

    fn reach(&self, _: &[TensorType]) -> Reach {
        match self.windows {
            Windows::Sliding(pool) => Reach::Window(pool.sliding()),
            _ => Reach::Whole,
        }
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let name = self.name();
        let format = cx.follow(&format!("{name}.format"), 0)?;
        let x = cx.inputs[0].clone();
        let second = self.has_second() && cx.needs(1);
        let textured = cx.choose_textures(name, x.elements())?;
        let input = Operand::Input(0);
        let mut operands = vec![if textured { input.textured() } else { input }, Operand::Output(0)];
        let (kernel, mut params) = self.kernel("forward", &x, format, textured)?;
        if let Kind::Draw { seed, stream } = self.kind {
            operands.push(Operand::Input(1));
            (params.seed, params.stream) = (seed, stream);
        }
        if second {
            operands.push(Operand::Output(1));
        }
        let kernel = self.windows.specialise(kernel).template("second", u8::from(second));
        cx.dispatch_flat(kernel, &params, &operands, cx.outputs[0].elements() / channels_of_one(format))
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        use crate::onnx::{Pooled, adaptive_max, pool};
        let window = match &self.windows {
            Windows::Sliding(window) => window,
            Windows::Adaptive(windows) => return adaptive_max(cx, windows),
        };
        match self.kind {
            Kind::Max => pool(cx, Pooled::Max, window),
            Kind::Average { .. } => pool(cx, Pooled::Average, window),
            Kind::Lp(p) => pool(cx, Pooled::Lp(p), window),
            Kind::Draw { .. } | Kind::Weighted => Err(cx.refused("ONNX has no stochastic pooling")),
        }
    }
}

/// Of max pooling and of drawing (places, dy), of an average dy, of a norm (x, y, dy), of a weighted mean
/// (x, y, mean, dy) -> dx
#[derive(Debug)]
struct PoolingGradInput<const D: usize> {
    pooling: Pooling<D>,
    x: TensorType,
}

impl<const D: usize> Op for PoolingGradInput<D> {
    fn name(&self) -> &'static str {
        self.pooling.names()[1]
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![self.x.clone()])
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        no_gradient(self.name())
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let (g, inputs) = (self.pooling.windows.reference(&self.x), &cx.inputs);
        vec![match self.pooling.kind {
            Kind::Max | Kind::Draw { .. } => reference::grad_places(&g, inputs[0], inputs[1]),
            Kind::Average { count_include_pad } => reference::grad_average(&g, inputs[0], count_include_pad),
            Kind::Lp(p) => reference::grad_lp(&g, inputs[0], &cx.checked(1), inputs[2], f64::from(p)),
            Kind::Weighted => reference::grad_weighted(&g, inputs[0], &cx.checked(1), &cx.checked(2), inputs[3]),
        }]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let name = self.name();
        let format = cx.follow(&format!("{name}.format"), 0)?;
        let count = cx.inputs.len();
        let textured = cx.choose_textures(name, cx.inputs[count - 1].elements())?;
        let mut operands: Vec<Operand> = (0..count).map(Operand::Input).chain([Operand::Output(0)]).collect();
        if textured {
            // Each element of x is read once.
            let first = usize::from(matches!(self.pooling.kind, Kind::Lp(_) | Kind::Weighted));
            cx.through_textures(&mut operands[first..count], 0);
        }
        let (kernel, params) = self.pooling.kernel("grad_input", &self.x, format, textured)?;
        let kernel = self.pooling.windows.choose(cx, name, kernel)?;
        cx.dispatch_flat(kernel, &params, &operands, self.x.elements() / channels_of_one(format))
    }
}
