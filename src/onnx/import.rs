//! From the messages of a file to a graph: names, functions, branches, and which nodes compute where.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use prost::Message;
use prost::bytes::Bytes;

use super::late::Late;
use super::model::{From, Input, Model, Output};
use super::node::Node;
use super::ops::{self, Call};
use super::proto::{
    AttributeProto, DimensionValue, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorTypeProto, ValueInfoProto,
};
use super::tensor_proto::Folder;
use super::value::{Computed, Constant, Value};
use super::{Array, ElementType, Options, host};
use crate::error::{Error, Result};
use crate::graph::{DType, Graph, Init, Role, Shape, TensorId, TensorType};

/// The newest operator set whose rules are known.
const NEWEST: i64 = 25;
/// Functions within functions and branches within branches.
const MOST_DEPTH: usize = 64;
/// Nodes of a graph with its functions written out: far more than any network has, and few enough to go over in a moment.
const MOST_NODES: usize = 100_000;

/// The graph of a file's bytes.
pub(super) fn model(bytes: Bytes, folder: Folder, options: &Options) -> Result<Model> {
    let proto = ModelProto::decode(bytes).map_err(|error| Error::Onnx(format!("no ONNX model: {error}")))?;
    let main = proto.graph.as_ref().ok_or_else(|| Error::Onnx("no ONNX model: it has no graph".into()))?;
    let graph = Graph::new(options.mode);
    let (inputs, outputs, weights, late) = {
        let functions = proto.functions.iter().map(|f| ((f.domain.as_str(), f.name.as_str(), f.overload.as_str()), f));
        let mut import = Import {
            graph: &graph,
            options,
            folder,
            functions: functions.collect(),
            lifted: HashMap::new(),
            weights: Vec::new(),
            late: Vec::new(),
            missing: Vec::new(),
            nodes: 0,
            depth: 0,
        };
        let (inputs, outputs) = import.main(main, &opsets(&proto.opset_import)?)?;
        if !import.missing.is_empty() {
            let count = import.missing.len();
            return Err(Error::Unsupported(format!("{count} of the nodes: {}", import.missing.join("; "))));
        }
        (inputs, outputs, import.weights, import.late)
    };
    Ok(Model { graph, inputs, outputs, weights, late })
}

/// Versions of operator sets by domain; ONNX's own has two names.
type Opsets = HashMap<String, i64>;

fn opsets(imports: &[OperatorSetIdProto]) -> Result<Opsets> {
    let mut opsets = Opsets::new();
    for OperatorSetIdProto { domain, version } in imports {
        let domain = if domain == "ai.onnx" { "" } else { domain };
        if domain.is_empty() && !(1..=NEWEST).contains(version) {
            let message = format!("operator set {version}; supported are 1 to {NEWEST}");
            return Err(if *version > NEWEST { Error::Unsupported(message) } else { Error::Onnx(message) });
        }
        opsets.insert(domain.into(), *version);
    }
    Ok(opsets)
}

/// The names that a node can use: those of its graph, and of the graphs around it.
struct Scope<'s, 'g> {
    values: HashMap<String, Value<'g>>,
    outer: Option<&'s Scope<'s, 'g>>,
    opsets: &'s Opsets,
    /// What a function was called with, where this is one's body.
    attributes: Option<&'s [AttributeProto]>,
}

impl<'g> Scope<'_, 'g> {
    fn get(&self, name: &str) -> Option<&Value<'g>> {
        self.values.get(name).or_else(|| self.outer?.get(name))
    }

    fn define(&mut self, name: &str, value: Value<'g>) -> Result<()> {
        match self.values.insert(name.into(), value) {
            None => Ok(()),
            Some(_) => Err(Error::Onnx(format!("`{name}` is defined twice"))),
        }
    }
}

