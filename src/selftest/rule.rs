//! The gradient rules themselves: the gradient that a graph gets, against differences of its forward pass, both in f64.
//!
//! The device and the reference run the same gradient graph, so that a rule that forgets a term, or passes its tensors in
//! a wrong order, would be the same mistake on both sides.

use rand_distr::{Distribution, Uniform};

use super::{Data, OpCase, Problem, SEED, draw, random_variable};
use crate::error::{Error, Result};
use crate::graph::{Evaluator, Graph};

/// The step of the differences: near the cube root of the f64 epsilon, where truncation and rounding balance.
const STEP: f64 = 1e-5;
/// A tolerance above this share of the terms' magnitude would say nothing.
const VAGUE: f64 = 1e-3;

impl OpCase {
    /// Marks a case whose values lie on a kink or far out, where differences say nothing: [`OpCase::check_gradient_rule`]
    /// leaves it out.
    pub fn without_differences(mut self) -> Self {
        self.differences = false;
        self
    }

    /// Compares, for each differentiated tensor along one random direction, the gradient with a central difference.
    ///
    /// The tolerance is the difference's own error: by how much the one with twice the step is off (three times what the
    /// truncation of the single step is), and 16 roundings of the sum that is differenced. Cases whose size is their
    /// point are left out: a rule does not know sizes.
    ///
    /// # Errors
    /// When a gradient is off, or the differences are too vague to tell.
    pub fn check_gradient_rule(&self) -> Result<()> {
        if self.only.is_some() || !self.differences {
            return Ok(());
        }
        let graph = Graph::new(self.mode).seed(SEED);
        let problem = self.build(&graph)?;
        let mut start: Vec<(String, Vec<f64>)> =
            problem.inputs.iter().map(|(name, data)| (name.clone(), data.widened())).collect();
        let parameters: Vec<(String, usize)> =
            graph.parameters().iter().filter_map(|p| Some((p.name()?, p.shape().elements()))).collect();
        let initial = Evaluator::new(&graph, SEED);
        for (name, count) in &parameters {
            let values = match (self.random_parameters, graph.tensor(name)) {
                (false, Some(tensor)) => initial.value(tensor).to_vec(),
                _ => random_variable(name, *count).into_iter().map(f64::from).collect(),
            };
            start.push((name.clone(), values));
        }
        let inputs = problem.inputs.iter().filter(|(_, data)| matches!(data, Data::F32(_)));
        let moved = inputs.map(|(name, _)| name).filter(|name| !name.starts_with("cotangent."));
        for name in moved.chain(parameters.iter().map(|(name, _)| name)) {
            self.check_direction(&graph, &problem, &start, name)?;
        }
        Ok(())
    }

    fn check_direction(
        &self,
        graph: &Graph,
        problem: &Problem,
        start: &[(String, Vec<f64>)],
        name: &str,
    ) -> Result<()> {
        let count = start.iter().find(|(other, _)| other == name).map_or(0, |(_, values)| values.len());
        let direction: Vec<f64> = draw(&format!("direction of {name}"), count, |random| {
            Uniform::new(-1.0_f32, 1.0).ok().map_or(0.0, |uniform| f64::from(uniform.sample(random)))
        });
        // Σ⟨cotangent, output⟩ and the sum of its absolute terms, with `name` moved so many steps.
        let objective = |steps: f64| -> Result<(f64, f64)> {
            let evaluator = evaluate(graph, problem, start, Some((name, &direction, steps * STEP)))?;
            let (mut sum, mut magnitude) = (0.0, 0.0);
            for (what, id) in &problem.checked {
                let cotangent = what.strip_prefix("output ").and_then(|i| graph.tensor(&format!("cotangent.{i}")));
                let Some(cotangent) = cotangent else { continue };
                for (y, dy) in evaluator.value(*id).iter().zip(evaluator.value(cotangent)) {
                    sum += y * dy;
                    magnitude += (y * dy).abs();
                }
            }
            Ok((sum, magnitude))
        };
        let ((above, magnitude), (below, _)) = (objective(1.0)?, objective(-1.0)?);
        let (near, far) = ((above - below) / (2.0 * STEP), (objective(2.0)?.0 - objective(-2.0)?.0) / (4.0 * STEP));
        let of = format!("gradient of {name}");
        let (mut rule, mut size) = (0.0, 0.0);
        if let Some((_, id)) = problem.checked.iter().find(|(what, _)| *what == of) {
            let evaluator = evaluate(graph, problem, start, None)?;
            for (g, d) in evaluator.value(*id).iter().zip(&direction) {
                rule += g * d;
                size += (g * d).abs();
            }
        }
        let tolerance = (near - far).abs() + 16.0 * f64::EPSILON * magnitude / STEP;
        let says =
            format!("{}: {of}: {rule} by the rule, {near} by differences, give or take {tolerance:e}", self.name);
        if (rule - near).abs() > tolerance || !rule.is_finite() {
            return Err(Error::Graph(says));
        }
        if tolerance > VAGUE * (size + magnitude) {
            return Err(Error::Graph(format!("{says}, which is too vague")));
        }
        Ok(())
    }
}

