//! Resampling along axes, by the rules of ONNX's Resize (opset 19), which has those of PyTorch's `interpolate` among its
//! own: place i of the result stands for a position of the axis, and is interpolated from the elements near it.

use super::table::Table;
use super::{check_length, extents, map};
use crate::error::{Error, Result};
use crate::graph::Tensor;
use crate::selftest::OpCase;

/// Which position of an axis of n elements place i of m stands for. The scale is what the caller gives, or m/n.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coordinates {
    /// (i + ½)/scale - ½: elements are areas, whose borders meet. What most image libraries do.
    HalfPixel,
    /// The same around the middle of the axis, where n·scale is not a whole number.
    HalfPixelSymmetric,
    /// [`Coordinates::HalfPixel`], but a single place stands for position 0.
    PytorchHalfPixel,
    /// i·(n - 1)/(m - 1): the first and last elements stay where they are. A single place stands for position 0.
    AlignCorners,
    /// i/scale.
    Asymmetric,
}

/// Which element is the nearest of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rounding {
    /// The nearest, halves down.
    PreferFloor,
    /// The nearest, halves up.
    PreferCeil,
    /// The one before.
    Floor,
    /// The one behind.
    Ceil,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Interpolation {
    Nearest(Rounding),
    Linear,
    Cubic(f32),
}

/// How [`Tensor::resize`] interpolates.
///
/// | PyTorch's `interpolate` | here |
/// |---|---|
/// | `nearest` | `Resize::nearest().coordinates(Coordinates::Asymmetric).rounding(Rounding::Floor)` |
/// | `nearest-exact` | `Resize::nearest().rounding(Rounding::PreferCeil)` |
/// | `linear`, `bilinear`, `trilinear` | `Resize::linear()` |
/// | `bicubic` | `Resize::cubic()` |
/// | `align_corners=True` | `.coordinates(Coordinates::AlignCorners)` |
/// | `antialias=True` | `.antialias().exclude_outside()`, and for `bicubic` `.cubic_coefficient(-0.5)` |
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resize {
    interpolation: Interpolation,
    coordinates: Coordinates,
    exclude_outside: bool,
    antialias: bool,
}

/// What becomes of one axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Resized {
    /// The new extent.
    pub(crate) size: usize,
    /// By how much it grows, as a fraction, so that it is exact where it can be.
    pub(crate) scale: [f64; 2],
    /// From where to where of the old axis, whose ends are 0 and 1; then the scale does not count, and what is outside the
    /// axis is 0. `tf_crop_and_resize` in ONNX.
    pub(crate) crop: Option<[f64; 2]>,
}

impl Resized {
    pub(crate) fn new(size: usize, scale: [f64; 2]) -> Self {
        Self { size, scale, crop: None }
    }

    /// By a factor, which stands for the shortest decimal that rounds to it: who writes 0.6 does not mean the float, which is a
    /// little more and would take the element before.
    pub(crate) fn by(size: usize, factor: f32) -> Self {
        Self::new(size, [factor.to_string().parse().unwrap_or_else(|_| f64::from(factor)), 1.0])
    }

    /// The position that place i of a crop stands for.
    pub(crate) fn cropped([start, end]: [f64; 2], extent: usize, size: usize, place: usize) -> f64 {
        let last = extent as f64 - 1.0;
        match size {
            1 => 0.5 * (start + end) * last,
            _ => start * last + place as f64 * (end - start) * last / (size as f64 - 1.0),
        }
    }
}

impl Resize {
    fn new(interpolation: Interpolation) -> Self {
        Self { interpolation, coordinates: Coordinates::HalfPixel, exclude_outside: false, antialias: false }
    }

    /// The nearest element; halves down, as in ONNX.
    pub fn nearest() -> Self {
        Self::new(Interpolation::Nearest(Rounding::PreferFloor))
    }

    /// Linear between the two nearest elements, along every axis.
    pub fn linear() -> Self {
        Self::new(Interpolation::Linear)
    }

    /// Cubic convolution of the four nearest elements (Keys 1981, "Cubic Convolution Interpolation for Digital Image
    /// Processing") with the coefficient -0.75, as in ONNX and PyTorch.
    pub fn cubic() -> Self {
        Self::new(Interpolation::Cubic(-0.75))
    }

