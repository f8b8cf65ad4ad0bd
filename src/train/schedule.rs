//! How the learning rate changes over a training run.

use std::f64::consts::PI;

/// The learning rate of each step, as a share of the optimizer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Schedule {
    /// Always the same.
    #[default]
    Constant,
    /// Up in a line over `warmup` steps, then down along half a cosine to zero at step `total` (Loshchilov and Hutter
    /// 2017, without restarts).
    Cosine {
        /// Steps until the full rate.
        warmup: u32,
        /// Steps of the whole run.
        total: u32,
    },
}

impl Schedule {
    /// The factor for step `step`, counted from 0.
    pub fn factor(self, step: u32) -> f32 {
        match self {
            Self::Constant => 1.0,
            Self::Cosine { warmup, .. } if step < warmup => (f64::from(step + 1) / f64::from(warmup)) as f32,
            Self::Cosine { warmup, total } => {
                let rest = f64::from(total.saturating_sub(warmup).max(1));
                let done = (f64::from(step - warmup) / rest).min(1.0);
                (0.5 * (1.0 + (PI * done).cos())) as f32
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn the_cosine_rises_falls_and_ends_at_zero() {
        let schedule = Schedule::Cosine { warmup: 10, total: 110 };
        assert!((schedule.factor(0) - 0.1).abs() < 1e-6);
        assert!((schedule.factor(9) - 1.0).abs() < 1e-6);
        assert!((schedule.factor(60) - 0.5).abs() < 1e-6);
        assert_eq!(schedule.factor(110), 0.0);
        assert_eq!(schedule.factor(u32::MAX), 0.0);
        assert_eq!(Schedule::Cosine { warmup: 0, total: 0 }.factor(0), 1.0);
    }
}
