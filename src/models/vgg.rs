//! VGG (Simonyan and Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image Recognition", table 1,
//! configurations A, B, D and E), with torchvision's parameter names.

use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::ops::batch_norm::BatchNorm;
use crate::ops::conv2d::Conv2d;

/// A VGG network's shape.
///
/// ```
/// use omma::models::Vgg;
/// use omma::{Graph, Mode};
///
/// let graph = Graph::new(Mode::Evaluation);
/// let logits = Vgg::new(16)?.build(graph.input("images", [1, 3, 224, 224])?, 1000)?;
/// assert_eq!(logits.shape().to_string(), "[1, 1000]");
/// assert_eq!(graph.parameter_count(), 138_357_544);
/// # Ok::<(), omma::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vgg {
    /// Convolutions of each of the five stages.
    stages: [usize; 5],
    batch_norm: bool,
    hidden: usize,
}

impl Vgg {
    /// The network of 11, 13, 16 or 19 layers.
    ///
    /// # Errors
    /// When there is none of that depth.
    pub fn new(layers: usize) -> Result<Self> {
        let stages = match layers {
            11 => [1, 1, 2, 2, 2],
            13 => [2, 2, 2, 2, 2],
            16 => [2, 2, 3, 3, 3],
            19 => [2, 2, 4, 4, 4],
            _ => return Err(Error::argument("vgg", format!("expected 11, 13, 16 or 19 layers, got {layers}"))),
        };
        Ok(Self { stages, batch_norm: false, hidden: 4096 })
    }

    /// With a batch norm behind every convolution, which the paper predates.
    pub fn batch_norm(mut self) -> Self {
        self.batch_norm = true;
        self
    }

    /// With so many units in each of the two hidden dense layers, 4096 in the paper. Most parameters are there; few classes
    /// do with far fewer.
    pub fn hidden(mut self, units: usize) -> Self {
        self.hidden = units;
        self
    }

    /// The logits `[N, classes]` of images `[N, C, H, W]` of at least 32x32.
    ///
    /// # Errors
    /// When the images are not f32 of rank 4, are too small, or the graph already has layers of these names.
    pub fn build<'g>(&self, mut x: Tensor<'g>, classes: usize) -> Result<Tensor<'g>> {
        const WIDTHS: [usize; 5] = [64, 128, 256, 512, 512];
        // torchvision counts activations and poolings, too.
        let mut number = 0;
        for (convolutions, width) in self.stages.into_iter().zip(WIDTHS) {
            for _ in 0..convolutions {
                x = x.conv2d(&format!("features.{number}"), Conv2d::new(width, 3).padding(1))?;
                if self.batch_norm {
                    number += 1;
                    x = x.batch_norm(&format!("features.{number}"), BatchNorm::default())?;
                }
                x = x.relu()?;
                number += 2;
            }
            x = x.max_pool2d(2)?;
            number += 1;
        }
        let x = x.adaptive_avg_pool2d(7)?.flatten()?;
        let x = x.dense("classifier.0", self.hidden)?.relu()?.dropout(0.5)?;
        let x = x.dense("classifier.3", self.hidden)?.relu()?.dropout(0.5)?;
        x.dense("classifier.6", classes)
    }
}
