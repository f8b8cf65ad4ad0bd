//! The network as data: symbolic tensors with known shapes, named parameters, gradients as further nodes.
//!
//! A [`Graph`] is built once by fluent calls on [`Tensor`] handles; nothing is computed and no device is touched.
//!
//! ```
//! use omma::{Conv2d, Graph, Mode};
//!
//! let graph = Graph::new(Mode::Evaluation);
//! let x = graph.input("images", [8, 1, 28, 28])?;
//! let y = x.conv2d("conv1", Conv2d::new(6, 5).padding(2))?.relu()?.max_pool2d(2)?;
//! assert_eq!(y.shape().to_string(), "[8, 6, 14, 14]");
//! # Ok::<(), omma::Error>(())
//! ```

pub(crate) mod chain;
mod dump;
pub(crate) mod evaluate;
mod freeze;
pub(crate) mod fuse;
pub(crate) mod gradients;
pub(crate) mod init;
pub(crate) mod op;
mod summary;
mod tensor;
pub(crate) mod types;

use std::cell::{Ref, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use evaluate::Evaluator;
pub(crate) use freeze::updated;
pub(crate) use gradients::GradientContext;
pub use init::Init;
pub(crate) use op::{Evaluation, Op};
use summary::Composite;
pub use summary::{LayerSummary, ReceptiveField};
pub(crate) use summary::{Reach, Sliding};
pub use tensor::Tensor;
pub use types::{DType, Shape, TensorType};

use crate::error::{Error, Result};

/// Whether dropout drops and batch norm uses the batch's own statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Dropout is active; batch norm normalises by the batch and updates its running statistics.
    Training,
    /// Dropout passes values through; batch norm uses its running statistics.
    Evaluation,
}

/// A tensor's number in its graph; numbers of different graphs are never equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId {
    graph: u64,
    pub(crate) index: usize,
}

/// What keeps a variable, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Role {
    /// Learned: has a gradient, is saved, is shared between sessions.
    Parameter,
    /// A parameter that this graph does not learn ([`Graph::freeze`]): saved and shared as one.
    Frozen,
    /// Kept but not learned (running statistics): saved and shared.
    State,
    /// An optimizer's memory for one parameter, number `index` of its kind: shared, not saved with the model.
    Slot {
        /// The parameter it belongs to.
        parameter: TensorId,
        /// Counted from 0 in the order in which the optimizer declares them.
        index: usize,
    },
    /// The moving average of one parameter: shared, and what `Variables::averaged` has in its place.
    Average {
        /// The parameter it belongs to.
        parameter: TensorId,
    },
    /// A running `[sum, weight]` of a scalar, owned by the session.
    Metric,
    /// A value that never changes, owned by the session.
    Constant,
}

/// Where a tensor's value comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Fed by the host at every step.
    Input,
    /// A small value that the session keeps and sends with every step (learning rate, step counter).
    Setting { default: f32 },
    /// Lives on the device across steps.
    Variable { role: Role, init: Init },
    /// Integers that never change, written to the device once.
    Table(Arc<[u32]>),
    /// Computed.
    Node { node: usize },
}

#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) ty: TensorType,
    pub(crate) source: Source,
    /// Always there for inputs, settings and variables.
    pub(crate) name: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) op: Arc<dyn Op>,
    /// The layer's name, or empty.
    pub(crate) layer: String,
    pub(crate) inputs: Vec<TensorId>,
    pub(crate) outputs: Vec<TensorId>,
    /// What it is a part of, to who reads the graph.
    composite: Option<Arc<Composite>>,
}

impl Node {
    /// `conv2d conv1`, for errors and dumps.
    pub(crate) fn title(&self) -> String {
        title(self.op.name(), &self.layer)
    }
}

fn title(op: &str, layer: &str) -> String {
    if layer.is_empty() { op.to_string() } else { format!("{op} `{layer}`") }
}

#[derive(Debug)]
pub(crate) struct GraphData {
    /// Unlike that of every other graph of the process.
    id: u64,
    pub(crate) values: Vec<Value>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) names: HashMap<String, TensorId>,
}

