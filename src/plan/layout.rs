//! Where variables live: flat buffers, so that an optimizer can go over all parameters in one dispatch.

use std::collections::{HashMap, HashSet};

use super::memory::{ALIGNMENT, align};
use super::{BufferRef, Format, Location};
use crate::error::{Error, Result};
use crate::gpu::Capabilities;
use crate::graph::init::Init;
use crate::graph::{Graph, Role, Source, TensorId, TensorType, updated};

/// One flat buffer of parameters, one of state, and the optimizer slots that mirror the parameters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arena {
    pub(crate) parameter_bytes: u64,
    pub(crate) state_bytes: u64,
    /// Number of optimizer slots, each of `parameter_bytes`.
    pub(crate) slots: usize,
    /// Whether moving averages are kept, `parameter_bytes` of them.
    pub(crate) averaged: bool,
}

/// A saved variable: its type, start and place.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) ty: TensorType,
    pub(crate) role: Role,
    pub(crate) init: Init,
    /// How it lies there.
    pub(crate) format: Format,
    pub(crate) location: Location,
}

/// A slot or an average of a parameter.
#[derive(Debug, Clone)]
struct Memory {
    name: String,
    entry: Entry,
    parameter: Location,
}

impl Memory {
    fn is_average(&self) -> bool {
        matches!(self.entry.location.buffer, BufferRef::Averages(_))
    }
}

/// The places of all variables that the graphs seen so far declare. Graphs that declare the same names share them.
#[derive(Debug, Clone, Default)]
pub struct VariableLayout {
    pub(crate) entries: HashMap<String, Entry>,
    /// Names in order of declaration.
    pub(crate) order: Vec<String>,
    /// What the optimizers of the last graphs keep for their parameters.
    memory: Vec<Memory>,
    pub(crate) arenas: Vec<Arena>,
    /// The device that they are for, which decides how filters lie in memory.
    device: Option<Capabilities>,
}

impl VariableLayout {
    /// The layout of one graph's variables for no device in particular, all of them row-major.
    ///
    /// # Errors
    /// See [`VariableLayout::extend`].
    pub fn of(graph: &Graph, max_buffer_size: u64) -> Result<Self> {
        let mut layout = Self::default();
        layout.extend(graph, max_buffer_size)?;
        Ok(layout)
    }

    /// The layout of one graph's variables as a device keeps them.
    ///
    /// # Errors
    /// See [`VariableLayout::extend`].
    pub fn on(graph: &Graph, capabilities: &Capabilities) -> Result<Self> {
        let mut layout = Self::for_device(capabilities);
        layout.extend(graph, capabilities.limits.max_buffer_size)?;
        Ok(layout)
    }

    /// An empty layout for a device.
    pub(super) fn for_device(capabilities: &Capabilities) -> Self {
        Self { device: Some(capabilities.clone()), ..Self::default() }
    }

