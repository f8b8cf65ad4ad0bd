//! ONNX out: a graph's inference as a file that other runtimes run.
//!
//! Every operation says in its own file which nodes it is ([`Op::export`](crate::graph::Op::export)); this makes a file of
//! them. Views cost no node until something needs their shape ([`Held`]), so that what is a view only inside Omma (a
//! sequence as an image of one row, a flat mean) leaves no trace.

mod attribute;
mod exporting;
mod functions;
mod pools;
mod sums;
mod tables;

use std::collections::{HashMap, HashSet};

use prost::Message;

use super::proto::{
    Dimension, DimensionValue, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};
use super::tensor_proto;
use super::{Array, ElementType};
use crate::error::{Error, Result};
use crate::graph::{DType, Graph, GraphData, Node, Role, Source, Tensor, TensorId, TensorType};
use crate::plan::NamedArrays;

pub(crate) use exporting::Exporting;
pub(crate) use functions::export as function;
pub(crate) use pools::{Pooled, adaptive_max, pool};
pub(crate) use sums::{reduce, sum};
pub(crate) use tables::map;

/// What an operator set may be, so that the operators used here mean what they are taken for.
const OPSETS: std::ops::RangeInclusive<i64> = 13..=25;
/// What a protobuf message may be long.
const MOST_BYTES: usize = i32::MAX as usize;

/// How a graph is to be written as an ONNX file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    opset: i64,
    batch: Option<String>,
}

impl Default for Export {
    /// Operator set 17, and extents as the graph has them.
    fn default() -> Self {
        Self { opset: 17, batch: None }
    }
}

impl Export {
    /// The version of ONNX's operators, 13 to 25.
    pub fn opset(mut self, version: i64) -> Self {
        self.opset = version;
        self
    }

    /// Leaves the first extent of all inputs open, under this name: a file for any number of examples. That works where
    /// every operation keeps examples apart, along axis 0, and is refused elsewhere.
    pub fn batch(mut self, symbol: &str) -> Self {
        self.batch = Some(symbol.into());
        self
    }
}

/// A value of the file that a tensor of the graph is, though perhaps under another shape.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    name: String,
    /// The extents that it has in the file.
    pub(crate) shape: Vec<usize>,
    /// Whether axis 0 is that of the examples, of which there may be any number.
    pub(crate) examples: bool,
}