impl GraphData {
    fn new() -> Self {
        static GRAPHS: AtomicU64 = AtomicU64::new(0);
        let (values, nodes, names) = Default::default();
        Self { id: GRAPHS.fetch_add(1, Ordering::Relaxed), values, nodes, names }
    }

    pub(crate) fn id(&self, index: usize) -> TensorId {
        TensorId { graph: self.id, index }
    }

    pub(crate) fn value(&self, id: TensorId) -> &Value {
        &self.values[id.index]
    }

    /// A name for messages: its own, or the operation that makes it.
    pub(crate) fn describe(&self, id: TensorId) -> String {
        let value = self.value(id);
        match (&value.name, &value.source) {
            (Some(name), _) => name.clone(),
            (None, Source::Node { node }) => format!("%{} ({})", id.index, self.nodes[*node].title()),
            (None, _) => format!("%{}", id.index),
        }
    }
}

/// A static network: inputs, parameters and the operations between them, all of known shape.
///
/// Tensors borrow the graph that made them. A graph can be built on any thread and moved, and is read by
/// [`Session::new`](crate::Session::new).
#[derive(Debug)]
pub struct Graph {
    mode: Mode,
    seed: u64,
    data: RefCell<GraphData>,
    /// The layer of nodes that name none.
    layer: RefCell<String>,
    /// What new nodes are a part of.
    composite: RefCell<Option<Arc<Composite>>>,
}

/// The setting that every session advances by one a step; dropout and Adam read it.
pub(crate) const STEP: &str = "step";
/// The setting that optimizers read their learning rate from.
pub(crate) const LEARNING_RATE: &str = "learning_rate";
/// The setting that stands for the momentum of every optimizer that has one, unless it is negative.
pub(crate) const MOMENTUM: &str = "momentum";

