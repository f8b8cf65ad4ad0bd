//! The f64 CPU twin of each operation, forward and backward: plain loops over slices, the executable specification.
//!
//! Nothing here knows the rest of the crate, so that a mistake in a shape rule or a kernel cannot hide in its own check.
//! Arrays are row-major, images NCHW. Inputs are assumed validated: the lengths are only checked in debug builds.
//!
//! Each result says how accurate a single-precision computation of it can be expected to be, see [`Checked`].

pub mod activation;
pub mod avg_pool2d;
pub mod axis_map;
pub mod batch_norm;
pub mod binary;
pub mod comparison;
pub mod concat;
pub mod conv2d;
pub mod conv3d;
pub mod conv_transpose;
pub mod convert;
pub mod cross_entropy;
pub mod dense;
pub mod dropout;
pub mod expand;
pub mod gather;
pub mod losses;
pub mod matmul;
pub mod max_pool2d;
pub mod max_unpool;
pub mod metrics;
pub mod normalization;
pub mod normalize;
pub mod optimizer;
pub mod pointwise;
pub mod pool;
pub mod product;
pub mod reduce;
pub mod softmax;
pub mod softmax_cross_entropy;
pub mod strided;
pub mod top_k;
pub mod unfold;

/// What a flushed subnormal costs, as a magnitude: single-precision exponentials below the smallest normal number may
/// become 0, which is an absolute error that no multiple of the value covers.
const UNDERFLOW: f64 = f32::MIN_POSITIVE as f64 / f32::EPSILON as f64;

/// A result with what is needed to bound the rounding error of the same computation in single precision.
///
/// Adding K terms with unit roundoff eps is off by about `eps * sqrt(K) * sum(|term|)`, whatever cancels in the sum. A
/// comparison allows a small constant times that, element by element:
///
/// ```
/// use omma::reference::Checked;
///
/// let mut dot = Checked::zeros(1, 2);
/// dot.add(0, 3.0);
/// dot.add(0, -2.0);
/// assert_eq!((dot.values[0], dot.magnitude[0], dot.terms), (1.0, 5.0, 2));
/// ```
#[derive(Debug, Clone)]
pub struct Checked {
    /// The result, correct to double precision.
    pub values: Vec<f64>,
    /// For each element the sum of the absolute values of its terms; for compound formulas the factor by which one
    /// relative rounding error can show in the result, to first order.
    pub magnitude: Vec<f64>,
    /// The largest number of terms that were added for one element.
    pub terms: usize,
}

impl Checked {
    /// A result that is no sum: each value is rounded once.
    #[must_use]
    pub fn exact(values: Vec<f64>) -> Self {
        let magnitude = values.iter().map(|value| value.abs()).collect();
        Self { values, magnitude, terms: 1 }
    }

    /// `length` empty sums, which will get at most `terms` terms each.
    #[must_use]
    pub fn zeros(length: usize, terms: usize) -> Self {
        Self { values: vec![0.0; length], magnitude: vec![0.0; length], terms }
    }

    /// Adds a term to the sum at `index`.
    pub fn add(&mut self, index: usize, term: f64) {
        self.values[index] += term;
        self.magnitude[index] += term.abs();
    }

    /// Collects (value, magnitude) pairs.
    fn from_pairs(terms: usize, pairs: impl Iterator<Item = (f64, f64)>) -> Self {
        let (values, magnitude) = pairs.unzip();
        Self { values, magnitude, terms }
    }
}

/// What `job` gives for every number below `count`, computed on all cores.
fn each<T: Send>(count: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(count);
    if threads <= 1 {
        return (0..count).map(job).collect();
    }
    let share = |thread: usize| (thread..count).step_by(threads).map(|index| (index, job(index))).collect::<Vec<_>>();
    let mut results = std::thread::scope(|scope| {
        let share = &share;
        let spawn = |thread| std::thread::Builder::new().spawn_scoped(scope, move || share(thread)).map_err(|_| thread);
        let others: Vec<_> = (1..threads).map(spawn).collect();
        let mut results = share(0);
        for other in others {
            match other.map(|handle| handle.join()) {
                Ok(Ok(more)) => results.extend(more),
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                // Where the system gives no thread, this one does the work.
                Err(thread) => results.extend(share(thread)),
            }
        }
        results
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// share · error, where a share of 0 takes away even an infinite error.
fn weighted(share: f64, error: f64) -> f64 {
    if share == 0.0 { 0.0 } else { share * error }
}

/// |ln y| for a y in 0..=1, finite at 0, where y · |ln y| has the limit 0.
fn relative_log(y: f64) -> f64 {
    y.max(f64::MIN_POSITIVE).ln().abs()
}
