//! Random variation of images: shifts, turns, scalings, mirror images and elastic distortions.

use ndarray::{Array4, Axis};
use rand_core::Rng;

use super::random::{Purpose, stream};
use super::warp::{Affine, MAX_SHIFT, MIN_SCALE, Warp, within};
use crate::error::Result;

/// The random words of one image: whole blocks of ChaCha's 16, so that image `i` owns block `i` of the stream, or the
/// four from `4 i` on for an elastic distortion.
const AFFINE_WORDS: u128 = 16;
const ELASTIC_WORDS: u128 = 64;

/// Random variation of each image within bounds. A new `Augment` changes nothing; each setting widens one bound, and
/// what it draws does not depend on the others.
///
/// What happens to an image depends on the seed, the epoch and the image's index in the data set alone.
///
/// ```
/// use omma::data::Augment;
///
/// // As much as handwriting varies: 2 pixels, 10 degrees, a tenth in size, and a trembling hand.
/// let digits = Augment::new(1).shift(2.0)?.rotation(10.0)?.scale(0.1)?.elastic(1.5)?;
/// // Photographs of things that have no left and right.
/// let photographs = Augment::new(1).shift(4.0)?.flip(true);
/// assert_eq!(digits.transform(0, 5), digits.transform(0, 5));
/// # Ok::<(), omma::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Augment {
    seed: u64,
    shift: f32,
    rotation: f32,
    scale: f32,
    flip: bool,
    elastic: f32,
}

impl Augment {
    /// No variation yet.
    pub fn new(seed: u64) -> Self {
        Self { seed, shift: 0.0, rotation: 0.0, scale: 0.0, flip: false, elastic: 0.0 }
    }

    /// Shifts by up to this many pixels, fractions included, along each axis.
    ///
    /// # Errors
    /// When `pixels` is not in 0..=65,536.
    pub fn shift(self, pixels: f32) -> Result<Self> {
        Ok(Self { shift: within("Augment::shift", pixels, 0.0, MAX_SHIFT)?, ..self })
    }

    /// Turns by up to this many degrees either way about the image's centre.
    ///
    /// # Errors
    /// When `degrees` is not in 0..=180.
    pub fn rotation(self, degrees: f32) -> Result<Self> {
        Ok(Self { rotation: within("Augment::rotation", degrees, 0.0, 180.0)?, ..self })
    }

    /// Scales by a factor from `1 - fraction` to `1 + fraction` about the image's centre.
    ///
    /// # Errors
    /// When `fraction` is not in 0..=0.9.
    pub fn scale(self, fraction: f32) -> Result<Self> {
        Ok(Self { scale: within("Augment::scale", fraction, 0.0, 1.0 - MIN_SCALE)?, ..self })
    }

    /// Swaps left and right in every other image, by chance.
    pub fn flip(self, flip: bool) -> Self {
        Self { flip, ..self }
    }

    /// Distorts as if the image were drawn on rubber: the nodes of a 5x5 grid over the image move by up to this many
    /// pixels along each axis, and what lies between moves with them. A local form of the elastic distortions of Simard,
    /// Steinkraus and Platt 2003, "Best Practices for Convolutional Neural Networks Applied to Visual Document Analysis".
    ///
    /// # Errors
    /// When `pixels` is not in 0..=65,536.
    pub fn elastic(self, pixels: f32) -> Result<Self> {
        Ok(Self { elastic: within("Augment::elastic", pixels, 0.0, MAX_SHIFT)?, ..self })
    }

    /// Whether no image is ever changed.
    pub fn is_identity(&self) -> bool {
        !self.flip && [self.shift, self.rotation, self.scale, self.elastic] == [0.0; 4]
    }

    /// What happens to the image at an index of the data set in an epoch.
    pub fn transform(&self, epoch: u64, index: usize) -> Warp {
        let mut uniform = numbers(Purpose::Augment, self.seed, epoch, index as u128 * AFFINE_WORDS);
        // All five are always drawn, so that one setting does not move another's numbers.
        let affine = Affine {
            shift_x: self.shift * uniform(),
            shift_y: self.shift * uniform(),
            rotation: self.rotation * uniform(),
            scale: 1.0 + self.scale * uniform(),
            flip: uniform() < 0.0 && self.flip,
        };
        let mut warp = Warp::from(affine);
        if self.elastic > 0.0 {
            let mut uniform = numbers(Purpose::Elastic, self.seed, epoch, index as u128 * ELASTIC_WORDS);
            for offset in warp.nodes.as_flattened_mut().as_flattened_mut() {
                *offset = self.elastic * uniform();
            }
        }
        warp
    }

    /// Changes a batch in place, whose images have these indices in the data set.
    pub(super) fn apply(&self, epoch: u64, indices: &[usize], images: &mut Array4<u8>) -> Result<()> {
        for (&index, mut image) in indices.iter().zip(images.axis_iter_mut(Axis(0))) {
            let changed = self.transform(epoch, index).apply(image.view())?;
            image.assign(&changed);
        }
        Ok(())
    }
}

/// Numbers uniform in [-1, 1), from a word of a stream on: the upper 24 bits of each, as many as an f32 holds exactly.
fn numbers(purpose: Purpose, seed: u64, epoch: u64, word: u128) -> impl FnMut() -> f32 {
    let mut words = stream(purpose, seed, epoch);
    words.set_word_pos(word);
    move || (words.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0
}