impl Graph {
    /// The network that computes these tensors, as the bytes of an ONNX file: a node or a few for every operation, the
    /// variables as initializers with their names and `weights`, inputs with their names. Outputs have the names that
    /// [`Graph::name`] gave them, else `output`, or `output_0` and so on where there are several. Integers, labels or words,
    /// are int64 in the file.
    ///
    /// A graph of [`Mode::Evaluation`](crate::Mode::Evaluation) is meant: what only trains (losses, optimizers, gradients,
    /// statistics of a batch) has no place in a file. Dropout, of one that was trained further, drops nothing there.
    ///
    /// ```
    /// use omma::onnx::{self, Export};
    /// use omma::{Conv2d, Graph, Mode, VariableLayout};
    ///
    /// let graph = Graph::new(Mode::Evaluation);
    /// let images = graph.input("images", [1, 3, 8, 8])?;
    /// let y = images.conv2d("conv", Conv2d::new(4, 3))?.relu()?.flatten()?.dense("head", 10)?;
    /// // Or what `Variables::read_all` gives after a training.
    /// let weights = VariableLayout::of(&graph, u64::MAX)?.initial_values(1);
    /// let file = graph.to_onnx(&[y], &weights, &Export::default().batch("N"))?;
    ///
    /// let model = onnx::Options::default().dim("N", 5).load(file)?;
    /// assert_eq!(model.output("output")?.shape().to_string(), "[5, 10]");
    /// # Ok::<(), omma::Error>(())
    /// ```
    ///
    /// # Errors
    /// When an operation has no ONNX form (the error names all of them), a variable has no value or one of another shape,
    /// the operator set is not among 13 to 25, an operation mixes examples whose number is left open, or the file would
    /// exceed the 2 GiB of a protobuf message.
    pub fn to_onnx(&self, outputs: &[Tensor<'_>], weights: &NamedArrays, export: &Export) -> Result<Vec<u8>> {
        self.owns("ONNX", outputs)?;
        if !OPSETS.contains(&export.opset) {
            let (first, last) = (OPSETS.start(), OPSETS.end());
            return Err(Error::Unsupported(format!("operator set {}; supported are {first} to {last}", export.opset)));
        }
        if outputs.is_empty() {
            return Err(Error::Onnx("a file without outputs".into()));
        }
        let data = self.data();
        let wanted: Vec<(TensorId, String)> = (outputs.iter().enumerate())
            .map(|(index, tensor)| {
                let value = data.value(tensor.id());
                let named = value.name.clone().filter(|_| matches!(value.source, Source::Node { .. }));
                let numbered = if outputs.len() == 1 { "output".into() } else { format!("output_{index}") };
                (tensor.id(), named.unwrap_or(numbered))
            })
            .collect();
        let weights: HashMap<&str, _> = weights.iter().map(|(name, array)| (name.as_str(), array)).collect();
        let mut file = File::new(&data, export, &wanted)?;
        file.sources(&weights)?;
        file.nodes()?;
        let bytes = file.finish(&wanted)?;
        match bytes.len() {
            ..=MOST_BYTES => Ok(bytes),
            length => Err(Error::Onnx(format!("{length} bytes are more than the {MOST_BYTES} of a protobuf message"))),
        }
    }
}

/// A file in the making.
#[derive(Debug)]
struct File<'a> {
    data: &'a GraphData,
    export: &'a Export,
    /// What the wanted tensors need.
    needed: HashSet<TensorId>,
    /// The names that wanted tensors have, where nothing else has it.
    wanted: HashMap<TensorId, String>,
    held: HashMap<TensorId, Held>,
    /// Names of values that are taken, and of nodes.
    taken: [HashSet<String>; 2],
    /// Initializers of numbers, by their bits, and values under other shapes.
    numbers: HashMap<(ElementType, Vec<usize>, Vec<u64>), String>,
    reshaped: HashMap<(String, Vec<usize>), String>,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    inputs: Vec<ValueInfoProto>,
    /// Bytes of the initializers.
    bytes: usize,
}

impl<'a> File<'a> {
    fn new(data: &'a GraphData, export: &'a Export, wanted: &[(TensorId, String)]) -> Result<Self> {
        let mut needed: HashSet<TensorId> = wanted.iter().map(|(id, _)| *id).collect();
        for node in data.nodes.iter().rev() {
            if node.outputs.iter().any(|id| needed.contains(id)) {
                needed.extend(&node.inputs);
            }
        }
        let mut taken: HashSet<String> = data.names.keys().cloned().collect();
        let mut own = HashMap::new();
        for (id, name) in wanted {
            let named = data.value(*id).name.as_ref() == Some(name);
            if !named && !taken.insert(name.clone()) {
                return Err(Error::Onnx(format!(
                    "the output's name `{name}` is that of another tensor: name the output"
                )));
            }
            own.entry(*id).or_insert_with(|| name.clone());
        }
        let taken = [taken, HashSet::new()];
        let (held, numbers, reshaped) = Default::default();
        let (nodes, initializers, inputs) = Default::default();
        Ok(Self {
            data,
            export,
            needed,
            wanted: own,
            held,
            taken,
            numbers,
            reshaped,
            nodes,
            initializers,
            inputs,
            bytes: 0,
        })
    }

    /// Inputs and variables.
    fn sources(&mut self, weights: &HashMap<&str, &ndarray::ArrayD<f32>>) -> Result<()> {
        for (index, value) in self.data.values.iter().enumerate() {
            let id = self.data.id(index);
            if !self.needed.contains(&id) {
                continue;
            }
            let name = value.name.clone().unwrap_or_default();
            let shape = value.ty.shape.to_vec();
            match value.source {
                Source::Input => {
                    let symbol = self.export.batch.as_deref().filter(|_| !shape.is_empty());
                    self.inputs.push(info(&name, &value.ty, &shape, symbol));
                    self.held.insert(id, Held { name, shape, examples: symbol.is_some() });
                }
                Source::Variable { role: Role::Constant, init } => {
                    let values = init.values(&name, &value.ty.shape, 0);
                    self.initializer(&name, &Array::new(&shape, values)?)?;
                    self.held.insert(id, Held { name, shape, examples: false });
                }
                Source::Variable { .. } => {
                    let array = weights.get(name.as_str());
                    let array = array.ok_or_else(|| Error::Onnx(format!("the variable `{name}` has no value")))?;
                    if array.shape() != shape {
                        return Err(Error::shape(
                            format!("variable `{name}`"),
                            &value.ty,
                            format!("{:?}", array.shape()),
                        ));
                    }
                    // Whatever order the array has in memory, its elements are gone over row by row.
                    self.initializer(&name, &Array::new(&shape, array.iter().copied().collect())?)?;
                    self.held.insert(id, Held { name, shape, examples: false });
                }
                // Nodes follow; whoever reads anything else is refused.
                _ => continue,
            }
        }
        Ok(())
    }

