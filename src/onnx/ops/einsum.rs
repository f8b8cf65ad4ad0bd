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

    /// With each name once: of an axis that is named twice, the diagonal.
    fn diagonal(mut self) -> Result<Self> {
        let twice =
            |axes: &[char]| (1..axes.len()).find_map(|b| Some((axes[..b].iter().position(|&a| a == axes[b])?, b)));
        while let Some((a, b)) = twice(&self.axes) {
            let (rank, extent) = (self.axes.len(), self.tensor.shape()[a]);
            let others: Vec<usize> = (0..rank).filter(|axis| ![a, b].contains(axis)).collect();
            let mut shape: Vec<usize> = others.iter().map(|&axis| self.tensor.shape()[axis]).collect();
            shape.push(extent * extent);
            let square = self.tensor.transpose(&[&others[..], &[a, b]].concat())?.reshape(shape)?;
            self.tensor = square.slice(rank - 2, 0, i64::MAX, extent as i64 + 1)?;
            self.axes = others.iter().chain([&a]).map(|&axis| self.axes[axis]).collect();
        }
        Ok(self)
    }

    /// Without the axes of one element along which another operand has more.
    fn narrowed(mut self, extents: &[(char, usize)]) -> Result<Self> {
        let shape = self.tensor.shape();
        let own: Vec<(char, usize)> = self.axes.iter().copied().zip(shape.iter().copied()).collect();
        let own: Vec<(char, usize)> = own.into_iter().filter(|axis| axis.1 != 1 || extents.contains(axis)).collect();
        self.axes = own.iter().map(|&(name, _)| name).collect();
        self.tensor = self.tensor.reshape(own.iter().map(|&(_, extent)| extent).collect::<Vec<_>>())?;
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
    let extents = equation.extents(call.node, &shapes.iter().map(|shape| &shape[..]).collect::<Vec<_>>())?;
    let output = equation.output.clone();
    let wrong = || call.node.wrong(format_args!("equation `{equation}`"));
    let mut operands = Vec::new();
    for (index, axes) in equation.terms.iter().enumerate() {
        let operand = Named { tensor: call.tensor(index)?, axes: axes.clone() };
        let plain = operand.diagonal().and_then(|operand| operand.narrowed(&extents));
        operands.push(call.limited(plain)?);
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
