//! Which class is taken for which: counts by truth and guess, recall and precision at the margins.

use std::path::Path;

use omma::Result;

use super::canvas::{Area, Canvas, MARGIN, TOP};
use super::palette::{BLUE, EMPTY, GRID, INK, MUTED, blues, oranges, readable_on};
use super::text::{Fonts, Style};
use super::{grouped, percent};

/// Width of the grid of cells; a cell is a whole number of pixels within it.
const GRID_WIDTH: f32 = 1090.0;
const LARGEST_CELL: f32 = 120.0;
/// Smaller cells have no names beside them.
const SMALLEST_NAMED: f32 = 12.0;
/// Between a row's cells and its recall.
const GAP: f32 = 28.0;
/// The recall column: a bar and its percentage.
const RECALL: f32 = 210.0;

/// The counts with their sums.
struct Counts<'a> {
    matrix: &'a [Vec<u32>],
    classes: usize,
}

impl Counts<'_> {
    fn at(&self, truth: usize, guess: usize) -> u32 {
        self.matrix.get(truth).and_then(|row| row.get(guess)).copied().unwrap_or(0)
    }

    fn sum(&self, cells: impl Fn(usize) -> (usize, usize)) -> u64 {
        (0..self.classes).map(cells).map(|(truth, guess)| u64::from(self.at(truth, guess))).sum()
    }

    /// The right ones' share of a class's pictures; none where it has no pictures.
    fn recall(&self, truth: usize) -> Option<f64> {
        let all = self.sum(|guess| (truth, guess));
        (all > 0).then(|| f64::from(self.at(truth, truth)) / all as f64)
    }

    /// The right ones' share of a class's guesses; none where it was never guessed.
    fn precision(&self, guess: usize) -> Option<f64> {
        let all = self.sum(|truth| (truth, guess));
        (all > 0).then(|| f64::from(self.at(guess, guess)) / all as f64)
    }

    /// The largest count on the diagonal, and off it.
    fn peaks(&self) -> (u32, u32) {
        let cells = (0..self.classes).flat_map(|t| (0..self.classes).map(move |g| (t, g)));
        cells.fold((0, 0), |(right, wrong), (truth, guess)| {
            let count = self.at(truth, guess);
            if truth == guess { (right.max(count), wrong) } else { (right, wrong.max(count)) }
        })
    }
}

/// How dark a count is: by its logarithm, so that one mistake is seen beside a hundred.
fn shade(count: u32, peak: u32) -> f32 {
    0.16 + 0.68 * f64::from(count).ln_1p() as f32 / f64::from(peak.max(1)).ln_1p() as f32
}

