//! The colours of every picture: one light page, blue for what is positive or right, orange for what is negative or wrong.
//!
//! Blue and orange stay apart for all common kinds of colour blindness.

/// An sRGB colour.
pub(crate) type Color = [u8; 3];

/// The page.
pub(crate) const PAPER: Color = [0xfc, 0xfc, 0xfa];
/// Zero in a heat map, and empty cells.
pub(crate) const WHITE: Color = [0xff, 0xff, 0xff];
/// Headings and values.
pub(crate) const INK: Color = [0x17, 0x1b, 0x26];
/// Labels and captions.
pub(crate) const MUTED: Color = [0x63, 0x6a, 0x79];
/// Frames of tiles and axes.
pub(crate) const FRAME: Color = [0xc9, 0xce, 0xd6];
/// Grid lines, and the track behind a bar.
pub(crate) const GRID: Color = [0xe7, 0xe9, 0xed];
/// Cells that hold nothing.
pub(crate) const EMPTY: Color = [0xf2, 0xf3, 0xf5];
/// The first series; what is right.
pub(crate) const BLUE: Color = [0x1f, 0x5f, 0xbf];
/// The second series; what is wrong.
pub(crate) const ORANGE: Color = [0xdd, 0x75, 0x16];

const BLUES: [Color; 5] = [WHITE, [0xd3, 0xe3, 0xf6], [0x86, 0xb2, 0xe6], [0x2c, 0x6c, 0xc4], [0x0f, 0x34, 0x6e]];
const ORANGES: [Color; 5] = [WHITE, [0xfb, 0xe2, 0xc6], [0xf5, 0xb1, 0x65], [0xdb, 0x71, 0x14], [0x84, 0x39, 0x05]];

/// Mixes two colours; `t` is clamped to 0..=1 and NaN counts as 0.
pub(crate) fn mix(from: Color, to: Color, t: f32) -> Color {
    let t = if t > 0.0 { t.min(1.0) } else { 0.0 };
    std::array::from_fn(|i| (f32::from(from[i]) + (f32::from(to[i]) - f32::from(from[i])) * t).round() as u8)
}

fn ramp(stops: &[Color; 5], t: f32) -> Color {
    let position = if t > 0.0 { t.min(1.0) * 4.0 } else { 0.0 };
    let below = (position as usize).min(3);
    mix(stops[below], stops[below + 1], position - below as f32)
}

/// White to deep blue for `t` in 0..=1.
pub(crate) fn blues(t: f32) -> Color {
    ramp(&BLUES, t)
}

/// White to deep orange for `t` in 0..=1.
pub(crate) fn oranges(t: f32) -> Color {
    ramp(&ORANGES, t)
}

/// Deep orange through white at zero to deep blue, for `t` in -1..=1. A NaN is grey: it is neither.
pub(crate) fn diverging(t: f32) -> Color {
    if t.is_nan() {
        FRAME
    } else if t < 0.0 {
        oranges(-t)
    } else {
        blues(t)
    }
}

/// A digit's pixel as ink on white.
pub(crate) fn ink(value: u8) -> Color {
    mix(WHITE, INK, f32::from(value) / 255.0)
}

/// The text colour that can be read on `background`.
pub(crate) fn readable_on(background: Color) -> Color {
    let [r, g, b] = background.map(f32::from);
    // Rec. 709 luma: how bright the eye finds the colour.
    if 0.2126 * r + 0.7152 * g + 0.0722 * b > 140.0 { INK } else { WHITE }
}
