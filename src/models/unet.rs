//! U-Net (Ronneberger et al. 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation", figure 1), with
//! padded convolutions, so that the result is as large as the image.

use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::ops::batch_norm::BatchNorm;
use crate::ops::conv2d::Conv2d;

/// A U-Net's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UNet {
    width: usize,
    depth: usize,
    batch_norm: bool,
}

impl Default for UNet {
    /// The paper's: 64 channels at the top, four levels below it, no batch norm.
    fn default() -> Self {
        Self { width: 64, depth: 4, batch_norm: false }
    }
}

impl UNet {
    /// Channels at the top; each level below has twice as many.
    pub fn width(mut self, width: usize) -> Self {
        self.width = width;
        self
    }

    /// Levels below the top; each halves the image.
    pub fn depth(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    /// With a batch norm behind every 3x3 convolution, which the paper predates.
    pub fn batch_norm(mut self) -> Self {
        self.batch_norm = true;
        self
    }

    /// The logits `[N, classes, H, W]` of images `[N, C, H, W]` whose sides are multiples of 2 to the depth.
    ///
    /// # Errors
    /// When the images are not f32 of rank 4, have other sides, or the graph already has layers of these names.
    pub fn build<'g>(&self, x: Tensor<'g>, classes: usize) -> Result<Tensor<'g>> {
        let [_, _, height, width] = crate::ops::image("unet", &x.ty())?;
        let multiple = u32::try_from(self.depth).ok().and_then(|depth| 2_usize.checked_pow(depth));
        if !multiple.is_some_and(|multiple| height.is_multiple_of(multiple) && width.is_multiple_of(multiple)) {
            return Err(Error::shape("unet", format!("sides that are multiples of 2^{}", self.depth), x.ty()));
        }
        let mut skips = Vec::new();
        let mut x = x;
        for level in 0..self.depth {
            x = self.double(x, &format!("down{level}"), self.width << level)?;
            skips.push(x);
            x = x.max_pool2d(2)?;
        }
        x = self.double(x, "bottom", self.width << self.depth)?;
        for (level, skip) in skips.into_iter().enumerate().rev() {
            let width = self.width << level;
            let name = format!("up{level}");
            x = x.conv_transpose2d(&format!("{name}.conv0"), Conv2d::new(width, 2).stride(2))?;
            x = self.double(x.graph().concat(&[skip, x], 1)?, &name, width)?;
        }
        x.conv2d("out", Conv2d::new(classes, 1))
    }

    /// Two 3x3 convolutions.
    fn double<'g>(&self, mut x: Tensor<'g>, name: &str, width: usize) -> Result<Tensor<'g>> {
        for number in 1..=2 {
            let settings = Conv2d::new(width, 3).padding(1);
            let convolution = format!("{name}.conv{number}");
            x = match self.batch_norm {
                true => {
                    let norm = format!("{name}.bn{number}");
                    super::normalized(x, &convolution, &norm, settings, BatchNorm::default())?.relu()?
                }
                false => x.conv2d(&convolution, settings)?.relu()?,
            };
        }
        Ok(x)
    }
}
