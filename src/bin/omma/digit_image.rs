//! A picture of a digit, from a drawing program, a scanner or a camera, made into what the network was trained on.
//!
//! MNIST's digits are light on black, fit a box of 20 of the frame's 28 pixels with their aspect ratio kept, and lie with
//! their centre of mass in the frame's centre. A picture that is already so passes through untouched.

use std::path::Path;

use image::imageops::{self, FilterType};
use image::{DynamicImage, GrayImage};
use ndarray::Array2;
use omma::{Error, Result};

use crate::picture;

/// Pictures are first reduced to this longer side: it is ample for a digit, and specks vanish.
const WORKING_SIDE: u32 = 512;
/// The share of the frame that the digit's longer side fills: 20 of 28.
const FILL: f32 = 20.0 / 28.0;
/// Ink and paper closer than this (of 255) are noise on an empty page.
const LEAST_CONTRAST: f32 = 24.0;
/// A digit whose centre of mass is off by less than this share of the frame counts as centred.
const CENTERED_WITHIN: f32 = 3.0 / 28.0;

/// Reads a PNG or JPEG of any size, dark on light or light on dark, as a light digit on black of `height` x `width`.
pub(crate) fn load_digit(path: &Path, height: usize, width: usize) -> Result<Array2<u8>> {
    let luma = flatten(&picture::decode(path)?);
    if luma.dimensions() == (width as u32, height as u32) && is_prepared(&luma) {
        return Ok(Array2::from_shape_fn((height, width), |(y, x)| luma.get_pixel(x as u32, y as u32).0[0]));
    }
    let ink = ink(&shrink(luma)).ok_or_else(|| Error::data(path, "there is nothing on this picture"))?;
    Ok(place(&ink, height, width))
}

/// The brightness, with transparent parts over white, or over black where what can be seen is light.
fn flatten(image: &DynamicImage) -> GrayImage {
    if !image.color().has_alpha() {
        return image.to_luma8();
    }
    let pixels = image.to_luma_alpha8();
    let (light, opacity) = pixels.pixels().fold((0u64, 0u64), |(light, opacity), pixel| {
        let [luma, alpha] = pixel.0.map(u64::from);
        (light + luma * alpha, opacity + alpha)
    });
    let backdrop: u32 = if light > 127 * opacity { 0 } else { 255 };
    GrayImage::from_fn(pixels.width(), pixels.height(), |x, y| {
        let [luma, alpha] = pixels.get_pixel(x, y).0.map(u32::from);
        image::Luma([((luma * alpha + backdrop * (255 - alpha) + 127) / 255) as u8])
    })
}

fn shrink(image: GrayImage) -> GrayImage {
    let longer = image.width().max(image.height());
    if longer <= WORKING_SIDE {
        return image;
    }
    let scaled = |side: u32| (u64::from(side) * u64::from(WORKING_SIDE) / u64::from(longer)).max(1) as u32;
    imageops::thumbnail(&image, scaled(image.width()), scaled(image.height()))
}

/// The brightness of the background: the median along the border.
fn background(image: &GrayImage) -> u8 {
    let (width, height) = image.dimensions();
    let on_border = |x: u32, y: u32| x == 0 || y == 0 || x + 1 == width || y + 1 == height;
    let mut border: Vec<u8> =
        image.enumerate_pixels().filter(|&(x, y, _)| on_border(x, y)).map(|(_, _, pixel)| pixel.0[0]).collect();
    border.sort_unstable();
    border.get(border.len() / 2).copied().unwrap_or(0)
}

/// Whether a picture of the right size is light on black, not small in its frame, and centred.
fn is_prepared(image: &GrayImage) -> bool {
    let ink = Array2::from_shape_fn((image.height() as usize, image.width() as usize), |(y, x)| {
        f32::from(image.get_pixel(x as u32, y as u32).0[0])
    });
    let Some(bounds) = bounds(&ink, 127.0) else { return false };
    let (height, width) = (image.height() as f32, image.width() as f32);
    let (y, x) = center_of_mass(&ink);
    background(image) < 32
        && (bounds.height() as f32 >= height / 2.0 || bounds.width() as f32 >= width / 2.0)
        && (y - height / 2.0).abs() <= height * CENTERED_WITHIN
        && (x - width / 2.0).abs() <= width * CENTERED_WITHIN
}