impl Graph {
    /// An empty graph. `mode` decides what dropout and batch norm become.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            seed: 0,
            data: RefCell::new(GraphData::new()),
            layer: RefCell::default(),
            composite: RefCell::default(),
        }
    }

    /// Fixes the random numbers of dropout and stochastic pooling. They depend on the seed, the layer and the step alone.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    pub(crate) fn dropout_seed(&self) -> u32 {
        // Both halves count; the generator's key has one word for the seed.
        (self.seed ^ (self.seed >> 32)) as u32
    }

    /// Training or evaluation.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// An f32 input that the host feeds at every step.
    ///
    /// # Errors
    /// When the name is empty or taken, an axis is 0 or the tensor exceeds 2^48 bytes.
    pub fn input(&self, name: &str, shape: impl Into<Shape>) -> Result<Tensor<'_>> {
        self.input_of(name, TensorType::f32(shape))
    }

    /// A u8 image input `[N, C, H, W]`; [`Tensor::normalize`] turns it into f32 on the device.
    ///
    /// # Errors
    /// When the name is empty or taken, an axis is 0 or the tensor exceeds 2^48 bytes.
    pub fn image_input(&self, name: &str, shape: impl Into<Shape>) -> Result<Tensor<'_>> {
        self.input_of(name, TensorType::u8(shape))
    }

    /// An input of class labels `[N]`, as u32.
    ///
    /// # Errors
    /// When the name is empty or taken, an axis is 0 or the tensor exceeds 2^48 bytes.
    pub fn label_input(&self, name: &str, batch: usize) -> Result<Tensor<'_>> {
        self.input_of(name, TensorType::u32(batch))
    }

    /// An input of any element type.
    ///
    /// # Errors
    /// When the name is empty or taken, an axis is 0 or the tensor exceeds 2^48 bytes.
    pub fn input_of(&self, name: &str, ty: TensorType) -> Result<Tensor<'_>> {
        self.push_named(name, ty, Source::Input)
    }

    /// A learned parameter. Layers call this; a name can be taken once.
    ///
    /// # Errors
    /// When the name is empty or taken, an axis is 0 or the tensor exceeds 2^48 bytes.
    pub fn parameter(&self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Tensor<'_>> {
        self.variable(name, shape, Role::Parameter, init)
    }

    /// A kept value that is not learned, such as a running mean.
    ///
    /// # Errors
    /// When the name is empty or taken, an axis is 0 or the tensor exceeds 2^48 bytes.
    pub fn state(&self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Tensor<'_>> {
        self.variable(name, shape, Role::State, init)
    }

    pub(crate) fn variable(&self, name: &str, shape: impl Into<Shape>, role: Role, init: Init) -> Result<Tensor<'_>> {
        self.push_named(name, TensorType::f32(shape), Source::Variable { role, init })
    }

    /// A tensor of one repeated value, written to the device once.
    ///
    /// # Errors
    /// When an axis is 0 or the tensor exceeds 2^48 bytes.
    pub fn constant(&self, value: f32, shape: impl Into<Shape>) -> Result<Tensor<'_>> {
        let name = format!("constant.{}", self.data.borrow().values.len());
        self.variable(&name, shape, Role::Constant, Init::Constant(value))
    }

    /// A tensor of these integers, in row-major order, written to the device once.
    #[cfg_attr(not(feature = "onnx"), allow(dead_code, reason = "its one caller is a feature"))]
    pub(crate) fn integers(&self, values: Vec<u32>, shape: impl Into<Shape>) -> Result<Tensor<'_>> {
        let ty = TensorType::u32(shape);
        let name = format!("constant.{}", self.data.borrow().values.len());
        if values.len() != ty.elements() {
            return Err(Error::shape(format!("`{name}`"), format!("integers for {ty}"), values.len()));
        }
        self.push_named(&name, ty, Source::Table(values.into()))
    }

    /// A one-element setting: the session keeps its value and sends it with every step.
    pub(crate) fn setting(&self, name: &str, ty: TensorType, default: f32) -> Result<Tensor<'_>> {
        match self.tensor(name) {
            Some(tensor) if matches!(self.data().value(tensor.id()).source, Source::Setting { .. }) => Ok(tensor),
            // A tensor of the host's own that has this name already is an error.
            _ => self.push_named(name, ty, Source::Setting { default }),
        }
    }

    /// The number of the step, from 1: the same counter for every user in the graph.
    pub(crate) fn step(&self) -> Result<Tensor<'_>> {
        self.setting(STEP, TensorType::u32(1), 0.0)
    }

    /// The input, parameter or state of this name.
    pub fn tensor(&self, name: &str) -> Option<Tensor<'_>> {
        self.data.borrow().names.get(name).map(|&id| Tensor::new(self, id))
    }

    /// Gives a computed tensor a name, so that a session can be asked for it.
    ///
    /// # Errors
    /// When the name is empty or taken, or the tensor belongs to another graph.
    pub fn name<'g>(&'g self, name: &str, tensor: Tensor<'g>) -> Result<Tensor<'g>> {
        self.owns("name", &[tensor])?;
        let mut data = self.data.borrow_mut();
        check_name(&data, name)?;
        data.names.insert(name.to_string(), tensor.id());
        data.values[tensor.id().index].name.get_or_insert_with(|| name.to_string());
        Ok(tensor)
    }

    /// The computed tensors that were given a name, in order of execution.
    pub fn named_outputs(&self) -> Vec<Tensor<'_>> {
        let data = self.data.borrow();
        let named = |value: &Value| value.name.is_some() && matches!(value.source, Source::Node { .. });
        (0..data.values.len()).filter(|&i| named(&data.values[i])).map(|i| Tensor::new(self, data.id(i))).collect()
    }

    /// All parameters in the order they were declared.
    pub fn parameters(&self) -> Vec<Tensor<'_>> {
        let data = self.data.borrow();
        let learned = |value: &Value| matches!(value.source, Source::Variable { role: Role::Parameter, .. });
        (0..data.values.len()).filter(|&i| learned(&data.values[i])).map(|i| Tensor::new(self, data.id(i))).collect()
    }

    /// Number of learned values.
    pub fn parameter_count(&self) -> usize {
        self.parameters().iter().map(|p| p.shape().elements()).sum()
    }

    /// All of what `build` adds, or nothing where it fails: a refused layer leaves no parameters behind.
    pub(crate) fn whole<T>(&self, build: impl FnOnce() -> Result<T>) -> Result<T> {
        let (values, nodes) = (self.data().values.len(), self.data().nodes.len());
        build().inspect_err(|_| {
            let mut data = self.data.borrow_mut();
            data.values.truncate(values);
            data.nodes.truncate(nodes);
            data.names.retain(|_, id| id.index < values);
        })
    }

    /// Puts what `build` adds under this layer, but for what has a layer of its own.
    pub(crate) fn in_layer<T>(&self, layer: &str, build: impl FnOnce() -> T) -> T {
        let before = self.layer.replace(layer.to_string());
        let result = build();
        self.layer.replace(before);
        result
    }

    pub(crate) fn data(&self) -> Ref<'_, GraphData> {
        self.data.borrow()
    }

    /// A tensor's number means nothing in another graph.
    pub(crate) fn owns(&self, what: &str, tensors: &[Tensor<'_>]) -> Result<()> {
        match tensors.iter().all(|tensor| std::ptr::eq(tensor.graph(), self)) {
            true => Ok(()),
            false => Err(Error::Graph(format!("{what}: its inputs belong to different graphs"))),
        }
    }

    fn push_named(&self, name: &str, ty: TensorType, source: Source) -> Result<Tensor<'_>> {
        let mut data = self.data.borrow_mut();
        check_name(&data, name)?;
        check_extents(&format!("`{name}`"), &ty)?;
        let id = data.id(data.values.len());
        data.values.push(Value { ty, source, name: Some(name.to_string()) });
        data.names.insert(name.to_string(), id);
        Ok(Tensor::new(self, id))
    }

    pub(crate) fn push_node<'g>(
        &'g self,
        op: Arc<dyn Op>,
        layer: &str,
        inputs: &[Tensor<'g>],
    ) -> Result<Vec<Tensor<'g>>> {
        let around = self.layer.borrow();
        let layer = if layer.is_empty() { around.as_str() } else { layer };
        let title = title(op.name(), layer);
        self.owns(&title, inputs)?;
        let ids: Vec<TensorId> = inputs.iter().map(Tensor::id).collect();
        let mut data = self.data.borrow_mut();
        let types: Vec<TensorType> = ids.iter().map(|&id| data.value(id).ty.clone()).collect();
        let outputs = op.infer(&types).map_err(|error| with_layer(error, layer))?;
        outputs.iter().try_for_each(|ty| check_extents(&title, ty))?;
        let node = data.nodes.len();
        let first = data.values.len();
        data.values.extend(outputs.into_iter().map(|ty| Value { ty, source: Source::Node { node }, name: None }));
        let outputs: Vec<TensorId> = (first..data.values.len()).map(|index| data.id(index)).collect();
        let composite = self.composite.borrow().clone();
        data.nodes.push(Node { op, layer: layer.to_string(), inputs: ids, outputs: outputs.clone(), composite });
        Ok(outputs.into_iter().map(|id| Tensor::new(self, id)).collect())
    }
}

