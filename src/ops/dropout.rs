//! Dropout (Srivastava et al. 2014), inverted: each element is kept with probability 1 - p and divided by it, else zero.
//!
//! The mask is a function of seed, layer, step and element (Philox4x32-10), so the gradient recomputes it: it is the same
//! operation applied to dy.

use crate::error::{Error, Result};
use crate::graph::{Evaluation, GradientContext, Mode, Op, Reach, Tensor, TensorType};
use crate::plan::{Kernel, Lowering, Operand, Shader, params, shader, word};
use crate::reference::{Checked, dropout as reference};
use crate::selftest::OpCase;

const NAME: &str = "dropout";

params! {
    DropoutParams { count: u32, threshold: u32, scale: f32, seed: u32, stream: u32 }
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
        if !(0.0..1.0).contains(&p) {
            return Err(Error::argument(NAME, format!("expected a probability in 0..1, got {p}")));
        }
        super::float(NAME, &self.ty())?;
        let graph = self.graph();
        if graph.mode() == Mode::Evaluation || p == 0.0 {
            return Ok(self);
        }
        let before = graph.data().nodes.iter().filter(|node| node.op.name() == NAME).count();
        let op = Dropout { p, seed: graph.dropout_seed(), stream: word(NAME, before)? };
        graph.apply_one(op, "", &[graph.step()?, self])
    }
}

/// (step, x) -> y
#[derive(Debug, Clone)]
struct Dropout {
    p: f32,
    seed: u32,
    stream: u32,
}

impl Op for Dropout {
    fn name(&self) -> &'static str {
        NAME
    }

    fn attributes(&self) -> String {
        format!("p {}, seed {}, stream {}", self.p, self.seed, self.stream)
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
        vec![reference::forward(cx.inputs[1], f64::from(self.p), self.seed, self.stream, step)]
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
            // A random word below it drops the element; the cast saturates.
            threshold: (p * 2f64.powi(32)).round() as u32,
            scale: (1.0 / (1.0 - p)) as f32,
            seed: self.seed,
            stream: self.stream,
        };
        let textured = cx.choose_textures(NAME, count)?;
        let x = if textured { Operand::InputTexture(1) } else { Operand::Input(1) };
        let kernel = Kernel::new(&SHADER, "forward").template("texture", u8::from(textured));
        cx.dispatch_flat(kernel, &params, &[Operand::Input(0), x, Operand::Output(0)], count.div_ceil(4))
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let list = [(vec![1], 0.5), (vec![3, 67, 5], 0.1), (vec![64, 120], 0.5), (vec![4, 1009], 0.999)];
    list.into_iter()
        .map(|(shape, p): (Vec<usize>, f32)| {
            OpCase::new(format!("dropout {shape:?} p {p}"), move |cx| {
                // Two layers, so that their streams must differ.
                let x = cx.normal("x", shape.clone())?;
                Ok(vec![x.dropout(p)?, x.dropout(p)?])
            })
            .mode(Mode::Training)
        })
        .collect()
}
