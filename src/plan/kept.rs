//! Dispatches that depend on nothing but filters and statistics which the plan does not change: what packs them, or makes
//! factors of them, runs before the first step, and again when the host or another session has changed a variable.

use std::collections::{HashMap, HashSet};

use super::Location;
use super::build::{Builder, Key};
use super::kernel::Access;
use crate::graph::fuse::Fused;

/// Bytes that the larger copies of filters which kernels ask to be kept may take, all of a plan: half of what its variables
/// take, or so little that any device has it.
pub(super) fn room_for_filters(variables: u64) -> u64 {
    const SPARE: u64 = 48 << 20;
    (variables / 2).max(SPARE)
}

impl Builder<'_> {
    /// Whether a variable is there that the plan does not change.
    pub(super) fn stays(&self, at: Location) -> bool {
        !self.plan.changes_variables && at.is_variable()
    }

    /// Where the node's filter is, if it is one that the plan does not change.
    pub(super) fn kept_filter(&self, node: &Fused) -> Option<Location> {
        let filter = node.inputs[node.op.filter()?];
        self.fixed.get(&Key::Tensor(filter)).copied().filter(|&at| self.stays(at))
    }

    /// Moves these dispatches to the front, counts them in the plan, and gives what they write, with the last that does.
    pub(super) fn keep(&mut self) -> HashMap<Key, usize> {
        let filters = self.nodes.iter().filter_map(|node| self.kept_filter(node));
        let prepared = self.nodes.iter().filter(|node| node.op.prepares()).flat_map(|node| &node.inputs);
        let prepared =
            prepared.filter_map(|&id| self.fixed.get(&Key::Tensor(id)).copied()).filter(|&at| self.stays(at));
        let given: HashSet<Location> = filters.chain(prepared).collect();
        let operands: Vec<Vec<(Result<Location, Key>, Access)>> = self
            .dispatches
            .iter()
            .map(|(node, dispatch)| dispatch.operands.iter().map(|&operand| self.resolve(*node, operand)).collect())
            .collect();
        let written = |index: usize| {
            let written = operands[index].iter().filter(|(_, access)| *access == Access::Write);
            written.filter_map(|(place, _)| place.err())
        };
        let mut kept = vec![true; operands.len()];
        // Whatever writes or reads what changes in a step belongs to the step; each round finds more of it.
        loop {
            let changing: HashSet<Key> = (0..kept.len()).filter(|&i| !kept[i]).flat_map(written).collect();
            let stays = |&(place, access): &(Result<Location, Key>, Access)| match place {
                Err(key) => !changing.contains(&key),
                Ok(at) => access != Access::Write && given.contains(&at),
            };
            let still: Vec<bool> = (0..kept.len()).map(|i| kept[i] && operands[i].iter().all(stays)).collect();
            if still == kept {
                break;
            }
            kept = still;
        }
        let ours = (0..kept.len()).filter(|&i| kept[i]).enumerate();
        let keys = ours.flat_map(|(step, index)| written(index).map(move |key| (key, step))).collect();
        let mut flags = kept.iter();
        let (first, rest): (Vec<_>, Vec<_>) =
            self.dispatches.drain(..).partition(|_| flags.next().copied().unwrap_or_default());
        self.plan.kept_steps = first.len();
        self.dispatches = first.into_iter().chain(rest).collect();
        keys
    }
}
