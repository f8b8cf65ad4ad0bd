//! What a name of an ONNX graph stands for while it is loaded.

use std::sync::Arc;

use super::{Array, ElementType};
use crate::graph::{DType, Tensor};

/// Up to here, and down to the negative of it, f32 has every whole number.
pub(super) const EXACT: i64 = 1 << 24;
/// What integers of an input may be at most where the device computes with them: so much below [`EXACT`] that a few can be
/// added.
pub(super) const FED: i64 = 1 << 22;

/// The least and the greatest number that an integer can be.
pub(super) type Range = [i64; 2];

/// A value of an ONNX graph.
#[derive(Debug, Clone)]
pub(super) enum Value<'g> {
    /// Known at load, in the file's own type.
    Known(Constant),
    /// Computed on the device.
    Device(Computed<'g>),
    /// The input of this number: on the device once something there needs it.
    Fed(usize),
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

/// A tensor of the graph, with the type that ONNX gives it. Floats are f32, and truth values are a mask in f32. Integers are
/// u32, as what finds places gives them, or whole numbers in f32 of a range in which all are exact.
#[derive(Debug, Clone)]
pub(super) struct Computed<'g> {
    pub(super) tensor: Tensor<'g>,
    pub(super) element: ElementType,
    /// Of integers and truth values.
    pub(super) range: Range,
}

impl<'g> Computed<'g> {
    /// Another tensor with values of this one.
    pub(super) fn moved(&self, tensor: Tensor<'g>) -> Value<'g> {
        Value::Device(Self { tensor, ..self.clone() })
    }
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
        let [least, greatest] = range_of(element);
        let of_device = match tensor.dtype() {
            DType::U32 => [0, u32::MAX.into()],
            _ => [-EXACT, EXACT],
        };
        Self::integers(tensor, element, [least.max(of_device[0]), greatest.min(of_device[1])])
    }

    /// Integers of this range, which is within ±[`EXACT`] where they are f32.
    pub(super) fn integers(tensor: Tensor<'g>, element: ElementType, range: Range) -> Self {
        Self::Device(Computed { tensor, element, range })
    }
}

/// The range of a type's own integers, of those of 64 bits so far as 64 bits with a sign go.
pub(super) fn range_of(element: ElementType) -> Range {
    let end = |bound: i128| bound.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
    element.range().map_or([i64::MIN, i64::MAX], |range| range.map(end))
}
