//! What the user chooses: the rule and its values.

use crate::error::{Error, Result};

/// A rule for changing parameters by their gradients, with what is done to the gradients before.
///
/// Formulas, defaults and the place of epsilon (added to the root, never under it) are PyTorch's.
///
/// ```
/// use omma::Optimizer;
///
/// let sgd = Optimizer::sgd(0.05).momentum(0.9).weight_decay(5e-4).no_bias_decay();
/// let adam = Optimizer::adam(1e-3).clip_norm(1.0).skip_nonfinite();
/// let averaged = Optimizer::rmsprop(1e-3).ema(0.999);
/// # let _ = (sgd, adam, averaged);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Optimizer {
    pub(super) rule: Rule,
    pub(super) learning_rate: f32,
    pub(super) weight_decay: f32,
    pub(super) bias_decay: bool,
    pub(super) clip_value: Option<f32>,
    pub(super) clip_norm: Option<f32>,
    pub(super) skip_nonfinite: bool,
    pub(super) ema: Option<f32>,
    pub(super) ema_warmup: bool,
    pub(super) every: u32,
    /// An option that the rule does not have.
    misfit: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rule {
    Sgd { momentum: f32, dampening: f32, nesterov: bool },
    Adam { betas: [f32; 2], epsilon: f32, decoupled: bool },
    RmsProp { alpha: f32, epsilon: f32, momentum: f32, centered: bool },
    Adagrad { epsilon: f32 },
    Lion { betas: [f32; 2] },
}

impl Optimizer {
    fn new(rule: Rule, learning_rate: f32, weight_decay: f32) -> Self {
        Self {
            rule,
            learning_rate,
            weight_decay,
            bias_decay: true,
            clip_value: None,
            clip_norm: None,
            skip_nonfinite: false,
            ema: None,
            ema_warmup: false,
            every: 1,
            misfit: None,
        }
    }

    /// Stochastic gradient descent: v = momentum·v + (1 - dampening)·g, p -= lr·v. Without momentum at first, which needs
    /// no memory; the first velocity is the whole gradient.
    pub fn sgd(learning_rate: f32) -> Self {
        Self::new(Rule::Sgd { momentum: 0.0, dampening: 0.0, nesterov: false }, learning_rate, 0.0)
    }

    /// Adam (Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization") with betas 0.9 and 0.999 and epsilon 1e-8;
    /// weight decay is added to the gradient.
    pub fn adam(learning_rate: f32) -> Self {
        Self::new(Rule::Adam { betas: [0.9, 0.999], epsilon: 1e-8, decoupled: false }, learning_rate, 0.0)
    }

    /// AdamW (Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization"): as Adam, with weight decay 0.01 taken
    /// from the parameters directly.
    pub fn adamw(learning_rate: f32) -> Self {
        Self::new(Rule::Adam { betas: [0.9, 0.999], epsilon: 1e-8, decoupled: true }, learning_rate, 0.01)
    }

    /// RMSprop (Tieleman and Hinton 2012, lecture 6.5 of "Neural Networks for Machine Learning") with alpha 0.99 and
    /// epsilon 1e-8, without momentum: s = alpha·s + (1 - alpha)·g², p -= lr·g / (sqrt(s) + epsilon).
    pub fn rmsprop(learning_rate: f32) -> Self {
        let rule = Rule::RmsProp { alpha: 0.99, epsilon: 1e-8, momentum: 0.0, centered: false };
        Self::new(rule, learning_rate, 0.0)
    }

    /// Adagrad (Duchi, Hazan and Singer 2011, "Adaptive Subgradient Methods") with epsilon 1e-10: s += g²,
    /// p -= lr·g / (sqrt(s) + epsilon). The sums begin at 0.
    pub fn adagrad(learning_rate: f32) -> Self {
        Self::new(Rule::Adagrad { epsilon: 1e-10 }, learning_rate, 0.0)
    }

    /// Lion (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms") with betas 0.9 and 0.99:
    /// p -= lr·sign(beta1·m + (1 - beta1)·g), then m = beta2·m + (1 - beta2)·g; weight decay is taken from the parameters
    /// directly. Its authors use a learning rate 3 to 10 times lower, and a weight decay as much higher, than AdamW's.
    pub fn lion(learning_rate: f32) -> Self {
        Self::new(Rule::Lion { betas: [0.9, 0.99] }, learning_rate, 0.0)
    }

    /// SGD's and RMSprop's momentum, 0 unless given.
    pub fn momentum(mut self, value: f32) -> Self {
        match &mut self.rule {
            Rule::Sgd { momentum, .. } | Rule::RmsProp { momentum, .. } => *momentum = value,
            _ => self.misfit = Some("momentum"),
        }
        self
    }

    /// The share of the gradient that SGD's velocity does not take, 0 unless given. The first velocity takes it all.
    pub fn dampening(mut self, value: f32) -> Self {
        match &mut self.rule {
            Rule::Sgd { dampening, .. } => *dampening = value,
            _ => self.misfit = Some("dampening"),
        }
        self
    }

