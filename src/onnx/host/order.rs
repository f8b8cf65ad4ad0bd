//! What the order of elements along an axis tells: the largest, their places, running sums.

use std::cmp::Ordering;

use ndarray::{ArrayD, Axis};

use super::arithmetic::add;
use super::reduce::lines;
use super::{Call, Operator, one, whole};
use crate::error::Result;
use crate::onnx::Array;
use crate::onnx::array::{with_array, with_numbers};
use crate::onnx::element::{Element, Number, Numeric};

pub(super) const OPERATORS: &[Operator] = &[
    ("ArgMax", |call| place(call, Ordering::Greater)),
    ("ArgMin", |call| place(call, Ordering::Less)),
    ("CumSum", cumulated),
    ("Hardmax", hardmax),
    ("NonZero", non_zero),
    ("TopK", top_k),
    ("Unique", unique),
];

/// Not-a-number is before every number, whichever way they are sorted.
fn order<T: PartialOrd>(a: &T, b: &T, first: Ordering) -> Ordering {
    match a.partial_cmp(b) {
        Some(order) if first == Ordering::Less => order,
        Some(order) => order.reverse(),
        None => {
            // What does not equal itself.
            let strange = |value: &T| value.partial_cmp(value).is_none();
            strange(b).cmp(&strange(a))
        }
    }
}

/// The number of the first element, or of the last that is equal to it.
fn best<T: PartialOrd>(line: &[T], first: Ordering, last: bool) -> usize {
    let better = |best: usize, index: usize| match order(&line[index], &line[best], first) {
        Ordering::Less => index,
        Ordering::Equal if last => index,
        _ => best,
    };
    (1..line.len()).fold(0, better)
}

fn place(call: &Call<'_>, first: Ordering) -> Result<Vec<Array>> {
    fn of<T: Numeric>(call: &Call<'_>, x: &ArrayD<T>, first: Ordering) -> Result<Vec<Array>> {
        let axis = call.axis(0, x.ndim())?;
        if x.shape()[axis] == 0 {
            return Err(call.node.wrong(format_args!("axis {axis} of {:?} has no element", x.shape())));
        }
        let last = call.node.flag("select_last_index", false)?;
        let places = lines(call, x, axis, 1, |line| vec![best(line, first, last) as i64])?;
        match call.node.flag("keepdims", true)? {
            true => one(places),
            false => one(places.index_axis_move(Axis(axis), 0)),
        }
    }
    let x = call.input(0)?;
    with_numbers!(x, array => of(call, array, first), _ => call.refuse(x))
}

/// Of equal elements the first comes first.
fn top_k(call: &Call<'_>) -> Result<Vec<Array>> {
    fn of<T: Numeric>(call: &Call<'_>, x: &ArrayD<T>, k: usize) -> Result<Vec<Array>> {
        let axis = call.axis(-1, x.ndim())?;
        if k > x.shape()[axis] {
            return Err(call.node.wrong(format_args!("the first {k} of {}", x.shape()[axis])));
        }
        let first = if call.node.flag("largest", true)? { Ordering::Greater } else { Ordering::Less };
        let places = |line: &[T]| {
            let mut places: Vec<usize> = (0..line.len()).collect();
            places.sort_by(|&a, &b| order(&line[a], &line[b], first).then(a.cmp(&b)));
            places.truncate(k);
            places
        };
        let values = lines(call, x, axis, k, |line| places(line).into_iter().map(|at| line[at]).collect())?;
        let indices = lines(call, x, axis, k, |line| places(line).into_iter().map(|at| at as i64).collect())?;
        Ok(vec![whole(values), whole(indices)])
    }
    let k = match call.node.opset < 10 {
        true => call.node.required("k", call.node.int("k")?)?,
        false => call.int(1)?,
    };
    let k = usize::try_from(k).map_err(|_| call.node.wrong(format_args!("the first {k} elements")))?;
    let x = call.input(0)?;
    with_numbers!(x, array => of(call, array, k), _ => call.refuse(x))
}

fn cumulated(call: &Call<'_>) -> Result<Vec<Array>> {
    fn of<T: Numeric>(call: &Call<'_>, x: &ArrayD<T>) -> Result<Vec<Array>> {
        let axis = call.node.axis(call.int(1)?, x.ndim())?;
        let (exclusive, reverse) = (call.node.flag("exclusive", false)?, call.node.flag("reverse", false)?);
        let run = |line: &[T]| {
            let mut sum = Number::Integer(0);
            let mut step = |&value: &T| {
                let before = sum;
                sum = add(sum, value.into());
                T::from(if exclusive { before } else { sum })
            };
            let mut sums: Vec<T> = match reverse {
                true => line.iter().rev().map(&mut step).collect(),
                false => line.iter().map(&mut step).collect(),
            };
            if reverse {
                sums.reverse();
            }
            sums
        };
        one(lines(call, x, axis, x.shape()[axis], run)?)
    }
    let x = call.input(0)?;
    with_numbers!(x, array => of(call, array), _ => call.refuse(x))
}

