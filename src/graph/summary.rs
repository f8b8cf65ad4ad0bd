//! What a network's layers are, how large, and how far they see: known from the graph alone.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::{Graph, GraphData, Node, Role, Shape, Source, TensorId, TensorType};

/// A window over the last axes, one number for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sliding {
    pub(crate) kernel: Vec<usize>,
    pub(crate) stride: Vec<usize>,
    pub(crate) dilation: Vec<usize>,
}

/// What one result of an operation sees of its arguments. Axes of several arguments are counted from the last one, as in
/// broadcasting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The same place.
    Place,
    /// The same place of one argument, whose axis `order[a]` is axis a of the result.
    Moved { input: usize, order: Vec<Option<usize>> },
    /// A window.
    Window(Sliding),
    /// A window of a result that has been spread out: strides are counted in places of the result.
    Spread(Sliding),
    /// Everything along these axes, the same place along the others.
    Along(Vec<usize>),
    /// Everything.
    Whole,
    /// Nothing that counts: a batch's statistics say no more of an image than parameters do.
    Nothing,
}

/// The part of the network's input that one result of a layer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceptiveField {
    /// Depth, height and width of a window, which may reach beyond the input; 1 along axes that the input has not.
    Window([usize; 3]),
    /// All of it.
    Whole,
}

impl ReceptiveField {
    /// Height and width of the window, with the depth before them where there is one; `None` for all of the input.
    pub fn sizes(&self) -> Option<Vec<usize>> {
        match self {
            Self::Window([1, height, width]) => Some(vec![*height, *width]),
            Self::Window(sizes) => Some(sizes.to_vec()),
            Self::Whole => None,
        }
    }
}

/// `5x5`, or `all`.
impl fmt::Display for ReceptiveField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sizes() {
            Some(sizes) => f.write_str(&sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("x")),
            None => f.write_str("all"),
        }
    }
}

/// One layer of a network: an operation, or several that make one.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LayerSummary {
    /// The layer's name, or empty.
    pub name: String,
    /// What it does: `conv2d`.
    pub operation: &'static str,
    /// Its parameters as a person reads them: `stride [2, 2]`; may be empty.
    pub attributes: String,
    /// The size of the window that it moves over its argument, empty where it has none.
    pub kernel: Vec<usize>,
    /// How far that window moves each time: of a transposed convolution, in places of the result.
    pub stride: Vec<usize>,
    /// What it makes.
    pub output: TensorType,
    /// Learned values that it is the first to use, so that those of all layers add up to those of the network.
    pub parameters: usize,
    /// Multiplications with an addition that its formula needs, whatever kernel computes it; 0 where memory and not
    /// arithmetic decides how long it takes.
    pub multiply_adds: u64,
    /// Bytes of what it makes for others: a maximum's place counts only where something asks for it.
    pub activation_bytes: u64,
    /// What one of its results depends on.
    pub receptive_field: ReceptiveField,
}

/// Nodes that are one operation to who reads the graph.
#[derive(Debug)]
pub(crate) struct Composite {
    name: &'static str,
    layer: String,
    attributes: String,
    reach: Reach,
}

/// Along one axis of the input: how far a result sees, and how far apart neighbours' views are, both in places of the input.
#[derive(Debug, Clone, Copy)]
struct View {
    extent: f64,
    step: f64,
    /// The tensor's axis along which neighbours are neighbours there, unless it has been split or joined.
    axis: Option<usize>,
}

/// What one element of a tensor sees of the network's input.
#[derive(Debug, Clone)]
struct Sight {
    views: Vec<View>,
    whole: bool,
}

impl Sight {
    /// Of an element of the input: axes behind batch and channels, or behind the batch where nothing else is.
    fn of_input(shape: &Shape) -> Self {
        let rank = shape.len();
        let first = if rank > 2 { rank.saturating_sub(3).max(2) } else { 1 };
        let view = |axis| View { extent: 1.0, step: 1.0, axis: Some(axis) };
        Self { views: (first..rank).map(view).collect(), whole: false }
    }

    /// With axes elsewhere, or nowhere.
    fn moved(mut self, to: impl Fn(usize) -> Option<usize>) -> Self {
        self.views.iter_mut().for_each(|view| view.axis = view.axis.and_then(&to));
        self
    }

    /// Of the same memory under another shape: an axis stays one where as much lies before it and it is as long.
    fn reshaped(self, from: &Shape, to: &Shape) -> Self {
        let before = |shape: &Shape, axis: usize| shape[..axis].iter().product::<usize>();
        self.moved(|axis| match from[axis] {
            1 => (from.len() == to.len() && to[axis] == 1).then_some(axis),
            extent => (0..to.len()).find(|&other| to[other] == extent && before(to, other) == before(from, axis)),
        })
    }

