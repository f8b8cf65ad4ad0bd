//! What the examples draw with: labelled pictures side by side, and curves in panels, on the page that the command draws on.
#![allow(dead_code, reason = "every example takes what it needs")]

use std::error::Error;
use std::path::Path;

use image::{Rgb, RgbImage};
use page::axis::{Axis, bounds, number};
use page::canvas::{Area, Canvas, MARGIN, TOP};
use page::palette::{FRAME, GRID, MUTED};
use page::text::Style;

#[path = "../../src/bin/omma/pictures"]
mod page {
    pub(crate) mod axis;
    pub(crate) mod canvas;
    pub(crate) mod palette;
    pub(crate) mod text;
}

/// Colours that are told apart easily, also by the colour-blind (Wong 2011, "Points of view: Color blindness"), those first
/// that are seen well on white, and grey where that palette has a yellow that is not.
pub(crate) const COLORS: [[u8; 3]; 8] = [
    [0, 0, 0],
    [213, 94, 0],
    [0, 114, 178],
    [0, 158, 115],
    [230, 159, 0],
    [204, 121, 167],
    [86, 180, 233],
    [130, 130, 130],
];

/// A picture of the given height and width; `pixel` gives red, green and blue in 0..=1.
pub(crate) fn picture([height, width]: [usize; 2], pixel: impl Fn(usize, usize) -> [f32; 3]) -> RgbImage {
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        Rgb(pixel(y as usize, x as usize).map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8))
    })
}

/// Lays pictures out in rows of so many, each enlarged `scale` times and with its name above, and writes them as one.
pub(crate) fn write(
    path: &Path,
    [title, subtitle]: [&str; 2],
    pictures: &[(String, RgbImage)],
    [columns, scale]: [usize; 2],
) -> Result<(), Box<dyn Error>> {
    const GAP: f32 = 24.0;
    const NAME: f32 = 36.0;
    let side = |of: fn(&RgbImage) -> u32| {
        pictures.iter().map(|(_, picture)| of(picture)).max().unwrap_or(1) as f32 * scale as f32
    };
    let (width, height) = (side(RgbImage::width), side(RgbImage::height));
    let rows = pictures.len().div_ceil(columns) as f32;
    let page = [columns as f32 * (width + GAP) - GAP, rows * (height + NAME + GAP) - GAP];
    let mut canvas = Canvas::new(page[0] + 2.0 * MARGIN, TOP + page[1] + MARGIN, title, subtitle)?;
    for (number, (name, picture)) in pictures.iter().enumerate() {
        let (row, column) = ((number / columns) as f32, (number % columns) as f32);
        let (x, y) = (MARGIN + column * (width + GAP), TOP + row * (height + NAME + GAP));
        canvas.text_within(x, y + 14.0, Style::regular(24.0), name, width);
        let area =
            Area::new(x, y + NAME, picture.width() as f32 * scale as f32, picture.height() as f32 * scale as f32);
        let sides = (picture.height() as usize, picture.width() as usize);
        canvas.cells(area, sides, |y, x| picture.get_pixel(x as u32, y as u32).0);
    }
    save(&canvas, path)
}

/// Curves over one another, each with its name; no more than there are [`COLORS`].
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) curves: Vec<(String, Vec<f32>)>,
}

