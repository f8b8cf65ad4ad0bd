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

/// Computes the nodes in their order; `read` gives what the device has computed.
pub(super) fn run(late: &[Late], read: impl Fn(&From) -> Option<Array>) -> Result<HashMap<(usize, usize), Array>> {
    let mut done: HashMap<(usize, usize), Array> = HashMap::new();
    for (number, Late { node, compute, inputs }) in late.iter().enumerate() {
        let own: Vec<Option<Array>> = inputs.iter().map(|from| from.as_ref().and_then(&read)).collect();
        let arguments: Vec<Option<&Array>> = inputs
            .iter()
            .zip(&own)
            .map(|(from, own)| match from {
                Some(From::Late { node, output }) => done.get(&(*node, *output)),
                Some(From::Known(array)) => Some(array.as_ref()),
                _ => own.as_ref(),
            })
            .collect();
        let outputs = compute(&Call { node, inputs: &arguments }).map_err(|error| node.located(error))?;
        done.extend(outputs.into_iter().enumerate().map(|(output, array)| ((number, output), array)));
    }
    Ok(done)
}
