//! The page: a small software rasteriser with exact coverage for rectangles and distance-based edges for lines and discs,
//! and a PNG written beside its place and renamed.

use std::ffi::OsString;
use std::io::Cursor;
use std::path::Path;
use std::{fs, process};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{Rgb, RgbImage};
use omma::{Error, Result};

use super::palette::{Color, FRAME, INK, MUTED, PAPER};
use super::text::{Align, Fonts, Style};

/// The margin on all four sides of a page.
pub(crate) const MARGIN: f32 = 80.0;
/// Where a page's content begins, below its heading.
pub(crate) const TOP: f32 = 232.0;

/// An axis-aligned box, in pixels from the top left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) width: f32,
    pub(crate) height: f32,
}

impl Area {
    pub(crate) const fn new(x: f32, y: f32, width: f32, height: f32) -> Self {
        Self { x, y, width, height }
    }

    pub(crate) fn right(&self) -> f32 {
        self.x + self.width
    }

    pub(crate) fn bottom(&self) -> f32 {
        self.y + self.height
    }

    /// The part that pixel `at` (along one axis) shares with `from..to`.
    fn overlap(at: u32, from: f32, to: f32) -> f32 {
        (to.min(at as f32 + 1.0) - from.max(at as f32)).max(0.0)
    }
}

/// A page of a given size, drawn on with opaque colours.
pub(crate) struct Canvas {
    pixels: RgbImage,
    pub(crate) fonts: Fonts,
}

impl Canvas {
    /// An empty page with a heading.
    pub(crate) fn new(width: f32, height: f32, title: &str, subtitle: &str) -> Result<Self> {
        let pixels = RgbImage::from_pixel(width.ceil() as u32, height.ceil() as u32, Rgb(PAPER));
        let mut canvas = Self { pixels, fonts: Fonts::new()? };
        canvas.text(MARGIN, MARGIN + 38.0, Style::bold(46.0), title);
        canvas.text(MARGIN, MARGIN + 88.0, Style::regular(26.0).color(MUTED), subtitle);
        Ok(canvas)
    }

