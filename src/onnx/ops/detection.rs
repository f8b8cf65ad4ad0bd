//! Values between the cells of an image, at places that the device computes.
//!
//! Numbers of cells are computed as floats, become indices, and the cells are gathered; weights are functions of the places.
//! So gradients by the image and by the places are those of what it is made of.

use super::{Call, Operator, one};
use crate::Axes;
use crate::error::Result;
use crate::graph::{DType, Tensor};
use crate::onnx::Array;
use crate::onnx::regions::Regions;
use crate::onnx::value::Value;

pub(super) const OPERATORS: &[Operator] =
    &[("AffineGrid", affine_grid), ("GridSample", grid_sample), ("RoiAlign", roi_align)];

/// Floats number cells exactly up to here.
pub(super) const MOST_CELLS: usize = 1 << 24;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Nearest,
    Linear,
    Cubic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beyond {
    Zeros,
    Border,
    Reflection,
}

/// A cell along an axis, or of all, with what it counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tap<'g> {
    /// Its number, a whole one.
    pub(super) cell: Tensor<'g>,
    pub(super) weight: Option<Tensor<'g>>,
    /// Where it is there at all; else it counts as 0.
    pub(super) there: Option<Tensor<'g>>,
}

impl<'g> Tap<'g> {
    /// A cell of the plane that this one's axis makes with the axis behind it, which is so long.
    pub(super) fn with(self, behind: Self, extent: usize) -> Result<Self> {
        let both = |a: Option<Tensor<'g>>, b: Option<Tensor<'g>>| match (a, b) {
            (Some(a), Some(b)) => a.multiply(b).map(Some),
            (a, b) => Ok(a.or(b)),
        };
        Ok(Self {
            cell: self.cell.multiply(extent as f32)?.add(behind.cell)?,
            weight: both(self.weight, behind.weight)?,
            there: both(self.there, behind.there)?,
        })
    }

    /// The cell's values, of `[C, cells]`, by their weight.
    pub(super) fn of(self, cells: Tensor<'g>) -> Result<Tensor<'g>> {
        let value = cells.gather(self.cell.convert(DType::U32)?, 1)?;
        let value = match self.there {
            Some(there) => there.select(value, 0.0)?,
            None => value,
        };
        match self.weight {
            Some(weight) => value.multiply(weight),
            None => Ok(value),
        }
    }
}

/// `[N, C, ...]` as `[C, N·...]`, so that a place has one number for all channels.
pub(super) fn by_channels<'g>(call: &Call<'_, '_, 'g>, x: Tensor<'g>) -> Result<Tensor<'g>> {
    let shape = x.shape();
    let (n, channels, cells) = (shape[0], shape[1], shape[2..].iter().product::<usize>());
    match n.checked_mul(cells) {
        Some(all) if all <= MOST_CELLS => {
            let x = x.reshape([n, channels, cells])?;
            let x = if n == 1 { x } else { x.transpose(&[1, 0, 2])? };
            x.reshape([channels, all])
        }
        _ => Err(call.node.unsupported(format_args!("more than {MOST_CELLS} cells, of all images together"))),
    }
}

/// Numbers that the host makes, in this order.
pub(super) fn numbers<'g>(call: &mut Call<'_, '_, 'g>, shape: &[usize], numbers: Vec<f32>) -> Result<Tensor<'g>> {
    call.constant(Array::new(shape, numbers)?)
}

