//! From the messages of a file to a graph: names, functions, branches, and which nodes compute where.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use prost::bytes::Bytes;

use super::inputs::Fed;
use super::late::Late;
use super::model::{From, Model, Output};
use super::names::{computed_by, live};
use super::node::{Node, resolved};
use super::ops::{self, Call};
use super::proto::{AttributeProto, FunctionProto, GraphProto, NodeProto, OperatorSetIdProto, TensorTypeProto};
use super::tensor_proto::Folder;
use super::value::{Constant, Value};
use super::{Array, ElementType, Options, fold, host};
use crate::error::{Error, Result};
use crate::graph::{Graph, Mode, Tensor, TensorId};

/// The newest operator set whose rules are known.
const NEWEST: i64 = 25;
/// Functions within functions and branches within branches.
const MOST_DEPTH: usize = 64;
/// Nodes of a graph with its functions written out: far more than any network has, and few enough to go over in a moment.
const MOST_NODES: usize = 100_000;

/// The graph of a file's bytes.
pub(super) fn model(bytes: Bytes, folder: Folder, options: &Options) -> Result<Model> {
    let proto: super::proto::ModelProto = super::proto::decoded(bytes)?;
    let main = proto.graph.as_ref().ok_or_else(|| Error::Onnx("no ONNX model: it has no graph".into()))?;
    let graph = Graph::new(options.mode);
    let (inputs, idle, outputs, weights, late) = {
        let functions = proto.functions.iter().map(|f| ((f.domain.as_str(), f.name.as_str(), f.overload.as_str()), f));
        let mut import = Import {
            graph: &graph,
            options,
            folder,
            functions: functions.collect(),
            inputs: Vec::new(),
            lifted: HashMap::new(),
            weights: Vec::new(),
            late: Vec::new(),
            missing: Vec::new(),
            budget: host::Budget::new(),
            nodes: 0,
            depth: 0,
        };
        let outputs = import.main(main, &opsets(&proto.opset_import)?)?;
        if !import.missing.is_empty() {
            let count = import.missing.len();
            return Err(Error::Unsupported(format!("{count} of the nodes: {}", import.missing.join("; "))));
        }
        let (used, idle): (Vec<Fed<'_>>, Vec<Fed<'_>>) = import.inputs.into_iter().partition(|input| input.used);
        let input = |Fed { input, expected, fixed, .. }: Fed<'_>| super::Input {
            fixed: expected.filter(|_| fixed.get()),
            ..input
        };
        let [inputs, idle] = [used, idle].map(|inputs| inputs.into_iter().map(input).collect());
        (inputs, idle, outputs, import.weights, import.late)
    };
    Ok(Model { graph, inputs, idle, outputs, weights, late })
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
pub(super) struct Scope<'s, 'g> {
    values: HashMap<String, Value<'g>>,
    outer: Option<&'s Scope<'s, 'g>>,
    opsets: &'s Opsets,
    /// What a function was called with, where this is one's body.
    pub(super) attributes: Option<&'s [AttributeProto]>,
}