/// What a tensor may have at most: far more than any device, and little enough that sums of sizes do not overflow.
const MAX_BYTES: u64 = 1 << 48;

/// Every tensor has elements, and not too many: the kernels rely on it.
fn check_extents(what: &str, ty: &TensorType) -> Result<()> {
    if ty.shape.contains(&0) {
        return Err(Error::shape(what, "every axis to be at least 1", &ty.shape));
    }
    let size = ty.dtype.size() as u64;
    let bytes = ty.shape.iter().try_fold(size, |bytes, &extent| bytes.checked_mul(extent as u64));
    match bytes {
        Some(bytes) if bytes <= MAX_BYTES => Ok(()),
        _ => Err(Error::shape(what, "at most 2^48 bytes", &ty.shape)),
    }
}

fn check_name(data: &GraphData, name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::Graph("a name must not be empty".into()));
    }
    match data.names.get(name) {
        Some(&id) => Err(Error::Graph(format!("the name `{name}` is already taken by a tensor {}", data.value(id).ty))),
        None => Ok(()),
    }
}

/// Puts the layer's name into a shape rule's error.
pub(crate) fn with_layer(error: Error, layer: &str) -> Error {
    match error {
        Error::Shape { op, expected, actual } => Error::Shape { op: title(&op, layer), expected, actual },
        Error::Argument { op, message } => Error::Argument { op: title(&op, layer), message },
        other => other,
    }
}
