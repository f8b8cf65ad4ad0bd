//! One digit on its way through a network: a row for each layer, and the probabilities at the end.

use std::path::Path;

use ndarray::{ArrayView2, Axis};
use omma::Result;

use super::canvas::{Area, Canvas, MARGIN, TOP};
use super::palette::{BLUE, FRAME, GRID, INK, MUTED, PAPER, diverging, ink, mix};
use super::text::Style;
use super::{Stage, grouped, percent};

const WIDTH: f32 = 1600.0;
/// The column of names, with the line that joins them.
const NAMES: f32 = 240.0;
/// Between two rows.
const ROW_GAP: f32 = 56.0;
const TILE_GAP: f32 = 14.0;
const LARGEST_TILE: f32 = 170.0;
const SMALLEST_TILE: f32 = 84.0;
/// Rows of tiles, or of dense cells, that one stage may take.
const MOST_LINES: usize = 4;
/// A dense layer's cells.
const DENSE_CELL: f32 = 34.0;
const BARS: f32 = 240.0;
/// Classes that have room for a bar with its label.
const MOST_BARS: usize = 12;

/// Where the tiles of a stage go.
struct Tiling {
    across: usize,
    shown: usize,
    /// Width and height of a tile.
    tile: (f32, f32),
    gap: f32,
}

impl Tiling {
    fn of(stage: &Stage) -> Self {
        let (channels, height, width) = stage.maps.dim();
        let room = WIDTH - 2.0 * MARGIN - NAMES;
        if height * width <= 1 {
            let across = ((room / DENSE_CELL) as usize).min(channels.max(1));
            // Even lines look better than a full one and a rest.
            let across = channels.max(1).div_ceil(channels.max(1).div_ceil(across));
            let shown = channels.min(across * MOST_LINES);
            return Self { across, shown, tile: (DENSE_CELL - 4.0, DENSE_CELL - 4.0), gap: 4.0 };
        }
        let most = ((room + TILE_GAP) / (SMALLEST_TILE + TILE_GAP)) as usize;
        let lines = channels.max(1).div_ceil(most);
        let across = channels.max(1).div_ceil(lines);
        let side = ((room + TILE_GAP) / across as f32 - TILE_GAP).min(LARGEST_TILE);
        // A whole number of pixels to a cell where there are enough, so that all cells are alike.
        let longest = height.max(width) as f32;
        let scale = if side >= longest { (side / longest).floor() } else { side / longest };
        let tile = ((scale * width as f32).max(1.0), (scale * height as f32).max(1.0));
        Self { across, shown: channels.min(across * MOST_LINES), tile, gap: TILE_GAP }
    }

    fn height(&self) -> f32 {
        self.shown.div_ceil(self.across) as f32 * (self.tile.1 + self.gap) - self.gap
    }

    fn place(&self, index: usize, (x, y): (f32, f32)) -> Area {
        let (column, line) = ((index % self.across) as f32, (index / self.across) as f32);
        let (width, height) = self.tile;
        Area::new((x + column * (width + self.gap)).round(), (y + line * (height + self.gap)).round(), width, height)
    }
}

/// Draws `digit` and what each stage makes of it, and the class probabilities at the end, into the PNG at `path`.
pub(crate) fn feature_maps(
    path: &Path,
    digit: ArrayView2<u8>,
    stages: &[Stage],
    probabilities: &[(String, f32)],
) -> Result<()> {
    let best = probabilities.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let subtitle = match best {
        Some((name, share)) => format!("Read as {name} with a probability of {}", percent(f64::from(*share), 1)),
        None => String::new(),
    };
    let tilings: Vec<Tiling> = stages.iter().map(Tiling::of).collect();
    let rows: f32 = tilings.iter().map(|t| t.height().max(64.0) + ROW_GAP).sum();
    let side = (LARGEST_TILE / digit.nrows().max(1) as f32).min(2.0 * LARGEST_TILE / digit.ncols().max(1) as f32);
    // A whole number of pixels to a cell, unless the picture is larger than its place.
    let side = if side > 1.0 { side.floor() } else { side };
    let size = ((side * digit.ncols() as f32).max(1.0), (side * digit.nrows() as f32).max(1.0));
    let first_row = size.1.max(64.0);
    let height = TOP + first_row + ROW_GAP + rows + BARS + 96.0 + MARGIN;
    let mut canvas = Canvas::new(WIDTH, height, "One digit through the network", &subtitle)?;

    // The line that joins the rows' names comes first: the names' dots lie on it.
    let spine = MARGIN + 8.0;
    let last = height - MARGIN - 96.0 - BARS / 2.0;
    canvas.line(&[(spine, TOP + first_row / 2.0), (spine, last)], 2.0, FRAME);

    let left = MARGIN + NAMES;
    let mut y = TOP;
    let area = Area::new(left, y + ((first_row - size.1) / 2.0).round(), size.0, size.1);
    if !digit.is_empty() {
        canvas.cells(area, digit.dim(), |r, c| ink(digit[(r, c)]));
        canvas.frame(area);
    }
    name(&mut canvas, y + first_row / 2.0, "input", &format!("{} \u{d7} {}", digit.nrows(), digit.ncols()));
    y += first_row + ROW_GAP;

    for (stage, tiling) in stages.iter().zip(&tilings) {
        let row = tiling.height().max(64.0);
        draw_stage(&mut canvas, stage, tiling, (left, y + (row - tiling.height()) / 2.0));
        let (channels, height, width) = stage.maps.dim();
        let mut shape = match height * width {
            1 => grouped(channels),
            _ => format!("{channels} \u{d7} {height} \u{d7} {width}"),
        };
        if tiling.shown < channels {
            shape += &format!(", first {}", tiling.shown);
        }
        name(&mut canvas, y + row / 2.0, &stage.name, &shape);
        y += row + ROW_GAP;
    }
    let likeliest = format!("the {MOST_BARS} likeliest");
    let detail = if probabilities.len() > MOST_BARS { likeliest.as_str() } else { "probability" };
    name(&mut canvas, y + BARS / 2.0, "softmax", detail);
    bars(&mut canvas, Area::new(left, y, WIDTH - MARGIN - left, BARS), probabilities);

    let foot = height - MARGIN + 8.0;
    canvas.text_mid(left, foot, Style::regular(22.0).color(MUTED), "activation, each row to its own scale");
    canvas.color_bar((WIDTH - MARGIN, foot), 300.0, ["below zero", "above zero"], |t| diverging(2.0 * t - 1.0));
    canvas.save(path)
}

