//! Optimizers: a few dispatches over runs of parameters that lie together, whatever their number.
//!
//! The formulas are PyTorch's and stand in `shaders/optimizer.wgsl`, their sources at the methods of [`Optimizer`]. What
//! depends on the step alone, and the norm of all gradients where it is wanted, is computed once by
//! `shaders/optimizer_prepare.wgsl`; then one kernel clips, updates and averages.

mod cases;
mod lower;
mod rule;

use rule::Rule;

pub(crate) use cases::cases;
pub(crate) use lower::{PREPARE, SHADER};
pub use rule::Optimizer;

use crate::error::{Error, Result};
use crate::graph::{
    Evaluation, GradientContext, Graph, Init, LEARNING_RATE, MOMENTUM, Op, Role, Source, Tensor, TensorType, updated,
};
use crate::plan::Lowering;
use crate::reference::{Checked, optimizer as reference};

impl Graph {
    /// Differentiates the loss and lets every step change every parameter by it.
    ///
    /// # Errors
    /// When the optimizer's values are out of range, and those of [`Graph::gradients`] and [`Graph::update`].
    pub fn minimize(&self, loss: Tensor<'_>, optimizer: &Optimizer) -> Result<()> {
        self.owns("gradients", &[loss])?;
        // Fresh handles, so that the loss may come from a shorter borrow of this graph.
        let loss = Tensor::new(self, loss.id());
        self.whole(|| self.update(&self.gradients(loss)?, optimizer))
    }

    /// Lets every step change these parameters by these gradients. A norm that is limited is that of these gradients.
    ///
    /// # Errors
    /// When the optimizer's values are out of range, a pair's shapes differ, a parameter has an optimizer already, or
    /// another optimizer of the graph has another learning rate: a graph has one, which
    /// [`Session::set_learning_rate`](crate::Session::set_learning_rate) changes.
    pub fn update<'g>(&'g self, pairs: &[(Tensor<'g>, Tensor<'g>)], optimizer: &Optimizer) -> Result<()> {
        optimizer.check()?;
        self.whole(|| self.add_update(pairs, optimizer))
    }

    fn add_update<'g>(&'g self, pairs: &[(Tensor<'g>, Tensor<'g>)], optimizer: &Optimizer) -> Result<()> {
        let rate = self.setting(LEARNING_RATE, TensorType::f32(1), optimizer.learning_rate)?;
        if let Source::Setting { default } = self.data().value(rate.id()).source
            && default != optimizer.learning_rate
        {
            let message = format!("{} differs from another optimizer's {default}", optimizer.learning_rate);
            return Err(Error::argument("the learning rate", message));
        }
        let mut inputs = vec![rate, self.step()?];
        if optimizer.first_momentum().is_some() {
            // Negative: each optimizer has its own.
            inputs.push(self.setting(MOMENTUM, TensorType::f32(1), -1.0)?);
        }
        for (index, (parameter, gradient)) in pairs.iter().enumerate() {
            if self.is_updated(*parameter) || pairs[..index].iter().any(|(other, _)| other.id() == parameter.id()) {
                let name = parameter.name().unwrap_or_default();
                return Err(Error::Graph(format!("the parameter `{name}` has an optimizer already")));
            }
            super::expect("optimizer", "a gradient", &parameter.ty(), &gradient.ty())?;
        }
        let head = inputs.len();
        inputs.extend(pairs.iter().map(|(parameter, _)| *parameter));
        inputs.extend(pairs.iter().map(|(_, gradient)| *gradient));
        let mut kept: Vec<(&str, Option<usize>)> =
            optimizer.slots().into_iter().enumerate().map(|(index, name)| (name, Some(index))).collect();
        kept.extend(optimizer.ema.map(|_| ("average", None)));
        for (kind, slot) in kept {
            for (parameter, _) in pairs {
                let name = format!("{}.{kind}", parameter.name().unwrap_or_default());
                let parameter_id = parameter.id();
                let role = match slot {
                    Some(index) => Role::Slot { parameter: parameter_id, index },
                    None => Role::Average { parameter: parameter_id },
                };
                inputs.push(self.variable(&name, parameter.shape(), role, Init::Zeros)?);
            }
        }
        self.apply(Update { optimizer: *optimizer, head, count: pairs.len() }, "", &inputs).map(|_| ())
    }

    /// Whether an optimizer changes it.
    fn is_updated(&self, parameter: Tensor<'_>) -> bool {
        updated(&self.data()).contains(&parameter.id())
    }
}