/// A graph in the making.
pub(super) struct Import<'a, 'g> {
    pub(super) graph: &'g Graph,
    pub(super) options: &'a Options,
    folder: Folder,
    functions: HashMap<(&'a str, &'a str, &'a str), &'a FunctionProto>,
    /// What stands for constants, by the address of the array, which stays as long.
    lifted: HashMap<(usize, DType), (TensorId, Arc<Array>)>,
    weights: Vec<(String, Arc<Array>)>,
    late: Vec<Late>,
    /// Nodes that are not supported.
    missing: Vec<String>,
    nodes: usize,
    depth: usize,
}

impl<'a, 'g> Import<'a, 'g> {
    fn main(&mut self, main: &'a GraphProto, opsets: &Opsets) -> Result<(Vec<Input>, Vec<Output>)> {
        let mut scope = Scope { values: HashMap::new(), outer: None, opsets, attributes: None };
        let wanted: Vec<String> = match &self.options.outputs {
            Some(names) => names.clone(),
            None => main.output.iter().map(|output| output.name.clone()).collect(),
        };
        let live = live(&main.node, &wanted);
        self.initializers(main, &mut scope, &live)?;
        let inputs = self.inputs(main, &mut scope)?;
        self.nodes(&main.node, &wanted, &mut scope)?;
        let declared: HashMap<&str, Option<ElementType>> =
            main.output.iter().map(|info| (info.name.as_str(), tensor_type(info).and_then(element))).collect();
        let mut outputs = Vec::new();
        for name in wanted {
            let value = scope.get(&name);
            let value = value.ok_or_else(|| Error::Onnx(format!("no node computes the output `{name}`")))?.clone();
            let Some(from) = source(&value) else { continue };
            let element = match &from {
                From::Known(array) => Some(array.element_type()),
                From::Device(_, element) => Some(*element),
                From::Late { .. } => None,
            };
            let element = declared.get(name.as_str()).copied().flatten().or(element);
            outputs.push(Output { name, element, from });
        }
        Ok((inputs, outputs))
    }

    /// Reads the initializers that something needs.
    fn initializers(&self, proto: &GraphProto, scope: &mut Scope<'_, 'g>, live: &HashSet<&str>) -> Result<()> {
        if let Some(sparse) = proto.sparse_initializer.first() {
            let name = sparse.values.as_ref().map_or("", |values| values.name.as_str());
            return Err(Error::Unsupported(format!("the sparse initializer `{name}`")));
        }
        for tensor in proto.initializer.iter().filter(|tensor| live.contains(tensor.name.as_str())) {
            let array = match self.options.values.get(&tensor.name) {
                Some(given) => given.clone(),
                None => Arc::new(self.folder.read(tensor)?),
            };
            scope.define(
                &tensor.name,
                Value::Known(Constant { array, initializer: Some(tensor.name.as_str().into()) }),
            )?;
        }
        Ok(())
    }

    /// Declares the inputs that are no initializers.
    fn inputs(&self, proto: &GraphProto, scope: &mut Scope<'_, 'g>) -> Result<Vec<Input>> {
        let initializers: HashSet<&str> = proto.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        let mut inputs = Vec::new();
        for info in proto.input.iter().filter(|info| !initializers.contains(info.name.as_str())) {
            let name = info.name.as_str();
            let wrong = |message: String| Error::Onnx(format!("input `{name}`: {message}"));
            let ty = tensor_type(info).ok_or_else(|| Error::Unsupported(format!("input `{name}` is no tensor")))?;
            let element = element(ty);
            let element =
                element.ok_or_else(|| Error::Unsupported(format!("input `{name}`: element type {}", ty.elem_type)))?;
            let given = self.options.values.get(name);
            if let Some(array) = given {
                if array.element_type() != element {
                    return Err(wrong(format!("expected {element}, got {array}")));
                }
                self.check_shape(name, ty, array.shape())?;
                if !element.is_float() || array.is_empty() {
                    scope.define(name, Value::Known(Constant { array: array.clone(), initializer: None }))?;
                    continue;
                }
            }
            let shape = match (given, self.options.shapes.get(name)) {
                (Some(array), _) => array.shape().to_vec(),
                (None, Some(shape)) => {
                    self.check_shape(name, ty, shape)?;
                    shape.clone()
                }
                (None, None) => self.shape(name, ty)?,
            };
            let dtype = match element {
                ElementType::String => return Err(Error::Unsupported(format!("input `{name}` of texts"))),
                _ if element.is_integer() => DType::U32,
                _ => DType::F32,
            };
            let tensor = self.graph.input_of(name, TensorType { dtype, shape: shape.clone().into() })?;
            scope.define(name, Value::Device(Computed { tensor, element, expected: given.cloned() }))?;
            inputs.push(Input { name: name.into(), element, shape: shape.into() });
        }
        Ok(inputs)
    }