    /// Adds the variables of `graph` that are not there yet; they start a new arena, and a further one wherever a buffer
    /// would exceed `max_buffer_size`. Those of less than two axes lie behind the others, so that an optimizer that treats
    /// biases in another way goes over two runs.
    ///
    /// # Errors
    /// When a name is known with another shape or role, or one that was frozen when it was added is to be learned.
    pub fn extend(&mut self, graph: &Graph, max_buffer_size: u64) -> Result<()> {
        let data = graph.data();
        let filters: HashSet<TensorId> = data.nodes.iter().filter_map(|n| Some(n.inputs[n.op.filter()?])).collect();
        let updated = updated(&data);
        let mut added = Vec::new();
        for (index, value) in data.values.iter().enumerate() {
            let id = data.id(index);
            let Source::Variable { role: role @ (Role::Parameter | Role::Frozen | Role::State), init } = value.source
            else {
                continue;
            };
            let name = value.name.clone().unwrap_or_default();
            if let Some(entry) = self.entries.get(&name) {
                let variable = || format!("variable `{name}`");
                if entry.role == Role::Frozen && updated.contains(&id) {
                    let message = "it was frozen by the graph that declared it, and is now to be learned";
                    return Err(Error::argument(variable(), message));
                }
                // Who does not learn a parameter can use it all the same.
                if (entry.role == Role::State) != (role == Role::State) {
                    return Err(Error::shape(variable(), named(entry.role, &entry.ty), named(role, &value.ty)));
                }
                if entry.ty != value.ty {
                    return Err(Error::shape(variable(), &entry.ty, &value.ty));
                }
                continue;
            }
            added.push((name, id, role, init));
        }
        self.order.extend(added.iter().map(|(name, ..)| name.clone()));
        let axes = |id: TensorId| data.value(id).ty.shape.len();
        added.sort_by_key(|&(_, id, ..)| axes(id) < 2);
        let mut arena: Option<usize> = None;
        for (name, id, role, init) in added {
            let value = data.value(id);
            let bytes = align(value.ty.bytes());
            let full = |index: usize| {
                let arena = &self.arenas[index];
                arena.parameter_bytes.max(arena.state_bytes) + bytes > max_buffer_size
            };
            let index = match arena {
                Some(index) if !full(index) => index,
                _ => {
                    self.arenas.push(Arena::default());
                    self.arenas.len() - 1
                }
            };
            arena = Some(index);
            let (size, buffer) = match role {
                Role::Parameter => (&mut self.arenas[index].parameter_bytes, BufferRef::Parameters(index)),
                _ => (&mut self.arenas[index].state_bytes, BufferRef::State(index)),
            };
            let location = Location { buffer, offset: *size, bytes: value.ty.bytes() };
            *size += bytes;
            let format = match &self.device {
                Some(device) if filters.contains(&id) => Format::of_filters(&value.ty, device),
                _ => Format::Planar,
            };
            self.entries.insert(name, Entry { ty: value.ty.clone(), role, init, format, location });
        }
        let mut memory = Vec::new();
        for value in &data.values {
            let (parameter, slots, averaged) = match value.source {
                Source::Variable { role: Role::Slot { parameter, index }, .. } => (parameter, index + 1, false),
                Source::Variable { role: Role::Average { parameter }, .. } => (parameter, 0, true),
                _ => continue,
            };
            let parameter = data.value(parameter).name.as_deref().unwrap_or_default();
            let Some(parameter) = self.entries.get(parameter).cloned() else { continue };
            let BufferRef::Parameters(index) = parameter.location.buffer else { continue };
            let arena = &mut self.arenas[index];
            (arena.slots, arena.averaged) = (arena.slots.max(slots), arena.averaged || averaged);
            let buffer = if averaged { BufferRef::Averages(index) } else { BufferRef::Slots(index, slots - 1) };
            let location = Location { buffer, ..parameter.location };
            let (name, at) = (value.name.clone().unwrap_or_default(), parameter.location);
            memory.push(Memory { name, entry: Entry { location, ..parameter }, parameter: at });
        }
        // What another optimizer kept for the same parameters is no more.
        let ours: HashSet<Location> = memory.iter().map(|memory| memory.parameter).collect();
        // What is learned without an average has none any more.
        let learned = updated.iter().filter_map(|&id| self.entries.get(data.value(id).name.as_deref()?));
        let learned: HashSet<Location> = learned.map(|entry| entry.location).collect();
        let goes = |own: &Memory| ours.contains(&own.parameter) || own.is_average() && learned.contains(&own.parameter);
        self.memory.retain(|memory| !goes(memory));
        self.memory.extend(memory);
        Ok(())
    }

    /// Bytes of all variables and optimizer slots, as [`Variables`](crate::Variables) allocate them.
    pub fn bytes(&self) -> u64 {
        let mirrors = |arena: &Arena| 1 + arena.slots as u64 + u64::from(arena.averaged);
        let arena = |arena: &Arena| arena.parameter_bytes * mirrors(arena) + arena.state_bytes;
        self.arenas.iter().map(arena).sum()
    }

    /// What optimizers keep, by name.
    pub(super) fn memory(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.memory.iter().map(|memory| (&memory.name, &memory.entry))
    }

    /// The same variables without what optimizers keep.
    pub(super) fn without_memory(&self) -> Self {
        let plain = |arena: &Arena| Arena { slots: 0, averaged: false, ..arena.clone() };
        Self { arenas: self.arenas.iter().map(plain).collect(), memory: Vec::new(), ..self.clone() }
    }

    /// The same variables with the averages in the place of the parameters that have one; `None` where none has.
    pub(super) fn averaged(&self) -> Option<Self> {
        let averages = self.memory.iter().filter(|memory| memory.is_average());
        let averages: HashMap<Location, Location> = averages.map(|own| (own.parameter, own.entry.location)).collect();
        let mut layout = self.without_memory();
        for entry in layout.entries.values_mut() {
            entry.location = averages.get(&entry.location).copied().unwrap_or(entry.location);
        }
        (!averages.is_empty()).then_some(layout)
    }

    /// Where a parameter or state lives.
    pub(crate) fn location(&self, name: &str) -> Option<Location> {
        self.entries.get(name).map(|entry| entry.location)
    }
}

/// `a parameter f32[2]`, for errors about one of the two roles that have a place here.
fn named(role: Role, ty: &TensorType) -> String {
    format!("a {} {ty}", if role == Role::State { "state" } else { "parameter" })
}

/// Joins locations that follow each other without a gap into runs of at most `limit` bytes; returns index lists.
pub(crate) fn runs(locations: &[Location], limit: u64) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..locations.len()).collect();
    order.sort_by_key(|&i| (locations[i].buffer, locations[i].offset));
    let mut runs: Vec<Vec<usize>> = Vec::new();
    for index in order {
        let here = locations[index];
        let joins = runs.last().is_some_and(|run| {
            let (first, last) = (locations[run[0]], locations[run[run.len() - 1]]);
            last.buffer == here.buffer
                && align(last.offset + last.bytes) == here.offset
                && here.offset + here.bytes - first.offset + ALIGNMENT <= limit
        });
        match runs.last_mut() {
            Some(run) if joins => run.push(index),
            _ => runs.push(vec![index]),
        }
    }
    runs
}
