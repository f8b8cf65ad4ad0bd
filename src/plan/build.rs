//! Building a plan: which nodes, in which order, as which dispatches over which tensors. `arrange.rs` gives them memory.

use std::collections::{HashMap, HashSet};

use super::format::{Format, conversion};
use super::kernel::{Access, Dispatch, Kernel, Operand};
use super::lowering::{Lowering, texture_refusal};
use super::memory::{ALIGNMENT, align};
use super::{Barriers, BufferRef, Feed, Location, Moments, Plan, PlanOptions, VariableLayout};
use crate::error::{Error, Result};
use crate::gpu::Capabilities;
use crate::graph::fuse::{Fused, fuse};
use crate::graph::init::Init;
use crate::graph::{Graph, GraphData, Role, Source, Tensor, TensorId, TensorType};
use crate::ops::chain;

/// A tensor or scratch before it has a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Tensor(TensorId),
    /// A tensor that is computed a second time.
    Again(TensorId),
    /// The copy of a tensor in another format than it was written in.
    Converted(TensorId, Format),
    /// Node and scratch number.
    Scratch(usize, usize),
}

impl Plan {
    /// Plans the nodes that `fetch` and every in-place update (optimizer, running statistics, metrics) need.
    ///
    /// # Errors
    /// When a kernel is not legal on the device, a tensor or grid exceeds its limits, or the plan cannot do with the memory
    /// that the options allow.
    pub fn new(
        graph: &Graph,
        fetch: &[Tensor<'_>],
        layout: &VariableLayout,
        capabilities: &Capabilities,
        options: &PlanOptions,
    ) -> Result<Self> {
        graph.owns("plan", fetch)?;
        let data = graph.data();
        let build = |thrifty: bool| {
            let mut builder = Builder::new(&data, layout, capabilities, options);
            builder.nodes = builder.order(fetch);
            if thrifty {
                builder.room_for_filters = 0;
                builder.recompute(&fetch.iter().map(Tensor::id).collect());
            }
            let read = builder.nodes.iter().flat_map(|node| node.inputs.iter().copied());
            builder.needed = read.chain(fetch.iter().map(Tensor::id)).collect();
            builder.observe();
            builder.fix_places()?;
            for node in 0..builder.nodes.len() {
                builder.lower(node)?;
            }
            builder.arrange(fetch)
        };
        let plan = build(false)?;
        let Some(allowed) = options.memory_budget.filter(|&budget| plan.memory().total() > budget) else {
            return Ok(plan);
        };
        let plan = build(true)?;
        match plan.memory().total() {
            needed if needed > allowed => {
                Err(Error::Limit { what: "a session".into(), needed, limit: "memory_budget", allowed })
            }
            _ => Ok(plan),
        }
    }
}

#[derive(Debug)]
pub(super) struct Builder<'a> {
    pub(super) data: &'a GraphData,
    pub(super) layout: &'a VariableLayout,
    pub(super) capabilities: &'a Capabilities,
    pub(super) options: &'a PlanOptions,
    /// What is computed, in order.
    pub(super) nodes: Vec<Fused>,
    /// Tensors that are computed twice, and the node that does it the second time.
    pub(super) again: HashMap<TensorId, usize>,
    /// What the nodes read and what is fetched.
    needed: HashSet<TensorId>,
    /// Tensors that are another one, or its copy in the other format, under a new shape.
    aliases: HashMap<TensorId, Key>,
    /// Tensors that are not planar, and the inputs of nodes (node, number) that are read so.
    formats: HashMap<TensorId, Format>,
    reads: HashMap<(usize, usize), Format>,
    /// Copies of tensors in another format.
    converted: HashSet<(TensorId, Format)>,
    /// Places known before memory is planned.
    pub(super) fixed: HashMap<Key, Location>,
    /// Where optimizers want the gradients that can be computed there, and how.
    pub(super) wanted: HashMap<TensorId, (Location, Format)>,
    /// Dispatches with the node they belong to.
    pub(super) dispatches: Vec<(usize, Dispatch)>,
    pub(super) scratch: HashMap<(usize, usize), u64>,
    /// Scratch by the work that makes it, and scratch that is another node's.
    made: HashMap<String, (usize, usize)>,
    pub(super) shared: HashMap<(usize, usize), (usize, usize)>,
    /// Tensors whose statistics are wanted, and those that there are, with the node that takes them.
    pub(super) observed: HashSet<TensorId>,
    pub(super) moments: HashMap<TensorId, (usize, Moments)>,
    /// Bytes that packed filters which are kept may still take.
    room_for_filters: u64,
    pub(super) plan: Plan,
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
            kept_steps: 0,
            kept_copies: Default::default(),
            changes_variables: false,
            feeds: Vec::new(),
            input_bytes: 0,
            constants: Default::default(),
            metrics: Vec::new(),
            gradients: Vec::new(),
            fetches: HashMap::new(),
            names: HashMap::new(),
            guards: Vec::new(),
            choices: Vec::new(),
            barriers: Barriers::default(),
        };
        let (again, aliases, formats, reads, converted, fixed, wanted) = Default::default();
        let (nodes, needed, dispatches, scratch, made, shared) = Default::default();
        let (observed, moments) = Default::default();
        Self {
            data,
            layout,
            capabilities,
            options,
            nodes,
            again,
            needed,
            aliases,
            formats,
            reads,
            converted,
            fixed,
            wanted,
            dispatches,
            scratch,
            made,
            shared,
            observed,
            moments,
            room_for_filters: super::kept::room_for_filters(layout.bytes()),
            plan,
        }
    }

    /// The needed nodes in order of execution: as declared, in-place updates last, so that a step reads what was there
    /// before it; functions of single elements joined to what computes their argument.
    fn order(&self, fetch: &[Tensor<'_>]) -> Vec<Fused> {
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
        let order: Vec<usize> = chosen().filter(|&n| !updates(n)).chain(chosen().filter(|&n| updates(n))).collect();
        let kept = fetch.iter().map(Tensor::id).collect();
        let most_tensors = match self.options.fuse {
            true => self.capabilities.limits.max_storage_buffers_per_shader_stage as usize,
            false => 0,
        };
        fuse(self.data, &order, &kept, most_tensors)
    }

    /// Gives inputs, settings, variables and the optimizers' gradients their places.
    fn fix_places(&mut self) -> Result<()> {
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
                Source::Variable { role: Role::Constant, init } if self.needed.contains(&id) => {
                    let fill = match init {
                        Init::Constant(fill) => *fill,
                        _ => 0.0,
                    };
                    self.plan.constants.fill(value.ty.elements(), fill)
                }
                Source::Table(integers) if self.needed.contains(&id) => {
                    self.plan.constants.table(integers.iter().map(|&integer| f32::from_bits(integer)).collect())
                }
                Source::Variable { role: Role::Constant, .. } | Source::Table(_) => continue,
                Source::Variable { role: Role::Metric, .. } => {
                    let offset = self.plan.metrics.len() as u64 * ALIGNMENT;
                    self.plan.metrics.push((name, offset));
                    Location { buffer: BufferRef::Metrics, offset, bytes }
                }
                Source::Variable { role: Role::Parameter | Role::Frozen | Role::State, .. } => {
                    let entry = self.layout.entries.get(&name).ok_or_else(|| undeclared(&name))?;
                    self.formats.insert(id, entry.format);
                    entry.location
                }
                Source::Variable { role: Role::Slot { parameter, .. } | Role::Average { parameter }, .. } => {
                    let mirror = |arena| match value.source {
                        Source::Variable { role: Role::Slot { index, .. }, .. } => BufferRef::Slots(arena, index),
                        _ => BufferRef::Averages(arena),
                    };
                    let parameter = self.data.describe(*parameter);
                    let place = self.layout.location(&parameter).and_then(|at| at.mirrored(mirror));
                    place.ok_or_else(|| undeclared(&parameter))?
                }
            };
            self.fixed.insert(Key::Tensor(id), location);
        }
        self.place_gradients()?;
        self.plan.changes_variables = self.nodes.iter().any(|node| {
            let variable = |&index: &usize| self.fixed.get(&Key::Tensor(node.inputs[index])).copied();
            node.op.mutates().iter().filter_map(variable).any(Location::is_variable)
        });
        Ok(())
    }

    fn lower(&mut self, index: usize) -> Result<()> {
        let node = self.nodes[index].clone();
        if node.op.is_view() {
            let key = self.in_format(index, node.inputs[0], Format::Planar)?;
            self.aliases.insert(node.outputs[0], key);
            return Ok(());
        }
        let mut lowering = Lowering {
            title: node.title(),
            op: node.op.clone(),
            inputs: self.types(&node.inputs),
            outputs: self.types(&node.outputs),
            needed: node.outputs.iter().map(|id| self.needed.contains(id)).collect(),
            epilogue: node.chain.clone(),
            observed: false,
            moments: None,
            formats: node.inputs.iter().map(|&id| self.format(id)).collect(),
            reads: vec![Format::Planar; node.inputs.len()],
            writes: vec![Format::Planar; node.outputs.len()],
            partial: None,
            keeps_filter: self.kept_filter(&node).is_some(),
            room_for_filters: self.room_for_filters,
            residences: node.inputs.iter().map(|&id| self.residence(id)).collect(),
            capabilities: self.capabilities,
            options: self.options,
            dispatches: Vec::new(),
            scratch: Vec::new(),
            choices: Vec::new(),
            constants: std::mem::take(&mut self.plan.constants),
        };
        self.offer(index, &node, &mut lowering);
        match node.op.pointwise() {
            Some(_) => chain::lower(&mut lowering)?,
            None => node.op.lower(&mut lowering)?,
        }
        let Lowering { dispatches, scratch, choices, reads, writes, room_for_filters, constants, moments, .. } =
            lowering;
        (self.room_for_filters, self.plan.constants) = (room_for_filters, constants);
        // An operation that said that it takes them may not forget them.
        if !node.chain.is_empty() && !dispatches.iter().any(|dispatch| dispatch.kernel.computes(&node.chain)) {
            return Err(Error::Graph(format!("{}: no kernel computes what follows", node.title())));
        }
        self.taken(index, &node, moments);
        let operands = || dispatches.iter().flat_map(|dispatch| &dispatch.operands);
        for (number, format) in reads.into_iter().enumerate() {
            let read = |operand: &Operand| [Operand::Input(number), Operand::InputTexture(number)].contains(operand);
            if operands().any(read) {
                self.in_format(index, node.inputs[number], format)?;
            }
            self.reads.insert((index, number), format);
        }
        self.plan.choices.extend(choices);
        self.scratch.extend((0..).zip(scratch).map(|(number, bytes)| ((index, number), bytes)));
        let all = operands().copied().collect::<Vec<_>>();
        for dispatch in dispatches {
            if !self.repeats(index, &dispatch, &all) {
                self.dispatches.push((index, dispatch));
            }
        }
        for (&id, format) in node.outputs.iter().zip(writes) {
            self.formats.insert(id, format);
            if let Some(&(location, wanted)) = self.wanted.get(&id) {
                let key = self.in_format(index, id, wanted)?;
                self.fixed.insert(key, location);
            }
        }
        Ok(())
    }

    /// Whether an earlier node has made the same scratch of the same tensors, as where a convolution and its gradient pack
    /// one image: then that one is used. What one of several dispatches leaves in a scratch, `all` being the operands of
    /// them all, is not what the next node finds there.
    fn repeats(&mut self, node: usize, dispatch: &Dispatch, all: &[Operand]) -> bool {
        let mut written = Vec::new();
        let mut read = Vec::new();
        for (number, &operand) in dispatch.operands.iter().enumerate() {
            match operand {
                Operand::ScratchWrite(number) => written.push(number),
                Operand::Input(_) | Operand::InputTexture(_) => {
                    read.push((self.resolve(node, operand), dispatch.span(number)));
                }
                _ => return false,
            }
        }
        let &[number] = written.as_slice() else { return false };
        if all.iter().filter(|&&operand| operand == Operand::ScratchWrite(number)).count() > 1 {
            return false;
        }
        let Kernel { shader, entry, constants, template, .. } = &dispatch.kernel;
        let work = format!(
            "{} {entry} {constants:?} {template:?} {:?} {:?} {read:?}",
            shader.name, dispatch.params, dispatch.workgroups
        );
        match self.made.get(&work) {
            Some(&earlier) => {
                self.shared.insert((node, number), earlier);
                true
            }
            None => {
                self.made.insert(work, (node, number));
                false
            }
        }
    }

    fn scratch_key(&self, node: usize, number: usize) -> Key {
        let (node, number) = self.shared.get(&(node, number)).copied().unwrap_or((node, number));
        Key::Scratch(node, number)
    }

    pub(super) fn types(&self, ids: &[TensorId]) -> Vec<TensorType> {
        ids.iter().map(|&id| self.data.value(id).ty.clone()).collect()
    }

    /// Where a tensor is, in the format that it was written in. Views are planar.
    fn stored(&self, node: usize, id: TensorId) -> Key {
        let again = self.again.get(&id).is_some_and(|&from| node >= from);
        let own = if again { Key::Again(id) } else { Key::Tensor(id) };
        self.aliases.get(&id).copied().unwrap_or(own)
    }

    pub(super) fn format(&self, id: TensorId) -> Format {
        self.formats.get(&id).copied().unwrap_or_default()
    }

    /// The tensor in a format that it has.
    fn key(&self, node: usize, id: TensorId, format: Format) -> Key {
        let same = self.format(id).coincides(format, &self.data.value(id).ty);
        if same { self.stored(node, id) } else { Key::Converted(id, format) }
    }

    /// The tensor in a format; where it is not there, `node` first makes it.
    pub(super) fn in_format(&mut self, node: usize, id: TensorId, format: Format) -> Result<Key> {
        let key = self.key(node, id, format);
        // The key of a view may be the copy of another tensor, which is there.
        if key == Key::Converted(id, format) && self.converted.insert((id, format)) {
            // Every way between two formats leads over the planar one.
            let from = if format == Format::Planar { self.format(id) } else { Format::Planar };
            self.in_format(node, id, from)?;
            let ty = &self.data.value(id).ty;
            let (capabilities, options) = (self.capabilities, self.options);
            let textured = options.prefers_textures(ty.elements())
                && texture_refusal(capabilities, 1, ty.elements().div_ceil(4)).is_none();
            self.dispatches.push((node, conversion(ty, id, [from, format], textured, capabilities)?));
        }
        Ok(key)
    }

    /// What an operand means, and how a dispatch gets at it.
    pub(super) fn resolve(&self, node: usize, operand: Operand) -> (Result<Location, Key>, Access) {
        let Fused { inputs, outputs, .. } = &self.nodes[node];
        let input = |n: usize| {
            let format = self.reads.get(&(node, n)).copied().unwrap_or_default();
            self.key(node, inputs[n], format)
        };
        let (key, access) = match operand {
            Operand::Flat(flat) => return (Ok(flat.location), flat.access),
            Operand::Input(n) => (input(n), Access::Read),
            Operand::InputTexture(n) => (input(n), Access::Texture),
            Operand::Modify(n) => (self.stored(node, inputs[n]), Access::Write),
            Operand::InFormat(id, format) => (self.key(node, id, format), Access::Read),
            Operand::InFormatTexture(id, format) => (self.key(node, id, format), Access::Texture),
            Operand::Converted(id, format) => (Key::Converted(id, format), Access::Write),
            Operand::Output(n) => (self.stored(node, outputs[n]), Access::Write),
            Operand::ScratchRead(n) => (self.scratch_key(node, n), Access::Read),
            Operand::ScratchTexture(n) => (self.scratch_key(node, n), Access::Texture),
            Operand::ScratchWrite(n) => (self.scratch_key(node, n), Access::Write),
        };
        let fixed = self.fixed.get(&key).copied();
        (fixed.ok_or(key), access)
    }

    pub(super) fn bytes(&self, key: Key) -> u64 {
        match key {
            Key::Tensor(id) | Key::Again(id) => self.data.value(id).ty.bytes(),
            Key::Converted(id, format) => format.bytes(&self.data.value(id).ty),
            Key::Scratch(node, number) => self.scratch.get(&(node, number)).copied().unwrap_or(0),
        }
    }
}

pub(super) fn undeclared(name: &str) -> Error {
    Error::Graph(format!("the variable `{name}` is not in the layout: extend it by this graph first"))
}
