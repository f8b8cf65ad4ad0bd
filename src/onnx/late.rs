//! What the host computes after a step, of what the device has computed: integers, and what has no fixed shape.

use std::collections::HashMap;

use super::Array;
use super::host::{Call, OnHost};
use super::model::From;
use super::node::Node;
use crate::error::Result;

/// A node that the host computes.
#[derive(Debug, Clone)]
pub(super) struct Late {
    pub(super) node: Node,
    pub(super) compute: OnHost,
    pub(super) inputs: Vec<Option<From>>,
}

/// Computes the nodes in their order; `read` gives what is there before them.
pub(super) fn run<'a>(
    late: &'a [Late],
    read: impl Fn(&'a From) -> Option<&'a Array>,
) -> Result<HashMap<(usize, usize), Array>> {
    let mut done: HashMap<(usize, usize), Array> = HashMap::new();
    for (number, Late { node, compute, inputs }) in late.iter().enumerate() {
        let argument = |from: &'a Option<From>| match from.as_ref()? {
            From::Late { node, output } => done.get(&(*node, *output)),
            from => read(from),
        };
        let arguments: Vec<Option<&Array>> = inputs.iter().map(argument).collect();
        let outputs = compute(&Call { node, inputs: &arguments, budget: None }).map_err(|error| node.located(error))?;
        done.extend(outputs.into_iter().enumerate().map(|(output, array)| ((number, output), array)));
    }
    Ok(done)
}
