//! The reference executor: a whole graph in f64 on the CPU, through each operation's reference twin.

use std::collections::{HashMap, HashSet};

use super::chain::Extent;
use super::{Evaluation, Graph, Node, Op, Role, STEP, Source, TensorId, Value};
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::reference::Checked;

/// Runs a graph step by step in f64. Slow and plain on purpose: it is what the device is compared with.
#[derive(Debug)]
pub struct Evaluator<'g> {
    graph: &'g Graph,
    /// Variables and settings, kept from step to step.
    kept: HashMap<TensorId, Vec<f64>>,
    results: HashMap<TensorId, Checked>,
    step: u32,
    /// How many tensors the graph had.
    tensors: usize,
    /// Nodes, with a kernel variant that a plan chose for them.
    variants: Vec<(String, &'static str)>,
}

impl<'g> Evaluator<'g> {
    /// Starts every variable from its initialiser under `seed`, rounded to f32 as the device has it.
    pub fn new(graph: &'g Graph, seed: u64) -> Self {
        let data = graph.data();
        let kept = data.values.iter().enumerate().filter_map(|(index, value)| {
            let name = value.name.as_deref().unwrap_or_default();
            if let Source::Table(integers) = &value.source {
                return Some((data.id(index), integers.iter().map(|&integer| f64::from(integer)).collect()));
            }
            let values = match &value.source {
                // An average begins as its parameter.
                Source::Variable { role: Role::Average { parameter }, .. } => {
                    let Value { name, ty, source } = data.value(*parameter);
                    let Source::Variable { init, .. } = source else { return None };
                    init.values(name.as_deref().unwrap_or_default(), &ty.shape, seed)
                }
                Source::Variable { init, .. } => init.values(name, &value.ty.shape, seed),
                Source::Setting { default } => vec![*default; value.ty.elements()],
                _ => return None,
            };
            Some((data.id(index), values.into_iter().map(f64::from).collect()))
        });
        Self {
            graph,
            kept: kept.collect(),
            results: HashMap::new(),
            step: 0,
            tensors: data.values.len(),
            variants: Vec::new(),
        }
    }

    /// Bounds the errors by those of the kernels that this plan of the graph has chosen: some round more than a plain sum.
    pub fn computed_by(mut self, plan: &Plan) -> Self {
        self.variants = plan.choices().iter().map(|choice| (choice.node.clone(), choice.chosen)).collect();
        self
    }

