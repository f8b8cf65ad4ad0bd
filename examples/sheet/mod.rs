//! What the examples draw with: pictures side by side in one file, and curves.

use std::path::Path;

use image::{Rgb, RgbImage};

/// A picture of the given height and width; `pixel` gives red, green and blue in 0..=1.
pub(crate) fn picture(size: [usize; 2], pixel: impl Fn(usize, usize) -> [f32; 3]) -> RgbImage {
    RgbImage::from_fn(size[1] as u32, size[0] as u32, |x, y| {
        Rgb(pixel(y as usize, x as usize).map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8))
    })
}

/// Lays pictures out in rows of so many, each enlarged `scale` times, and writes them as one.
#[allow(dead_code, reason = "every example takes what it needs")]
pub(crate) fn write(
    path: &Path,
    pictures: &[RgbImage],
    columns: usize,
    scale: u32,
) -> Result<(), Box<dyn std::error::Error>> {
    const GAP: u32 = 4;
    let width = pictures.iter().map(|picture| picture.width()).max().unwrap_or(1) * scale + GAP;
    let height = pictures.iter().map(|picture| picture.height()).max().unwrap_or(1) * scale + GAP;
    let rows = pictures.len().div_ceil(columns) as u32;
    let mut sheet = RgbImage::from_pixel(columns as u32 * width + GAP, rows * height + GAP, Rgb([255; 3]));
    for (number, picture) in pictures.iter().enumerate() {
        let (left, top) = ((number % columns) as u32 * width + GAP, (number / columns) as u32 * height + GAP);
        for (x, y, &pixel) in picture.enumerate_pixels() {
            for dot in 0..scale * scale {
                sheet.put_pixel(left + x * scale + dot % scale, top + y * scale + dot / scale, pixel);
            }
        }
    }
    save(path, &sheet)
}

/// Colours that are told apart easily, also by the colour-blind (Wong 2011, "Points of view: Color blindness").
pub(crate) const COLORS: [[f32; 3]; 8] = [
    [0.0, 0.45, 0.7],
    [0.9, 0.6, 0.0],
    [0.0, 0.62, 0.45],
    [0.8, 0.4, 0.0],
    [0.8, 0.6, 0.7],
    [0.34, 0.71, 0.91],
    [0.0, 0.0, 0.0],
    [0.94, 0.89, 0.26],
];

/// Draws curves over one another, from 0 at the bottom to the largest value at the top, each in its colour of [`COLORS`].
#[allow(dead_code, reason = "every example takes what it needs")]
pub(crate) fn curves(size: [usize; 2], curves: &[Vec<f32>]) -> RgbImage {
    let largest = curves.iter().flatten().copied().fold(f32::MIN_POSITIVE, f32::max);
    let mut sheet = picture(size, |y, _| if y % (size[0] / 4).max(1) == 0 { [0.9; 3] } else { [1.0; 3] });
    for (curve, color) in curves.iter().zip(COLORS.iter().cycle()) {
        let height = |value: f32| (1.0 - value / largest) * (size[0] - 1) as f32;
        for x in 0..size[1] {
            let at = x as f32 / (size[1] - 1).max(1) as f32 * (curve.len() - 1) as f32;
            let (left, right) = (curve[at as usize], curve[(at as usize + 1).min(curve.len() - 1)]);
            let y = height(left + (right - left) * at.fract());
            // Three dots thick.
            for dot in [-1.0, 0.0, 1.0] {
                let y = (y + dot).clamp(0.0, (size[0] - 1) as f32) as u32;
                sheet.put_pixel(x as u32, y, Rgb(color.map(|value| (value * 255.0) as u8)));
            }
        }
    }
    sheet
}

fn save(path: &Path, picture: &RgbImage) -> Result<(), Box<dyn std::error::Error>> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    picture.save(path)?;
    println!("{}", path.display());
    Ok(())
}