fn grid_sample<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let (x, grid) = (call.tensor(0)?, call.tensor(1)?);
    let (shape, to) = (x.shape(), grid.shape());
    let dims = shape.len().saturating_sub(2);
    let fits = (1..=3).contains(&dims) && to.len() == dims + 2 && to[0] == shape[0] && to[dims + 1] == dims;
    if !fits {
        return Err(call.node.wrong(format_args!("a grid {to} for {shape}")));
    }
    let mode = match call.node.text("mode")?.unwrap_or("linear") {
        "nearest" => Mode::Nearest,
        "linear" | "bilinear" => Mode::Linear,
        "cubic" | "bicubic" if dims < 3 => Mode::Cubic,
        other => return Err(call.node.unsupported(format_args!("the mode `{other}` along {dims} axes"))),
    };
    let beyond = match call.node.text("padding_mode")?.unwrap_or("zeros") {
        "zeros" => Beyond::Zeros,
        "border" => Beyond::Border,
        "reflection" => Beyond::Reflection,
        other => return Err(call.node.wrong(format_args!("attribute `padding_mode`: `{other}`"))),
    };
    let aligned = call.node.flag("align_corners", false)?;
    let cells = by_channels(call, x)?;
    let (n, places) = (shape[0], to[1..=dims].iter().product::<usize>());
    let grid = grid.reshape([n * places, dims])?;
    // The cells of the axes so far, the outermost first, which the grid names last; before them the images.
    let mut taps: Vec<Tap<'g>> = Vec::new();
    if n > 1 {
        if n * places > MOST_CELLS {
            return Err(call.node.unsupported(format_args!("more than {MOST_CELLS} places")));
        }
        let images = (0..n * places).map(|place| (place / places) as f32).collect();
        taps.push(Tap { cell: numbers(call, &[n * places], images)?, weight: None, there: None });
    }
    for (axis, &extent) in shape[2..].iter().enumerate() {
        let column = (dims - 1 - axis) as i64;
        let place = grid.slice(1, column, column + 1, 1)?.reshape([n * places])?.add(1.0)?;
        let place = match aligned {
            true => place.multiply(0.5)?.multiply(extent as f32 - 1.0)?,
            false => place.multiply(extent as f32)?.subtract(1.0)?.multiply(0.5)?,
        };
        let own = taps_along(place, extent, mode, beyond, aligned)?;
        taps = match taps.is_empty() {
            true => own,
            false => {
                let pairs = taps.iter().flat_map(|outer| own.iter().map(move |inner| outer.with(*inner, extent)));
                pairs.collect::<Result<_>>()?
            }
        };
    }
    let y = sum(call, taps.iter().map(|tap| tap.of(cells)))?;
    let channels = shape[1];
    let y = y.reshape([channels, n, places])?;
    let y = if n == 1 { y } else { y.transpose(&[1, 0, 2])? };
    one(y.reshape([&[n, channels], &to[1..=dims]].concat())?)
}

/// The places of an image's cells, from -1 to 1 along each axis, under an affine map for each image: a grid for GridSample.
fn affine_grid<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let (maps, size) = (call.tensor(0)?, call.ints(1)?);
    let shape = maps.shape();
    let wrong = || call.node.wrong(format_args!("maps {shape} for images {size:?}"));
    let extents: Option<Vec<usize>> = size.iter().skip(2).map(|&extent| usize::try_from(extent).ok()).collect();
    let extents = extents.filter(|extents| matches!(extents.len(), 2 | 3)).ok_or_else(wrong)?;
    let dims = extents.len();
    let &[n, rows, columns] = &shape[..] else { return Err(wrong()) };
    if [rows, columns] != [dims, dims + 1] || i64::try_from(n).ok().as_ref() != size.first() {
        return Err(wrong());
    }
    let cells = extents.iter().try_fold(1_usize, |all, &extent| all.checked_mul(extent));
    let cells = cells.filter(|cells| (1..=MOST_CELLS / 4).contains(cells));
    let cells = cells.ok_or_else(|| call.node.unsupported(format_args!("images of {extents:?} cells")))?;
    let aligned = call.node.flag("align_corners", false)?;
    // The last axis first, and ones for what is added.
    let mut places = Vec::with_capacity((dims + 1) * cells);
    for axis in (0..dims).rev() {
        let (extent, behind) = (extents[axis], extents[axis + 1..].iter().product::<usize>());
        let place = |cell: usize| match (aligned, (cell / behind % extent) as f64, extent as f64) {
            (true, _, 1.0) => 0.0,
            (true, at, extent) => 2.0 * at / (extent - 1.0) - 1.0,
            (false, at, extent) => (2.0 * at + 1.0) / extent - 1.0,
        };
        places.extend((0..cells).map(|cell| place(cell) as f32));
    }
    places.resize((dims + 1) * cells, 1.0);
    let grid = maps.reshape([n * dims, dims + 1])?.matmul(numbers(call, &[dims + 1, cells], places)?)?;
    let grid = grid.reshape([n, dims, cells])?.transpose(&[0, 2, 1])?;
    one(grid.reshape([&[n][..], &extents, &[dims]].concat())?)
}