impl Optimizer {
    /// What a step changes, as the kernel names it.
    fn updated(&self) -> Vec<&'static str> {
        let average = self.ema.map(|_| "average");
        std::iter::once("weights").chain(self.slots()).chain(average).collect()
    }
}

/// (rate, step, momentum where it has one, parameters, gradients, slots of each kind, averages)
#[derive(Debug)]
struct Update {
    optimizer: Optimizer,
    /// Number of inputs before the parameters.
    head: usize,
    /// Number of parameters.
    count: usize,
}

/// Number of the gradients among the parts of an [`Update`]'s inputs; before them come the parameters.
const GRADIENTS: usize = 1;

impl Update {
    /// Input index of member `index` of a part.
    fn input(&self, part: usize, index: usize) -> usize {
        self.head + part * self.count + index
    }

    /// The parts that a step changes, in the order of [`Optimizer::updated`].
    fn updated_parts(&self) -> impl Iterator<Item = usize> {
        (0..=self.optimizer.updated().len()).filter(|&part| part != GRADIENTS)
    }

    /// The part of this name.
    fn part(&self, name: &str) -> Option<usize> {
        let names = self.optimizer.updated();
        self.updated_parts().zip(names).find(|(_, other)| *other == name).map(|(part, _)| part)
    }

    /// Gradients as the rule takes them, and whether it does; `None` while they are gathered.
    fn gradients(&self, cx: &Evaluation<'_>, step: u32) -> (Vec<Checked>, Option<bool>) {
        let Optimizer { clip_value, clip_norm, skip_nonfinite, every, .. } = self.optimizer;
        let gradient = |index: usize| {
            let g = cx.inputs[self.input(GRADIENTS, index)];
            match self.part("gradient_sum") {
                Some(part) => reference::gathered(g, cx.inputs[self.input(part, index)]),
                None => Checked::exact(g.to_vec()),
            }
        };
        let gathered: Vec<Checked> = (0..self.count).map(gradient).collect();
        if !step.is_multiple_of(every) {
            return (gathered, None);
        }
        let limit = clip_value.map_or(f64::INFINITY, f64::from);
        let mean = f64::from((1.0 / f64::from(every)) as f32);
        let mut clipped: Vec<Checked> = gathered.into_iter().map(|g| reference::clipped(g, mean, limit)).collect();
        let applies = !skip_nonfinite || reference::norm(&clipped).is_finite();
        if let Some(most) = clip_norm {
            reference::limit_norm(&mut clipped, f64::from(most));
        }
        (clipped, Some(applies))
    }

    /// The rule's results for one parameter: it, then each slot.
    fn rule(&self, cx: &Evaluation<'_>, index: usize, g: &Checked, update: u32) -> Vec<Checked> {
        let slot = |name: &str| self.part(name).map(|part| cx.inputs[self.input(part, index)]);
        let p = cx.inputs[self.input(0, index)];
        let zeros = vec![0.0; p.len()];
        let or_zeros = |name: &str| slot(name).unwrap_or(&zeros);
        let lr = cx.inputs[0][0];
        let other = (self.head > 2).then(|| cx.inputs[2][0]).filter(|&momentum| momentum >= 0.0);
        let own = |momentum: f32| other.unwrap_or(f64::from(momentum));
        let decays = self.optimizer.bias_decay || cx.input_types[self.input(0, index)].shape.len() > 1;
        let weight_decay = if decays { f64::from(self.optimizer.weight_decay) } else { 0.0 };
        match self.optimizer.rule {
            Rule::Sgd { momentum, dampening, nesterov } => {
                let damping = if update == 1 { 1.0 } else { f64::from(1.0 - dampening) };
                let sgd = reference::Sgd { lr, momentum: own(momentum), damping, weight_decay, nesterov };
                sgd.step(p, g, or_zeros("momentum_buffer")).into_iter().take(self.updated_rules()).collect()
            }
            Rule::Adam { betas: [beta1, beta2], epsilon, decoupled } => {
                let (beta1, beta2, eps) = (own(beta1), f64::from(beta2), f64::from(epsilon));
                let adam = reference::Adam { lr, beta1, beta2, eps, weight_decay, decoupled, step: update };
                adam.step(p, g, or_zeros("exp_avg"), or_zeros("exp_avg_sq")).into()
            }
            Rule::RmsProp { alpha, epsilon, momentum, centered } => {
                let (alpha, eps) = (f64::from(alpha), f64::from(epsilon));
                let velocity = if momentum == 0.0 { 0.0 } else { own(momentum) };
                let rule = reference::RmsProp { lr, alpha, eps, weight_decay, momentum: velocity, centered };
                let [p, s, a, v] =
                    rule.step(p, g, or_zeros("square_avg"), or_zeros("grad_avg"), or_zeros("momentum_buffer"));
                let (a, v) = (centered.then_some(a), (momentum != 0.0).then_some(v));
                [p, s].into_iter().chain(a).chain(v).collect()
            }
            Rule::Adagrad { epsilon } => {
                let adagrad = reference::Adagrad { lr, eps: f64::from(epsilon), weight_decay };
                adagrad.step(p, g, or_zeros("sum")).into()
            }
            Rule::Lion { betas: [beta1, beta2] } => {
                let lion = reference::Lion { lr, beta1: own(beta1), beta2: f64::from(beta2), weight_decay };
                lion.step(p, g, or_zeros("exp_avg")).into()
            }
        }
    }