    /// Of what sees as much as both.
    fn with(mut self, other: Self) -> Self {
        self.whole |= other.whole || self.views.len() != other.views.len();
        for (view, other) in self.views.iter_mut().zip(other.views) {
            view.extent = view.extent.max(other.extent);
            view.step = view.step.max(other.step);
            view.axis = view.axis.filter(|_| view.axis == other.axis);
        }
        self
    }

    /// Applies what happens along an axis to what is seen along it: everything, if nobody knows where that is now.
    fn along(&mut self, axis: usize, change: impl Fn(&mut View)) {
        match self.views.iter_mut().find(|view| view.axis == Some(axis)) {
            Some(view) => change(view),
            None => self.whole |= self.views.iter().any(|view| view.axis.is_none()),
        }
    }

    /// Of the result, of this rank, of an operation that reaches so far.
    fn through(mut self, reach: &Reach, rank: usize) -> Self {
        let (sliding, spreads) = match reach {
            Reach::Window(sliding) => (sliding, false),
            Reach::Spread(sliding) => (sliding, true),
            Reach::Along(axes) => {
                // Everything along one axis of several is more than a window and less than all: it counts as all.
                let seen = |axis: &Option<usize>| axis.is_none_or(|axis| axes.contains(&axis));
                self.whole |= self.views.iter().any(|view| seen(&view.axis));
                return self;
            }
            Reach::Whole => {
                self.whole = true;
                return self;
            }
            Reach::Place | Reach::Moved { .. } | Reach::Nothing => return self,
        };
        let Sliding { kernel, stride, dilation } = sliding;
        for number in 0..kernel.len() {
            let (stride, extent) = (stride[number], (kernel[number] - 1) * dilation[number] + 1);
            if [stride, extent] == [1, 1] {
                continue;
            }
            self.along((rank + number).saturating_sub(kernel.len()), |view| match spreads {
                false => {
                    view.extent += (extent as f64 - 1.0) * view.step;
                    view.step *= stride as f64;
                }
                true => {
                    // A window meets so many of the places that were spread out.
                    view.extent += (extent.div_ceil(stride) as f64 - 1.0) * view.step;
                    view.step /= stride as f64;
                }
            });
        }
        self
    }

    fn field(&self) -> ReceptiveField {
        if self.whole {
            return ReceptiveField::Whole;
        }
        let mut sizes = [1; 3];
        for (size, view) in sizes.iter_mut().rev().zip(self.views.iter().rev()) {
            *size = view.extent.round() as usize;
        }
        ReceptiveField::Window(sizes)
    }
}

/// What is known so far on the way through a graph's nodes.
struct Walk<'a> {
    data: &'a GraphData,
    sights: HashMap<TensorId, Sight>,
    /// Parameters that a layer has used.
    counted: HashSet<TensorId>,
    /// Tensors that somebody reads.
    read: HashSet<TensorId>,
}

