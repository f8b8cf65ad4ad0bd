//! Elements by their indices: taken, and put.

use ndarray::{ArrayD, IxDyn};

use super::arithmetic::{add, maximum, minimum, multiply};
use super::{Call, Operator, one};
use crate::error::Result;
use crate::onnx::Array;
use crate::onnx::array::{with_array, with_numbers};
use crate::onnx::element::{Element, Number};

pub(super) const OPERATORS: &[Operator] = &[
    ("Gather", gather),
    ("GatherElements", gather_elements),
    ("GatherND", gather_nd),
    ("Scatter", |call| scatter(call, put_elements)),
    ("ScatterElements", |call| scatter(call, put_elements)),
    ("ScatterND", |call| scatter(call, put_slices)),
];

fn gather(call: &Call<'_>) -> Result<Vec<Array>> {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let axis = call.axis(0, x.shape().len())?;
    let extent = x.shape()[axis];
    let numbers: Vec<usize> =
        call.ints(1)?.into_iter().map(|index| call.index(index, extent)).collect::<Result<_>>()?;
    let shape = [&x.shape()[..axis], indices.shape(), &x.shape()[axis + 1..]].concat();
    with_array!(x, x => one(call.shaped(&call.select(x, axis, &numbers)?, &shape)?))
}

/// The indices of an input, with their shape.
fn indices(call: &Call<'_>) -> Result<ArrayD<i64>> {
    let array = call.input(1)?;
    ArrayD::from_shape_vec(IxDyn(array.shape()), call.ints(1)?).map_err(|error| call.node.wrong(error))
}

/// Where each index along the axis points to, in an array of this shape.
fn along(call: &Call<'_>, shape: &[usize], indices: &ArrayD<i64>) -> Result<Vec<IxDyn>> {
    let axis = call.axis(0, shape.len())?;
    let fits =
        indices.ndim() == shape.len() && (0..shape.len()).all(|at| at == axis || indices.shape()[at] <= shape[at]);
    if !fits {
        return Err(call.node.wrong(format_args!("indices {:?} into {shape:?} along axis {axis}", indices.shape())));
    }
    let place = |(mut at, &index): (IxDyn, &i64)| {
        at[axis] = call.index(index, shape[axis])?;
        Ok(at)
    };
    indices.indexed_iter().map(place).collect()
}

fn gather_elements(call: &Call<'_>) -> Result<Vec<Array>> {
    let (x, indices) = (call.input(0)?, indices(call)?);
    let places = along(call, x.shape(), &indices)?;
    fn picked<T: Element>(call: &Call<'_>, x: &ArrayD<T>, places: Vec<IxDyn>, shape: IxDyn) -> Result<Vec<Array>> {
        let elements = places.into_iter().map(|at| x[at].clone()).collect();
        one(ArrayD::from_shape_vec(shape, elements).map_err(|error| call.node.wrong(error))?)
    }
    with_array!(x, x => picked(call, x, places, indices.raw_dim()))
}

/// Slices that tuples of indices name: the first element of each in row-major order, and the extents of one.
fn slices(call: &Call<'_>, shape: &[usize], indices: &ArrayD<i64>, batch: usize) -> Result<(Vec<usize>, Vec<usize>)> {
    let wrong = || call.node.wrong(format_args!("indices {:?} into {shape:?}", indices.shape()));
    let (&length, outer) = indices.shape().split_last().ok_or_else(wrong)?;
    let named = shape.get(batch..).and_then(|rest| rest.get(..length)).ok_or_else(wrong)?;
    if outer.get(..batch) != shape.get(..batch) {
        return Err(wrong());
    }
    let inner = shape[batch + length..].to_vec();
    let size: usize = inner.iter().product();
    let tuples: usize = outer.iter().product();
    let per_batch: usize = outer[batch..].iter().product();
    let indices = indices.as_standard_layout();
    let numbers = indices.as_slice().unwrap_or_default();
    let start = |tuple: usize| {
        let tuple_of = &numbers[tuple * length..][..length];
        let first = tuple / per_batch.max(1);
        let named = tuple_of
            .iter()
            .zip(named)
            .try_fold(first, |place, (&index, &extent)| Ok(place * extent + call.index(index, extent)?));
        named.map(|place| place * size)
    };
    Ok(((0..tuples).map(start).collect::<Result<_>>()?, inner))
}