    /// SGD with Nesterov's look ahead, p -= lr·(g + momentum·v); it needs momentum and no dampening.
    pub fn nesterov(mut self) -> Self {
        match &mut self.rule {
            Rule::Sgd { nesterov, .. } => *nesterov = true,
            _ => self.misfit = Some("nesterov"),
        }
        self
    }

    /// The decay rates of Adam's and Lion's moments.
    pub fn betas(mut self, first: f32, second: f32) -> Self {
        match &mut self.rule {
            Rule::Adam { betas, .. } | Rule::Lion { betas } => *betas = [first, second],
            _ => self.misfit = Some("betas"),
        }
        self
    }

    /// The decay rate of RMSprop's mean square.
    pub fn alpha(mut self, value: f32) -> Self {
        match &mut self.rule {
            Rule::RmsProp { alpha, .. } => *alpha = value,
            _ => self.misfit = Some("alpha"),
        }
        self
    }

    /// RMSprop by the deviation in the place of the root mean square (Graves 2013, "Generating Sequences With Recurrent
    /// Neural Networks"): s - a² for s, where a is the mean gradient. Where rounding makes that negative it is 0.
    pub fn centered(mut self) -> Self {
        match &mut self.rule {
            Rule::RmsProp { centered, .. } => *centered = true,
            _ => self.misfit = Some("centered"),
        }
        self
    }

    /// What Adam, RMSprop and Adagrad add to their divisor.
    pub fn epsilon(mut self, value: f32) -> Self {
        match &mut self.rule {
            Rule::Adam { epsilon, .. } | Rule::RmsProp { epsilon, .. } | Rule::Adagrad { epsilon } => *epsilon = value,
            _ => self.misfit = Some("epsilon"),
        }
        self
    }

    /// The share of each parameter that decays. AdamW and Lion take it, times the learning rate, from the parameters; the
    /// others add it to the gradients, after clipping.
    pub fn weight_decay(mut self, decay: f32) -> Self {
        self.weight_decay = decay;
        self
    }

    /// Leaves parameters of less than two axes, which are biases and what batch norms scale and shift by, out of the weight
    /// decay (He et al. 2019, "Bag of Tricks for Image Classification", section 3.1).
    pub fn no_bias_decay(mut self) -> Self {
        self.bias_decay = false;
        self
    }

    /// Cuts each element of the gradients off at ±`limit`, as PyTorch's `clip_grad_value_`; not-a-number stays. It comes
    /// before [`Optimizer::clip_norm`], if both are asked for.
    pub fn clip_value(mut self, limit: f32) -> Self {
        self.clip_value = Some(limit);
        self
    }

    /// Multiplies the gradients by min(1, limit / (norm + 1e-6)), where norm is that of all gradients of this optimizer
    /// together, as PyTorch's `clip_grad_norm_`. It costs one more pass that reads the gradients.
    ///
    /// The squares are added in f32: a norm of more than about 1.8e19 counts as infinite. A norm that is infinite makes
    /// finite gradients 0 and infinite ones not-a-number; one that is not-a-number makes all of them so. PyTorch does the
    /// same unless told to raise an error. [`Optimizer::skip_nonfinite`] skips such steps.
    pub fn clip_norm(mut self, limit: f32) -> Self {
        self.clip_norm = Some(limit);
        self
    }

    /// Skips updates whose gradients together have no finite norm: parameters, averages and the optimizer's memory stay as
    /// they are. The step is counted all the same, and what the forward pass changes (running statistics) is changed.
    pub fn skip_nonfinite(mut self) -> Self {
        self.skip_nonfinite = true;
        self
    }

    /// Keeps an exponential moving average of the parameters beside them, average = decay·average + (1 - decay)·p after
    /// each update, which begins as the parameters do.
    /// [`Variables::averaged`](crate::Variables::averaged) is the network with the averages in the place of its parameters.
    pub fn ema(mut self, decay: f32) -> Self {
        self.ema = Some(decay);
        self
    }

    /// Lets the average forget its beginning sooner: at update t, from 1, the decay is min(decay, (1 + t) / (10 + t)), as
    /// TensorFlow's `ExponentialMovingAverage` has it with `num_updates`.
    pub fn ema_warmup(mut self) -> Self {
        self.ema_warmup = true;
        self
    }

    /// Updates once in so many steps, by the mean of their gradients: as one step of a batch so many times as large, but
    /// for batch norms, which see the small ones. The optimizer counts updates, the session steps.
    pub fn accumulate(mut self, steps: u32) -> Self {
        self.every = steps;
        self
    }

    /// The learning rate of the first steps; [`Session::set_learning_rate`](crate::Session::set_learning_rate) changes it.
    pub fn learning_rate(&self) -> f32 {
        self.learning_rate
    }

    /// Steps that make one update ([`Optimizer::accumulate`]).
    pub fn steps_per_update(&self) -> u32 {
        self.every
    }

    /// Whether it has a momentum or a first beta, which [`Session::set_momentum`](crate::Session::set_momentum) changes.
    pub fn has_momentum(&self) -> bool {
        self.first_momentum().is_some()
    }

