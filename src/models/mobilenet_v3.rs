//! MobileNetV3 (Howard et al. 2019, "Searching for MobileNetV3", tables 1 and 2), with torchvision's parameter names.

use super::blocks::{Activation, Inverted, inverted, layer};
use crate::error::Result;
use crate::graph::Tensor;
use crate::ops::batch_norm::BatchNorm;
use crate::ops::conv2d::Conv2d;

/// Which of the two networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MobileNetV3 {
    /// Table 1.
    Large,
    /// Table 2.
    Small,
}

/// Kernel, expanded channels, output channels, whether channels are weighed, whether the activation is hard swish and not
/// ReLU, stride.
type Row = (usize, usize, usize, bool, bool, usize);

const LARGE: [Row; 15] = [
    (3, 16, 16, false, false, 1),
    (3, 64, 24, false, false, 2),
    (3, 72, 24, false, false, 1),
    (5, 72, 40, true, false, 2),
    (5, 120, 40, true, false, 1),
    (5, 120, 40, true, false, 1),
    (3, 240, 80, false, true, 2),
    (3, 200, 80, false, true, 1),
    (3, 184, 80, false, true, 1),
    (3, 184, 80, false, true, 1),
    (3, 480, 112, true, true, 1),
    (3, 672, 112, true, true, 1),
    (5, 672, 160, true, true, 2),
    (5, 960, 160, true, true, 1),
    (5, 960, 160, true, true, 1),
];

const SMALL: [Row; 11] = [
    (3, 16, 16, true, false, 2),
    (3, 72, 24, false, false, 2),
    (3, 88, 24, false, false, 1),
    (5, 96, 40, true, true, 2),
    (5, 240, 40, true, true, 1),
    (5, 240, 40, true, true, 1),
    (5, 120, 48, true, true, 1),
    (5, 144, 48, true, true, 1),
    (5, 288, 96, true, true, 2),
    (5, 576, 96, true, true, 1),
    (5, 576, 96, true, true, 1),
];

impl MobileNetV3 {
    /// The logits `[N, classes]` of images `[N, C, H, W]` of any size.
    ///
    /// # Errors
    /// When the images are not f32 of rank 4 or the graph already has layers of these names.
    pub fn build<'g>(self, x: Tensor<'g>, classes: usize) -> Result<Tensor<'g>> {
        let (rows, last, hidden): (&[Row], _, _) = match self {
            Self::Large => (&LARGE, 960, 1280),
            Self::Small => (&SMALL, 576, 1024),
        };
        let batch_norm = BatchNorm::default().epsilon(0.001).momentum(0.01);
        let stem = Conv2d::new(16, 3).stride(2).padding(1);
        let mut x = layer(x, "features.0", stem, batch_norm, Activation::HardSwish)?;
        for (number, &(kernel, width, outputs, weighed, swish, stride)) in (1..).zip(rows) {
            let activation = if swish { Activation::HardSwish } else { Activation::Relu };
            // A quarter of the channels, in eights.
            let squeezed = weighed.then(|| eights(width as f64 / 4.0));
            let block = Inverted {
                kernel,
                width,
                outputs,
                stride,
                squeezed,
                activation,
                gate: Activation::HardSigmoid,
                batch_norm,
            };
            x = inverted(x, &format!("features.{number}"), &block)?;
        }
        let name = format!("features.{}", rows.len() + 1);
        let x = layer(x, &name, Conv2d::new(last, 1), batch_norm, Activation::HardSwish)?;
        let x = x.global_avg_pool2d()?.flatten()?.dense("classifier.0", hidden)?.hard_swish()?;
        x.dropout(0.2)?.dense("classifier.3", classes)
    }
}

/// The nearest multiple of 8, at least 8, and never less than nine tenths: the authors' rule for numbers of channels.
fn eights(channels: f64) -> usize {
    let nearest = ((channels + 4.0) / 8.0).floor().max(1.0) * 8.0;
    (if nearest < 0.9 * channels { nearest + 8.0 } else { nearest }) as usize
}
