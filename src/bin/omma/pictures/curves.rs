//! Loss and accuracy by epoch, one panel each, training and test together.

use std::path::Path;

use omma::Result;

use super::axis::{Axis, bounds, number};
use super::canvas::{Area, Canvas, MARGIN, TOP};
use super::palette::{BLUE, Color, FRAME, GRID, INK, MUTED, ORANGE, PAPER};
use super::text::Style;
use super::{EpochRow, counted, percent};

const WIDTH: f32 = 1600.0;
const HEIGHT: f32 = 980.0;
/// Between the two panels.
const GUTTER: f32 = 72.0;
/// Left of a plot, for its tick labels.
const TICKS: f32 = 84.0;
const TRAIN: (&str, Color) = ("training", ORANGE);
const TEST: (&str, Color) = ("test", BLUE);
/// A loss that spans more than this factor is drawn on a logarithmic axis: its tail would be flat on a linear one.
const LOG_FROM: f64 = 8.0;

/// One panel: a plot area with its axes.
struct Panel {
    plot: Area,
    epochs: (f64, f64),
    axis: Axis,
}

impl Panel {
    fn place(&self, epoch: usize, value: f64) -> (f32, f32) {
        let (first, last) = self.epochs;
        // A single epoch stands in the middle.
        let across = if last > first { ((epoch as f64 - first) / (last - first)) as f32 } else { 0.5 };
        (self.plot.x + across * self.plot.width, self.plot.bottom() - self.axis.place(value) * self.plot.height)
    }

    fn draw(&self, canvas: &mut Canvas, title: &str, note: &str, label: impl Fn(f64) -> String) {
        let plot = self.plot;
        let left = plot.x - TICKS;
        let heading = Style::bold(30.0);
        canvas.text(left, plot.y - 40.0, heading, title);
        let after = left + canvas.text_width(heading, title) + 14.0;
        canvas.text(after, plot.y - 40.0, Style::regular(22.0).color(MUTED), note);
        self.legend(canvas);
        let small = Style::regular(22.0).color(MUTED);
        for &tick in &self.axis.ticks {
            let y = (plot.bottom() - self.axis.place(tick) * plot.height).round();
            canvas.rect(Area::new(plot.x, y - 1.0, plot.width, 2.0), GRID);
            canvas.text_mid(plot.x - 16.0, y, small.right(), &label(tick));
        }
        let (first, last) = self.epochs;
        let step = Axis::linear(first, last, 8.0).ticks.windows(2).map(|w| w[1] - w[0]).next().unwrap_or(1.0).max(1.0);
        // The first epoch, and round numbers after it as far as their labels stay apart.
        let clear =
            |epoch: usize| self.place(epoch, self.axis.low).0 - self.place(first as usize, self.axis.low).0 > 44.0;
        let round = |&epoch: &usize| epoch == first as usize || (epoch as f64 % step == 0.0 && clear(epoch));
        for epoch in (first as usize..=last as usize).filter(round) {
            let (x, _) = self.place(epoch, self.axis.low);
            canvas.rect(Area::new(x.round() - 1.0, plot.bottom(), 2.0, 10.0), FRAME);
            canvas.text(x, plot.bottom() + 38.0, small.centered(), &epoch.to_string());
        }
        canvas.rect(Area::new(plot.x, plot.bottom() - 1.0, plot.width, 2.0), FRAME);
        canvas.text(plot.x + plot.width / 2.0, plot.bottom() + 76.0, small.centered(), "epoch");
    }

    fn legend(&self, canvas: &mut Canvas) {
        let style = Style::regular(24.0);
        let mut right = self.plot.right();
        for (name, color) in [TEST, TRAIN] {
            let y = self.plot.y - 49.0;
            canvas.text_mid(right, y, style.right(), name);
            right -= canvas.text_width(style, name) + 14.0;
            canvas.line(&[(right - 34.0, y), (right, y)], 4.0, color);
            canvas.disc((right - 17.0, y), 7.0, color);
            right -= 34.0 + 32.0;
        }
    }

