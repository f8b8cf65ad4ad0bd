//! Running totals.

use super::Checked;

/// `total` is `[sum, weight]`; adds one weighted value.
#[must_use]
pub fn accumulate(value: f64, total: &[f64], weight: f64) -> Checked {
    let mut next = Checked::zeros(2, 2);
    for (index, term) in [(0, total[0]), (0, weight * value), (1, total[1]), (1, weight)] {
        next.add(index, term);
    }
    next
}
