//! Random variation of images: shifts, turns, scalings and mirror images.

use ndarray::{Array3, Array4, ArrayView3, Axis};
use rand_core::Rng;

use super::random::{Purpose, stream};
use crate::error::{Error, Result};

/// The farthest shift in pixels that is accepted.
const MAX_SHIFT: f32 = 65_536.0;
/// The smallest factor that an image may be scaled by; the largest is its inverse.
const MIN_SCALE: f32 = 0.1;
/// The random words of one image: a block of ChaCha's, so that image `i` owns block `i` of the stream.
const WORDS_PER_IMAGE: u128 = 16;

/// Random variation of each image within bounds. A new `Augment` changes nothing; each setting widens one bound, and
/// what it draws does not depend on the others.
///
/// What happens to an image depends on the seed, the epoch and the image's index in the data set alone.
///
/// ```
/// use omma::data::Augment;
///
/// // As much as handwriting varies: 2 pixels, 10 degrees, a tenth in size.
/// let digits = Augment::new(1).shift(2.0)?.rotation(10.0)?.scale(0.1)?;
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
}

impl Augment {
    /// No variation yet.
    pub fn new(seed: u64) -> Self {
        Self { seed, shift: 0.0, rotation: 0.0, scale: 0.0, flip: false }
    }

    /// Shifts by up to this many pixels, fractions included, along each axis.
    pub fn shift(self, pixels: f32) -> Result<Self> {
        Ok(Self { shift: within("Augment::shift", pixels, 0.0, MAX_SHIFT)?, ..self })
    }

    /// Turns by up to this many degrees either way about the image's centre.
    pub fn rotation(self, degrees: f32) -> Result<Self> {
        Ok(Self { rotation: within("Augment::rotation", degrees, 0.0, 180.0)?, ..self })
    }

    /// Scales by a factor from `1 - fraction` to `1 + fraction` about the image's centre.
    pub fn scale(self, fraction: f32) -> Result<Self> {
        Ok(Self { scale: within("Augment::scale", fraction, 0.0, 1.0 - MIN_SCALE)?, ..self })
    }

    /// Swaps left and right in every other image, by chance.
    pub fn flip(self, flip: bool) -> Self {
        Self { flip, ..self }
    }

    /// Whether no image is ever changed.
    pub fn is_identity(&self) -> bool {
        !self.flip && [self.shift, self.rotation, self.scale] == [0.0; 3]
    }

    /// What happens to the image at an index of the data set in an epoch.
    pub fn transform(&self, epoch: u64, index: usize) -> Affine {
        let mut words = stream(Purpose::Augment, self.seed, epoch);
        words.set_word_pos(index as u128 * WORDS_PER_IMAGE);
        // Uniform in [-1, 1): the upper 24 bits, as many as an f32 holds exactly. All five are always drawn, so that
        // one setting does not move another's numbers.
        let mut uniform = || (words.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0;
        Affine {
            shift_x: self.shift * uniform(),
            shift_y: self.shift * uniform(),
            rotation: self.rotation * uniform(),
            scale: 1.0 + self.scale * uniform(),
            flip: uniform() < 0.0 && self.flip,
        }
    }

    /// Changes a batch in place, whose images have these indices in the data set.
    pub(super) fn apply(&self, epoch: u64, indices: &[usize], images: &mut Array4<u8>) -> Result<()> {
        for (&index, mut image) in indices.iter().zip(images.axis_iter_mut(Axis(0))) {
            let changed = self.transform(epoch, index).warp(image.view())?;
            image.assign(&changed);
        }
        Ok(())
    }
}

/// One change of an image: mirror it, scale and turn it about its centre, then shift it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Pixels to the right.
    pub shift_x: f32,
    /// Pixels down.
    pub shift_y: f32,
    /// Degrees anticlockwise.
    pub rotation: f32,
    /// Factor of size, 1 for none.
    pub scale: f32,
    /// Whether left and right are swapped.
    pub flip: bool,
}

impl Affine {
    /// No change.
    pub const IDENTITY: Self = Self { shift_x: 0.0, shift_y: 0.0, rotation: 0.0, scale: 1.0, flip: false };

    /// The changed image, `[C, H, W]`, of the same size: bilinear samples, 0 outside the image.
    pub fn warp(&self, image: ArrayView3<'_, u8>) -> Result<Array3<u8>> {
        within("Affine::warp: shift_x", self.shift_x, -MAX_SHIFT, MAX_SHIFT)?;
        within("Affine::warp: shift_y", self.shift_y, -MAX_SHIFT, MAX_SHIFT)?;
        within("Affine::warp: rotation", self.rotation, -360.0, 360.0)?;
        within("Affine::warp: scale", self.scale, MIN_SCALE, 1.0 / MIN_SCALE)?;
        let (_, height, width) = image.dim();
        let mut changed = Array3::zeros(image.raw_dim());
        if image.is_empty() {
            return Ok(changed);
        }
        let walk = Walk::new(self, width, height);
        for (source, mut target) in image.outer_iter().zip(changed.outer_iter_mut()) {
            let source = source.as_standard_layout();
            if let (Some(source), Some(target)) = (source.as_slice(), target.as_slice_mut()) {
                walk.plane(source, target, width);
            }
        }
        Ok(changed)
    }
}