    /// Extents by what the file and the options say.
    fn shape(&self, name: &str, ty: &TensorTypeProto) -> Result<Vec<usize>> {
        let dims = ty.shape.as_ref().map(|shape| &shape.dim);
        let dims = dims.ok_or_else(|| Error::Onnx(format!("input `{name}` has no shape in the file: give it one")))?;
        let extent = |(axis, dim): (usize, &super::proto::Dimension)| match &dim.value {
            Some(DimensionValue::Extent(extent)) if *extent > 0 => Ok(*extent as usize),
            Some(DimensionValue::Extent(0)) | None => {
                let unknown = || format!("extent {axis} of input `{name}` is not known: give the input a shape");
                self.options.rest.ok_or_else(|| Error::Onnx(unknown()))
            }
            Some(DimensionValue::Extent(extent)) => {
                Err(Error::Onnx(format!("input `{name}`: an extent of {extent} along axis {axis}")))
            }
            Some(DimensionValue::Symbol(symbol)) => {
                let given = self.options.dims.get(symbol).copied().or(self.options.rest);
                let unknown = || format!("the extent `{symbol}` of input `{name}` is not known: give it a number");
                given.ok_or_else(|| Error::Onnx(unknown()))
            }
        };
        dims.iter().enumerate().map(extent).collect()
    }

    /// Whether a given shape is one that the file allows.
    fn check_shape(&self, name: &str, ty: &TensorTypeProto, shape: &[usize]) -> Result<()> {
        let Some(dims) = ty.shape.as_ref().map(|shape| &shape.dim) else { return Ok(()) };
        let fits = |(dim, &extent): (&super::proto::Dimension, &usize)| match &dim.value {
            Some(DimensionValue::Extent(expected)) if *expected != 0 => *expected == extent as i64,
            Some(DimensionValue::Symbol(symbol)) => self.options.dims.get(symbol).is_none_or(|&given| given == extent),
            _ => true,
        };
        match dims.len() == shape.len() && dims.iter().zip(shape).all(fits) {
            true => Ok(()),
            false => {
                let text = |dim: &super::proto::Dimension| match &dim.value {
                    Some(DimensionValue::Extent(extent)) => extent.to_string(),
                    Some(DimensionValue::Symbol(symbol)) => symbol.clone(),
                    None => "?".into(),
                };
                let expected = dims.iter().map(text).collect::<Vec<_>>().join(", ");
                Err(Error::Onnx(format!("input `{name}`: expected the shape [{expected}], got {shape:?}")))
            }
        }
    }

    /// Imports the nodes that the wanted values need, in the file's order.
    fn nodes(&mut self, nodes: &'a [NodeProto], wanted: &[String], scope: &mut Scope<'_, 'g>) -> Result<()> {
        let live = live(nodes, wanted);
        for proto in nodes.iter().filter(|node| node.output.iter().any(|name| live.contains(name.as_str()))) {
            self.nodes += 1;
            if self.nodes > MOST_NODES {
                return Err(Error::Onnx(format!("more than {MOST_NODES} nodes, those of functions counted")));
            }
            let outputs = self.node(proto, scope)?;
            for (name, value) in proto.output.iter().zip(outputs).filter(|(name, _)| !name.is_empty()) {
                scope.define(name, value)?;
            }
        }
        Ok(())
    }