/// Draws panels in pairs side by side: steps from 0 across, and positive values up, in logarithms. The two of a pair have
/// the same axes. The names stand in the order in which the curves end.
pub(crate) fn curves(
    path: &Path,
    [title, subtitle]: [&str; 2],
    panels: &[Panel],
    value: &str,
) -> Result<(), Box<dyn Error>> {
    const PLOT: [f32; 2] = [860.0, 460.0];
    const LEGEND: f32 = 360.0;
    const TICKS: f32 = 90.0;
    const PLACE: [f32; 2] = [TICKS + PLOT[0] + LEGEND, PLOT[1] + 190.0];
    let longest = panels.iter().flat_map(|panel| &panel.curves).map(|(_, curve)| curve.len()).max().unwrap_or(0);
    let steps = longest.saturating_sub(1).max(1);
    let axis = |pair: &[Panel]| {
        let values = pair.iter().flat_map(|panel| &panel.curves).flat_map(|(_, curve)| curve);
        let (least, most) =
            bounds(values.filter(|&&value| value > 0.0).map(|&value| value.into())).unwrap_or((0.1, 1.0));
        Axis::logarithmic(least, most)
    };
    let axes: Vec<Axis> = panels.chunks(2).map(axis).collect();

    let rows = panels.len().div_ceil(2) as f32;
    let mut canvas = Canvas::new(2.0 * PLACE[0] + 3.0 * MARGIN, TOP + rows * PLACE[1] + MARGIN / 2.0, title, subtitle)?;
    let small = Style::regular(24.0).color(MUTED);
    for (at, Panel { title, curves }) in panels.iter().enumerate() {
        let axis = &axes[at / 2];
        let left = MARGIN + TICKS + (at % 2) as f32 * (PLACE[0] + MARGIN);
        let plot = Area::new(left, TOP + (at / 2) as f32 * PLACE[1] + 30.0, PLOT[0], PLOT[1]);
        canvas.text(plot.x, plot.y - 24.0, Style::bold(30.0), title);
        canvas.text(plot.x - 20.0, plot.y - 24.0, small.right(), value);
        for &tick in &axis.ticks {
            let y = (plot.bottom() - axis.place(tick) * plot.height).round();
            canvas.rect(Area::new(plot.x, y - 1.0, plot.width, 2.0), GRID);
            canvas.text_mid(plot.x - 20.0, y, small.right(), &number(tick));
        }
        canvas.rect(Area::new(plot.x, plot.bottom() - 1.0, plot.width, 2.0), FRAME);
        for tick in (0..=steps).step_by(steps.div_ceil(5)) {
            let x = plot.x + tick as f32 / steps as f32 * plot.width;
            canvas.rect(Area::new(x.round() - 1.0, plot.bottom(), 2.0, 10.0), FRAME);
            canvas.text(x, plot.bottom() + 40.0, small.centered(), &tick.to_string());
        }
        canvas.text(plot.x + plot.width / 2.0, plot.bottom() + 76.0, small.centered(), "steps");

        // The first is seen best, so it is drawn last.
        for ((_, curve), color) in curves.iter().zip(COLORS).rev() {
            let place = |(step, &value): (usize, &f32)| {
                let (x, y) = (step as f32 / steps as f32, axis.place(value.into()));
                value.is_finite().then_some((plot.x + x * plot.width, plot.bottom() - y * plot.height))
            };
            let points: Vec<Option<(f32, f32)>> = curve.iter().enumerate().map(place).collect();
            // What is no number leaves a gap.
            for run in points.split(Option::is_none) {
                let run: Vec<(f32, f32)> = run.iter().flatten().copied().collect();
                canvas.line(&run, 4.0, color);
                if let Some(&end) = run.last() {
                    canvas.disc(end, 6.0, color);
                }
            }
        }
        let end = |curve: &[f32]| curve.last().copied().unwrap_or(f32::NAN);
        let mut legend: Vec<_> =
            curves.iter().zip(COLORS).map(|((name, curve), color)| (name, end(curve), color)).collect();
        legend.sort_by(|(_, a, _), (_, b, _)| b.total_cmp(a));
        for (place, (name, end, color)) in legend.into_iter().enumerate() {
            let (x, y) = (plot.right() + 32.0, plot.y + 20.0 + 44.0 * place as f32);
            canvas.line(&[(x, y), (x + 36.0, y)], 6.0, color);
            canvas.text_within(x + 52.0, y, Style::regular(24.0), name, LEGEND - 170.0);
            canvas.text_mid(plot.right() + LEGEND, y, small.right(), &format!("{end:.3}"));
        }
    }
    save(&canvas, path)
}

fn save(canvas: &Canvas, path: &Path) -> Result<(), Box<dyn Error>> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    canvas.save(path)?;
    println!("{}", path.display());
    Ok(())
}
