//! The random numbers of the data pipeline: one ChaCha8 stream for each purpose, seed and epoch.

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

/// What a stream of random numbers is for: streams of different purposes share no numbers, even where the seeds agree.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// The order of the images in an epoch.
    Shuffle,
    /// The variation of each image.
    Augment,
    /// Its elastic distortion.
    Elastic,
}

/// The stream of one purpose, seed and epoch. The key is laid out here, byte by byte, rather than by `seed_from_u64`,
/// so that the numbers stay the same in every version of the random-number crates.
pub(super) fn stream(purpose: Purpose, seed: u64, epoch: u64) -> ChaCha8Rng {
    let tag: [u8; 8] = match purpose {
        Purpose::Shuffle => *b"shuffle\0",
        Purpose::Augment => *b"augment\0",
        Purpose::Elastic => *b"elastic\0",
    };
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&tag);
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(epoch);
    generator
}