    /// How many of the updated parts are the rule's own: without the gathered gradients and the averages.
    fn updated_rules(&self) -> usize {
        let others = ["gradient_sum", "average"];
        self.optimizer.updated().iter().filter(|name| !others.contains(name)).count()
    }
}

impl Op for Update {
    fn name(&self) -> &'static str {
        self.optimizer.name()
    }

    fn attributes(&self) -> String {
        let Optimizer { rule, weight_decay, bias_decay, clip_value, clip_norm, skip_nonfinite, ema, every, .. } =
            self.optimizer;
        let mut text = format!("{rule:?}, weight decay {weight_decay}");
        let mut note = |there: bool, what: String| text += &if there { format!(", {what}") } else { String::new() };
        note(!bias_decay, "not of biases".into());
        note(clip_value.is_some(), format!("values clipped at {}", clip_value.unwrap_or_default()));
        note(clip_norm.is_some(), format!("norm clipped at {}", clip_norm.unwrap_or_default()));
        note(skip_nonfinite, "skips gradients that are not finite".into());
        note(ema.is_some(), format!("averaged with decay {}", ema.unwrap_or_default()));
        note(every > 1, format!("one update in {every} steps"));
        text
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(Vec::new())
    }

    fn mutates(&self) -> Vec<usize> {
        self.updated_parts().flat_map(|part| (0..self.count).map(move |i| self.input(part, i))).collect()
    }

    fn flat_gradients(&self) -> Vec<(usize, usize)> {
        (0..self.count).map(|i| (self.input(GRADIENTS, i), self.input(0, i))).collect()
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None; cx.count()])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let step = cx.integers(1)[0];
        let update = step / self.optimizer.every;
        let (gradients, applies) = self.gradients(cx, step);
        let mut parts: Vec<Vec<Checked>> = vec![Vec::new(); self.optimizer.updated().len()];
        for (index, gradient) in gradients.into_iter().enumerate() {
            let before = |part: usize| Checked::exact(cx.inputs[self.input(part, index)].to_vec());
            let mut results: Vec<Checked> = match applies {
                Some(true) => self.rule(cx, index, &gradient, update),
                _ => self.updated_parts().take(self.updated_rules()).map(before).collect(),
            };
            let new = results[0].clone();
            let zeros = || Checked::exact(vec![0.0; gradient.values.len()]);
            if self.part("gradient_sum").is_some() {
                results.push(if applies.is_none() { gradient.clone() } else { zeros() });
            }
            if let Some((part, decay)) = self.part("average").zip(self.optimizer.ema) {
                let complement = f64::from((1.0 - f64::from(decay)) as f32);
                let decay = match self.optimizer.ema_warmup {
                    true => reference::warmed_up(1.0 - complement, update),
                    false => 1.0 - complement,
                };
                results.push(match applies {
                    Some(true) => reference::averaged(cx.inputs[self.input(part, index)], &new, decay),
                    _ => before(part),
                });
            }
            parts.iter_mut().zip(results).for_each(|(part, result)| part.push(result));
        }
        parts.concat()
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        lower::lower(self, cx)
    }
}
