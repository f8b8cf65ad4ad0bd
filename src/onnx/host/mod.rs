//! ONNX's operators on the host, of arrays in the file's own types: what is known at load, and, after a step, what the graph
//! cannot do (integers, results without a fixed shape).

mod arithmetic;
mod create;
mod detection;
mod gather;
mod logic;
mod movement;
mod order;
mod product;
mod quantize;
mod reduce;
mod regions;
mod slice;

use std::cell::Cell;

use ndarray::{ArrayD, ArrayViewD, IxDyn, Zip};

use super::Array;
use super::element::{Element, Number, Numeric};
use super::node::Node;
use super::shapes;
use crate::error::{Error, Result};

/// Computes a node on the host: its outputs. The caller puts the node's title in front of other errors than the node's own.
pub(super) type OnHost = fn(&Call<'_>) -> Result<Vec<Array>>;

/// An operator's name and how it is computed.
type Operator = (&'static str, OnHost);

/// The tables of all files.
const TABLES: &[&[Operator]] = &[
    arithmetic::OPERATORS,
    create::OPERATORS,
    detection::OPERATORS,
    gather::OPERATORS,
    logic::OPERATORS,
    movement::OPERATORS,
    order::OPERATORS,
    product::OPERATORS,
    quantize::OPERATORS,
    reduce::OPERATORS,
    regions::OPERATORS,
    slice::OPERATORS,
];

/// How the host computes the operator of this name.
pub(super) fn find(name: &str) -> Option<OnHost> {
    TABLES.iter().flat_map(|table| table.iter()).find(|(known, _)| *known == name).map(|&(_, compute)| compute)
}

/// The names of what the host computes.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().flat_map(|table| table.iter()).map(|&(name, _)| name)
}

/// Elements of the largest array that the host makes of smaller ones: more than shapes, indices and tables need, and few
/// enough for any machine.
const MOST: usize = 1 << 24;
/// Elements of the largest array of equal ones: more than the dense layers of VGG have.
const MOST_EQUAL: usize = 1 << 27;
/// Elements that all nodes together may read and write at load, beside what the file's own elements entitle to.
const MOST_TOUCHED: usize = 1 << 26;

/// What the host may compute at load. A small file is to keep no machine busy, whatever its nodes make of each other.
#[derive(Debug)]
pub(super) struct Budget {
    left: Cell<usize>,
    /// What was there to be spent.
    all: Cell<usize>,
}

impl Budget {
    /// That of a file without any elements.
    pub(super) fn new() -> Self {
        Self { left: Cell::new(MOST_TOUCHED), all: Cell::new(MOST_TOUCHED) }
    }

    /// Adds what an array entitles to that a file has: it may be read and written a few times.
    pub(super) fn grow(&self, array: &Array) {
        let more = array.len().saturating_mul(16);
        for count in [&self.left, &self.all] {
            count.set(count.get().saturating_add(more));
        }
    }

    /// Subtracts what a node reads or writes.
    pub(super) fn touch<'a>(&self, node: &Node, arrays: impl IntoIterator<Item = &'a Array>) -> Result<()> {
        let touched = arrays.into_iter().map(Array::len).fold(0_usize, usize::saturating_add);
        // Filling an array is quick.
        self.spend(node.title(), if node.operator == "ConstantOfShape" { touched / 4 } else { touched })
    }

    /// Subtracts what takes as long as so many elements.
    pub(super) fn spend(&self, who: impl std::fmt::Display, cost: usize) -> Result<()> {
        let (left, all) = (self.left.get().checked_sub(cost), self.all.get());
        let most = || format!("{who}: the host computes at most {all} elements at load for a file of this size");
        self.left.set(left.ok_or_else(|| Error::Unsupported(most()))?);
        Ok(())
    }
}

/// A node that is to be computed.
#[derive(Debug)]
pub(super) struct Call<'c> {
    pub(super) node: &'c Node,
    pub(super) inputs: &'c [Option<&'c Array>],
    /// Of what is computed at load.
    pub(super) budget: Option<&'c Budget>,
}

impl<'c> Call<'c> {
    /// Counts what takes longer than to go over inputs and outputs.
    fn spend(&self, cost: usize) -> Result<()> {
        self.budget.map_or(Ok(()), |budget| budget.spend(self.node.title(), cost))
    }

