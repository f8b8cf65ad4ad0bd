//! The largest or smallest elements along the middle axis of \[outer, length, inner\], in order, and where they stand.
//!
//! A NaN comes before every number; of equal elements, the one that stands first.

use std::cmp::Ordering;

use super::Checked;

/// The first `count` elements and their places, both \[outer, count, inner\].
#[must_use]
pub fn forward([outer, length, inner]: [usize; 3], count: usize, largest: bool, x: &[f64]) -> (Checked, Vec<u32>) {
    debug_assert_eq!(x.len(), outer * length * inner, "x is [outer, length, inner]");
    let mut values = vec![0.0; outer * count * inner];
    let mut places = vec![0; values.len()];
    for o in 0..outer {
        for i in 0..inner {
            let at = |place: &usize| x[(o * length + place) * inner + i];
            let mut order: Vec<usize> = (0..length).collect();
            // A stable sort: equal elements keep their order.
            order.sort_by(|a, b| compare(at(a), at(b), largest));
            for (rank, place) in order.iter().take(count).enumerate() {
                values[(o * count + rank) * inner + i] = at(place);
                places[(o * count + rank) * inner + i] = *place as u32;
            }
        }
    }
    (Checked::exact(values), places)
}

fn compare(a: f64, b: f64, largest: bool) -> Ordering {
    let numbers = if largest { b.partial_cmp(&a) } else { a.partial_cmp(&b) };
    numbers.unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// dx: each dy goes to the element that was taken.
#[must_use]
pub fn grad_input([outer, length, inner]: [usize; 3], count: usize, places: &[u32], dy: &[f64]) -> Checked {
    debug_assert_eq!(dy.len(), outer * count * inner, "dy is [outer, count, inner]");
    let mut dx = Checked::zeros(outer * length * inner, 1);
    for (index, (&place, &dy)) in places.iter().zip(dy).enumerate() {
        dx.add((index / inner / count * length + place as usize) * inner + index % inner, dy);
    }
    dx
}
