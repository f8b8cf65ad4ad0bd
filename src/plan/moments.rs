//! Statistics that a kernel takes of what it computes, for a node that would else read all of it once more.

use std::collections::HashSet;

use super::build::Builder;
use super::lowering::Lowering;
use crate::graph::TensorId;
use crate::graph::fuse::Fused;

/// Where a tensor's mean and sum of squared deviations lie, `[channels, tiles]` of both, and what they are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moments {
    /// The scratch memory, of the node that computes the tensor.
    pub(crate) scratch: usize,
    pub(crate) tiles: usize,
    /// Elements of one tile of a channel; the last may have fewer.
    pub(crate) length: usize,
}

impl Builder<'_> {
    /// The tensors of which a node takes the statistics.
    pub(super) fn observe(&mut self) {
        let takes = |node: &&Fused| node.op.takes_moments();
        self.observed = self.nodes.iter().filter(takes).map(|node| node.inputs[0]).collect::<HashSet<TensorId>>();
    }

    /// Lets a lowering know whose statistics are wanted, and which there are: as its first scratch.
    pub(super) fn offer(&mut self, index: usize, node: &Fused, lowering: &mut Lowering<'_>) {
        lowering.observed = node.outputs.first().is_some_and(|id| self.observed.contains(id));
        let given = node.inputs.first().and_then(|id| self.moments.get(id)).filter(|_| node.op.takes_moments());
        if let Some(&(maker, moments)) = given {
            let bytes = self.scratch.get(&(maker, moments.scratch)).copied().unwrap_or(0);
            lowering.scratch.push(bytes);
            lowering.moments = Some(Moments { scratch: 0, ..moments });
            self.shared.insert((index, 0), (maker, moments.scratch));
        }
    }

    /// Remembers what statistics the node has taken of its output.
    pub(super) fn taken(&mut self, index: usize, node: &Fused, moments: Option<Moments>) {
        if let (Some(moments), false) = (moments, node.op.takes_moments()) {
            self.moments.extend(node.outputs.first().map(|&id| (id, (index, moments))));
        }
    }
}