    /// The places of a series' values; one that is no number leaves a gap.
    fn runs(&self, rows: &[EpochRow], value: impl Fn(&EpochRow) -> f64) -> Vec<Vec<(f32, f32)>> {
        let place = |row: &EpochRow| value(row).is_finite().then(|| self.place(row.epoch, value(row)));
        let points: Vec<Option<(f32, f32)>> = rows.iter().map(place).collect();
        points.split(Option::is_none).map(|run| run.iter().flatten().copied().collect()).collect()
    }

    fn series(&self, canvas: &mut Canvas, runs: &[Vec<(f32, f32)>], color: Color) {
        let count: usize = runs.iter().map(Vec::len).sum();
        for run in runs {
            canvas.line(run, 4.0, color);
            // Marks would touch each other in a long run of epochs.
            if count <= 40 || run.len() == 1 {
                run.iter().for_each(|&point| canvas.disc(point, 7.0, color));
            }
        }
    }

    /// Says the best test accuracy in a box that leaves the curves free, joined to its epoch.
    fn callout(&self, canvas: &mut Canvas, row: &EpochRow, curves: &[&[Vec<(f32, f32)>]]) {
        let (x, y) = self.place(row.epoch, row.test_accuracy);
        let (value, epoch) = (percent(row.test_accuracy, 2), format!("best test accuracy, epoch {}", row.epoch));
        let (large, small) = (Style::bold(34.0).color(BLUE), Style::regular(22.0).color(MUTED));
        let width = canvas.text_width(large, &value).max(canvas.text_width(small, &epoch)) + 36.0;
        let area = self.free_place((x, y), (width.ceil(), 110.0), curves);
        let near = (x.clamp(area.x, area.right()), y.clamp(area.y, area.bottom()));
        canvas.line(&[(x, y), near], 2.0, FRAME);
        canvas.rect(area, PAPER);
        canvas.frame(area);
        let middle = area.x + area.width / 2.0;
        canvas.text(middle, area.y + 52.0, large.centered(), &value);
        canvas.text(middle, area.y + 88.0, small.centered(), &epoch);
    }

    /// The place for a box inside the plot that hides least of the curves, near the middle and the point it speaks of.
    fn free_place(&self, point: (f32, f32), (width, height): (f32, f32), curves: &[&[Vec<(f32, f32)>]]) -> Area {
        const CLEARANCE: f32 = 28.0;
        const STEPS: usize = 12;
        let plot = self.plot;
        let between = |a: (f32, f32), b: (f32, f32), t: f32| (a.0 + (b.0 - a.0) * t, a.1 + (b.1 - a.1) * t);
        let runs = || curves.iter().flat_map(|series| series.iter());
        let segments = runs().flat_map(|run| run.windows(2).map(|pair| (pair[0], pair[1])));
        let mut samples: Vec<(f32, f32)> =
            segments.flat_map(|(a, b)| (0..=16).map(move |i| between(a, b, i as f32 / 16.0))).collect();
        samples.extend(runs().flatten());

        let cost = |area: &Area| {
            let (left, right) = (area.x - CLEARANCE, area.right() + CLEARANCE);
            let (top, bottom) = (area.y - CLEARANCE, area.bottom() + CLEARANCE);
            let hidden = samples.iter().filter(|(x, y)| (left..right).contains(x) && (top..bottom).contains(y)).count();
            let away = (area.x + width / 2.0 - point.0).abs() + (area.y + height / 2.0 - point.1).abs() * 0.5;
            // Right above or below its point a box is read most easily; any curve is worse than any distance.
            hidden as f32 * 1e4 + away
        };
        let room = (plot.width - width, plot.height - height - 32.0);
        let places = (0..=STEPS).flat_map(|column| (0..=STEPS).map(move |line| (column, line)));
        let areas = places.map(|(column, line)| {
            let (across, down) = (column as f32 / STEPS as f32, line as f32 / STEPS as f32);
            Area::new((plot.x + room.0 * across).round(), (plot.y + 16.0 + room.1 * down).round(), width, height)
        });
        areas.min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or(Area { width, height, ..plot })
    }

