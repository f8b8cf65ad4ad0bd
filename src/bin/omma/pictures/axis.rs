//! Axes of values: where they begin and end, and which round values are marked.

/// A value axis: what it covers, and where its grid lines are.
pub(crate) struct Axis {
    pub(crate) low: f64,
    high: f64,
    log: bool,
    pub(crate) ticks: Vec<f64>,
}

impl Axis {
    /// Round steps from at or below `low` to at or above `high`.
    pub(crate) fn linear(low: f64, high: f64, wanted: f64) -> Self {
        let span = if high > low { high - low } else { high.abs().max(1e-6) };
        let magnitude = 10f64.powf((span / wanted).log10().floor());
        let step = [1.0, 2.0, 5.0].map(|m| m * magnitude).into_iter().find(|s| span / s <= wanted);
        let step = step.unwrap_or(10.0 * magnitude);
        // The slack keeps rounding from adding a whole empty step.
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil().max((low / step).floor() + 1.0));
        let ticks = (0..=(last - first) as usize).map(|i| (first + i as f64) * step).collect();
        Self { low: first * step, high: last * step, log: false, ticks }
    }

    /// Decades with 1, 2 and 5, around positive values; two marks at least.
    pub(crate) fn logarithmic(low: f64, high: f64) -> Self {
        let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let marks: Vec<f64> = decades.flat_map(|d| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(d))).collect();
        let low = marks.iter().copied().rfind(|&m| m <= low * (1.0 + 1e-9)).unwrap_or(low);
        let high = marks.iter().copied().find(|&m| m > low && m >= high * (1.0 - 1e-9)).unwrap_or(high);
        let inside: Vec<f64> = marks.into_iter().filter(|m| (low..=high).contains(m)).collect();
        // Over more than three decades only their starts are labelled, and over very many not all of them.
        let is_decade = |m: &f64| (m.log10() - m.log10().round()).abs() < 1e-9;
        let starts: Vec<f64> = inside.iter().copied().filter(is_decade).collect();
        let every = starts.len().div_ceil(10).max(1);
        let ticks = if inside.len() > 10 { starts.into_iter().step_by(every).collect() } else { inside };
        Self { low, high, log: true, ticks }
    }

    /// Where a value lies, 0 at the low end and 1 at the high one.
    pub(crate) fn place(&self, value: f64) -> f32 {
        let share = if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        share.clamp(0.0, 1.0) as f32
    }
}

/// The least and the greatest of the finite values.
pub(crate) fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|v| v.is_finite()).fold(None, |range, v| match range {
        None => Some((v, v)),
        Some((low, high)) => Some((v.min(low), v.max(high))),
    })
}

/// A tick's value without the digits that only its binary form has.
pub(crate) fn number(value: f64) -> String {
    if value != 0.0 && !(1e-4..1e6).contains(&value.abs()) {
        return format!("{value:.0e}");
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_axis_has_round_ticks_around_the_values() {
        let axis = Axis::linear(0.0, 0.53, 6.0);
        assert_eq!(
            axis.ticks.iter().map(|&t| number(t)).collect::<Vec<_>>(),
            ["0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6"]
        );
        let axis = Axis::linear(0.8589, 1.0, 6.0);
        assert_eq!((axis.place(0.85), axis.place(1.0)), (0.0, 1.0));
        // A single value still has an axis.
        assert!(Axis::linear(1.0, 1.0, 6.0).ticks.len() > 1);
        assert!(Axis::linear(0.0, 0.0, 6.0).place(0.0).is_finite());
    }

    #[test]
    fn a_logarithmic_axis_stays_readable() {
        let axis = Axis::logarithmic(0.013, 0.9);
        assert_eq!(
            axis.ticks.iter().map(|&t| number(t)).collect::<Vec<_>>(),
            ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]
        );
        let axis = Axis::logarithmic(1.0, 1.0);
        assert_eq!((axis.place(1.0), axis.place(2.0)), (0.0, 1.0));
        assert!((2..=12).contains(&Axis::logarithmic(1e-30, 1e30).ticks.len()));
    }
}
