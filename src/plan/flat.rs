//! Which gradients are computed where the optimizers read them, in flat buffers that are laid out like the parameters. Any
//! other gradient is copied there by the optimizer's own dispatches.

use std::collections::{HashMap, HashSet};

use super::build::{Builder, Key, undeclared};
use super::{BufferRef, Location};
use crate::error::Result;
use crate::graph::TensorId;

impl Builder<'_> {
    /// Finds the gradients that have a place of their own in a flat buffer: nodes compute them that one optimizer wants for
    /// one parameter. Others may read them there, but for a node that writes another gradient into the same buffer: a
    /// dispatch must not read and write one.
    pub(super) fn place_gradients(&mut self) -> Result<()> {
        // Nodes by the tensors that they write and read; what reads a view reads the tensor.
        let mut roots: HashMap<TensorId, TensorId> = HashMap::new();
        let (mut makers, mut readers): (HashMap<TensorId, Vec<usize>>, HashMap<TensorId, Vec<usize>>) =
            Default::default();
        for (index, node) in self.nodes.iter().enumerate() {
            let read: Vec<TensorId> = node.inputs.iter().map(|id| roots.get(id).copied().unwrap_or(*id)).collect();
            if node.op.is_view() {
                roots.extend(node.outputs.iter().copied().zip(read));
                continue;
            }
            read.into_iter().for_each(|id| readers.entry(id).or_default().push(index));
            node.outputs.iter().for_each(|&id| makers.entry(id).or_default().push(index));
        }
        let mut pairs: Vec<(TensorId, TensorId, Location)> = Vec::new();
        let mut uses: HashMap<TensorId, usize> = HashMap::new();
        let mut arenas: HashSet<usize> = HashSet::new();
        for node in &self.nodes {
            for (gradient, parameter) in node.op.flat_gradients() {
                let [gradient, parameter] = [gradient, parameter].map(|input| node.inputs[input]);
                let name = self.data.describe(parameter);
                let location = self.layout.location(&name).and_then(Location::gradient);
                let location = location.ok_or_else(|| undeclared(&name))?;
                if let BufferRef::Gradients(arena) = location.buffer {
                    arenas.insert(arena);
                }
                *uses.entry(roots.get(&gradient).copied().unwrap_or(gradient)).or_default() += 1;
                pairs.push((gradient, parameter, location));
            }
        }
        self.plan.gradients = arenas.into_iter().map(|a| (a, self.layout.arenas[a].parameter_bytes)).collect();
        self.plan.gradients.sort_unstable();
        // What one parameter wants of a view, or two of one tensor, is copied.
        pairs.retain(|(id, ..)| uses.get(id) == Some(&1) && makers.contains_key(id));
        let nodes = |of: &HashMap<TensorId, Vec<usize>>, id: &TensorId| of.get(id).cloned().unwrap_or_default();
        // First what nobody else reads: that can stand in nobody's way but such a reader's.
        pairs.sort_by_key(|(id, ..)| nodes(&readers, id).len() > 1);
        let [mut writing, mut reading]: [HashSet<(usize, BufferRef)>; 2] = Default::default();
        for (id, parameter, location) in pairs {
            let at = |nodes: Vec<usize>| nodes.into_iter().map(|node| (node, location.buffer)).collect::<Vec<_>>();
            let (written, read) = (at(nodes(&makers, &id)), at(nodes(&readers, &id)));
            if written.iter().any(|at| reading.contains(at)) || read.iter().any(|at| writing.contains(at)) {
                continue;
            }
            writing.extend(written);
            reading.extend(read);
            self.wanted.insert(id, (location, self.format(parameter)));
        }
        Ok(())
    }

    /// The place of an input that is known before memory is planned.
    pub(super) fn residence(&self, id: TensorId) -> Option<Location> {
        let wanted = self.wanted.get(&id).map(|&(location, _)| location);
        wanted.or_else(|| self.fixed.get(&Key::Tensor(id)).copied())
    }
}
