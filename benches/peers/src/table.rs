//! What the comparison says: one row a case, as a table or as JSON lines.

use serde_json::json;

use crate::cases::Case;
use crate::engines::Engine;
use crate::rounds::{Outcome, Times, Verdict};

/// Where rows go.
pub(crate) struct Table {
    pub(crate) json: bool,
}

impl Table {
    /// The engines, and the columns: of the first the median, of each other the median and how many times the first's
    /// that is; of each its first call.
    pub(crate) fn header(&self, engines: &[Box<dyn Engine>]) {
        if self.json {
            return;
        }
        for engine in engines {
            println!("{:6} {}", engine.name(), engine.description());
        }
        print!("\n{:24} {:30} {:15}", "case", "shape", "direction");
        for (index, engine) in engines.iter().enumerate() {
            print!(" | {:>9}{} {:>7}", engine.name(), if index > 0 { "   ratio" } else { "" }, "first s");
        }
        println!();
    }

    pub(crate) fn row(&self, case: &Case, outcomes: &[Outcome]) {
        let first = outcomes.iter().find_map(Outcome::times).filter(|_| outcomes[0].times().is_some());
        let ratio = |times: &Times| first.map(|first| times.median / first.median);
        if self.json {
            outcomes.iter().for_each(|outcome| println!("{}", line(case, outcome, ratio)));
            return;
        }
        print!("{:24} {:30} {:15}", case.name, case.shape(), case.direction());
        for (index, outcome) in outcomes.iter().enumerate() {
            let ratio_of = |times: &Times| ratio(times).map_or("      -".into(), |ratio| format!("{ratio:7.2}"));
            match outcome.times() {
                Some(times) if index == 0 => print!(" | {:9.3} {:7.2}", times.median, times.first / 1e3),
                Some(times) => print!(" | {:9.3} {} {:7.2}", times.median, ratio_of(times), times.first / 1e3),
                None => {
                    let word = if matches!(outcome.verdict, Verdict::Without) { "-" } else { "failed" };
                    print!(" | {word:>9}{} {:>7}", if index > 0 { "       -" } else { "" }, "-");
                }
            }
        }
        println!();
        for outcome in outcomes {
            if let Verdict::Failed(reason) = &outcome.verdict {
                println!("    {} failed: {}", outcome.engine, one_line(reason));
            }
        }
    }
}

impl Outcome {
    fn times(&self) -> Option<&Times> {
        match &self.verdict {
            Verdict::Timed(times) => Some(times),
            Verdict::Without | Verdict::Failed(_) => None,
        }
    }
}

fn line(case: &Case, outcome: &Outcome, ratio: impl Fn(&Times) -> Option<f64>) -> serde_json::Value {
    let mut object = json!({
        "engine": outcome.engine,
        "name": case.name,
        "shape": case.shape(),
        "direction": case.direction(),
    });
    let more = match &outcome.verdict {
        Verdict::Timed(times) => json!({
            "median_ms": times.median,
            "min_ms": times.min,
            "max_ms": times.max,
            "first_ms": times.first,
            "calls": times.calls,
            "ratio": ratio(times),
            "difference": times.difference,
        }),
        Verdict::Without => json!({ "median_ms": null }),
        Verdict::Failed(reason) => json!({ "median_ms": null, "failure": one_line(reason) }),
    };
    if let (Some(object), serde_json::Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    object
}

fn one_line(reason: &str) -> String {
    reason.split_whitespace().collect::<Vec<_>>().join(" ")
}
