//! Repeating something until its time is known.

use std::time::{Duration, Instant};

use omma::Result;

/// Calls before the first that counts, by number and by time: drivers compile and clocks rise meanwhile.
const WARM_UP: (usize, Duration) = (2, Duration::from_millis(50));
/// Samples go on until there are so many and so much time is over.
const SAMPLES: (usize, Duration) = (9, Duration::from_millis(300));
/// Nothing is repeated longer than this for the sake of the number of samples, once there are [`FEWEST`].
const PATIENCE: Duration = Duration::from_secs(4);
const FEWEST: usize = 3;

/// The times of one thing, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Timing {
    /// Repeats `once`, which says how many milliseconds it took by whatever clock it uses.
    pub(crate) fn of(mut once: impl FnMut() -> Result<f64>) -> Result<Self> {
        let start = Instant::now();
        let mut calls = 0;
        while calls < WARM_UP.0 || start.elapsed() < WARM_UP.1 {
            once()?;
            calls += 1;
        }
        let start = Instant::now();
        let mut samples = Vec::new();
        let enough = |count: usize| {
            let spent = start.elapsed();
            (count >= SAMPLES.0 && spent >= SAMPLES.1) || (count >= FEWEST && spent >= PATIENCE)
        };
        while !enough(samples.len()) {
            samples.push(once()?);
        }
        Ok(Self::among(samples))
    }

    /// Of these times, of which there is at least one.
    pub(crate) fn among(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        Self { median: samples[samples.len() / 2], min: samples[0], max: samples[samples.len() - 1] }
    }

    /// [`Timing::of`] by the host's clock.
    pub(crate) fn wall(mut once: impl FnMut() -> Result<()>) -> Result<Self> {
        Self::of(|| {
            let start = Instant::now();
            once()?;
            Ok(milliseconds(start.elapsed()))
        })
    }

    /// A billion of `work` a second, by the median.
    pub(crate) fn rate(&self, work: u64) -> f64 {
        work as f64 / (self.median * 1e6)
    }
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
