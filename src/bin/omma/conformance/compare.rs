//! Whether an array is what a case expects.

use std::fmt::Display;

use half::{bf16, f16};
use ndarray::{ArrayD, Dimension};
use omma::onnx::Array;

/// By how much a float may be off: `absolute + relative · |expected|`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tolerance {
    pub(super) relative: f64,
    pub(super) absolute: f64,
}

/// How an array differs from what was expected of it: type, shape, or its worst element. Integers, truth values and texts
/// are compared exactly; not-a-number equals itself, and an infinity one of the same sign.
pub(super) fn difference(got: &Array, expected: &Array, tolerance: Tolerance) -> Option<String> {
    if got.element_type() != expected.element_type() || got.shape() != expected.shape() {
        return Some(format!("expected {expected}, got {got}"));
    }
    macro_rules! compare {
        (floats: $($float:ident => $wide:expr),*; exact: $($exact:ident),*) => {
            match (got, expected) {
                $( (Array::$float(got), Array::$float(expected)) => {
                    worst(got, expected, |&got, &expected| excess($wide(got), $wide(expected), tolerance))
                } )*
                $( (Array::$exact(got), Array::$exact(expected)) => {
                    worst(got, expected, |got, expected| if got == expected { 0.0 } else { f64::INFINITY })
                } )*
                _ => Some(format!("{expected} cannot be compared")),
            }
        };
    }
    compare!(
        floats: F32 => f64::from, F64 => f64::from, F16 => f16::to_f64, Bf16 => bf16::to_f64;
        exact: I8, I16, I32, I64, U8, U16, U32, U64, Bool, String
    )
}

/// How far a float is off, in units of what is allowed: more than 1 is too far.
fn excess(got: f64, expected: f64, Tolerance { relative, absolute }: Tolerance) -> f64 {
    if got == expected || (got.is_nan() && expected.is_nan()) {
        return 0.0;
    }
    if !got.is_finite() || !expected.is_finite() {
        return f64::INFINITY;
    }
    // Where nothing is allowed, 0 / 0 cannot be: the values differ.
    (got - expected).abs() / (absolute + relative * expected.abs())
}

/// Names the element that is farthest off, the first of equals, and counts all that are off too far.
fn worst<T: Display>(got: &ArrayD<T>, expected: &ArrayD<T>, excess: impl Fn(&T, &T) -> f64) -> Option<String> {
    let (mut wrong, mut most, mut place) = (0, 1.0, None);
    for ((index, expected), got) in expected.indexed_iter().zip(got) {
        let excess = excess(got, expected);
        // A tolerance that is not a number allows nothing.
        if excess > 1.0 || excess.is_nan() {
            wrong += 1;
            if place.is_none() || excess > most {
                (most, place) = (excess, Some((index, got, expected)));
            }
        }
    }
    let (index, got, expected) = place?;
    let index: Vec<String> = (0..index.ndim()).map(|axis| index[axis].to_string()).collect();
    let off = if most.is_finite() { format!(", {most:.3e} times what is allowed") } else { String::new() };
    let count = match wrong {
        1 => "element".to_string(),
        _ => format!("{wrong} elements are wrong, of which"),
    };
    Some(format!("{count} [{}]: expected {expected}, got {got}{off}", index.join(", ")))
}

#[cfg(test)]
mod tests {
    use omma::onnx::Array;

    use super::{Tolerance, difference};

    const TOLERANCE: Tolerance = Tolerance { relative: 1e-3, absolute: 1e-5 };

    fn of(got: &[f32], expected: &[f32]) -> Option<String> {
        let array = |values: &[f32]| Array::new(&[values.len()], values.to_vec()).unwrap_or(Array::integers([]));
        difference(&array(got), &array(expected), TOLERANCE)
    }

    #[test]
    fn what_is_not_finite_equals_its_like_alone() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        assert_eq!(of(&[nan, inf, -inf, -0.0], &[nan, inf, -inf, 0.0]), None);
        for (got, expected) in [(nan, 1.0), (1.0, nan), (inf, -inf), (inf, f32::MAX), (f32::MAX, inf), (nan, inf)] {
            assert!(of(&[got], &[expected]).is_some(), "{got} {expected}");
        }
    }

    #[test]
    fn the_worst_element_is_named() {
        assert_eq!(of(&[1.0009, 0.000009], &[1.0, 0.0]), None);
        let reason = of(&[1.0012, 1.5, 2.0], &[1.0, 1.0, 2.0]).unwrap_or_default();
        assert!(reason.starts_with("2 elements are wrong, of which [1]: expected 1, got 1.5, 4.95"), "{reason}");
    }

    #[test]
    fn integers_are_exact_and_types_and_shapes_are_compared() {
        let (a, b) = (Array::integers([1 << 53]), Array::integers([(1 << 53) + 1]));
        let reason = difference(&a, &b, TOLERANCE).unwrap_or_default();
        assert_eq!(reason, "element [0]: expected 9007199254740993, got 9007199254740992");
        assert_eq!(difference(&b, &b, TOLERANCE), None);
        assert_eq!(of(&[1.0], &[1.0, 2.0]).unwrap_or_default(), "expected float[2], got float[1]");
        let texts = |text: &str| Array::new(&[], vec![text.to_string()]).unwrap_or(Array::integers([]));
        assert_eq!(difference(&texts("a"), &texts("a"), TOLERANCE), None);
        assert!(difference(&texts("a"), &texts("b"), TOLERANCE).is_some());
        assert!(difference(&a, &texts("b"), TOLERANCE).is_some_and(|reason| reason.contains("string[]")));
    }

    #[test]
    fn a_tolerance_of_nothing_or_of_no_number_forgives_nothing() {
        let one = Array::new(&[1], vec![1.0_f32]).unwrap_or(Array::integers([]));
        let two = Array::new(&[1], vec![2.0_f32]).unwrap_or(Array::integers([]));
        for tolerance in [0.0, f64::NAN] {
            let tolerance = Tolerance { relative: tolerance, absolute: tolerance };
            assert_eq!(difference(&one, &one, tolerance), None);
            assert!(difference(&two, &one, tolerance).is_some());
        }
    }
}
