//! Dropout: the generator's published vectors, the threshold, and which elements survive.

use omma::reference::dropout::{forward, philox, threshold};

use super::{Random, check_gradient};

/// `kat_vectors` of Random123, philox4x32 with 10 rounds.
#[test]
fn known_answers() {
    assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    assert_eq!(philox([!0; 4], [!0; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    let (pi, more_pi) = ([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]);
    assert_eq!(philox(pi, more_pi), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
}

#[test]
fn thresholds() {
    assert_eq!(threshold(0.0), 0);
    assert_eq!(threshold(0.25), 1 << 30);
    assert_eq!(threshold(0.5), 1 << 31);
    assert_eq!(threshold(1.0), u32::MAX);
    // The f32 nearest to 0.1 is 13421773 · 2^-27.
    assert_eq!(threshold(0.1), 13_421_773 << 5);
}

#[test]
fn words_map_to_elements() {
    // The first known answer: seed, stream and step 0. Against one half, the words decide by their top bit.
    assert_eq!(forward(&[3.0; 4], 1, 0.5, 0, 0, 0).values, [0.0, 6.0, 6.0, 6.0]);
    // Element 6 is word 2 of block 1.
    let kept = philox([1, 7, 0, 0], [5, 9])[2] >= 1 << 31;
    assert_eq!(forward(&[1.0; 7], 1, 0.5, 5, 9, 7).values[6], if kept { 2.0 } else { 0.0 });
}

#[test]
fn the_rate_is_right_and_the_mean_stays() {
    let (length, p) = (40_000, 0.3);
    let y = forward(&vec![1.0; length], 1, p, 1, 2, 3).values;
    let mean = y.iter().sum::<f64>() / length as f64;
    // The mean's deviation is sqrt(p / (1 - p) / length) = 0.0033; five of them.
    assert!((mean - 1.0).abs() < 5.0 * (p / (1.0 - p) / length as f64).sqrt(), "{mean}");
    let x = Random(15).uniform(101);
    assert_eq!(forward(&x, 1, 0.0, 1, 2, 3).values, x);
}

#[test]
fn seed_stream_and_step_each_change_the_mask() {
    let ones = [1.0; 64];
    let masks = [(1, 2, 3), (4, 2, 3), (1, 4, 3), (1, 2, 4)].map(|(seed, stream, step)| {
        assert_eq!(
            forward(&ones, 1, 0.5, seed, stream, step).values,
            forward(&ones, 1, 0.5, seed, stream, step).values
        );
        forward(&ones, 1, 0.5, seed, stream, step).values
    });
    for (i, mask) in masks.iter().enumerate() {
        assert!(masks[i + 1..].iter().all(|other| other != mask));
    }
}

#[test]
fn channels_fall_together() {
    let ones = vec![1.0; 7 * 5];
    let single = forward(&ones[..7], 1, 0.5, 3, 1, 4).values;
    let whole: Vec<f64> = single.iter().flat_map(|&value| [value; 5]).collect();
    assert!(single.contains(&0.0) && single.contains(&2.0), "{single:?}");
    assert_eq!(forward(&ones, 5, 0.5, 3, 1, 4).values, whole);
}

#[test]
fn gradients() {
    let mut random = Random(16);
    let (x, dy) = (random.uniform(13), random.uniform(13));
    check_gradient("dropout", &x, &dy, &forward(&dy, 1, 0.4, 1, 2, 3), |x| forward(x, 1, 0.4, 1, 2, 3));
}