/// Fraction bits of a position in the source image. Whole numbers are added from pixel to pixel, which gives the same
/// image on every machine; 24 bits leave room for any image that fits in memory, and drift by less than a thousandth of
/// a pixel over 10,000 steps.
const POSITION_BITS: u32 = 24;
/// Fraction bits of a bilinear weight: the product of two with a byte fits 32 bits.
const WEIGHT_BITS: u32 = 11;
/// A weight of 1.
const ONE: u32 = 1 << WEIGHT_BITS;

/// The way through the source image, in fixed point, while the target is filled row by row.
struct Walk {
    /// Source position of the first target pixel, x then y.
    start: [i64; 2],
    /// What one step to the right adds to the source position.
    right: [i64; 2],
    /// What one step down adds.
    down: [i64; 2],
}

impl Walk {
    /// The inverse of `affine`: for each target pixel p, the source position is
    /// `centre + flip · rotate⁻¹ · (p - centre - shift) / scale`.
    fn new(affine: &Affine, width: usize, height: usize) -> Self {
        let (sin, cos) = f64::from(affine.rotation).to_radians().sin_cos();
        let scale = f64::from(affine.scale);
        let mirror = if affine.flip { -1.0 } else { 1.0 };
        // y points down: an anticlockwise turn takes (1, 0) to (cos, -sin), and its inverse takes it to (cos, sin).
        let right = [mirror * cos / scale, sin / scale];
        let down = [mirror * -sin / scale, cos / scale];
        let centre = [(width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0];
        let offset = [-centre[0] - f64::from(affine.shift_x), -centre[1] - f64::from(affine.shift_y)];
        let start = [0, 1].map(|axis| centre[axis] + right[axis] * offset[0] + down[axis] * offset[1]);
        let fixed = |value: f64| (value * f64::from(1 << POSITION_BITS)).round() as i64;
        // Half a weight's step is added once, so that cutting the lower bits off rounds to the nearest weight.
        let half = 1 << (POSITION_BITS - WEIGHT_BITS - 1);
        Self { start: start.map(|value| fixed(value) + half), right: right.map(fixed), down: down.map(fixed) }
    }

    /// Fills one plane.
    fn plane(&self, source: &[u8], target: &mut [u8], width: usize) {
        let height = source.len() / width;
        let [mut row_x, mut row_y] = self.start;
        for row in target.chunks_exact_mut(width) {
            let (mut x, mut y) = (row_x, row_y);
            for pixel in row {
                *pixel = sample(source, width, height, x, y);
                x += self.right[0];
                y += self.right[1];
            }
            row_x += self.down[0];
            row_y += self.down[1];
        }
    }
}

/// The bilinear sample at a fixed-point position.
#[inline]
fn sample(source: &[u8], width: usize, height: usize, x: i64, y: i64) -> u8 {
    let (left, top) = (x >> POSITION_BITS, y >> POSITION_BITS);
    let weight = |position: i64| (position >> (POSITION_BITS - WEIGHT_BITS)) as u32 & (ONE - 1);
    let (wx, wy) = (weight(x), weight(y));
    let corners = if left >= 0 && top >= 0 && left + 1 < width as i64 && top + 1 < height as i64 {
        let first = top as usize * width + left as usize;
        [source[first], source[first + 1], source[first + width], source[first + width + 1]]
    } else {
        let at = |x: i64, y: i64| {
            let inside = (0..width as i64).contains(&x) && (0..height as i64).contains(&y);
            if inside { source[y as usize * width + x as usize] } else { 0 }
        };
        [at(left, top), at(left + 1, top), at(left, top + 1), at(left + 1, top + 1)]
    };
    let [top_left, top_right, bottom_left, bottom_right] = corners.map(u32::from);
    let top = top_left * (ONE - wx) + top_right * wx;
    let bottom = bottom_left * (ONE - wx) + bottom_right * wx;
    ((top * (ONE - wy) + bottom * wy + ONE * ONE / 2) >> (2 * WEIGHT_BITS)) as u8
}

/// `value`, if it lies between the bounds; NaN does not.
fn within(what: &str, value: f32, low: f32, high: f32) -> Result<f32> {
    if (low..=high).contains(&value) {
        return Ok(value);
    }
    Err(Error::argument(what, format!("expected a number from {low} to {high}, got {value}")))
}
