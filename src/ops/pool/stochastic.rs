//! Stochastic pooling (Zeiler and Fergus, "Stochastic pooling for regularization of deep convolutional neural networks",
//! 2013).

use super::window::{Pool, Pool1d, Pool2d, Pool3d};
use super::windows::Windows;
use super::{Kind, Pooling};
use crate::error::Result;
use crate::graph::{Mode, Tensor};
use crate::plan::word;

const STEM: &str = "stochastic_pool";

impl<'g> Tensor<'g> {
    /// [`Tensor::stochastic_pool2d`] of sequences `[N, C, L]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 3 or the window does not fit.
    pub fn stochastic_pool1d(self, window: impl Into<Pool1d>) -> Result<Self> {
        stochastic(self, window.into())
    }

    /// One value of each window of `[N, C, H, W]`, drawn in training with a probability in proportion to it; in evaluation
    /// the mean that these probabilities weigh. It is meant for what is never negative, as after a ReLU: values below zero
    /// have probability 0, and a window without any above it gives 0. The gradient goes to what was drawn.
    ///
    /// [`Graph::seed`] fixes the draws, every step has others. Where the sum of a window is infinite or not a number, the
    /// largest value is taken; a value too small for a normal number may count as 0.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 4 or the window does not fit.
    ///
    /// [`Graph::seed`]: crate::Graph::seed
    pub fn stochastic_pool2d(self, window: impl Into<Pool2d>) -> Result<Self> {
        stochastic(self, window.into())
    }

    /// [`Tensor::stochastic_pool2d`] of volumes `[N, C, D, H, W]`.
    ///
    /// # Errors
    /// When the tensor is not f32 of rank 5 or the window does not fit.
    pub fn stochastic_pool3d(self, window: impl Into<Pool3d>) -> Result<Self> {
        stochastic(self, window.into())
    }
}

pub(super) fn stochastic<'g, const D: usize>(x: Tensor<'g>, window: Pool<D>) -> Result<Tensor<'g>> {
    let (graph, windows) = (x.graph(), Windows::Sliding(window.over(&x.ty())));
    if graph.mode() == Mode::Evaluation {
        return Ok(graph.apply(Pooling { kind: Kind::Weighted, windows }, "", &[x])?[0]);
    }
    // No two of a graph have one number: what was counted before is still there.
    let before = graph.data().nodes.iter().filter(|node| node.op.name().starts_with(STEM)).count();
    let kind = Kind::Draw { seed: graph.dropout_seed(), stream: word(STEM, before)? };
    graph.whole(|| Ok(graph.apply(Pooling { kind, windows }, "", &[x, graph.step()?])?[0]))
}