    /// An input that may be missing.
    fn get(&self, index: usize) -> Option<&'c Array> {
        self.inputs.get(index).copied().flatten()
    }

    fn input(&self, index: usize) -> Result<&'c Array> {
        self.get(index).ok_or_else(|| self.node.wrong(format_args!("input {index} is missing")))
    }

    /// An input of this type.
    fn of<T: Element>(&self, index: usize) -> Result<&'c ArrayD<T>> {
        let array = self.input(index)?;
        let expected = T::wrap(ArrayD::default(IxDyn(&[]))).element_type();
        T::of(array).ok_or_else(|| self.node.wrong(format_args!("input {index}: expected {expected}, got {array}")))
    }

    /// An input of the type that another has.
    fn like<T: Element>(&self, _other: &ArrayD<T>, index: usize) -> Result<&'c ArrayD<T>> {
        self.of(index)
    }

    /// That an array is of a type which the host does not compute with.
    fn refuse<T>(&self, array: &Array) -> Result<T> {
        Err(self.node.unsupported(format_args!("of {array} on the host")))
    }

    /// The integers of an input.
    fn ints(&self, index: usize) -> Result<Vec<i64>> {
        self.node.integers(index, self.input(index)?)
    }

    /// An input of a single integer.
    fn int(&self, index: usize) -> Result<i64> {
        match *self.ints(index)? {
            [value] => Ok(value),
            _ => Err(self.node.wrong(format_args!("input {index}: expected one integer, got {}", self.input(index)?))),
        }
    }

    /// The numbers of an input.
    fn numbers(&self, index: usize) -> Result<Vec<Number>> {
        let array = self.input(index)?;
        array.numbers().ok_or_else(|| self.node.wrong(format_args!("input {index}: expected numbers, got {array}")))
    }

    /// Integers that are an attribute in older operator sets and an input in newer ones.
    fn ints_of(&self, attribute: &str, index: usize) -> Result<Option<Vec<i64>>> {
        match self.get(index) {
            Some(_) => self.ints(index).map(Some),
            None => Ok(self.node.ints(attribute)?.map(<[i64]>::to_vec)),
        }
    }

    /// The attribute `axis` as an axis among so many.
    fn axis(&self, default: i64, rank: usize) -> Result<usize> {
        self.node.axis(self.node.int("axis")?.unwrap_or(default), rank)
    }

    /// How many elements an array of these extents has, where it is small enough to be made, or no larger than what it is
    /// made of. Empty axes count as one.
    fn limit(&self, shape: &[usize]) -> Result<usize> {
        self.limit_to(MOST, shape)
    }

    fn limit_to(&self, most: usize, shape: &[usize]) -> Result<usize> {
        let count = shape.iter().try_fold(1_usize, |count, &extent| count.checked_mul(extent.max(1)));
        let inputs = || self.inputs.iter().flatten();
        let most = inputs().map(|array| array.len()).max().unwrap_or(0).max(most);
        let texts = inputs().filter_map(|array| String::of(array)).flatten();
        // All elements may be the longest of the texts.
        let heft = texts.map(|text| text.len() / 8 + 4).max().unwrap_or(1);
        match count.filter(|&count| count <= most && count.saturating_mul(heft) <= most) {
            Some(count) => Ok(count),
            None => {
                Err(self.node.unsupported(format_args!("{shape:?} has more elements than the {most} for the host")))
            }
        }
    }

    /// The shape that arrays of these shapes take together.
    fn broadcast(&self, shapes: &[&[usize]]) -> Result<Vec<usize>> {
        let shape = shapes::broadcast(self.node, shapes)?;
        self.limit(&shape)?;
        Ok(shape)
    }

    /// An array repeated to a shape that it broadcasts to.
    fn spread<'a, T>(&self, array: &'a ArrayD<T>, shape: &[usize]) -> Result<ArrayViewD<'a, T>> {
        let wrong = || self.node.wrong(format_args!("{:?} does not extend to {shape:?}", array.shape()));
        array.broadcast(IxDyn(shape)).ok_or_else(wrong)
    }

    /// A function of the elements of two arrays.
    fn zip<T, U: Clone, V>(&self, a: &ArrayD<T>, b: &ArrayD<U>, f: impl Fn(&T, &U) -> V) -> Result<ArrayD<V>> {
        let aligned = shapes::aligned(self.node, a.ndim(), b.shape())?;
        let b = if b.shape() == aligned { b } else { &self.shaped(b, &aligned)? };
        let shape = self.broadcast(&[a.shape(), b.shape()])?;
        Ok(Zip::from(self.spread(a, &shape)?).and(self.spread(b, &shape)?).map_collect(f))
    }

    /// The elements in row-major order under another shape.
    fn shaped<T: Clone>(&self, array: &ArrayD<T>, shape: &[usize]) -> Result<ArrayD<T>> {
        let elements = array.iter().cloned().collect();
        ArrayD::from_shape_vec(IxDyn(shape), elements).map_err(|error| self.node.wrong(error))
    }

    /// The parts with these numbers along an axis.
    fn select<T: Clone>(&self, array: &ArrayD<T>, axis: usize, indices: &[usize]) -> Result<ArrayD<T>> {
        let extent = array.shape()[axis];
        if let Some(index) = indices.iter().find(|&&index| index >= extent) {
            return Err(self.node.wrong(format_args!("there is no index {index} among {extent}")));
        }
        let mut shape = array.shape().to_vec();
        shape[axis] = indices.len();
        let mut elements = Vec::with_capacity(self.limit(&shape)?);
        if shape.iter().all(|&extent| extent > 0) {
            let array = array.as_standard_layout();
            let inner: usize = shape[axis + 1..].iter().product();
            for block in array.as_slice().unwrap_or_default().chunks_exact(extent * inner) {
                indices.iter().for_each(|index| elements.extend_from_slice(&block[index * inner..][..inner]));
            }
        }
        ArrayD::from_shape_vec(IxDyn(&shape), elements).map_err(|error| self.node.wrong(error))
    }

    /// An index along an axis, from its end where it is negative.
    fn index(&self, index: i64, extent: usize) -> Result<usize> {
        let counted = if index < 0 { index.checked_add(extent as i64) } else { Some(index) };
        let counted = counted.and_then(|index| usize::try_from(index).ok()).filter(|&index| index < extent);
        counted.ok_or_else(|| self.node.wrong(format_args!("there is no index {index} among {extent}")))
    }
}

/// A single output of a function of each number.
fn mapped<T: Numeric>(x: &ArrayD<T>, f: impl Fn(Number) -> Number) -> Result<Vec<Array>> {
    one(x.mapv(|value| T::from(f(value.into()))))
}

/// A single output, in row-major order.
fn one<T: Element>(array: ArrayD<T>) -> Result<Vec<Array>> {
    Ok(vec![whole(array)])
}

/// An output in row-major order.
fn whole<T: Element>(array: ArrayD<T>) -> Array {
    T::wrap(if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() })
}