    /// Which position a place stands for; [`Coordinates::HalfPixel`] if nothing is said.
    pub fn coordinates(mut self, coordinates: Coordinates) -> Self {
        self.coordinates = coordinates;
        self
    }

    /// Which element is the nearest: takes the nearest, whatever was interpolated before.
    pub fn rounding(mut self, rounding: Rounding) -> Self {
        self.interpolation = Interpolation::Nearest(rounding);
        self
    }

    /// Another coefficient of the cubic convolution, ONNX's `cubic_coeff_a`: interpolates cubically, whatever was before.
    pub fn cubic_coefficient(mut self, coefficient: f32) -> Self {
        self.interpolation = Interpolation::Cubic(coefficient);
        self
    }

    /// Elements beyond the axis's ends have no weight, and the others share it; else the last one stands for them.
    pub fn exclude_outside(mut self) -> Self {
        self.exclude_outside = true;
        self
    }

    /// Where an axis becomes shorter, as many elements take part as lie in the place's share of it. Linear and cubic only.
    pub fn antialias(mut self) -> Self {
        self.antialias = true;
        self
    }

    /// By how much the interpolation is stretched, as a divisor.
    fn stretched(self, scale: f64) -> f64 {
        if self.antialias { scale.min(1.0) } else { 1.0 }
    }

    /// How far from a position, in elements, a weight reaches.
    fn reach(self, scale: f64) -> f64 {
        let reach = match self.interpolation {
            Interpolation::Nearest(_) => 0.5,
            Interpolation::Linear => 1.0,
            Interpolation::Cubic(_) => 2.0,
        };
        reach / self.stretched(scale)
    }

    /// Elements and their weights at a position, before those outside are seen to.
    fn weights(self, position: f64, scale: f64) -> Vec<(i64, f64)> {
        let weight = |distance: f64| match self.interpolation {
            Interpolation::Cubic(a) => cubic(f64::from(a), distance),
            _ => (1.0 - distance).max(0.0),
        };
        if let Interpolation::Nearest(rounding) = self.interpolation {
            let element = match rounding {
                Rounding::PreferFloor => (position - 0.5).ceil(),
                Rounding::PreferCeil => (position + 0.5).floor(),
                Rounding::Floor => position.floor(),
                Rounding::Ceil => position.ceil(),
            };
            return vec![(element as i64, 1.0)];
        }
        let before = position.ceil() - 1.0;
        let first = (-self.reach(scale)).floor() as i64 + 1;
        let distance = |offset: i64| (offset as f64 - (position - before)).abs() * self.stretched(scale);
        (first..2 - first).map(|offset| (before as i64 + offset, weight(distance(offset)))).collect()
    }

    /// The table for an axis. `scale` is a fraction, so that it is exact where it can be.
    fn table(self, extent: usize, axis: Resized) -> Table {
        let Resized { size, scale: [numerator, denominator], crop } = axis;
        let (n, m) = (extent as f64, size as f64);
        let position = |place: usize| {
            if let Some(crop) = crop {
                return Resized::cropped(crop, extent, size, place);
            }
            let i = place as f64;
            let half_pixel = (i + 0.5) * denominator / numerator - 0.5;
            match self.coordinates {
                Coordinates::HalfPixel => half_pixel,
                Coordinates::HalfPixelSymmetric => n / 2.0 * (1.0 - m * denominator / (n * numerator)) + half_pixel,
                Coordinates::PytorchHalfPixel => {
                    if size > 1 {
                        half_pixel
                    } else {
                        0.0
                    }
                }
                Coordinates::AlignCorners => {
                    if size > 1 {
                        i * (n - 1.0) / (m - 1.0)
                    } else {
                        0.0
                    }
                }
                Coordinates::Asymmetric => i * denominator / numerator,
            }
        };
        let last = extent as i64 - 1;
        let row = |place: usize| -> Vec<(usize, f64)> {
            let at = position(place);
            if crop.is_some() && !(0.0..=last as f64).contains(&at) {
                return Vec::new();
            }
            let mut weights = self.weights(at, numerator / denominator);
            if self.exclude_outside {
                weights.retain(|(element, _)| (0..=last).contains(element));
            }
            let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
            let share = if (self.exclude_outside || self.antialias) && sum != 0.0 { sum } else { 1.0 };
            weights.into_iter().map(|(element, weight)| (element.clamp(0, last) as usize, weight / share)).collect()
        };
        Table::new(extent, (0..size).map(row))
    }