    fn initializer(&mut self, name: &str, array: &Array) -> Result<()> {
        let tensor = tensor_proto::write(name, array);
        self.bytes = self.bytes.saturating_add(tensor.raw_data.as_ref().map_or(0, |bytes| bytes.len()));
        if self.bytes > MOST_BYTES {
            let message =
                format!("the weights up to `{name}` are more than the {MOST_BYTES} bytes of a protobuf message");
            return Err(Error::Onnx(message));
        }
        self.initializers.push(tensor);
        Ok(())
    }

    /// Every operation that is needed. Those that have no form in ONNX are named together.
    fn nodes(&mut self) -> Result<()> {
        let data = self.data;
        let mut refused = Vec::new();
        for node in &data.nodes {
            if !node.outputs.iter().any(|id| self.needed.contains(id)) {
                continue;
            }
            let view = if node.op.is_view() { self.held.get(&node.inputs[0]).cloned() } else { None };
            let result = match view {
                Some(held) => {
                    self.held.insert(node.outputs[0], held);
                    Ok(())
                }
                None => node.op.export(&mut Exporting::new(self, node)),
            };
            match result {
                Ok(()) => {}
                Err(Error::Unsupported(message)) => {
                    refused.push(message);
                    self.pretend(node);
                }
                Err(error) => return Err(error),
            }
        }
        match refused.len() {
            0 => Ok(()),
            count => Err(Error::Unsupported(format!("{count} of the operations in ONNX: {}", refused.join("; ")))),
        }
    }

    /// Goes on as if the node had been added, so that what comes behind it is looked at too.
    fn pretend(&mut self, node: &Node) {
        let examples = node.inputs.iter().any(|id| self.held.get(id).is_some_and(|held| held.examples));
        for &id in &node.outputs {
            let shape = self.data.value(id).ty.shape.to_vec();
            self.held.entry(id).or_insert_with(|| Held { name: String::new(), shape, examples });
        }
    }

    /// A name that nothing else has: of a value, or of a node.
    fn unique(&mut self, base: &str, node: bool) -> String {
        let taken = &mut self.taken[usize::from(node)];
        let name = (0_usize..)
            .map(|number| if number == 0 { base.to_string() } else { format!("{base}_{number}") })
            .find(|name| !taken.contains(name))
            .unwrap_or_default();
        taken.insert(name.clone());
        name
    }

    /// An initializer of these elements, one for all that are alike.
    fn number(&mut self, base: &str, array: &Array) -> Result<String> {
        let bits = match array {
            Array::F32(array) => array.iter().map(|value| u64::from(value.to_bits())).collect(),
            _ => array.to_i64().unwrap_or_default().into_iter().map(|value| value as u64).collect(),
        };
        let key = (array.element_type(), array.shape().to_vec(), bits);
        if let Some(name) = self.numbers.get(&key) {
            return Ok(name.clone());
        }
        let name = self.unique(base, false);
        self.initializer(&name, array)?;
        self.numbers.insert(key, name.clone());
        Ok(name)
    }

    /// Adds a node.
    fn push(
        &mut self,
        base: &str,
        operator: &str,
        inputs: Vec<String>,
        outputs: Vec<String>,
        attributes: Attributes<'_>,
    ) {
        let name = self.unique(base, true);
        let attribute = attributes.iter().map(|(name, value)| value.named(name)).collect();
        let op_type = operator.into();
        let node = NodeProto { input: inputs, output: outputs, name, op_type, attribute, ..NodeProto::default() };
        self.nodes.push(node);
    }

