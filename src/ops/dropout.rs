//! Dropout (Srivastava et al. 2014), inverted: each element is kept with probability 1 - p and divided by it, else zero.
//! Of images whole channels may be dropped instead (Tompson et al. 2015, "Efficient Object Localization Using Convolutional
//! Networks"): all elements of one share what decides.
//!
//! The mask is a function of seed, layer, step and element or channel (Philox4x32-10), so the gradient recomputes it: it
//! is the same operation applied to dy.

use crate::error::{Error, Result};
use crate::graph::{DType, Evaluation, GradientContext, Mode, Op, Reach, Tensor, TensorType};
use crate::plan::{Kernel, Lowering, Operand, Shader, params, shader, word};
use crate::reference::{Checked, dropout as reference};
use crate::selftest::OpCase;

const NAME: &str = "dropout";

params! {
    DropoutParams { count: u32, plane: u32, threshold: u32, scale: f32, seed: u32, stream: u32 }
}
pub(crate) static SHADER: Shader = shader!("dropout", DropoutParams, ["grid", "philox", "texture", "read"]);

impl<'g> Tensor<'g> {
    /// Drops each element with probability `p` while training; in evaluation it is the tensor itself. [`Graph::seed`]
    /// fixes the masks, every step has another.
    ///
    /// # Errors
    /// When the tensor is not f32 or p is outside 0..1.
    ///
    /// [`Graph::seed`]: crate::Graph::seed
    pub fn dropout(self, p: f32) -> Result<Self> {
        super::float(NAME, &self.ty())?;
        self.dropped(p, 1)
    }

    /// Drops each channel of each example of `[N, C, ...]` as a whole with probability `p` while training, as PyTorch's
    /// `Dropout1d`, `Dropout2d` and `Dropout3d` (Tompson et al. 2015): neighbours in an image are alike, so that
    /// [`Tensor::dropout`] of single elements hides little.
    ///
    /// # Errors
    /// When the tensor is not f32 `[N, C, ...]` of at least three axes or p is outside 0..1.
    pub fn spatial_dropout(self, p: f32) -> Result<Self> {
        let ty = self.ty();
        match (ty.dtype, &ty.shape[..]) {
            (DType::F32, [_, _, plane @ ..]) if !plane.is_empty() => self.dropped(p, plane.iter().product()),
            _ => Err(Error::shape("spatial_dropout", "an f32 tensor of rank 3 or more [N, C, ...]", ty)),
        }
    }

    /// Drops so many neighbours together.
    fn dropped(self, p: f32, plane: usize) -> Result<Self> {
        if !(0.0..1.0).contains(&p) {
            return Err(Error::argument(NAME, format!("expected a probability in 0..1, got {p}")));
        }
        let graph = self.graph();
        if graph.mode() == Mode::Evaluation || p == 0.0 {
            return Ok(self);
        }
        let before = graph.data().nodes.iter().filter(|node| node.op.name() == NAME).count();
        let op = Dropout { p, plane, seed: graph.dropout_seed(), stream: word(NAME, before)? };
        graph.apply_one(op, "", &[graph.step()?, self])
    }
}

/// (step, x) -> y
#[derive(Debug, Clone)]
struct Dropout {
    p: f32,
    /// Elements that share what decides.
    plane: usize,
    seed: u32,
    stream: u32,
}

impl Op for Dropout {
    fn name(&self) -> &'static str {
        NAME
    }

    fn attributes(&self) -> String {
        let planes = if self.plane > 1 { format!(", planes of {}", self.plane) } else { String::new() };
        format!("p {}{planes}, seed {}, stream {}", self.p, self.seed, self.stream)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(vec![inputs[1].clone()])
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        let Some(dy) = cx.cotangent(0) else { return Ok(vec![None, None]) };
        Ok(vec![None, Some(cx.graph().apply_one(self.clone(), cx.layer(), &[cx.input(0), dy])?)])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let step = cx.integers(0)[0];
        vec![reference::forward(cx.inputs[1], self.plane, f64::from(self.p), self.seed, self.stream, step)]
    }

    fn reach(&self, _: &[TensorType]) -> Reach {
        Reach::Place
    }

    /// A file is for inference, which drops nothing.
    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        cx.keeps_examples(true)?;
        let x = cx.input(1)?;
        cx.finish("Identity", &[&x], &[])
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let count = cx.outputs[0].elements();
        let p = f64::from(self.p);
        let params = DropoutParams {
            count: word(NAME, count)?,
            plane: word(NAME, self.plane)?,
            // A random word below it drops the element; the cast saturates.
            threshold: (p * 2f64.powi(32)).round() as u32,
            scale: (1.0 / (1.0 - p)) as f32,
            seed: self.seed,
            stream: self.stream,
        };
        let textured = cx.choose_textures(NAME, count)?;
        let x = if textured { Operand::InputTexture(1) } else { Operand::Input(1) };
        let kernel = Kernel::new(&SHADER, "forward")
            .template("planes", u8::from(self.plane > 1))
            .template("texture", u8::from(textured));
        cx.dispatch_flat(kernel, &params, &[Operand::Input(0), x, Operand::Output(0)], count.div_ceil(4))
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let elements = [(vec![1], 0.5), (vec![3, 67, 5], 0.1), (vec![64, 120], 0.5), (vec![4, 1009], 0.999)];
    // Planes of one to three elements, whose fours reach over two or three, and such that end within a four.
    let channels = [
        (vec![2, 5, 1, 1], 0.5),
        (vec![3, 67, 2], 0.3),
        (vec![5, 4, 3, 1], 0.5),
        (vec![2, 11, 7, 5], 0.5),
        (vec![3, 4, 2, 3, 4], 0.9),
        (vec![4, 1009, 4], 0.2),
    ];
    let case = |spatial: bool, (shape, p): (Vec<usize>, f32)| {
        let name = if spatial { "spatial_dropout" } else { NAME };
        OpCase::new(format!("{name} {shape:?} p {p}"), move |cx| {
            // Two layers, so that their streams must differ.
            let x = cx.normal("x", shape.clone())?;
            let drop = || if spatial { x.spatial_dropout(p) } else { x.dropout(p) };
            Ok(vec![drop()?, drop()?])
        })
        .mode(Mode::Training)
    };
    let elements = elements.into_iter().map(|problem| case(false, problem));
    elements.chain(channels.into_iter().map(|problem| case(true, problem))).collect()
}
