//! Optimizers: one dispatch over each run of parameters that lie together, whatever their number.
//!
//! SGD as PyTorch's: g += weight_decay·p; v = momentum·v + g; p -= lr·v, with Nesterov p -= lr·(g + momentum·v).
//! Adam (Kingma and Ba 2015) with g += weight_decay·p; AdamW (Loshchilov and Hutter 2019) with p -= lr·weight_decay·p.

use crate::error::{Error, Result};
use crate::graph::{Evaluation, GradientContext, Graph, Init, LEARNING_RATE, Op, Role, Source, Tensor, TensorType};
use crate::plan::{Access, FlatOperand, Kernel, Location, Lowering, Operand, Shader, params, runs, shader, word};
use crate::reference::{Checked, optimizer as reference};
use crate::selftest::OpCase;

params! {
    OptimizerParams {
        count: u32, weight_decay: f32, momentum: f32, beta1_complement: f32, beta2_complement: f32, epsilon: f32,
    }
}
pub(crate) static SHADER: Shader = shader!("optimizer", OptimizerParams, ["grid", "texture", "read"]);

/// A rule for changing parameters by their gradients.
///
/// ```
/// use omma::Optimizer;
///
/// let sgd = Optimizer::sgd(0.05).momentum(0.9).weight_decay(5e-4);
/// let adam = Optimizer::adam(1e-3);
/// # let _ = (sgd, adam);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Optimizer {
    rule: Rule,
    learning_rate: f32,
    weight_decay: f32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Rule {
    Sgd { momentum: f32, nesterov: bool },
    Adam { betas: [f32; 2], epsilon: f32, decoupled: bool },
}

impl Optimizer {
    /// Stochastic gradient descent, without momentum at first.
    pub fn sgd(learning_rate: f32) -> Self {
        Self { rule: Rule::Sgd { momentum: 0.0, nesterov: false }, learning_rate, weight_decay: 0.0 }
    }

    /// Adam with betas 0.9 and 0.999 and epsilon 1e-8; weight decay is added to the gradient.
    pub fn adam(learning_rate: f32) -> Self {
        let rule = Rule::Adam { betas: [0.9, 0.999], epsilon: 1e-8, decoupled: false };
        Self { rule, learning_rate, weight_decay: 0.0 }
    }

    /// AdamW: as Adam, with weight decay 0.01 taken from the parameters directly.
    pub fn adamw(learning_rate: f32) -> Self {
        let rule = Rule::Adam { betas: [0.9, 0.999], epsilon: 1e-8, decoupled: true };
        Self { rule, learning_rate, weight_decay: 0.01 }
    }

    /// SGD's momentum; the Adams, which have betas, are left as they are.
    pub fn momentum(mut self, value: f32) -> Self {
        if let Rule::Sgd { momentum, .. } = &mut self.rule {
            *momentum = value;
        }
        self
    }

    /// SGD with Nesterov's look ahead; the Adams are left as they are.
    pub fn nesterov(mut self) -> Self {
        if let Rule::Sgd { nesterov, .. } = &mut self.rule {
            *nesterov = true;
        }
        self
    }

    /// The Adams' decay rates of the first and second moment; SGD is left as it is.
    pub fn betas(mut self, first: f32, second: f32) -> Self {
        if let Rule::Adam { betas, .. } = &mut self.rule {
            *betas = [first, second];
        }
        self
    }

    /// The share of each parameter that decays.
    pub fn weight_decay(mut self, decay: f32) -> Self {
        self.weight_decay = decay;
        self
    }

    /// The learning rate of the first steps; [`Session::set_learning_rate`](crate::Session::set_learning_rate) changes it.
    pub fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    fn check(&self) -> Result<()> {
        let unit = |value: f32| (0.0..1.0).contains(&value);
        let positive = |value: f32| value.is_finite() && value >= 0.0;
        let rule = match self.rule {
            Rule::Sgd { momentum, .. } => unit(momentum),
            Rule::Adam { betas: [first, second], epsilon, .. } => unit(first) && unit(second) && epsilon > 0.0,
        };
        if rule && positive(self.learning_rate) && positive(self.weight_decay) {
            return Ok(());
        }
        let message = format!("expected finite, non-negative values and momentum and betas below 1, got {self:?}");
        Err(Error::argument("optimizer", message))
    }

