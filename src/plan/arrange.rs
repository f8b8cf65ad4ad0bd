//! The end of building a plan: dispatches get memory for their tensors and textures for the copies that they read.

use std::collections::HashMap;

use super::build::{Builder, Key};
use super::in_place::{IN_PLACE, Replaced};
use super::kernel::{Access, Dispatch, Operand, Span};
use super::limits::{check_buffers, check_step};
use super::memory::{ALIGNMENT, Block, FOREVER, align, place};
use super::schedule::{Uses, apart};
use super::textures::{Once, Textures};
use super::{BufferRef, Fetch, Format, Location, Plan, Step};
use crate::error::{Error, Result};
use crate::gpu::BindingKind;
use crate::graph::{Source, Tensor};

impl Builder<'_> {
    /// Places everything and gives the plan.
    pub(super) fn arrange(mut self, fetch: &[Tensor<'_>]) -> Result<Plan> {
        // The host reads planar tensors.
        let mut fetched: Vec<(&Tensor<'_>, Key)> = Vec::new();
        for tensor in fetch {
            // Only what a node computes has another format.
            let computes = |node: &crate::graph::fuse::Fused| node.outputs.contains(&tensor.id());
            let node = match self.data.value(tensor.id()).source {
                Source::Node { .. } => self.nodes.iter().position(computes).unwrap_or(0),
                _ => 0,
            };
            fetched.push((tensor, self.in_format(node, tensor.id(), Format::Planar)?));
        }
        let kept = self.keep();
        let groups = self.reorder(&fetched);
        let lasting = fetched.iter().map(|&(_, key)| key).chain(kept.keys().copied()).collect();
        let mut replaced = Replaced::default();
        let (mut locations, mut slabs) = self.locations(&fetched, &kept, &groups, &replaced);
        if let Some((dispatches, over)) = self.replace(&lasting, &groups) {
            let apart = std::mem::replace(&mut self.dispatches, dispatches);
            let (others, sizes) = self.locations(&fetched, &kept, &groups, &over);
            // A tensor that takes the place of another may go to no other slab, which here and there costs more.
            if sizes.iter().sum::<u64>() <= slabs.iter().sum() || self.options.prefers(IN_PLACE) {
                (locations, slabs, replaced) = (others, sizes, over);
            } else {
                self.dispatches = apart;
            }
        }
        self.plan.slabs = slabs;
        self.plan.barriers.needed = self.needed_barriers(&replaced);
        if self.options.guard {
            self.plan.guards = locations
                .values()
                .map(|at| Location { offset: at.offset + align(at.bytes), bytes: ALIGNMENT, ..*at })
                .collect();
        }
        self.steps(&locations, &kept)?;
        for (tensor, key) in fetched {
            let location = self.fixed.get(&key).or_else(|| locations.get(&key));
            let location = *location.ok_or_else(|| {
                Error::Graph(format!("the fetched tensor {} is not on the device", self.data.describe(tensor.id())))
            })?;
            self.plan.fetches.insert(tensor.id(), Fetch { ty: tensor.ty(), location });
        }
        let names = self.data.names.iter().filter(|(_, id)| self.plan.fetches.contains_key(id));
        self.plan.names = names.map(|(name, &id)| (name.clone(), id)).collect();
        check_buffers(&self.plan, self.capabilities)?;
        Ok(self.plan)
    }

    /// The places of what has none yet, by lifetime over a few slabs, and the sizes of these.
    fn locations(
        &self,
        fetched: &[(&Tensor<'_>, Key)],
        kept: &HashMap<Key, usize>,
        groups: &[usize],
        replaced: &Replaced,
    ) -> (HashMap<Key, Location>, Vec<u64>) {
        let guard = if self.options.guard { ALIGNMENT } else { 0 };
        // Lifetimes, in halves of dispatches: copies into textures are made before the dispatch that reads them.
        let in_place = self.in_place();
        let mut index: HashMap<Key, usize> = HashMap::new();
        let mut keys: Vec<Key> = Vec::new();
        let mut blocks: Vec<Block> = Vec::new();
        let mut conflicts: Vec<(usize, usize)> = Vec::new();
        let mut uses: Vec<Uses> = Vec::new();
        for (step, (node, dispatch)) in self.dispatches.iter().enumerate() {
            let Uses { mut read, mut written } = Uses::default();
            for &operand in &dispatch.operands {
                let (Err(key), access) = self.resolve(*node, operand) else { continue };
                let (key, at) = (replaced.root(key), 2 * step + usize::from(access != Access::Texture || !in_place));
                let block = *index.entry(key).or_insert_with(|| {
                    keys.push(key);
                    blocks.push(Block { bytes: align(self.bytes(key)) + guard, first: at, last: at });
                    blocks.len() - 1
                });
                blocks[block].last = match access {
                    // Copied as soon as it is computed.
                    Access::Texture if kept.contains_key(&key) => blocks[block].last,
                    _ if step >= self.plan.kept_steps && kept.contains_key(&key) => FOREVER,
                    _ => blocks[block].last.max(at),
                };
                match access {
                    Access::Read => read.push(block),
                    Access::Write => written.push(block),
                    // Copied before the dispatch.
                    Access::Texture => {}
                }
            }
            conflicts.extend(read.iter().flat_map(|&r| written.iter().map(move |&w| (r, w))));
            uses.push(Uses { read, written });
        }
        // What is kept has slabs of its own: no dispatch that reads it could write beside it.
        let (lasting, passing): (Vec<usize>, Vec<usize>) =
            (0..blocks.len()).partition(|&block| blocks[block].last == FOREVER);
        conflicts.extend(lasting.iter().flat_map(|&kept| passing.iter().map(move |&block| (kept, block))));
        for (_, key) in fetched {
            if let Some(&block) = index.get(&replaced.root(*key)) {
                blocks[block].last = FOREVER;
            }
        }
        let (placements, slabs) =
            place(&blocks, &conflicts, &apart(&uses, groups), self.capabilities.limits.max_buffer_size);
        let mut locations: HashMap<Key, Location> = keys
            .iter()
            .zip(&placements)
            .map(|(&key, place)| {
                let location =
                    Location { buffer: BufferRef::Slab(place.slab), offset: place.offset, bytes: self.bytes(key) };
                (key, location)
            })
            .collect();
        let others: Vec<_> = replaced.iter().filter_map(|(key, root)| Some((key, *locations.get(&root)?))).collect();
        locations.extend(others);
        (locations, slabs)
    }

    /// The dispatches with everything that they bind.
    fn steps(&mut self, locations: &HashMap<Key, Location>, kept: &HashMap<Key, usize>) -> Result<()> {
        let place = |step: usize, node: usize, (operand, span): (Operand, Option<Span>)| {
            let (place, access) = self.resolve(node, operand);
            let once = match place {
                Err(key) if kept.contains_key(&key) => Once::Computed { by: kept[&key] },
                Ok(at) if (self.stays(at) || at.is_constant()) && step >= self.plan.kept_steps => Once::Given,
                _ => Once::Never,
            };
            // Every key was placed.
            let whole = place.unwrap_or_else(|key| locations[&key]);
            (span.map_or(whole, |span| whole.part(span)), access, once)
        };
        let operands = |dispatch: &Dispatch| -> Vec<(Operand, Option<Span>)> {
            dispatch.operands.iter().enumerate().map(|(number, &operand)| (operand, dispatch.span(number))).collect()
        };
        let mut textures = Textures::new(self.plan.kept_steps);
        for (step, (node, dispatch)) in self.dispatches.iter().enumerate() {
            let operands = operands(dispatch);
            let places = || operands.iter().map(|&operand| place(step, *node, operand));
            for (at, _, once) in places().filter(|(_, access, _)| *access == Access::Texture) {
                textures.read(at, step, once);
            }
            // Perhaps where one of those was.
            places().filter(|(_, access, _)| *access == Access::Write).for_each(|(at, ..)| textures.written(at));
        }
        let textures = textures.assign();
        let mut uniforms: HashMap<Vec<u32>, (u64, u64)> = HashMap::new();
        let (mut blocks, mut steps) = (Vec::new(), Vec::new());
        for (number, (node, dispatch)) in self.dispatches.iter().enumerate() {
            let bind = |operand: (Operand, Option<Span>)| match place(number, *node, operand) {
                (at, Access::Texture, once) => {
                    let buffer = BufferRef::Texture(textures.of(at, number, once));
                    (Location { buffer, offset: 0, bytes: at.bytes }, BindingKind::TextureRead)
                }
                (at, Access::Read, _) => (at, BindingKind::Read),
                (at, Access::Write, _) => (at, BindingKind::ReadWrite),
            };
            let of = &self.nodes[*node];
            let own: Vec<_> = of.inputs[..of.own_inputs()].to_vec();
            let copies = textures.before(number);
            let step = Step {
                node: of.title(),
                layer: of.layer.clone(),
                number: *node,
                flops: of.op.flops(&self.types(&own), &self.types(&of.outputs)),
                kernel: dispatch.kernel.clone(),
                params: *uniforms.entry(dispatch.params.clone()).or_insert_with_key(|words| append(&mut blocks, words)),
                workgroups: dispatch.workgroups,
                bindings: operands(dispatch).into_iter().map(bind).collect(),
                begins_pass: !copies.is_empty(),
                copies,
            };
            check_step(&step, self.capabilities)?;
            steps.push(step);
        }
        self.begin_passes(&mut steps);
        (self.plan.steps, self.plan.uniforms) = (steps, blocks);
        (self.plan.textures, self.plan.kept_copies) = textures.into_parts();
        Ok(())
    }
}

/// Appends a parameter block at an aligned offset; returns its offset and bytes.
fn append(uniforms: &mut Vec<u8>, words: &[u32]) -> (u64, u64) {
    let offset = align(uniforms.len() as u64);
    // A uniform binding's size is a multiple of 16.
    let bytes = (words.len() as u64 * 4).next_multiple_of(16).max(16);
    uniforms.resize((offset + bytes) as usize, 0);
    let start = offset as usize;
    uniforms[start..start + words.len() * 4].copy_from_slice(bytemuck::cast_slice(words));
    (offset, bytes)
}
