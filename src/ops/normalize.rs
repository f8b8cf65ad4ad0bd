//! Image bytes to floats: y = (x/255 - mean[c]) / deviation[c] for u8 images `[N, C, H, W]` of up to four channels.

use crate::error::{Error, Result};
use crate::graph::{DType, Evaluation, GradientContext, Op, Reach, Tensor, TensorType};
use crate::plan::{Kernel, Lowering, Operand, Shader, params, shader, word};
use crate::reference::{Checked, normalize as reference};
use crate::selftest::OpCase;

const NAME: &str = "normalize";

params! {
    NormalizeParams {
        count: u32, channels: u32, inner: u32, scale_0: f32, scale_1: f32, scale_2: f32, scale_3: f32, offset_0: f32,
        offset_1: f32, offset_2: f32, offset_3: f32,
    }
}
pub(crate) static SHADER: Shader = shader!("normalize", NormalizeParams, ["grid", "divide"]);

impl<'g> Tensor<'g> {
    /// Brings u8 images to f32: divides by 255, subtracts the channel's mean and divides by its deviation, as
    /// torchvision's `ToTensor` and `Normalize`.
    ///
    /// # Errors
    /// When the tensor is not u8 of rank 4, it has more than four channels, the slices do not have one value for each,
    /// a deviation is not positive, or a mean, a deviation or mean / deviation is not finite.
    pub fn normalize(self, mean: &[f32], deviation: &[f32]) -> Result<Self> {
        let factors = mean.iter().zip(deviation).map(|(&mean, &deviation)| {
            let (mean, deviation) = (f64::from(mean), f64::from(deviation));
            ((1.0 / (255.0 * deviation)) as f32, (-mean / deviation) as f32)
        });
        let factors: Vec<(f32, f32)> = factors.collect();
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        // The quotients of finite numbers need not be finite.
        let factors_finite = factors.iter().all(|(scale, offset)| scale.is_finite() && offset.is_finite());
        if !finite(mean) || !finite(deviation) || deviation.iter().any(|&d| d <= 0.0) || !factors_finite {
            let message = "expected finite means and positive deviations with finite quotients";
            return Err(Error::argument(NAME, format!("{message}, got means {mean:?} and deviations {deviation:?}")));
        }
        let lengths = [mean.len(), deviation.len()];
        self.graph().apply_one(Normalize { factors, lengths }, "", &[self])
    }
}

#[derive(Debug)]
struct Normalize {
    /// Scale and offset of each channel.
    factors: Vec<(f32, f32)>,
    /// How many means and deviations came.
    lengths: [usize; 2],
}

impl Op for Normalize {
    fn name(&self) -> &'static str {
        NAME
    }

    fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
        match (inputs[0].dtype, &inputs[0].shape[..]) {
            (DType::U8, &[_, channels, _, _]) if channels <= 4 => {
                if self.lengths != [channels; 2] {
                    let [means, deviations] = self.lengths;
                    let actual = format!("{means} means and {deviations} deviations");
                    return Err(Error::shape(NAME, format!("a mean and a deviation for {channels} channels"), actual));
                }
                Ok(vec![TensorType::f32(inputs[0].shape.clone())])
            }
            _ => Err(Error::shape(NAME, "u8 images [N, C, H, W] of at most 4 channels", &inputs[0])),
        }
    }

    fn gradient<'g>(&self, _: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        // Bytes have no derivative.
        Ok(vec![None])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let shape = &cx.input_types[0].shape;
        let (scale, offset): (Vec<f64>, Vec<f64>) =
            self.factors.iter().map(|&(scale, offset)| (f64::from(scale), f64::from(offset))).unzip();
        vec![reference::forward(shape[0], shape[1], shape[2] * shape[3], cx.inputs[0], &scale, &offset)]
    }

    fn reach(&self, _: &[TensorType]) -> Reach {
        Reach::Place
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let (count, shape) = (cx.inputs[0].elements(), cx.inputs[0].shape.clone());
        let factor = |channel: usize| self.factors.get(channel).copied().unwrap_or_default();
        let [f0, f1, f2, f3] = [0, 1, 2, 3].map(factor);
        let params = NormalizeParams {
            count: word(NAME, count)?,
            channels: word(NAME, shape[1])?,
            inner: word(NAME, shape[2] * shape[3])?,
            scale_0: f0.0,
            scale_1: f1.0,
            scale_2: f2.0,
            scale_3: f3.0,
            offset_0: f0.1,
            offset_1: f1.1,
            offset_2: f2.1,
            offset_3: f3.1,
        };
        let operands = [Operand::Input(0), Operand::Output(0)];
        let whole = (shape[2] * shape[3]).is_multiple_of(4);
        let kernel = Kernel::new(&SHADER, "forward").flag("WHOLE", whole);
        cx.dispatch_flat(kernel, &params, &operands, count.div_ceil(4))
    }

    #[cfg(feature = "onnx")]
    fn export(&self, cx: &mut crate::onnx::Exporting<'_, '_>) -> Result<()> {
        cx.keeps_examples(true)?;
        let channels = self.factors.len();
        let (scale, offset): (Vec<f32>, Vec<f32>) = self.factors.iter().copied().unzip();
        let [scale, offset] = [cx.floats(&[channels, 1, 1], scale)?, cx.floats(&[channels, 1, 1], offset)?];
        let x = cx.input(0)?;
        let x = cx.float(&x);
        let scaled = cx.between("Mul", &[&x, &scale], &[]);
        cx.finish("Add", &[&scaled, &offset], &[])
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    [[2, 1, 28, 28], [3, 3, 5, 7], [1, 4, 1, 3], [1, 1, 1, 1]]
        .into_iter()
        .map(|shape: [usize; 4]| {
            OpCase::new(format!("normalize {shape:?}"), move |cx| {
                let mean = [0.485, 0.456, 0.406, 0.5];
                let deviation = [0.229, 0.224, 0.225, 0.3];
                Ok(vec![cx.bytes("x", shape)?.normalize(&mean[..shape[1]], &deviation[..shape[1]])?])
            })
        })
        .collect()
}