    /// The outputs of one node.
    fn node(&mut self, proto: &'a NodeProto, scope: &Scope<'_, 'g>) -> Result<Vec<Value<'g>>> {
        let domain = if proto.domain == "ai.onnx" { "" } else { proto.domain.as_str() };
        let operator = if domain.is_empty() { proto.op_type.clone() } else { format!("{domain}.{}", proto.op_type) };
        let opset = scope.opsets.get(domain).copied();
        let node = Node { operator, opset: opset.unwrap_or(1), proto: resolved(proto, scope.attributes) };
        let inputs: Vec<Option<Value<'g>>> = proto
            .input
            .iter()
            .map(|name| match (name.is_empty(), scope.get(name)) {
                (true, _) => Ok(None),
                (false, Some(value)) => Ok(Some(value.clone())),
                (false, None) => Err(node.wrong(format_args!("`{name}` is not computed before it"))),
            })
            .collect::<Result<_>>()?;
        // What it is computed from is named already.
        if inputs.iter().flatten().any(|value| matches!(value, Value::Missing)) {
            return Ok(vec![Value::Missing; proto.output.len()]);
        }
        let function = self.functions.get(&(domain, proto.op_type.as_str(), proto.overload.as_str())).copied();
        let outputs = match function {
            Some(function) => self.deeper(&node, |import| import.function(&node, function, &inputs)),
            None if node.operator == "If" => self.deeper(&node, |import| import.branch(&node, proto, &inputs, scope)),
            None => match opset {
                Some(_) => self.operator(&node, &inputs),
                None => Err(node.wrong("the file imports no operator set of its domain")),
            },
        };
        match outputs {
            Ok(outputs) => Ok(outputs),
            Err(Error::Unsupported(message)) => {
                self.missing.push(message);
                Ok(vec![Value::Missing; proto.output.len()])
            }
            Err(error) => Err(error),
        }
    }

    fn deeper<T>(&mut self, node: &Node, import: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == MOST_DEPTH {
            return Err(node.wrong(format_args!("functions and branches are nested more than {MOST_DEPTH} deep")));
        }
        self.depth += 1;
        let result = import(self);
        self.depth -= 1;
        result
    }

    /// The body of a function in the place of its call.
    fn function(
        &mut self,
        node: &Node,
        function: &'a FunctionProto,
        inputs: &[Option<Value<'g>>],
    ) -> Result<Vec<Value<'g>>> {
        let opsets = opsets(&function.opset_import)?;
        let given = node.proto.attribute.iter();
        let defaults = function.attribute_proto.iter().filter(|default| !node.has(&default.name));
        let attributes: Vec<AttributeProto> = given.chain(defaults).cloned().collect();
        let mut scope =
            Scope { values: HashMap::new(), outer: None, opsets: &opsets, attributes: Some(attributes.as_slice()) };
        if inputs.len() > function.input.len() {
            return Err(node.wrong(format_args!("{} inputs, expected {}", inputs.len(), function.input.len())));
        }
        for (index, name) in function.input.iter().enumerate() {
            if let Some(value) = inputs.get(index).cloned().flatten() {
                scope.define(name, value)?;
            }
        }
        self.nodes(&function.node, &function.output, &mut scope)?;
        outputs_of(&function.output, &scope, node)
    }

    /// The branch that a condition takes.
    fn branch(
        &mut self,
        node: &Node,
        proto: &'a NodeProto,
        inputs: &[Option<Value<'g>>],
        outer: &Scope<'_, 'g>,
    ) -> Result<Vec<Value<'g>>> {
        let Some(Some(Value::Known(Constant { array, .. }))) = inputs.first() else {
            return Err(node.unsupported("its condition is not known at load"));
        };
        let Array::Bool(condition) = array.as_ref() else {
            return Err(node.wrong(format_args!("expected a bool as condition, got {array}")));
        };
        let taken = if condition.first() == Some(&true) { "then_branch" } else { "else_branch" };
        let attribute = proto.attribute.iter().find(|attribute| attribute.name == taken);
        let branch = node.required(taken, attribute.and_then(|attribute| attribute.g.as_deref()))?;
        let Scope { opsets, attributes, .. } = *outer;
        let mut scope = Scope { values: HashMap::new(), outer: Some(outer), opsets, attributes };
        let wanted: Vec<String> = branch.output.iter().map(|output| output.name.clone()).collect();
        self.initializers(branch, &mut scope, &live(&branch.node, &wanted))?;
        self.nodes(&branch.node, &wanted, &mut scope)?;
        outputs_of(&wanted, &scope, node)
    }

    /// An operator of ONNX's: on the host where all is known, else on the device, else on the host after a step.
    fn operator(&mut self, node: &Node, inputs: &[Option<Value<'g>>]) -> Result<Vec<Value<'g>>> {
        let (on_host, on_device) = (host::find(&node.operator), ops::find(&node.operator));
        if on_host.is_none() && on_device.is_none() {
            return Err(node.unsupported("no such operator"));
        }
        let all_known = inputs.iter().all(|value| matches!(value, None | Some(Value::Known(_))));
        let late = inputs.iter().flatten().any(|value| matches!(value, Value::Late { .. }));
        let mut reason = None;
        if let Some(compute) = on_host.filter(|_| all_known) {
            let arrays: Vec<Option<&Array>> = inputs.iter().map(|value| value.as_ref().and_then(array)).collect();
            match compute(node, &arrays) {
                Ok(outputs) => return Ok(outputs.into_iter().map(Value::known).collect()),
                Err(Error::Unsupported(message)) => reason = Some(message),
                Err(error) => return Err(node.located(error)),
            }
        }
        if let Some(compute) = on_device.filter(|_| !late) {
            let graph = self.graph;
            let mut call = Call { node, inputs, import: &mut *self };
            match graph.in_layer(node.label(), || compute(&mut call)) {
                Ok(outputs) => return Ok(outputs),
                Err(Error::Unsupported(message)) => reason = Some(message),
                Err(error) => return Err(node.located(error)),
            }
        }
        match on_host {
            Some(compute) if !all_known => {
                let number = self.late.len();
                let inputs = inputs.iter().map(|value| value.as_ref().and_then(source)).collect();
                self.late.push(Late { node: node.clone(), compute, inputs });
                Ok((0..node.outputs()).map(|output| Value::Late { node: number, output }).collect())
            }
            _ => Err(reason.map_or_else(
                || node.unsupported("it needs on the device what is computed on the host after a step"),
                Error::Unsupported,
            )),
        }
    }

    /// What holds a constant on the device. Floats are a variable, and a parameter where they are an initializer with axes;
    /// truth values and integers of up to 16 bits are a variable too, all others a table of integers.
    pub(super) fn lift(&mut self, node: &Node, constant: &Constant) -> Result<TensorId> {
        self.lift_as(node, constant, true)
    }

    /// [`Import::lift`] of what may not be learned.
    pub(super) fn lift_as(&mut self, node: &Node, constant: &Constant, learned: bool) -> Result<TensorId> {
        let array = &constant.array;
        let element = array.element_type();
        let floats = element.is_float();
        match element {
            _ if array.is_empty() || element == ElementType::String => {
                return Err(node.unsupported(format_args!("a constant {array} on the device")));
            }
            ElementType::I32 | ElementType::I64 | ElementType::U32 | ElementType::U64 => {
                return self.lift_integers(node, constant);
            }
            _ => {}
        }
        let key = (Arc::as_ptr(array) as usize, DType::F32);
        if let Some((id, _)) = self.lifted.get(&key) {
            return Ok(*id);
        }
        let shape: Shape = array.shape().into();
        let role = match &constant.initializer {
            Some(_) if learned && floats && !shape.is_empty() => Role::Parameter,
            _ => Role::State,
        };
        let name = constant.initializer.as_deref().map_or_else(|| format!("{}.constant", node.label()), String::from);
        let name = (0..)
            .map(|n: usize| if n == 0 { name.clone() } else { format!("{name}.{n}") })
            .find(|name| self.graph.tensor(name).is_none())
            .unwrap_or(name);
        let id = self.graph.variable(&name, shape, role, Init::Zeros)?.id();
        self.weights.push((name, array.clone()));
        self.lifted.insert(key, (id, array.clone()));
        Ok(id)
    }

    /// The table that holds integers on the device, where none is negative or beyond 32 bits.
    pub(super) fn lift_integers(&mut self, node: &Node, constant: &Constant) -> Result<TensorId> {
        let array = &constant.array;
        let key = (Arc::as_ptr(array) as usize, DType::U32);
        if let Some((id, _)) = self.lifted.get(&key) {
            return Ok(*id);
        }
        let integers = array.to_i64().unwrap_or_default().into_iter().map(|integer| u32::try_from(integer).ok());
        let integers = integers.collect::<Option<Vec<u32>>>().filter(|integers| integers.len() == array.len());
        let beyond =
            || node.unsupported(format_args!("a constant {array} on the device, of others than 32-bit naturals"));
        let id = self.graph.integers(integers.ok_or_else(beyond)?, array.shape())?.id();
        self.lifted.insert(key, (id, array.clone()));
        Ok(id)
    }
}

/// Where a value is to be had after a step.
fn source(value: &Value<'_>) -> Option<From> {
    match value {
        Value::Known(constant) => Some(From::Known(constant.array.clone())),
        Value::Device(computed) => Some(From::Device(computed.tensor.id(), computed.element)),
        Value::Late { node, output } => Some(From::Late { node: *node, output: *output }),
        Value::Missing => None,
    }
}

fn array<'v>(value: &'v Value<'_>) -> Option<&'v Array> {
    match value {
        Value::Known(constant) => Some(&constant.array),
        _ => None,
    }
}

fn tensor_type(info: &ValueInfoProto) -> Option<&TensorTypeProto> {
    info.r#type.as_ref()?.tensor_type.as_ref()
}

fn element(ty: &TensorTypeProto) -> Option<ElementType> {
    ElementType::from_code(ty.elem_type)
}

fn outputs_of<'g>(names: &[String], scope: &Scope<'_, 'g>, node: &Node) -> Result<Vec<Value<'g>>> {
    let value = |name: &String| scope.get(name).cloned();
    let missing = |name: &String| node.wrong(format_args!("nothing in it computes `{name}`"));
    names.iter().map(|name| value(name).ok_or_else(|| missing(name))).collect()
}

/// The names that the wanted values need, with those.
fn live<'p>(nodes: &'p [NodeProto], wanted: &'p [String]) -> HashSet<&'p str> {
    let mut live: HashSet<&str> = wanted.iter().map(String::as_str).collect();
    for node in nodes.iter().rev() {
        if node.output.iter().any(|name| live.contains(name.as_str())) {
            uses(node, &mut live);
        }
    }
    live
}

/// Adds what a node reads, in the branches that it holds too: of these also what they define, which does no harm.
fn uses<'p>(node: &'p NodeProto, names: &mut HashSet<&'p str>) {
    names.extend(node.input.iter().map(String::as_str));
    for graph in node.attribute.iter().filter_map(|attribute| attribute.g.as_deref()) {
        names.extend(graph.output.iter().map(|output| output.name.as_str()));
        graph.node.iter().for_each(|node| uses(node, names));
    }
}

/// The node with the attributes that it takes from the function around it.
fn resolved(proto: &NodeProto, given: Option<&[AttributeProto]>) -> NodeProto {
    let mut node = proto.clone();
    let Some(given) = given else { return node };
    node.attribute = node
        .attribute
        .into_iter()
        .filter_map(|attribute| match attribute.ref_attr_name.as_str() {
            "" => Some(attribute),
            outer => {
                let value = given.iter().find(|given| given.name == outer)?;
                Some(AttributeProto { name: attribute.name, ..value.clone() })
            }
        })
        .collect();
    node
}
