//! What a bench says: one row a case, as a table or as JSON lines.

use serde_json::json;

use super::ceilings::Ceilings;
use super::timing::Timing;
use crate::output::Output;

/// One measured thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    pub(crate) set: &'static str,
    pub(crate) name: String,
    pub(crate) shape: String,
    pub(crate) direction: String,
    pub(crate) kernel: String,
    pub(crate) timing: Option<Timing>,
    /// Milliseconds of the median that only changed layouts.
    pub(crate) layout: Option<f64>,
    /// Floating-point operations and bytes moved; 0 where they say nothing.
    pub(crate) flops: u64,
    pub(crate) bytes: u64,
    /// The largest error, as a multiple of its bound.
    pub(crate) error: Option<f64>,
    /// What is counted and not timed, with its unit.
    pub(crate) value: Option<(f64, &'static str)>,
}

impl Row {
    /// Name, shape and direction, as [`Case::title`](super::Case::title).
    pub(crate) fn title(&self) -> String {
        format!("{} {} {}", self.name, self.shape, self.direction)
    }
}

/// Where rows go.
pub(crate) struct Table<'a> {
    pub(crate) json: bool,
    pub(crate) ceilings: &'a Ceilings,
    pub(crate) out: &'a mut Output,
}

impl Table<'_> {
    pub(crate) fn header(&mut self) {
        if !self.json {
            self.out.line(format_args!(
                "{:25} {:31} {:15} {:>10} {:>19} {:>8} {:>8} {:>6} {:>6} {:>7}  {}",
                "case",
                "shape",
                "direction",
                "median ms",
                "min .. max",
                "layout",
                "GFLOP/s",
                "GB/s",
                "limit",
                "error",
                "kernel"
            ));
        }
    }

    pub(crate) fn row(&mut self, row: &Row) {
        let rate = |work: u64| row.timing.filter(|_| work > 0).map(|timing| timing.rate(work));
        let (gflops, gbps) = (rate(row.flops), rate(row.bytes));
        let worked = row.timing.filter(|_| row.flops + row.bytes > 0);
        let fraction = worked.map(|timing| self.ceilings.fraction(row.flops, row.bytes, timing.median));
        if self.json {
            let mut object = json!({
                "name": row.name,
                "set": row.set,
                "shape": row.shape,
                "direction": row.direction,
                "kernel": row.kernel,
                "median_ms": row.timing.map(|timing| timing.median),
                "min_ms": row.timing.map(|timing| timing.min),
                "max_ms": row.timing.map(|timing| timing.max),
                "layout_ms": row.layout,
                "gflops": gflops,
                "gbps": gbps,
                "ceiling_fraction": fraction,
                "error_over_bound": row.error.map(|error| if error.is_finite() { error } else { f64::MAX }),
            });
            if let Some((value, unit)) = row.value {
                (object["value"], object["unit"]) = (json!(value), json!(unit));
            }
            self.out.line(object);
            return;
        }
        let cell = |value: Option<f64>, digits: usize| value.map_or("-".into(), |value| format!("{value:.digits$}"));
        let middle = match (row.timing, row.value) {
            (Some(timing), _) => {
                let spread = format!("{:.3} .. {:.3}", timing.min, timing.max);
                format!("{:>10.3} {spread:>19}", timing.median)
            }
            (None, Some((value, unit))) => format!("{value:>10} {unit:>19}"),
            (None, None) => format!("{:>10} {:>19}", "-", "-"),
        };
        let line = format!(
            "{:25} {:31} {:15} {middle} {:>8} {:>8} {:>6} {:>6} {:>7}  {}",
            row.name,
            row.shape,
            row.direction,
            cell(row.layout, 3),
            cell(gflops, 1),
            cell(gbps, 1),
            fraction.map_or("-".into(), |fraction| format!("{:.0} %", fraction * 100.0)),
            cell(row.error, 3),
            row.kernel
        );
        self.out.line(line.trim_end());
    }
}
