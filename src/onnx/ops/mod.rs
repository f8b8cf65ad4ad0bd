//! ONNX's operators in the graph: a row names one and says what it becomes there.

mod activation;
mod arithmetic;
mod conv;
mod movement;
mod pool;

use std::sync::Arc;

use super::import::Import;
use super::node::Node;
use super::value::{Computed, Constant, Value};
use super::{Array, ElementType};
use crate::error::Result;
use crate::graph::{DType, Graph, Tensor};
use crate::ops::Term;

/// Adds a node to the graph. [`Error::Unsupported`](crate::Error::Unsupported) leaves it to the host, if that can.
pub(super) type OnDevice = for<'g> fn(&mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>>;

/// An operator's name and what it becomes.
type Operator = (&'static str, OnDevice);

/// The tables of all files.
const TABLES: &[&[Operator]] =
    &[activation::OPERATORS, arithmetic::OPERATORS, conv::OPERATORS, movement::OPERATORS, pool::OPERATORS];

/// What the graph makes of the operator of this name.
pub(super) fn find(name: &str) -> Option<OnDevice> {
    TABLES.iter().flat_map(|table| table.iter()).find(|(known, _)| *known == name).map(|&(_, compute)| compute)
}

/// The names of what the graph computes.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().flat_map(|table| table.iter()).map(|&(name, _)| name)
}

/// A node that is to be added to the graph.
pub(super) struct Call<'c, 'a, 'g> {
    pub(super) node: &'c Node,
    pub(super) inputs: &'c [Option<Value<'g>>],
    pub(super) import: &'c mut Import<'a, 'g>,
}

impl<'g> Call<'_, '_, 'g> {
    pub(super) fn graph(&self) -> &'g Graph {
        self.import.graph
    }

    fn input(&self, index: usize) -> Option<&Value<'g>> {
        self.inputs.get(index).and_then(Option::as_ref)
    }

    fn required(&self, index: usize) -> Result<&Value<'g>> {
        self.input(index).ok_or_else(|| self.node.wrong(format_args!("input {index} is missing")))
    }

    /// Whether the input is there.
    pub(super) fn has(&self, index: usize) -> bool {
        self.input(index).is_some()
    }

    /// An input on the device, whatever its type there.
    pub(super) fn any(&mut self, index: usize) -> Result<Computed<'g>> {
        match self.required(index)? {
            Value::Device(computed) => Ok(computed.clone()),
            Value::Known(constant) => {
                let (constant, element) = (constant.clone(), constant.array.element_type());
                let id = self.import.lift(self.node, &constant)?;
                Ok(Computed { tensor: Tensor::new(self.graph(), id), element, expected: None })
            }
            Value::Late { .. } | Value::Missing => Err(self.node.unsupported("its input is not on the device")),
        }
    }

    /// An input of floats, or of a mask where the file has truth values, on the device.
    pub(super) fn tensor(&mut self, index: usize) -> Result<Tensor<'g>> {
        let Computed { tensor, element, .. } = self.any(index)?;
        match tensor.dtype() {
            DType::F32 => Ok(tensor),
            _ => Err(self.node.unsupported(format_args!("input {index} of type {element} on the device"))),
        }
    }

    /// An input that may be missing.
    pub(super) fn optional(&mut self, index: usize) -> Result<Option<Tensor<'g>>> {
        self.has(index).then(|| self.tensor(index)).transpose()
    }

    /// An input of non-negative integers on the device: indices, labels.
    pub(super) fn integers(&mut self, index: usize) -> Result<Tensor<'g>> {
        let Computed { tensor, element, .. } = self.any(index)?;
        match tensor.dtype() {
            DType::U32 => Ok(tensor),
            _ => Err(self.node.unsupported(format_args!("input {index} of type {element} as integers on the device"))),
        }
    }

    /// An input for arithmetic with another: a number where it is known and has one element.
    pub(super) fn term(&mut self, index: usize, other: usize) -> Result<Term<'g>> {
        let rank = |value: &Value<'g>| match value {
            Value::Known(constant) => constant.array.shape().len(),
            Value::Device(computed) => computed.tensor.shape().len(),
            Value::Late { .. } | Value::Missing => 0,
        };
        let (value, other) = (self.required(index)?, self.required(other)?);
        if let Value::Known(Constant { array, .. }) = value
            && array.len() == 1
            && rank(value) <= rank(other)
            && let Some([number]) = array.to_f32().as_deref()
            && number.is_finite()
        {
            return Ok(Term::Number(*number));
        }
        self.tensor(index).map(Term::Tensor)
    }

    /// The value of an input that has to be known at load.
    pub(super) fn known(&self, index: usize) -> Result<Arc<Array>> {
        match self.required(index)? {
            Value::Known(constant) => Ok(constant.array.clone()),
            Value::Device(Computed { expected: Some(array), .. }) => Ok(array.clone()),
            _ => {
                Err(self.node.unsupported(format_args!("input {index}, which shapes depend on, is not known at load")))
            }
        }
    }

    /// The integers of an input that has to be known at load.
    pub(super) fn ints(&self, index: usize) -> Result<Vec<i64>> {
        let array = self.known(index)?;
        let wrong = || self.node.wrong(format_args!("input {index}: expected integers, got {array}"));
        array.to_i64().ok_or_else(wrong)
    }

    /// Integers that are an attribute in older operator sets and an input in newer ones.
    pub(super) fn ints_of(&self, attribute: &str, index: usize) -> Result<Option<Vec<i64>>> {
        match self.has(index) {
            true => self.ints(index).map(Some),
            false => Ok(self.node.ints(attribute)?.map(<[i64]>::to_vec)),
        }
    }

    /// The floats of an input that has to be known at load.
    pub(super) fn floats(&self, index: usize) -> Result<Vec<f32>> {
        let array = self.known(index)?;
        let wrong = || self.node.wrong(format_args!("input {index}: expected floats, got {array}"));
        array.to_f32().filter(|_| array.element_type().is_float()).ok_or_else(wrong)
    }
}

impl std::fmt::Debug for Call<'_, '_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.node.title())
    }
}

/// A single output of floats.
fn one(tensor: Tensor<'_>) -> Result<Vec<Value<'_>>> {
    Ok(vec![Value::floats(tensor)])
}

/// A single output of truth values.
fn mask(tensor: Tensor<'_>) -> Result<Vec<Value<'_>>> {
    Ok(vec![Value::of(tensor, ElementType::Bool)])
}