/// The strokes, 0 for paper to 1 for ink, or nothing where there are none.
fn ink(image: &GrayImage) -> Option<Array2<f32>> {
    let paper = background(image);
    let ink_of = |luma: u8| if paper > 127 { paper.saturating_sub(luma) } else { luma.saturating_sub(paper) };
    let mut histogram = [0u64; 256];
    image.pixels().for_each(|pixel| histogram[usize::from(ink_of(pixel.0[0]))] += 1);
    let (threshold, low, high) = otsu(&histogram)?;
    if high - low < LEAST_CONTRAST {
        return None;
    }
    // Shadows on the paper stay below a third of the way to the threshold, soft edges of strokes are above it.
    let floor = low + (threshold - low) / 3.0;
    let full = high.max(threshold);
    Some(Array2::from_shape_fn((image.height() as usize, image.width() as usize), |(y, x)| {
        let ink = f32::from(ink_of(image.get_pixel(x as u32, y as u32).0[0]));
        ((ink - floor) / (full - floor)).clamp(0.0, 1.0)
    }))
}

/// Otsu's threshold: the one that leaves most variance between its two sides. With it, the two sides' means.
fn otsu(histogram: &[u64; 256]) -> Option<(f32, f32, f32)> {
    let all: u64 = histogram.iter().sum();
    let weighted: u64 = histogram.iter().enumerate().map(|(value, count)| value as u64 * count).sum();
    let (mut below, mut below_weighted) = (0, 0);
    let mut best = None;
    let mut most = 0.0;
    for (value, count) in histogram.iter().enumerate() {
        below += count;
        below_weighted += value as u64 * count;
        if below == 0 || below == all {
            continue;
        }
        let low = below_weighted as f64 / below as f64;
        let high = (weighted - below_weighted) as f64 / (all - below) as f64;
        let between = below as f64 * (all - below) as f64 * (high - low).powi(2);
        if between > most {
            most = between;
            // Halfway between the means: on a clean drawing the classic threshold sits at the very edge of the paper.
            best = Some((((low + high) / 2.0) as f32, low as f32, high as f32));
        }
    }
    best
}

/// A box of pixels, the last row and column included.
struct Bounds {
    top: usize,
    left: usize,
    bottom: usize,
    right: usize,
}

impl Bounds {
    fn height(&self) -> usize {
        self.bottom - self.top + 1
    }

    fn width(&self) -> usize {
        self.right - self.left + 1
    }
}

/// The box around everything above `threshold`.
fn bounds(ink: &Array2<f32>, threshold: f32) -> Option<Bounds> {
    ink.indexed_iter().filter(|&(_, &value)| value > threshold).fold(None, |found: Option<Bounds>, ((y, x), _)| {
        let b = found.unwrap_or(Bounds { top: y, left: x, bottom: y, right: x });
        Some(Bounds { top: b.top.min(y), left: b.left.min(x), bottom: b.bottom.max(y), right: b.right.max(x) })
    })
}

/// Row and column of the centre of mass, a pixel's own centre at its index plus a half.
fn center_of_mass(ink: &Array2<f32>) -> (f32, f32) {
    let (sum, y, x) = ink.indexed_iter().fold((0.0, 0.0, 0.0), |(sum, y, x), ((row, column), &value)| {
        (sum + value, y + value * (row as f32 + 0.5), x + value * (column as f32 + 0.5))
    });
    if sum > 0.0 { (y / sum, x / sum) } else { (ink.nrows() as f32 / 2.0, ink.ncols() as f32 / 2.0) }
}