    fn check(self, name: &str) -> Result<()> {
        match self.interpolation {
            Interpolation::Nearest(_) if self.antialias => {
                Err(Error::argument(name, "the nearest element cannot be antialiased"))
            }
            Interpolation::Cubic(coefficient) if !coefficient.is_finite() => {
                Err(Error::argument(name, format!("expected a finite cubic coefficient, got {coefficient}")))
            }
            _ => Ok(()),
        }
    }
}

/// Keys' kernel, with coefficient a.
fn cubic(a: f64, distance: f64) -> f64 {
    match distance {
        ..=1.0 => ((a + 2.0) * distance - (a + 3.0)) * distance * distance + 1.0,
        ..2.0 => ((a * distance - 5.0 * a) * distance + 8.0 * a) * distance - 4.0 * a,
        _ => 0.0,
    }
}

const NAME: &str = "resize";

impl<'g> Tensor<'g> {
    /// Resamples each of these axes to so many elements: ONNX's Resize with `sizes`, PyTorch's `interpolate` with `size`.
    ///
    /// ```
    /// use omma::{Graph, Mode, Resize};
    ///
    /// let graph = Graph::new(Mode::Evaluation);
    /// let images = graph.input("images", [8, 3, 28, 28])?;
    /// let larger = images.resize(&[2, 3], &[56, 42], Resize::linear())?;
    /// assert_eq!(larger.shape().to_string(), "[8, 3, 56, 42]");
    /// # Ok::<(), omma::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the tensor is not f32 or has not all of these axes, one is named twice, there is not one size for each, a size
    /// is 0, the nearest is to be antialiased, or the cubic coefficient is not finite.
    pub fn resize(self, axes: &[usize], sizes: &[usize], how: Resize) -> Result<Self> {
        let extents = extents(NAME, &self.ty(), axes)?;
        if axes.len() != sizes.len() || sizes.contains(&0) {
            let message = format!("expected a size of at least 1 for each of the axes {axes:?}, got {sizes:?}");
            return Err(Error::argument(NAME, message));
        }
        let scales = sizes.iter().zip(extents).map(|(&size, extent)| Resized::new(size, [size as f64, extent as f64]));
        self.resample(axes, &scales.collect::<Vec<_>>(), how)
    }

    /// Resamples each of these axes by a factor, down to a whole number of elements: ONNX's Resize with `scales`, PyTorch's
    /// `interpolate` with `scale_factor` and `recompute_scale_factor=False`. A factor is the shortest decimal that rounds to it:
    /// by 0.6, place 3 is exactly element 5.
    ///
    /// # Errors
    /// See [`Tensor::resize`]; when a scale is not positive and finite, or nothing is left.
    pub fn resize_by(self, axes: &[usize], scales: &[f32], how: Resize) -> Result<Self> {
        let extents = extents(NAME, &self.ty(), axes)?;
        // In single precision, as other implementations have it: 0.7 times 10 is 7.
        let sizes: Vec<f32> =
            extents.iter().zip(scales).map(|(&extent, scale)| (extent as f32 * scale).floor()).collect();
        let fits = |size: &f32| size.is_finite() && *size >= 1.0;
        if axes.len() != scales.len() || !sizes.iter().all(fits) || !scales.iter().all(|&scale| scale > 0.0) {
            let message =
                format!("expected a scale for each of the axes {axes:?} that leaves something, got {scales:?}");
            return Err(Error::argument(NAME, message));
        }
        let scales = sizes.iter().zip(scales).map(|(&size, &scale)| Resized::by(size as usize, scale));
        self.resample(axes, &scales.collect::<Vec<_>>(), how)
    }

    /// Every element of the axes behind the second so many times, as PyTorch's `Upsample` with a whole `scale_factor`.
    ///
    /// # Errors
    /// When the tensor is not f32, or `factor` is 0.
    pub fn upsample(self, factor: usize) -> Result<Self> {
        let axes: Vec<usize> = (2..self.shape().len()).collect();
        let sizes: Vec<usize> = self.shape().iter().skip(2).map(|extent| extent.saturating_mul(factor)).collect();
        self.resize(&axes, &sizes, Resize::nearest().coordinates(Coordinates::Asymmetric).rounding(Rounding::Floor))
    }

