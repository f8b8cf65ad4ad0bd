//! What several families are made of: a convolution with its norm and activation, and the blocks of light networks, which
//! expand, see each channel by itself and contract, with weights for whole channels between (Hu et al. 2018,
//! "Squeeze-and-Excitation Networks").

use super::{channels, normalized};
use crate::error::Result;
use crate::graph::Tensor;
use crate::ops::batch_norm::BatchNorm;
use crate::ops::conv2d::Conv2d;

/// The function behind a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    None,
    Relu,
    Relu6,
    HardSwish,
    Silu,
    Sigmoid,
    HardSigmoid,
}

impl Activation {
    pub(super) fn of(self, x: Tensor<'_>) -> Result<Tensor<'_>> {
        match self {
            Self::None => Ok(x),
            Self::Relu => x.relu(),
            Self::Relu6 => x.relu6(),
            Self::HardSwish => x.hard_swish(),
            Self::Silu => x.silu(),
            Self::Sigmoid => x.sigmoid(),
            Self::HardSigmoid => x.hard_sigmoid(),
        }
    }
}

/// A convolution `NAME.0`, the batch norm `NAME.1` and an activation.
pub(super) fn layer<'g>(
    x: Tensor<'g>,
    name: &str,
    settings: Conv2d,
    batch_norm: BatchNorm,
    activation: Activation,
) -> Result<Tensor<'g>> {
    let x = normalized(x, &format!("{name}.0"), &format!("{name}.1"), settings, batch_norm)?;
    activation.of(x)
}

/// A convolution `NAME.conv`, the batch norm `NAME.bn` and ReLU, as both Inceptions are made of.
pub(super) fn basic<'g>(x: Tensor<'g>, name: &str, settings: Conv2d) -> Result<Tensor<'g>> {
    let batch_norm = BatchNorm::default().epsilon(0.001);
    normalized(x, &format!("{name}.conv"), &format!("{name}.bn"), settings, batch_norm)?.relu()
}

/// An inverted residual block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inverted {
    /// Side of the kernel that sees each channel by itself.
    pub(super) kernel: usize,
    /// Channels between.
    pub(super) width: usize,
    pub(super) outputs: usize,
    pub(super) stride: usize,
    /// Channels from which the channels' weights are computed, if they have weights.
    pub(super) squeezed: Option<usize>,
    pub(super) activation: Activation,
    /// What makes weights of the squeezed channels.
    pub(super) gate: Activation,
    pub(super) batch_norm: BatchNorm,
}

/// The block's results before the sum, and x where it is to be added: torchvision's layers `NAME.block.0` and so on.
pub(super) fn branch<'g>(x: Tensor<'g>, name: &str, block: &Inverted) -> Result<(Tensor<'g>, Option<Tensor<'g>>)> {
    let &Inverted { kernel, width, outputs, stride, squeezed, activation, gate, batch_norm } = block;
    let inputs = channels(x)?;
    let mut number = 0;
    let mut next = || {
        number += 1;
        format!("{name}.block.{}", number - 1)
    };
    let mut y = x;
    if width != inputs {
        y = layer(y, &next(), Conv2d::new(width, 1), batch_norm, activation)?;
    }
    let depthwise = Conv2d::new(width, kernel).stride(stride).padding(kernel / 2).groups(width);
    y = layer(y, &next(), depthwise, batch_norm, activation)?;
    if let Some(squeezed) = squeezed {
        // Its inner activation is ReLU where the gate is the hard one, else the block's own.
        let inner = if gate == Activation::HardSigmoid { Activation::Relu } else { activation };
        y = weigh(y, &next(), squeezed, inner, gate)?;
    }
    y = layer(y, &next(), Conv2d::new(outputs, 1), batch_norm, Activation::None)?;
    Ok((y, (stride == 1 && inputs == outputs).then_some(x)))
}

/// [`branch`] with x added.
pub(super) fn inverted<'g>(x: Tensor<'g>, name: &str, block: &Inverted) -> Result<Tensor<'g>> {
    match branch(x, name, block)? {
        (y, Some(x)) => y.add(x),
        (y, None) => Ok(y),
    }
}

/// Multiplies every channel by a weight that two dense layers make of all channels' means.
fn weigh<'g>(x: Tensor<'g>, name: &str, squeezed: usize, inner: Activation, gate: Activation) -> Result<Tensor<'g>> {
    let width = channels(x)?;
    let weights = x.global_avg_pool2d()?.conv2d(&format!("{name}.fc1"), Conv2d::new(squeezed, 1))?;
    let weights = inner.of(weights)?.conv2d(&format!("{name}.fc2"), Conv2d::new(width, 1))?;
    x.multiply(gate.of(weights)?)
}
