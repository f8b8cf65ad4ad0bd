//! Text: two weights of Inter, set glyph by glyph at subpixel positions with kerning.

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};
use omma::{Error, Result};

use super::palette::{Color, INK};

/// Which end of a text its x coordinate names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Align {
    Left,
    Center,
    Right,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// Pixels per em.
    pub(crate) size: f32,
    pub(crate) bold: bool,
    pub(crate) color: Color,
    pub(crate) align: Align,
}

impl Style {
    /// Regular weight, ink, left-aligned.
    pub(crate) const fn regular(size: f32) -> Self {
        Self { size, bold: false, color: INK, align: Align::Left }
    }

    /// Semi-bold weight, ink, left-aligned.
    pub(crate) const fn bold(size: f32) -> Self {
        Self { bold: true, ..Self::regular(size) }
    }

    /// In another colour.
    pub(crate) const fn color(self, color: Color) -> Self {
        Self { color, ..self }
    }

    /// Centred on its x coordinate.
    pub(crate) const fn centered(self) -> Self {
        Self { align: Align::Center, ..self }
    }

    /// Ending at its x coordinate.
    pub(crate) const fn right(self) -> Self {
        Self { align: Align::Right, ..self }
    }
}

/// The bundled fonts.
pub(crate) struct Fonts {
    regular: FontRef<'static>,
    bold: FontRef<'static>,
}

impl Fonts {
    /// Reads the fonts inside the binary.
    pub(crate) fn new() -> Result<Self> {
        let read = |name: &str, bytes| FontRef::try_from_slice(bytes).map_err(|error| Error::data(name, error));
        Ok(Self {
            regular: read("Inter-Regular.ttf", include_bytes!("font/Inter-Regular.ttf"))?,
            bold: read("Inter-SemiBold.ttf", include_bytes!("font/Inter-SemiBold.ttf"))?,
        })
    }

    /// The width of a text in pixels.
    pub(crate) fn width(&self, text: &str, style: Style) -> f32 {
        self.layout(text, style, |_, _| ())
    }

    /// The text, smaller (to two thirds) and then shortened with an ellipsis until it is no wider than `width`.
    pub(crate) fn fit(&self, text: &str, style: Style, width: f32) -> (String, Style) {
        // A text made to fit exactly may come out a rounding error wider.
        let width = width + 0.1;
        let natural = self.width(text, style);
        if natural <= width {
            return (text.to_string(), style);
        }
        let smaller = Style { size: style.size * (width / natural).max(2.0 / 3.0), ..style };
        let mut kept: Vec<char> = text.chars().collect();
        let mut shown = text.to_string();
        while self.width(&shown, smaller) > width && !kept.is_empty() {
            kept.pop();
            shown = kept.iter().collect::<String>().trim_end().to_string() + "…";
        }
        (shown, smaller)
    }

    /// Calls `paint(x, y, coverage)` for each pixel of a text whose baseline's left end is at `(x, y)`.
    pub(crate) fn rasterize(&self, text: &str, style: Style, (x, y): (f32, f32), mut paint: impl FnMut(i64, i64, f32)) {
        self.layout(text, style, |font, mut glyph| {
            glyph.position += point(x, y);
            if let Some(outline) = font.outline_glyph(glyph) {
                let bounds = outline.px_bounds();
                outline.draw(|column, row, coverage| {
                    paint(bounds.min.x as i64 + i64::from(column), bounds.min.y as i64 + i64::from(row), coverage);
                });
            }
        });
    }

    /// Hands out each glyph at its place from an origin of zero, and returns the width of them all.
    fn layout(&self, text: &str, style: Style, mut each: impl FnMut(&FontRef<'static>, Glyph)) -> f32 {
        let font = if style.bold { &self.bold } else { &self.regular };
        // ab_glyph scales by ascent - descent; sizes here are pixels per em, as in CSS.
        let em = font.units_per_em().unwrap_or(1.0);
        let scaled = font.as_scaled(PxScale::from(style.size * font.height_unscaled() / em));
        let mut x = 0.0;
        let mut previous = None;
        for id in text.chars().map(|c| font.glyph_id(c)) {
            if let Some(previous) = previous.replace(id) {
                x += scaled.kern(previous, id);
            }
            each(font, id.with_scale_and_position(scaled.scale(), point(x, 0.0)));
            x += scaled.h_advance(id);
        }
        x
    }
}