impl<'g> Scope<'_, 'g> {
    fn get(&self, name: &str) -> Option<&Value<'g>> {
        self.values.get(name).or_else(|| self.outer?.get(name))
    }

    pub(super) fn define(&mut self, name: &str, value: Value<'g>) -> Result<()> {
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
    pub(super) folder: Folder,
    functions: HashMap<(&'a str, &'a str, &'a str), &'a FunctionProto>,
    /// The inputs that are no initializers.
    pub(super) inputs: Vec<Fed<'g>>,
    /// The variables that stand for constants, by the address of the array.
    pub(super) lifted: HashMap<usize, TensorId>,
    pub(super) weights: Vec<(String, Arc<Array>)>,
    late: Vec<Late>,
    /// Nodes that are not supported.
    missing: Vec<String>,
    pub(super) budget: host::Budget,
    nodes: usize,
    depth: usize,
}

impl<'a, 'g> Import<'a, 'g> {
    fn main(&mut self, main: &'a GraphProto, opsets: &Opsets) -> Result<Vec<Output>> {
        let mut scope = Scope { values: HashMap::new(), outer: None, opsets, attributes: None };
        let names: Vec<String> = match &self.options.outputs {
            Some(names) => names.clone(),
            None => main.output.iter().map(|output| output.name.clone()).collect(),
        };
        let wanted: Vec<String> = names.iter().map(|name| computed_by(main, name).into()).collect();
        let live = live(&main.node, &wanted);
        self.initializers(main, &mut scope, &live)?;
        self.inputs(main, &mut scope, &live)?;
        self.nodes(&main.node, &wanted, &mut scope)?;
        let declared: HashMap<&str, Option<ElementType>> = main
            .output
            .iter()
            .map(|info| (info.name.as_str(), info.tensor().and_then(TensorTypeProto::element)))
            .collect();
        let mut outputs = Vec::new();
        for (name, of) in names.into_iter().zip(wanted) {
            let value = scope.get(&of);
            let value = value.ok_or_else(|| Error::Onnx(format!("no node computes the output `{name}`")))?.clone();
            let element = self.element(&value);
            // Floats that are passed through have a gradient too.
            let value = match value {
                Value::Fed(number)
                    if element == Some(ElementType::F32) && !self.inputs[number].input.shape.contains(&0) =>
                {
                    Value::Device(self.declare(&format!("output `{name}`"), number)?)
                }
                other => other,
            };
            let Some(from) = self.source(&value) else { continue };
            let element = declared.get(name.as_str()).copied().flatten().or(element);
            // Where the graph has another tensor of this name, the model alone knows what the output is.
            if let From::Device(id, _) = from
                && !name.is_empty()
                && self.graph.tensor(&name).is_none()
            {
                self.graph.name(&name, Tensor::new(self.graph, id))?;
            }
            outputs.push(Output { name, element, from });
        }
        Ok(outputs)
    }

    /// Declares the inputs that are no initializers.
    fn inputs(&mut self, proto: &GraphProto, scope: &mut Scope<'_, 'g>, live: &HashSet<&str>) -> Result<()> {
        let initializers: HashSet<&str> = proto.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
        let known =
            |name: &&String| initializers.contains(name.as_str()) || proto.input.iter().any(|info| info.name == **name);
        let mut told = self.options.values.keys().chain(self.options.shapes.keys());
        if let Some(name) = told.find(|name| !known(name)) {
            return Err(Error::Onnx(format!("there is no input `{name}` to tell a value or a shape of")));
        }
        for info in proto.input.iter().filter(|info| !initializers.contains(info.name.as_str())) {
            if live.contains(info.name.as_str()) {
                let value = self.fed(info)?;
                array(&value).into_iter().for_each(|array| self.budget.grow(array));
                scope.define(&info.name, value)?;
            } else {
                self.idle(&info.name);
            }
        }
        Ok(())
    }

    /// Where a value is to be had after a step.
    fn source(&mut self, value: &Value<'g>) -> Option<From> {
        match value {
            Value::Known(constant) => Some(From::Known(constant.array.clone())),
            Value::Device(computed) => Some(From::Device(computed.tensor.id(), computed.element)),
            Value::Fed(number) => {
                self.inputs[*number].used = true;
                Some(From::Fed(self.inputs[*number].input.name.clone()))
            }
            Value::Late { node, output } => Some(From::Late { node: *node, output: *output }),
            Value::Missing => None,
        }
    }

    /// Imports the nodes that the wanted values need, in the file's order.
    fn nodes(&mut self, nodes: &'a [NodeProto], wanted: &[String], scope: &mut Scope<'_, 'g>) -> Result<()> {
        // What nothing needs is gone over too.
        self.count(nodes.len())?;
        let live = live(nodes, wanted);
        let pairs = if self.graph.mode() == Mode::Evaluation { fold::pairs(nodes, wanted) } else { HashMap::new() };
        // Convolutions that compute the normalisation behind them.
        let mut folded: HashSet<&str> = HashSet::new();
        for proto in nodes.iter().filter(|node| node.output.iter().any(|name| live.contains(name.as_str()))) {
            let name = proto.output.first().map_or("", String::as_str);
            let outputs = match pairs.get(name) {
                Some(norm) => self.folded(proto, norm, scope)?,
                None => None,
            };
            let outputs = match (outputs, proto.input.first()) {
                (Some(outputs), _) => {
                    folded.insert(name);
                    outputs
                }
                // The normalisation itself, which has been computed.
                (None, Some(x)) if folded.contains(x.as_str()) => scope.get(x).cloned().into_iter().collect(),
                (None, _) => self.node(proto, scope)?,
            };
            for (name, value) in proto.output.iter().zip(outputs).filter(|(name, _)| !name.is_empty()) {
                scope.define(name, value)?;
            }
        }
        Ok(())
    }

    /// Counts nodes, and what stands for nodes: steps that are written out.
    pub(super) fn count(&mut self, more: usize) -> Result<()> {
        self.nodes = self.nodes.saturating_add(more);
        match self.nodes > MOST_NODES {
            true => Err(Error::Onnx(format!("more than {MOST_NODES} nodes, those of functions and steps counted"))),
            false => Ok(()),
        }
    }

    /// A node as its operator sees it.
    fn described(&self, proto: &NodeProto, scope: &Scope<'_, 'g>) -> Node {
        let domain = domain(proto);
        let operator = if domain.is_empty() { proto.op_type.clone() } else { format!("{domain}.{}", proto.op_type) };
        let opset = scope.opsets.get(domain).copied().unwrap_or(1);
        Node { operator, opset, proto: resolved(proto, scope.attributes) }
    }

    /// The output of a convolution with the normalisation behind it in its weights, where that can be.
    fn folded(&mut self, proto: &NodeProto, norm: &NodeProto, scope: &Scope<'_, 'g>) -> Result<Option<Vec<Value<'g>>>> {
        let (node, norm) = (self.described(proto, scope), self.described(norm, scope));
        if !scope.opsets.contains_key("") || self.functions.keys().any(|(domain, ..)| domain.is_empty()) {
            return Ok(None);
        }
        let of = |node: &Node| -> Vec<_> { node.proto.input.iter().map(|name| scope.get(name).cloned()).collect() };
        let Some(inputs) = fold::folded(&of(&node), &norm, &of(&norm))? else { return Ok(None) };
        match self.operator(&node, &inputs) {
            Ok(outputs) => Ok(Some(outputs)),
            // Both are looked at by themselves then.
            Err(Error::Unsupported(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The outputs of one node.
    fn node(&mut self, proto: &'a NodeProto, scope: &Scope<'_, 'g>) -> Result<Vec<Value<'g>>> {
        let node = self.described(proto, scope);
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
        let function = self.functions.get(&(domain(proto), proto.op_type.as_str(), proto.overload.as_str())).copied();
        let outputs = match function {
            Some(function) => self.deeper(&node, |import| import.function(&node, function, &inputs)),
            None if node.operator == "If" => self.deeper(&node, |import| import.branch(&node, proto, &inputs, scope)),
            None => match scope.opsets.get(domain(proto)) {
                Some(_) => self.operator(&node, &inputs),
                None => Err(node.wrong("the file imports no operator set of its domain")),
            },
        };
        match outputs {
            Ok(outputs) => {
                // A constant is in the file, and that of a function once for all its calls.
                if function.is_none() && inputs.is_empty() && scope.attributes.is_none() {
                    outputs.iter().filter_map(array).for_each(|array| self.budget.grow(array));
                }
                Ok(outputs)
            }
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
        // Whatever it is and wherever: the same under another name.
        if let ("Identity", [Some(value)]) = (node.operator.as_str(), inputs) {
            return Ok(vec![value.clone()]);
        }
        let (on_host, on_device) = (host::find(&node.operator), ops::find(&node.operator));
        if on_host.is_none() && on_device.is_none() {
            return Err(node.unsupported("no such operator"));
        }
        let all_known = inputs.iter().all(|value| matches!(value, None | Some(Value::Known(_))));
        let late = inputs.iter().flatten().any(|value| matches!(value, Value::Late { .. }));
        let mut reason = None;
        if let Some(compute) = on_host.filter(|_| all_known) {
            let arrays: Vec<Option<&Array>> = inputs.iter().map(|value| value.as_ref().and_then(array)).collect();
            let budget = &self.budget;
            let computed = budget.touch(node, arrays.iter().copied().flatten()).and_then(|()| {
                let outputs = compute(&host::Call { node, inputs: &arrays, budget: Some(budget) })?;
                budget.touch(node, &outputs).map(|()| outputs)
            });
            match computed {
                Ok(outputs) => return Ok(outputs.into_iter().map(Value::known).collect()),
                Err(Error::Unsupported(message)) => reason = Some(message),
                Err(error) => return Err(node.located(error)),
            }
        }
        if let Some(compute) = on_device.filter(|_| !late) {
            let graph = self.graph;
            match self.whole(|import| {
                let mut call = Call { node, inputs, import };
                graph.in_layer(node.label(), || compute(&mut call))
            }) {
                Ok(outputs) => return Ok(self.relabelled(node, inputs, outputs)),
                Err(Error::Unsupported(message)) => {
                    reason = Some(reason.map_or_else(|| message.clone(), |host| format!("{host}; {message}")));
                }
                Err(error) => return Err(node.located(error)),
            }
        }
        match on_host {
            Some(compute) if !all_known => {
                let number = self.late.len();
                let inputs = inputs.iter().map(|value| self.source(value.as_ref()?)).collect();
                self.late.push(Late { node: node.clone(), compute, inputs });
                Ok((0..node.outputs()).map(|output| Value::Late { node: number, output }).collect())
            }
            _ => Err(reason.map_or_else(
                || node.unsupported("it needs on the device what is computed on the host after a step"),
                Error::Unsupported,
            )),
        }
    }
}

fn array<'v>(value: &'v Value<'_>) -> Option<&'v Array> {
    match value {
        Value::Known(constant) => Some(&constant.array),
        _ => None,
    }
}

fn outputs_of<'g>(names: &[String], scope: &Scope<'_, 'g>, node: &Node) -> Result<Vec<Value<'g>>> {
    let value = |name: &String| scope.get(name).cloned();
    let missing = |name: &String| node.wrong(format_args!("nothing in it computes `{name}`"));
    names.iter().map(|name| value(name).ok_or_else(|| missing(name))).collect()
}

/// The operator set that a node's operator is of; ONNX's own has two names.
fn domain(proto: &NodeProto) -> &str {
    if proto.domain == "ai.onnx" { "" } else { &proto.domain }
}