/// A one where the first of the largest elements stands; older operator sets take all axes from this one on as one.
fn hardmax(call: &Call<'_>) -> Result<Vec<Array>> {
    fn of<T: Numeric>(call: &Call<'_>, x: &ArrayD<T>) -> Result<Vec<Array>> {
        let shape = x.shape().to_vec();
        let old = call.node.opset < 13;
        let axis = call.axis(if old { 1 } else { -1 }, shape.len())?;
        let joined = match old {
            true => call.shaped(x, &[&shape[..axis], &[shape[axis..].iter().product()]].concat())?,
            false => x.clone(),
        };
        let extent = joined.shape()[axis];
        let mark = |line: &[T]| {
            let top = best(line, Ordering::Greater, false);
            (0..line.len()).map(|at| T::from(Number::Integer(i128::from(at == top)))).collect()
        };
        one(call.shaped(&lines(call, &joined, axis, extent, mark)?, &shape)?)
    }
    let x = call.input(0)?;
    with_numbers!(x, array => of(call, array), _ => call.refuse(x))
}

/// The indices of what is not zero, one row an axis.
fn non_zero(call: &Call<'_>) -> Result<Vec<Array>> {
    fn of<T: Element>(call: &Call<'_>, x: &ArrayD<T>) -> Result<Vec<Array>> {
        // A scalar has no axis and so no row, other than NumPy's.
        let zero = T::default();
        let places: Vec<Vec<i64>> = x
            .indexed_iter()
            .filter(|(_, value)| **value != zero)
            .map(|(at, _)| ndarray::Dimension::slice(&at).iter().map(|&index| index as i64).collect())
            .collect();
        let rows = x.ndim();
        let elements = (0..rows).flat_map(|axis| places.iter().map(move |place| place[axis])).collect();
        let shape = [rows, places.len()];
        call.limit(&shape)?;
        Array::new::<i64>(&shape, elements).map(|array| vec![array])
    }
    let x = call.input(0)?;
    with_array!(x, array => of(call, array))
}

/// What differs of the elements, or of the parts along an axis: in ascending order, or in that of the first of each. Beside it
/// stand the place of that first one, which of them every element is, and how many are alike. Not-a-number is behind all
/// numbers and like itself, as NumPy has it.
fn unique(call: &Call<'_>) -> Result<Vec<Array>> {
    fn of<T: Element + PartialOrd>(call: &Call<'_>, x: &ArrayD<T>) -> Result<Vec<Array>> {
        let (x, axis) = match call.node.has("axis") {
            true => (x.clone(), call.axis(0, x.ndim())?),
            false => (call.shaped(x, &[x.len()])?, 0),
        };
        let count = x.shape()[axis];
        let part = |at: usize| x.index_axis(Axis(axis), at);
        let strange = |value: &T| value.partial_cmp(value).is_none();
        let ascending = |a: &T, b: &T| a.partial_cmp(b).unwrap_or_else(|| strange(a).cmp(&strange(b)));
        let compared = |a: usize, b: usize| {
            let differing = part(a).iter().zip(part(b)).map(|(a, b)| ascending(a, b)).find(|order| order.is_ne());
            differing.unwrap_or(Ordering::Equal)
        };
        let mut sorted: Vec<usize> = (0..count).collect();
        // Equal ones keep their order, so that the first comes first.
        sorted.sort_by(|&a, &b| compared(a, b));
        let mut groups: Vec<&[usize]> = sorted.chunk_by(|&a, &b| compared(a, b).is_eq()).collect();
        if !call.node.flag("sorted", true)? {
            groups.sort_by_key(|group| group[0]);
        }
        let firsts: Vec<usize> = groups.iter().map(|group| group[0]).collect();
        let mut inverse = vec![0; count];
        for (number, group) in groups.iter().enumerate() {
            group.iter().for_each(|&at| inverse[at] = number as i64);
        }
        Ok(vec![
            whole(call.select(&x, axis, &firsts)?),
            Array::integers(firsts.into_iter().map(|at| at as i64)),
            Array::integers(inverse),
            Array::integers(groups.iter().map(|group| group.len() as i64)),
        ])
    }
    let x = call.input(0)?;
    with_array!(x, array => of(call, array))
}
