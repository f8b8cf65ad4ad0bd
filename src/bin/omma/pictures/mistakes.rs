//! The digits that were misread, the most confident first: what the network is sure of and wrong about.

use std::path::Path;

use omma::Result;

use super::canvas::{Area, Canvas, MARGIN, TOP};
use super::palette::{BLUE, INK, MUTED, ORANGE, WHITE, ink, mix};
use super::text::{Fonts, Style};
use super::{Mistake, grouped, percent};

const WIDTH: f32 = 1600.0;
const MOST: usize = 40;
const ACROSS: usize = 8;
const GAP: f32 = 32.0;
/// Below a picture, for what it is and was taken for.
const CAPTION: f32 = 96.0;
/// One more line, where names do not fit side by side.
const STACKED: f32 = 32.0;
const NAME: Style = Style::bold(30.0);
const SMALL_NAME: Style = Style::bold(22.0);
const ARROW: Style = Style::regular(26.0).color(MUTED);

/// Draws the misread pictures into the PNG at `path`. `mistakes` holds all of them, in any order; `total` is the number
/// of pictures that were tested.
pub(crate) fn mistakes(path: &Path, mistakes: &[Mistake], total: usize) -> Result<()> {
    if mistakes.is_empty() {
        return nothing_misread(path, total);
    }
    let mut sorted: Vec<&Mistake> = mistakes.iter().collect();
    sorted.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let shown = sorted.len().min(MOST);

    let mut subtitle = format!("{} of {} test pictures", grouped(mistakes.len()), grouped(total));
    if total > 0 {
        subtitle += &format!(" ({})", percent(mistakes.len() as f64 / total as f64, 2));
    }
    subtitle += match shown < mistakes.len() {
        true => ", the 40 most confident shown",
        false => ", the most confident first",
    };
    let tile = ((WIDTH - 2.0 * MARGIN - GAP * (ACROSS - 1) as f32) / ACROSS as f32).floor();
    let down = shown.div_ceil(ACROSS);
    let fonts = Fonts::new()?;
    let stacked = sorted[..shown].iter().any(|mistake| one_line(&fonts, mistake) > tile);
    let caption_height = if stacked { CAPTION + STACKED } else { CAPTION };
    let height = TOP + (tile + caption_height) * down as f32 + GAP * (down - 1) as f32 + MARGIN;
    let mut canvas = Canvas::new(WIDTH, height, "Misread", &subtitle)?;
    legend(&mut canvas);

    for (index, mistake) in sorted.into_iter().take(shown).enumerate() {
        let x = MARGIN + (tile + GAP) * (index % ACROSS) as f32;
        let y = TOP + (tile + caption_height + GAP) * (index / ACROSS) as f32;
        let (rows, columns) = mistake.image.dim();
        if rows * columns > 0 {
            let scale = (tile / rows as f32).min(tile / columns as f32);
            let (width, height) = ((columns as f32 * scale).round(), (rows as f32 * scale).round());
            let area = Area::new(x + ((tile - width) / 2.0).round(), y + (tile - height).round(), width, height);
            canvas.cells(area, (rows, columns), |r, c| ink(mistake.image[(r, c)]));
        }
        canvas.frame(Area::new(x, y, tile, tile));
        caption(&mut canvas, mistake, (x + tile / 2.0, y + tile), tile, stacked);
    }
    canvas.save(path)
}

/// What a picture is, an arrow, what it was taken for, and how surely; long names stand on lines of their own.
fn caption(canvas: &mut Canvas, mistake: &Mistake, (middle, mut y): (f32, f32), width: f32, stacked: bool) {
    let (truth, guess, arrow) = (&mistake.truth, format!("→ {}", mistake.guess), ARROW);
    y += 34.0;
    if stacked {
        canvas.text_within(middle, y, SMALL_NAME.centered(), truth, width);
        y += 32.0;
        canvas.text_within(middle, y, SMALL_NAME.color(ORANGE).centered(), &guess, width);
    } else {
        let truth_width = canvas.text_width(NAME, truth);
        let arrow_width = canvas.text_width(arrow, "→");
        let left = middle - one_line(&canvas.fonts, mistake) / 2.0;
        canvas.text_mid(left, y, NAME, truth);
        canvas.text_mid(left + truth_width + 12.0, y, arrow, "→");
        canvas.text_mid(left + truth_width + arrow_width + 24.0, y, NAME.color(ORANGE), &mistake.guess);
    }
    let share = percent(f64::from(mistake.confidence), 0);
    canvas.text_mid(middle, y + 36.0, Style::regular(22.0).color(MUTED).centered(), &share);
}

/// The width of a caption's names side by side.
fn one_line(fonts: &Fonts, mistake: &Mistake) -> f32 {
    let names = fonts.width(&mistake.truth, NAME) + fonts.width(&mistake.guess, NAME);
    names + fonts.width("→", ARROW) + 24.0
}

/// Explains the captions, at the heading's right.
fn legend(canvas: &mut Canvas) {
    let mut right = WIDTH - MARGIN;
    let style = Style::regular(24.0);
    for (text, style) in [
        ("probability", style.color(MUTED)),
        ("·", style.color(MUTED)),
        ("guess", Style::bold(24.0).color(ORANGE)),
        ("→", style.color(MUTED)),
        ("truth", Style::bold(24.0).color(INK)),
    ] {
        canvas.text(right, MARGIN + 88.0, style.right(), text);
        right -= canvas.text_width(style, text) + 10.0;
    }
}

/// The page of a run without a mistake: a tick in a circle.
fn nothing_misread(path: &Path, total: usize) -> Result<()> {
    let (subtitle, verdict) = match total {
        0 => ("No picture was tested.".to_string(), "nothing to show"),
        _ => (format!("None of {} test pictures", grouped(total)), "All read right"),
    };
    let mut canvas = Canvas::new(WIDTH, 900.0, "Misread", &subtitle)?;
    let (x, y) = (WIDTH / 2.0, 480.0);
    if total > 0 {
        canvas.disc((x, y), 150.0, mix(BLUE, WHITE, 0.85));
        canvas.disc((x, y), 118.0, BLUE);
        canvas.line(&[(x - 52.0, y + 4.0), (x - 14.0, y + 42.0), (x + 56.0, y - 38.0)], 18.0, WHITE);
    }
    canvas.text_mid(x, y + 220.0, Style::bold(40.0).centered(), verdict);
    canvas.save(path)
}
