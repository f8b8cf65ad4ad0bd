//! A loaded model: its graph, what its variables start from, and where its outputs come from.

use std::sync::Arc;

use super::late::Late;
use super::{Array, ElementType};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::graph::{Graph, Shape, Tensor, TensorId};
use crate::plan::Variables;

/// An input that has to be fed at every step.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its name in the file and in the graph.
    pub name: String,
    /// Its type in the file.
    pub element: ElementType,
    /// Its extents.
    pub shape: Shape,
    /// The value that it must have: the graph was made for it.
    pub(super) fixed: Option<Arc<Array>>,
}

/// An output of the model.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its name in the file.
    pub name: String,
    /// Its type, where it is known before a step.
    pub element: Option<ElementType>,
    pub(super) from: From,
}

impl Output {
    /// Its value, where that is known before a step.
    pub fn constant(&self) -> Option<&Array> {
        match &self.from {
            From::Known(array) => Some(array),
            _ => None,
        }
    }
}

/// Where a value is to be had after a step.
#[derive(Debug, Clone)]
pub(super) enum From {
    Known(Arc<Array>),
    /// What is fed under this name.
    Fed(String),
    Device(TensorId, ElementType),
    Late {
        node: usize,
        output: usize,
    },
}

/// A network from an ONNX file.
#[derive(Debug)]
pub struct Model {
    pub(super) graph: Graph,
    pub(super) inputs: Vec<Input>,
    /// Inputs of the file that no step needs.
    pub(super) idle: Vec<Input>,
    pub(super) outputs: Vec<Output>,
    /// Names of variables, with what the file says they are.
    pub(super) weights: Vec<(String, Arc<Array>)>,
    pub(super) late: Vec<Late>,
}

impl Model {
    /// The network as data. Add layers, a loss and an optimizer to it, or differentiate it.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What has to be fed.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Whether the graph was made for the value of this input that was given at load: every step has to be fed that one, and
    /// no gradient by it is known.
    pub fn is_fixed(&self, input: &str) -> bool {
        self.inputs.iter().chain(&self.idle).any(|other| other.name == input && other.fixed.is_some())
    }

    /// What comes out.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The tensor of an output.
    ///
    /// # Errors
    /// When there is no such output, or it is a constant or computed on the host.
    pub fn output(&self, name: &str) -> Result<Tensor<'_>> {
        let output = self.outputs.iter().find(|output| output.name == name);
        match output.map(|output| &output.from) {
            Some(From::Device(id, _)) => Ok(Tensor::new(&self.graph, *id)),
            Some(From::Fed(name)) if self.graph.tensor(name).is_some() => {
                self.graph.tensor(name).ok_or_else(|| Error::Onnx(format!("no input `{name}`")))
            }
            Some(_) => Err(Error::Onnx(format!("output `{name}` is not computed on the device"))),
            None => {
                let names: Vec<&str> = self.outputs.iter().map(|output| output.name.as_str()).collect();
                Err(Error::Onnx(format!("there is no output `{name}`; there are {}", names.join(", "))))
            }
        }
    }

    /// The values of the file's parameters and constants, to be shared by the sessions of this graph. What was added to the
    /// graph starts from `seed`.
    ///
    /// # Errors
    /// When the device has no memory for them.
    pub fn variables(&self, gpu: &Gpu, seed: u64) -> Result<Variables> {
        let variables = Variables::new(gpu, seed);
        variables.declare(&self.graph)?;
        for (name, array) in &self.weights {
            match array.as_ref() {
                Array::F32(array) => variables.set(name, array)?,
                other => variables.set(name, &other.to_f32().unwrap_or_default())?,
            }
        }
        Ok(variables)
    }
}
