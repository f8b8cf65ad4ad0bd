//! Memory for time: what is cheap to compute is computed again where it is needed once more, instead of being kept.
//!
//! Between forward and backward a training step keeps every activation. Those that are functions of single elements of
//! tensors that are kept anyhow, as ReLU of batch norm of a convolution is, need not be: the memory plan then has room for
//! others in between (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", for the cheapest nodes only).

use std::collections::{HashMap, HashSet};

use crate::graph::fuse::Fused;
use crate::graph::{Source, TensorId};
use crate::plan::build::Builder;

/// A tensor that is not used for so many nodes is worth its memory.
const GAP: usize = 8;

impl Builder<'_> {
    /// Repeats cheap nodes before the first use that comes long after the others.
    pub(super) fn recompute(&mut self, kept: &HashSet<TensorId>) {
        let mut uses: HashMap<TensorId, Vec<usize>> = HashMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&id| uses.entry(id).or_default().push(index));
        }
        let computed = |id: TensorId| matches!(self.data.value(id).source, Source::Node { .. });
        let last = |id: TensorId| uses.get(&id).and_then(|uses| uses.last()).copied().unwrap_or(0);
        let mut repeats: Vec<(usize, Fused)> = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let &[output] = node.outputs.as_slice() else { continue };
            if node.op.pointwise().is_none() || kept.contains(&output) || node.op.is_view() {
                continue;
            }
            let mut before = index;
            let late = uses.get(&output).into_iter().flatten().find(|&&user| {
                let far = user > before + GAP;
                before = user;
                far
            });
            let Some(&late) = late else { continue };
            // An operand that would have to live longer for it gains nothing.
            let there = |&id: &TensorId| !computed(id) || kept.contains(&id) || last(id) >= late;
            if node.inputs.iter().all(there) {
                repeats.push((late, node.clone()));
            }
        }
        // From behind, so that the places before stay as they are.
        repeats.sort_by_key(|(late, _)| std::cmp::Reverse(*late));
        for (late, node) in &repeats {
            self.nodes.insert(*late, node.clone());
        }
        for (index, node) in self.nodes.iter().enumerate() {
            for &output in &node.outputs {
                // The last one that computes it is the repetition.
                if repeats.iter().any(|(_, repeated)| repeated.outputs.contains(&output)) {
                    self.again.insert(output, index);
                }
            }
        }
    }
}