pub(super) fn sum<'g>(call: &Call<'_, '_, 'g>, parts: impl Iterator<Item = Result<Tensor<'g>>>) -> Result<Tensor<'g>> {
    let sum = parts.reduce(|sum, part| sum?.add(part?));
    sum.unwrap_or_else(|| Err(call.node.wrong("nothing to add up")))
}

/// Folded at both ends of from..to until it is between them.
fn reflected(place: Tensor<'_>, from: f32, to: f32) -> Result<Tensor<'_>> {
    let length = to - from;
    if length <= 0.0 {
        return place.multiply(0.0);
    }
    let distance = place.subtract(from)?.abs()?;
    let turns = distance.divide(length)?.floor()?;
    let rest = distance.subtract(turns.multiply(length)?)?;
    let half = turns.multiply(0.5)?;
    let odd = half.subtract(half.floor()?)?.greater(0.25)?;
    odd.select(rest.neg()?.add(to)?, rest.add(from)?)
}

/// The cells of an axis of so many that a place between them is made of. As PyTorch's `grid_sample`.
pub(super) fn taps_along<'g>(
    place: Tensor<'g>,
    extent: usize,
    mode: Mode,
    beyond: Beyond,
    aligned: bool,
) -> Result<Vec<Tap<'g>>> {
    let last = extent as f32 - 1.0;
    let (from, to) = if aligned { (0.0, last) } else { (-0.5, last + 0.5) };
    let place = if mode == Mode::Nearest { place.round()? } else { place };
    let place = match beyond {
        // A cubic kernel reaches beyond the border, and of what is there each cell is moved to it.
        Beyond::Border if mode == Mode::Cubic => place,
        Beyond::Zeros => place,
        Beyond::Border => place.less(from)?.select(0.0, place.greater(to)?.select(last, place)?)?,
        Beyond::Reflection => reflected(place, from, to)?,
    };
    let before = place.floor()?;
    let part = place.subtract(before)?;
    let weights: Vec<(f32, Option<Tensor<'g>>)> = match mode {
        Mode::Nearest => vec![(0.0, None)],
        Mode::Linear => vec![(0.0, Some(part.neg()?.add(1.0)?)), (1.0, Some(part))],
        // Keys' kernel at the distances 1 + t, t, 1 - t and 2 - t.
        Mode::Cubic => {
            const A: f32 = -0.75;
            let near = |t: Tensor<'g>| t.multiply(A + 2.0)?.subtract(A + 3.0)?.multiply(t.square()?)?.add(1.0);
            let far = |t: Tensor<'g>| {
                let inner = t.multiply(A)?.subtract(5.0 * A)?.multiply(t)?.add(8.0 * A)?;
                inner.multiply(t)?.subtract(4.0 * A)
            };
            let rest = part.neg()?.add(1.0)?;
            vec![
                (-1.0, Some(far(part.add(1.0)?)?)),
                (0.0, Some(near(part)?)),
                (1.0, Some(near(rest)?)),
                (2.0, Some(far(rest.add(1.0)?)?)),
            ]
        }
    };
    let tap = |(offset, weight): (f32, Option<_>)| {
        let cell = if offset == 0.0 { before } else { before.add(offset)? };
        let there = match beyond {
            Beyond::Zeros => Some(cell.greater_or_equal(0.0)?.multiply(cell.less_or_equal(last)?)?),
            _ => None,
        };
        let cell = if beyond == Beyond::Reflection { reflected(cell, from, to)? } else { cell };
        Ok(Tap { cell: cell.clip(0.0, last)?, weight, there })
    };
    weights.into_iter().map(tap).collect()
}

