//! Building a plan: which nodes, in which order, as which dispatches, in which memory.

use std::collections::{HashMap, HashSet};

use super::format::{Format, conversion};
use super::kernel::{Dispatch, Operand};
use super::limits::{check_buffers, check_step};
use super::lowering::Lowering;
use super::memory::{ALIGNMENT, Block, align, place};
use super::{BufferRef, Feed, Fetch, Location, Plan, PlanOptions, Step, VariableLayout};
use crate::error::{Error, Result};
use crate::gpu::{BindingKind, Capabilities};
use crate::graph::init::Init;
use crate::graph::{Graph, GraphData, Role, Source, Tensor, TensorId, TensorType};

/// A tensor or scratch before it has a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Tensor(TensorId),
    /// The copy of a tensor in another format than it was written in.
    Converted(TensorId, Format),
    /// Node and scratch number.
    Scratch(usize, usize),
}

impl Plan {
    /// Plans the nodes that `fetch` and every in-place update (optimizer, running statistics, metrics) need.
    ///
    /// # Errors
    /// When a kernel is not legal on the device, or a tensor or grid exceeds its limits.
    pub fn new(
        graph: &Graph,
        fetch: &[Tensor<'_>],
        layout: &VariableLayout,
        capabilities: &Capabilities,
        options: &PlanOptions,
    ) -> Result<Self> {
        graph.owns("plan", fetch)?;
        let data = graph.data();
        let mut builder = Builder::new(&data, layout, capabilities, options);
        let order = builder.order(fetch);
        builder.fix_places(&order)?;
        for &node in &order {
            builder.lower(node)?;
        }
        builder.finish(fetch)
    }
}

#[derive(Debug)]
struct Builder<'a> {
    data: &'a GraphData,
    layout: &'a VariableLayout,
    capabilities: &'a Capabilities,
    options: &'a PlanOptions,
    /// Tensors that are another one, or its copy in the other format, under a new shape.
    aliases: HashMap<TensorId, Key>,
    /// Tensors that are not planar, and the inputs of nodes (node, number) that are read so.
    formats: HashMap<TensorId, Format>,
    reads: HashMap<(usize, usize), Format>,
    /// Copies of tensors in another format.
    converted: HashSet<(TensorId, Format)>,
    /// Places known before memory is planned.
    fixed: HashMap<Key, Location>,
    /// Where optimizers want the gradients that they alone use, and how.
    wanted: HashMap<TensorId, (Location, Format)>,
    /// Dispatches with the node they belong to.
    dispatches: Vec<(usize, Dispatch)>,
    scratch: HashMap<(usize, usize), u64>,
    /// Texels of each node's textures.
    texels: HashMap<(usize, usize), usize>,
    plan: Plan,
}

impl<'a> Builder<'a> {
    fn new(
        data: &'a GraphData,
        layout: &'a VariableLayout,
        capabilities: &'a Capabilities,
        options: &'a PlanOptions,
    ) -> Self {
        let plan = Plan {
            steps: Vec::new(),
            uniforms: Vec::new(),
            slabs: Vec::new(),
            textures: Vec::new(),
            feeds: Vec::new(),
            input_bytes: 0,
            constants: Vec::new(),
            constant_bytes: 0,
            metrics: Vec::new(),
            gradients: Vec::new(),
            fetches: HashMap::new(),
            names: HashMap::new(),
            guards: Vec::new(),
            choices: Vec::new(),
        };
        let (aliases, formats, reads, converted, fixed, wanted) = Default::default();
        let (dispatches, scratch, texels) = Default::default();
        Self {
            data,
            layout,
            capabilities,
            options,
            aliases,
            formats,
            reads,
            converted,
            fixed,
            wanted,
            dispatches,
            scratch,
            texels,
            plan,
        }
    }

