//! A learning rate that falls when training gets no further.

/// Lowers the learning rate when a metric has stopped getting better, as PyTorch's `ReduceLROnPlateau`: to be fed once an
/// epoch, say. [`Classifier::scale_learning_rate`](super::Classifier::scale_learning_rate) takes what it answers.
///
/// ```
/// use omma::train::Plateau;
///
/// let mut plateau = Plateau::new().patience(1).factor(0.5);
/// let shares: Vec<f32> = [2.0, 1.0, 1.0, 1.0].into_iter().map(|loss| plateau.observe(loss)).collect();
/// assert_eq!(shares, [1.0, 1.0, 1.0, 0.5]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Plateau {
    factor: f32,
    patience: u32,
    threshold: f64,
    cooldown: u32,
    floor: f32,
    rising: bool,
    share: f32,
    best: Option<f64>,
    bad: u32,
    cooling: u32,
}

impl Default for Plateau {
    fn default() -> Self {
        Self::new()
    }
}

impl Plateau {
    /// Waits for a metric, such as a loss, that falls by at least 1e-4 of its best; after more than 10 that do not, the
    /// rate is a tenth of what it was.
    pub fn new() -> Self {
        let (share, best, bad, cooling) = (1.0, None, 0, 0);
        let (factor, patience, threshold, cooldown, floor, rising) = (0.1, 10, 1e-4, 0, 0.0, false);
        Self { factor, patience, threshold, cooldown, floor, rising, share, best, bad, cooling }
    }

    /// What the rate is multiplied by, 0.1 unless given.
    pub fn factor(mut self, factor: f32) -> Self {
        self.factor = factor;
        self
    }

    /// How many observations in a row may be no better, 10 unless given: the next one lowers the rate.
    pub fn patience(mut self, observations: u32) -> Self {
        self.patience = observations;
        self
    }

    /// By which share of the best an observation must be better to count, 1e-4 unless given.
    pub fn threshold(mut self, share: f64) -> Self {
        self.threshold = share;
        self
    }

    /// How many observations count for nothing after the rate was lowered, 0 unless given.
    pub fn cooldown(mut self, observations: u32) -> Self {
        self.cooldown = observations;
        self
    }

    /// The share of the rate that always remains, 0 unless given.
    pub fn floor(mut self, share: f32) -> Self {
        self.floor = share;
        self
    }

    /// For a metric that is to rise, such as an accuracy.
    pub fn rising(mut self) -> Self {
        self.rising = true;
        self
    }

    /// Takes note of the metric and gives the share of the rate from now on. Not-a-number is never better.
    pub fn observe(&mut self, metric: f64) -> f32 {
        let better = match (self.best, self.rising) {
            (None, _) => !metric.is_nan(),
            (Some(best), false) => metric < best * (1.0 - self.threshold),
            (Some(best), true) => metric > best * (1.0 + self.threshold),
        };
        if better {
            (self.best, self.bad) = (Some(metric), 0);
        } else {
            self.bad += 1;
        }
        if self.cooling > 0 {
            (self.cooling, self.bad) = (self.cooling - 1, 0);
        }
        if self.bad > self.patience {
            self.share = (self.share * self.factor).max(self.floor).min(self.share);
            (self.cooling, self.bad) = (self.cooldown, 0);
        }
        self.share
    }
}
