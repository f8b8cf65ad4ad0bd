//! What an operation sees when it is asked for its ONNX form.

use super::super::{Array, ElementType};
use super::{Attributes, File, Held};
use crate::error::{Error, Result};
use crate::graph::{Node, TensorType};

/// A node of the graph on its way into a file.
#[derive(Debug)]
pub(crate) struct Exporting<'f, 'a> {
    file: &'f mut File<'a>,
    node: &'a Node,
    /// Types of the inputs.
    pub(crate) inputs: Vec<TensorType>,
    /// Types of the outputs.
    pub(crate) outputs: Vec<TensorType>,
    /// Whether outputs keep the examples apart.
    examples: bool,
}

impl<'f, 'a> Exporting<'f, 'a> {
    pub(super) fn new(file: &'f mut File<'a>, node: &'a Node) -> Self {
        let types = |ids: &[crate::graph::TensorId]| ids.iter().map(|&id| file.data.value(id).ty.clone()).collect();
        let (inputs, outputs) = (types(&node.inputs), types(&node.outputs));
        Self { file, node, inputs, outputs, examples: false }
    }

    /// The version of the operators.
    pub(crate) fn opset(&self) -> i64 {
        self.file.export.opset
    }

    /// The error that the operation has no ONNX form.
    pub(crate) fn refused(&self, reason: impl std::fmt::Display) -> Error {
        Error::Unsupported(format!("{}: {reason}", self.node.title()))
    }

    /// Refuses what only training has: gradients, by their names.
    pub(crate) fn only_inference(&self) -> Result<()> {
        match self.node.op.name().contains('.') {
            true => Err(self.refused("gradients have no place in a file")),
            false => Ok(()),
        }
    }

    /// Says whether the results of different examples, along axis 0, have nothing to do with each other: only then may
    /// their number be left open.
    pub(crate) fn keeps_examples(&mut self, apart: bool) -> Result<()> {
        let any = self.node.inputs.iter().any(|id| self.file.held.get(id).is_some_and(|held| held.examples));
        if any && !apart {
            return Err(self.refused("it takes examples together, whose number is left open"));
        }
        self.examples = any;
        Ok(())
    }

    /// Whether anything needs the output.
    pub(crate) fn needs(&self, output: usize) -> bool {
        self.file.needed.contains(&self.node.outputs[output])
    }

    /// Number of inputs.
    pub(crate) fn count(&self) -> usize {
        self.node.inputs.len()
    }

    /// An input as it lies in the file, perhaps under another shape.
    pub(crate) fn held(&self, index: usize) -> Result<Held> {
        let id = self.node.inputs[index];
        let held = self.file.held.get(&id).cloned();
        held.ok_or_else(|| self.refused(format_args!("ONNX does not have {}", self.file.data.describe(id))))
    }

    /// An input, under the shape that the graph gives it.
    pub(crate) fn input(&mut self, index: usize) -> Result<String> {
        let shape = self.inputs[index].shape.to_vec();
        self.input_as(index, &shape)
    }

    /// An input under this shape.
    pub(crate) fn input_as(&mut self, index: usize, shape: &[usize]) -> Result<String> {
        let held = self.held(index)?;
        self.file.reshape(&held, shape, None).map_err(|error| match error {
            Error::Unsupported(message) => self.refused(message),
            other => other,
        })
    }

    /// All inputs.
    pub(crate) fn all_inputs(&mut self) -> Result<Vec<String>> {
        (0..self.count()).map(|index| self.input(index)).collect()
    }

    /// A number that all elements share.
    pub(crate) fn number(&mut self, value: f32) -> Result<String> {
        self.file.number("number", &Array::new(&[], vec![value])?)
    }

    /// Floats of this shape.
    pub(crate) fn floats(&mut self, shape: &[usize], values: Vec<f32>) -> Result<String> {
        self.file.number("numbers", &Array::new(shape, values)?)
    }

    /// Integers: axes, extents, places.
    pub(crate) fn integers(&mut self, values: impl IntoIterator<Item = i64>) -> Result<String> {
        self.file.number("integers", &Array::integers(values))
    }

    /// Integers of this shape.
    pub(crate) fn integers_as(&mut self, shape: &[usize], values: Vec<i64>) -> Result<String> {
        self.file.number("integers", &Array::new(shape, values)?)
    }

    /// One integer without an axis.
    pub(crate) fn integer(&mut self, value: usize) -> Result<String> {
        self.file.number("integer", &Array::new(&[], vec![value as i64])?)
    }

    fn base(&self) -> &'a str {
        if self.node.layer.is_empty() { self.node.op.name() } else { &self.node.layer }
    }

    /// Adds a node whose result is used by another of this operation.
    pub(crate) fn between(&mut self, operator: &str, inputs: &[&str], attributes: Attributes<'_>) -> String {
        let base = self.base();
        let name = self.file.unique(&format!("{base}.{}", operator.to_lowercase()), false);
        self.push(operator, inputs, vec![name.clone()], attributes);
        name
    }

    /// Adds the node that computes the one output that anything needs.
    pub(crate) fn finish(&mut self, operator: &str, inputs: &[&str], attributes: Attributes<'_>) -> Result<()> {
        let shape = self.outputs[0].shape.to_vec();
        self.finish_as(&shape, operator, inputs, attributes)
    }

    /// [`Exporting::finish`] where the node's result has the output's elements under another shape.
    pub(crate) fn finish_as(
        &mut self,
        shape: &[usize],
        operator: &str,
        inputs: &[&str],
        attributes: Attributes<'_>,
    ) -> Result<()> {
        let name = self.output(0, shape);
        self.push(operator, inputs, vec![name], attributes);
        Ok(())
    }

    /// The name of an output of this shape, for [`Exporting::push`].
    pub(crate) fn output(&mut self, index: usize, shape: &[usize]) -> String {
        let id = self.node.outputs[index];
        let own = || self.file.data.value(id).name.clone();
        let named = self.file.wanted.get(&id).cloned().or_else(own);
        let named = named.filter(|_| *shape == *self.outputs[index].shape);
        let base = self.base();
        let name = named.unwrap_or_else(|| self.file.unique(base, false));
        self.file.held.insert(id, Held { name: name.clone(), shape: shape.to_vec(), examples: self.examples });
        name
    }

    /// Adds a node with outputs of these names. A name of `""` stands for an input that is left out.
    pub(crate) fn push(&mut self, operator: &str, inputs: &[&str], outputs: Vec<String>, attributes: Attributes<'_>) {
        let inputs = inputs.iter().map(ToString::to_string).collect();
        let base = self.base();
        self.file.push(base, operator, inputs, outputs, attributes);
    }

    /// A condition of truth values where the graph has a mask.
    pub(crate) fn condition(&mut self, mask: &str) -> String {
        self.between("Cast", &[mask], &[("to", i64::from(ElementType::Bool.code()).into())])
    }

    /// Floats where the file has integers.
    pub(crate) fn float(&mut self, integers: &str) -> String {
        self.between("Cast", &[integers], &[("to", i64::from(ElementType::F32.code()).into())])
    }

    /// Adds the node that makes a mask of a condition.
    pub(crate) fn finish_mask(&mut self, condition: &str) -> Result<()> {
        self.finish("Cast", &[condition], &[("to", i64::from(ElementType::F32.code()).into())])
    }
}