    /// The needed nodes in order of execution: as declared, in-place updates last, so that a step reads what was there
    /// before it.
    fn order(&self, fetch: &[Tensor<'_>]) -> Vec<usize> {
        let updates = |node: usize| !self.data.nodes[node].op.mutates().is_empty();
        let count = self.data.nodes.len();
        let mut needed: HashSet<TensorId> = fetch.iter().map(Tensor::id).collect();
        let mut nodes = vec![false; count];
        for index in (0..count).rev() {
            let node = &self.data.nodes[index];
            if updates(index) || node.outputs.iter().any(|id| needed.contains(id)) {
                nodes[index] = true;
                needed.extend(&node.inputs);
            }
        }
        let chosen = || (0..count).filter(|&index| nodes[index]);
        chosen().filter(|&n| !updates(n)).chain(chosen().filter(|&n| updates(n))).collect()
    }

    /// Gives inputs, settings, variables and the optimizers' gradients their places.
    fn fix_places(&mut self, order: &[usize]) -> Result<()> {
        let used: HashSet<TensorId> = order.iter().flat_map(|&n| &self.data.nodes[n].inputs).copied().collect();
        for (index, value) in self.data.values.iter().enumerate() {
            let id = self.data.id(index);
            let name = value.name.clone().unwrap_or_default();
            let bytes = value.ty.bytes();
            let take = |total: &mut u64| {
                let offset = *total;
                *total += align(bytes);
                offset
            };
            let location = match &value.source {
                Source::Node { .. } => continue,
                // An input that nothing reads must be fed all the same: leaving it out would hide a mistake.
                Source::Input => {
                    let offset = take(&mut self.plan.input_bytes);
                    self.plan.feeds.push(Feed { name, ty: value.ty.clone(), offset, default: None });
                    Location { buffer: BufferRef::Inputs, offset, bytes }
                }
                Source::Setting { default } => {
                    let offset = take(&mut self.plan.input_bytes);
                    self.plan.feeds.push(Feed { name, ty: value.ty.clone(), offset, default: Some(*default) });
                    Location { buffer: BufferRef::Inputs, offset, bytes }
                }
                Source::Variable { role: Role::Constant, init } if used.contains(&id) => {
                    let offset = take(&mut self.plan.constant_bytes);
                    let fill = match init {
                        Init::Constant(fill) => *fill,
                        _ => 0.0,
                    };
                    self.plan.constants.push((offset, value.ty.elements(), fill));
                    Location { buffer: BufferRef::Constants, offset, bytes }
                }
                Source::Variable { role: Role::Constant, .. } => continue,
                Source::Variable { role: Role::Metric, .. } => {
                    let offset = self.plan.metrics.len() as u64 * ALIGNMENT;
                    self.plan.metrics.push((name, offset));
                    Location { buffer: BufferRef::Metrics, offset, bytes }
                }
                Source::Variable { role: Role::Parameter | Role::State, .. } => {
                    let entry = self.layout.entries.get(&name).ok_or_else(|| undeclared(&name))?;
                    self.formats.insert(id, entry.format);
                    entry.location
                }
                Source::Variable { role: Role::Slot { parameter, index }, .. } => {
                    let parameter = self.data.describe(*parameter);
                    let slot = |arena| BufferRef::Slots(arena, *index);
                    let place = self.layout.location(&parameter).and_then(|at| at.mirrored(slot));
                    place.ok_or_else(|| undeclared(&parameter))?
                }
            };
            self.fixed.insert(Key::Tensor(id), location);
        }
        let mut uses: HashMap<TensorId, usize> = HashMap::new();
        for id in order.iter().flat_map(|&n| &self.data.nodes[n].inputs) {
            *uses.entry(*id).or_default() += 1;
        }
        let mut arenas: HashSet<usize> = HashSet::new();
        for &node in order {
            let node = &self.data.nodes[node];
            for (gradient, parameter) in node.op.flat_gradients() {
                let name = self.data.describe(node.inputs[parameter]);
                let location = self.layout.location(&name).and_then(Location::gradient);
                let location = location.ok_or_else(|| undeclared(&name))?;
                if let BufferRef::Gradients(arena) = location.buffer {
                    arenas.insert(arena);
                }
                let id = node.inputs[gradient];
                let source = &self.data.value(id).source;
                let computed = matches!(source, Source::Node { node } if !self.data.nodes[*node].op.is_view());
                if computed && uses[&id] == 1 {
                    self.wanted.insert(id, (location, self.format(node.inputs[parameter])));
                }
            }
        }
        self.plan.gradients = arenas.into_iter().map(|a| (a, self.layout.arenas[a].parameter_bytes)).collect();
        self.plan.gradients.sort_unstable();
        Ok(())
    }

    fn lower(&mut self, index: usize) -> Result<()> {
        let node = &self.data.nodes[index];
        if node.op.is_view() {
            let key = self.in_format(index, node.inputs[0], Format::Planar)?;
            self.aliases.insert(node.outputs[0], key);
            return Ok(());
        }
        let mut lowering = Lowering {
            title: node.title(),
            inputs: self.types(&node.inputs),
            outputs: self.types(&node.outputs),
            formats: node.inputs.iter().map(|&id| self.format(id)).collect(),
            reads: vec![Format::Planar; node.inputs.len()],
            writes: vec![Format::Planar; node.outputs.len()],
            residences: node.inputs.iter().map(|&id| self.residence(id)).collect(),
            capabilities: self.capabilities,
            options: self.options,
            dispatches: Vec::new(),
            scratch: Vec::new(),
            textures: Vec::new(),
            choices: Vec::new(),
        };
        node.op.lower(&mut lowering)?;
        let Lowering { dispatches, scratch, textures, choices, reads, writes, .. } = lowering;
        for (number, format) in reads.into_iter().enumerate() {
            self.in_format(index, node.inputs[number], format)?;
            self.reads.insert((index, number), format);
        }
        let count = self.plan.textures.len().max(textures.len());
        self.plan.textures.resize(count, 0);
        for (number, texels) in textures.into_iter().enumerate() {
            self.plan.textures[number] = texels.max(self.plan.textures[number]);
            self.texels.insert((index, number), texels);
        }
        self.plan.choices.extend(choices);
        self.scratch.extend((0..).zip(scratch).map(|(number, bytes)| ((index, number), bytes)));
        self.dispatches.extend(dispatches.into_iter().map(|dispatch| (index, dispatch)));
        for (&id, format) in node.outputs.iter().zip(writes) {
            self.formats.insert(id, format);
            if let Some(&(location, wanted)) = self.wanted.get(&id) {
                let key = self.in_format(index, id, wanted)?;
                self.fixed.insert(key, location);
            }
        }
        Ok(())
    }

    /// The place of an input that is known before memory is planned.
    fn residence(&self, id: TensorId) -> Option<Location> {
        let wanted = self.wanted.get(&id).map(|&(location, _)| location);
        wanted.or_else(|| self.fixed.get(&Key::Tensor(id)).copied())
    }

    fn types(&self, ids: &[TensorId]) -> Vec<TensorType> {
        ids.iter().map(|&id| self.data.value(id).ty.clone()).collect()
    }

    /// Where a tensor is, in the format that it was written in. Views are planar.
    fn stored(&self, id: TensorId) -> Key {
        self.aliases.get(&id).copied().unwrap_or(Key::Tensor(id))
    }

    fn format(&self, id: TensorId) -> Format {
        self.formats.get(&id).copied().unwrap_or_default()
    }

    /// The tensor in a format that it has.
    fn key(&self, id: TensorId, format: Format) -> Key {
        let same = self.format(id).coincides(format, &self.data.value(id).ty);
        if same { self.stored(id) } else { Key::Converted(id, format) }
    }

    /// The tensor in a format; where it is not there, `node` first makes it.
    fn in_format(&mut self, node: usize, id: TensorId, format: Format) -> Result<Key> {
        let key = self.key(id, format);
        if matches!(key, Key::Converted(..)) && self.converted.insert((id, format)) {
            // Every way between two formats leads over the planar one.
            let from = if format == Format::Planar { self.format(id) } else { Format::Planar };
            self.in_format(node, id, from)?;
            self.dispatches.push((node, conversion(&self.data.value(id).ty, id, [from, format], self.capabilities)?));
        }
        Ok(key)
    }

    /// The texture, with the bytes that the node uses of it.
    fn texture(&self, node: usize, number: usize) -> Location {
        let texels = self.texels.get(&(node, number)).copied().unwrap_or(0);
        Location { buffer: BufferRef::Texture(number), offset: 0, bytes: texels as u64 * 16 }
    }

    /// What an operand means, and how it is bound.
    fn resolve(&self, node: usize, operand: Operand) -> (Result<Location, Key>, BindingKind) {
        let tensors = &self.data.nodes[node];
        let (key, kind) = match operand {
            Operand::Flat(flat) => {
                let kind = if flat.write { BindingKind::ReadWrite } else { BindingKind::Read };
                return (Ok(flat.location), kind);
            }
            Operand::TextureRead(n) => return (Ok(self.texture(node, n)), BindingKind::TextureRead),
            Operand::TextureWrite(n) => return (Ok(self.texture(node, n)), BindingKind::TextureWrite),
            Operand::Input(n) => {
                let format = self.reads.get(&(node, n)).copied().unwrap_or_default();
                (self.key(tensors.inputs[n], format), BindingKind::Read)
            }
            Operand::Modify(n) => (self.stored(tensors.inputs[n]), BindingKind::ReadWrite),
            Operand::InFormat(id, format) => (self.key(id, format), BindingKind::Read),
            Operand::Converted(id, format) => (Key::Converted(id, format), BindingKind::ReadWrite),
            Operand::Output(n) => (Key::Tensor(tensors.outputs[n]), BindingKind::ReadWrite),
            Operand::OutputRead(n) => (Key::Tensor(tensors.outputs[n]), BindingKind::Read),
            Operand::ScratchRead(n) => (Key::Scratch(node, n), BindingKind::Read),
            Operand::ScratchWrite(n) => (Key::Scratch(node, n), BindingKind::ReadWrite),
        };
        let fixed = self.fixed.get(&key).copied();
        (fixed.ok_or(key), kind)
    }

    fn bytes(&self, key: Key) -> u64 {
        match key {
            Key::Tensor(id) | Key::Converted(id, _) => self.data.value(id).ty.bytes(),
            Key::Scratch(node, number) => self.scratch.get(&(node, number)).copied().unwrap_or(0),
        }
    }

    fn finish(mut self, fetch: &[Tensor<'_>]) -> Result<Plan> {
        // The host reads planar tensors.
        let mut fetched: Vec<(&Tensor<'_>, Key)> = Vec::new();
        for tensor in fetch {
            let node = match self.data.value(tensor.id()).source {
                Source::Node { node } => node,
                // Only what a node computes has another format.
                _ => 0,
            };
            fetched.push((tensor, self.in_format(node, tensor.id(), Format::Planar)?));
        }
        let guard = if self.options.guard { ALIGNMENT } else { 0 };
        // Lifetimes, in steps.
        let mut index: HashMap<Key, usize> = HashMap::new();
        let mut keys: Vec<Key> = Vec::new();
        let mut blocks: Vec<Block> = Vec::new();
        let mut conflicts: Vec<(usize, usize)> = Vec::new();
        for (step, (node, dispatch)) in self.dispatches.iter().enumerate() {
            let (mut read, mut written) = (Vec::new(), Vec::new());
            for &operand in &dispatch.operands {
                let (Err(key), kind) = self.resolve(*node, operand) else { continue };
                let block = *index.entry(key).or_insert_with(|| {
                    keys.push(key);
                    blocks.push(Block { bytes: align(self.bytes(key)) + guard, first: step, last: step });
                    blocks.len() - 1
                });
                blocks[block].last = step;
                if kind == BindingKind::Read { &mut read } else { &mut written }.push(block);
            }
            conflicts.extend(read.iter().flat_map(|&r| written.iter().map(move |&w| (r, w))));
        }
        for (_, key) in &fetched {
            if let Some(&block) = index.get(key) {
                blocks[block].last = usize::MAX;
            }
        }
        let (placements, slabs) = place(&blocks, &conflicts, self.capabilities.limits.max_buffer_size);
        let locations: HashMap<Key, Location> = keys
            .iter()
            .zip(&placements)
            .map(|(&key, place)| {
                let location =
                    Location { buffer: BufferRef::Slab(place.slab), offset: place.offset, bytes: self.bytes(key) };
                (key, location)
            })
            .collect();
        if self.options.guard {
            self.plan.guards = locations
                .values()
                .map(|at| Location { offset: at.offset + align(at.bytes), bytes: ALIGNMENT, ..*at })
                .collect();
        }
        self.plan.slabs = slabs;

        let mut uniforms: HashMap<Vec<u32>, (u64, u64)> = HashMap::new();
        for (node, dispatch) in &self.dispatches {
            let mut bindings = Vec::new();
            for &operand in &dispatch.operands {
                let (place, kind) = self.resolve(*node, operand);
                let location = match place {
                    Ok(location) => location,
                    // Every key was placed above.
                    Err(key) => locations[&key],
                };
                bindings.push((location, kind));
            }
            let of = &self.data.nodes[*node];
            let step = Step {
                node: of.title(),
                layer: of.layer.clone(),
                number: *node,
                flops: of.op.flops(&self.types(&of.inputs), &self.types(&of.outputs)),
                kernel: dispatch.kernel.clone(),
                params: *uniforms
                    .entry(dispatch.params.clone())
                    .or_insert_with_key(|words| append(&mut self.plan.uniforms, words)),
                workgroups: dispatch.workgroups,
                bindings,
            };
            check_step(&step, self.capabilities)?;
            self.plan.steps.push(step);
        }
        for (tensor, key) in fetched {
            let location = self.fixed.get(&key).or_else(|| locations.get(&key));
            let location = *location.ok_or_else(|| {
                Error::Graph(format!("the fetched tensor {} is not on the device", self.data.describe(tensor.id())))
            })?;
            self.plan.fetches.insert(tensor.id(), Fetch { ty: tensor.ty(), location });
        }
        let fetched = |id: &TensorId| self.plan.fetches.contains_key(id);
        let names = self.data.names.iter().filter(|(_, id)| fetched(id));
        self.plan.names = names.map(|(name, &id)| (name.clone(), id)).collect();
        check_buffers(&self.plan, self.capabilities)?;
        Ok(self.plan)
    }
}

fn undeclared(name: &str) -> Error {
    Error::Graph(format!("the variable `{name}` is not in the layout: extend it by this graph first"))
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