    /// The variants that compute a node, whatever was fused with it.
    fn variants_of(&self, node: &Node) -> Vec<&'static str> {
        let (title, fused) = (node.title(), format!("{} + ", node.title()));
        let is = |name: &str| name == title || name.starts_with(&fused);
        self.variants.iter().filter(|(name, _)| is(name)).map(|&(_, variant)| variant).collect()
    }

    /// Replaces a variable's or setting's value; a parameter's average begins anew with it.
    ///
    /// # Errors
    /// When the graph has no such variable or the length differs.
    pub fn set(&mut self, name: &str, values: &[f64]) -> Result<()> {
        let tensor = self.graph.tensor(name).ok_or_else(|| Error::Graph(format!("no tensor `{name}`")))?;
        match self.kept.get_mut(&tensor.id()) {
            Some(kept) if kept.len() == values.len() => {
                kept.copy_from_slice(values);
                let data = self.graph.data();
                for (index, value) in data.values.iter().enumerate() {
                    let Source::Variable { role: Role::Average { parameter }, .. } = value.source else { continue };
                    if parameter == tensor.id() {
                        self.kept.insert(data.id(index), values.to_vec());
                    }
                }
                Ok(())
            }
            Some(kept) => Err(Error::shape(format!("`{name}`"), kept.len(), values.len())),
            None => Err(Error::Graph(format!("`{name}` is no variable"))),
        }
    }

    /// One step: every node in order, in-place updates included. Inputs are given by name, integers as f64.
    ///
    /// # Errors
    /// When an input is missing or has a wrong length, or the graph has grown since [`Evaluator::new`].
    pub fn run(&mut self, inputs: &[(&str, &[f64])]) -> Result<()> {
        self.step(inputs, None)
    }

    /// [`Evaluator::run`], but only the nodes that these tensors need: the loss of a training step is there in a third of
    /// the time. Variables stay as they are.
    ///
    /// # Errors
    /// See [`Evaluator::run`].
    pub fn run_for(&mut self, wanted: &[TensorId], inputs: &[(&str, &[f64])]) -> Result<()> {
        self.step(inputs, Some(wanted))
    }

    fn step(&mut self, inputs: &[(&str, &[f64])], wanted: Option<&[TensorId]>) -> Result<()> {
        let data = self.graph.data();
        if data.values.len() != self.tensors {
            return Err(Error::Graph("the graph has grown since its evaluator was made".into()));
        }
        self.step += 1;
        self.results.clear();
        for (index, value) in data.values.iter().enumerate() {
            let Source::Input = value.source else { continue };
            let name = value.name.as_deref().unwrap_or_default();
            let (_, fed) = inputs
                .iter()
                .find(|(given, _)| *given == name)
                .ok_or_else(|| Error::Graph(format!("input `{name}` is missing")))?;
            if fed.len() != value.ty.elements() {
                return Err(Error::shape(format!("input `{name}`"), &value.ty, format!("{} values", fed.len())));
            }
            self.results.insert(data.id(index), Checked::exact(fed.to_vec()));
        }
        if let Some(step) = self.graph.tensor(STEP) {
            self.kept.insert(step.id(), vec![f64::from(self.step)]);
        }
        // Updates last, as in a plan: a step reads what was there before it.
        let updates = |node: &&Node| !node.op.mutates().is_empty();
        let order = data.nodes.iter().filter(|n| !updates(n)).chain(data.nodes.iter().filter(updates));
        let needed = wanted.map(|wanted| {
            let mut needed: HashSet<TensorId> = wanted.iter().copied().collect();
            for node in data.nodes.iter().rev() {
                if node.outputs.iter().any(|id| needed.contains(id)) {
                    needed.extend(&node.inputs);
                }
            }
            needed
        });
        let runs = |node: &&Node| {
            needed.as_ref().is_none_or(|needed| !updates(node) && node.outputs.iter().any(|id| needed.contains(id)))
        };
        for node in order.filter(runs) {
            let types = |ids: &[TensorId]| ids.iter().map(|&id| data.value(id).ty.clone()).collect();
            let cx = Evaluation {
                inputs: node.inputs.iter().map(|id| self.value(*id)).collect(),
                computed: node.inputs.iter().map(|id| self.results.get(id)).collect(),
                input_types: types(&node.inputs),
                output_types: types(&node.outputs),
                variants: self.variants_of(node),
            };
            let mut results = node.op.evaluate(&cx);
            // Each argument's error by itself, so that none cancels another's.
            for (index, extent) in node.op.pointwise().iter().flat_map(|pointwise| pointwise.inputs.iter().enumerate())
            {
                // Statistics, which channels have, are made of x: their rules know better what that means.
                if *extent != Extent::Channel {
                    propagate(node.op.as_ref(), &[index], &cx, &mut results);
                }
            }
            // An optimizer changes every element by its own gradient alone.
            let gradients: Vec<usize> = node.op.flat_gradients().iter().map(|&(gradient, _)| gradient).collect();
            propagate(node.op.as_ref(), &gradients, &cx, &mut results);
            let mut results = results.into_iter();
            for (&id, result) in node.outputs.iter().zip(results.by_ref()) {
                self.results.insert(id, result);
            }
            for (index, result) in node.op.mutates().into_iter().zip(results) {
                self.kept.insert(node.inputs[index], result.values.clone());
                self.results.insert(node.inputs[index], result);
            }
        }
        Ok(())
    }

    /// The value of a tensor after the last step; variables have one before it too.
    pub fn value(&self, tensor: impl Into<TensorId>) -> &[f64] {
        let id = tensor.into();
        let computed = self.results.get(&id).map(|r| r.values.as_slice());
        self.kept.get(&id).map(Vec::as_slice).or(computed).unwrap_or_default()
    }

    /// The value with its magnitude and number of terms, for a tensor that the last step computed.
    pub fn checked(&self, tensor: impl Into<TensorId>) -> Option<&Checked> {
        self.results.get(&tensor.into())
    }
}

/// Adds to the results' errors what the errors of these arguments make of them, to first order: a device computes the
/// arguments too, and a comparison only sees the end.
fn propagate(op: &dyn Op, arguments: &[usize], cx: &Evaluation<'_>, results: &mut [Checked]) {
    let computed = arguments.iter().filter_map(|&index| Some((index, cx.computed[index]?)));
    let computed: Vec<(usize, &Checked)> = computed.collect();
    let Some(terms) = computed.iter().map(|(_, argument)| argument.terms).max() else { return };
    let roots = (terms as f64).sqrt() * f64::from(f32::EPSILON);
    let exact: Vec<Vec<f64>> = results.iter().map(|result| result.values.clone()).collect();
    for sign in [1.0, -1.0] {
        // What rounding may have done to the arguments, and what that does to the results.
        let moved = |argument: &Checked| -> Vec<f64> {
            argument.values.iter().zip(&argument.magnitude).map(|(value, m)| value + sign * m * roots).collect()
        };
        let moved: Vec<Vec<f64>> = computed.iter().map(|(_, argument)| moved(argument)).collect();
        let mut inputs = cx.inputs.clone();
        for ((index, _), moved) in computed.iter().zip(&moved) {
            inputs[*index] = moved;
        }
        let moved = op.evaluate(&Evaluation {
            inputs,
            computed: cx.computed.clone(),
            input_types: cx.input_types.clone(),
            output_types: cx.output_types.clone(),
            variants: cx.variants.clone(),
        });
        for ((result, moved), exact) in results.iter_mut().zip(moved).zip(&exact) {
            for ((magnitude, moved), exact) in result.magnitude.iter_mut().zip(&moved.values).zip(exact) {
                let error = (moved - exact).abs() / roots;
                if error.is_finite() {
                    *magnitude += error;
                }
            }
            result.terms = result.terms.max(terms);
        }
    }
}
