//! What a name of an ONNX graph stands for while it is loaded.

use std::sync::Arc;

use super::{Array, ElementType};
use crate::graph::Tensor;

/// A value of an ONNX graph.
#[derive(Debug, Clone)]
pub(super) enum Value<'g> {
    /// Known at load, in the file's own type.
    Known(Constant),
    /// Computed on the device, or fed to it.
    Device(Computed<'g>),
    /// Computed on the host after a step: this output of a [`Late`](super::late::Late) node.
    Late {
        /// Its number.
        node: usize,
        /// The number of the output.
        output: usize,
    },
    /// Not to be had: something that it depends on is not supported.
    Missing,
}

/// An array that is known at load.
#[derive(Debug, Clone)]
pub(super) struct Constant {
    pub(super) array: Arc<Array>,
    /// The name of an initializer: what a file's parameters are called.
    pub(super) initializer: Option<Arc<str>>,
}

/// A tensor of the graph, with the type that ONNX gives it.
#[derive(Debug, Clone)]
pub(super) struct Computed<'g> {
    pub(super) tensor: Tensor<'g>,
    pub(super) element: ElementType,
    /// The value that an input has been said to have.
    pub(super) expected: Option<Arc<Array>>,
}

impl<'g> Value<'g> {
    /// A constant that the graph computes.
    pub(super) fn known(array: Array) -> Self {
        Self::Known(Constant { array: Arc::new(array), initializer: None })
    }

    /// A tensor of floats.
    pub(super) fn floats(tensor: Tensor<'g>) -> Self {
        Self::of(tensor, ElementType::F32)
    }

    /// A tensor with ONNX's type of it.
    pub(super) fn of(tensor: Tensor<'g>, element: ElementType) -> Self {
        Self::Device(Computed { tensor, element, expected: None })
    }
}
