//! LeNet-5 (LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition"), in today's form: ReLU and max
//! pooling instead of squashing and trainable averages, all feature maps connected, softmax at the end.

use crate::error::Result;
use crate::graph::Tensor;
use crate::ops::conv2d::Conv2d;

/// The logits of `classes` classes for images `[N, C, H, W]` of at least 12x12. The sizes of the table are those of 28x28, the
/// digits of MNIST, to which the padding of the first layer adds the border of the paper's 32x32; `fc1` has as many inputs as
/// conv2 leaves.
///
/// | layer | output | parameters (one channel, 10 classes) |
/// |---|---|---|
/// | conv1 5x5, padding 2, max pool 2, ReLU | `[N, 6, 14, 14]` | 156 |
/// | conv2 5x5, max pool 2, ReLU | `[N, 16, 5, 5]` | 2,416 |
/// | fc1, ReLU | `[N, 120]` | 48,120 |
/// | fc2, ReLU | `[N, 84]` | 10,164 |
/// | fc3 | `[N, 10]` | 850 |
///
/// ReLU after pooling gives the same values as before it, from a quarter of the work.
///
/// # Errors
/// When the images are not f32 of rank 4, are too small, or the graph already has layers of these names.
pub fn lenet5(x: Tensor<'_>, classes: usize) -> Result<Tensor<'_>> {
    let graph = x.graph();
    let x = graph.name("conv1", x.conv2d("conv1", Conv2d::new(6, 5).padding(2))?)?;
    let x = graph.name("pool1", x.max_pool2d(2)?.relu()?)?;
    let x = graph.name("conv2", x.conv2d("conv2", Conv2d::new(16, 5))?)?;
    let x = graph.name("pool2", x.max_pool2d(2)?.relu()?)?;
    let x = graph.name("fc1", x.flatten()?.dense("fc1", 120)?.relu()?)?;
    let x = graph.name("fc2", x.dense("fc2", 84)?.relu()?)?;
    graph.name("logits", x.dense("fc3", classes)?)
}
