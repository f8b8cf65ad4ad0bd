//! ONNX's operators in the graph: a row names one and says what it becomes there.

mod activation;
mod arithmetic;
mod columns;
mod conv;
mod deform;
mod detection;
mod einsum;
mod index;
mod integer;
mod logic;
mod loss;
mod matmul;
mod movement;
pub(super) mod normalization;
mod pool;
mod quantize;
mod recurrent;
mod reduce;
mod resize;
mod spatial;

use std::sync::Arc;

use super::import::Import;
use super::node::Node;
use super::value::{Computed, Constant, EXACT, Range, Value, range_of};
use super::{Array, ElementType};
use crate::error::{Error, Result};
use crate::graph::{DType, Graph, Shape, Tensor};
use crate::ops::Term;

/// Adds a node to the graph. [`Error::Unsupported`](crate::Error::Unsupported) leaves it to the host, if that can.
pub(super) type OnDevice = for<'g> fn(&mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>>;

/// An operator's name and what it becomes.
type Operator = (&'static str, OnDevice);

/// The tables of all files.
const TABLES: &[&[Operator]] = &[
    activation::OPERATORS,
    arithmetic::OPERATORS,
    columns::OPERATORS,
    conv::OPERATORS,
    deform::OPERATORS,
    detection::OPERATORS,
    einsum::OPERATORS,
    index::OPERATORS,
    integer::OPERATORS,
    logic::OPERATORS,
    loss::OPERATORS,
    matmul::OPERATORS,
    movement::OPERATORS,
    normalization::OPERATORS,
    pool::OPERATORS,
    quantize::OPERATORS,
    recurrent::OPERATORS,
    reduce::OPERATORS,
    resize::OPERATORS,
];

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

    fn late(&self, index: usize) -> Error {
        self.node.unsupported(format_args!("input {index} is computed on the host after a step"))
    }

    /// The extents of an input, which has not to be on the device for that.
    pub(super) fn shape(&self, index: usize) -> Result<Shape> {
        match self.required(index)? {
            Value::Known(constant) => Ok(constant.array.shape().into()),
            Value::Device(computed) => Ok(computed.tensor.shape()),
            Value::Fed(number) => Ok(self.import.inputs[*number].input.shape.clone()),
            Value::Late { .. } | Value::Missing => Err(self.late(index)),
        }
    }

    /// ONNX's type of an input.
    pub(super) fn element(&self, index: usize) -> Result<ElementType> {
        self.import.element(self.required(index)?).ok_or_else(|| self.late(index))
    }

    /// An input on the device, whatever its type there.
    pub(super) fn any(&mut self, index: usize) -> Result<Computed<'g>> {
        match self.required(index)?.clone() {
            Value::Device(computed) => Ok(computed),
            Value::Known(constant) => self.import.lift(self.node, &constant, true),
            Value::Fed(number) => self.import.declare(&self.node.title(), number),
            Value::Late { .. } | Value::Missing => Err(self.late(index)),
        }
    }

    /// An input of doubles that is fed, rounded to floats.
    pub(super) fn rounded(&mut self, index: usize) -> Result<Computed<'g>> {
        match *self.required(index)? {
            Value::Fed(number) => Ok(Computed { element: ElementType::F32, ..self.import.place(number)? }),
            _ => self.number(index),
        }
    }

    /// An input to compute with: floats, a mask, or integers as whole numbers in f32.
    pub(super) fn number(&mut self, index: usize) -> Result<Computed<'g>> {
        let computed = self.any(index)?;
        let Computed { tensor, element, range } = computed;
        match (element, tensor.dtype()) {
            (ElementType::F64, _) => Err(self.node.unsupported(format_args!("input {index} of type double"))),
            (_, DType::F32) => Ok(computed),
            (_, DType::U32) if range[1] <= EXACT => {
                Ok(Computed { tensor: tensor.convert(DType::F32)?, element, range })
            }
            _ => Err(self.node.unsupported(format_args!("input {index} of type {element} as numbers on the device"))),
        }
    }

    /// An input that is a tensor of f32 on the device, whatever the file calls it: integers of 8 and 16 bits are too.
    pub(super) fn numbers(&mut self, index: usize) -> Result<(Tensor<'g>, ElementType)> {
        let Computed { tensor, element, .. } = self.any(index)?;
        match tensor.dtype() {
            DType::F32 => Ok((tensor, element)),
            _ => Err(self.node.unsupported(format_args!("input {index} of type {element} on the device"))),
        }
    }

    /// An input of floats, or of a mask where the file has truth values, on the device.
    pub(super) fn tensor(&mut self, index: usize) -> Result<Tensor<'g>> {
        let element = self.element(index)?;
        match element.is_integer() {
            false => Ok(self.number(index)?.tensor),
            true => Err(self.node.unsupported(format_args!("input {index} of type {element} on the device"))),
        }
    }

    /// Integers that an operator has computed in f32, where no sum of them is rounded and none is beyond its type.
    pub(super) fn exact(&self, tensor: Tensor<'g>, element: ElementType, range: Range) -> Result<Value<'g>> {
        let [least, greatest] = range_of(element);
        match range[0] < least.max(-EXACT) || range[1] > greatest.min(EXACT) {
            false => Ok(Value::integers(tensor, element, range)),
            true => Err(self.node.unsupported(format_args!("{element} of {} to {} on the device", range[0], range[1]))),
        }
    }

    /// A constant that the host has computed, on the device.
    pub(super) fn constant(&mut self, array: Array) -> Result<Tensor<'g>> {
        let constant = Constant { array: Arc::new(array), initializer: None };
        Ok(self.import.lift(self.node, &constant, false)?.tensor)
    }

    /// An input of floats that is not learned: running statistics.
    pub(super) fn state(&mut self, index: usize) -> Result<Tensor<'g>> {
        match self.required(index)?.clone() {
            Value::Known(constant) if constant.array.element_type().is_float() => {
                Ok(self.import.lift(self.node, &constant, false)?.tensor)
            }
            _ => self.tensor(index),
        }
    }

    /// The floats of an input that the file has.
    pub(super) fn fixed(&self, index: usize) -> Option<Vec<f32>> {
        self.literal(index).filter(|array| array.element_type().is_float()).and_then(Array::to_f32)
    }

    /// A result without elements, which is known by its type.
    pub(super) fn empty(&self, element: ElementType, shape: &[usize]) -> Result<Value<'g>> {
        let array = Array::new::<f32>(shape, Vec::new())?.cast(element);
        array.map(Value::known).ok_or_else(|| self.node.unsupported(format_args!("{element}{shape:?}")))
    }

    /// What the device refuses for its limits: the host may do it.
    pub(super) fn limited<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| self.node.unsupported(error))
    }

    /// An input that may be missing.
    pub(super) fn optional(&mut self, index: usize) -> Result<Option<Tensor<'g>>> {
        self.has(index).then(|| self.tensor(index)).transpose()
    }

    /// An input of indices or labels on the device, as u32. A negative number is the last one of u32: it is in no range.
    pub(super) fn integers(&mut self, index: usize) -> Result<Tensor<'g>> {
        let Computed { tensor, element, .. } = self.any(index)?;
        match element.is_integer() {
            true => tensor.convert(DType::U32),
            false => Err(self.node.wrong(format_args!("input {index}: expected integers, got {element}"))),
        }
    }

    /// An input for arithmetic with another: a number where it is known and has one element.
    pub(super) fn term(&mut self, index: usize, other: usize) -> Result<Term<'g>> {
        let rank = self.shape(other)?.len();
        if let Some(number) =
            self.single(index, rank).filter(|_| !self.element(index).is_ok_and(ElementType::is_integer))
        {
            return Ok(Term::Number(number));
        }
        self.tensor(index).map(Term::Tensor)
    }

    /// The value of an input that is a constant.
    pub(super) fn literal(&self, index: usize) -> Option<&Array> {
        match self.input(index)? {
            Value::Known(constant) => Some(&constant.array),
            _ => None,
        }
    }

    /// The finite number that an input is, where it is a constant of one element, f32 has it, and it adds no axis to so many.
    pub(super) fn single(&self, index: usize, rank: usize) -> Option<f32> {
        let array = self.literal(index).filter(|array| array.len() == 1 && array.shape().len() <= rank)?;
        match array.element_type() {
            ElementType::F64 => None,
            element if element.is_integer() => {
                array.to_i64()?.first().filter(|value| value.unsigned_abs() <= EXACT as u64).map(|&value| value as f32)
            }
            _ => array.to_f32()?.first().copied().filter(|value| value.is_finite()),
        }
    }

    /// The value of an input that has to be known at load.
    pub(super) fn known(&self, index: usize) -> Result<Arc<Array>> {
        let known = match self.required(index)? {
            Value::Known(constant) => Some(constant.array.clone()),
            Value::Fed(number) => {
                let fed = &self.import.inputs[*number];
                fed.fixed.set(true);
                fed.expected.clone()
            }
            _ => None,
        };
        known.ok_or_else(|| {
            self.node.unsupported(format_args!("input {index}, which shapes depend on, is not known at load"))
        })
    }

    /// The integers of an input that has to be known at load.
    pub(super) fn ints(&self, index: usize) -> Result<Vec<i64>> {
        let array = self.known(index)?;
        self.node.integers(index, &array)
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