    /// The value under another shape; under a name, if it is to have one.
    fn reshape(&mut self, held: &Held, shape: &[usize], name: Option<&str>) -> Result<String> {
        if held.shape == shape && name.is_none_or(|name| name == held.name) {
            return Ok(held.name.clone());
        }
        let key = (held.name.clone(), shape.to_vec());
        if let (Some(known), None) = (self.reshaped.get(&key), name) {
            return Ok(known.clone());
        }
        let keeps_first = !shape.is_empty() && held.shape.first() == shape.first();
        if held.examples && !keeps_first && held.shape != shape {
            let message = format!("the shape {shape:?} of what was {:?}, with any number of examples", held.shape);
            return Err(Error::Unsupported(message));
        }
        let name = match name {
            Some(name) => name.to_string(),
            None => self.unique(&format!("{}.reshaped", held.name), false),
        };
        let outputs = vec![name.clone()];
        if held.shape == shape {
            self.push("identity", "Identity", vec![held.name.clone()], outputs, &[]);
        } else if keeps_first && shape.len() == 2 {
            self.push("flatten", "Flatten", vec![held.name.clone()], outputs, &[("axis", 1_usize.into())]);
        } else {
            let mut extents: Vec<i64> = shape.iter().map(|&extent| extent as i64).collect();
            if held.examples {
                // As many as there are.
                extents[0] = 0;
            }
            let target = self.number("shape", &Array::integers(extents))?;
            self.push("reshape", "Reshape", vec![held.name.clone(), target], outputs, &[]);
        }
        self.reshaped.insert(key, name.clone());
        Ok(name)
    }

    fn finish(mut self, wanted: &[(TensorId, String)]) -> Result<Vec<u8>> {
        let mut outputs = Vec::new();
        for (id, name) in wanted {
            let ty = &self.data.value(*id).ty;
            let missing = || Error::Unsupported(format!("the output `{name}` in ONNX"));
            let held = self.held.get(id).cloned().ok_or_else(missing)?;
            self.reshape(&held, &ty.shape, Some(name))?;
            let symbol = self.export.batch.as_deref().filter(|_| held.examples);
            outputs.push(info(name, ty, &ty.shape, symbol));
        }
        let graph = GraphProto {
            node: self.nodes,
            name: "omma".into(),
            initializer: self.initializers,
            input: self.inputs,
            output: outputs,
            ..GraphProto::default()
        };
        let model = ModelProto {
            ir_version: Some(ir_version(self.export.opset)),
            producer_name: "omma".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(graph),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: self.export.opset }],
            functions: Vec::new(),
        };
        Ok(model.encode_to_vec())
    }
}

/// Names of attributes with their values.
type Attributes<'v> = &'v [(&'v str, attribute::Value)];

/// The version of the format in the release of ONNX that brought the operator set
/// (<https://github.com/onnx/onnx/blob/main/docs/Versioning.md>).
fn ir_version(opset: i64) -> i64 {
    match opset {
        ..=14 => 7,
        15..=18 => 8,
        19..=20 => 9,
        21..=22 => 10,
        // Every operator set since has a version of its own.
        later => later - 12,
    }
}

/// What a tensor's elements are in a file.
fn element(ty: &TensorType) -> ElementType {
    match ty.dtype {
        DType::F32 => ElementType::F32,
        // What ONNX takes for indices.
        DType::U32 => ElementType::I64,
        DType::U8 => ElementType::U8,
    }
}

/// A value's name, type and shape, with a symbol for the first extent.
fn info(name: &str, ty: &TensorType, shape: &[usize], symbol: Option<&str>) -> ValueInfoProto {
    let dim = |(axis, &extent): (usize, &usize)| {
        let value = match symbol {
            Some(symbol) if axis == 0 => DimensionValue::Symbol(symbol.into()),
            _ => DimensionValue::Extent(extent as i64),
        };
        Dimension { value: Some(value) }
    };
    let shape = TensorShapeProto { dim: shape.iter().enumerate().map(dim).collect() };
    let tensor = TensorTypeProto { elem_type: element(ty).code(), shape: Some(shape) };
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}