/// Crops to the strokes, scales them to the frame's inner box and puts their centre of mass into its centre.
fn place(ink: &Array2<f32>, height: usize, width: usize) -> Array2<u8> {
    let mut frame = Array2::zeros((height, width));
    let Some(bounds) = bounds(ink, 0.5) else { return frame };
    let crop = image::ImageBuffer::from_fn(bounds.width() as u32, bounds.height() as u32, |x, y| {
        image::Luma([ink[(bounds.top + y as usize, bounds.left + x as usize)]])
    });
    let (inner_height, inner_width) = (FILL * height as f32, FILL * width as f32);
    let scale = (inner_height / bounds.height() as f32).min(inner_width / bounds.width() as f32);
    let scaled = |side: usize, most: usize| ((side as f32 * scale).round() as usize).clamp(1, most.max(1)) as u32;
    let (rows, columns) = (scaled(bounds.height(), height), scaled(bounds.width(), width));
    let digit = imageops::resize(&crop, columns, rows, FilterType::Triangle);
    let digit =
        Array2::from_shape_fn((rows as usize, columns as usize), |(y, x)| digit.get_pixel(x as u32, y as u32).0[0]);

    let peak = digit.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let (y, x) = center_of_mass(&digit);
    let start = |frame: usize, size: u32, center: f32| {
        let most = frame.saturating_sub(size as usize);
        (frame as f32 / 2.0 - center).round().clamp(0.0, most as f32) as usize
    };
    let (top, left) = (start(height, rows, y), start(width, columns, x));
    for ((row, column), &value) in digit.indexed_iter() {
        if let Some(pixel) = frame.get_mut((top + row, left + column)) {
            // Thin strokes turn grey when they shrink; MNIST's are full white inside.
            *pixel = (value / peak * 255.0).round() as u8;
        }
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Luma, LumaA, Rgb, RgbImage};

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    /// How a stroke crosses a picture: a seven, drawn by distance to two segments, 0 to 1.
    fn seven(x: f32, y: f32) -> f32 {
        let near = |(ax, ay): (f32, f32), (bx, by): (f32, f32)| {
            let (dx, dy) = (bx - ax, by - ay);
            let t = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
            (x - ax - t * dx).hypot(y - ay - t * dy)
        };
        let distance = near((0.3, 0.2), (0.7, 0.2)).min(near((0.7, 0.2), (0.45, 0.8)));
        ((0.05 - distance) / 0.01 + 0.5).clamp(0.0, 1.0)
    }

    /// A seven in a picture of `width` x `height`, on paper and in ink of these brightnesses.
    fn drawn(width: u32, height: u32, paper: f32, stroke: f32) -> GrayImage {
        let side = width.min(height) as f32;
        GrayImage::from_fn(width, height, |x, y| {
            Luma([(paper + (stroke - paper) * seven((x as f32 + 0.5) / side, (y as f32 + 0.5) / side)).round() as u8])
        })
    }

    fn loaded(image: impl Into<DynamicImage>, name: &str) -> Result<Array2<u8>, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join(name);
        image.into().save(&path)?;
        Ok(load_digit(&path, 28, 28)?)
    }

    /// The cosine between two digits.
    fn likeness(a: &Array2<u8>, b: &Array2<u8>) -> f32 {
        let dot =
            |a: &Array2<u8>, b: &Array2<u8>| a.iter().zip(b).map(|(&a, &b)| f32::from(a) * f32::from(b)).sum::<f32>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    #[test]
    fn the_digit_fills_its_box_and_is_centred_by_mass() -> Outcome {
        let digit = loaded(drawn(600, 400, 250.0, 20.0), "seven.png")?.mapv(f32::from);
        let Some(bounds) = bounds(&digit, 0.0) else { return Err("no digit".into()) };
        assert_eq!(bounds.height(), 20);
        assert!(bounds.width() < 20);
        let (y, x) = center_of_mass(&digit);
        assert!((y - 14.0).abs() <= 0.5 && (x - 14.0).abs() <= 0.5, "{y} {x}");
        assert_eq!(digit.iter().copied().fold(0.0, f32::max), 255.0);
        assert_eq!(digit[(0, 0)], 0.0);
        Ok(())
    }

    #[test]
    fn size_colours_and_format_do_not_change_the_digit() -> Outcome {
        let expected = loaded(drawn(280, 280, 0.0, 255.0), "seven.png")?;
        let cases = [
            (loaded(drawn(280, 280, 255.0, 0.0), "inverse.png")?, "dark on light"),
            (loaded(drawn(90, 61, 230.0, 90.0), "small.png")?, "small, pale"),
            (loaded(drawn(1500, 2100, 40.0, 200.0), "large.jpg")?, "large JPEG"),
        ];
        for (digit, case) in &cases {
            assert!(likeness(digit, &expected) > 0.95, "{case}: {}", likeness(digit, &expected));
        }
        Ok(())
    }

    #[test]
    fn a_shadow_on_the_paper_is_not_ink() -> Outcome {
        let expected = loaded(drawn(280, 280, 255.0, 0.0), "seven.png")?;
        let mut photo: RgbImage = DynamicImage::from(drawn(900, 900, 210.0, 50.0)).to_rgb8();
        for (x, _, pixel) in photo.enumerate_pixels_mut() {
            let shade = 1.0 - 0.25 * x as f32 / 900.0;
            *pixel = Rgb(pixel.0.map(|v| (f32::from(v) * shade) as u8));
        }
        let digit = loaded(photo, "photo.jpg")?;
        assert!(likeness(&digit, &expected) > 0.9, "{}", likeness(&digit, &expected));
        Ok(())
    }

    #[test]
    fn transparent_paper_works_for_dark_and_for_light_ink() -> Outcome {
        let expected = loaded(drawn(280, 280, 0.0, 255.0), "seven.png")?;
        for (stroke, hidden) in [(0, 255), (255, 0), (0, 0), (255, 255)] {
            let image = image::ImageBuffer::from_fn(280, 280, |x, y| {
                let opacity = seven((x as f32 + 0.5) / 280.0, (y as f32 + 0.5) / 280.0);
                LumaA([if opacity > 0.0 { stroke } else { hidden }, (opacity * 255.0) as u8])
            });
            let digit = loaded(DynamicImage::ImageLumaA8(image), "clear.png")?;
            assert!(likeness(&digit, &expected) > 0.95, "{stroke} over {hidden}");
        }
        Ok(())
    }

    #[test]
    fn a_prepared_digit_passes_untouched_and_another_does_not() -> Outcome {
        let prepared = loaded(drawn(600, 600, 255.0, 0.0), "seven.png")?;
        let as_image = |digit: &Array2<u8>| {
            GrayImage::from_fn(28, 28, |x, y| Luma([digit.get((y as usize, x as usize)).copied().unwrap_or(0)]))
        };
        assert_eq!(loaded(as_image(&prepared), "again.png")?, prepared);
        // In a corner, or with its colours turned, it is put right.
        let corner = Array2::from_shape_fn((28, 28), |(y, x)| prepared.get((y + 4, x + 5)).copied().unwrap_or(0));
        assert_ne!(loaded(as_image(&corner), "corner.png")?, corner);
        let inverse = prepared.mapv(|v| 255 - v);
        assert!(likeness(&loaded(as_image(&inverse), "inverse.png")?, &prepared) > 0.95);
        Ok(())
    }

    #[test]
    fn a_dot_and_a_line_keep_inside_the_frame() -> Outcome {
        let line = GrayImage::from_fn(400, 9, |_, y| Luma([if (3..6).contains(&y) { 0 } else { 255 }]));
        let dot = GrayImage::from_fn(50, 50, |x, y| Luma([if (x, y) == (0, 49) { 0 } else { 255 }]));
        for image in [line, dot] {
            assert!(loaded(image, "thin.png")?.iter().any(|&v| v == 255));
        }
        Ok(())
    }

    #[test]
    fn what_cannot_be_read_is_an_error_with_the_path() -> Outcome {
        let folder = tempfile::tempdir()?;
        let message = |name: &str| {
            let path = folder.path().join(name);
            load_digit(&path, 28, 28).map_err(|error| error.to_string()).err().unwrap_or_default()
        };
        GrayImage::from_pixel(40, 40, Luma([200])).save(folder.path().join("empty.png"))?;
        GrayImage::from_pixel(28, 28, Luma([0])).save(folder.path().join("black.png"))?;
        GrayImage::from_pixel(1, 1, Luma([9])).save(folder.path().join("one.png"))?;
        std::fs::write(folder.path().join("text.png"), "not a picture")?;
        std::fs::write(folder.path().join("nothing.jpg"), "")?;
        drawn(300, 300, 0.0, 255.0).save(folder.path().join("cut.png"))?;
        let whole = std::fs::read(folder.path().join("cut.png"))?;
        std::fs::write(folder.path().join("cut.png"), &whole[..whole.len() / 2])?;
        // A header that promises 100,000 x 100,000 pixels: refused before anything of that size is allocated.
        let mut bomb = whole;
        bomb[16..24].copy_from_slice(&[0, 1, 0x86, 0xa0, 0, 1, 0x86, 0xa0]);
        let mut crc = flate2::Crc::new();
        crc.update(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&crc.sum().to_be_bytes());
        std::fs::write(folder.path().join("bomb.png"), bomb)?;
        // A JPEG that says it is coded arithmetically, which the decoder does not know, and a GIF.
        let arithmetic = folder.path().join("arithmetic.jpg");
        drawn(40, 40, 0.0, 255.0).save(&arithmetic)?;
        let mut bytes = std::fs::read(&arithmetic)?;
        let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).ok_or("no frame")?;
        bytes[frame + 1] = 0xc9;
        std::fs::write(&arithmetic, bytes)?;
        std::fs::write(folder.path().join("animated.png"), "GIF89a\x01\0\x01\0\0\0\0;")?;

        for name in ["empty.png", "black.png", "one.png"] {
            assert!(message(name).contains("nothing on this picture"), "{}", message(name));
        }
        assert!(!message("arithmetic.jpg").contains("neither"), "{}", message("arithmetic.jpg"));
        for name in ["text.png", "nothing.jpg", "animated.png"] {
            assert!(message(name).contains("neither a PNG nor a JPEG"), "{}", message(name));
        }
        assert!(message("bomb.png").contains("100000 x 100000 pixels"), "{}", message("bomb.png"));
        for name in ["cut.png", "bomb.png", "text.png", "arithmetic.jpg", "missing.png", "."] {
            assert!(message(name).contains(name) && !message(name).contains('\n'), "{name}: {}", message(name));
        }
        Ok(())
    }
}