fn gather_nd(call: &Call<'_>) -> Result<Vec<Array>> {
    let (x, indices) = (call.input(0)?, indices(call)?);
    let batch = call.node.int("batch_dims")?.unwrap_or(0);
    let batch = usize::try_from(batch).ok().filter(|&batch| batch < indices.ndim().min(x.shape().len()));
    let batch = batch.ok_or_else(|| call.node.wrong("attribute `batch_dims`: more than there are axes"))?;
    let (starts, inner) = slices(call, x.shape(), &indices, batch)?;
    let shape = [&indices.shape()[..indices.ndim() - 1], &inner].concat();
    let count = call.limit(&shape)?;
    let size: usize = inner.iter().product();
    with_array!(x, x => {
        let x = x.as_standard_layout();
        let elements = x.as_slice().unwrap_or_default();
        let mut gathered = Vec::with_capacity(count);
        starts.iter().for_each(|&start| gathered.extend_from_slice(&elements[start..][..size]));
        one(ArrayD::from_shape_vec(IxDyn(&shape), gathered).map_err(|error| call.node.wrong(error))?)
    })
}

/// The places in row-major order that the updates go to, in their order.
type Places = fn(&Call<'_>, &Array, &ArrayD<i64>, &[usize]) -> Result<Vec<usize>>;

fn put_elements(call: &Call<'_>, x: &Array, indices: &ArrayD<i64>, updates: &[usize]) -> Result<Vec<usize>> {
    if indices.shape() != updates {
        return Err(call.node.wrong(format_args!("indices {:?} for updates {updates:?}", indices.shape())));
    }
    let shape = x.shape();
    let flat = |at: &IxDyn| (0..shape.len()).fold(0, |place, axis| place * shape[axis] + at[axis]);
    Ok(along(call, shape, indices)?.iter().map(flat).collect())
}

fn put_slices(call: &Call<'_>, x: &Array, indices: &ArrayD<i64>, updates: &[usize]) -> Result<Vec<usize>> {
    let (starts, inner) = slices(call, x.shape(), indices, 0)?;
    if [&indices.shape()[..indices.ndim() - 1], &inner].concat() != updates {
        return Err(call.node.wrong(format_args!("updates {updates:?} for slices {inner:?}")));
    }
    let size: usize = inner.iter().product();
    Ok(starts.into_iter().flat_map(|start| start..start + size).collect())
}

fn scatter(call: &Call<'_>, places: Places) -> Result<Vec<Array>> {
    fn of<T: Element>(
        call: &Call<'_>,
        x: &ArrayD<T>,
        places: &[usize],
        reduce: impl Fn(&T, &T) -> T,
    ) -> Result<Vec<Array>> {
        let mut elements: Vec<T> = x.iter().cloned().collect();
        for (&place, update) in places.iter().zip(call.like(x, 2)?) {
            elements[place] = reduce(&elements[place], update);
        }
        one(ArrayD::from_shape_vec(x.raw_dim(), elements).map_err(|error| call.node.wrong(error))?)
    }
    fn newest<T: Clone>(_: &T, update: &T) -> T {
        update.clone()
    }
    let x = call.input(0)?;
    let places = places(call, x, &indices(call)?, call.input(2)?.shape())?;
    let reduce: fn(Number, Number) -> Number = match call.node.text("reduction")?.unwrap_or("none") {
        "none" => return with_array!(x, x => of(call, x, &places, newest)),
        "add" => add,
        "mul" => multiply,
        "min" => minimum,
        "max" => maximum,
        other => return Err(call.node.wrong(format_args!("attribute `reduction`: `{other}`"))),
    };
    with_numbers!(x, array => of(call, array, &places, |&old, &update| reduce(old.into(), update.into()).into()), _ => call.refuse(x))
}