/// Draws the confusion `matrix` (truth x guess) of the classes named by `labels` into the PNG at `path`.
pub(crate) fn confusion(path: &Path, matrix: &[Vec<u32>], labels: &[String]) -> Result<()> {
    let counts = Counts { matrix, classes: labels.len().max(matrix.len()) };
    let classes = counts.classes;
    let total: u64 = (0..classes).map(|truth| counts.sum(|guess| (truth, guess))).sum();
    let right = counts.sum(|i| (i, i));
    let subtitle = if total == 0 {
        "No picture was tested.".to_string()
    } else {
        let (right_text, total_text) = (grouped(right as usize), grouped(total as usize));
        let share = percent(right as f64 / total as f64, 2);
        format!(
            "{share} right: {right_text} of {total_text} test pictures, {} misread",
            grouped((total - right) as usize)
        )
    };

    let cell = (GRID_WIDTH / classes.max(1) as f32).floor().clamp(1.0, LARGEST_CELL);
    let label = Style::bold((cell * 0.62).clamp(9.0, 26.0));
    let side = cell * classes as f32;
    // Names of classes may take a fifth of the page; longer ones are shortened.
    let fonts = Fonts::new()?;
    let names: Vec<String> = (0..classes).map(|i| labels.get(i).cloned().unwrap_or_else(|| i.to_string())).collect();
    let names_width = names.iter().map(|n| fonts.width(n, label)).fold(100.0, f32::max).min(300.0) + 20.0;

    let grid = Area::new(MARGIN + names_width, TOP + 96.0, side, side);
    let width = (grid.right() + GAP + RECALL + MARGIN).max(1280.0);
    let mut canvas = Canvas::new(width, grid.bottom() + 150.0 + MARGIN, "Confusion matrix", &subtitle)?;

    if classes == 0 {
        return canvas.save(path);
    }
    let caption = Style::regular(22.0).color(MUTED);
    canvas.text(grid.x, grid.y - 62.0, caption, "read as →");
    canvas.text_mid(grid.x - 20.0, grid.y - 24.0, caption.right(), "is ↓");
    canvas.text_mid(grid.right() + GAP, grid.y - 24.0, caption, "recall");

    let (right_peak, wrong_peak) = counts.peaks();
    // One size for all columns' names: the one of the longest.
    let column_size = names.iter().map(|n| canvas.fonts.fit(n, label, cell - 4.0).1.size).fold(label.size, f32::min);
    let column_label = Style { size: column_size, ..label }.centered();
    let gap = match cell {
        40.0.. => 3.0,
        6.0.. => 1.0,
        _ => 0.0,
    };
    for (truth, name) in names.iter().enumerate() {
        let y = grid.y + cell * truth as f32;
        let across = grid.x + cell * truth as f32 + (cell - gap) / 2.0;
        let middle = y + (cell - gap) / 2.0;
        if cell >= SMALLEST_NAMED {
            canvas.text_within(grid.x - 20.0, middle, label.right(), name, names_width - 20.0);
            canvas.text_within(across, grid.y - 24.0, column_label, name, cell - 4.0);
        }
        for guess in 0..classes {
            let count = counts.at(truth, guess);
            let color = match count {
                0 => EMPTY,
                _ if truth == guess => blues(shade(count, right_peak)),
                _ => oranges(shade(count, wrong_peak)),
            };
            let area = Area::new(grid.x + cell * guess as f32, y, cell - gap, cell - gap);
            canvas.rect(area, color);
            if count > 0 && cell >= 20.0 {
                let size = (cell * 0.28).max(11.0);
                let style = if truth == guess { Style::bold(size) } else { Style::regular(size) };
                let style = style.color(readable_on(color)).centered();
                let (x, y) = (area.x + area.width / 2.0, area.y + area.height / 2.0);
                canvas.text_within(x, y, style, &count.to_string(), cell * 0.9);
            }
        }
        margin_row(&mut canvas, (grid.right() + GAP, middle), cell, counts.recall(truth));
        margin_column(&mut canvas, (across, grid.bottom()), (cell, cell - gap), counts.precision(truth));
    }
    if cell >= 60.0 {
        canvas.text_mid(grid.x - 20.0, grid.bottom() + 46.0, caption.right(), "precision");
    } else {
        canvas.text_mid(grid.x, grid.bottom() + 46.0, caption, "precision above, by column");
    }
    legend(&mut canvas, width - MARGIN, grid.bottom() + 132.0);
    canvas.save(path)
}

/// A row's recall: a bar on a track and the percentage.
fn margin_row(canvas: &mut Canvas, (x, y): (f32, f32), cell: f32, share: Option<f64>) {
    let height = (cell * 0.22).clamp(3.0, 14.0);
    let track = Area::new(x, y - height / 2.0, 90.0, height);
    canvas.rect(track, GRID);
    canvas.rect(Area { width: track.width * share.unwrap_or(0.0) as f32, ..track }, BLUE);
    if cell >= 14.0 {
        let text = share.map_or("–".to_string(), |share| percent(share, 1));
        canvas.text_mid(x + RECALL, y, Style::regular((cell * 0.7).min(26.0)).color(INK).right(), &text);
    }
}

/// A column's precision: the same, below the cells of its column.
fn margin_column(canvas: &mut Canvas, (x, y): (f32, f32), (cell, width): (f32, f32), share: Option<f64>) {
    let track = Area::new(x - width / 2.0, y + 12.0, width, if cell >= 40.0 { 10.0 } else { 6.0 });
    canvas.rect(track, GRID);
    canvas.rect(Area { width: track.width * share.unwrap_or(0.0) as f32, ..track }, BLUE);
    if cell >= 60.0 {
        let text = share.map_or("–".to_string(), |share| percent(share, 1));
        canvas.text_within(x, y + 46.0, Style::regular(26.0).color(INK).centered(), &text, cell - 8.0);
    }
}

/// What the two colours mean.
fn legend(canvas: &mut Canvas, right: f32, y: f32) {
    let style = Style::regular(22.0).color(MUTED);
    let text = "misread";
    canvas.color_bar((right, y), 140.0, ["", text], |t| oranges(0.16 + 0.68 * t));
    let next = right - canvas.text_width(style, text) - 12.0 - 140.0 - 40.0;
    canvas.color_bar((next, y), 140.0, ["", "right"], |t| blues(0.16 + 0.68 * t));
    let next = next - canvas.text_width(style, "right") - 12.0 - 140.0 - 28.0;
    canvas.text_mid(next, y, style.right(), "few to many pictures, by logarithm:");
}
