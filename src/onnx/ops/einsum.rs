//! Einstein's sums: products of tensors along named axes.

use super::{Call, Operator, one};
use crate::error::Result;
use crate::graph::Tensor;
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
    let equation = call.node.required("equation", call.node.text("equation")?)?;
    let equation: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let wrong = || call.node.wrong(format_args!("equation `{equation}`"));
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation.as_str(), None),
    };
    let terms: Vec<&str> = left.split(',').collect();
    if terms.len() != call.inputs.len() {
        return Err(wrong());
    }
    // What an ellipsis stands for is aligned at the last axis: its axes have numbers for names.
    let mut most = 0;
    let mut names = Vec::new();
    for (index, term) in terms.iter().enumerate() {
        let rank = call.shape(index)?.len();
        let axes = axes_of(term, rank).ok_or_else(wrong)?;
        most = most.max(axes.iter().filter(|name| name.is_ascii_digit()).count());
        names.push(axes);
    }
    let output: Vec<char> = match right {
        Some(right) => {
            let ellipsis = if right.contains("...") { most } else { 0 };
            let letters = right.chars().filter(char::is_ascii_alphabetic).count();
            axes_of(right, ellipsis + letters).ok_or_else(wrong)?
        }
        None => {
            // Without an arrow: the ellipsis, then every letter that stands once, in alphabetical order.
            let mut letters: Vec<char> = left.chars().filter(char::is_ascii_alphabetic).collect();
            letters.sort_unstable();
            let once = |letter: &char| letters.iter().filter(|other| *other == letter).count() == 1;
            let ellipsis = (0..most).rev().filter_map(|n| char::from_digit(n as u32, 10));
            ellipsis.chain(letters.iter().copied().filter(once)).collect()
        }
    };
    let twice = |axes: &[char]| (1..axes.len()).any(|axis| axes[..axis].contains(&axes[axis]));
    if names.iter().any(|axes| twice(axes)) {
        return Err(call.node.unsupported(format_args!("a diagonal: `{equation}`")));
    }
    if twice(&output) || output.iter().any(|name| !names.iter().any(|axes| axes.contains(name))) {
        return Err(wrong());
    }
    let mut operands = Vec::new();
    for (index, axes) in names.into_iter().enumerate() {
        operands.push(Named { tensor: call.tensor(index)?, axes });
    }
    let mut extents: Vec<(char, usize)> = Vec::new();
    for operand in &operands {
        for (&name, &extent) in operand.axes.iter().zip(operand.tensor.shape().iter()) {
            match extents.iter().find(|(known, _)| *known == name) {
                Some((_, known)) if *known == extent => {}
                Some(_) if name.is_ascii_digit() => {
                    return Err(call.node.unsupported(format_args!("an ellipsis that broadcasts: `{equation}`")));
                }
                Some(_) => return Err(wrong()),
                None => extents.push((name, extent)),
            }
        }
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

/// The names of a term's axes, for a tensor of this rank: the axes of an ellipsis are digits, counted from the last.
fn axes_of(term: &str, rank: usize) -> Option<Vec<char>> {
    let (before, behind) = match term.split_once("...") {
        Some((before, behind)) => (before, Some(behind)),
        None => (term, None),
    };
    let letters = |text: &str| text.chars().all(|c| c.is_ascii_alphabetic());
    let (rest, count) = (behind.unwrap_or(""), before.len() + behind.unwrap_or("").len());
    let more = rank.checked_sub(count).filter(|&more| more < 10 && (behind.is_some() || more == 0))?;
    if !letters(before) || !letters(rest) {
        return None;
    }
    let ellipsis = (0..more).rev().filter_map(|n| char::from_digit(n as u32, 10));
    Some(before.chars().chain(ellipsis).chain(rest.chars()).collect())
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
