//! Initial values of variables. Every random value comes from a counter-based generator keyed by the seed and the
//! variable's name, so that adding a layer does not change what the others start from.

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use rand_distr::{Distribution, Normal, Uniform};

use super::types::Shape;

/// How a variable starts.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Init {
    /// All zeros.
    Zeros,
    /// All ones.
    Ones,
    /// Every element this value.
    Constant(f32),
    /// Normal with standard deviation sqrt(2 / fan_in): He et al. 2015, "Delving Deep into Rectifiers", for ReLU.
    HeNormal,
    /// Uniform in ±sqrt(6 / fan_in): the same variance as [`Init::HeNormal`].
    HeUniform,
    /// Normal with standard deviation sqrt(2 / (fan_in + fan_out)): Glorot and Bengio 2010.
    XavierNormal,
    /// Uniform in ±sqrt(6 / (fan_in + fan_out)): the same variance as [`Init::XavierNormal`].
    XavierUniform,
}

impl Init {
    /// The initial values of the variable `name` of the given shape under `seed`.
    ///
    /// Fans follow PyTorch: for `[O, I, k...]`, fan_in = I·Πk and fan_out = O·Πk; a vector counts as one input.
    pub fn values(self, name: &str, shape: &Shape, seed: u64) -> Vec<f32> {
        let count = shape.elements();
        let receptive: usize = shape.iter().skip(2).product();
        let fan_in = (shape.get(1).copied().unwrap_or(1) * receptive).max(1) as f32;
        let fan_out = (shape.first().copied().unwrap_or(1) * receptive).max(1) as f32;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(fnv1a(name.as_bytes()));
        let mut normal = |deviation: f32| draw(Normal::new(0.0, deviation).ok(), count, &mut random);
        match self {
            Self::Zeros => vec![0.0; count],
            Self::Ones => vec![1.0; count],
            Self::Constant(value) => vec![value; count],
            Self::HeNormal => normal((2.0 / fan_in).sqrt()),
            Self::XavierNormal => normal((2.0 / (fan_in + fan_out)).sqrt()),
            Self::HeUniform => uniform((6.0 / fan_in).sqrt(), count, &mut random),
            Self::XavierUniform => uniform((6.0 / (fan_in + fan_out)).sqrt(), count, &mut random),
        }
    }
}

fn uniform(limit: f32, count: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
    draw(Uniform::new_inclusive(-limit, limit).ok(), count, random)
}

/// `count` samples. The distributions refuse only non-finite or negative widths, which fans of at least 1 cannot give.
fn draw(distribution: Option<impl Distribution<f32>>, count: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
    distribution.map_or_else(Vec::new, |d| d.sample_iter(random).take(count).collect())
}

/// The 64-bit FNV-1a hash (Fowler, Noll, Vo): a stable stream number for a name, the same on every platform.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
