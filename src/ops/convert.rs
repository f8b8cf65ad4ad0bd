//! Numbers as another element type: whole floats as indices, indices as floats to compute with.

use crate::error::{Error, Result};
use crate::graph::{DType, Evaluation, GradientContext, Op, Tensor, TensorType};
use crate::plan::{Kernel, Lowering, Operand, Shader, params, shader, word};
use crate::reference::{Checked, convert as reference};
use crate::selftest::OpCase;

const NAME: &str = "convert";

params! {
    ConvertParams { count: u32 }
}
pub(crate) static SHADER: Shader = shader!("convert", ConvertParams, ["grid"]);

impl<'g> Tensor<'g> {
    /// The same numbers as f32 or u32; the tensor itself where it is of this type. From u32 to f32 they are exact up to
    /// 2²⁴, and beyond one of the two nearest. From f32 to u32 they lose their fraction, and what is negative, not-a-number
    /// or at least 2³² becomes 2³² - 1, which is an index of nothing: [`Tensor::gather`] makes not-a-number of it. It has no
    /// gradient.
    ///
    /// ```
    /// use omma::{DType, Graph, Mode};
    ///
    /// let graph = Graph::new(Mode::Evaluation);
    /// let (table, numbers) = (graph.input("table", [10, 4])?, graph.input("numbers", 3)?);
    /// let rows = table.gather(numbers.convert(DType::U32)?, 0)?;
    /// assert_eq!(rows.shape().to_string(), "[3, 4]");
    /// # Ok::<(), omma::Error>(())
    /// ```
    ///
    /// # Errors
    /// When one of the types is u8.
    pub fn convert(self, to: DType) -> Result<Self> {
        if self.dtype() == to { Ok(self) } else { self.graph().apply_one(Convert { to }, "", &[self]) }
    }
}

#[derive(Debug)]
struct Convert {
    to: DType,
}

impl Op for Convert {
    fn name(&self) -> &'static str {
        NAME
    }

    fn attributes(&self) -> String {
        format!("to {}", self.to)
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        match (inputs[0].dtype, self.to) {
            (DType::U8, _) | (_, DType::U8) => {
                Err(Error::shape(NAME, "f32 or u32", format!("{} to {}", inputs[0], self.to)))
            }
            _ => Ok(vec![TensorType { dtype: self.to, shape: inputs[0].shape.clone() }]),
        }
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        // Integers have no derivative.
        Ok(vec![None])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        vec![match self.to {
            DType::U32 => reference::to_u32(cx.inputs[0]),
            _ => reference::to_f32(cx.inputs[0]),
        }]
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let count = cx.outputs[0].elements();
        let kernel = Kernel::new(&SHADER, "forward").template("to", self.to.to_string());
        let params = ConvertParams { count: word(NAME, count)? };
        cx.dispatch_flat(kernel, &params, &[Operand::Input(0), Operand::Output(0)], count)
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let list: [&[usize]; 3] = [&[1], &[3, 67], &[5, 1, 1009]];
    let of = |shape: &'static [usize]| {
        let count = shape.iter().product();
        let floats = OpCase::new(format!("convert {shape:?} to u32"), move |cx| {
            // Whole numbers, halves between them, and every kind of those that are none of u32's.
            let special = [-1.0, -0.0, 4_294_967_040.0, 4_294_967_296.0, f32::NAN, f32::INFINITY, -0.5, 16_777_216.0];
            let value = |i: usize| if i % 5 == 4 { special[i / 5 % 8] } else { i as f32 * 0.5 };
            Ok(vec![cx.values("x", shape, (0..count).map(value).collect())?.convert(DType::U32)?])
        });
        let integers = OpCase::new(format!("convert {shape:?} to f32"), move |cx| {
            Ok(vec![cx.labels("x", count, 1 << 16)?.reshape(shape)?.convert(DType::F32)?])
        });
        [floats, integers]
    };
    let far = OpCase::new("convert far numbers to u32", |cx| {
        let far = [-0.5, -0.0, 0.0, 0.9, 1.0, 7.5, 16_777_217.0, 4_294_967_040.0, 4_294_967_296.0, -3e38];
        let values = far.into_iter().chain([f32::NAN, f32::INFINITY, f32::NEG_INFINITY]).collect();
        Ok(vec![cx.values("x", [13], values)?.convert(DType::U32)?])
    });
    list.into_iter().flat_map(of).chain([far]).collect()
}
