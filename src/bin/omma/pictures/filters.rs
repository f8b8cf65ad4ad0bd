//! The kernels of a convolution, weight by weight: orange below zero, white at zero, blue above.

use std::path::Path;

use ndarray::{ArrayView4, s};
use omma::Result;

use super::canvas::{Area, Canvas, MARGIN, TOP};
use super::palette::{MUTED, diverging, readable_on};
use super::text::Style;
use super::{counted, signed};

const WIDTH: f32 = 1600.0;
const LARGEST_GAP: f32 = 56.0;
/// Below a tile, for its caption.
const CAPTION: f32 = 52.0;
/// More tiles than this cannot be read on one page.
const MOST: usize = 96;
/// From this size on a cell has room for its number.
const CELL_WITH_NUMBER: f32 = 56.0;

/// Draws the kernels of `weights` (`[O, I, KH, KW]`) of the layer `name` into the PNG at `path`.
pub(crate) fn filters(path: &Path, weights: ArrayView4<f32>, name: &str) -> Result<()> {
    let (outputs, inputs, rows, columns) = weights.dim();
    let all = outputs * inputs;
    let shown = all.min(MOST);
    let peak = weights.iter().filter(|w| w.is_finite()).fold(0f32, |peak, w| peak.max(w.abs()));
    let scale = if peak > 0.0 { peak } else { 1.0 };

    let mut subtitle = format!("{name}: {} of {rows} \u{d7} {columns} weights", counted(all, "kernel"));
    if shown < all {
        subtitle += &format!(", the first {shown} shown");
    }
    let across = tiles_across(shown, inputs);
    let down = shown.div_ceil(across);
    let gap = (LARGEST_GAP * 6.0 / across as f32).min(LARGEST_GAP);
    let room = (WIDTH - 2.0 * MARGIN - gap * (across - 1) as f32) / across as f32;
    // One or two kernels need not fill the page.
    let longest = rows.max(columns).max(1) as f32;
    let cell = (room.min(460.0) / longest).floor().max(1.0);
    let (width, height) = (cell * columns as f32, cell * rows as f32);
    let step = (width + gap, height + CAPTION + gap * 0.6);
    let page = TOP + step.1 * down as f32 + 40.0 + MARGIN;
    let mut canvas = Canvas::new(WIDTH, page, "What the first layer looks for", &subtitle)?;

    // Tiles that nearly fill the page's width are spread to its margins; a few small ones stand in its middle.
    let spare = WIDTH - 2.0 * MARGIN - (step.0 * across as f32 - gap);
    let spread = across > 1 && spare < 160.0;
    let step = if spread { (step.0 + spare / (across - 1) as f32, step.1) } else { step };
    let left = if spread { MARGIN } else { MARGIN + (spare / 2.0).max(0.0).round() };
    for tile in 0..shown {
        let (output, input) = (tile / inputs, tile % inputs);
        let kernel = weights.slice(s![output, input, .., ..]);
        let x = (left + step.0 * (tile % across) as f32).round();
        let y = TOP + step.1 * (tile / across) as f32;
        let area = Area::new(x, y, width, height);
        canvas.cells(area, (rows, columns), |r, c| diverging(kernel[(r, c)] / scale));
        canvas.frame(area);
        if cell >= CELL_WITH_NUMBER {
            for ((r, c), &weight) in kernel.indexed_iter() {
                let style =
                    Style::regular((cell * 0.25).min(34.0)).color(readable_on(diverging(weight / scale))).centered();
                let (x, y) = (x + cell * (c as f32 + 0.5), y + cell * (r as f32 + 0.5));
                canvas.text_within(x, y, style, &signed(weight, 2), cell - 6.0);
            }
        }
        let caption =
            if inputs == 1 { format!("filter {}", output + 1) } else { format!("{} \u{b7} {}", output + 1, input + 1) };
        let style = Style::regular(22.0).color(MUTED).centered();
        canvas.text_within(x + width / 2.0, y + height + 28.0, style, &caption, step.0 - 12.0);
    }
    let ends = [signed(-scale, 2), signed(scale, 2)];
    canvas.color_bar((WIDTH - MARGIN, page - MARGIN), 360.0, [&ends[0], &ends[1]], |t| diverging(2.0 * t - 1.0));
    let mut key = "weight: orange below zero, blue above".to_string();
    if inputs > 1 {
        key += "; caption: filter \u{b7} input channel";
    }
    canvas.text_mid(MARGIN, page - MARGIN, Style::regular(22.0).color(MUTED), &key);
    canvas.save(path)
}

/// Columns for `count` tiles: between square and twice as wide as high, best a multiple of `group`, and then with the
/// fewest places left over.
fn tiles_across(count: usize, group: usize) -> usize {
    let count = count.max(1);
    let root = (count as f32).sqrt();
    let candidates = root.ceil() as usize..=((2.0 * count as f32).sqrt().ceil() as usize).min(count);
    candidates
        .rev()
        .min_by_key(|&across| (across % group.max(1) != 0, count.div_ceil(across) * across - count))
        .unwrap_or(1)
}
