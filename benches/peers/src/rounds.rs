//! Timing several engines side by side: in every round each has its turn, so that a slow spell of the machine meets all.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::cases::Case;
use crate::engines::{Engine, Prepared, Result};

/// A turn goes on until so much time is over.
const TURN: Duration = Duration::from_millis(60);
/// Work that is quicker than this has a call at the start of a turn that does not count: the engine before has had the
/// caches.
const QUICK: Duration = Duration::from_millis(100);
/// Calls after the first that do not count, of slow work only one: clocks still rise, kernels may still be tuned.
const WARM_UP: usize = 2;
/// An engine that has had so much time in its turns gets no more of them.
const PATIENCE: Duration = Duration::from_secs(3);
/// Results may differ by this share of their largest value: sums of thousands of products in any order, through up to
/// twenty layers.
const TOLERANCE: f32 = 1e-3;

/// What came of a case on an engine.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) engine: &'static str,
    pub(crate) verdict: Verdict,
}

#[derive(Debug)]
pub(crate) enum Verdict {
    Timed(Times),
    /// The engine has nothing for such work.
    Without,
    Failed(String),
}

/// In milliseconds.
#[derive(Debug)]
pub(crate) struct Times {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// From the case to its first result: preparation, compilation, tuning, and the first run.
    pub(crate) first: f64,
    pub(crate) calls: usize,
    /// The largest difference from the first engine's result, as a share of the largest value.
    pub(crate) difference: f32,
}

/// An engine with the case made ready.
struct Lane {
    prepared: Box<dyn Prepared>,
    first: f64,
    difference: f32,
    samples: Vec<f64>,
}

/// Runs the case on every engine, the first of which the others are compared with.
pub(crate) fn run(engines: &[Box<dyn Engine>], case: &Case, rounds: usize) -> Vec<Outcome> {
    let mut expected = None;
    let mut lanes: Vec<Result<Option<Lane>>> =
        engines.iter().map(|engine| guarded(|| Lane::new(engine.as_ref(), case, &mut expected))).collect();
    for _ in 0..rounds {
        for lane in &mut lanes {
            if let Ok(Some(ready)) = lane
                && let Err(error) = guarded(|| ready.turn())
            {
                *lane = Err(error);
            }
        }
    }
    let outcome = |(name, lane): (&'static str, Result<Option<Lane>>)| Outcome {
        engine: name,
        verdict: match lane {
            Ok(Some(lane)) => Verdict::Timed(lane.times()),
            Ok(None) => Verdict::Without,
            Err(error) => Verdict::Failed(error.to_string()),
        },
    };
    engines.iter().map(|engine| engine.name()).zip(lanes).map(outcome).collect()
}

impl Lane {
    fn new(engine: &dyn Engine, case: &Case, expected: &mut Option<Vec<f32>>) -> Result<Option<Self>> {
        let start = Instant::now();
        let Some(mut prepared) = engine.prepare(case)? else { return Ok(None) };
        prepared.run()?;
        let first = milliseconds(start);
        let result = prepared.result()?;
        let difference = match expected {
            Some(expected) => difference(&result, expected)?,
            None => {
                *expected = Some(result);
                0.0
            }
        };
        if difference.is_nan() || difference > TOLERANCE {
            return Err(format!("the result is off by {difference:.1e} of the largest value").into());
        }
        let start = Instant::now();
        for _ in 0..WARM_UP {
            if start.elapsed() < PATIENCE / 3 {
                prepared.run()?;
            }
        }
        Ok(Some(Self { prepared, first, difference, samples: Vec::new() }))
    }

    fn turn(&mut self) -> Result<()> {
        if self.samples.iter().sum::<f64>() > PATIENCE.as_secs_f64() * 1e3 {
            return Ok(());
        }
        if self.samples.last().is_none_or(|&last| last < QUICK.as_secs_f64() * 1e3) {
            self.prepared.run()?;
        }
        let start = Instant::now();
        while start.elapsed() < TURN {
            let start = Instant::now();
            self.prepared.run()?;
            self.samples.push(milliseconds(start));
        }
        Ok(())
    }

    fn times(mut self) -> Times {
        self.samples.sort_by(f64::total_cmp);
        let calls = self.samples.len();
        let at = |index: usize| self.samples.get(index).copied().unwrap_or(f64::NAN);
        let (median, min, max) = (at(calls / 2), at(0), at(calls.saturating_sub(1)));
        Times { median, min, max, first: self.first, calls, difference: self.difference }
    }
}

fn difference(found: &[f32], expected: &[f32]) -> Result<f32> {
    if found.len() != expected.len() {
        return Err(format!("the result has {} elements instead of {}", found.len(), expected.len()).into());
    }
    let largest = expected.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    // `max` would pass over NaN.
    let worse = |worst: f32, (a, b): (&f32, &f32)| if (a - b).abs() <= worst { worst } else { (a - b).abs() };
    Ok(found.iter().zip(expected).fold(0.0, worse) / largest)
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// Makes an error of a panic, which is how some engines report theirs.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(message(panic.as_ref()).into()))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("without a word"))
}
