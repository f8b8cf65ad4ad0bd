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
    Ok(result)
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
