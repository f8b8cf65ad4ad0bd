//! Parameters that are not learned.

use std::collections::HashSet;

use super::{Graph, GraphData, Role, Source, TensorId};
use crate::error::{Error, Result};

impl Graph {
    /// Leaves the parameters whose names match a pattern out of training: they have no gradient, no optimizer keeps
    /// anything for them or changes them, weight decay included, and they are saved, loaded and shared as before. `*` stands
    /// for any characters, also none, `?` for one; all others, the dot too, stand for themselves. Returns how many the
    /// pattern matches. Call it before [`Graph::minimize`]; running statistics are no parameters, and what moves them goes on
    /// to do so.
    ///
    /// Graphs that freeze other parameters may share [`Variables`](crate::Variables), so that a new head is trained by
    /// itself first: made with the graph that learns the most. One that was frozen where it was first declared has no place
    /// beside what an optimizer goes over, and cannot be learned with the same variables later.
    ///
    /// ```
    /// use omma::models::lenet5;
    /// use omma::{Graph, Mode, Optimizer};
    ///
    /// let graph = Graph::new(Mode::Training);
    /// let logits = lenet5(graph.input("images", [8, 1, 28, 28])?, 10)?;
    /// assert_eq!(graph.freeze("conv*")?, 4);
    /// let loss = logits.softmax_cross_entropy(graph.label_input("labels", 8)?)?;
    /// graph.minimize(loss, &Optimizer::adam(1e-3))?;
    /// assert!(graph.parameters().iter().all(|parameter| parameter.name().is_some_and(|name| name.starts_with("fc"))));
    /// # Ok::<(), omma::Error>(())
    /// ```
    ///
    /// # Errors
    /// When no parameter's name matches, or an optimizer changes one that does.
    pub fn freeze(&self, pattern: &str) -> Result<usize> {
        let mut data = self.data.borrow_mut();
        let updated = updated(&data);
        let parameter = |index: &usize| {
            let value = &data.values[*index];
            let role = matches!(value.source, Source::Variable { role: Role::Parameter | Role::Frozen, .. });
            role && value.name.as_deref().is_some_and(|name| matches(pattern, name))
        };
        let chosen: Vec<usize> = (0..data.values.len()).filter(parameter).collect();
        if chosen.is_empty() {
            return Err(Error::Graph(format!("no parameter has a name like `{pattern}`")));
        }
        if let Some(&index) = chosen.iter().find(|&&index| updated.contains(&data.id(index))) {
            let name = data.describe(data.id(index));
            return Err(Error::Graph(format!("an optimizer changes `{name}` already: freeze it before")));
        }
        for &index in &chosen {
            if let Source::Variable { role, .. } = &mut data.values[index].source {
                *role = Role::Frozen;
            }
        }
        Ok(chosen.len())
    }
}

/// The parameters that optimizers change.
pub(crate) fn updated(data: &GraphData) -> HashSet<TensorId> {
    let of = |node: &super::Node| node.op.flat_gradients().into_iter().map(|(_, p)| node.inputs[p]).collect::<Vec<_>>();
    data.nodes.iter().flat_map(of).collect()
}

/// Whether a name is one of a pattern's.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut place) = (0, 0);
    // Behind the last star, and how many characters it has taken.
    let mut star: Option<(usize, usize)> = None;
    while place < name.len() {
        match pattern.get(at) {
            Some('*') => {
                at += 1;
                star = Some((at, place));
            }
            Some(&wanted) if wanted == '?' || wanted == name[place] => {
                at += 1;
                place += 1;
            }
            _ => match star {
                // It takes one more.
                Some((behind, taken)) => {
                    (at, place) = (behind, taken + 1);
                    star = Some((behind, taken + 1));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_are_those_of_shells() {
        for (pattern, name, expected) in [
            ("conv1.weight", "conv1.weight", true),
            ("conv1.weight", "conv1xweight", false),
            ("conv?.*", "conv1.weight", true),
            ("conv?.*", "conv10.weight", false),
            ("*", "", true),
            ("*.weight", "layer1.0.conv1.weight", true),
            ("*.weight", "layer1.0.conv1.weights", false),
            ("layer*.conv*.weight", "layer1.0.conv1.weight", true),
            ("a*b*c", "aXbXbX", false),
            ("a*b*c", "abbbbc", true),
            ("**?", "", false),
            ("[ab]", "a", false),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
