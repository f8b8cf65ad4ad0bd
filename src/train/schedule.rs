//! How the learning rate changes over a training run.

use std::f64::consts::PI;

use crate::error::{Error, Result};

/// The learning rate of each step, as a share of the optimizer's. Formulas are those of PyTorch's schedulers in closed
/// form; steps count from 0.
///
/// ```
/// use omma::train::{OneCycle, Schedule};
///
/// let cosine = Schedule::cosine(10_000).warmup(500);
/// let steps = Schedule::multi_step(&[6_000, 8_000], 0.1);
/// let cycle = Schedule::one_cycle(OneCycle::new(10_000).rise(0.2));
/// assert_eq!((cosine.factor(499), steps.factor(6_000)), (1.0, 0.1));
/// # let _ = cycle;
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Schedule {
    shape: Shape,
    warmup: u32,
    floor: f32,
}

#[derive(Debug, Clone, PartialEq, Default)]
enum Shape {
    #[default]
    Constant,
    Step {
        every: u32,
        gamma: f32,
    },
    MultiStep {
        milestones: Vec<u32>,
        gamma: f32,
    },
    Exponential {
        gamma: f32,
    },
    Polynomial {
        total: u32,
        power: f32,
    },
    Cosine {
        total: u32,
    },
    Restarts {
        period: u32,
        growth: u32,
    },
    OneCycle(OneCycle),
}

impl Schedule {
    fn new(shape: Shape) -> Self {
        Self { shape, ..Self::default() }
    }

    /// Always the same.
    pub fn constant() -> Self {
        Self::default()
    }

    /// Times `gamma` after each `every` steps: gamma^⌊step / every⌋ (`StepLR`).
    pub fn step(every: u32, gamma: f32) -> Self {
        Self::new(Shape::Step { every, gamma })
    }

    /// Times `gamma` at each of these steps (`MultiStepLR`).
    pub fn multi_step(milestones: &[u32], gamma: f32) -> Self {
        Self::new(Shape::MultiStep { milestones: milestones.to_vec(), gamma })
    }

    /// Times `gamma` after every step: gamma^step (`ExponentialLR`).
    pub fn exponential(gamma: f32) -> Self {
        Self::new(Shape::Exponential { gamma })
    }

    /// (1 - step / total)^power, 0 from step `total` on (`PolynomialLR`); power 1 is a line. `total` includes the warm-up.
    pub fn polynomial(total: u32, power: f32) -> Self {
        Self::new(Shape::Polynomial { total, power })
    }

    /// Down along half a cosine, ½·(1 + cos(π·step / total)), 0 from step `total` on (`CosineAnnealingLR`; Loshchilov and
    /// Hutter 2017, "SGDR", without restarts). `total` includes the warm-up.
    pub fn cosine(total: u32) -> Self {
        Self::new(Shape::Cosine { total })
    }

    /// Half a cosine of `period` steps, then one of `growth` times as many, and so on, each from the full rate
    /// (`CosineAnnealingWarmRestarts`; Loshchilov and Hutter 2017).
    pub fn cosine_restarts(period: u32, growth: u32) -> Self {
        Self::new(Shape::Restarts { period, growth })
    }

    /// Up to the optimizer's rate and down to next to nothing, with the momentum the other way (`OneCycleLR`; Smith and
    /// Topin 2018, "Super-Convergence").
    pub fn one_cycle(cycle: OneCycle) -> Self {
        Self::new(Shape::OneCycle(cycle))
    }

    /// First up in a line, (step + 1) / steps of what the schedule begins with; the schedule begins behind that, as under
    /// `SequentialLR`. None unless asked for.
    pub fn warmup(mut self, steps: u32) -> Self {
        self.warmup = steps;
        self
    }

    /// What remains of the rate in the end: a share `f` that the schedule gives becomes floor + (1 - floor)·f. 0 unless
    /// given.
    pub fn floor(mut self, share: f32) -> Self {
        self.floor = share;
        self
    }

    /// The share for step `step`.
    pub fn factor(&self, step: u32) -> f32 {
        let share = |step: u32| {
            let floor = f64::from(self.floor);
            floor + (1.0 - floor) * self.shape.factor(step, self.warmup)
        };
        let share = match step.checked_sub(self.warmup) {
            Some(step) => share(step),
            None => (f64::from(step) + 1.0) / f64::from(self.warmup) * share(0),
        };
        share as f32
    }

    /// The momentum for step `step`, or first beta, where the schedule has one.
    pub fn momentum(&self, step: u32) -> Option<f32> {
        let Shape::OneCycle(cycle) = &self.shape else { return None };
        let [low, high] = cycle.momentum?.map(f64::from);
        Some(cycle.at(step.saturating_sub(self.warmup), self.warmup, [high, low, high]) as f32)
    }

