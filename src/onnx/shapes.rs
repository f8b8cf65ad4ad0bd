//! What operators make of shapes, whether the elements are on the host or in the graph.

use super::node::Node;
use crate::error::Result;

/// The shape that arrays of these shapes take together, by NumPy's rules.
pub(super) fn broadcast(node: &Node, shapes: &[&[usize]]) -> Result<Vec<usize>> {
    let rank = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
    let mut result = vec![1; rank];
    for shape in shapes {
        for (extent, &own) in result[rank - shape.len()..].iter_mut().zip(*shape) {
            match (*extent, own) {
                (1, _) => *extent = own,
                (common, own) if common == own || own == 1 => {}
                _ => {
                    let shapes = shapes.iter().map(|shape| format!("{shape:?}")).collect::<Vec<_>>().join(" and ");
                    return Err(node.wrong(format_args!("{shapes} have no shape together")));
                }
            }
        }
    }
    match countable(&result) {
        true => Ok(result),
        false => Err(node.wrong(format_args!("{result:?} are more elements than can be counted"))),
    }
}

/// The shape under which the second of two operands broadcasts. In operator sets before 7 its axes are those of the first from
/// the attribute `axis` on.
pub(super) fn aligned(node: &Node, first: usize, second: &[usize]) -> Result<Vec<usize>> {
    let mut shape = second.to_vec();
    if node.opset >= 7 || !node.flag("broadcast", false)? {
        return Ok(shape);
    }
    let Some(axis) = node.int("axis")? else { return Ok(shape) };
    let axis = if shape.is_empty() { 0 } else { node.axis(axis, first)? };
    let behind = first.checked_sub(axis + shape.len());
    let behind = behind.ok_or_else(|| node.wrong(format_args!("{shape:?} at axis {axis} of {first}")))?;
    shape.extend(vec![1; behind]);
    Ok(shape)
}

/// Whether no product of some of these extents overflows, with a 0 among the others or not: operators take such products.
pub(super) fn countable(shape: &[usize]) -> bool {
    shape.iter().try_fold(1_usize, |count, &extent| count.checked_mul(extent.max(1))).is_some()
}

/// The two extents that Flatten leaves: of the axes before one, and from it on.
pub(super) fn flattened(node: &Node, shape: &[usize]) -> Result<Vec<usize>> {
    let axis = node.int("axis")?.unwrap_or(1);
    // The axis may be the one behind the last.
    let axis = node.axis(axis, shape.len() + usize::from(axis >= 0))?;
    Ok(vec![shape[..axis].iter().product(), shape[axis..].iter().product()])
}

/// The shape without these axes, of one element each, or without all such axes where none is named.
pub(super) fn squeezed(node: &Node, shape: &[usize], axes: Option<&[i64]>) -> Result<Vec<usize>> {
    let axes = match axes {
        Some(axes) => node.axes(axes, shape.len())?,
        None => (0..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
    };
    if let Some(axis) = axes.iter().find(|&&axis| shape[axis] != 1) {
        return Err(node.wrong(format_args!("axis {axis} of {shape:?} has not one element")));
    }
    Ok((0..shape.len()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect())
}

/// The shape with axes of one element at these places of the result.
pub(super) fn unsqueezed(node: &Node, shape: &[usize], axes: &[i64]) -> Result<Vec<usize>> {
    let rank = shape.len() + axes.len();
    let axes = node.axes(axes, rank)?;
    let mut rest = shape.iter().copied();
    Ok((0..rank).filter_map(|axis| if axes.contains(&axis) { Some(1) } else { rest.next() }).collect())
}

/// The order that Transpose brings axes into: the attribute's, or the reverse.
pub(super) fn order(node: &Node, shape: &[usize]) -> Result<Vec<usize>> {
    let rank = shape.len();
    let order = match node.ints("perm")? {
        Some(order) => node.axes(order, rank)?,
        None => (0..rank).rev().collect(),
    };
    match order.len() == rank {
        true => Ok(order),
        false => Err(node.wrong(format_args!("{order:?} is no order of the axes of {shape:?}"))),
    }
}

/// The extents that Shape gives: all, or those of the axes from `start` to `end`.
pub(super) fn shown(node: &Node, shape: &[usize]) -> Result<Vec<i64>> {
    let rank = shape.len() as i64;
    let bound = |name: &str, default: i64| -> Result<usize> {
        let bound = node.int(name)?.unwrap_or(default);
        Ok((if bound < 0 { bound.saturating_add(rank) } else { bound }).clamp(0, rank) as usize)
    };
    let (start, end) = (bound("start", 0)?, bound("end", rank)?);
    Ok(shape.get(start..end).unwrap_or_default().iter().map(|&extent| extent as i64).collect())
}

/// The shape that Reshape gives to one: 0 stands for the extent that was there, -1 for what is left.
pub(super) fn reshaped(node: &Node, from: &[usize], wanted: &[i64]) -> Result<Vec<usize>> {
    let wrong = || node.wrong(format_args!("{from:?} cannot become {wanted:?}"));
    let keep_zero = node.flag("allowzero", false)?;
    let mut left = None;
    let mut shape = Vec::with_capacity(wanted.len());
    for (axis, &extent) in wanted.iter().enumerate() {
        shape.push(match extent {
            -1 if left.is_none() => {
                left = Some(axis);
                1
            }
            0 if !keep_zero => *from.get(axis).ok_or_else(wrong)?,
            extent => usize::try_from(extent).map_err(|_| wrong())?,
        });
    }
    let product = |shape: &[usize]| shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent));
    let (all, rest) = (product(from).ok_or_else(wrong)?, product(&shape).ok_or_else(wrong)?);
    if let Some(axis) = left {
        shape[axis] = all.checked_div(rest).filter(|extent| extent * rest == all).ok_or_else(wrong)?;
    }
    if product(&shape) == Some(all) { Ok(shape) } else { Err(wrong()) }
}

