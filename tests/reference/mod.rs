//! The reference checked by itself: hand-computed values, gradients against central differences, and magnitudes against
//! the same formulas in single precision. Needs no GPU.

use omma::reference::Checked;

mod activation;
mod avg_pool2d;
mod axis_map;
mod batch_norm;
mod binary;
mod comparison;
mod concat;
mod conv2d;
mod conv3d;
mod conv_transpose;
mod convert;
mod cross_entropy;
mod dense;
mod dropout;
mod expand;
mod gather;
mod matmul;
mod max_pool2d;
mod max_unpool;
mod normalize;
mod optimizer;
mod pointwise;
mod pool;
mod product;
mod reduce;
mod softmax;
mod softmax_cross_entropy;
mod strided;
mod top_k;
mod unfold;

/// The step of the central differences: near the cube root of the f64 epsilon, where truncation and rounding balance.
const STEP: f64 = 1e-5;

/// The constant of the single-precision bound, `SINGLE * eps * sqrt(terms) * magnitude`.
const SINGLE: f64 = 4.0;

/// The generator splitmix64: small, seeded, good enough for test data.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// An integer below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Numbers in -1..1, exact in f32.
    fn uniform(&mut self, length: usize) -> Vec<f64> {
        (0..length).map(|_| (self.next() >> 40) as f64 / (1u64 << 23) as f64 - 1.0).collect()
    }

    /// Numbers in low..high, rounded to f32.
    fn between(&mut self, low: f64, high: f64, length: usize) -> Vec<f64> {
        self.uniform(length).iter().map(|u| f64::from((low + (high - low) * (u + 1.0) / 2.0) as f32)).collect()
    }

    /// Different numbers at least `2 / length` apart, in -1..=1, shuffled: away from every tie by far more than STEP. For
    /// an even length none is within `1 / length` of 0, the kink of anything like ReLU.
    fn distinct(&mut self, length: usize) -> Vec<f64> {
        let mut values: Vec<f64> = (0..length).map(|i| 2.0 * (i as f64 + 0.5) / length as f64 - 1.0).collect();
        for i in (1..length).rev() {
            values.swap(i, self.below(i + 1));
        }
        values
    }
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// exp as GPUs have it, through base 2: the product's rounding makes a relative error of |x| eps.
fn exp(x: f32) -> f32 {
    (x * std::f32::consts::LOG2_E).exp2()
}

/// The derivative of sum(cotangent · f(x)) by element `index` of x, and how far it may be off.
///
/// A K-term sum in f64 is off by at most K · eps · magnitude, which the difference divides by STEP; the truncation is
/// STEP² / 6 times the third derivative, which for these functions, away from kinks and at scales near 1, is a small
/// multiple of 1 + magnitude. A wrong gradient is off by about its own size: the bound leaves some eight digits between.
fn central_difference(index: usize, x: &[f64], cotangent: &[f64], f: impl Fn(&[f64]) -> Checked) -> (f64, f64) {
    let moved = |by: f64| {
        let mut x = x.to_vec();
        x[index] += by;
        f(&x)
    };
    let (above, below) = (moved(STEP), moved(-STEP));
    assert_eq!(above.values.len(), cotangent.len(), "one cotangent an output");
    let (mut derivative, mut tolerance) = (0.0, 0.0);
    for (j, cotangent) in cotangent.iter().enumerate() {
        derivative += cotangent * (above.values[j] - below.values[j]) / (2.0 * STEP);
        let rounding = above.terms.max(4) as f64 * f64::EPSILON * above.magnitude[j] / STEP;
        let truncation = 4.0 * STEP * STEP * (1.0 + above.magnitude[j]);
        tolerance += cotangent.abs() * (rounding + truncation);
    }
    (derivative, tolerance)
}

/// Compares `gradient`, that of sum(cotangent · f(x)) by x, with central differences.
fn check_gradient(name: &str, x: &[f64], cotangent: &[f64], gradient: &Checked, f: impl Fn(&[f64]) -> Checked) {
    check_shape(name, gradient, x.len());
    for (index, &analytic) in gradient.values.iter().enumerate() {
        let (numeric, tolerance) = central_difference(index, x, cotangent, &f);
        assert!(
            (analytic - numeric).abs() <= tolerance,
            "{name}[{index}]: gradient {analytic}, central difference {numeric}, tolerance {tolerance:e}"
        );
    }
}

/// Checks that the same formula in single precision stays within the bound that `expected` claims for it.
pub(crate) fn check_single(name: &str, expected: &Checked, actual: &[f32]) {
    check_shape(name, expected, actual.len());
    for (index, &actual) in actual.iter().enumerate() {
        let (value, magnitude) = (expected.values[index], expected.magnitude[index]);
        let bound = SINGLE * f64::from(f32::EPSILON) * (expected.terms as f64).sqrt() * magnitude;
        let error = (f64::from(actual) - value).abs();
        assert!(error <= bound, "{name}[{index}]: {actual} for {value}, off by {error:e}, bound {bound:e}");
    }
}

/// Lengths agree, and no magnitude is below its value (up to the order of the additions).
fn check_shape(name: &str, checked: &Checked, length: usize) {
    assert_eq!(checked.values.len(), length, "{name}: values");
    assert_eq!(checked.magnitude.len(), length, "{name}: magnitudes");
    for (value, magnitude) in checked.values.iter().zip(&checked.magnitude) {
        assert!(value.abs() <= magnitude * (1.0 + 1e-12), "{name}: magnitude {magnitude} of {value}");
    }
}

/// Compares with values worked out by hand, to `tolerance`.
fn assert_near(name: &str, actual: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "{name}: length");
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        assert!((actual - expected).abs() <= tolerance, "{name}[{index}]: {actual}, expected {expected}");
    }
}

#[test]
#[should_panic(expected = "square[1]")]
fn a_wrong_gradient_is_found() {
    let x = [0.5, -0.25, 2.0];
    let square = |x: &[f64]| Checked::exact(x.iter().map(|x| x * x).collect());
    // 2x, but for one element that is off by a millionth.
    check_gradient("square", &x, &[1.0; 3], &Checked::exact(vec![1.0, -0.5 - 1e-6, 4.0]), square);
}

#[test]
#[should_panic(expected = "sum[0]")]
fn an_inaccurate_single_is_found() {
    check_single("sum", &Checked::exact(vec![1.0]), &[1.0 + 8.0 * f32::EPSILON]);
}