fn roi_align<'g>(call: &mut Call<'_, '_, 'g>) -> Result<Vec<Value<'g>>> {
    let (x, regions) = (call.tensor(0)?, call.tensor(1)?);
    let (shape, count) = (x.shape(), regions.shape());
    let images = call.ints(2)?;
    let [_, channels, height, width] = Regions::image(call.node, &shape, &count, &images)?;
    let Regions { parts: [rows, columns], samples, maximum, half, scale } = Regions::of(call.node)?;
    if samples == 0 {
        return Err(call.node.unsupported("a sampling_ratio of 0, which takes more samples of larger regions"));
    }
    let regions_count = count[0];
    let places = [rows, columns, samples, samples]
        .iter()
        .try_fold(regions_count, |product, &extent| product.checked_mul(extent))
        .filter(|places| (1..=MOST_CELLS).contains(places));
    let places = places.ok_or_else(|| call.node.unsupported("that many samples, or none"))?;
    let cells = by_channels(call, x)?;
    let images = images.into_iter().map(|image| image as f32).collect();
    let image = numbers(call, &[regions_count, 1, 1], images)?;
    // Samples of an axis lie in the middles of equal parts of the region: [R, parts].
    let mut along = |first: i64, parts: usize, extent: usize| -> Result<[Tap<'g>; 2]> {
        let side = |column: i64| regions.slice(1, column, column + 1, 1)?.multiply(scale);
        let (start, end) = (side(first)?, side(first + 2)?);
        let (start, length) = match half {
            true => (start.subtract(0.5)?, end.subtract(start)?),
            // Of one cell at least.
            false => (start, end.subtract(start)?.maximum(1.0)?),
        };
        let middles = (0..parts * samples).map(|part| (part as f32 + 0.5) / samples as f32).collect();
        let middles = numbers(call, &[1, parts * samples], middles)?;
        let place = length.divide(parts as f32)?.multiply(middles)?.add(start)?;
        let last = extent as f32 - 1.0;
        let there = place.greater_or_equal(-1.0)?.multiply(place.less_or_equal(extent as f32)?)?;
        let place = place.clip(0.0, last)?;
        let before = place.floor()?;
        let part = place.subtract(before)?;
        let tap = |cell, weight| Tap { cell, weight: Some(weight), there: Some(there) };
        Ok([tap(before, part.neg()?.add(1.0)?), tap(before.add(1.0)?.clip(0.0, last)?, part)])
    };
    let (down, across) = (along(1, rows, height)?, along(0, columns, width)?);
    let spread = |tap: Tap<'g>, view: [usize; 3]| -> Result<Tap<'g>> {
        let whole = |tensor: Option<Tensor<'g>>| tensor.map(|tensor| tensor.reshape(view)).transpose();
        Ok(Tap { cell: tap.cell.reshape(view)?, weight: whole(tap.weight)?, there: whole(tap.there)? })
    };
    let mut values = Vec::new();
    for row in down {
        let image = Tap { cell: image, weight: None, there: None };
        let row = image.with(spread(row, [regions_count, rows * samples, 1])?, height)?;
        for column in across {
            let cell = row.with(spread(column, [regions_count, 1, columns * samples])?, width)?;
            let flat = |tensor: Option<Tensor<'g>>| tensor.map(|tensor| tensor.reshape(places)).transpose();
            let cell = Tap { cell: cell.cell.reshape(places)?, weight: flat(cell.weight)?, there: flat(cell.there)? };
            values.push(cell.of(cells)?);
        }
    }
    let view = [channels, regions_count, rows, samples, columns, samples];
    let y = if maximum {
        // Of the weighted cells, as the operator has it, not of the samples.
        let largest = values.into_iter().map(Ok).reduce(|a, b| a?.maximum(b?));
        let largest = largest.unwrap_or_else(|| Err(call.node.wrong("nothing to compare")))?;
        largest.reshape(view)?.max(Axes::from([3, 5]))?
    } else {
        sum(call, values.into_iter().map(Ok))?.reshape(view)?.mean(Axes::from([3, 5]))?
    };
    one(y.transpose(&[1, 0, 2, 3])?)
}