    /// Each of these axes, which are different ones, as it is to become.
    pub(crate) fn resample(self, axes: &[usize], resized: &[Resized], how: Resize) -> Result<Self> {
        how.check(NAME)?;
        let shape = self.shape();
        let table = |(&axis, &to): (&usize, &Resized)| {
            // A weight reaches as far to either side.
            let taps = 2.0 * how.reach(to.scale[0] / to.scale[1]).ceil();
            check_length(NAME, shape[axis], to.size.saturating_mul(taps as usize))?;
            Ok((axis, how.table(shape[axis], to)))
        };
        map(self, NAME, axes.iter().zip(resized).map(table).collect::<Result<_>>()?)
    }
}

pub(super) fn cases() -> Vec<OpCase> {
    let nearest = Resize::nearest();
    let (linear, cubic) = (Resize::linear(), Resize::cubic());
    type Problem = (&'static [usize], &'static [usize], &'static [usize], Resize);
    let list: [Problem; 16] = [
        (&[5], &[0], &[8], nearest),
        (&[1, 1], &[1], &[3], linear),
        (&[2, 3, 4, 5], &[2, 3], &[7, 3], nearest.rounding(Rounding::PreferCeil)),
        (&[2, 8, 4, 5], &[2, 3], &[7, 3], nearest.rounding(Rounding::Ceil)),
        (&[2, 3, 4, 5], &[2, 3], &[8, 10], linear),
        (&[2, 8, 4, 5], &[2, 3], &[8, 10], linear),
        (&[2, 8, 4, 5], &[3, 2], &[3, 9], linear.coordinates(Coordinates::AlignCorners)),
        (&[2, 3, 9, 11], &[2, 3], &[4, 1], linear.coordinates(Coordinates::PytorchHalfPixel)),
        (&[2, 4, 9, 11], &[2, 3], &[4, 13], linear.antialias().exclude_outside()),
        (&[2, 3, 9, 11], &[2, 3], &[4, 13], cubic),
        (&[2, 4, 5, 6], &[2, 3], &[10, 7], cubic.exclude_outside().cubic_coefficient(-0.5)),
        (&[2, 3, 9, 11], &[2, 3], &[4, 5], cubic.antialias()),
        (&[2, 3, 5], &[2], &[9], linear.coordinates(Coordinates::Asymmetric)),
        (&[1, 2, 3, 4, 5], &[2, 3, 4], &[6, 3, 8], linear),
        (&[1, 4, 33, 29], &[2, 3], &[66, 58], linear),
        (&[3, 3000], &[1], &[1], linear.antialias()),
    ];
    let sizes = list.into_iter().map(|(shape, axes, sizes, how)| {
        let name = format!("resize {shape:?} axes {axes:?} to {sizes:?} {how:?}");
        OpCase::new(name, move |cx| Ok(vec![cx.normal("x", shape)?.resize(axes, sizes, how)?]))
    });
    let scales = [(linear.coordinates(Coordinates::HalfPixelSymmetric), 2.3), (nearest, 0.6), (cubic, 1.7)].map(
        |(how, scale)| {
            OpCase::new(format!("resize [2, 3, 7, 5] by {scale} {how:?}"), move |cx| {
                Ok(vec![cx.normal("x", [2, 3, 7, 5])?.resize_by(&[2, 3], &[scale, scale], how)?])
            })
        },
    );
    let crops = [nearest, linear, cubic].map(|how| {
        OpCase::new(format!("crop and resize [2, 3, 7, 5] {how:?}"), move |cx| {
            let crop = |size, crop| Resized { crop: Some(crop), ..Resized::new(size, [1.0, 1.0]) };
            let to = [crop(6, [-0.3, 0.9]), crop(1, [0.25, 0.75])];
            Ok(vec![cx.normal("x", [2, 3, 7, 5])?.resample(&[2, 3], &to, how)?])
        })
    });
    let upsampled =
        [vec![2, 3, 5], vec![2, 3, 4, 5], vec![2, 8, 4, 5], vec![1, 2, 3, 4, 5], vec![1, 4, 34, 32]].map(|shape| {
            OpCase::new(format!("upsample {shape:?}"), move |cx| Ok(vec![cx.normal("x", shape.clone())?.upsample(2)?]))
        });
    sizes.chain(scales).chain(crops).chain(upsampled).collect()
}