/// A row's name and shape, with its dot on the spine.
fn name(canvas: &mut Canvas, y: f32, name: &str, shape: &str) {
    canvas.disc((MARGIN + 8.0, y), 11.0, PAPER);
    canvas.disc((MARGIN + 8.0, y), 8.0, BLUE);
    canvas.text_within(MARGIN + 36.0, y - 15.0, Style::bold(26.0), name, NAMES - 56.0);
    canvas.text_within(MARGIN + 36.0, y + 17.0, Style::regular(22.0).color(MUTED), shape, NAMES - 56.0);
}

/// The maps of a stage, all on one scale.
fn draw_stage(canvas: &mut Canvas, stage: &Stage, tiling: &Tiling, corner: (f32, f32)) {
    let peak = stage.maps.iter().filter(|v| v.is_finite()).fold(0f32, |peak, v| peak.max(v.abs()));
    let scale = if peak > 0.0 { peak } else { 1.0 };
    for (index, map) in stage.maps.axis_iter(Axis(0)).take(tiling.shown).enumerate() {
        if map.is_empty() {
            continue;
        }
        let area = tiling.place(index, corner);
        canvas.cells(area, map.dim(), |r, c| diverging(map[(r, c)] / scale));
        canvas.frame(area);
    }
}

/// The probabilities as columns; of many classes the likeliest.
fn bars(canvas: &mut Canvas, area: Area, probabilities: &[(String, f32)]) {
    let mut shown: Vec<&(String, f32)> = probabilities.iter().collect();
    if shown.len() > MOST_BARS {
        shown.sort_by(|a, b| b.1.total_cmp(&a.1));
        shown.truncate(MOST_BARS);
    }
    let step = area.width / shown.len().max(1) as f32;
    let width = (step * 0.62).min(90.0).round();
    let best = shown.iter().map(|(_, share)| *share).fold(0.0, f32::max);
    // The uppermost part is for the percentages.
    let (top, base) = (area.y + 40.0, area.bottom());
    for (index, (label, share)) in shown.into_iter().enumerate() {
        let middle = area.x + step * (index as f32 + 0.5);
        let (left, share) =
            ((middle - width / 2.0).round(), if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 });
        let is_best = share == best && best > 0.0;
        let color = if is_best { BLUE } else { mix(BLUE, PAPER, 0.5) };
        canvas.rect(Area::new(left, top, width, base - top), GRID);
        canvas.rect(Area::new(left, base - (base - top) * share, width, (base - top) * share), color);
        let (value, tag) = match is_best {
            true => (Style::bold(24.0).color(BLUE), Style::bold(28.0)),
            false => (Style::regular(22.0).color(MUTED), Style::regular(28.0).color(INK)),
        };
        let text = if share > 0.0 && share < 0.001 { "< 0.1\u{a0}%".to_string() } else { percent(share.into(), 1) };
        canvas.text_within(middle, area.y + 16.0, value.centered(), &text, step - 10.0);
        canvas.text_within(middle, base + 34.0, tag.centered(), label, step - 10.0);
    }
    canvas.rect(Area::new(area.x, base, area.width, 2.0), FRAME);
}
