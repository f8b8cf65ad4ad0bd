//! Comparing with the reference.

use crate::reference::Checked;

/// How many times eps·sqrt(K)·Σ|terms| an element may be off: one for the sum itself, and the rest for the roundings of
/// the operands that compound formulas compute on the way.
pub const BOUND: f64 = 4.0;
/// By how much of itself a product is off whose factors are each off by 2⁻¹¹ of themselves.
const HALVES: f64 = 2.0 / 2048.0 + 1.0 / (2048.0 * 2048.0);

/// What a run of a case found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The case.
    pub name: String,
    /// The preferred kernel variant.
    pub variant: String,
    /// The largest error, as a multiple of its bound: above 1 is a failure. Infinite where one side is not finite and
    /// the other is.
    pub worst: f64,
    /// Which tensor and element that was, with both values.
    pub place: String,
    /// Number of elements compared.
    pub elements: usize,
    /// What the bound has beside that of single precision, as a share of Σ|terms|.
    rounded: f64,
}

impl Report {
    /// An empty report, for [`Report::compare`].
    pub fn new(name: String, variant: &str) -> Self {
        Self { name, variant: variant.to_string(), worst: 0.0, place: String::new(), elements: 0, rounded: 0.0 }
    }

    /// Allows for operands that were rounded to half precision: all terms may be off in one direction, so that a sum may be
    /// off by 2·2⁻¹¹ + 2⁻²² of Σ|terms|. This holds where the terms are products of two, or a bias, and no operand is
    /// subnormal in half precision, or too large for it.
    pub fn half_precision(mut self) -> Self {
        self.rounded = HALVES;
        self
    }

    /// Whether every element is within its bound, and there was one.
    pub fn passed(&self) -> bool {
        self.worst <= 1.0 && self.elements > 0
    }

    /// Compares a tensor with the reference, element by element.
    pub fn compare(&mut self, what: &str, values: &[f64], expected: &Checked) {
        let eps = f64::from(f32::EPSILON);
        let factor = BOUND * eps * (expected.terms.max(1) as f64).sqrt();
        if values.len() != expected.values.len() {
            self.worst = f64::INFINITY;
            self.place = format!("{what} has {} elements, expected {}", values.len(), expected.values.len());
        }
        for (index, ((&value, &wanted), &magnitude)) in
            values.iter().zip(&expected.values).zip(&expected.magnitude).enumerate()
        {
            // A subnormal may be flushed to zero.
            let bound = (factor + self.rounded) * magnitude + f64::from(f32::MIN_POSITIVE);
            let ratio = if value == wanted || (value.is_nan() && wanted.is_nan()) {
                0.0
            } else if value.is_finite() && wanted.is_finite() && bound.is_finite() {
                (value - wanted).abs() / bound
            } else {
                f64::INFINITY
            };
            if ratio > self.worst || self.place.is_empty() {
                self.worst = self.worst.max(ratio);
                self.place = format!("{what}[{index}] is {value:e}, expected {wanted:e}");
            }
        }
        self.elements += values.len();
    }
}