impl Walk<'_> {
    fn types(&self, ids: &[TensorId]) -> Vec<TensorType> {
        ids.iter().map(|&id| self.data.value(id).ty.clone()).collect()
    }

    /// What a tensor sees. Parameters see nothing: they are the same wherever one looks.
    fn seen(&self, id: TensorId) -> Option<Sight> {
        let value = self.data.value(id);
        match value.source {
            Source::Input => Some(Sight::of_input(&value.ty.shape)),
            _ => self.sights.get(&id).cloned(),
        }
    }

    /// What results of `nodes`, of this rank, see together; what is between the nodes is nobody else's.
    fn sight(&self, nodes: &[Node], reach: &Reach, rank: usize) -> Option<Sight> {
        let inputs = nodes.iter().flat_map(|node| node.inputs.iter().enumerate());
        let seen = inputs.filter_map(|(input, &id)| {
            let (sight, own) = (self.seen(id)?, self.data.value(id).ty.shape.len());
            Some(match reach {
                Reach::Moved { input: moved, order } if *moved == input => {
                    sight.moved(|axis| order.iter().position(|&from| from == Some(axis)))
                }
                Reach::Moved { .. } => Sight { whole: true, ..sight },
                _ => sight.moved(|axis| (axis + rank).checked_sub(own)),
            })
        });
        seen.reduce(Sight::with).filter(|_| *reach != Reach::Nothing).map(|sight| sight.through(reach, rank))
    }

    /// The parameter that a tensor is, whatever its shape.
    fn parameter(&self, mut id: TensorId) -> Option<TensorId> {
        loop {
            match self.data.value(id).source {
                Source::Variable { role: Role::Parameter, .. } => return Some(id),
                Source::Node { node } if self.data.nodes[node].op.is_view() => id = self.data.nodes[node].inputs[0],
                _ => return None,
            }
        }
    }

    /// The layer that these nodes are: one, or those of a composite.
    fn layer(&mut self, nodes: &[Node]) -> Option<LayerSummary> {
        let last = nodes.last()?;
        let (inputs, outputs) = (self.types(&last.inputs), self.types(&last.outputs));
        let rank = outputs.first().map_or(0, |ty| ty.shape.len());
        let composite = last.composite.as_deref();
        let reach = composite.map_or_else(|| last.op.reach(&inputs), |composite| composite.reach.clone());
        let sight = match nodes {
            [view] if view.op.is_view() => {
                self.seen(view.inputs[0]).map(|sight| sight.reshaped(&inputs[0].shape, &outputs[0].shape))
            }
            _ => self.sight(nodes, &reach, rank),
        };
        if let Some(sight) = &sight {
            self.sights.extend(nodes.iter().flat_map(|node| &node.outputs).map(|&id| (id, sight.clone())));
        }
        if nodes.iter().all(|node| node.op.is_view()) {
            return None;
        }
        let used: Vec<TensorId> =
            nodes.iter().flat_map(|node| &node.inputs).filter_map(|&id| self.parameter(id)).collect();
        let parameters = used.into_iter().filter(|&id| self.counted.insert(id));
        let parameters = parameters.map(|id| self.data.value(id).ty.elements()).sum();
        let output = outputs.first()?.clone();
        let wanted = |&(index, id): &(usize, &TensorId)| index == 0 || self.read.contains(id);
        let bytes =
            |(index, _): (usize, &TensorId)| outputs[index].elements() as u64 * outputs[index].dtype.size() as u64;
        let multiply_adds =
            nodes.iter().map(|node| node.op.flops(&self.types(&node.inputs), &self.types(&node.outputs)) / 2);
        let (kernel, stride) = match reach {
            Reach::Window(Sliding { kernel, stride, .. }) | Reach::Spread(Sliding { kernel, stride, .. }) => {
                (kernel, stride)
            }
            _ => (Vec::new(), Vec::new()),
        };
        Some(LayerSummary {
            name: composite.map_or(&last.layer, |composite| &composite.layer).clone(),
            operation: composite.map_or_else(|| last.op.name(), |composite| composite.name),
            attributes: composite.map_or_else(|| last.op.attributes(), |composite| composite.attributes.clone()),
            kernel,
            stride,
            output,
            parameters,
            multiply_adds: multiply_adds.sum(),
            activation_bytes: last.outputs.iter().enumerate().filter(wanted).map(bytes).sum(),
            receptive_field: sight.map_or(ReceptiveField::Window([1; 3]), |sight| sight.field()),
        })
    }
}

impl Graph {
    /// Makes the nodes that `build` adds one layer of the summary. Of composites within each other the outermost counts.
    pub(crate) fn as_one<T>(
        &self,
        name: &'static str,
        layer: &str,
        attributes: String,
        reach: Reach,
        build: impl FnOnce() -> T,
    ) -> T {
        if self.composite.borrow().is_some() {
            return build();
        }
        let composite = Composite { name, layer: layer.to_string(), attributes, reach };
        self.composite.replace(Some(Arc::new(composite)));
        let result = build();
        self.composite.replace(None);
        result
    }

    /// Every layer in order, but those that only look at memory under another shape.
    ///
    /// The receptive field is that of Araujo et al. 2019, "Computing Receptive Fields of Convolutional Neural Networks":
    /// windows widen it by (extent - 1) times the distance of neighbours, strides widen the distance. What a batch norm
    /// learns of the batch is not counted.
    pub fn layers(&self) -> Vec<LayerSummary> {
        let data = self.data();
        let read = data.nodes.iter().flat_map(|node| &node.inputs);
        let named =
            (0..data.values.len()).filter(|&index| data.values[index].name.is_some()).map(|index| data.id(index));
        let read = read.copied().chain(named).collect();
        let mut walk = Walk { data: &data, sights: HashMap::new(), counted: HashSet::new(), read };
        let same = |a: &Node, b: &Node| match (&a.composite, &b.composite) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        data.nodes.chunk_by(same).filter_map(|nodes| walk.layer(nodes)).collect()
    }
}
