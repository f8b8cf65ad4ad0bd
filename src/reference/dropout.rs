//! Dropout: an element survives with probability 1 - p, scaled by 1 / (1 - p), and is 0 otherwise.
//!
//! `plane` neighbours survive together: single elements, or the channels of images.
//! Which of them do is a function of (seed, stream, step, place = index / plane) alone: word place % 4 of
//! Philox4x32-10(counter = (place / 4, step, 0, 0), key = (seed, stream)) must reach the threshold round(p · 2³²).
//! The gradient is the same function of dy.

use super::Checked;

/// The generator Philox4x32-10 of Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
#[must_use]
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    const ROUNDS: usize = 10;
    const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
    // The golden ratio and sqrt(3) - 1, as fractions of 2³².
    const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    for _ in 0..ROUNDS {
        let first = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
        let second = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
        counter = [
            (second >> 32) as u32 ^ counter[1] ^ key[0],
            second as u32,
            (first >> 32) as u32 ^ counter[3] ^ key[1],
            first as u32,
        ];
        key = [key[0].wrapping_add(KEY_STEPS[0]), key[1].wrapping_add(KEY_STEPS[1])];
    }
    counter
}

/// The smallest random word that keeps an element, from the probability of dropping it.
#[must_use]
pub fn threshold(probability: f64) -> u32 {
    // The cast saturates, so that p = 1 gives the largest word.
    (rounded(probability) * 2f64.powi(32)).round() as u32
}

/// y from x; 0 <= probability < 1.
#[must_use]
pub fn forward(x: &[f64], plane: usize, probability: f64, seed: u32, stream: u32, step: u32) -> Checked {
    let (threshold, scale) = (threshold(probability), 1.0 / (1.0 - rounded(probability)));
    let kept = |place: usize| philox([(place / 4) as u32, step, 0, 0], [seed, stream])[place % 4] >= threshold;
    let dropped = |(index, value): (usize, &f64)| if kept(index / plane) { value * scale } else { 0.0 };
    Checked::exact(x.iter().enumerate().map(dropped).collect())
}

/// The probability as a kernel has it: 1 - p near p = 1 would magnify the difference.
fn rounded(probability: f64) -> f64 {
    f64::from(probability as f32)
}
