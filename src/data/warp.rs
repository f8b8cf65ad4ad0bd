//! Geometric changes of images, in fixed point, so that they are the same on every machine.

use ndarray::{Array3, ArrayView3};

use crate::error::{Error, Result};

/// The farthest shift in pixels that is accepted.
pub(super) const MAX_SHIFT: f32 = 65_536.0;
/// The smallest factor that an image may be scaled by; the largest is its inverse.
pub(super) const MIN_SCALE: f32 = 0.1;

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

    /// [`Warp::apply`] with nothing else.
    ///
    /// # Errors
    /// See [`Warp::apply`].
    pub fn apply(&self, image: ArrayView3<'_, u8>) -> Result<Array3<u8>> {
        Warp::from(*self).apply(image)
    }
}

/// Nodes along each side of the grid of a [`Warp`].
const NODES: usize = 5;

/// What happens to an image: an affine change, and then each of its pixels looks a little aside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warp {
    /// The change as a whole.
    pub affine: Affine,
    /// Row by row, the nodes of a grid whose corners are the image's corner pixels: by how many pixels of the original,
    /// to the right and down, the place where a pixel is taken from is moved. Bilinear between the nodes.
    pub nodes: [[[f32; 2]; NODES]; NODES],
}

impl From<Affine> for Warp {
    fn from(affine: Affine) -> Self {
        Self { affine, nodes: [[[0.0; 2]; NODES]; NODES] }
    }
}

impl Warp {
    /// The changed image, `[C, H, W]`, of the same size: bilinear samples, 0 outside the image.
    ///
    /// # Errors
    /// When a shift or a node's offset exceeds 65,536 pixels, the rotation 360 degrees, or the scale is not in 0.1..=10.
    pub fn apply(&self, image: ArrayView3<'_, u8>) -> Result<Array3<u8>> {
        let Affine { shift_x, shift_y, rotation, scale, .. } = self.affine;
        within("Affine::shift_x", shift_x, -MAX_SHIFT, MAX_SHIFT)?;
        within("Affine::shift_y", shift_y, -MAX_SHIFT, MAX_SHIFT)?;
        within("Affine::rotation", rotation, -360.0, 360.0)?;
        within("Affine::scale", scale, MIN_SCALE, 1.0 / MIN_SCALE)?;
        for &offset in self.nodes.as_flattened().as_flattened() {
            within("Warp::nodes", offset, -MAX_SHIFT, MAX_SHIFT)?;
        }
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
/// Fraction bits of a place between two nodes: its product with a distance of nodes fits 63 bits.
const PART_BITS: u32 = 20;
/// A weight of 1.
const ONE: u32 = 1 << WEIGHT_BITS;

/// A number of pixels in fixed point.
fn fixed(pixels: f64) -> i64 {
    (pixels * f64::from(1 << POSITION_BITS)).round() as i64
}

/// The way through the source image, in fixed point, while the target is filled row by row.
struct Walk {
    /// Source position of the first target pixel, x then y.
    start: [i64; 2],
    /// What one step to the right adds to the source position.
    right: [i64; 2],
    /// What one step down adds.
    down: [i64; 2],
    /// What the grid's nodes add, if any adds something.
    nodes: Option<[[[i64; 2]; NODES]; NODES]>,
}

impl Walk {
    /// The inverse of `affine`: for each target pixel p, the source position is
    /// `centre + flip · rotate⁻¹ · (p - centre - shift) / scale`.
    fn new(Warp { affine, nodes }: &Warp, width: usize, height: usize) -> Self {
        let (sin, cos) = f64::from(affine.rotation).to_radians().sin_cos();
        let scale = f64::from(affine.scale);
        let mirror = if affine.flip { -1.0 } else { 1.0 };
        // y points down: an anticlockwise turn takes (1, 0) to (cos, -sin), and its inverse takes it to (cos, sin).
        let right = [mirror * cos / scale, sin / scale];
        let down = [mirror * -sin / scale, cos / scale];
        let centre = [(width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0];
        let offset = [-centre[0] - f64::from(affine.shift_x), -centre[1] - f64::from(affine.shift_y)];
        let start = [0, 1].map(|axis| centre[axis] + right[axis] * offset[0] + down[axis] * offset[1]);
        // Half a weight's step is added once, so that cutting the lower bits off rounds to the nearest weight.
        let half = 1 << (POSITION_BITS - WEIGHT_BITS - 1);
        let nodes = nodes.map(|row| row.map(|node| node.map(|offset| fixed(offset.into()))));
        let nodes = (nodes != [[[0; 2]; NODES]; NODES]).then_some(nodes);
        Self { start: start.map(|value| fixed(value) + half), right: right.map(fixed), down: down.map(fixed), nodes }
    }

    /// Fills one plane.
    fn plane(&self, source: &[u8], target: &mut [u8], width: usize) {
        let height = source.len() / width;
        let columns: Vec<Between> = (0..width).map(|j| Between::nodes(j, width)).collect();
        let [mut row_x, mut row_y] = self.start;
        for (i, row) in target.chunks_exact_mut(width).enumerate() {
            let (mut x, mut y) = (row_x, row_y);
            let between = Between::nodes(i, height);
            let line = self.nodes.map(|nodes| {
                let [above, below] = [nodes[between.first], nodes[between.first + 1]];
                std::array::from_fn::<_, NODES, _>(|node| between.mix(above[node], below[node]))
            });
            for (pixel, between) in row.iter_mut().zip(&columns) {
                let [aside, down] =
                    line.map_or([0; 2], |line| between.mix(line[between.first], line[between.first + 1]));
                *pixel = sample(source, width, height, x + aside, y + down);
                x += self.right[0];
                y += self.right[1];
            }
            row_x += self.down[0];
            row_y += self.down[1];
        }
    }
}

/// A pixel's place between two of the nodes along an axis.
struct Between {
    /// The node before it.
    first: usize,
    /// How far it is on the way to the next, of 2^[`PART_BITS`].
    part: i64,
}

impl Between {
    fn nodes(pixel: usize, length: usize) -> Self {
        let last = (length - 1).max(1);
        let first = (pixel * (NODES - 1) / last).min(NODES - 2);
        let part = ((pixel * (NODES - 1) - first * last) << PART_BITS) / last;
        Self { first, part: part as i64 }
    }

    fn mix(&self, a: [i64; 2], b: [i64; 2]) -> [i64; 2] {
        [0, 1].map(|axis| a[axis] + (((b[axis] - a[axis]) * self.part) >> PART_BITS))
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
pub(super) fn within(what: &str, value: f32, low: f32, high: f32) -> Result<f32> {
    if (low..=high).contains(&value) {
        return Ok(value);
    }
    Err(Error::argument(what, format!("expected a number from {low} to {high}, got {value}")))
}
