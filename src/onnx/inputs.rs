//! What comes to the device from outside: a file's inputs, and its constants.

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::Arc;

use super::import::{Import, Scope};
use super::model::Input;
use super::node::Node;
use super::proto::{Dimension, DimensionValue, GraphProto, TensorTypeProto, ValueInfoProto};
use super::shapes::countable;
use super::value::{Computed, Constant, EXACT, FED, Range, Value, range_of};
use super::{Array, ElementType};
use crate::error::{Error, Result};
use crate::graph::{Init, Role, Tensor, TensorType};

/// An input of the file. The graph has it once something in it needs it.
pub(super) struct Fed<'g> {
    pub(super) input: Input,
    /// The value that it has been said to have.
    pub(super) expected: Option<Arc<Array>>,
    pub(super) tensor: Option<Tensor<'g>>,
    /// Whether anything needs its value, on the device or the host.
    pub(super) used: bool,
    /// Whether the graph was made for the value that it has been said to have.
    pub(super) fixed: Cell<bool>,
}

/// What the integers of an input may be where the device computes with them.
pub(super) fn fed_range(element: ElementType) -> Range {
    let [least, greatest] = range_of(element);
    [least.max(-FED), greatest.min(FED)]
}

impl<'g> Import<'_, 'g> {
    /// Takes note of an input that nothing needs.
    pub(super) fn idle(&mut self, name: &str) {
        let input = Input { name: name.into(), element: ElementType::F32, shape: Vec::new().into(), fixed: None };
        self.inputs.push(Fed { input, expected: None, tensor: None, used: false, fixed: Cell::new(false) });
    }

    /// Reads the initializers that something needs.
    pub(super) fn initializers(
        &mut self,
        proto: &GraphProto,
        scope: &mut Scope<'_, 'g>,
        live: &HashSet<&str>,
    ) -> Result<()> {
        if let Some(sparse) = proto.sparse_initializer.first() {
            let name = sparse.values.as_ref().map_or("", |values| values.name.as_str());
            return Err(Error::Unsupported(format!("the sparse initializer `{name}`")));
        }
        for tensor in proto.initializer.iter().filter(|tensor| live.contains(tensor.name.as_str())) {
            let array = match self.options.values.get(&tensor.name) {
                Some(given) => given.clone(),
                None => Arc::new(self.folder.read(tensor)?),
            };
            match scope.attributes {
                None => self.budget.grow(&array),
                // Those of a function are read at each of its calls.
                Some(_) => self.budget.spend(format_args!("initializer `{}`", tensor.name), array.len())?,
            }
            scope.define(
                &tensor.name,
                Value::Known(Constant { array, initializer: Some(tensor.name.as_str().into()) }),
            )?;
        }
        Ok(())
    }

    /// What an input stands for: a constant where its value is given and no float, or where it has no elements.
    pub(super) fn fed(&mut self, info: &ValueInfoProto) -> Result<Value<'g>> {
        let name = info.name.as_str();
        let wrong = |message: String| Error::Onnx(format!("input `{name}`: {message}"));
        let ty = info.tensor().ok_or_else(|| Error::Unsupported(format!("input `{name}` is no tensor")))?;
        let element = ty.element();
        let element =
            element.ok_or_else(|| Error::Unsupported(format!("input `{name}`: element type {}", ty.elem_type)))?;
        let given = self.options.values.get(name).cloned();
        let shape = match (&given, self.options.shapes.get(name)) {
            (Some(array), _) if array.element_type() != element => {
                return Err(wrong(format!("expected {element}, got {array}")));
            }
            (Some(array), _) => {
                self.check_shape(name, ty, array.shape())?;
                array.shape().to_vec()
            }
            (None, Some(shape)) => {
                self.check_shape(name, ty, shape)?;
                shape.clone()
            }
            (None, None) => self.extents(name, ty)?,
        };
        if !countable(&shape) {
            return Err(wrong(format!("{shape:?} are more elements than can be counted")));
        }
        let empty = shape.contains(&0).then(|| Array::new::<f32>(&shape, Vec::new()).ok()?.cast(element)).flatten();
        let told = given.clone().filter(|array| !element.is_float() || array.is_empty());
        let fixed = Cell::new(told.is_some());
        let known = told.or_else(|| empty.map(Arc::new));
        let input = Input { name: name.into(), element, shape: shape.into(), fixed: None };
        self.inputs.push(Fed { input, expected: given, tensor: None, used: false, fixed });
        Ok(match known {
            Some(array) => Value::Known(Constant { array, initializer: None }),
            None => Value::Fed(self.inputs.len() - 1),
        })
    }

    /// Extents by what the file and the options say.
    fn extents(&self, name: &str, ty: &TensorTypeProto) -> Result<Vec<usize>> {
        let dims = ty.shape.as_ref().map(|shape| &shape.dim);
        let dims = dims.ok_or_else(|| Error::Onnx(format!("input `{name}` has no shape in the file: give it one")))?;
        let extent = |(axis, dim): (usize, &Dimension)| match &dim.value {
            Some(DimensionValue::Extent(extent)) if *extent > 0 => Ok(*extent as usize),
            // Some writers have -1 for an extent that is open.
            Some(DimensionValue::Extent(0 | -1)) | None => {
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
        let fits = |(dim, &extent): (&Dimension, &usize)| match &dim.value {
            Some(DimensionValue::Extent(expected)) if *expected > 0 => *expected == extent as i64,
            Some(DimensionValue::Symbol(symbol)) => self.options.dims.get(symbol).is_none_or(|&given| given == extent),
            _ => true,
        };
        match dims.len() == shape.len() && dims.iter().zip(shape).all(fits) {
            true => Ok(()),
            false => {
                let text = |dim: &Dimension| match &dim.value {
                    Some(DimensionValue::Extent(extent)) if *extent > 0 => extent.to_string(),
                    Some(DimensionValue::Symbol(symbol)) => symbol.clone(),
                    Some(DimensionValue::Extent(_)) | None => "?".into(),
                };
                let expected = dims.iter().map(text).collect::<Vec<_>>().join(", ");
                Err(Error::Onnx(format!("input `{name}`: expected the shape [{expected}], got {shape:?}")))
            }
        }
    }

    /// Puts an input on the device.
    pub(super) fn declare(&mut self, user: &str, number: usize) -> Result<Computed<'g>> {
        let Input { name, element, shape, .. } = &self.inputs[number].input;
        match element {
            ElementType::F64 | ElementType::String => {
                let message = format!("{user}: the input `{name}`, {element}{shape}, on the device");
                Err(Error::Unsupported(message))
            }
            _ => self.place(number),
        }
    }

    /// Puts an input on the device as floats, whatever its type.
    pub(super) fn place(&mut self, number: usize) -> Result<Computed<'g>> {
        let Fed { input: Input { name, element, shape, .. }, tensor, .. } = &self.inputs[number];
        let (element, range) = (*element, fed_range(*element));
        let tensor = match tensor {
            Some(tensor) => *tensor,
            None => self.graph.input_of(name, TensorType::f32(shape.clone()))?,
        };
        self.inputs[number].tensor = Some(tensor);
        self.inputs[number].used = true;
        Ok(Computed { tensor, element, range })
    }

    /// A constant on the device: a parameter where it is an initializer of floats with axes and may be learned.
    pub(super) fn lift(&mut self, node: &Node, constant: &Constant, learned: bool) -> Result<Computed<'g>> {
        let array = &constant.array;
        let element = array.element_type();
        let refused = || node.unsupported(format_args!("a constant {array} on the device"));
        let range = match element.is_integer() {
            false => range_of(ElementType::Bool),
            true => {
                let integers = array.to_i64().ok_or_else(refused)?;
                let least_and_greatest = (integers.iter().min(), integers.iter().max());
                let (Some(&least), Some(&greatest)) = least_and_greatest else { return Err(refused()) };
                if least < -EXACT || greatest > EXACT {
                    return Err(node.unsupported(format_args!("a constant {array} beyond 2^24 on the device")));
                }
                [least, greatest]
            }
        };
        if array.is_empty() || matches!(element, ElementType::F64 | ElementType::String) {
            return Err(refused());
        }
        let address = Arc::as_ptr(array) as usize;
        if let Some(&id) = self.lifted.get(&address) {
            return Ok(Computed { tensor: Tensor::new(self.graph, id), element, range });
        }
        let role = match &constant.initializer {
            Some(_) if learned && element.is_float() && !array.shape().is_empty() => Role::Parameter,
            _ => Role::State,
        };
        let name = constant.initializer.as_deref().map_or_else(|| format!("{}.constant", node.label()), String::from);
        let taken =
            |name: &str| self.graph.tensor(name).is_some() || self.inputs.iter().any(|fed| fed.input.name == name);
        let name = (0..)
            .map(|n: usize| if n == 0 { name.clone() } else { format!("{name}.{n}") })
            .find(|name| !taken(name))
            .unwrap_or(name);
        let tensor = self.graph.variable(&name, array.shape(), role, Init::Zeros)?;
        self.weights.push((name, array.clone()));
        self.lifted.insert(address, tensor.id());
        Ok(Computed { tensor, element, range })
    }

    /// All of what `build` puts on the device, or nothing where it fails.
    pub(super) fn whole<T>(&mut self, build: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let (graph, weights) = (self.graph, self.weights.len());
        let used: Vec<bool> = self.inputs.iter().map(|fed| fed.used).collect();
        let result = graph.whole(|| build(&mut *self));
        if result.is_err() {
            let values = graph.data().values.len();
            self.weights.truncate(weights);
            self.lifted.retain(|_, id| id.index < values);
            for (fed, used) in self.inputs.iter_mut().zip(used) {
                fed.tensor = fed.tensor.filter(|tensor| tensor.id().index < values);
                fed.used = used;
            }
        }
        result
    }

    /// ONNX's type of a value, where it is known before a step.
    pub(super) fn element(&self, value: &Value<'g>) -> Option<ElementType> {
        match value {
            Value::Known(constant) => Some(constant.array.element_type()),
            Value::Device(computed) => Some(computed.element),
            Value::Fed(number) => Some(self.inputs[*number].input.element),
            Value::Late { .. } | Value::Missing => None,
        }
    }

    /// Half-precision floats stay such, whatever they are on the device: what an operator makes of them has their type.
    pub(super) fn relabelled(
        &self,
        node: &Node,
        inputs: &[Option<Value<'g>>],
        mut outputs: Vec<Value<'g>>,
    ) -> Vec<Value<'g>> {
        // These say themselves of what type their result is.
        const OWN: &[&str] = &["Cast", "CastLike", "DequantizeLinear", "OneHot"];
        let half = inputs.iter().flatten().filter_map(|value| self.element(value)).find(|element| element.is_float());
        if let Some(half @ (ElementType::F16 | ElementType::Bf16)) = half
            && !OWN.contains(&node.operator.as_str())
        {
            for output in &mut outputs {
                match output {
                    Value::Device(computed) if computed.element == ElementType::F32 => computed.element = half,
                    _ => {}
                }
            }
        }
        outputs
    }
}
