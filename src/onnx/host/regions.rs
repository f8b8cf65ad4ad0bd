//! RoiAlign on the host: of regions that are computed, and with as many samples as a region is large.

use super::product::affordable;
use super::{Call, Operator};
use crate::error::Result;
use crate::onnx::regions::Regions;
use crate::onnx::{Array, ElementType};

pub(super) const OPERATORS: &[Operator] = &[("RoiAlign", roi_align)];

/// The two cells between which a sample lies, with their shares of it; a sample beyond the image has none.
type Taps = Option<[(usize, f64); 2]>;

fn taps(place: f64, extent: usize) -> Taps {
    let last = extent.checked_sub(1).filter(|_| (-1.0..=extent as f64).contains(&place))?;
    let place = place.clamp(0.0, last as f64);
    let cell = place.floor();
    let share = place - cell;
    Some([(cell as usize, 1.0 - share), ((cell as usize + 1).min(last), share)])
}

/// A region along one axis.
#[derive(Clone, Copy)]
struct Side {
    start: f64,
    length: f64,
    parts: usize,
    /// Of a part.
    samples: usize,
}

impl Side {
    fn of(regions: &Regions, [start, end]: [f32; 2], parts: usize) -> Self {
        let [start, end] = [start, end].map(|place| f64::from(place) * f64::from(regions.scale));
        let (start, length) = match regions.half {
            true => (start - 0.5, end - start),
            // Of one cell at least.
            false => (start, (end - start).max(1.0)),
        };
        // A number that is none, or negative, becomes 0.
        let natural = (length / parts as f64).ceil() as usize;
        Self { start, length, parts, samples: if regions.samples > 0 { regions.samples } else { natural } }
    }

    /// The samples of each part.
    fn taps(self, extent: usize) -> Vec<Vec<Taps>> {
        let place = |part: usize, sample: usize| {
            let within = (sample as f64 + 0.5) / self.samples as f64;
            self.start + (part as f64 + within) * self.length / self.parts as f64
        };
        let of = |part: usize| (0..self.samples).map(|sample| taps(place(part, sample), extent)).collect();
        (0..self.parts).map(of).collect()
    }
}

fn roi_align(call: &Call<'_>) -> Result<Vec<Array>> {
    let (x, regions, images) = (call.input(0)?, call.input(1)?, call.ints(2)?);
    let settings = Regions::of(call.node)?;
    let [_, channels, height, width] = Regions::image(call.node, x.shape(), regions.shape(), &images)?;
    if x.element_type() == ElementType::F64 || regions.element_type() == ElementType::F64 {
        return call.refuse(x);
    }
    let floats = |array: &Array| array.to_f32().ok_or_else(|| call.node.wrong(format_args!("{array} is no float")));
    let (cells, corners) = (floats(x)?, floats(regions)?);
    let [rows, columns] = settings.parts;
    let sides: Vec<[Side; 2]> = corners
        .chunks_exact(4)
        .map(|corner| {
            [Side::of(&settings, [corner[1], corner[3]], rows), Side::of(&settings, [corner[0], corner[2]], columns)]
        })
        .collect();
    let results = call.limit(&[images.len(), channels, rows, columns])?;
    let samples = |[down, across]: &[Side; 2]| {
        [channels, rows, columns, down.samples, across.samples]
            .iter()
            .fold(1_usize, |all, &extent| all.saturating_mul(extent.max(1)))
    };
    affordable(call, &[sides.iter().map(samples).fold(0, usize::saturating_add)])?;
    let mut y = Vec::with_capacity(results);
    for (&[down, across], &image) in sides.iter().zip(&images) {
        let (down, across) = (down.taps(height), across.taps(width));
        for channel in 0..channels {
            let plane = &cells[(image as usize * channels + channel) * height * width..][..height * width];
            for row in &down {
                y.extend(across.iter().map(|column| part(&settings, plane, width, row, column) as f32));
            }
        }
    }
    let y = Array::new(&[images.len(), channels, rows, columns], y)?;
    Ok(vec![y.cast(x.element_type()).unwrap_or(y)])
}

/// The mean of a part's samples, or, as the operator has it, the largest of the weighted cells that they are made of.
fn part(settings: &Regions, plane: &[f32], width: usize, rows: &[Taps], columns: &[Taps]) -> f64 {
    let mut largest: Option<f64> = None;
    let mut sum = 0.0;
    for (row, column) in rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column))) {
        let mut weighted = [0.0; 4];
        if let (Some(row), Some(column)) = (row, column) {
            for (at, value) in weighted.iter_mut().enumerate() {
                let ((row, down), (column, across)) = (row[at / 2], column[at % 2]);
                *value = down * across * f64::from(plane[row * width + column]);
            }
        }
        sum += weighted.iter().sum::<f64>();
        let most = weighted.into_iter().fold(f64::NEG_INFINITY, f64::max);
        largest = Some(largest.map_or(most, |largest| largest.max(most)));
    }
    match settings.maximum {
        true => largest.unwrap_or(0.0),
        false => sum / (rows.len() * columns.len()).max(1) as f64,
    }
}
