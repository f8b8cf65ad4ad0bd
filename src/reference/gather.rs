//! Elements of an axis by numbers that are data: y\[o, j, r\] = x\[o, index j, r\].
//!
//! x is \[outer, extent, inner\], y \[outer, indices, inner\]. An index that is not below the extent gives NaN, and its part of dy
//! goes nowhere.

use super::Checked;

/// y, from x with the magnitudes and terms that it has itself.
#[must_use]
pub fn forward([outer, extent, inner]: [usize; 3], indices: &[u32], x: &Checked) -> Checked {
    debug_assert_eq!(x.values.len(), outer * extent * inner, "x is [outer, extent, inner]");
    let gathered = |x: &[f64]| {
        let mut y = Vec::with_capacity(outer * indices.len() * inner);
        for block in x.chunks_exact(extent * inner) {
            for &index in indices {
                match block.chunks_exact(inner).nth(index as usize) {
                    Some(row) => y.extend_from_slice(row),
                    None => y.extend(std::iter::repeat_n(f64::NAN, inner)),
                }
            }
        }
        y
    };
    Checked { values: gathered(&x.values), magnitude: gathered(&x.magnitude), terms: x.terms }
}

/// dx\[o, k, r\]: the sum of dy\[o, j, r\] over all j whose index is k.
#[must_use]
pub fn grad([outer, extent, inner]: [usize; 3], indices: &[u32], dy: &[f64]) -> Checked {
    debug_assert_eq!(dy.len(), outer * indices.len() * inner, "dy is [outer, indices, inner]");
    let mut uses = vec![0; extent];
    for &index in indices.iter().filter(|index| (**index as usize) < extent) {
        uses[index as usize] += 1;
    }
    let mut dx = Checked::zeros(outer * extent * inner, uses.iter().copied().max().unwrap_or(0));
    for block in 0..outer {
        for (j, &index) in indices.iter().enumerate().filter(|(_, index)| (**index as usize) < extent) {
            for r in 0..inner {
                let from = (block * indices.len() + j) * inner + r;
                dx.add((block * extent + index as usize) * inner + r, dy[from]);
            }
        }
    }
    dx
}

/// y\[o, j, r\] = x\[o, index (o, j, r), r\], with as many indices as y has elements.
#[must_use]
pub fn along([outer, extent, inner]: [usize; 3], indices: &[u32], x: &Checked) -> Checked {
    debug_assert_eq!(x.values.len(), outer * extent * inner, "x is [outer, extent, inner]");
    let length = indices.len() / (outer * inner);
    let taken = |x: &[f64]| {
        let take = |(place, &index): (usize, &u32)| {
            let (block, r) = (place / (length * inner), place % inner);
            if (index as usize) < extent { x[(block * extent + index as usize) * inner + r] } else { f64::NAN }
        };
        indices.iter().enumerate().map(take).collect()
    };
    Checked { values: taken(&x.values), magnitude: taken(&x.magnitude), terms: x.terms }
}

/// dx\[o, k, r\]: the sum of dy\[o, j, r\] over all j whose index is k.
#[must_use]
pub fn grad_along([outer, extent, inner]: [usize; 3], indices: &[u32], dy: &[f64]) -> Checked {
    debug_assert_eq!(dy.len(), indices.len(), "an index for each element");
    let length = indices.len() / (outer * inner);
    let mut dx = Checked::zeros(outer * extent * inner, length);
    for (place, (&index, &dy)) in indices.iter().zip(dy).enumerate() {
        if (index as usize) < extent {
            dx.add((place / (length * inner) * extent + index as usize) * inner + place % inner, dy);
        }
    }
    dx
}

/// 1 where the last axis has the index's number, else 0: nowhere for an index that is not below the depth.
#[must_use]
pub fn one_hot(depth: usize, indices: &[u32]) -> Checked {
    let row = |&index: &u32| (0..depth).map(move |place| if place == index as usize { 1.0 } else { 0.0 });
    Checked::exact(indices.iter().flat_map(row).collect())
}
