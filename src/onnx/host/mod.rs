//! ONNX's operators on the host, of arrays in the file's own types: what is known at load, and, after a step, what the graph
//! cannot do (integers, results without a fixed shape).

use super::Array;
use super::node::Node;
use crate::error::Result;

/// Computes a node on the host: its outputs, of its inputs. The caller puts the node's title in front of other errors than
/// the node's own.
pub(super) type OnHost = fn(&Node, &[Option<&Array>]) -> Result<Vec<Array>>;

/// An operator's name and how it is computed.
type Operator = (&'static str, OnHost);

/// The tables of all files.
const TABLES: &[&[Operator]] = &[];

/// How the host computes the operator of this name.
pub(super) fn find(name: &str) -> Option<OnHost> {
    TABLES.iter().flat_map(|table| table.iter()).find(|(known, _)| *known == name).map(|&(_, compute)| compute)
}

/// The names of what the host computes.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().flat_map(|table| table.iter()).map(|&(name, _)| name)
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