    fn slots(&self) -> usize {
        match self.rule {
            Rule::Sgd { .. } => 1,
            Rule::Adam { .. } => 2,
        }
    }
}

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

    /// Lets every step change these parameters by these gradients.
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
        inputs.extend(pairs.iter().map(|(parameter, _)| *parameter));
        for (parameter, gradient) in pairs {
            super::expect("optimizer", "a gradient", &parameter.ty(), &gradient.ty())?;
            inputs.push(*gradient);
        }
        for slot in 0..optimizer.slots() {
            for (parameter, _) in pairs {
                let name = format!("{}.slot{slot}", parameter.name().unwrap_or_default());
                let role = Role::Slot { parameter: parameter.id(), index: slot };
                inputs.push(self.variable(&name, parameter.shape(), role, Init::Zeros)?);
            }
        }
        self.apply(Update { optimizer: *optimizer, count: pairs.len() }, "", &inputs).map(|_| ())
    }
}

/// (rate, step, parameters, gradients, slots of the first kind, slots of the second kind)
#[derive(Debug)]
struct Update {
    optimizer: Optimizer,
    /// Number of parameters.
    count: usize,
}

impl Update {
    /// Input index of member `index` of part 0 (parameters), 1 (gradients), 2 and 3 (slots).
    fn input(&self, part: usize, index: usize) -> usize {
        2 + part * self.count + index
    }
}

impl Op for Update {
    fn name(&self) -> &'static str {
        match self.optimizer.rule {
            Rule::Sgd { .. } => "sgd",
            Rule::Adam { decoupled: false, .. } => "adam",
            Rule::Adam { decoupled: true, .. } => "adamw",
        }
    }

    fn attributes(&self) -> String {
        format!("{:?}, weight decay {}", self.optimizer.rule, self.optimizer.weight_decay)
    }

    fn infer(&self, _: &[TensorType]) -> Result<Vec<TensorType>> {
        Ok(Vec::new())
    }

    fn mutates(&self) -> Vec<usize> {
        let slots = (2..2 + self.optimizer.slots()).flat_map(|part| (0..self.count).map(move |i| (part, i)));
        (0..self.count).map(|i| (0, i)).chain(slots).map(|(part, i)| self.input(part, i)).collect()
    }

    fn flat_gradients(&self) -> Vec<(usize, usize)> {
        (0..self.count).map(|i| (self.input(1, i), self.input(0, i))).collect()
    }

    fn gradient<'g>(&self, cx: &GradientContext<'g>) -> Result<Vec<Option<Tensor<'g>>>> {
        Ok(vec![None; cx.count()])
    }

    fn evaluate(&self, cx: &Evaluation<'_>) -> Vec<Checked> {
        let (rate, step) = (cx.inputs[0][0], cx.integers(1)[0]);
        let decay = f64::from(self.optimizer.weight_decay);
        let mut parts: Vec<Vec<Checked>> = vec![Vec::new(); 1 + self.optimizer.slots()];
        for index in 0..self.count {
            let [p, g, v] = [0, 1, 2].map(|part| cx.inputs[self.input(part, index)]);
            let results = match self.optimizer.rule {
                Rule::Sgd { momentum, nesterov } => {
                    let (p, v) = reference::sgd(p, g, v, rate, f64::from(momentum), decay, nesterov);
                    vec![p, v]
                }
                Rule::Adam { betas, epsilon, decoupled } => {
                    let [first, second] = betas.map(f64::from);
                    let s = cx.inputs[self.input(3, index)];
                    let epsilon = f64::from(epsilon);
                    let (p, m, s) = reference::adam(p, g, v, s, step, rate, first, second, epsilon, decay, decoupled);
                    vec![p, m, s]
                }
            };
            parts.iter_mut().zip(results).for_each(|(part, result)| part.push(result));
        }
        parts.concat()
    }

    fn lower(&self, cx: &mut Lowering<'_>) -> Result<()> {
        let limit = cx.capabilities.limits.max_storage_buffer_binding_size;
        let residences = cx.residences.clone();
        let fixed = |input: usize| {
            residences[input].ok_or_else(|| Error::Graph("an optimizer's operand has no fixed place".into()))
        };
        let locations = (0..self.count).map(|i| fixed(self.input(0, i))).collect::<Result<Vec<Location>>>()?;
        // Gradients lie as their parameters do. What is not computed into its place is copied there.
        let misplaced = || Error::Graph("only a parameter has an optimizer".into());
        let gradients = locations.iter().map(|at| at.gradient().ok_or_else(misplaced)).collect::<Result<Vec<_>>>()?;
        for (i, &place) in gradients.iter().enumerate() {
            let gradient = self.input(1, i);
            if residences[gradient] != Some(place) {
                let format = cx.format(self.input(0, i));
                cx.read_in(Operand::Input(gradient), format);
                let to = Operand::Flat(FlatOperand { location: place, access: Access::Write });
                super::chain::copy(cx, Operand::Input(gradient), to, cx.inputs[gradient].elements())?;
            }
        }
        let mut dispatches = Vec::new();
        for run in runs(&locations, limit) {
            let (first, last) = (run[0], run[run.len() - 1]);
            let bytes = locations[last].offset + locations[last].bytes - locations[first].offset;
            let operand = |part: usize, access: Access| -> Result<Operand> {
                let place = if part == 1 { gradients[first] } else { fixed(self.input(part, first))? };
                Ok(Operand::Flat(FlatOperand { location: Location { bytes, ..place }, access }))
            };
            let updated: Vec<usize> = std::iter::once(0).chain(2..2 + self.optimizer.slots()).collect();
            let words = bytes as usize / 4;
            // The gradient and all that is updated.
            let legal = cx.texture_refusal(1 + updated.len() as u32, words.div_ceil(4)).is_none();
            let textured = legal && cx.choose_textures(self.name(), words)?;
            let gradient = if textured { Access::Texture } else { Access::Read };
            let mut flat = vec![operand(1, gradient)?];
            for access in [Access::Write, Access::Texture].into_iter().take(if textured { 2 } else { 1 }) {
                for &part in &updated {
                    flat.push(operand(part, access)?);
                }
            }
            dispatches.push((words, textured, flat));
        }
        for (count, textured, flat) in dispatches {
            let mut params = OptimizerParams {
                count: word(self.name(), count)?,
                weight_decay: self.optimizer.weight_decay,
                ..OptimizerParams::default()
            };
            let (kernel, head) = match self.optimizer.rule {
                Rule::Sgd { momentum, nesterov } => {
                    params.momentum = momentum;
                    (Kernel::new(&SHADER, "sgd").flag("NESTEROV", nesterov), vec![Operand::Input(0)])
                }
                Rule::Adam { betas, epsilon, decoupled } => {
                    let complement = |beta: f32| (1.0 - f64::from(beta)) as f32;
                    params.beta1_complement = complement(betas[0]);
                    params.beta2_complement = complement(betas[1]);
                    params.epsilon = epsilon;
                    let kernel = Kernel::new(&SHADER, "adam").flag("DECOUPLED", decoupled);
                    (kernel, vec![Operand::Input(0), Operand::Input(1)])
                }
            };
            let kernel = kernel
                .template("adam", u8::from(matches!(self.optimizer.rule, Rule::Adam { .. })))
                .template("texture", u8::from(textured));
            cx.dispatch_flat(kernel, &params, &[head, flat].concat(), count.div_ceil(4))?;
        }
        Ok(())
    }
}