/// How many elements along an axis each of Split's outputs has: as many as `said`, or as many as each other. With
/// `num_outputs` the last may have fewer.
pub(super) fn parts(node: &Node, extent: usize, said: Option<&[i64]>) -> Result<Vec<usize>> {
    let outputs = node.proto.output.len();
    if let Some(said) = said.filter(|said| !said.is_empty()) {
        let lengths: Option<Vec<usize>> = said.iter().map(|&length| usize::try_from(length).ok()).collect();
        let sum = |lengths: &[usize]| lengths.iter().try_fold(0_usize, |sum, &length| sum.checked_add(length));
        let lengths = lengths.filter(|lengths| lengths.len() >= outputs && sum(lengths) == Some(extent));
        let wrong = || node.wrong(format_args!("{extent} cannot be split into {said:?} for {outputs} outputs"));
        return lengths.ok_or_else(wrong);
    }
    let wrong = || node.wrong(format_args!("{extent} cannot be split into {outputs} parts"));
    match node.int("num_outputs")? {
        Some(said) if usize::try_from(said) != Ok(outputs) || outputs == 0 => Err(wrong()),
        Some(_) => {
            let length = extent.div_ceil(outputs);
            Ok((0..outputs).map(|part| extent.saturating_sub(part * length).min(length)).collect())
        }
        None if outputs > 0 && extent.is_multiple_of(outputs) => Ok(vec![extent / outputs; outputs]),
        None => Err(wrong()),
    }
}

/// What Slice takes of an axis: from `start` on, before `end`, each counted from the axis' end where it is negative.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) axis: usize,
    pub(super) start: i64,
    pub(super) end: i64,
    /// Not 0.
    pub(super) step: i64,
}

impl Cut {
    /// The index of the first element that is taken of so many, and how many are.
    pub(super) fn taken(&self, extent: usize) -> (usize, usize) {
        // Nothing here is near the end of 128 bits.
        let (extent, step) = (extent as i128, i128::from(self.step));
        let place = |index: i64| i128::from(index) + if index < 0 { extent } else { 0 };
        let (start, end) = (place(self.start), place(self.end));
        let (start, length) = match step > 0 {
            true => (start.clamp(0, extent), end.clamp(0, extent) - start.clamp(0, extent)),
            false => {
                let start = start.clamp(0.min(extent - 1), extent - 1);
                (start, start - end.clamp(-1, extent - 1))
            }
        };
        (start.max(0) as usize, length.max(0).unsigned_abs().div_ceil(step.unsigned_abs()) as usize)
    }

    /// The indices that are taken of so many.
    pub(super) fn indices(&self, extent: usize) -> Vec<usize> {
        let (first, count) = self.taken(extent);
        (0..count as i128).map(|index| (first as i128 + index * i128::from(self.step)) as usize).collect()
    }
}

/// What Slice takes of a tensor of so many axes.
pub(super) fn cuts(node: &Node, rank: usize, lists: [Option<Vec<i64>>; 4]) -> Result<Vec<Cut>> {
    let [starts, ends, axes, steps] = lists;
    let (starts, ends) = (node.required("starts", starts)?, node.required("ends", ends)?);
    let axes = node.axes(&axes.unwrap_or_else(|| (0..starts.len() as i64).collect()), rank)?;
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(node.wrong("starts, ends, axes and steps are not as many as each other"));
    }
    if steps.contains(&0) {
        return Err(node.wrong("a step of 0"));
    }
    let cut = |index: usize| Cut { axis: axes[index], start: starts[index], end: ends[index], step: steps[index] };
    Ok((0..starts.len()).map(cut).collect())
}