    /// Its name, as in plans and errors.
    pub(super) fn name(&self) -> &'static str {
        match self.rule {
            Rule::Sgd { .. } => "sgd",
            Rule::Adam { decoupled: false, .. } => "adam",
            Rule::Adam { decoupled: true, .. } => "adamw",
            Rule::RmsProp { .. } => "rmsprop",
            Rule::Adagrad { .. } => "adagrad",
            Rule::Lion { .. } => "lion",
        }
    }

    /// The momentum or the first beta; `None` where the rule has none.
    pub(super) fn first_momentum(&self) -> Option<f32> {
        match self.rule {
            Rule::Sgd { momentum, .. } | Rule::RmsProp { momentum, .. } => Some(momentum).filter(|&m| m != 0.0),
            Rule::Adam { betas, .. } | Rule::Lion { betas } => Some(betas[0]),
            Rule::Adagrad { .. } => None,
        }
    }

    /// What it keeps for each parameter, under PyTorch's names.
    pub(super) fn slots(&self) -> Vec<&'static str> {
        let velocity = |momentum: f32| (momentum != 0.0).then_some("momentum_buffer");
        let mut slots = match self.rule {
            Rule::Sgd { momentum, .. } => Vec::from_iter(velocity(momentum)),
            Rule::Adam { .. } => vec!["exp_avg", "exp_avg_sq"],
            Rule::RmsProp { momentum, centered, .. } => {
                let mean = centered.then_some("grad_avg");
                std::iter::once("square_avg").chain(mean).chain(velocity(momentum)).collect()
            }
            Rule::Adagrad { .. } => vec!["sum"],
            Rule::Lion { .. } => vec!["exp_avg"],
        };
        if self.every > 1 {
            slots.push("gradient_sum");
        }
        slots
    }

    /// Whether a step needs the norm of all gradients.
    pub(super) fn needs_norm(&self) -> bool {
        self.clip_norm.is_some() || self.skip_nonfinite
    }

    pub(super) fn check(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::argument("optimizer", message));
        if let Some(option) = self.misfit {
            return refuse(format!("{} has no option `{option}`", self.name()));
        }
        let share = |value: f32| (0.0..1.0).contains(&value);
        let amount = |value: f32| value.is_finite() && value >= 0.0;
        let small = |value: f32| value.is_finite() && value > 0.0;
        let rule: Vec<(&str, f32, bool)> = match self.rule {
            Rule::Sgd { momentum, dampening, .. } => vec![
                ("momentum", momentum, share(momentum)),
                ("dampening", dampening, (0.0..=1.0).contains(&dampening)),
            ],
            Rule::Adam { betas: [first, second], epsilon, .. } => vec![
                ("beta1", first, share(first)),
                ("beta2", second, share(second)),
                ("epsilon", epsilon, small(epsilon)),
            ],
            Rule::RmsProp { alpha, epsilon, momentum, .. } => vec![
                ("alpha", alpha, share(alpha)),
                ("momentum", momentum, share(momentum)),
                ("epsilon", epsilon, small(epsilon)),
            ],
            Rule::Adagrad { epsilon } => vec![("epsilon", epsilon, small(epsilon))],
            Rule::Lion { betas: [first, second] } => {
                vec![("beta1", first, share(first)), ("beta2", second, share(second))]
            }
        };
        let limit = |limit: Option<f32>| limit.map_or((0.0, true), |limit| (limit, small(limit)));
        let ((clip_value, value_is_good), (clip_norm, norm_is_good)) = (limit(self.clip_value), limit(self.clip_norm));
        let decay = self.ema.unwrap_or_default();
        let common = [
            ("learning rate", self.learning_rate, amount(self.learning_rate)),
            ("weight decay", self.weight_decay, amount(self.weight_decay)),
            ("clip_value", clip_value, value_is_good),
            ("clip_norm", clip_norm, norm_is_good),
            ("ema", decay, share(decay)),
        ];
        if let Some((what, value, _)) = rule.iter().chain(&common).find(|(.., good)| !good) {
            let expected = match *what {
                "momentum" | "beta1" | "beta2" | "alpha" | "ema" => "at least 0 and below 1",
                "dampening" => "from 0 to 1",
                "learning rate" | "weight decay" => "finite and not negative",
                _ => "finite and positive",
            };
            return refuse(format!("expected a {what} that is {expected}, got {value}"));
        }
        if self.every == 0 {
            return refuse("expected at least 1 step an update, got 0".into());
        }
        if self.ema_warmup && self.ema.is_none() {
            return refuse("ema_warmup needs ema".into());
        }
        match self.rule {
            Rule::Sgd { momentum, dampening, nesterov: true } if momentum == 0.0 || dampening != 0.0 => {
                refuse("nesterov needs momentum and no dampening".into())
            }
            Rule::Sgd { momentum: 0.0, dampening, .. } if dampening != 0.0 => refuse("dampening needs momentum".into()),
            _ => Ok(()),
        }
    }
}