pub(crate) fn cases() -> Vec<OpCase> {
    let rules = [
        ("sgd", Optimizer::sgd(0.1)),
        ("sgd with momentum and decay", Optimizer::sgd(0.1).momentum(0.9).weight_decay(0.01)),
        ("sgd with Nesterov", Optimizer::sgd(0.1).momentum(0.9).nesterov()),
        ("adam", Optimizer::adam(0.01).weight_decay(0.1)),
        ("adamw", Optimizer::adamw(0.01)),
    ];
    rules
        .into_iter()
        .map(|(name, optimizer)| {
            OpCase::new(format!("optimizer {name}"), move |cx| {
                let graph = cx.graph();
                // Sizes that leave gaps between parameters, and two that share one gradient.
                let mut pairs = Vec::new();
                for (index, size) in [1, 67, 300].into_iter().enumerate() {
                    let parameter = graph.parameter(&format!("p{index}"), size, Init::HeNormal)?;
                    let gradient = cx.normal(&format!("g{index}"), [size])?;
                    pairs.push((parameter, gradient.add(parameter)?));
                }
                let twin = graph.parameter("twin", 67, Init::HeNormal)?;
                pairs.push((twin, pairs[1].1));
                // A gradient that is a view, as that of a reshaped parameter is.
                let matrix = graph.parameter("matrix", [4, 5], Init::HeNormal)?;
                pairs.push((matrix, cx.normal("g matrix", [20])?.relu()?.reshape([4, 5])?));
                graph.update(&pairs, &optimizer)?;
                // One that another update has placed already.
                let late = graph.parameter("late", 300, Init::HeNormal)?;
                graph.update(&[(late, pairs[2].1)], &optimizer)?;
                // Gradients that others read as well: the first lies in its place all the same, the second is copied there,
                // as its reader computes another gradient into the same buffer.
                let parameter = |name| graph.parameter(name, 67, Init::HeNormal);
                let [read, source, derived] = [parameter("read")?, parameter("source")?, parameter("derived")?];
                let [here, copied] = [cx.normal("g read", [67])?.add(read)?, cx.normal("g source", [67])?.add(source)?];
                graph.update(&[(read, here), (source, copied), (derived, copied.sigmoid()?)], &optimizer)?;
                Ok(vec![here.sigmoid()?])
            })
            .steps(3)
        })
        .collect()
}
