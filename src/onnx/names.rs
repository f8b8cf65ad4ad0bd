//! Which names of a file are needed, and by whom.

use std::collections::HashSet;

use super::proto::{GraphProto, NodeProto};

/// The names that the wanted values need, with those.
pub(super) fn live<'p>(nodes: &'p [NodeProto], wanted: &'p [String]) -> HashSet<&'p str> {
    let mut live: HashSet<&str> = wanted.iter().map(String::as_str).collect();
    for node in nodes.iter().rev() {
        if node.output.iter().any(|name| live.contains(name.as_str())) {
            read(node, &mut |name| _ = live.insert(name));
        }
    }
    live
}

/// Calls with every name that a node reads, in the branches that it holds too: of these also with what they define, which
/// does no harm.
pub(super) fn read<'p>(node: &'p NodeProto, each: &mut impl FnMut(&'p str)) {
    node.input.iter().for_each(|name| each(name));
    for graph in node.attribute.iter().filter_map(|attribute| attribute.g.as_deref()) {
        graph.output.iter().for_each(|output| each(&output.name));
        graph.node.iter().for_each(|node| read(node, each));
    }
}

/// The value of this name, or, where a node alone has it, what that node computes.
pub(super) fn computed_by<'p>(main: &'p GraphProto, name: &'p str) -> &'p str {
    let value = |node: &NodeProto| node.output.iter().any(|output| output == name);
    match main.node.iter().find(|node| node.name == name) {
        Some(node) if !main.node.iter().any(value) => node.output.first().map_or(name, String::as_str),
        _ => name,
    }
}
