//! Fusion: functions of single elements are computed where their argument is, so that nothing between is stored.
//!
//! A function joins what computes one of its arguments where nobody else needs that argument, be it another function or an
//! operation that can change its results before it stores them ([`Op::takes_epilogue`]). The graph stays as it is: this
//! makes the list of what a plan lowers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::chain::{Chain, Extent};
use super::{GraphData, Node, Op, TensorId};

/// What a plan lowers in one go: a node with the functions that follow it.
#[derive(Debug, Clone)]
pub(crate) struct Fused {
    pub(crate) op: Arc<dyn Op>,
    /// The layer's name, or empty.
    pub(crate) layer: String,
    /// The operation's inputs, then the chain's operands.
    pub(crate) inputs: Vec<TensorId>,
    pub(crate) outputs: Vec<TensorId>,
    /// What is computed of the first output; of a function of single elements the function itself, too.
    pub(crate) chain: Chain,
    /// The names of the nodes that joined the first.
    joined: Vec<&'static str>,
}

impl Fused {
    fn of(node: &Node) -> Self {
        let Node { op, layer, inputs, outputs, .. } = node.clone();
        let mut step = Self { op, layer, inputs, outputs, chain: Chain::default(), joined: Vec::new() };
        if step.op.pointwise().is_some() {
            step.inputs.clear();
            step.join(node, None);
        }
        step
    }

    /// Number of the operation's own inputs.
    pub(crate) fn own_inputs(&self) -> usize {
        self.inputs.len() - self.chain.operands.len()
    }

    /// The node's title, then what joined it: ``conv2d `conv1` + relu``.
    pub(crate) fn title(&self) -> String {
        let title = super::title(self.op.name(), &self.layer);
        self.joined.iter().fold(title, |title, name| format!("{title} + {name}"))
    }

    /// Whether a function of this tensor may join. What comes with the node then moves to the function's place, so nothing
    /// may have `read` the node's other outputs yet.
    fn goes_on(&self, id: TensorId, read: &HashSet<TensorId>) -> bool {
        let first = self.outputs.first() == Some(&id) && self.outputs.iter().all(|output| !read.contains(output));
        first && (self.op.pointwise().is_some() || self.op.takes_epilogue())
    }

    /// Appends the function `node`, whose input number `previous` is the output so far.
    fn join(&mut self, node: &Node, previous: Option<usize>) {
        let Some(pointwise) = node.op.pointwise() else { return };
        let (own, inputs) = (self.own_inputs(), &mut self.inputs);
        self.chain.then(&pointwise, previous, |operands, input, extent| {
            let id = node.inputs[input];
            let known = operands.iter().enumerate().position(|(i, known)| inputs[own + i] == id && *known == extent);
            known.unwrap_or_else(|| {
                inputs.push(id);
                operands.push(extent);
                operands.len() - 1
            })
        });
    }
}

/// Functions that one kernel computes behind one another, at most: compilers take their time for a long text, and by then
/// the memory traffic that is saved is nothing beside the arithmetic.
const MOST_LINKS: usize = 256;

/// Whether so many tensors may be bound at once, and no kernel becomes too long.
fn fits(step: &Fused, node: &Node, most_tensors: usize) -> bool {
    if step.chain.links.len() >= MOST_LINKS {
        return false;
    }
    // Those that the kernel reads and the chain does not yet, but for what it goes on from.
    let extents = node.op.pointwise().map(|pointwise| pointwise.inputs).unwrap_or_default();
    let operands = || step.inputs[step.own_inputs()..].iter().zip(&step.chain.operands);
    let is_new = |read: &(&TensorId, &Extent)| !operands().any(|known| known == *read);
    let more = node.inputs.iter().zip(&extents).filter(is_new).count().saturating_sub(1);
    step.inputs.len() + more + step.outputs.len() <= most_tensors
}

/// The nodes of `order` with what joined them. What is in `kept` must be stored, and none binds more than `most_tensors`.
pub(crate) fn fuse(data: &GraphData, order: &[usize], kept: &HashSet<TensorId>, most_tensors: usize) -> Vec<Fused> {
    let mut uses: HashMap<TensorId, usize> = HashMap::new();
    for id in order.iter().flat_map(|&node| &data.nodes[node].inputs).chain(kept) {
        *uses.entry(*id).or_default() += 1;
    }
    let mut steps: Vec<Option<Fused>> = Vec::new();
    let mut read: HashSet<TensorId> = HashSet::new();
    let mut makers: HashMap<TensorId, usize> = HashMap::new();
    for &index in order {
        let node = &data.nodes[index];
        let pointwise = node.op.pointwise();
        let extents = pointwise.as_ref().map_or(&[][..], |pointwise| &pointwise.inputs);
        // The last of the arguments' makers, so that as little as possible is moved.
        let joinable = |input: usize| {
            let id = node.inputs[input];
            let maker = *makers.get(&id)?;
            let step = steps[maker].as_ref()?;
            let alone = uses.get(&id) == Some(&1) && data.value(id).ty == data.value(node.outputs[0]).ty;
            (alone && step.goes_on(id, &read) && fits(step, node, most_tensors)).then_some((maker, input))
        };
        let elements = (0..extents.len()).filter(|&input| extents[input] == Extent::Element);
        let step = match elements.filter_map(joinable).max() {
            Some((maker, input)) => steps[maker].take().map(|mut step| {
                step.join(node, Some(input));
                step.outputs.splice(..1, node.outputs.iter().copied());
                step.joined.push(node.op.name());
                step
            }),
            None => Some(Fused::of(node)),
        };
        read.extend(&node.inputs);
        makers.extend(node.outputs.iter().map(|&id| (id, steps.len())));
        steps.push(step);
    }
    steps.into_iter().flatten().collect()
}
