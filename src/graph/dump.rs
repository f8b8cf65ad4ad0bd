//! The graph as text, one tensor a line, in the order of execution.

use std::fmt;

use super::{Graph, Role, Source};

/// One line an input, setting or variable, then one line a node:
/// `%7: f32[64, 6, 28, 28] = conv2d `conv1` (%0, conv1.weight, conv1.bias) padding 2`.
impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = self.data();
        for value in &data.values {
            let kind = match &value.source {
                Source::Node { .. } => continue,
                Source::Table(_) => "constant".to_string(),
                Source::Input => "input".to_string(),
                Source::Setting { default } => format!("setting, {default} at first"),
                Source::Variable { role, init } => match role {
                    Role::Parameter => format!("parameter, {init:?}"),
                    Role::Frozen => format!("frozen parameter, {init:?}"),
                    Role::State => format!("state, {init:?}"),
                    Role::Slot { .. } | Role::Average { .. } => "optimizer".to_string(),
                    Role::Metric => "metric".to_string(),
                    Role::Constant => format!("constant, {init:?}"),
                },
            };
            writeln!(f, "{}: {} = {kind}", value.name.as_deref().unwrap_or("?"), value.ty)?;
        }
        for node in &data.nodes {
            let outputs: Vec<String> =
                node.outputs.iter().map(|&id| format!("%{}: {}", id.index, data.value(id).ty)).collect();
            let inputs: Vec<String> = node
                .inputs
                .iter()
                .map(|&id| match &data.value(id).source {
                    Source::Node { .. } => format!("%{}", id.index),
                    _ => data.describe(id),
                })
                .collect();
            let outputs = if outputs.is_empty() { String::new() } else { format!("{} = ", outputs.join(", ")) };
            let line = format!("{outputs}{} ({}) {}", node.title(), inputs.join(", "), node.op.attributes());
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
