//! Reverse-mode differentiation: walks the nodes backwards and asks each operation for its gradient as new nodes.

use std::collections::{HashMap, HashSet};

use super::{Graph, Tensor, TensorId};
use crate::error::{Error, Result};

/// What an operation sees when it is asked for its gradient.
#[derive(Debug)]
pub(crate) struct GradientContext<'g> {
    graph: &'g Graph,
    layer: String,
    inputs: Vec<Tensor<'g>>,
    outputs: Vec<Tensor<'g>>,
    cotangents: Vec<Option<Tensor<'g>>>,
    wanted: Vec<bool>,
}

impl<'g> GradientContext<'g> {
    /// The graph to add nodes to.
    pub(crate) fn graph(&self) -> &'g Graph {
        self.graph
    }
    /// The layer's name.
    pub(crate) fn layer(&self) -> &str {
        &self.layer
    }
    /// Number of inputs.
    pub(crate) fn count(&self) -> usize {
        self.inputs.len()
    }
    /// Input `index` of the node.
    pub(crate) fn input(&self, index: usize) -> Tensor<'g> {
        self.inputs[index]
    }
    /// Output `index` of the node.
    pub(crate) fn output(&self, index: usize) -> Tensor<'g> {
        self.outputs[index]
    }
    /// The derivative of the loss with respect to output `index`, where the loss depends on it.
    pub(crate) fn cotangent(&self, index: usize) -> Option<Tensor<'g>> {
        self.cotangents[index]
    }
    /// Whether anybody needs the cotangent of input `index`.
    pub(crate) fn wants(&self, index: usize) -> bool {
        self.wanted[index]
    }
}

impl Graph {
    /// The gradient of a scalar `loss` with respect to every parameter, in [`Graph::parameters`]' order.
    ///
    /// # Errors
    /// When the loss is not a single f32 value, does not depend on some parameter, or goes through an operation that has
    /// no gradient.
    pub fn gradients<'g>(&'g self, loss: Tensor<'g>) -> Result<Vec<(Tensor<'g>, Tensor<'g>)>> {
        if loss.shape().elements() != 1 {
            return Err(Error::shape("gradients", "a loss of one element", loss.shape()));
        }
        self.owns("gradients", &[loss])?;
        let one = self.constant(1.0, loss.shape())?;
        let parameters = self.parameters();
        let gradients = self.gradients_of(&[(loss, one)], &parameters)?;
        parameters
            .into_iter()
            .zip(gradients)
            .map(|(parameter, gradient)| match gradient {
                Some(gradient) => Ok((parameter, gradient)),
                None => Err(Error::Graph(format!(
                    "the loss does not depend on the parameter `{}`",
                    parameter.name().unwrap_or_default()
                ))),
            })
            .collect()
    }

    /// The gradient of Σ⟨cotangent, output⟩ over the given pairs with respect to each of `targets`; `None` where the
    /// outputs do not depend on one.
    ///
    /// # Errors
    /// When a tensor belongs to another graph, a cotangent is of another type than its output, or an operation between
    /// outputs and targets has no gradient.
    pub fn gradients_of<'g>(
        &'g self,
        outputs: &[(Tensor<'g>, Tensor<'g>)],
        targets: &[Tensor<'g>],
    ) -> Result<Vec<Option<Tensor<'g>>>> {
        self.owns("gradients", targets)?;
        let mut cotangents: HashMap<TensorId, Tensor<'g>> = HashMap::new();
        for &(output, cotangent) in outputs {
            self.owns("gradients", &[output, cotangent])?;
            if output.ty() != cotangent.ty() {
                return Err(Error::shape("gradients", format!("a cotangent {}", output.ty()), cotangent.ty()));
            }
            accumulate(&mut cotangents, output, cotangent)?;
        }
        // Only nodes between a target and an output take part.
        let count = self.data().nodes.len();
        let mut reached: HashSet<TensorId> = targets.iter().map(Tensor::id).collect();
        for index in 0..count {
            let data = self.data();
            let node = &data.nodes[index];
            if node.inputs.iter().any(|id| reached.contains(id)) {
                reached.extend(&node.outputs);
            }
        }
        for index in (0..count).rev() {
            let node = self.data().nodes[index].clone();
            let ours: Vec<Option<Tensor<'g>>> = node.outputs.iter().map(|id| cotangents.get(id).copied()).collect();
            let wanted: Vec<bool> = node.inputs.iter().map(|id| reached.contains(id)).collect();
            if ours.iter().all(Option::is_none) || !wanted.contains(&true) {
                continue;
            }
            let tensors = |ids: &[TensorId]| ids.iter().map(|&id| Tensor::new(self, id)).collect::<Vec<_>>();
            let cx = GradientContext {
                graph: self,
                layer: node.layer.clone(),
                inputs: tensors(&node.inputs),
                outputs: tensors(&node.outputs),
                cotangents: ours,
                wanted: wanted.clone(),
            };
            let gradients = node.op.gradient(&cx)?;
            let (count, inputs) = (gradients.len(), node.inputs.len());
            if count != inputs {
                return Err(Error::Graph(format!("{}: a rule of {count} gradients for {inputs} inputs", node.title())));
            }
            for ((input, gradient), wanted) in cx.inputs.iter().zip(gradients).zip(wanted) {
                if let (Some(gradient), true) = (gradient, wanted) {
                    accumulate(&mut cotangents, *input, gradient)?;
                }
            }
        }
        Ok(targets.iter().map(|target| cotangents.get(&target.id()).copied()).collect())
    }
}

fn accumulate<'g>(sums: &mut HashMap<TensorId, Tensor<'g>>, of: Tensor<'g>, term: Tensor<'g>) -> Result<()> {
    let sum = match sums.get(&of.id()) {
        Some(&before) => before.add(term)?,
        None => term,
    };
    sums.insert(of.id(), sum);
    Ok(())
}

/// For operations that are themselves gradients: second derivatives are not built.
pub(crate) fn no_gradient<T>(op: &str) -> Result<T> {
    Err(Error::Graph(format!("{op} has no gradient: second derivatives are not supported")))
}