    /// Rings a point.
    fn ring(&self, canvas: &mut Canvas, row: &EpochRow) {
        let point = self.place(row.epoch, row.test_accuracy);
        canvas.disc(point, 13.0, BLUE);
        canvas.disc(point, 9.0, PAPER);
        canvas.disc(point, 5.0, BLUE);
    }
}

/// Draws the learning curves of a run into the PNG at `path`.
pub(crate) fn curves(path: &Path, rows: &[EpochRow]) -> Result<()> {
    let best = rows
        .iter()
        .filter(|row| row.test_accuracy.is_finite())
        .min_by(|a, b| b.test_accuracy.total_cmp(&a.test_accuracy));
    let subtitle = match (rows.last(), best) {
        (Some(last), Some(_)) => format!(
            "{} \u{b7} test accuracy {} and test loss {:.4} at the end",
            counted(rows.len(), "epoch"),
            percent(last.test_accuracy, 2),
            last.test_loss
        ),
        (Some(_), None) => format!("{} \u{b7} no test accuracy", counted(rows.len(), "epoch")),
        (None, _) => "The run ended before its first epoch did.".to_string(),
    };
    let mut canvas = Canvas::new(WIDTH, HEIGHT, "Learning curves", &subtitle)?;

    let width = (WIDTH - 2.0 * MARGIN - GUTTER) / 2.0 - TICKS;
    let plot = Area::new(MARGIN + TICKS, TOP + 74.0, width, HEIGHT - TOP - 74.0 - MARGIN - 76.0);
    let first = rows.iter().map(|r| r.epoch).min().unwrap_or(1) as f64;
    let epochs = (first, rows.iter().map(|r| r.epoch).max().unwrap_or(1) as f64);

    let (least, most) = bounds(rows.iter().flat_map(|row| [row.train_loss, row.test_loss])).unwrap_or((0.0, 1.0));
    let log = least > 0.0 && most > LOG_FROM * least;
    let axis = if log { Axis::logarithmic(least, most) } else { Axis::linear(0f64.min(least), most, 6.0) };
    let loss = Panel { plot, epochs, axis };
    loss.draw(&mut canvas, "Loss", if log { "logarithmic" } else { "" }, number);
    loss.series(&mut canvas, &loss.runs(rows, |row| row.train_loss), TRAIN.1);
    loss.series(&mut canvas, &loss.runs(rows, |row| row.test_loss), TEST.1);

    let shares = rows.iter().flat_map(|row| [row.train_accuracy, row.test_accuracy]);
    let (least, _) = bounds(shares).unwrap_or((0.0, 1.0));
    let plot = Area { x: plot.right() + GUTTER + TICKS, ..plot };
    let accuracy = Panel { plot, epochs, axis: Axis::linear(least.clamp(0.0, 0.999), 1.0, 6.0) };
    accuracy.draw(&mut canvas, "Accuracy", "", |tick| number(tick * 100.0) + "\u{a0}%");
    let train = accuracy.runs(rows, |row| row.train_accuracy);
    let test = accuracy.runs(rows, |row| row.test_accuracy);
    if let Some(row) = best {
        accuracy.callout(&mut canvas, row, &[&train, &test]);
    }
    accuracy.series(&mut canvas, &train, TRAIN.1);
    accuracy.series(&mut canvas, &test, TEST.1);
    if let Some(row) = best {
        accuracy.ring(&mut canvas, row);
    }
    if rows.is_empty() {
        for panel in [&loss, &accuracy] {
            let (x, y) = (panel.plot.x + panel.plot.width / 2.0, panel.plot.y + panel.plot.height / 2.0);
            canvas.text_mid(x, y, Style::regular(26.0).color(INK).centered(), "nothing yet");
        }
    }
    canvas.save(path)
}