/// One step from `start`, with one tensor moved along a direction.
fn evaluate<'g>(
    graph: &'g Graph,
    problem: &Problem,
    start: &[(String, Vec<f64>)],
    moved: Option<(&str, &[f64], f64)>,
) -> Result<Evaluator<'g>> {
    let mut evaluator = Evaluator::new(graph, SEED);
    let mut values = start.to_vec();
    for (name, values) in &mut values {
        if let Some((_, direction, by)) = moved.filter(|(other, ..)| other == name) {
            values.iter_mut().zip(direction).for_each(|(value, d)| *value += by * d);
        }
    }
    let (inputs, parameters) = values.split_at(problem.inputs.len());
    for (name, values) in parameters {
        evaluator.set(name, values)?;
    }
    let inputs: Vec<(&str, &[f64])> = inputs.iter().map(|(name, values)| (name.as_str(), values.as_slice())).collect();
    evaluator.run(&inputs)?;
    Ok(evaluator)
}

#[cfg(test)]
mod tests {
    use super::OpCase;
    use crate::error::Result;
    use crate::graph::{Evaluation, GradientContext, Op, Tensor, TensorType};
    use crate::plan::Lowering;
    use crate::reference::{Checked, binary};

    /// The product of two tensors, with a rule that is given.
    #[derive(Debug)]
    struct Product(Rule);

    #[derive(Debug, Clone, Copy)]
    enum Rule {
        Right,
        Swapped,
        Forgotten,
        Short,
    }

    impl Op for Product {
        fn name(&self) -> &'static str {
            "product"
        }

        fn infer(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>> {
            Ok(vec![inputs[0].clone()])
        }

        fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
            let Some(dy) = cx.cotangent(0) else { return Ok(vec![None, None]) };
            let (a, b) = (Some(dy.multiply(cx.input(1))?), Some(dy.multiply(cx.input(0))?));
            Ok(match self.0 {
                Rule::Right => vec![a, b],
                Rule::Swapped => vec![b, a],
                Rule::Forgotten => vec![a, None],
                Rule::Short => vec![a],
            })
        }

        fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
            vec![binary::multiply(cx.inputs[0], cx.inputs[1])]
        }

        fn lower(&self, _: &mut Lowering<'_>) -> Result<()> {
            Ok(())
        }
    }

    fn judged(rule: Rule) -> Result<()> {
        let case = OpCase::new("product", move |cx| {
            let inputs = [cx.normal("a", [5])?, cx.normal("b", [5])?];
            cx.graph().apply(Product(rule), "", &inputs)
        });
        case.check_gradient_rule()
    }

    #[test]
    fn a_wrong_rule_is_found() {
        assert!(judged(Rule::Right).is_ok());
        for (rule, expected) in [
            (Rule::Swapped, "gradient of a: "),
            (Rule::Forgotten, "gradient of b: 0 by the rule"),
            (Rule::Short, "a rule of 1 gradients for 2 inputs"),
        ] {
            let error = judged(rule).map_or_else(|error| error.to_string(), |()| "accepted".to_string());
            assert!(error.contains(expected), "{rule:?}: {error}");
        }
    }
}
