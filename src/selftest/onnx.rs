//! Cases for other runtimes: the graph as an ONNX file, with what goes in and what the reference says comes out.

use super::builder::{CaseBuilder, Data};
use super::{OpCase, SEED, random_variable};
use crate::error::{Error, Result};
use crate::graph::{DType, Evaluator, Graph, Tensor};
use crate::onnx::{self, Array, Export};
use crate::plan::VariableLayout;

/// A case in the terms of ONNX's backend tests.
#[derive(Debug, Clone)]
pub struct OnnxCase {
    /// The bytes of the model.
    pub model: Vec<u8>,
    /// In the model's order.
    pub inputs: Vec<Array>,
    /// In the model's order, rounded from the reference's doubles.
    pub outputs: Vec<Array>,
}

impl OpCase {
    /// The case's graph without gradients, for other runtimes, with its data and the reference's outputs.
    ///
    /// # Errors
    /// When the graph cannot be built, or has something that is in no ONNX file.
    pub fn to_onnx(&self, export: &Export) -> Result<OnnxCase> {
        let graph = Graph::new(self.mode).seed(SEED);
        let builder = CaseBuilder { graph: &graph, inputs: Default::default() };
        let outputs = (self.build)(&builder)?;
        let given = builder.inputs.take();
        if outputs.is_empty() {
            return Err(Error::Unsupported("what changes variables alone, in ONNX".into()));
        }
        let mut weights = VariableLayout::of(&graph, u64::MAX)?.initial_values(SEED);
        let mut evaluator = Evaluator::new(&graph, SEED);
        if self.random_parameters {
            for (name, array) in &mut weights {
                let values = random_variable(name, array.len());
                evaluator.set(name, &values.iter().copied().map(f64::from).collect::<Vec<f64>>())?;
                array.iter_mut().zip(values).for_each(|(to, value)| *to = value);
            }
        }
        if graph.data().nodes.iter().any(|node| node.op.name() == "dropout") {
            return Err(Error::Unsupported("what a training drops, in ONNX".into()));
        }
        let model = graph.to_onnx(&outputs, &weights, export)?;
        let widened: Vec<(&str, Vec<f64>)> = given.iter().map(|(name, data)| (name.as_str(), data.widened())).collect();
        let ids: Vec<_> = outputs.iter().map(Tensor::id).collect();
        let fed: Vec<(&str, &[f64])> = widened.iter().map(|(name, values)| (*name, values.as_slice())).collect();
        evaluator.run_for(&ids, &fed)?;
        let mut inputs = Vec::new();
        for onnx::Declared { name, .. } in onnx::inputs(&model)? {
            let shape = graph.tensor(&name).map(|tensor| tensor.shape()).unwrap_or_default();
            for (_, data) in given.iter().filter(|(given, _)| *given == name) {
                inputs.push(match data {
                    Data::F32(values) => Array::new(&shape, values.clone())?,
                    Data::U32(values) => Array::new(&shape, values.iter().copied().map(i64::from).collect())?,
                    Data::U8(values) => Array::new(&shape, values.clone())?,
                });
            }
        }
        let output = |tensor: &Tensor<'_>| {
            let (shape, values) = (tensor.shape(), evaluator.value(*tensor));
            match tensor.dtype() {
                DType::F32 => Array::new(&shape, values.iter().map(|&value| value as f32).collect()),
                _ => Array::new(&shape, values.iter().map(|&value| value as i64).collect()),
            }
        };
        let outputs = outputs.iter().map(output).collect::<Result<_>>()?;
        Ok(OnnxCase { model, inputs, outputs })
    }
}