    /// Whether the values make a schedule.
    pub(super) fn check(&self) -> Result<()> {
        let amount = |value: f32| value.is_finite() && value >= 0.0;
        let share = |value: f32| (0.0..=1.0).contains(&value);
        let shape = match &self.shape {
            Shape::Constant => true,
            Shape::Step { every, gamma } => *every > 0 && amount(*gamma),
            Shape::MultiStep { gamma, .. } | Shape::Exponential { gamma } => amount(*gamma),
            Shape::Polynomial { total, power } => *total > 0 && amount(*power),
            Shape::Cosine { total } => *total > 0,
            Shape::Restarts { period, growth } => *period > 0 && *growth > 0,
            Shape::OneCycle(OneCycle { total, rise, divisors: [first, last], momentum }) => {
                let momentum = momentum.is_none_or(|pair| pair.iter().all(|value| (0.0..1.0).contains(value)));
                *total > 0 && share(*rise) && momentum && [first, last].iter().all(|d| d.is_finite() && **d >= 1.0)
            }
        };
        if shape && share(self.floor) {
            return Ok(());
        }
        let message = "expected at least 1 step, finite factors that are not negative, and shares from 0 to 1";
        Err(Error::argument("schedule", format!("{message}, got {self:?}")))
    }
}

impl Shape {
    /// The share at a step behind the warm-up.
    fn factor(&self, step: u32, warmup: u32) -> f64 {
        // How far a run of so many steps, warm-up included, is.
        let done = |total: u32| (f64::from(step) / f64::from(total.saturating_sub(warmup).max(1))).min(1.0);
        let cosine = |done: f64| 0.5 * (1.0 + (PI * done).cos());
        match self {
            Self::Constant => 1.0,
            Self::Step { every, gamma } => f64::from(*gamma).powf(f64::from(step / (*every).max(1))),
            Self::MultiStep { milestones, gamma } => {
                let passed = milestones.iter().filter(|&&milestone| milestone <= step).count();
                f64::from(*gamma).powf(passed as f64)
            }
            Self::Exponential { gamma } => f64::from(*gamma).powf(f64::from(step)),
            Self::Polynomial { total, power } => (1.0 - done(*total)).powf(f64::from(*power)),
            Self::Cosine { total } => cosine(done(*total)),
            Self::Restarts { period, growth } => {
                let (mut step, mut length) = (u64::from(step), u64::from(*period).max(1));
                if *growth <= 1 {
                    step %= length;
                }
                // A period that grows exceeds any step after at most 32 rounds.
                while step >= length {
                    step -= length;
                    length *= u64::from(*growth);
                }
                cosine(step as f64 / length as f64)
            }
            Self::OneCycle(cycle) => {
                let [first, last] = cycle.divisors.map(f64::from);
                cycle.at(step, warmup, [1.0 / first, 1.0, 1.0 / (first * last)])
            }
        }
    }
}

/// One cycle of learning rate and momentum ([`Schedule::one_cycle`]): half a cosine up, then one down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OneCycle {
    total: u32,
    rise: f32,
    divisors: [f32; 2],
    momentum: Option<[f32; 2]>,
}

impl OneCycle {
    /// A cycle of `total` steps, a warm-up included: up in the first 0.3 of them from 1/25 of the optimizer's rate, down to
    /// 1/25 · 1e-4; the momentum goes from 0.95 down to 0.85 and back. The last step has the lowest rate, and all behind it.
    pub fn new(total: u32) -> Self {
        Self { total, rise: 0.3, divisors: [25.0, 1e4], momentum: Some([0.85, 0.95]) }
    }

    /// The share of the steps in which the rate rises.
    pub fn rise(mut self, share: f32) -> Self {
        self.rise = share;
        self
    }

    /// It begins with 1/first of the rate and ends with 1/(first·last).
    pub fn divisors(mut self, first: f32, last: f32) -> Self {
        self.divisors = [first, last];
        self
    }

    /// The momentum at the highest rate, and that at the ends.
    pub fn momentum(mut self, low: f32, high: f32) -> Self {
        self.momentum = Some([low, high]);
        self
    }

    /// Leaves the momentum as it is: for optimizers without.
    pub fn without_momentum(mut self) -> Self {
        self.momentum = None;
        self
    }

    /// The value at a step, from the first by way of the middle to the last.
    fn at(&self, step: u32, warmup: u32, [first, middle, last]: [f64; 3]) -> f64 {
        let total = f64::from(self.total.saturating_sub(warmup));
        let (peak, end) = (f64::from(self.rise) * total - 1.0, total - 1.0);
        let step = f64::from(step).min(end);
        let between = |from: f64, to: f64, done: f64| to + 0.5 * (from - to) * (1.0 + (PI * done).cos());
        match step <= peak && peak > 0.0 {
            true => between(first, middle, step / peak),
            false if end > peak => between(middle, last, ((step - peak) / (end - peak)).clamp(0.0, 1.0)),
            false => middle,
        }
    }
}
