//! Einstein's sums: products of tensors along named axes.

use super::{Call, Operator, one};
use crate::error::Result;
use crate::graph::Tensor;
use crate::onnx::equation::Equation;
use crate::onnx::value::Value;

pub(super) const OPERATORS: &[Operator] = &[("Einsum", einsum)];

/// A tensor whose axes have names.
#[derive(Clone)]
struct Named<'g> {
    tensor: Tensor<'g>,
    axes: Vec<char>,
}

impl<'g> Named<'g> {
    fn extent(&self, name: char) -> usize {
        let axis = self.axes.iter().position(|&own| own == name);
        axis.map_or(1, |axis| self.tensor.shape()[axis])
    }

    fn product(&self, names: &[char]) -> usize {
        names.iter().map(|&name| self.extent(name)).product()
    }

    /// Summed over the axes that are not among these.
    fn summed(mut self, keep: &[char]) -> Result<Self> {
        let gone: Vec<usize> = (0..self.axes.len()).filter(|&axis| !keep.contains(&self.axes[axis])).collect();
        if !gone.is_empty() {
            self.axes.retain(|name| keep.contains(name));
            let shape: Vec<usize> = self.tensor.shape().to_vec();
            let left = (0..shape.len()).filter(|axis| !gone.contains(axis)).map(|axis| shape[axis]).collect::<Vec<_>>();
            self.tensor = self.tensor.sum(gone.as_slice())?.reshape(left)?;
        }
        Ok(self)
    }

    /// With its axes in this order, which names all of them.
    fn ordered(self, order: &[char]) -> Result<Tensor<'g>> {
        let place = |name: &char| self.axes.iter().position(|own| own == name);
        let permutation: Vec<usize> = order.iter().filter_map(place).collect();
        self.tensor.transpose(&permutation)
    }
}

fn einsum<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let shapes: Vec<crate::graph::Shape> =
        (0..call.inputs.len()).map(|index| call.shape(index)).collect::<Result<_>>()?;
    let equation = Equation::of(call.node, &shapes.iter().map(|shape| shape.len()).collect::<Vec<_>>())?;
    if equation.has_diagonal() {
        return Err(call.node.unsupported(format_args!("a diagonal: `{equation}`")));
    }
    let extents = equation.extents(call.node, &shapes.iter().map(|shape| &shape[..]).collect::<Vec<_>>())?;
    let output = equation.output.clone();
    let wrong = || call.node.wrong(format_args!("equation `{equation}`"));
    let mut operands = Vec::new();
    for (index, axes) in equation.terms.iter().enumerate() {
        let own = axes.iter().zip(&shapes[index][..]);
        if own.into_iter().any(|(&name, &extent)| !extents.contains(&(name, extent))) {
            return Err(call.node.unsupported(format_args!("an ellipsis that broadcasts: `{equation}`")));
        }
        operands.push(Named { tensor: call.tensor(index)?, axes: axes.clone() });
    }
    let mut rest = operands.into_iter();
    let mut result = rest.next().ok_or_else(wrong)?;
    let mut behind: Vec<Named<'g>> = rest.collect();
    while !behind.is_empty() {
        let next = behind.remove(0);
        // What something later needs stays.
        let mut keep = output.clone();
        keep.extend(behind.iter().flat_map(|operand| operand.axes.iter().copied()));
        let joined = contracted(result, next, &keep);
        result = call.limited(joined)?;
    }
    let ordered = result.summed(&output).and_then(|result| result.ordered(&output));
    one(call.limited(ordered)?)
}

/// The product of two along their common axes, summed over those that are not to be kept.
fn contracted<'g>(a: Named<'g>, b: Named<'g>, keep: &[char]) -> Result<Named<'g>> {
    let needed = |other: &Named<'g>| keep.iter().chain(&other.axes).copied().collect::<Vec<_>>();
    let (for_a, for_b) = (needed(&b), needed(&a));
    let (a, b) = (a.summed(&for_a)?, b.summed(&for_b)?);
    let both = |name: &&char| b.axes.contains(*name);
    let batch: Vec<char> = a.axes.iter().filter(both).filter(|name| keep.contains(*name)).copied().collect();
    let inner: Vec<char> = a.axes.iter().filter(both).filter(|name| !keep.contains(*name)).copied().collect();
    let own = |of: &Named<'g>, other: &Named<'g>| {
        of.axes.iter().filter(|name| !other.axes.contains(name)).copied().collect::<Vec<_>>()
    };
    let (rows, columns) = (own(&a, &b), own(&b, &a));
    let extents = [a.product(&batch), a.product(&rows), a.product(&inner), b.product(&columns)];
    let axes = [batch.clone(), rows.clone(), columns.clone()].concat();
    let shape: Vec<usize> =
        axes.iter().map(|&name| if a.axes.contains(&name) { a.extent(name) } else { b.extent(name) }).collect();
    let [batches, m, k, n] = extents;
    let left = a.ordered(&[batch.clone(), rows, inner.clone()].concat())?.reshape([batches, m, k])?;
    let right = b.ordered(&[batch, inner, columns].concat())?.reshape([batches, k, n])?;
    Ok(Named { tensor: left.matmul(right)?.reshape(shape)?, axes })
}