    fn blend(&mut self, x: i64, y: i64, color: Color, coverage: f32) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        if let Some(pixel) = self.pixels.get_pixel_mut_checked(x, y) {
            pixel.0 = super::palette::mix(pixel.0, color, coverage);
        }
    }

    /// Fills a rectangle; its edges may lie between pixels.
    pub(crate) fn rect(&mut self, area: Area, color: Color) {
        let columns = area.x.max(0.0) as u32..self.pixels.width().min(area.right().ceil().max(0.0) as u32);
        for y in area.y.max(0.0) as u32..self.pixels.height().min(area.bottom().ceil().max(0.0) as u32) {
            let down = Area::overlap(y, area.y, area.bottom());
            for x in columns.clone() {
                self.blend(x.into(), y.into(), color, down * Area::overlap(x, area.x, area.right()));
            }
        }
    }

    /// Draws a hairline just outside a rectangle.
    pub(crate) fn frame(&mut self, area: Area) {
        let (w, h) = (area.width, area.height);
        self.rect(Area::new(area.x - 1.0, area.y - 1.0, w + 2.0, 1.0), FRAME);
        self.rect(Area::new(area.x - 1.0, area.bottom(), w + 2.0, 1.0), FRAME);
        self.rect(Area::new(area.x - 1.0, area.y, 1.0, h), FRAME);
        self.rect(Area::new(area.right(), area.y, 1.0, h), FRAME);
    }

    /// Fills a rectangle with `rows` x `columns` cells, each in the colour of `color(row, column)`, without seams.
    pub(crate) fn cells(&mut self, area: Area, (rows, columns): (usize, usize), color: impl Fn(usize, usize) -> Color) {
        let (left, top) = (area.x.round() as i64, area.y.round() as i64);
        let (width, height) = (area.width.round() as usize, area.height.round() as usize);
        for y in 0..height {
            for x in 0..width {
                let color = color(y * rows / height, x * columns / width);
                self.blend(left + x as i64, top + y as i64, color, 1.0);
            }
        }
    }

    /// Draws a line through points, with round joints and ends.
    pub(crate) fn line(&mut self, points: &[(f32, f32)], thickness: f32, color: Color) {
        for pair in points.windows(2) {
            self.capsule(pair[0], pair[1], thickness / 2.0, color);
        }
    }

    /// Fills a disc.
    pub(crate) fn disc(&mut self, center: (f32, f32), radius: f32, color: Color) {
        self.capsule(center, center, radius, color);
    }

    /// Fills all points within `radius` of a segment; coverage falls off over the one pixel at the edge.
    fn capsule(&mut self, (ax, ay): (f32, f32), (bx, by): (f32, f32), radius: f32, color: Color) {
        let reach = radius + 1.0;
        let (dx, dy) = (bx - ax, by - ay);
        let length_squared = dx * dx + dy * dy;
        for y in (ay.min(by) - reach).floor() as i64..=(ay.max(by) + reach).ceil() as i64 {
            for x in (ax.min(bx) - reach).floor() as i64..=(ax.max(bx) + reach).ceil() as i64 {
                let (px, py) = (x as f32 + 0.5 - ax, y as f32 + 0.5 - ay);
                let along =
                    if length_squared > 0.0 { ((px * dx + py * dy) / length_squared).clamp(0.0, 1.0) } else { 0.0 };
                let distance = (px - along * dx).hypot(py - along * dy);
                self.blend(x, y, color, radius + 0.5 - distance);
            }
        }
    }

    /// Sets a text; `y` is its baseline.
    pub(crate) fn text(&mut self, x: f32, y: f32, style: Style, text: &str) {
        let x = match style.align {
            Align::Left => x,
            Align::Center => x - self.fonts.width(text, style) / 2.0,
            Align::Right => x - self.fonts.width(text, style),
        };
        let Self { pixels, fonts } = self;
        fonts.rasterize(text, style, (x, y), |x, y, coverage| {
            let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
            if let Some(pixel) = pixels.get_pixel_mut_checked(x, y) {
                pixel.0 = super::palette::mix(pixel.0, style.color, coverage);
            }
        });
    }

    /// Sets a text whose capitals and digits are centred on `y`.
    pub(crate) fn text_mid(&mut self, x: f32, y: f32, style: Style, text: &str) {
        // Half of Inter's cap height, 1490 of 2048 units an em.
        self.text(x, y + 0.364 * style.size, style, text);
    }

    /// As [`Canvas::text_mid`], made smaller or shorter where it is wider than `width`.
    pub(crate) fn text_within(&mut self, x: f32, y: f32, style: Style, text: &str, width: f32) {
        let (text, style) = self.fonts.fit(text, style, width);
        self.text_mid(x, y, style, &text);
    }

    /// The width of a text in pixels.
    pub(crate) fn text_width(&self, style: Style, text: &str) -> f32 {
        self.fonts.width(text, style)
    }

    /// A horizontal colour bar with its ends' labels at its sides; `color` maps 0..=1. It ends at `right`.
    pub(crate) fn color_bar(
        &mut self,
        (right, y): (f32, f32),
        width: f32,
        labels: [&str; 2],
        color: impl Fn(f32) -> Color,
    ) {
        let style = Style::regular(22.0).color(INK);
        let bar_right = right - self.text_width(style, labels[1]) - 12.0;
        let bar = Area::new((bar_right - width).round(), (y - 10.0).round(), width, 20.0);
        self.cells(bar, (1, width as usize), |_, column| color(column as f32 / (width - 1.0)));
        self.frame(bar);
        self.text_mid(right, y, style.right(), labels[1]);
        self.text_mid(bar.x - 12.0, y, style.right(), labels[0]);
    }

    /// Writes the page as PNG: into a file beside `path`, which then takes its name, so that nobody sees half a picture.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let mut png = Cursor::new(Vec::new());
        let encoder = PngEncoder::new_with_quality(&mut png, CompressionType::Default, FilterType::Adaptive);
        self.pixels.write_with_encoder(encoder).map_err(|error| Error::data(path, error))?;

        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{}.tmp", process::id()));
        let temporary = path.with_file_name(name);
        let written = fs::write(&temporary, png.into_inner()).and_then(|()| fs::rename(&temporary, path));
        written.map_err(|error| {
            // The first error is the one to tell; a leftover that cannot be removed either adds nothing.
            let _ = fs::remove_file(&temporary);
            Error::io(path)(error)
        })
    }
}
